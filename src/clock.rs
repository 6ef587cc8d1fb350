//! Time: where it comes from and how to wait for it.

use core::{future::Future, time::Duration};

/// Something that knows how much time went by.
pub trait Now {
    /// Whether time goes by for it; only for [`NoClock`] it does not.
    const TICKS: bool = true;

    /// The time since some fixed moment of this clock; it never goes back.
    fn now(&self) -> Duration;
}

/// A clock that can also wake a task.
///
/// ```
/// use core::{future::{Ready, ready}, time::Duration};
/// use stroma::{Clock, Now};
///
/// /// A clock that stands still and does not wait: for a test of what happens after a wait.
/// struct Stopped;
///
/// impl Now for Stopped {
///     fn now(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
///
/// impl Clock for Stopped {
///     type Sleep<'a> = Ready<()>;
///
///     fn sleep(&self, _: Duration) -> Ready<()> {
///         ready(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a clock that can wait",
    label = "a time-out, a deadline or a retry needs a clock",
    note = "`Runner::new(..)` has none until `.with_clock(TokioClock)` or a clock of your own; `Runner::quick(..)` has tokio's"
)]
pub trait Clock: Now {
    /// What [`sleep`](Self::sleep) waits for.
    type Sleep<'a>: Future<Output = ()>
    where
        Self: 'a;

    /// Waits until `duration` has gone by. The time counts from the call.
    fn sleep(&self, duration: Duration) -> Self::Sleep<'_>;
}

impl<C: Now> Now for &C {
    const TICKS: bool = C::TICKS;

    fn now(&self) -> Duration {
        C::now(self)
    }
}

impl<C: Clock> Clock for &C {
    type Sleep<'a>
        = C::Sleep<'a>
    where
        Self: 'a;

    fn sleep(&self, duration: Duration) -> Self::Sleep<'_> {
        C::sleep(self, duration)
    }
}

/// The clock of a runner without one: it always shows zero and cannot wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoClock;

impl Now for NoClock {
    const TICKS: bool = false;

    #[inline(always)]
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// Tokio's clock. In a test with paused time it is the test's clock.
///
/// # Panics
/// Waiting panics outside of a tokio runtime with time enabled, as [`tokio::time::sleep`] does.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

#[cfg(feature = "tokio")]
impl Now for TokioClock {
    fn now(&self) -> Duration {
        // Tokio's instants have no fixed moment to count from, so the first call in the process sets one: by the system's
        // clock, since a paused one may be hours ahead of another, and long ago, since a paused one stays behind.
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = *START.get_or_init(|| {
            let now = std::time::Instant::now();
            now.checked_sub(Duration::from_secs(24 * 3_600)).unwrap_or(now)
        });
        tokio::time::Instant::now().into_std().saturating_duration_since(start)
    }
}

#[cfg(feature = "tokio")]
impl Clock for TokioClock {
    type Sleep<'a> = TokioSleep;

    #[inline(always)]
    fn sleep(&self, duration: Duration) -> TokioSleep {
        TokioSleep(tokio::time::sleep(duration))
    }
}

/// What a [`TokioClock`] waits for.
///
/// # Cancel safety
/// It may be dropped at any time.
#[cfg(feature = "tokio")]
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
#[pin_project::pin_project]
pub struct TokioSleep(#[pin] tokio::time::Sleep);

#[cfg(feature = "tokio")]
impl Future for TokioSleep {
    type Output = ();

    #[inline(always)]
    fn poll(self: core::pin::Pin<&mut Self>, task: &mut core::task::Context<'_>) -> core::task::Poll<()> {
        self.project().0.poll(task)
    }
}

#[cfg(feature = "alloc")]
#[cfg(target_has_atomic = "ptr")]
pub use manual::{ManualClock, ManualSleep};

#[cfg(feature = "alloc")]
#[cfg(target_has_atomic = "ptr")]
mod manual {
    use alloc::{sync::Arc, vec::Vec};
    use core::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use spin::mutex::SpinMutex;

    use super::{Clock, Now};

    /// A clock for tests: it stands still until it is told to go on.
    ///
    /// Clones show the same time.
    ///
    /// ```
    /// use stroma::{ManualClock, Now, ms};
    ///
    /// let clock = ManualClock::new();
    /// clock.advance(ms(250));
    /// assert_eq!(clock.now(), ms(250));
    /// ```
    #[derive(Debug, Clone, Default)]
    pub struct ManualClock {
        shared: Arc<SpinMutex<Shared>>,
    }

    #[derive(Debug, Default)]
    struct Shared {
        now: Duration,
        /// How many waits there were: the number of the next one.
        waits: u64,
        waiting: Vec<Waiting>,
    }

    #[derive(Debug)]
    struct Waiting {
        number: u64,
        until: Duration,
        waker: Waker,
    }

    impl ManualClock {
        /// A clock that shows zero.
        pub fn new() -> Self {
            Self::default()
        }

        /// Goes on by `duration` and wakes whoever waited for that.
        pub fn advance(&self, duration: Duration) {
            let mut due = Vec::new();
            {
                let mut shared = self.shared.lock();
                shared.now = shared.now.saturating_add(duration);
                let now = shared.now;
                shared.waiting.retain(|waiting| {
                    let later = waiting.until > now;
                    if !later {
                        due.push(waiting.waker.clone());
                    }
                    later
                });
            }
            // Outside of the lock: a waker may poll at once.
            due.into_iter().for_each(Waker::wake);
        }

        /// How far off the next moment is that somebody waits for, or `None` where nobody waits.
        pub fn next_wake(&self) -> Option<Duration> {
            let shared = self.shared.lock();
            shared.waiting.iter().map(|waiting| waiting.until.saturating_sub(shared.now)).min()
        }
    }

    impl Now for ManualClock {
        fn now(&self) -> Duration {
            self.shared.lock().now
        }
    }

    impl Clock for ManualClock {
        type Sleep<'a> = ManualSleep;

        fn sleep(&self, duration: Duration) -> ManualSleep {
            let mut shared = self.shared.lock();
            let (number, until) = (shared.waits, shared.now.saturating_add(duration));
            shared.waits += 1;
            ManualSleep { shared: Arc::clone(&self.shared), number, until }
        }
    }

    /// What a [`ManualClock`] waits for.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ManualSleep {
        shared: Arc<SpinMutex<Shared>>,
        number: u64,
        until: Duration,
    }

    impl Drop for ManualSleep {
        fn drop(&mut self) {
            self.shared.lock().waiting.retain(|waiting| waiting.number != self.number);
        }
    }

    impl Future for ManualSleep {
        type Output = ();

        fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
            let mut shared = self.shared.lock();
            if shared.now >= self.until {
                return Poll::Ready(());
            }
            let (number, until) = (self.number, self.until);
            match shared.waiting.iter_mut().find(|waiting| waiting.number == number) {
                Some(waiting) => waiting.waker.clone_from(task.waker()),
                None => shared.waiting.push(Waiting { number, until, waker: task.waker().clone() }),
            }
            Poll::Pending
        }
    }
}
