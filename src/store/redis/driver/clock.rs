//! What the clock asks for, and when it is to be looked at next.

use alloc::vec::Vec;
use core::{sync::atomic::Ordering, time::Duration};
use std::time::Instant;

use super::{super::work::Work, Driver, NEVER};

/// How often to look who has waited long enough, while the server cannot.
const EXPIRE: Duration = Duration::from_millis(10);

impl Driver {
    /// Does what the clock asks for.
    pub(super) fn come_due(&mut self, now: Instant, connected: bool) {
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
        }
        while let Some(entry) = self.busy.first_entry()
            && entry.key().0 <= now
        {
            let job = entry.remove();
            self.put_back(job);
        }
        if connected && self.renew <= now && !self.held.is_empty() {
            self.renew = now + self.renew_every();
            let due: Vec<_> =
                self.held.values().filter(|hold| !hold.renewing.swap(true, Ordering::Relaxed)).cloned().collect();
            for hold in due {
                self.take(Work::Renew { hold }, now);
            }
        }
        if self.trouble.is_some() && self.expire <= now {
            self.expire = now + EXPIRE;
            self.expire(now, connected && self.pause.is_none());
        }
    }

    pub(super) fn renew_every(&self) -> Duration {
        (self.settings.lease / 3).min(NEVER)
    }

    pub(super) fn next_time(&self, now: Instant, connected: bool) -> Instant {
        let mut next = now + NEVER;
        // Without a connection nothing is renewed, and with the next one all is.
        if connected && !self.held.is_empty() {
            next = next.min(self.renew.max(now));
        }
        if let Some(until) = self.pause {
            next = next.min(until);
        }
        if let Some(((until, _), _)) = self.busy.first_key_value() {
            next = next.min(*until);
        }
        if let Some(since) = self.silent_since() {
            next = next.min(since + self.settings.answer_within());
        }
        if self.trouble.is_some() && !self.queue.is_empty() {
            next = next.min(self.expire);
        }
        next
    }

    /// Since when the server owes an answer.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let sent = self.sent.front().map(|sent| sent.at.max(self.heard.last()) + sent.takes);
        sent.or(self.dialled)
    }

    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.silent_since().is_some_and(|since| since + self.settings.answer_within() <= now)
    }
}
