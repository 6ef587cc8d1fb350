//! Who waits for a run that somebody else has.

use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

use super::session::Job;

/// The first pause before the file is looked at again; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long one job waits.
#[derive(Debug)]
pub(super) struct Wait {
    max: Duration,
    /// When it first found the run taken.
    since: Option<Instant>,
    pause: Duration,
}

impl Wait {
    pub(super) const fn new(max: Duration) -> Self {
        Self { max, since: None, pause: PAUSE }
    }

    /// When to look again at a run that may be free after `until`, or `None` where it has waited for long enough.
    fn again(&mut self, until: Option<Duration>, now: Instant) -> Option<Instant> {
        let since = *self.since.get_or_insert(now);
        let left = self.max.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())?;
        // A lease that is about to run out is not to be looked at in between any more often than it is worth.
        let until = until.unwrap_or(PAUSE_MAX).max(Duration::from_millis(1));
        let pause = self.pause.min(until).min(left);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        now.checked_add(pause)
    }
}

/// Jobs that wait, the one that came first in front.
#[derive(Default)]
pub(super) struct Queue(Vec<(Instant, Job)>);

impl Queue {
    /// Takes a job in that found its run taken and has patience left; gives back any other.
    pub(super) fn admit(&mut self, mut job: Job, now: Instant) -> Option<Job> {
        let at = job.busy().and_then(|(until, wait)| wait.again(until, now));
        match at {
            Some(at) => {
                self.0.push((at, job));
                None
            }
            None => Some(job),
        }
    }

    /// Whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> impl Iterator<Item = Job> {
        self.take(move |at, _| at <= now)
    }

    /// Who waits for this run.
    pub(super) fn of_run(&mut self, run: &str) -> impl Iterator<Item = Job> {
        self.take(|_, job| job.wants() == Some(run))
    }

    fn take(&mut self, which: impl Fn(Instant, &Job) -> bool) -> impl Iterator<Item = Job> {
        self.0.extract_if(.., move |(at, job)| which(*at, job)).map(|(_, job)| job)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|(at, _)| *at).min()
    }
}
