//! A store that does what it is asked when the test says so, at times that are made up.

use core::{sync::atomic::Ordering, time::Duration};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    time::Instant,
    vec,
};

use uuid::Uuid;

use super::ended;
use crate::store::{
    Access, Begun, StoreError,
    redb::{
        RedbSession,
        answer::Answer,
        driver::Driver,
        lease::beside,
        patience::Wait,
        session::{Asked, Job, Open},
    },
};

pub(super) const TERM: Duration = Duration::from_secs(30);

/// A store whose thread is the test's.
pub(super) struct Hand {
    pub(super) driver: Driver,
    pub(super) jobs: Sender<Job>,
    pub(super) inbox: Receiver<Job>,
}

impl Hand {
    pub(super) fn new(path: &Path) -> Self {
        let (jobs, inbox) = mpsc::channel();
        Self { driver: Driver::start(path).unwrap(), jobs, inbox }
    }

    /// Beats without a thread.
    pub(super) fn beat(&self, term: Duration, count: u64) {
        let holder = &self.driver.holder;
        let term = u64::try_from(term.as_nanos()).unwrap();
        let bytes = [term.to_le_bytes(), count.to_le_bytes()].concat();
        fs::write(beside(&holder.folder, Uuid::from_u128(holder.id)), bytes).unwrap();
    }

    pub(super) fn asked(&self, run: &str, patience: Duration) -> (Job, Answer<RedbSession>) {
        let (job, answer) = Asked::new(Open {
            run: Arc::from(run),
            access: Access::Create,
            jobs: self.jobs.clone(),
            wait: Wait::new(patience),
        });
        (Job::Open(job), answer)
    }

    pub(super) fn open(&mut self, run: &str, now: Instant) -> Result<RedbSession, StoreError> {
        let (job, answer) = self.asked(run, Duration::ZERO);
        self.driver.serve(vec![job], now);
        came(answer).unwrap()
    }

    /// Does what was asked through sessions.
    pub(super) fn work(&mut self, now: Instant) {
        let jobs = self.inbox.try_iter().collect();
        self.driver.serve(jobs, now);
    }

    pub(super) fn id(&self) -> Uuid {
        Uuid::from_u128(self.driver.holder.id)
    }

    pub(super) fn syncs(&self) -> u64 {
        self.driver.syncs.load(Ordering::Relaxed)
    }

    /// The same as a kill: its lock is gone, and its files are as they are.
    pub(super) fn die(self) {
        assert!(!self.driver.holder.journal.is_done());
    }
}

/// What has been answered by now.
pub(super) fn came<T>(mut answer: Answer<T>) -> Option<Result<T, StoreError>> {
    answer.0.try_recv().ok()
}

pub(super) fn result<T, F: Future<Output = Result<T, StoreError>>>(
    hand: &mut Hand,
    now: Instant,
    begun: Begun<Result<T, StoreError>, F>,
) -> Result<T, StoreError> {
    hand.work(now);
    ended(begun)
}
