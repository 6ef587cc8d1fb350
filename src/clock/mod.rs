//! Time: where it comes from and how to wait for it.

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod manual;
#[cfg(feature = "tokio")]
mod tokio;

use core::{future::Future, time::Duration};

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use manual::{ManualClock, ManualSleep};
#[cfg(feature = "tokio")]
pub use tokio::{TokioClock, TokioSleep};

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
