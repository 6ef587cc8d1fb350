//! The work that is measured, three times over: with stroma, by hand, and with boxed futures.
//!
//! Each function does `n` runs and returns a number that depends on all of them. A twin by hand does the same work as its
//! counterpart: the same node functions, the same copies for a retry, the same bytes in a slot.
#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod boxed;
pub(crate) mod by_hand;
pub(crate) mod with_stroma;

use std::{
    cell::Cell,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{Clock, Failure, Now};

/// The error of every node; none of them fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl Failure for Failed {}

/// What passes between nodes.
pub(crate) trait Payload: Clone + Serialize + for<'de> Deserialize<'de> + Schema + 'static {
    /// The input of run number `n`.
    fn of(n: u64) -> Self;
    /// A number that depends on it.
    fn sum(&self) -> u64;
    /// What a node does with it.
    fn step(self) -> Self;
}

impl Payload for u64 {
    fn of(n: u64) -> Self {
        n
    }

    fn sum(&self) -> u64 {
        *self
    }

    #[inline(always)]
    fn step(self) -> Self {
        black_box(self).wrapping_add(1)
    }
}

/// A payload of 128 bytes.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Wide([u64; 16]);

impl Payload for Wide {
    fn of(n: u64) -> Self {
        Self([n; 16])
    }

    fn sum(&self) -> u64 {
        self.0[0]
    }

    #[inline(always)]
    fn step(mut self) -> Self {
        black_box(&mut self);
        self.0[0] = self.0[0].wrapping_add(1);
        self
    }
}

/// The node of every pipeline here.
pub(crate) async fn step<P: Payload>(payload: P) -> Result<P, Failed> {
    Ok(payload.step())
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

/// A clock that goes on by a second each time it is asked: cheap, so that what is around it shows.
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
    type Sleep<'a> = Ready<()>;

    fn sleep(&self, _: Duration) -> Ready<()> {
        ready(())
    }
}
