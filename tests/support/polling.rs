//! Futures polled by hand.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use stroma::ManualClock;

/// A waker that notes that it was called.
#[derive(Default)]
pub(crate) struct Bell(AtomicBool);

impl Bell {
    /// Whether it was called since the last time that somebody asked.
    pub(crate) fn rang(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Lets go of the task once.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|task| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls as long as the future wants to be polled again at once.
pub(crate) fn poll_until_idle<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(out);
        }
        if !bell.rang() {
            return Poll::Pending;
        }
    }
}

/// Polls a future that has to come to its end by itself.
pub(crate) fn now_or_panic<F: Future>(future: F) -> F::Output {
    match poll_until_idle(pin!(future)) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("it waits"),
    }
}

/// What a run that polls itself may take; more means that it is stuck.
const POLLS: usize = 5_000;

/// Polls a run when it was woken and not else; `None` when it is dropped after `kill` polls. When nothing wakes it the clock
/// goes on, and when nobody waits for the clock either it is stuck. Yields how many polls it took, too.
pub(crate) fn drive<F: Future>(run: F, clock: &ManualClock, kill: Option<usize>) -> (Option<F::Output>, usize) {
    let bell = Arc::new(Bell(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&bell));
    let mut run = pin!(run);
    for polled in 0..POLLS {
        if kill == Some(polled) {
            return (None, polled);
        }
        while !bell.rang() {
            clock.advance(clock.next_wake().expect("the run is stuck: nothing will ever wake it"));
        }
        if let Poll::Ready(output) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (Some(output), polled);
        }
    }
    panic!("the run does not come to an end");
}
