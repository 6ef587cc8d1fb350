//! How often a failure is tried again, and how long is waited before.

use core::time::Duration;

use crate::failure::FailureClass;

/// A [`Duration`] of so many milliseconds; short for the parameter lists of pipelines.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A [`Duration`] of so many seconds.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How long to wait before the next attempt.
///
/// # Default
/// [`Backoff::exponential`] of one second: at most 30 seconds, with full jitter.
///
/// ```
/// use stroma::{Backoff, ms, secs};
///
/// let steady = Backoff::constant(ms(50));
/// assert_eq!(steady.delay(7, 0), ms(50));
///
/// let growing = Backoff::exponential(ms(200)).cap(secs(1)).without_jitter();
/// assert_eq!([1, 2, 3, 4].map(|retry| growing.delay(retry, 0)), [ms(200), ms(400), ms(800), secs(1)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    growing: bool,
    jitter: bool,
}

impl Backoff {
    /// No wait at all. The next attempt still lets other work of the task go first, so that a time-out around it can fire.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// The same wait each time, exactly.
    pub const fn constant(delay: Duration) -> Self {
        Self { base: delay, cap: Duration::MAX, growing: false, jitter: false }
    }

    /// A wait that doubles from `base` on, at most 30 seconds, with full jitter: each wait is drawn evenly between nothing and
    /// the computed one, so that many clients that failed together do not come back together.
    ///
    /// Source of the method: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    pub const fn exponential(base: Duration) -> Self {
        Self { base, cap: Duration::from_secs(30), growing: true, jitter: true }
    }

    /// The longest wait.
    #[must_use]
    pub const fn cap(mut self, longest: Duration) -> Self {
        self.cap = longest;
        self
    }

    /// Waits exactly as long as computed.
    #[must_use]
    pub const fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// Waits for a time drawn evenly between nothing and the computed one.
    #[must_use]
    pub const fn with_jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// The wait before the `retry`-th retry, from 1. The same seed gives the same wait.
    pub fn delay(&self, retry: u32, seed: u64) -> Duration {
        let whole = if self.growing {
            let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
            self.base.checked_mul(factor).unwrap_or(Duration::MAX)
        } else {
            self.base
        }
        .min(self.cap);
        if !self.jitter || whole.is_zero() {
            return whole;
        }
        // Nanoseconds fit in 64 bits for 584 years; the share is the seed's as a 64-bit fraction.
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
        let share = (u128::from(nanos) * u128::from(scramble(seed))) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1))
    }
}

/// Spreads a seed over all 64 bits.
///
/// Source: the finaliser of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
const fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How often each class of failure is tried again. A terminal failure never is.
///
/// `recoverable(3, ..)` means three retries, so four attempts. Each class has its own count.
///
/// # Default
/// Recoverable: 3 retries, [`Backoff::exponential`] of 1 s. Ambiguous: 1 retry, of 0.5 s.
///
/// ```
/// use stroma::{Backoff, PolicyMap, ms};
///
/// const PATIENT: PolicyMap = PolicyMap::never().recoverable(5, Backoff::exponential(ms(200)));
/// assert_eq!(PATIENT.max_attempts(), 6);
/// assert_eq!(PolicyMap::default().max_attempts(), 5);
/// ```
///
/// # What it is not
/// It counts the failures of one node in one run. A circuit breaker or a rate limit, which look at all calls of a process, belong
/// around the client that the node calls; what they refuse is then a failure of some class, and
/// [`retry_after`](crate::Failure::retry_after) says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyMap {
    recoverable: Rule,
    ambiguous: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    retries: u32,
    backoff: Backoff,
}

impl PolicyMap {
    /// No retries. On one node it switches off those of the runner.
    pub const fn never() -> Self {
        let none = Rule { retries: 0, backoff: Backoff::none() };
        Self { recoverable: none, ambiguous: none }
    }

    /// The retries of recoverable failures.
    #[must_use]
    pub const fn recoverable(mut self, retries: u32, backoff: Backoff) -> Self {
        self.recoverable = Rule { retries, backoff };
        self
    }

    /// The retries of ambiguous failures.
    #[must_use]
    pub const fn ambiguous(mut self, retries: u32, backoff: Backoff) -> Self {
        self.ambiguous = Rule { retries, backoff };
        self
    }

    /// The most attempts that a node can take under this policy.
    pub const fn max_attempts(&self) -> u32 {
        self.recoverable.retries.saturating_add(self.ambiguous.retries).saturating_add(1)
    }

    /// Counts a failure and says how long to wait before the next attempt, or `None` for no more attempts.
    pub(crate) fn next(&self, tally: &mut Tally, class: FailureClass, seed: u64) -> Option<Duration> {
        let (rule, count) = match class {
            FailureClass::Recoverable => (&self.recoverable, &mut tally.recoverable),
            FailureClass::Ambiguous => (&self.ambiguous, &mut tally.ambiguous),
            FailureClass::Terminal => return None,
        };
        if *count >= rule.retries {
            return None;
        }
        *count += 1;
        Some(rule.backoff.delay(*count, seed))
    }
}

impl Default for PolicyMap {
    fn default() -> Self {
        Self::never()
            .recoverable(3, Backoff::exponential(Duration::from_secs(1)))
            .ambiguous(1, Backoff::exponential(Duration::from_millis(500)))
    }
}

/// How many retries a node has used up, class by class.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    recoverable: u32,
    ambiguous: u32,
}

impl Tally {
    /// The number of the attempt under way, from 1.
    #[inline(always)]
    pub(crate) const fn attempt(self) -> u32 {
        self.recoverable.wrapping_add(self.ambiguous).wrapping_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{Ambiguous, Recoverable, Terminal};

    #[test]
    fn three_retries_are_three_retries() {
        let policy = PolicyMap::never().recoverable(3, Backoff::none());
        let mut tally = Tally::default();
        let waits = [0; 5].map(|_| policy.next(&mut tally, Recoverable, 0));
        assert_eq!(waits, [Some(Duration::ZERO), Some(Duration::ZERO), Some(Duration::ZERO), None, None]);
        assert_eq!(tally.attempt(), 4);
    }

    #[test]
    fn each_class_has_its_own_count_and_terminal_has_none() {
        let policy = PolicyMap::default();
        let mut tally = Tally::default();
        assert!(policy.next(&mut tally, Recoverable, 1).is_some());
        assert!(policy.next(&mut tally, Ambiguous, 1).is_some());
        assert!(policy.next(&mut tally, Ambiguous, 1).is_none());
        assert!(policy.next(&mut tally, Recoverable, 1).is_some());
        assert!(policy.next(&mut tally, Terminal, 1).is_none());
    }

    #[test]
    fn jitter_is_predictable_and_stays_below_the_whole_wait() {
        let backoff = Backoff::exponential(ms(100));
        let mut sum = Duration::ZERO;
        for seed in 0..1_000 {
            let wait = backoff.delay(3, seed);
            assert_eq!(wait, backoff.delay(3, seed));
            assert!(wait < ms(400));
            sum += wait;
        }
        // Evenly drawn below 400 ms: the mean of a thousand draws is near 200 ms.
        assert!(sum > secs(180) && sum < secs(220), "{sum:?}");
    }

    #[test]
    fn waits_do_not_overflow() {
        let backoff = Backoff::exponential(Duration::MAX).cap(Duration::MAX).without_jitter();
        assert_eq!(backoff.delay(u32::MAX, 0), Duration::MAX);
        assert!(backoff.with_jitter().delay(u32::MAX, u64::MAX) <= Duration::MAX);
        assert_eq!(Backoff::exponential(secs(1)).without_jitter().delay(60, 0), secs(30));
    }
}
