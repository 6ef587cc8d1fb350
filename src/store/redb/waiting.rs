//! Who waits for a run that somebody else has.

use alloc::vec::Vec;
use std::time::Instant;

use super::session::Job;

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
