//! The thread that works on the file.

use alloc::{sync::Arc, vec::Vec};
use core::{mem, time::Duration};
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Instant,
};

use ::redb::{Database, ReadableDatabase};

use super::{
    super::{StoreError, inspect::Outlines},
    batch::{Batch, load},
    claims::Claims,
    error::{denied, failed, foreign, not_opened},
    file::{RUNS, SLOTS, builder, prepare, set_up, sync_folders},
    holder::Holder,
    session::{Hold, Job, Put},
    waiting::Queue,
};

/// The most jobs in one transaction, so that the first of them is not kept waiting by the last.
pub(super) const BATCH: usize = 1024;
/// How soon to try again to give back a run when the file could not be written.
pub(super) const RELEASE_AGAIN: Duration = Duration::from_secs(1);

/// How long a journal rests before the tables are brought up to date: at rest, all that there is is in one file.
const REST: Duration = Duration::from_secs(1);

/// What lives on the store's thread.
pub(super) struct Driver {
    pub(super) path: PathBuf,
    pub(super) holder: Holder,
    /// Closed after a failure, since redb refuses all work from then on, and opened again for the next job, by which
    /// time there may be room on the disk.
    pub(super) database: Option<Database>,
    pub(super) claims: Claims,
    /// Pipelines of which the file was not told yet.
    pub(super) outlines: Outlines,
    /// Runs that were given back, but not in the file.
    pub(super) unreleased: Vec<Hold>,
    pub(super) waiting: Queue,
    /// When to bring the tables up to date if nothing else does.
    pub(super) rest: Option<Instant>,
    /// How many writes were waited for.
    #[cfg(test)]
    pub(super) syncs: Arc<core::sync::atomic::AtomicU64>,
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
        // A transaction is also what keeps other processes from sweeping the holder away before it has its lock.
        let write = database.begin_write().map_err(|error| failed(&path, &error.into()))?;
        let changed = set_up(&write, &path)?;
        let mut holder = Holder::new(&path).map_err(|error| denied(&Holder::folder(&path), &error))?;
        let (mut claims, outlines) = (Claims::default(), Outlines::new());
        let (changed, ended) = {
            let batch = Batch::new(&write, &mut holder, &mut claims, &outlines, Instant::now());
            let mut batch = batch.map_err(|error| failed(&path, &error))?;
            batch.sweep().map_err(|error| failed(&path, &error))??;
            (batch.changed || changed, batch.ended)
        };
        let written =
            if changed { write.commit().map_err(Into::into) } else { write.abort().map_err(::redb::Error::from) };
        written.map_err(|error| failed(&path, &error))?;
        ended.into_iter().for_each(|ended| holder.bury(ended));
        Ok(Self {
            path,
            holder,
            database: Some(database),
            claims,
            outlines,
            unreleased: Vec::new(),
            waiting: Queue::default(),
            rest: None,
            #[cfg(test)]
            syncs: Arc::default(),
        })
    }

    /// Serves jobs until nobody is left who could send one.
    pub(super) fn drive(mut self, inbox: &Receiver<Job>) {
        loop {
            let now = Instant::now();
            let release = now.checked_add(RELEASE_AGAIN).filter(|_| !self.unreleased.is_empty());
            let first = match [release, self.waiting.next(), self.rest].into_iter().flatten().min() {
                Some(at) => inbox.recv_timeout(at.saturating_duration_since(now)),
                None => inbox.recv().map_err(RecvTimeoutError::from),
            };
            let mut batch = Vec::new();
            match first {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let now = Instant::now();
                    self.rest = Some(now).filter(|_| !self.holder.journal.is_done());
                    self.serve(batch, now);
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
        for job in asked {
            match job {
                Job::Introduce(shape, outline) => drop(self.outlines.insert(shape, outline)),
                job => due.push(job),
            }
        }
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
        self.work(batch, Self::read, now);
        if writes.iter().all(|job| matches!(job, Job::Put(_) | Job::Load(_))) {
            // A session reads what it has written, so the writes may come first.
            let reads = writes.extract_if(.., |job| matches!(job, Job::Load(_))).collect();
            if let Some(writes) = self.append(writes, now) {
                self.work(writes, Self::write, now);
            }
            self.work(reads, Self::read, now);
        } else {
            self.work(writes, Self::write, now);
        }
        if self.rest.is_some_and(|rest| rest <= now) {
            // Nobody waits for it, and where it fails the journal still has it all.
            let _ = self.write(&mut [], now);
            self.rest = if self.holder.journal.is_done() { None } else { now.checked_add(REST) };
        }
    }

    fn work(&mut self, mut jobs: Vec<Job>, work: Work, now: Instant) {
        if jobs.is_empty() {
            return;
        }
        let failure = work(self, &mut jobs, now).err().map(|error| failed(&self.path, &error));
        for job in jobs {
            if let Some(job) = self.waiting.admit(job, now) {
                job.end(failure.as_ref(), &mut self.unreleased);
            }
        }
    }

    /// Saves checkpoints in the journal; what cannot be saved there comes back.
    fn append(&mut self, jobs: Vec<Job>, now: Instant) -> Option<Vec<Job>> {
        let puts = || jobs.iter().filter_map(|job| if let Job::Put(asked) = job { Some(&asked.work) } else { None });
        if jobs.is_empty() {
            return None;
        }
        let journal = &mut self.holder.journal;
        if !puts().all(|put| self.claims.has(&put.hold)) || !journal.has_room(puts()) {
            return Some(jobs);
        }
        // What failed here is tried in the tables, and whoever asked hears how that went.
        if !journal.append(puts()).unwrap_or(false) {
            return Some(jobs);
        }
        #[cfg(test)]
        self.syncs.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        let mut puts = Vec::with_capacity(jobs.len());
        for job in jobs {
            if let Job::Put(asked) = job {
                puts.push(asked.work);
                // Whoever no longer waits for it does not want to know.
                let _ = asked.answer.send(Ok(()));
            }
        }
        journal.keep(puts);
        self.rest = now.checked_add(REST);
        None
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
                asked.result = Some(load(&runs, &slots, &self.holder, &asked.work)?);
            }
        }
        self.database = Some(database);
        Ok(())
    }

    /// Does all of `jobs` in one transaction, after what is in the journal. A job that is refused has changed nothing, so it
    /// spoils nothing.
    pub(super) fn write(&mut self, jobs: &mut [Job], now: Instant) -> Result<(), ::redb::Error> {
        let lines = mem::take(&mut self.holder.journal.lines);
        let written = self.commit(&lines, jobs, now);
        if written.is_err() {
            self.holder.journal.lines = lines;
        }
        written
    }

    fn commit(&mut self, lines: &[(u64, Put)], jobs: &mut [Job], now: Instant) -> Result<(), ::redb::Error> {
        let database = self.take_database()?;
        // Read before the transaction begins: whoever raised it by then has committed when we have our turn.
        let fence = self.holder.journal.fence_now();
        let raised = self.holder.journal.raised(&fence);
        let write = database.begin_write()?;
        let mut batch = Batch::new(&write, &mut self.holder, &mut self.claims, &self.outlines, now)?;
        batch.catch_up(lines, raised)?;
        for job in jobs {
            batch.apply(job)?;
        }
        let (changed, introduced, ended) = (batch.changed, batch.introduced, mem::take(&mut batch.ended));
        drop(batch);
        // A commit costs a write to the disk, which for instance a run that is busy is not worth.
        if changed {
            write.commit()?;
            #[cfg(test)]
            self.syncs.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        } else {
            write.abort()?;
        }
        self.database = Some(database);
        if introduced {
            self.outlines.clear();
        }
        self.holder.journal.taken_over(&fence);
        self.rest = None;
        ended.into_iter().for_each(|ended| self.holder.bury(ended));
        Ok(())
    }
}

pub(super) type Work = fn(&mut Driver, &mut [Job], Instant) -> Result<(), ::redb::Error>;
