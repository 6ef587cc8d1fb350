//! The work that is measured, three times over: with stroma, by hand, and with boxed futures.
//!
//! Each function does `n` runs and returns a number that depends on all of them. A twin by hand does the same work as its
//! counterpart: the same node functions, the same copies for a retry, the same bytes in a slot.
#![allow(dead_code, unused_imports, unused_macros, reason = "each bench uses its part")]

pub(crate) mod boxed;
pub(crate) mod by_hand;
pub(crate) mod with_stroma;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{Attempt, Clock, Failure, Hooks, Now, Succeeded};

/// The error of every node; none of them fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

impl Failure for Failed {}

/// What passes between nodes.
pub(crate) trait Payload: Clone + Send + Serialize + for<'de> Deserialize<'de> + Schema + 'static {
    /// How many runs are counted, and then twice as many; few where one takes long.
    const RUNS: u64;
    /// The input of run number `n`.
    fn of(n: u64) -> Self;
    /// A number that depends on it.
    fn sum(&self) -> u64;
    /// What a node makes of it.
    fn changed(self) -> Self;
    /// The node itself.
    fn step(self) -> impl Future<Output = Result<Self, Failed>> + Send {
        async move { Ok(self.changed()) }
    }
}

impl Payload for u64 {
    const RUNS: u64 = 400;

    fn of(n: u64) -> Self {
        n
    }

    fn sum(&self) -> u64 {
        *self
    }

    #[inline(always)]
    fn changed(self) -> Self {
        black_box(self).wrapping_add(1)
    }
}

/// A payload of 128 bytes.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Wide([u64; 16]);

impl Payload for Wide {
    const RUNS: u64 = 400;

    fn of(n: u64) -> Self {
        Self([n; 16])
    }

    fn sum(&self) -> u64 {
        self.0[0]
    }

    #[inline(always)]
    fn changed(mut self) -> Self {
        black_box(&mut self);
        self.0[0] = self.0[0].wrapping_add(1);
        self
    }
}

/// A payload of 4 KiB, in rows since serde has no arrays of more than 32.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Page([[u64; 16]; 32]);

impl Payload for Page {
    const RUNS: u64 = 40;

    fn of(n: u64) -> Self {
        Self([[n; 16]; 32])
    }

    fn sum(&self) -> u64 {
        self.0[0][0]
    }

    #[inline(always)]
    fn changed(mut self) -> Self {
        black_box(&mut self);
        self.0[0][0] = self.0[0][0].wrapping_add(1);
        self
    }
}

/// The same payload, of which each node lets go of the task once.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Yields<P>(P);

impl<P: Payload> Payload for Yields<P> {
    const RUNS: u64 = P::RUNS;

    fn of(n: u64) -> Self {
        Self(P::of(n))
    }

    fn sum(&self) -> u64 {
        self.0.sum()
    }

    #[inline(always)]
    fn changed(self) -> Self {
        Self(self.0.changed())
    }

    async fn step(self) -> Result<Self, Failed> {
        let mut yielded = false;
        poll_fn(|task| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            task.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Ok(self.changed())
    }
}

/// The node of every pipeline here.
pub(crate) fn step<P: Payload>(payload: P) -> impl Future<Output = Result<P, Failed>> + Send {
    payload.step()
}

/// Every row of the tables: its name, the work, the payload with the size of a slot where there are checkpoints, and a twin that
/// only this group has. The size is `u64`'s and `Wide`'s 192 bytes, and for `Page` room for any page.
macro_rules! rows {
    ($with:ident) => {
        $with! {
            seq8_u64 = seq8[u64];
            seq8_wide = seq8[Wide];
            seq8_page = seq8[Page];
            seq8_u64_yield = seq8[Yields<u64>];
            seq8_wide_yield = seq8[Yields<Wide>];
            seq8_page_yield = seq8[Yields<Page>];
            seq8_retry_timeout_u64 = seq8_retry_timeout[u64];
            seq8_retry_timeout_wide = seq8_retry_timeout[Wide];
            seq8_retry_timeout_page = seq8_retry_timeout[Page];
            seq8_retry_timeout_u64_yield = seq8_retry_timeout[Yields<u64>];
            seq8_retry_timeout_wide_yield = seq8_retry_timeout[Yields<Wide>];
            seq8_retry_timeout_page_yield = seq8_retry_timeout[Yields<Page>];
            par2_u64 = par2[u64] + try_join[u64];
            par2_wide = par2[Wide] + try_join[Wide];
            par2_page = par2[Page] + try_join[Page];
            par2_u64_yield = par2[Yields<u64>] + try_join[Yields<u64>];
            par2_wide_yield = par2[Yields<Wide>] + try_join[Yields<Wide>];
            par2_page_yield = par2[Yields<Page>] + try_join[Yields<Page>];
            seq8_memory_u64 = seq8_memory[u64, 192] + to_slice[u64, 192];
            seq8_memory_wide = seq8_memory[Wide, 192] + to_slice[Wide, 192];
            seq8_memory_page = seq8_memory[Page, 5_248] + to_slice[Page, 5_248];
            seq8_memory_u64_yield = seq8_memory[Yields<u64>, 192] + to_slice[Yields<u64>, 192];
            seq8_memory_wide_yield = seq8_memory[Yields<Wide>, 192] + to_slice[Yields<Wide>, 192];
            seq8_memory_page_yield = seq8_memory[Yields<Page>, 5_248] + to_slice[Yields<Page>, 5_248];
            seq8_trace_u64 = seq8_trace[u64];
            seq8_trace_wide = seq8_trace[Wide];
            seq8_trace_page = seq8_trace[Page];
            seq8_full_u64 = seq8_full[u64, 192];
            seq8_full_wide = seq8_full[Wide, 192];
            seq8_full_page = seq8_full[Page, 5_248];
            seq8_full_u64_yield = seq8_full[Yields<u64>, 192];
            seq8_full_wide_yield = seq8_full[Yields<Wide>, 192];
            seq8_full_page_yield = seq8_full[Yields<Page>, 5_248];
            resume_last_u64 = resume_last[u64, 192];
            resume_last_wide = resume_last[Wide, 192];
            resume_last_page = resume_last[Page, 5_248];
        }
    };
}
pub(crate) use rows;

/// A runtime whose timers can be set; its clock stands still, so that none rings and reading it costs the same each time.
pub(crate) fn timers() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Polls a future to its end on this thread; nothing here waits for anything but itself.
#[inline(always)]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
    }
}

/// Does `n` runs and adds up what they yield.
#[inline(always)]
pub(crate) fn repeat<P: Payload>(n: u64, mut run: impl FnMut(P) -> P) -> u64 {
    let mut sum = 0_u64;
    for i in 0..n {
        sum = sum.wrapping_add(run(black_box(P::of(i))).sum());
    }
    sum
}

/// What a hook counts: attempts begun, seconds of those that succeeded, and failures.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    begun: Cell<u64>,
    seconds: Cell<u64>,
    failed: Cell<u64>,
}

impl Tally {
    #[inline(always)]
    pub(crate) fn begin(&self) {
        self.begun.set(self.begun.get().wrapping_add(1));
    }

    #[inline(always)]
    pub(crate) fn succeed(&self, took: Duration) {
        self.seconds.set(self.seconds.get().wrapping_add(took.as_secs()));
    }

    #[inline(always)]
    pub(crate) fn fail(&self) {
        self.failed.set(self.failed.get().wrapping_add(1));
    }
}

impl<In, Out, Er> Hooks<In, Out, Er> for &Tally {
    #[inline(always)]
    fn on_start(&self, _: Attempt<'_>, _: Option<&In>) {
        self.begin();
    }

    #[inline(always)]
    fn on_success(&self, _: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.succeed(succeeded.spent.time);
    }

    fn on_failure(&self, _: Attempt<'_>, _: stroma::Failed<'_, Er>) {
        self.fail();
    }
}

/// A clock that goes on by a second each time it is asked: cheap, so that what is around it shows. Its timers are tokio's.
#[derive(Debug, Default)]
pub(crate) struct Ticks(Cell<u64>);

impl Now for Ticks {
    #[inline(always)]
    fn now(&self) -> Duration {
        let now = self.0.get();
        self.0.set(now.wrapping_add(1));
        Duration::from_secs(now)
    }
}

impl Clock for Ticks {
    type Sleep<'a> = tokio::time::Sleep;

    fn sleep(&self, duration: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(duration)
    }
}
