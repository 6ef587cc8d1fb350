//! What is done while the server cannot.

use alloc::vec::Vec;
use core::{mem, sync::atomic::Ordering, time::Duration};
use std::time::Instant;

use super::{
    super::{error::Trouble, work::Work},
    Driver, Job, Sent, Verdict,
};

/// How soon to try again, at most.
const AGAIN_MAX: Duration = Duration::from_secs(1);

impl Driver {
    #[cold]
    pub(super) fn refuse(&mut self, mut job: Job, trouble: Trouble, now: Instant) -> Verdict {
        if let Some(hold) = job.work.hold() {
            hold.stale.store(true, Ordering::Relaxed);
        }
        if let Trouble::Final(error) = trouble {
            self.forget_hold(&job.work, false);
            job.work.fail(error);
            return Verdict::Keep;
        }
        let verdict = if matches!(trouble, Trouble::Wait(_)) { Verdict::Keep } else { Verdict::Redial };
        // Scripts are given again at once, but not for ever.
        if trouble != Trouble::Scripts || job.troubled.is_some() {
            self.pause(now);
        }
        self.trouble = Some(trouble.into_error());
        self.concerns = self.numbers;
        job.troubled.get_or_insert(now);
        self.put_back(job);
        verdict
    }

    /// The connection is no good, or none was made.
    #[cold]
    pub(super) fn lose(&mut self, trouble: Trouble, now: Instant) -> Verdict {
        let refused = matches!(trouble, Trouble::Final(_));
        let error = trouble.into_error();
        self.pause(now);
        self.trouble = Some(error.clone());
        self.concerns = self.numbers;
        self.expire = now;
        if refused {
            self.say_again(now);
            for job in mem::take(&mut self.queue) {
                self.forget_hold(&job.work, false);
                job.work.fail(error.clone());
            }
        }
        Verdict::Redial
    }

    pub(super) fn pause(&mut self, now: Instant) {
        if self.pause.is_none() {
            self.pause = Some(now + self.again);
            self.again = (self.again * 2).min(AGAIN_MAX);
        }
    }

    /// What was sent and not answered goes back to where it came from.
    #[cold]
    pub(super) fn say_again(&mut self, now: Instant) {
        while let Some(Sent { jobs, .. }) = self.sent.pop_back() {
            for mut job in jobs.into_iter().rev() {
                job.troubled.get_or_insert(now);
                if let Some(hold) = job.work.hold() {
                    hold.stale.store(true, Ordering::Relaxed);
                }
                self.put_back(job);
            }
        }
    }

    /// Fails what has waited for the server long enough, but nothing that was not tried yet: the trouble may be over. Only a
    /// run that has no time at all does not wait for that where it would have to.
    #[cold]
    pub(super) fn expire(&mut self, now: Instant, at_once: bool) {
        let Some(trouble) = self.trouble.clone() else { return };
        let mut given_up = Vec::new();
        for mut job in mem::take(&mut self.queue) {
            let tried = job.number <= self.concerns;
            if !tried && (at_once || !matches!(job.work, Work::Write { .. })) {
                self.queue.push_back(job);
                continue;
            }
            let since = *job.troubled.get_or_insert(now);
            let is_over = tried && now.saturating_duration_since(since) >= self.settings.patience;
            if !is_over && !job.work.is_hurried() {
                self.queue.push_back(job);
                continue;
            }
            self.forget_hold(&job.work, false);
            job.work.fail(trouble.clone());
            given_up.extend(job.opens.filter(|_| job.sent));
        }
        // The server may have done it all the same.
        for hold in given_up {
            self.take(Work::Release { hold, empty: false }, now);
        }
    }
}
