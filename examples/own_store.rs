//! A store of one's own: one file for each run, put to every clause of the contract by its tests.
//!
//! ```text
//! cargo run --example own_store --features testing [-- FOLDER]
//! cargo test --example own_store --features testing
//! ```
//!
//! A file is written beside the old one, synced, and takes its name: whenever the machine stops, the run has all of a checkpoint or
//! nothing of it. A lock on a second file, which the system drops with the process that had it, says who executes the run. Every
//! operation is done when it returns, in the meantime the thread waits for the disk: good enough for a tool, not for a server.

use std::{
    error::Error,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use stroma::{
    Slot, SlotKind,
    parts::Never,
    prelude::*,
    store::{Access, Begun, Encode, Session, Store, StoreError, StoreErrorKind},
};

#[derive(Debug)]
struct FileStore(PathBuf);

/// What a file holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    ledger: Vec<u8>,
    slots: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    node: String,
    index: u16,
    instance: u32,
    kind: u8,
    value: Vec<u8>,
}

impl Entry {
    fn slot(&self) -> Option<Slot<'_>> {
        let kind = SlotKind::from_u8(self.kind)?;
        Some(Slot { node: &self.node, index: self.index, instance: self.instance, kind })
    }
}

struct FileSession {
    file: PathBuf,
    kept: Kept,
    // Nobody else has the run until this is closed.
    _lock: File,
}

/// What the error of a file means to a run.
fn failed(error: io::Error) -> StoreError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => StoreErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Exhausted,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::with_detail(kind, error)
}

impl FileStore {
    fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// The file of a run. Any character may be in an id, and case matters: two digits stand for each of its bytes.
    fn file(&self, run: &RunId) -> PathBuf {
        let name: String = run.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        self.0.join(name + ".run")
    }

    fn lock(file: &Path) -> Result<File, StoreError> {
        // It stays, empty: if it were deleted, two could hold one each.
        let lock = File::create(file.with_extension("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(StoreError::new(StoreErrorKind::Busy { until: None })),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn hold(&self, run: &RunId, access: Access) -> Result<FileSession, StoreError> {
        let file = self.file(run);
        let _lock = Self::lock(&file)?;
        let kept = match fs::read(&file) {
            Ok(bytes) => {
                postcard::from_bytes(&bytes).map_err(|error| StoreError::with_detail(StoreErrorKind::Foreign, error))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && access == Access::Create => Kept::default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::new(StoreErrorKind::UnknownRun));
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(FileSession { file, kept, _lock })
    }

    fn delete(&self, run: &RunId) -> Result<bool, StoreError> {
        let file = self.file(run);
        let _lock = Self::lock(&file)?;
        replace(&file, None)
    }
}

/// Replaces a file, or deletes it, for good; whether there was one to delete.
fn replace(file: &Path, bytes: Option<&[u8]>) -> Result<bool, StoreError> {
    let step = || {
        if let Some(bytes) = bytes {
            let new = file.with_extension("new");
            let mut written = File::create(&new)?;
            written.write_all(bytes)?;
            written.sync_all()?;
            fs::rename(new, file)?;
        } else {
            fs::remove_file(file)?;
        }
        // The name is data of the folder's. Windows has no such call, and needs none.
        if cfg!(unix) { File::open(file.parent().unwrap_or(file))?.sync_all() } else { Ok(()) }
    };
    match step() {
        Ok(()) => Ok(true),
        Err(error) if bytes.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

impl Store for FileStore {
    type Session<'a> = FileSession;
    type Opening<'a> = Never<Result<FileSession, StoreError>>;
    type Forgetting<'a> = Never<Result<bool, StoreError>>;

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<FileSession, StoreError>, Self::Opening<'_>> {
        Begun::Done(self.hold(run, access))
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'_>> {
        Begun::Done(self.delete(run))
    }
}

impl FileSession {
    fn find(&self, slot: Slot<'_>) -> Option<&Entry> {
        self.kept.slots.iter().find(|entry| entry.slot() == Some(slot))
    }

    /// Saves what there is to be, and only then takes it for what there is. A run without a slot is none.
    fn save(&mut self, next: Kept) -> Result<(), StoreError> {
        if next.slots.is_empty() {
            replace(&self.file, None)?;
        } else {
            let bytes = postcard::to_allocvec(&next)
                .map_err(|error| StoreError::with_detail(StoreErrorKind::Unserialisable, error))?;
            replace(&self.file, Some(&bytes))?;
        }
        self.kept = next;
        Ok(())
    }

    fn save_slot(&mut self, slot: Slot<'_>, value: impl Encode, ledger: &[u8]) -> Result<(), StoreError> {
        let mut bytes = vec![0; value.encoded_len()?];
        let len = value.encode(&mut bytes)?;
        bytes.truncate(len);
        let Slot { node, index, instance, kind } = slot;
        let mut next = self.kept.clone();
        next.slots.retain(|entry| entry.slot() != Some(slot));
        next.slots.push(Entry { node: node.to_owned(), index, instance, kind: kind as u8, value: bytes });
        if !ledger.is_empty() {
            next.ledger = ledger.to_vec();
        }
        self.save(next)
    }
}

impl Session for FileSession {
    type Writing = Never<Result<(), StoreError>>;
    type Reading = Never<Result<Vec<u8>, StoreError>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.kept.slots.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.find(slot).is_some()
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.kept.slots.iter().filter_map(Entry::slot).for_each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(self.save_slot(slot, value, ledger))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(self.save(Kept { ledger: ledger.to_vec(), ..self.kept.clone() }))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        let missing = StoreError::new(StoreErrorKind::Missing);
        Begun::Done(self.find(slot).map(|entry| read(&entry.value)).ok_or(missing))
    }

    fn ledger(&self) -> &[u8] {
        &self.kept.ledger
    }

    fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let mut next = self.kept.clone();
        next.slots.retain(|entry| !entry.slot().is_some_and(&mut doomed));
        Begun::Done(self.save(next))
    }
}

async fn split(text: String) -> io::Result<Vec<String>> {
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

async fn count(words: Vec<String>) -> io::Result<u32> {
    Ok(words.len() as u32)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("stroma-runs"), PathBuf::from);
    let store = FileStore::new(&folder)?;
    let id = RunId::new("a sentence")?;
    let file = store.file(&id);
    let runner = Runner::quick(node("split", split).then(node("count", count))).with_store(store).build()?;
    let done = runner.run_as(id, "a pipeline is one generic type".to_owned()).await?;
    println!("{} words, {}: {}", done.output, done.report.status, file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use stroma::testing::{Broken, Suite, Torture};
    use tempfile::TempDir;

    use super::*;

    /// A folder in memory where the system has one: to wait for a disk is nearly all that the tests would do.
    fn folder() -> TempDir {
        TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
    }

    // What is saved outlives the store, several may share a folder, and all of it works in several threads.
    stroma::testing::conformance! {
        mod file: threads + reopens + shared = Suite::at(
            folder,
            async |folder: &TempDir| FileStore::new(folder.path()).unwrap(),
        );
    }

    #[test]
    fn a_run_in_it_bears_anything() -> Result<(), Broken> {
        let folder = folder();
        let next = std::cell::Cell::new(0);
        let fresh = || {
            next.set(next.get() + 1);
            FileStore::new(folder.path().join(next.get().to_string())).unwrap()
        };
        Torture::on(fresh).run(async |life| {
            let pipeline = node("split", split).then(node("count", count));
            let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
            life.run(&runner, "a pipeline is one generic type".to_owned()).await
        })?;
        Ok(())
    }
}
