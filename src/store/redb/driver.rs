//! The thread that works on the file.

use alloc::vec::Vec;
use core::time::Duration;
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
};

use ::redb::{Database, ReadableDatabase};

use super::{
    super::StoreError,
    batch::{Batch, Claims, load},
    error::{denied, failed, not_opened, unavailable},
    file::{RUNS, SLOTS, builder, prepare, set_up, sync_folders},
    holder::Holder,
    session::{Hold, Job},
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
}

impl Driver {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
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
    pub(super) fn drive(mut self, inbox: &Receiver<Job>) {
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
    pub(super) fn serve(&mut self, asked: Vec<Job>) {
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
    pub(super) fn take_database(&mut self) -> Result<Database, ::redb::Error> {
        match self.database.take() {
            Some(open) => Ok(open),
            None => Ok(builder().open(&self.path)?),
        }
    }

    pub(super) fn read(&mut self, jobs: &mut [Job]) -> Result<(), ::redb::Error> {
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
    pub(super) fn write(&mut self, jobs: &mut [Job]) -> Result<(), ::redb::Error> {
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

pub(super) type Work = fn(&mut Driver, &mut [Job]) -> Result<(), ::redb::Error>;
