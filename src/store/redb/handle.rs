//! The store that a program holds.

use alloc::{string::ToString, sync::Arc};
use core::{fmt, time::Duration};
use std::{
    path::Path,
    sync::mpsc::{self, Sender},
    thread,
};

#[cfg(doc)]
use super::super::{Session, StoreErrorKind};
use super::{
    super::{Access, Begun, Store, StoreError},
    answer::RedbForgetting,
    driver::Driver,
    error::{gone, unavailable},
    patience::Wait,
    session::{Asked, Forget, Job, Open, RedbOpening, RedbSession, Term},
};
use crate::run::RunId;

/// A store in one file: for one machine, shared by as many processes as like to, and safe against `kill -9`.
///
/// What a [`put`](Session::put) wrote is on the disk when it reports success. A process that dies gives up its runs with
/// it, at once: the next one to [`open`](Store::open) such a run goes on with it, while a run of a living process is
/// [`Busy`](StoreErrorKind::Busy).
///
/// All work on the file happens on one thread of the store's own, and what is saved at the same time is brought to the disk
/// together: a checkpoint waits for the disk once, however many come with it. The futures wait for its answers and need no
/// particular runtime. A clone is the same store; its thread ends with the last clone and the last session.
///
/// Beside the file there is a folder `<file>.holders`. Each store that has the file open has a lock there, and a journal
/// of half a megabyte with the checkpoints that are not in the file yet; a second after the last one they all are. The
/// folder belongs to the store: without it a living holder counts as dead, and loses its runs, as they are in the file, to
/// whoever opens them next. Move or copy both, and while no store has them open. Both must be on a file system that has
/// locks, and which all the processes see under the same path.
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
    patience: Duration,
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
    /// With the path and what to do in the [`detail`](StoreError::detail): [`Foreign`](StoreErrorKind::Foreign) where
    /// the path is a folder, no redb database or one of another version; [`Denied`](StoreErrorKind::Denied) where it may
    /// not be written; [`Exhausted`](StoreErrorKind::Exhausted) where there is no room;
    /// [`Unavailable`](StoreErrorKind::Unavailable) where it is damaged, or open in a program that does not share it.
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
        Ok(Self { jobs, path, patience: Duration::ZERO })
    }

    /// From now on this store holds its runs by a lease: where its process stands still for `term`, without having ended,
    /// another store that is asked for such a run takes it over.
    ///
    /// Without a lease a run belongs to its store until that gives it back or its process ends, however it ends, and then
    /// it is free at once. This is right for most programs, since nothing is ever waited for. A lease is for those whose
    /// processes may be stopped for long without dying: by `SIGSTOP`, a debugger, a machine that is suspended or
    /// migrated. It takes nothing away: a process that dies still gives up its runs at once.
    ///
    /// A thread beats three times in a term, in a file of the store's beside the database, also while nodes run for
    /// longer. Whoever finds the run taken answers [`Busy`](StoreErrorKind::Busy) with the rest of the term, measured by
    /// its own monotonic clock since it first saw the present beat, so no clock that is set or jumps has a say; an
    /// attempt after that takes the run. What the stopped store's session does once it goes on is refused, reads and
    /// writes alike, with [`Fenced`](StoreErrorKind::Fenced); runs of it that nobody took stay its own.
    ///
    /// The lease is the store's: its clones and all their sessions share it. Called again, it changes the term. A term of
    /// less than 100 milliseconds counts as that, so that a process which waits for its turn is not taken for a stopped
    /// one; ten seconds or more are better.
    ///
    /// A process that is stopped in the middle of a write to the file keeps everybody else from writing, since the file
    /// has one writer at a time, until it goes on or ends. No lease helps there.
    ///
    /// ```
    /// use core::time::Duration;
    ///
    /// use stroma::store::RedbStore;
    ///
    /// # let folder = std::env::temp_dir().join(format!("stroma-lease-{}", std::process::id()));
    /// let store = RedbStore::open(folder.join("runs.redb"))?.with_lease(Duration::from_secs(30))?;
    /// # drop(store);
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), stroma::store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`Denied`](StoreErrorKind::Denied), [`Exhausted`](StoreErrorKind::Exhausted) or
    /// [`Unavailable`](StoreErrorKind::Unavailable) where the file for the beat cannot be written. Like
    /// [`open`](Self::open), this waits for the disk.
    pub fn with_lease(self, term: Duration) -> Result<Self, StoreError> {
        let (answer, answered) = mpsc::channel();
        self.ask(Job::Lease(Term { term, result: None, answer }));
        answered.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(self)
    }

    /// From now on [`open`](Store::open) and [`forget`](Store::forget) wait, for `max` at most, while somebody else has
    /// the run: until it is given back, or can be taken over. Then they answer [`Busy`](StoreErrorKind::Busy), as they do
    /// at once without this.
    ///
    /// Others are served meanwhile. A run that this store gives back is had at once; for those of other processes the
    /// file is looked at after 10 milliseconds first and every 250 in the end. Dropping the future ends the wait.
    ///
    /// It is a setting of this clone of the store and of those made from it.
    ///
    /// ```
    /// use core::time::Duration;
    ///
    /// use stroma::store::RedbStore;
    ///
    /// # let folder = std::env::temp_dir().join(format!("stroma-wait-{}", std::process::id()));
    /// let store = RedbStore::open(folder.join("runs.redb"))?.wait_for(Duration::from_secs(5));
    /// # drop(store);
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), stroma::store::StoreError>(())
    /// ```
    #[must_use]
    pub const fn wait_for(mut self, max: Duration) -> Self {
        self.patience = max;
        self
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

#[diagnostic::do_not_recommend]
impl Store for RedbStore {
    type Session<'a> = RedbSession;
    type Opening<'a> = RedbOpening;
    type Forgetting<'a> = RedbForgetting;

    fn introduce(&self, shape: u64, outline: impl fmt::Display) {
        self.ask(Job::Introduce(shape, outline.to_string()));
    }

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<RedbSession, StoreError>, RedbOpening> {
        let (job, answer) = Asked::new(Open {
            run: run.with_str(|id| Arc::from(id)),
            access,
            jobs: self.jobs.clone(),
            wait: Wait::new(self.patience),
        });
        self.ask(Job::Open(job));
        Begun::Pending(RedbOpening(answer))
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, RedbForgetting> {
        let (job, answer) = Asked::new(Forget {
            run: run.with_str(|id| Arc::from(id)),
            _jobs: self.jobs.clone(),
            wait: Wait::new(self.patience),
        });
        self.ask(Job::Forget(job));
        Begun::Pending(RedbForgetting(answer))
    }
}
