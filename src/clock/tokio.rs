//! Tokio's clock.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{sync::OnceLock, time::Instant};

use pin_project::pin_project;

use super::{Clock, Now};

/// Tokio's clock. In a test with paused time it is the test's clock.
///
/// # Panics
/// Waiting panics outside of a tokio runtime with time enabled, as [`tokio::time::sleep`] does.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

impl Now for TokioClock {
    fn now(&self) -> Duration {
        // Tokio's instants have no fixed moment to count from, so the first call in the process sets one: by the system's
        // clock, since a paused one may be hours ahead of another, and long ago, since a paused one stays behind.
        static START: OnceLock<Instant> = OnceLock::new();
        let start = *START.get_or_init(|| {
            let now = Instant::now();
            now.checked_sub(Duration::from_secs(24 * 3_600)).unwrap_or(now)
        });
        tokio::time::Instant::now().into_std().saturating_duration_since(start)
    }
}

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
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
#[pin_project]
pub struct TokioSleep(#[pin] tokio::time::Sleep);

impl Future for TokioSleep {
    type Output = ();

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        self.project().0.poll(task)
    }
}
