//! What comes back: answers, in the order in which commands went out.

use alloc::{sync::Arc, vec::Vec};
use core::{sync::atomic::Ordering, time::Duration};
use std::time::Instant;

use ::redis::Value;

use super::{
    super::{
        answer::{Answered, Forgotten, looked, odd, scanned, unknown, why_lost},
        error::{self, Trouble},
        work::{Grip, Opened, Work},
    },
    AGAIN, Driver, Job, Sent, Verdict,
};
use crate::store::{Access, StoreErrorKind, error::busy};

/// How often to ask for a run that somebody else holds and may give back at any time: at first, and at most.
const BUSY: Duration = Duration::from_millis(10);
const BUSY_MAX: Duration = Duration::from_millis(250);

impl Driver {
    /// What the server answered to the oldest batch.
    pub(super) fn hear(&mut self, values: Vec<Value>, now: Instant) -> Verdict {
        let Some(Sent { jobs, .. }) = self.sent.pop_front() else { return Verdict::Redial };
        if values.len() != jobs.len() {
            for job in jobs {
                self.put_back(job);
            }
            let error = error::of(StoreErrorKind::Unavailable, "the server's answers are not those to what was asked");
            return self.lose(Trouble::Reconnect(error), now);
        }
        let mut verdict = Verdict::Keep;
        for (job, value) in jobs.into_iter().zip(values) {
            if let Value::ServerError(error) = &value {
                if self.refuse(job, error::refused(error), now) == Verdict::Redial {
                    verdict = Verdict::Redial;
                }
            } else {
                if self.trouble.is_some() && self.pause.is_none() {
                    self.trouble = None;
                    self.again = AGAIN;
                }
                self.settle(job, value, now);
            }
        }
        verdict
    }

    /// Hands on an answer that is no error of the server's.
    pub(super) fn settle(&mut self, mut job: Job, value: Value, now: Instant) {
        if job.lost {
            let error = job.work.hold().map_or_else(odd, |hold| why_lost(&value, &hold.token));
            job.work.fail(error);
            return;
        }
        match job.work {
            // There is no such log any more, and nothing was appended.
            Work::Write { .. } if value == Value::Int(0) => {
                job.lost = true;
                self.put_back(job);
            }
            // What the session holds was there, so its log is no more.
            Work::Load { .. } if value == Value::Nil => {
                job.lost = true;
                self.put_back(job);
            }
            Work::Write { hold, answer, .. } => {
                hold.hurried.store(false, Ordering::Relaxed);
                let _ = answer.send(if matches!(value, Value::Int(_)) { Ok(()) } else { Err(odd()) });
            }
            Work::Load { answer, .. } => {
                let _ = answer.send(if let Value::BulkString(bytes) = value { Ok(bytes) } else { Err(odd()) });
            }
            Work::Renew { ref hold } => {
                hold.renewing.store(false, Ordering::Relaxed);
                if value != Value::Int(1) {
                    self.forget_hold(&job.work, true);
                }
            }
            Work::Release { ref hold, .. } => {
                let run = Arc::clone(&hold.run);
                self.forget_hold(&job.work, false);
                self.wake_busy(&run, now);
            }
            Work::Reach { answer } => {
                let _ = answer.send(Ok(()));
            }
            Work::Flush { .. } => {}
            Work::Scan { answer, .. } => drop(answer.send(scanned(value, &self.settings))),
            Work::Look { run, values, answer } => drop(answer.send(looked(run, values, value))),
            Work::Open { .. } => self.opened(job, value, now),
            Work::Forget { .. } => self.forgotten(job, value, now),
        }
    }

    pub(super) fn opened(&mut self, job: Job, value: Value, now: Instant) {
        match Answered::of(value, &self.settings) {
            Ok(Answered::Busy(left)) => self.meet_busy(job, left, now),
            Ok(Answered::Open { present, order, ledger }) => {
                let (Work::Open { access, answer, .. }, Some(hold)) = (job.work, job.opens) else { return };
                self.held.insert(hold.token.clone(), Arc::clone(&hold));
                if self.held.len() == 1 {
                    self.renew = now + self.renew_every();
                }
                let empty = present.is_empty();
                // All that it had was discarded by a holder that then died.
                if empty && access == Access::Existing {
                    self.give_back(job.number, hold, empty, now);
                    drop(answer.send(Err(unknown(&self.settings))));
                    return;
                }
                // Where nobody waits any more nobody may be left who could ask for something, either.
                let Some(jobs) = self.jobs.upgrade() else { return self.give_back(job.number, hold, empty, now) };
                let grip = Grip { jobs: Some(jobs), hold, empty };
                let outlines = Arc::clone(&self.settings.outlines);
                let opened = Opened { grip, present, ledger, order, outlines };
                if let Err(Ok(Opened { grip, .. })) = answer.send(Ok(opened)) {
                    self.give_back(job.number, grip.let_go(), empty, now);
                }
            }
            Err(error) => job.work.fail(error),
        }
    }

    pub(super) fn forgotten(&mut self, job: Job, value: Value, now: Instant) {
        match Forgotten::of(value) {
            Ok(Forgotten::Busy(left)) => self.meet_busy(job, left, now),
            Ok(Forgotten::Done(was)) => {
                if let Work::Forget { answer, .. } = job.work {
                    drop(answer.send(Ok(was)));
                }
            }
            Err(error) => job.work.fail(error),
        }
    }

    /// Somebody else holds the run, for so long if the lease is not renewed.
    #[cold]
    pub(super) fn meet_busy(&mut self, mut job: Job, left: Duration, now: Instant) {
        job.sent = false;
        let waited = now.saturating_duration_since(job.asked);
        let patient = self.settings.wait_for.saturating_sub(waited);
        if patient.is_zero() {
            job.work.fail(busy(Some(left)));
        } else {
            let wait = (waited / 2).clamp(BUSY, BUSY_MAX).min(left.max(BUSY)).min(patient);
            self.busy.insert((now + wait, job.number), job);
        }
    }

    /// This store gave back a run that others of it may wait for.
    pub(super) fn wake_busy(&mut self, run: &str, now: Instant) {
        if self.busy.is_empty() {
            return;
        }
        let of_the_run = |job: &Job| match &job.work {
            Work::Open { run: wanted, .. } | Work::Forget { run: wanted, .. } => **wanted == *run,
            _ => false,
        };
        let waiting: Vec<_> = self.busy.iter().filter(|(_, job)| of_the_run(job)).map(|(at, _)| *at).collect();
        for at in waiting {
            if let Some(job) = self.busy.remove(&at) {
                self.busy.insert((now, job.number), job);
            }
        }
    }
}
