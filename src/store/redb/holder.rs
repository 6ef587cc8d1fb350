//! A store among all that share the file, and which of them are alive.

use alloc::{borrow::ToOwned, collections::BTreeSet, string::ToString, sync::Arc, vec::Vec};
use core::{sync::atomic::AtomicU64, time::Duration};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use uuid::Uuid;

use super::{
    super::StoreError,
    error::denied,
    journal::{self, Journal},
    lease::{Lease, Seen, beside},
};

/// This store among all that have the file open, dead ones included. Its lock is a fact that the kernel keeps.
pub(super) struct Holder {
    pub(super) id: u128,
    pub(super) folder: PathBuf,
    /// Stops to beat before the files are removed.
    lease: Option<Lease>,
    beats: Arc<AtomicU64>,
    seen: Seen,
    pub(super) journal: Journal,
    /// How many journals of others were read.
    #[cfg(test)]
    pub(super) reads: core::cell::Cell<u64>,
    _lock: File,
}

/// What there is to know of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It ended: its runs can be had.
    Over,
    /// It is there and its lease ran out: its runs can be had, and it may go on.
    Stopped,
    /// It is alive, and its lease runs for so long if it beats no more; without one it is alive until it ends.
    Alive(Option<Duration>),
}

impl Holder {
    pub(super) fn folder(database: &Path) -> PathBuf {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".holders");
        folder.into()
    }

    /// A new holder with its lock. To be called inside a write transaction, like [`life_of`](Self::life_of): nobody
    /// then meets a file between its creation and its lock, and two of them that look at a third do not take each
    /// other's test for its life.
    pub(super) fn new(database: &Path) -> io::Result<Self> {
        let folder = Self::folder(database);
        fs::create_dir_all(&folder)?;
        let id = Uuid::now_v7();
        let path = folder.join(id.to_string());
        let lock = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let begun = lock.try_lock().map_err(io::Error::from).and_then(|()| Journal::new(&folder, id));
        // Where there is no room, not even what was begun is to stay.
        let journal = begun.inspect_err(|_| bury(&folder, id))?;
        Ok(Self {
            id: id.as_u128(),
            folder,
            lease: None,
            beats: Arc::default(),
            seen: Seen::default(),
            journal,
            #[cfg(test)]
            reads: core::cell::Cell::new(0),
            _lock: lock,
        })
    }

    /// From now on this holder counts as stopped when it did not beat for `term`.
    pub(super) fn set_lease(&mut self, term: Duration) -> Result<(), StoreError> {
        let id = Uuid::from_u128(self.id);
        self.lease = None;
        let lease = Lease::new(&self.folder, id, term, &self.beats);
        if lease.is_err() {
            // A beat that is left behind stands still, and would make this holder look as if it were stopped.
            let _ = fs::remove_file(beside(&self.folder, id));
        }
        self.lease = Some(lease.map_err(|error| denied(&self.folder, &error))?);
        Ok(())
    }

    /// Those who left files behind, others than this one.
    pub(super) fn others(&self) -> io::Result<BTreeSet<u128>> {
        let mut others = all(&self.folder)?;
        others.remove(&self.id);
        Ok(others)
    }

    /// Makes it last which files there are and which there are no more; whether it does.
    pub(super) fn sync_names(&self) -> bool {
        // Where folders cannot be opened there is nothing to be done about it.
        File::open(&self.folder).is_ok_and(|folder| folder.sync_all().is_ok()) || cfg!(not(unix))
    }

    /// Deletes what is left of a holder that ended, once the lines of its journal are in the tables. No name ever comes
    /// back, so it cannot be the wrong one.
    pub(super) fn bury(&mut self, holder: u128) {
        let id = Uuid::from_u128(holder);
        self.seen.forget(id);
        bury(&self.folder, id);
    }

    /// What has to be in the tables before a run of this holder can be had.
    pub(super) fn journal_of(&self, holder: u128) -> Result<Vec<u8>, StoreError> {
        let id = Uuid::from_u128(holder);
        #[cfg(test)]
        self.reads.set(self.reads.get() + 1);
        let read = || {
            // Also of one that ended: where somebody took its lock away, it is there without our knowing.
            journal::raise_fence(&self.folder, id)?;
            journal::read(&self.folder, id)
        };
        read().map_err(|error| denied(&self.folder, &error))
    }

    pub(super) fn life_of(&mut self, holder: u128, now: Instant) -> Result<Life, StoreError> {
        let id = Uuid::from_u128(holder);
        let mut life = || -> io::Result<Life> {
            if !is_there(&self.folder, id)? {
                return Ok(Life::Over);
            }
            // Its files stay: it may go on, and then it has whatever nobody took from it.
            Ok(match self.seen.remaining(&self.folder, id, now)? {
                Some(Duration::ZERO) => Life::Stopped,
                remaining => Life::Alive(remaining),
            })
        };
        life().map_err(|error| denied(&self.folder, &error))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.lease = None;
        // One that stays behind has no lock, and the next store to be opened sweeps it away, with what is in its journal.
        if self.journal.is_done() {
            bury(&self.folder, Uuid::from_u128(self.id));
        }
    }
}

/// All who left files in the folder.
pub(super) fn all(folder: &Path) -> io::Result<BTreeSet<u128>> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Of a journal alone there is still something to be had.
        let name =
            if path.extension().is_some_and(|kind| kind == "journal") { path.file_stem() } else { path.file_name() };
        let id = name.and_then(|name| name.to_str()).and_then(|name| Uuid::try_parse(name).ok());
        all.extend(id.map(|id| id.as_u128()));
    }
    Ok(all)
}

/// Whether a holder's process is there. To be called inside a write transaction, as [`Holder::new`] says.
pub(super) fn is_there(folder: &Path, holder: Uuid) -> io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(folder.join(holder.to_string())) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Deletes what a holder left, last the file by whose name it is found.
fn bury(folder: &Path, holder: Uuid) {
    let _ = fs::remove_file(journal::beside(folder, holder));
    let _ = fs::remove_file(beside(folder, holder));
    let _ = fs::remove_file(folder.join(holder.to_string()));
}
