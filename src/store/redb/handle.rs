//! The store that a program holds.

use alloc::sync::Arc;
use core::fmt;
use std::{
    path::Path,
    sync::mpsc::{self, Sender},
    thread,
};

use super::{
    super::{Access, Begun, Store, StoreError},
    answer::Forgetting,
    driver::Driver,
    error::unavailable,
    session::{Asked, Forget, Job, Open, Opening, RedbSession},
};
use crate::run::RunId;

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
