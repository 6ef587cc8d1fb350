//! One file that survives `kill -9`: checkpoints in an embedded database, which several processes may share.
//!
//! ```text
//! stroma.meta    name                        number         `format`: the version of what is below
//! stroma.runs    run                         holder, token, ledger
//! stroma.slots   run, node, instance, kind   bytes
//! ```
//!
//! A session holds its run by the pair (holder, token) in the run's record. The holder is a store, and it lives for as
//! long as it has an operating system's lock on `<file>.holders/<holder>`: the kernel releases it with the process,
//! however that ended, so nobody has to guess from a clock whether a holder is dead. Whoever finds it dead takes the run
//! over with a higher token, and a write under the old pair is refused in the same transaction that would have made it.

#![allow(clippy::result_large_err, reason = "a store's error has its words in it, without a heap")]

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{self, Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
};

use ::redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table,
    TableDefinition, WriteTransaction,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Access, Begun, Encode, Session, Store, StoreError, StoreErrorKind};
use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
};

/// The version of the tables; another one is refused.
const FORMAT: u64 = 1;
const FORMAT_KEY: &str = "format";

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("stroma.meta");
const RUNS: TableDefinition<'_, &str, Record<'_>> = TableDefinition::new("stroma.runs");
const SLOTS: TableDefinition<'_, SlotKey<'_>, &[u8]> = TableDefinition::new("stroma.slots");

/// A run's holder, its fencing token and its ledger.
type Record<'r> = (u128, u64, &'r [u8]);
/// Run, node, instance and kind. A tuple is compared field by field, so no text can reach into its neighbour's keys.
type SlotKey<'k> = (&'k str, &'k str, u32, u8);

/// The holder of a run that nobody holds; no UUID of version 7 is zero.
const NOBODY: u128 = 0;
/// The longest value that redb takes.
const VALUE_MAX: usize = 3 << 30;
/// What redb may keep of the file in memory; its own default is a gigabyte.
const CACHE: usize = 32 << 20;
/// The most jobs in one transaction, so that the first of them is not kept waiting by the last.
const BATCH: usize = 1024;
/// How soon to try again to give back a run when the file could not be written.
const RELEASE_AGAIN: Duration = Duration::from_secs(1);

/// A store in one file: for one machine, shared by as many processes as like to, and safe against `kill -9`.
///
/// What a [`put`](Session::put) wrote is on the disk when it reports success. A process that dies gives up its runs with
/// it, at once: the next one to [`open`](Store::open) such a run goes on with it, while a run of a living process is
/// [`Busy`](StoreErrorKind::Busy).
///
/// All work on the file happens on one thread of the store's own, and writes that come in together are committed
/// together. The futures wait for its answers and need no particular runtime. A clone is the same store; its thread ends
/// with the last clone and the last session.
///
/// Beside the file there is a folder `<file>.holders` with one small file for each store that has it open. It belongs to
/// the store: without it a living holder counts as dead, and loses its runs to whoever opens them next. Both must be on
/// a file system that has locks, and which all the processes see under the same path.
///
/// ```no_run
/// use stroma::RunId;
/// use stroma::store::{Access, Begun, RedbStore, Session, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedbStore::open("/var/lib/invoices/runs.redb")?;
/// let run = RunId::new("invoice 2026/17")?;
/// let session = match store.open(&run, Access::Create) {
///     Begun::Done(opened) => opened?,
///     Begun::Pending(opening) => opening.await?,
/// };
/// assert!(session.is_new());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedbStore {
    jobs: Sender<Job>,
    path: Arc<Path>,
}

impl RedbStore {
    /// Opens the store in the file at `path`; the file, and the folders that it is in, are made where they are missing.
    ///
    /// This waits for the disk, and for the write that another process may be in the middle of: call it when the
    /// program starts, not inside a task.
    ///
    /// ```
    /// use stroma::store::RedbStore;
    ///
    /// # let folder = std::env::temp_dir().join(format!("stroma-doc-{}", std::process::id()));
    /// let store = RedbStore::open(folder.join("runs.redb"))?;
    /// # drop(store);
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), stroma::store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](StoreErrorKind::Unavailable) with the path and what to do in its
    /// [`detail`](StoreError::detail): the path is a folder, may not be written, is no redb database or one of another
    /// version, or is open in a program that does not share it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path: Arc<Path> = Arc::from(path.as_ref());
        let (jobs, inbox) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let asked = Arc::clone(&path);
        let run = move || match Driver::start(&asked) {
            Ok(driver) => {
                // Whoever asked is waiting in this function, so somebody takes it.
                let _ = started.send(Ok(()));
                driver.drive(&inbox);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("stroma-redb".into())
            .spawn(run)
            .map_err(|error| unavailable(&path, format_args!("has no thread to work on it: {error}")))?;
        // redb panics over some files that are damaged; then the thread is gone without a word.
        start.recv().unwrap_or_else(|_| Err(unavailable(&path, "is damaged: put a backup in its place")))?;
        Ok(Self { jobs, path })
    }

    fn ask(&self, job: Job) {
        // A job that is not taken drops the sender of its answer, which tells the future.
        let _ = self.jobs.send(job);
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store for RedbStore {
    type Session<'a> = RedbSession;
    type Opening<'a> = Opening;
    type Forgetting<'a> = Forgetting;

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<RedbSession, StoreError>, Opening> {
        let (job, answer) = Asked::new(Open { run: run.with_str(|id| Arc::from(id)), access, jobs: self.jobs.clone() });
        self.ask(Job::Open(job));
        Begun::Pending(Opening(answer))
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, Forgetting> {
        let (job, answer) = Asked::new(Forget { run: run.with_str(|id| Arc::from(id)) });
        self.ask(Job::Forget(job));
        Begun::Pending(Forgetting(answer))
    }
}

/// Exclusive access to one run of a [`RedbStore`]; it does not borrow the store.
///
/// Dropping it gives the run back, without waiting for that. A run that has no checkpoint by then leaves no trace.
///
/// ```
/// fn on_any_thread<T: Send + 'static>() {}
/// on_any_thread::<stroma::store::RedbSession>();
/// ```
pub struct RedbSession {
    jobs: Sender<Job>,
    hold: Hold,
    /// By node, the instance and kind of what the run has.
    slots: BTreeMap<Cow<'static, str>, BTreeSet<(u32, SlotKind)>>,
    ledger: Box<[u8]>,
}

impl RedbSession {
    fn ask(&self, job: Job) {
        // As in `RedbStore::ask`.
        let _ = self.jobs.send(job);
    }

    fn write(&self, slot: Option<(OwnedKey, Vec<u8>)>, ledger: &[u8]) -> Writing {
        let (job, answer) = Asked::new(Put { hold: self.hold.clone(), slot, ledger: ledger.into() });
        self.ask(Job::Put(job));
        Writing(answer)
    }
}

impl fmt::Debug for RedbSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSession").field("run", &self.hold.run).field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Drop for RedbSession {
    fn drop(&mut self) {
        self.ask(Job::Release(self.hold.clone()));
    }
}

impl Session for RedbSession {
    type Writing = Writing;
    type Reading = Reading;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.slots.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.slots.get(slot.node).is_some_and(|kept| kept.contains(&(slot.instance, slot.kind)))
    }

    fn each_slot(&self, mut visit: impl FnMut(Slot<'_>)) {
        for (node, kept) in &self.slots {
            for &(instance, kind) in kept {
                visit(Slot { node, index: 0, instance, kind });
            }
        }
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Writing> {
        let bytes = match encoded(&value) {
            Ok(bytes) => bytes,
            Err(error) => return Begun::Done(Err(error)),
        };
        let key = (Cow::Borrowed(slot.node), slot.instance, slot.kind);
        let writing = self.write(Some((key, bytes)), ledger);
        // A write that fails ends the run, so what was asked for counts as there.
        self.slots.entry(Cow::Borrowed(slot.node)).or_default().insert((slot.instance, slot.kind));
        Begun::Pending(writing)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Writing> {
        Begun::Pending(self.write(None, ledger))
    }

    fn load<R>(&mut self, slot: Slot<'_>, _read: impl FnOnce(&[u8]) -> R) -> Begun<Result<R, StoreError>, Reading> {
        if !self.holds(slot) {
            return Begun::Done(Err(StoreError::new(StoreErrorKind::Missing)));
        }
        let key = (Cow::Owned(slot.node.into()), slot.instance, slot.kind);
        let (job, answer) = Asked::new(Load { run: Arc::clone(&self.hold.run), key });
        self.ask(Job::Load(job));
        Begun::Pending(Reading(answer))
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Writing> {
        let mut keys = Vec::new();
        self.slots.retain(|node, kept| {
            kept.retain(|&(instance, kind)| {
                let goes = doomed(Slot { node, index: 0, instance, kind });
                if goes {
                    keys.push((node.clone(), instance, kind));
                }
                !goes
            });
            !kept.is_empty()
        });
        if keys.is_empty() {
            return Begun::Done(Ok(()));
        }
        let (job, answer) = Asked::new(Discard { hold: self.hold.clone(), keys });
        self.ask(Job::Discard(job));
        Begun::Pending(Writing(answer))
    }
}

fn encoded(value: &impl Encode) -> Result<Vec<u8>, StoreError> {
    let len = value.encoded_len()?;
    if len > VALUE_MAX {
        return Err(StoreError::new(StoreErrorKind::TooLarge { len, max: VALUE_MAX }));
    }
    let mut bytes = vec![0; len];
    let len = value.encode(&mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// An answer of the driver's that is still to come.
struct Answer<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Answer<T> {
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<T, StoreError>> {
        Pin::new(&mut self.0).poll(task).map(|answer| answer.unwrap_or_else(|_| Err(gone())))
    }
}

#[cold]
fn gone() -> StoreError {
    StoreError::with_detail(StoreErrorKind::Unavailable, "the thread of the redb store has ended: open the store again")
}

/// Each operation has a future of its own, so that what is inside may change.
macro_rules! opaque_future {
    ($(#[$docs:meta])* $name:ident, $output:ty) => {
        $(#[$docs])*
        #[must_use = "the operation was begun, but only its future says how it went"]
        pub struct $name(Answer<$output>);

        impl Future for $name {
            type Output = Result<$output, StoreError>;

            fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(task)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

opaque_future! {
    /// What [`RedbStore`] does to open a run.
    ///
    /// ```no_run
    /// # use stroma::store::{Access, Begun, RedbSession, RedbStore, Store, StoreError};
    /// # async fn f(store: &RedbStore, run: &stroma::RunId) -> Result<RedbSession, StoreError> {
    /// match store.open(run, Access::Create) {
    ///     Begun::Done(opened) => opened,
    ///     Begun::Pending(opening) => opening.await,
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is done, it gives the run back.
    Opening, RedbSession
}

opaque_future! {
    /// What a [`RedbSession`] does to save a slot or to discard some.
    ///
    /// ```no_run
    /// # use stroma::store::{Begun, RedbSession, Session, StoreError};
    /// # async fn f(session: &mut RedbSession) -> Result<(), StoreError> {
    /// match session.discard(|slot| slot.node == "summarize") {
    ///     Begun::Done(discarded) => discarded,
    ///     Begun::Pending(writing) => writing.await,
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is done, it is done all the same, wholly; only nobody hears how it went.
    Writing, ()
}

opaque_future! {
    /// What a [`RedbSession`] does to read a slot.
    ///
    /// ```no_run
    /// # use stroma::store::{Begun, Session, StoreError};
    /// # async fn f<S: Session>(begun: Begun<Result<Vec<u8>, StoreError>, S::Reading>) -> Result<Vec<u8>, StoreError> {
    /// // begun = session.load(slot, <[u8]>::to_vec)
    /// match begun {
    ///     Begun::Done(read) => read,
    ///     Begun::Pending(reading) => Ok(reading.await?.as_ref().to_vec()),
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    Reading, Vec<u8>
}

opaque_future! {
    /// What [`RedbStore`] does to forget a run.
    ///
    /// ```no_run
    /// # use stroma::store::{Begun, RedbStore, Store, StoreError};
    /// # async fn f(store: &RedbStore, run: &stroma::RunId) -> Result<bool, StoreError> {
    /// match store.forget(run) {
    ///     Begun::Done(forgotten) => forgotten,
    ///     Begun::Pending(forgetting) => forgetting.await,
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is done, it is done all the same, wholly; only nobody hears how it went.
    Forgetting, bool
}

/// What a session goes by. The holder is the store's, so it is not repeated here.
#[derive(Clone)]
struct Hold {
    run: Arc<str>,
    token: u64,
}

type OwnedKey = (Cow<'static, str>, u32, SlotKind);

struct Open {
    run: Arc<str>,
    access: Access,
    jobs: Sender<Job>,
}

struct Put {
    hold: Hold,
    slot: Option<(OwnedKey, Vec<u8>)>,
    ledger: Box<[u8]>,
}

struct Discard {
    hold: Hold,
    keys: Vec<OwnedKey>,
}

struct Load {
    run: Arc<str>,
    key: OwnedKey,
}

struct Forget {
    run: Arc<str>,
}

enum Job {
    Open(Asked<Open, RedbSession>),
    Put(Asked<Put, ()>),
    Discard(Asked<Discard, ()>),
    Load(Asked<Load, Vec<u8>>),
    Forget(Asked<Forget, bool>),
    Release(Hold),
}

impl Job {
    /// Says how it went; what is still to be given back goes to `unreleased`.
    fn end(self, failed: Option<&StoreError>, unreleased: &mut Vec<Hold>) {
        match self {
            Self::Open(asked) => {
                let hold =
                    asked.result.as_ref().and_then(|opened| opened.as_ref().ok()).map(|session| session.hold.clone());
                // A session that did not arrive gives its run back as it is dropped, but behind what is queued already;
                // what is queued may be the next try of whom it was for.
                if !asked.end(failed) {
                    unreleased.extend(hold);
                }
            }
            Self::Put(asked) => {
                asked.end(failed);
            }
            Self::Discard(asked) => {
                asked.end(failed);
            }
            Self::Load(asked) => {
                asked.end(failed);
            }
            Self::Forget(asked) => {
                asked.end(failed);
            }
            Self::Release(hold) if failed.is_some() => unreleased.push(hold),
            Self::Release(_) => {}
        }
    }
}

/// Work for the driver, with its result from the time that it was done until its transaction is committed.
struct Asked<W, T> {
    work: W,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Asked<W, T> {
    fn new(work: W) -> (Self, Answer<T>) {
        let (answer, receiver) = oneshot::channel();
        (Self { work, result: None, answer }, Answer(receiver))
    }

    /// Answers; whether the result arrived, which it does not after a failure.
    fn end(self, failed: Option<&StoreError>) -> bool {
        let result = match failed {
            Some(error) => Err(error.clone()),
            None => self.result.unwrap_or_else(|| Err(gone())),
        };
        self.answer.send(result).is_ok() && failed.is_none()
    }
}

/// What lives on the store's thread.
struct Driver {
    path: PathBuf,
    holder: Holder,
    /// Closed after a failure, since redb refuses all work from then on, and opened again for the next job, by which
    /// time there may be room on the disk.
    database: Option<Database>,
    claims: Claims,
    /// Runs that were given back, but not in the file.
    unreleased: Vec<Hold>,
}

/// Which runs the sessions of this store hold.
#[derive(Default)]
struct Claims {
    by_run: HashMap<Arc<str>, u64>,
    /// The highest token given out, so that no two sessions of this store ever go by the same.
    last: u64,
}

impl Driver {
    fn start(path: &Path) -> Result<Self, StoreError> {
        let path = prepare(path).map_err(|error| denied(path, &error))?;
        if path.is_dir() {
            return Err(unavailable(&path, "is a folder: name a file in it"));
        }
        let fresh = !path.exists();
        let database = builder().create(&path).map_err(|error| not_opened(&path, &error))?;
        if fresh {
            sync_folders(&path);
        }
        // Every process must come to the same name of the folder beside the file, links or not.
        let path = path.canonicalize().map_err(|error| denied(&path, &error))?;
        let holder = {
            // A transaction is also what keeps other processes from sweeping the holder away before it has its lock.
            let write = database.begin_write().map_err(|error| failed(&path, &error.into()))?;
            let changed = set_up(&write, &path)?;
            let holder = Holder::new(&path).map_err(|error| denied(&Holder::folder(&path), &error))?;
            if changed {
                write.commit().map_err(|error| failed(&path, &error.into()))?;
            } else {
                write.abort().map_err(|error| failed(&path, &error.into()))?;
            }
            holder
        };
        Ok(Self { path, holder, database: Some(database), claims: Claims::default(), unreleased: Vec::new() })
    }

    /// Serves jobs until nobody is left who could send one.
    fn drive(mut self, inbox: &Receiver<Job>) {
        loop {
            let first = if self.unreleased.is_empty() {
                inbox.recv().map_err(RecvTimeoutError::from)
            } else {
                inbox.recv_timeout(RELEASE_AGAIN)
            };
            let mut batch = Vec::new();
            match first {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.serve(batch);
                    return;
                }
            }
            batch.extend(inbox.try_iter().take(BATCH));
            self.serve(batch);
        }
    }

    /// Gives back what is still to be given back, then does what was asked, in the order in which it was asked.
    fn serve(&mut self, asked: Vec<Job>) {
        let mut batch: Vec<Job> = self.unreleased.drain(..).map(Job::Release).collect();
        batch.extend(asked);
        // Reads that no write goes before need not wait for one.
        let reads = batch.iter().take_while(|job| matches!(job, Job::Load(_))).count();
        let mut writes = batch.split_off(reads);
        for (jobs, work) in [(&mut batch, Self::read as Work), (&mut writes, Self::write as Work)] {
            if jobs.is_empty() {
                continue;
            }
            let failure = work(self, jobs).err().map(|error| failed(&self.path, &error));
            for job in jobs.drain(..) {
                job.end(failure.as_ref(), &mut self.unreleased);
            }
        }
    }

    /// Takes the database out; it is put back only after a success.
    fn take_database(&mut self) -> Result<Database, ::redb::Error> {
        match self.database.take() {
            Some(open) => Ok(open),
            None => Ok(builder().open(&self.path)?),
        }
    }

    fn read(&mut self, jobs: &mut [Job]) -> Result<(), ::redb::Error> {
        let database = self.take_database()?;
        let read = database.begin_read()?;
        let slots = read.open_table(SLOTS)?;
        for job in jobs {
            if let Job::Load(asked) = job {
                asked.result = Some(load(&slots, &asked.work)?);
            }
        }
        self.database = Some(database);
        Ok(())
    }

    /// Does all of `jobs` in one transaction. A job that is refused has changed nothing, so it spoils nothing.
    fn write(&mut self, jobs: &mut [Job]) -> Result<(), ::redb::Error> {
        let database = self.take_database()?;
        let write = database.begin_write()?;
        let mut batch = Batch {
            runs: write.open_table(RUNS)?,
            slots: write.open_table(SLOTS)?,
            holder: &self.holder,
            claims: &mut self.claims,
            changed: false,
        };
        for job in jobs {
            batch.apply(job)?;
        }
        let changed = batch.changed;
        drop(batch);
        // A commit costs a write to the disk, which for instance a run that is busy is not worth.
        if changed {
            write.commit()?;
        } else {
            write.abort()?;
        }
        self.database = Some(database);
        Ok(())
    }
}

type Work = fn(&mut Driver, &mut [Job]) -> Result<(), ::redb::Error>;

/// One write transaction. `Err` is a failure underneath, which ends the transaction; what is refused is a job's result.
struct Batch<'t> {
    runs: Table<'t, &'static str, Record<'static>>,
    slots: Table<'t, SlotKey<'static>, &'static [u8]>,
    holder: &'t Holder,
    claims: &'t mut Claims,
    changed: bool,
}

impl Batch<'_> {
    fn apply(&mut self, job: &mut Job) -> Result<(), ::redb::Error> {
        match job {
            // Nobody waits for it any more.
            Job::Open(asked) if asked.answer.is_closed() => {}
            Job::Open(asked) => asked.result = Some(self.open(&asked.work)?),
            Job::Put(asked) => asked.result = Some(self.put(&asked.work)?),
            Job::Discard(asked) => asked.result = Some(self.discard(&asked.work)?),
            Job::Load(asked) => asked.result = Some(load(&self.slots, &asked.work)?),
            Job::Forget(asked) => asked.result = Some(self.forget(&asked.work.run)?),
            Job::Release(hold) => self.release(hold)?,
        }
        Ok(())
    }

    fn open(&mut self, work: &Open) -> Result<Result<RedbSession, StoreError>, ::redb::Error> {
        let (holder, token, ledger) = self.record(&work.run)?.unwrap_or_default();
        if let Some(refusal) = self.refusal(&work.run, holder) {
            return Ok(Err(refusal));
        }
        let slots = self.slots_of(&work.run)?;
        if slots.is_empty() && work.access == Access::Existing {
            // What is left of a holder that died before its first checkpoint is not a run.
            self.remove_record(&work.run)?;
            return Ok(Err(StoreError::new(StoreErrorKind::UnknownRun)));
        }
        let token = self.claims.last.max(token).saturating_add(1);
        self.runs.insert(&*work.run, (self.holder.id, token, &*ledger))?;
        self.changed = true;
        self.claims.last = token;
        self.claims.by_run.insert(Arc::clone(&work.run), token);
        let mut session = RedbSession {
            jobs: work.jobs.clone(),
            hold: Hold { run: Arc::clone(&work.run), token },
            slots: BTreeMap::new(),
            ledger,
        };
        for (node, instance, kind) in slots {
            // A kind of a later version is kept, but there is nothing that this one could do with it.
            if let Some(kind) = SlotKind::from_u8(kind) {
                session.slots.entry(node.into()).or_default().insert((instance, kind));
            }
        }
        Ok(Ok(session))
    }

    fn put(&mut self, work: &Put) -> Result<Result<(), StoreError>, ::redb::Error> {
        if !self.is_ours(&work.hold)? {
            return Ok(Err(fenced()));
        }
        if let Some((slot, bytes)) = &work.slot {
            self.slots.insert(key(&work.hold.run, slot), &**bytes)?;
        }
        if !work.ledger.is_empty() {
            self.runs.insert(&*work.hold.run, (self.holder.id, work.hold.token, &*work.ledger))?;
        }
        self.changed = true;
        Ok(Ok(()))
    }

    fn discard(&mut self, work: &Discard) -> Result<Result<(), StoreError>, ::redb::Error> {
        if !self.is_ours(&work.hold)? {
            return Ok(Err(fenced()));
        }
        for doomed in &work.keys {
            self.changed |= self.slots.remove(key(&work.hold.run, doomed))?.is_some();
        }
        Ok(Ok(()))
    }

    fn forget(&mut self, run: &str) -> Result<Result<bool, StoreError>, ::redb::Error> {
        let (holder, ..) = self.record(run)?.unwrap_or_default();
        if let Some(refusal) = self.refusal(run, holder) {
            return Ok(Err(refusal));
        }
        let slots = self.slots_of(run)?;
        for (node, instance, kind) in &slots {
            self.slots.remove((run, node.as_str(), *instance, *kind))?;
        }
        self.remove_record(run)?;
        self.changed |= !slots.is_empty();
        Ok(Ok(!slots.is_empty()))
    }

    fn release(&mut self, hold: &Hold) -> Result<(), ::redb::Error> {
        if self.claims.by_run.get(&hold.run) == Some(&hold.token) {
            self.claims.by_run.remove(&hold.run);
        }
        if !self.is_ours(hold)? {
            return Ok(());
        }
        if self.has_slots(&hold.run)? {
            let (_, token, ledger) = self.record(&hold.run)?.unwrap_or_default();
            self.runs.insert(&*hold.run, (NOBODY, token, &*ledger))?;
            self.changed = true;
        } else {
            self.remove_record(&hold.run)?;
        }
        Ok(())
    }

    /// Why the run cannot be had: somebody alive has it, if `holder` is whom its record names.
    fn refusal(&self, run: &str, holder: u128) -> Option<StoreError> {
        let alive = if holder == self.holder.id {
            // Of our own sessions we know better than the file, which may have missed a release.
            Ok(self.claims.by_run.contains_key(run))
        } else if holder == NOBODY {
            Ok(false)
        } else {
            self.holder.is_alive(holder)
        };
        match alive {
            Ok(false) => None,
            Ok(true) => Some(busy()),
            Err(error) => Some(error),
        }
    }

    fn is_ours(&self, hold: &Hold) -> Result<bool, ::redb::Error> {
        let record = self.runs.get(&*hold.run)?;
        Ok(record.is_some_and(|record| {
            let (holder, token, _) = record.value();
            (holder, token) == (self.holder.id, hold.token)
        }))
    }

    fn record(&self, run: &str) -> Result<Option<(u128, u64, Box<[u8]>)>, ::redb::Error> {
        Ok(self.runs.get(run)?.map(|record| {
            let (holder, token, ledger) = record.value();
            (holder, token, ledger.into())
        }))
    }

    fn remove_record(&mut self, run: &str) -> Result<(), ::redb::Error> {
        self.changed |= self.runs.remove(run)?.is_some();
        Ok(())
    }

    fn has_slots(&self, run: &str) -> Result<bool, ::redb::Error> {
        let mut from = self.slots.range(first_key(run)..)?;
        Ok(from.next().transpose()?.is_some_and(|(key, _)| key.value().0 == run))
    }

    fn slots_of(&self, run: &str) -> Result<Vec<(String, u32, u8)>, ::redb::Error> {
        let mut found = Vec::new();
        for entry in self.slots.range(first_key(run)..)? {
            let (key, _) = entry?;
            let (of, node, instance, kind) = key.value();
            if of != run {
                break;
            }
            found.push((node.into(), instance, kind));
        }
        Ok(found)
    }
}

/// A read concerns one slot; a failure underneath is the whole transaction's.
fn load(
    slots: &impl ReadableTable<SlotKey<'static>, &'static [u8]>,
    work: &Load,
) -> Result<Result<Vec<u8>, StoreError>, ::redb::Error> {
    let found = slots.get(key(&work.run, &work.key))?;
    Ok(found.map(|bytes| bytes.value().to_vec()).ok_or(StoreError::new(StoreErrorKind::Missing)))
}

fn key<'k>(run: &'k str, (node, instance, kind): &'k OwnedKey) -> SlotKey<'k> {
    (run, node, *instance, *kind as u8)
}

/// The least key that a run's slot can have.
fn first_key(run: &str) -> SlotKey<'_> {
    (run, "", 0, 0)
}

/// This store among all that have the file open, dead ones included. Its lock is a fact that the kernel keeps.
struct Holder {
    id: u128,
    folder: PathBuf,
    _lock: File,
}

impl Holder {
    fn folder(database: &Path) -> PathBuf {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".holders");
        folder.into()
    }

    /// A new holder with its lock. To be called inside a write transaction, like [`is_alive`](Self::is_alive): nobody
    /// then meets a file between its creation and its lock, and two of them that look at a third do not take each
    /// other's test for its life.
    fn new(database: &Path) -> io::Result<Self> {
        let folder = Self::folder(database);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            // What died without a run in hand is found by nobody else.
            if let Some(id) = entry?.file_name().to_str().and_then(|name| Uuid::try_parse(name).ok()) {
                is_alive(&folder, id)?;
            }
        }
        let id = Uuid::now_v7();
        let path = folder.join(id.to_string());
        let lock = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        lock.try_lock()?;
        Ok(Self { id: id.as_u128(), folder, _lock: lock })
    }

    fn is_alive(&self, holder: u128) -> Result<bool, StoreError> {
        is_alive(&self.folder, Uuid::from_u128(holder)).map_err(|error| denied(&self.folder, &error))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // One that stays behind has no lock, and the next store to be opened sweeps it away.
        let _ = fs::remove_file(self.folder.join(Uuid::from_u128(self.id).to_string()));
    }
}

/// Whether a holder lives; the file of a dead one is deleted. No name ever comes back, so it cannot be the wrong one.
fn is_alive(folder: &Path, holder: Uuid) -> io::Result<bool> {
    let path = folder.join(holder.to_string());
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            let _ = fs::remove_file(&path);
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).set_cache_size(CACHE);
    builder
}

/// The path in full, with the folders that lead to it made.
fn prepare(path: &Path) -> io::Result<PathBuf> {
    let path = path::absolute(path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(path)
}

/// Makes a new file's name as durable as its content is going to be.
fn sync_folders(path: &Path) {
    // Folders cannot be opened everywhere, and where they can, those far up may not be ours to sync.
    for folder in path.ancestors().skip(1) {
        if File::open(folder).and_then(|folder| folder.sync_all()).is_err() {
            return;
        }
    }
}

/// Checks the version of the tables, or makes them; whether it did.
fn set_up(write: &WriteTransaction, path: &Path) -> Result<bool, StoreError> {
    let set_up = || -> Result<Option<u64>, ::redb::Error> {
        let mut meta = write.open_table(META)?;
        let found = meta.get(FORMAT_KEY)?.map(|format| format.value());
        if found.is_none() {
            meta.insert(FORMAT_KEY, FORMAT)?;
        }
        if found.is_none_or(|format| format == FORMAT) {
            write.open_table(RUNS)?;
            write.open_table(SLOTS)?;
        }
        Ok(found)
    };
    match set_up().map_err(|error| failed(path, &error))? {
        None => Ok(true),
        Some(FORMAT) => Ok(false),
        Some(format) => {
            Err(unavailable(path, format_args!("has format {format}, not {FORMAT}: use the program that wrote it")))
        }
    }
}

#[cold]
fn busy() -> StoreError {
    StoreError::new(StoreErrorKind::Busy { until: None })
}

#[cold]
fn fenced() -> StoreError {
    StoreError::new(StoreErrorKind::Fenced)
}

#[cold]
fn failed(path: &Path, error: &::redb::Error) -> StoreError {
    unavailable(path, format_args!("failed: {error}"))
}

#[cold]
fn denied(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            unavailable(path, "may not be read and written: change its permissions or the user")
        }
        io::ErrorKind::IsADirectory => unavailable(path, "is a folder: name a file in it"),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            unavailable(path, "leads through a file: name a path of folders")
        }
        _ => unavailable(path, error),
    }
}

#[cold]
fn not_opened(path: &Path, error: &DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            unavailable(path, "is open in a program that does not share it: close that")
        }
        DatabaseError::LockProtocolMismatch => {
            unavailable(path, "is open with another version of redb: use the same in both")
        }
        DatabaseError::UpgradeRequired(version) => {
            unavailable(path, format_args!("has version {version} of redb's format: upgrade it with redb 2.6"))
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            unavailable(path, "is no redb database: name another file")
        }
        DatabaseError::Storage(StorageError::Io(error)) => denied(path, error),
        DatabaseError::Storage(StorageError::Unsupported) => {
            unavailable(path, "is on a file system without locks: choose another place")
        }
        error => unavailable(path, error),
    }
}

#[cold]
fn unavailable(path: &Path, why: impl fmt::Display) -> StoreError {
    StoreError::with_detail(StoreErrorKind::Unavailable, format_args!("`{}` {why}", Tail(path)))
}

/// A path as an error has room for it: its end, which is where it differs from others.
struct Tail<'p>(&'p Path);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ROOM: usize = 48;
        let path = self.0.to_string_lossy();
        let cut = path.len().saturating_sub(ROOM);
        if cut == 0 {
            return f.write_str(&path);
        }
        let start = path.char_indices().map(|(at, _)| at).find(|&at| at >= cut).unwrap_or(cut);
        write!(f, "…{}", path.get(start..).unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use alloc::task::Wake;
    use core::task::Waker;
    use std::{
        env, format,
        io::{BufRead, BufReader, Read, Write},
        process::{Command, Stdio},
        sync::Barrier,
        thread::Thread,
    };

    use tempfile::TempDir;

    use super::*;
    use crate::store::EncodeError;

    /// The smallest executor there is: the store must need no more.
    fn wait<F: Future>(future: F) -> F::Output {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = core::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    fn ended<T>(
        begun: Begun<Result<T, StoreError>, impl Future<Output = Result<T, StoreError>>>,
    ) -> Result<T, StoreError> {
        match begun {
            Begun::Done(result) => result,
            Begun::Pending(future) => wait(future),
        }
    }

    fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
        result.err().map(|error| error.kind())
    }

    struct Raw<'b>(&'b [u8]);

    impl Encode for Raw<'_> {
        fn encoded_len(&self) -> Result<usize, EncodeError> {
            Ok(self.0.len())
        }

        fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
            buffer.get_mut(..self.0.len()).ok_or(EncodeError::NoRoom)?.copy_from_slice(self.0);
            Ok(self.0.len())
        }
    }

    const BUSY: Option<StoreErrorKind> = Some(StoreErrorKind::Busy { until: None });

    fn output(node: &'static str) -> Slot<'static> {
        Slot { node, index: 0, instance: 0, kind: SlotKind::Output }
    }

    fn id(text: &str) -> RunId {
        RunId::new(text).unwrap()
    }

    fn folder() -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a folder/that is new/runs.redb");
        (folder, path)
    }

    fn open(store: &RedbStore, run: &str) -> Result<RedbSession, StoreError> {
        ended(store.open(&id(run), Access::Create))
    }

    fn existing(store: &RedbStore, run: &str) -> Result<RedbSession, StoreError> {
        ended(store.open(&id(run), Access::Existing))
    }

    fn put(session: &mut RedbSession, slot: Slot<'static>, bytes: &[u8]) -> Result<(), StoreError> {
        ended(session.put(slot, Raw(bytes), b""))
    }

    fn load(session: &mut RedbSession, slot: Slot<'_>) -> Result<Vec<u8>, StoreError> {
        ended(session.load(slot, <[u8]>::to_vec))
    }

    fn holders(path: &Path) -> usize {
        fs::read_dir(Holder::folder(&path.canonicalize().unwrap())).unwrap().count()
    }

    fn until(mut condition: impl FnMut() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn what_was_put_is_there_until_it_is_discarded_or_forgotten() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        assert_eq!(kind(existing(&store, "r")), Some(StoreErrorKind::UnknownRun));
        let mut session = open(&store, "r").unwrap();
        assert!(session.is_new() && session.ledger().is_empty());
        assert_eq!(kind(load(&mut session, output("a"))), Some(StoreErrorKind::Missing));
        ended(session.put(Slot::INPUT, Raw(b"in"), b"ledger")).unwrap();
        put(&mut session, output("a"), b"one").unwrap();
        put(&mut session, output("a"), b"two").unwrap();
        put(&mut session, Slot { instance: 7, ..output("a") }, b"").unwrap();
        put(&mut session, output("b"), &[9; 100_000]).unwrap();
        assert!(!session.is_new());
        assert_eq!(load(&mut session, output("a")).unwrap(), b"two");
        drop(session);
        drop(store);

        let store = RedbStore::open(&path).unwrap();
        // The thread of the first store may still be on its way out.
        let mut opened = None;
        until(|| {
            opened = existing(&store, "r").ok();
            opened.is_some()
        });
        let mut session = opened.unwrap();
        assert_eq!(session.ledger(), b"ledger");
        let mut seen = 0;
        session.each_slot(|_| seen += 1);
        assert_eq!(seen, 4);
        assert!(session.holds(Slot { index: 3, ..output("a") }));
        assert_eq!(load(&mut session, Slot::INPUT).unwrap(), b"in");
        assert_eq!(load(&mut session, output("b")).unwrap(), [9; 100_000]);
        assert_eq!(load(&mut session, Slot { instance: 7, ..output("a") }).unwrap(), b"");
        ended(session.discard(|slot| slot.node == "a")).unwrap();
        ended(session.discard(|slot| slot.node == "a")).unwrap();
        assert!(!session.holds(output("a")) && session.holds(output("b")));
        assert_eq!(kind(ended(store.forget(&id("r")))), BUSY);
        drop(session);
        let mut session = existing(&store, "r").unwrap();
        assert!(!session.holds(output("a")));
        assert_eq!(load(&mut session, output("b")).unwrap(), [9; 100_000]);
        drop(session);
        assert_eq!(ended(store.forget(&id("r"))), Ok(true));
        assert_eq!(ended(store.forget(&id("r"))), Ok(false));
        assert_eq!(kind(existing(&store, "r")), Some(StoreErrorKind::UnknownRun));
    }

    #[test]
    fn a_run_without_a_checkpoint_leaves_no_trace() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        drop(open(&store, "r").unwrap());
        assert_eq!(kind(existing(&store, "r")), Some(StoreErrorKind::UnknownRun));
        let mut session = open(&store, "r").unwrap();
        put(&mut session, output("a"), b"1").unwrap();
        ended(session.discard(|_| true)).unwrap();
        assert!(session.is_new());
        drop(session);
        assert_eq!(ended(store.forget(&id("r"))), Ok(false));
        // A future that is dropped before its answer gives the run back too.
        for _ in 0..100 {
            drop(store.open(&id("r"), Access::Create));
        }
        assert!(open(&store, "r").is_ok());
    }

    #[test]
    fn no_id_reaches_into_another_run() {
        const NODES: [&str; 8] = ["", "n", "n:schema", ":", "*", "n[", "\u{10ffff}", "\0n"];
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        let long = "x".repeat(64);
        let runs = ["a", "a:b", "a:", "*", "[", "a*", "?", "ä\u{1f600}", "%", "..", "a/b", &long, &long[..63]];
        for run in runs {
            let mut session = open(&store, run).unwrap();
            assert!(session.is_new(), "{run}");
            for node in NODES {
                put(&mut session, output(node), format!("{run}\n{node}").as_bytes()).unwrap();
            }
        }
        for (at, run) in runs.into_iter().enumerate() {
            let mut session = existing(&store, run).unwrap();
            for node in NODES {
                assert_eq!(load(&mut session, output(node)).unwrap(), format!("{run}\n{node}").as_bytes());
            }
            ended(session.discard(|slot| slot.node == "n")).unwrap();
            assert!(session.holds(output("n:schema")));
            drop(session);
            assert_eq!(ended(store.forget(&id(run))), Ok(true));
            for rest in &runs[at + 1..] {
                let session = existing(&store, rest).unwrap();
                assert!(NODES.iter().all(|node| session.holds(output(node))), "{run} reached into {rest}");
            }
        }
    }

    #[test]
    fn of_two_that_race_for_a_run_one_has_it() {
        let (_folder, path) = folder();
        let stores = [RedbStore::open(&path).unwrap(), RedbStore::open(&path).unwrap()];
        for round in 0..20 {
            let run = format!("race {round}");
            let barrier = Barrier::new(2);
            let opened = thread::scope(|scope| {
                let racers = stores.each_ref().map(|store| {
                    scope.spawn(|| {
                        barrier.wait();
                        open(store, &run)
                    })
                });
                racers.map(|racer| racer.join().unwrap())
            });
            assert_eq!(opened.iter().filter(|session| session.is_ok()).count(), 1);
            assert!(opened.iter().any(|session| matches!(session, Err(error) if Some(error.kind()) == BUSY)));
            assert_eq!(kind(open(&stores[0], &run)), BUSY);
            assert_eq!(kind(open(&stores[1], &run)), BUSY);
            assert_eq!(kind(ended(stores[1].forget(&id(&run)))), BUSY);
            drop(opened);
            // The other store sees the release as soon as it is committed.
            until(|| open(&stores[round % 2], &run).is_ok());
        }
    }

    #[test]
    fn a_new_file_may_be_opened_by_many_at_once() {
        for _ in 0..5 {
            let (_folder, path) = folder();
            let barrier = Barrier::new(6);
            thread::scope(|scope| {
                for number in 0..6 {
                    let (path, barrier) = (&path, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        let store = RedbStore::open(path).unwrap();
                        put(&mut open(&store, &format!("{number}")).unwrap(), output("a"), b"1").unwrap();
                    });
                }
            });
            let store = RedbStore::open(&path).unwrap();
            until(|| (0..6).all(|number| existing(&store, &format!("{number}")).is_ok()));
        }
    }

    /// Not a test of its own: what the next one starts, and kills. Without the variable there is nothing for it to do.
    #[test]
    fn child_that_is_killed() {
        let Ok(path) = env::var("STROMA_TEST_REDB") else { return };
        let store = RedbStore::open(path).unwrap();
        let mut session = open(&store, "r").unwrap();
        ended(session.put(output("a"), Raw(b"paid for"), b"ledger")).unwrap();
        let _empty = open(&store, "empty").unwrap();
        std::println!("\nready");
        io::stdout().flush().unwrap();
        // Ends when the parent does, so that nothing is left behind in any case.
        let _ = io::stdin().read(&mut [0]);
    }

    #[test]
    fn a_process_that_is_killed_gives_up_its_runs_at_once() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        let name = module_path!().split_once("::").unwrap().1;
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("{name}::child_that_is_killed"), "--nocapture"])
            .env("STROMA_TEST_REDB", &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        assert_eq!(holders(&path), 2);
        assert_eq!(kind(open(&store, "r")), BUSY);
        assert_eq!(kind(ended(store.forget(&id("r")))), BUSY);
        child.kill().unwrap();
        child.wait().unwrap();

        let mut session = existing(&store, "r").unwrap();
        assert_eq!(session.ledger(), b"ledger");
        assert_eq!(load(&mut session, output("a")).unwrap(), b"paid for");
        put(&mut session, output("b"), b"goes on").unwrap();
        assert_eq!(holders(&path), 1);
        assert_eq!(kind(existing(&store, "empty")), Some(StoreErrorKind::UnknownRun));
    }

    #[test]
    fn a_dead_holder_without_a_run_is_swept_away_by_the_next_to_open() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        let names = Holder::folder(&path.canonicalize().unwrap());
        fs::write(names.join(Uuid::now_v7().to_string()), b"").unwrap();
        fs::write(names.join("notes"), b"of somebody else").unwrap();
        let second = RedbStore::open(&path).unwrap();
        assert_eq!(holders(&path), 3);
        drop((store, second));
        until(|| holders(&path) == 1);
    }

    /// What a takeover does to the record, with the holder still alive.
    fn rewrite(path: &Path, run: &str, change: impl FnOnce(u128, u64) -> (u128, u64)) {
        let database = builder().open(path).unwrap();
        let write = database.begin_write().unwrap();
        {
            let mut runs = write.open_table(RUNS).unwrap();
            let (holder, token, _) = runs.get(run).unwrap().unwrap().value();
            let (holder, token) = change(holder, token);
            runs.insert(run, (holder, token, &b""[..])).unwrap();
        }
        write.commit().unwrap();
    }

    #[test]
    fn a_session_that_lost_its_run_writes_nothing_and_spoils_nothing() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        for change in [(|_, token| (1, token)) as fn(u128, u64) -> (u128, u64), |holder, token| (holder, token + 1)] {
            let mut lost = open(&store, "lost").unwrap();
            let mut kept = open(&store, "kept").unwrap();
            put(&mut lost, output("a"), b"before").unwrap();
            rewrite(&path, "lost", change);
            let writes = [
                lost.put(output("a"), Raw(b"after"), b"x"),
                kept.put(output("a"), Raw(b"after"), b"x"),
                lost.put(output("b"), Raw(b"after"), b"x"),
                kept.put(output("b"), Raw(b"after"), b"x"),
                lost.discard(|_| true),
            ];
            let ends = writes.map(ended);
            assert_eq!(
                ends.map(kind),
                [Some(StoreErrorKind::Fenced), None, Some(StoreErrorKind::Fenced), None, Some(StoreErrorKind::Fenced),]
            );
            drop(lost);
            // Nobody lives under the id 1, and the session that is gone had not this token: the run is free.
            let mut next = existing(&store, "lost").unwrap();
            assert_eq!(load(&mut next, output("a")).unwrap(), b"before");
            assert!(!next.holds(output("b")) && next.ledger().is_empty());
        }
    }

    #[test]
    fn a_holder_whose_file_was_taken_away_is_fenced() {
        let (_folder, path) = folder();
        let first = RedbStore::open(&path).unwrap();
        let mut session = open(&first, "r").unwrap();
        put(&mut session, output("a"), b"1").unwrap();
        fs::remove_dir_all(Holder::folder(&path.canonicalize().unwrap())).unwrap();
        let second = RedbStore::open(&path).unwrap();
        let mut taken = existing(&second, "r").unwrap();
        assert_eq!(kind(put(&mut session, output("a"), b"2")), Some(StoreErrorKind::Fenced));
        // The first one's release is not the second one's.
        drop(session);
        assert_eq!(kind(open(&first, "r")), BUSY);
        put(&mut taken, output("a"), b"3").unwrap();
    }

    #[test]
    fn writes_in_flight_at_once_all_become_durable() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        let mut sessions: Vec<_> = (0..8).map(|run| open(&store, &format!("run {run}")).unwrap()).collect();
        let mut writes = Vec::new();
        for instance in 0..8 {
            for session in &mut sessions {
                writes.push(session.put(Slot { instance, ..output("n") }, Raw(&instance.to_le_bytes()), b"l"));
            }
        }
        // Half of them are never waited for: they happen all the same.
        writes.truncate(32);
        for write in writes {
            ended(write).unwrap();
        }
        // A read comes after the writes that were asked for before it.
        for session in &mut sessions {
            assert_eq!(load(session, Slot { instance: 7, ..output("n") }).unwrap(), 7_u32.to_le_bytes());
        }
        drop((sessions, store));
        let store = RedbStore::open(&path).unwrap();
        for run in 0..8 {
            let run = format!("run {run}");
            until(|| kind(existing(&store, &run)) != BUSY);
            let mut session = existing(&store, &run).unwrap();
            for instance in 0..8_u32 {
                assert_eq!(load(&mut session, Slot { instance, ..output("n") }).unwrap(), instance.to_le_bytes());
            }
        }
    }

    #[test]
    fn a_session_outlives_its_store_and_ends_its_thread() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        let mut session = open(&store.clone(), "r").unwrap();
        drop(store);
        put(&mut session, output("a"), b"1").unwrap();
        drop(session);
        until(|| holders(&path) == 0);
    }

    #[test]
    fn after_a_failure_the_file_is_opened_again_and_what_was_given_back_is_free() {
        let (_folder, path) = folder();
        let (jobs, _inbox) = mpsc::channel();
        let mut driver = Driver::start(&path).unwrap();
        let serve = |driver: &mut Driver| {
            let (job, answer) = Asked::new(Open { run: Arc::from("r"), access: Access::Create, jobs: jobs.clone() });
            driver.serve(vec![Job::Open(job)]);
            wait(core::future::poll_fn({
                let mut answer = answer;
                move |task| answer.poll(task)
            }))
        };
        let first = serve(&mut driver).unwrap();
        assert_eq!(kind(serve(&mut driver)), BUSY);
        let away = path.with_file_name("away");
        driver.database = None;
        fs::rename(&path, &away).unwrap();
        driver.serve(vec![Job::Release(first.hold.clone())]);
        assert_eq!(driver.unreleased.len(), 1);
        assert_eq!(kind(serve(&mut driver)), Some(StoreErrorKind::Unavailable));
        fs::rename(&away, &path).unwrap();
        let second = serve(&mut driver).unwrap();
        assert!(second.hold.token > first.hold.token);
        assert!(driver.unreleased.is_empty());
        // A release of the first that comes late does not take the run from the second.
        driver.serve(vec![Job::Release(first.hold.clone())]);
        assert_eq!(kind(serve(&mut driver)), BUSY);
    }

    #[test]
    fn values_that_cannot_be_encoded_are_refused_at_once() {
        struct Never(usize);
        impl Encode for Never {
            fn encoded_len(&self) -> Result<usize, EncodeError> {
                if self.0 == 0 { Err(EncodeError::Unserialisable) } else { Ok(self.0) }
            }

            fn encode(&self, _: &mut [u8]) -> Result<usize, EncodeError> {
                Err(EncodeError::NoRoom)
            }
        }
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        let mut session = open(&store, "r").unwrap();
        let mut refused = |value| match session.put(output("a"), value, b"") {
            Begun::Done(result) => kind(result),
            Begun::Pending(_) => None,
        };
        assert_eq!(refused(Never(0)), Some(StoreErrorKind::Unserialisable));
        assert_eq!(refused(Never(5)), Some(StoreErrorKind::Unserialisable));
        let max = 3 << 30;
        assert_eq!(refused(Never(max + 1)), Some(StoreErrorKind::TooLarge { len: max + 1, max }));
        assert!(session.is_new());
    }

    #[test]
    fn what_cannot_be_opened_says_why_and_what_to_do() {
        let refused = |path: &Path| {
            let error = RedbStore::open(path).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let detail = error.detail();
            assert!(detail.contains(path.file_name().unwrap().to_str().unwrap()), "{detail}");
            assert!(!detail.ends_with('…'), "{detail}");
            detail.to_string()
        };
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(refused(folder.path()).ends_with("is a folder: name a file in it"));
        for (name, content) in [("text", &b"not a database"[..]), ("zeros", &[0; 20_000]), ("noise", &[0xa5; 20_000])] {
            fs::write(at(name), content).unwrap();
            assert!(refused(&at(name)).ends_with("is no redb database: name another file"));
            assert_eq!(fs::read(at(name)).unwrap(), content);
        }
        assert!(refused(&at("text/inside")).ends_with("leads through a file: name a path of folders"));

        let alone = Database::create(at("alone")).unwrap();
        assert!(refused(&at("alone")).ends_with("is open in a program that does not share it: close that"));
        drop(alone);

        let later = builder().create(at("later")).unwrap();
        let write = later.begin_write().unwrap();
        write.open_table(META).unwrap().insert(FORMAT_KEY, 2).unwrap();
        write.commit().unwrap();
        assert!(refused(&at("later")).ends_with("has format 2, not 1: use the program that wrote it"));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        put(&mut open(&store, "r").unwrap(), output("a"), &[7; 50_000]).unwrap();
        drop(store);
        until(|| holders(&path) == 0);
        let whole = fs::read(&path).unwrap();
        for len in [1, 9, 64, 320, 4096, 4097, 70_000] {
            let cut = path.with_file_name(format!("{len}"));
            fs::write(&cut, &whole[..len]).unwrap();
            assert_eq!(
                RedbStore::open(&cut).map_err(|error| error.kind()).err(),
                Some(StoreErrorKind::Unavailable),
                "{len}"
            );
        }
    }

    #[test]
    fn a_long_path_is_cut_at_its_front() {
        let long = format!("/{}/ä{}", "x".repeat(80), "y".repeat(46));
        assert_eq!(format!("{}", Tail(Path::new(&long))), format!("…ä{}", "y".repeat(46)));
        let longer = format!("/{}/ä{}", "x".repeat(80), "y".repeat(47));
        assert_eq!(format!("{}", Tail(Path::new(&longer))), format!("…{}", "y".repeat(47)));
        assert_eq!(format!("{}", Tail(Path::new("/short"))), "/short");
    }
}
