//! A clock for tests.

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
