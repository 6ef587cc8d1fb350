//! How long one job waits for a run, and how often it looks.

use core::time::Duration;
use std::time::Instant;

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
    pub(super) fn again(&mut self, until: Option<Duration>, now: Instant) -> Option<Instant> {
        let since = *self.since.get_or_insert(now);
        let left = self.max.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())?;
        // A lease that is about to run out is not to be looked at in between any more often than it is worth.
        let until = until.unwrap_or(PAUSE_MAX).max(Duration::from_millis(1));
        let pause = self.pause.min(until).min(left);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        now.checked_add(pause)
    }
}
