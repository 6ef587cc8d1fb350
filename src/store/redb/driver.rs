//! The thread that works on the file.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Instant,
};

use ::redb::{Database, ReadableDatabase};

use super::{
    super::StoreError,
    batch::{Batch, Claims, load},
    error::{denied, failed, foreign, not_opened},
    file::{RUNS, SLOTS, builder, prepare, set_up, sync_folders},
    holder::Holder,
    session::{Hold, Job},
    waiting::Queue,
};

/// The most jobs in one transaction, so that the first of them is not kept waiting by the last.
pub(super) const BATCH: usize = 1024;
/// How soon to try again to give back a run when the file could not be written.
pub(super) const RELEASE_AGAIN: Duration = Duration::from_secs(1);

/// What lives on the store's thread.
pub(super) struct Driver {
    pub(super) path: PathBuf,
    pub(super) holder: Holder,
    /// Closed after a failure, since redb refuses all work from then on, and opened again for the next job, by which
    /// time there may be room on the disk.
    pub(super) database: Option<Database>,
    pub(super) claims: Claims,
    /// Runs that were given back, but not in the file.
    pub(super) unreleased: Vec<Hold>,
    pub(super) waiting: Queue,
}

impl Driver {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let path = prepare(path).map_err(|error| denied(path, &error))?;
        if path.is_dir() {
            return Err(foreign(&path, "is a folder: name a file in it"));
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
        Ok(Self {
            path,
            holder,
            database: Some(database),
            claims: Claims::default(),
            unreleased: Vec::new(),
            waiting: Queue::default(),
        })
    }

    /// Serves jobs until nobody is left who could send one.
    pub(super) fn drive(mut self, inbox: &Receiver<Job>) {
        loop {
            let now = Instant::now();
            let release = now.checked_add(RELEASE_AGAIN).filter(|_| !self.unreleased.is_empty());
            let first = match [release, self.waiting.next()].into_iter().flatten().min() {
                Some(at) => inbox.recv_timeout(at.saturating_duration_since(now)),
                None => inbox.recv().map_err(RecvTimeoutError::from),
            };
            let mut batch = Vec::new();
            match first {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.serve(batch, Instant::now());
                    return;
                }
            }
            batch.extend(inbox.try_iter().take(BATCH));
            self.serve(batch, Instant::now());
        }
    }

    /// Gives back what is still to be given back, then does what was asked, in the order in which it was asked. Whoever
    /// waits for a run comes right after its release.
    pub(super) fn serve(&mut self, asked: Vec<Job>, now: Instant) {
        let mut due: Vec<Job> = self.unreleased.drain(..).map(Job::Release).collect();
        due.extend(self.waiting.due(now));
        due.extend(asked);
        let mut batch = Vec::with_capacity(due.len());
        for job in due {
            let freed = if let Job::Release(hold) = &job { Some(Arc::clone(&hold.run)) } else { None };
            batch.push(job);
            if let Some(run) = freed {
                batch.extend(self.waiting.of_run(&run));
            }
        }
        // Reads that no write goes before need not wait for one.
        let reads = batch.iter().take_while(|job| matches!(job, Job::Load(_))).count();
        let mut writes = batch.split_off(reads);
        for (jobs, work) in [(&mut batch, Self::read as Work), (&mut writes, Self::write as Work)] {
            if jobs.is_empty() {
                continue;
            }
            let failure = work(self, jobs, now).err().map(|error| failed(&self.path, &error));
            for job in jobs.drain(..) {
                if let Some(job) = self.waiting.admit(job, now) {
                    job.end(failure.as_ref(), &mut self.unreleased);
                }
            }
        }
    }

    /// Takes the database out; it is put back only after a success.
    pub(super) fn take_database(&mut self) -> Result<Database, ::redb::Error> {
        match self.database.take() {
            Some(open) => Ok(open),
            None => Ok(builder().open(&self.path)?),
        }
    }

    pub(super) fn read(&mut self, jobs: &mut [Job], _now: Instant) -> Result<(), ::redb::Error> {
        let database = self.take_database()?;
        let read = database.begin_read()?;
        let (runs, slots) = (read.open_table(RUNS)?, read.open_table(SLOTS)?);
        for job in jobs {
            if let Job::Load(asked) = job {
                asked.result = Some(load(&runs, &slots, self.holder.id, &asked.work)?);
            }
        }
        self.database = Some(database);
        Ok(())
    }

    /// Does all of `jobs` in one transaction. A job that is refused has changed nothing, so it spoils nothing.
    pub(super) fn write(&mut self, jobs: &mut [Job], now: Instant) -> Result<(), ::redb::Error> {
        let database = self.take_database()?;
        let write = database.begin_write()?;
        let mut batch = Batch {
            runs: write.open_table(RUNS)?,
            slots: write.open_table(SLOTS)?,
            holder: &mut self.holder,
            now,
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

pub(super) type Work = fn(&mut Driver, &mut [Job], Instant) -> Result<(), ::redb::Error>;
