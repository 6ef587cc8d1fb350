//! What is asked of the driver, and what it hands out.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{sync::Mutex, time::Instant};

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::{log::Record, script};
use crate::{
    run::RunId,
    store::{
        Access, StoreError,
        inspect::{Outlines, RunView},
        owned::Present,
    },
};

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// When the server last sent something: who is in the middle of a long answer is not silent.
#[derive(Debug)]
pub(super) struct Heard {
    made: Instant,
    /// In milliseconds after `made`.
    last: AtomicU64,
}

impl Heard {
    pub(super) fn new(now: Instant) -> Self {
        Self { made: now, last: AtomicU64::new(0) }
    }

    pub(super) fn something(&self) {
        let after = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(after, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.made + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

/// By it somebody is there for whom the task goes on.
pub(super) type Asking = Option<UnboundedSender<Work>>;

/// What a session goes by.
#[derive(Debug)]
pub(super) struct Hold {
    /// The keys of the run's hash and of its log.
    pub(super) run: Arc<str>,
    pub(super) log: String,
    pub(super) token: String,
    /// The run has no time to wait for a server that is away.
    pub(super) hurried: AtomicBool,
    /// The lease is being renewed.
    pub(super) renewing: AtomicBool,
    /// The time to live may not have been set as it should.
    pub(super) stale: AtomicBool,
    made: Instant,
    /// When the time to live was set last, in milliseconds after `made`.
    set: AtomicU64,
}

impl Hold {
    pub(super) fn new(run: Arc<str>, token: String, now: Instant) -> Self {
        Self {
            log: script::log_key(&run, &token),
            run,
            token,
            hurried: AtomicBool::new(false),
            renewing: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            made: now,
            set: AtomicU64::new(0),
        }
    }

    /// Whether half of the time to live is over; to whom it says so, sets it again.
    pub(super) fn is_ageing(&self, now: Instant, ttl: Duration) -> bool {
        let now = u64::try_from(now.saturating_duration_since(self.made).as_millis()).unwrap_or(u64::MAX);
        let half = u64::try_from((ttl / 2).as_millis()).unwrap_or(u64::MAX);
        let ageing =
            self.stale.swap(false, Ordering::Relaxed) || now.saturating_sub(self.set.load(Ordering::Relaxed)) >= half;
        if ageing {
            self.set.store(now, Ordering::Relaxed);
        }
        ageing
    }
}

/// A run in hand, which is given back when this is dropped: wherever it got to on its way to a session.
#[derive(Debug)]
pub(super) struct Grip {
    /// Nothing once it was let go.
    pub(super) jobs: Asking,
    pub(super) hold: Arc<Hold>,
    /// The run has no checkpoint, so nothing of it is to stay.
    pub(super) empty: bool,
}

impl Grip {
    pub(super) fn ask(&self, work: Work) {
        // What is not taken drops the sender of its answer, which tells the future.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(work));
    }

    /// For whoever gives the run back in another way.
    pub(super) fn let_go(mut self) -> Arc<Hold> {
        self.jobs = None;
        Arc::clone(&self.hold)
    }
}

impl Drop for Grip {
    fn drop(&mut self) {
        self.ask(Work::Release { hold: Arc::clone(&self.hold), empty: self.empty });
    }
}

/// What a session begins with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) grip: Grip,
    /// With the place of each in the log, where that is known.
    pub(super) present: Present<Option<usize>>,
    pub(super) ledger: Box<[u8]>,
    /// The number of the last write.
    pub(super) order: u64,
    pub(super) outlines: Arc<Mutex<Outlines>>,
}

/// What is asked of the driver.
#[derive(Debug)]
pub(super) enum Work {
    Open {
        run: Arc<str>,
        access: Access,
        answer: Answer<Opened>,
    },
    Write {
        hold: Arc<Hold>,
        record: Record,
        answer: Answer<()>,
    },
    Load {
        hold: Arc<Hold>,
        at: Option<usize>,
        name: String,
        answer: Answer<Vec<u8>>,
    },
    Forget {
        run: Arc<str>,
        answer: Answer<bool>,
    },
    /// A session was dropped; nobody waits.
    Release {
        hold: Arc<Hold>,
        empty: bool,
    },
    /// The driver's own: a lease is to be renewed.
    Renew {
        hold: Arc<Hold>,
    },
    /// Some of the runs that there are, and where to go on.
    Scan {
        cursor: u64,
        answer: Answer<(u64, Vec<RunId>)>,
    },
    /// What is known of a run, with all of its values or without.
    Look {
        run: RunId,
        values: bool,
        answer: Answer<Option<RunView>>,
    },
    /// Whether the server is there and lets this program in; that is not waited for.
    Reach {
        answer: Answer<()>,
    },
    /// Answered when all that was asked before is done.
    Flush {
        answer: oneshot::Sender<()>,
    },
}

impl Work {
    pub(super) fn hold(&self) -> Option<&Arc<Hold>> {
        match self {
            Self::Write { hold, .. } | Self::Load { hold, .. } | Self::Release { hold, .. } | Self::Renew { hold } => {
                Some(hold)
            }
            Self::Open { .. }
            | Self::Forget { .. }
            | Self::Scan { .. }
            | Self::Look { .. }
            | Self::Reach { .. }
            | Self::Flush { .. } => None,
        }
    }

    /// Whether it was for somebody who has gone away. What a session writes is done all the same.
    pub(super) fn is_moot(&self) -> bool {
        match self {
            Self::Open { answer, .. } => answer.is_closed(),
            Self::Forget { answer, .. } => answer.is_closed(),
            Self::Load { answer, .. } => answer.is_closed(),
            Self::Reach { answer } => answer.is_closed(),
            Self::Scan { answer, .. } => answer.is_closed(),
            Self::Look { answer, .. } => answer.is_closed(),
            _ => false,
        }
    }

    /// Whether somebody waits for it who has no time for that.
    pub(super) fn is_hurried(&self) -> bool {
        match self {
            Self::Write { hold, answer, .. } => hold.hurried.load(Ordering::Relaxed) && !answer.is_closed(),
            Self::Reach { .. } | Self::Scan { .. } | Self::Look { .. } => true,
            _ => false,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Write { record, .. } => record.len(),
            _ => 0,
        }
    }

    #[cold]
    pub(super) fn fail(self, error: StoreError) {
        // Where nobody listens any more, nobody is told.
        match self {
            Self::Open { answer, .. } => drop(answer.send(Err(error))),
            Self::Write { answer, .. } | Self::Reach { answer } => drop(answer.send(Err(error))),
            Self::Load { answer, .. } => drop(answer.send(Err(error))),
            Self::Forget { answer, .. } => drop(answer.send(Err(error))),
            Self::Scan { answer, .. } => drop(answer.send(Err(error))),
            Self::Look { answer, .. } => drop(answer.send(Err(error))),
            Self::Renew { hold } => hold.renewing.store(false, Ordering::Relaxed),
            Self::Release { .. } | Self::Flush { .. } => {}
        }
    }
}
