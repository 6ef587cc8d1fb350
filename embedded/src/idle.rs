//! Runs one future, and sleeps while it waits.

#![allow(unsafe_code, reason = "a waker is made of a table of functions")]

use core::{
    future::Future,
    pin::pin,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

use cortex_m::{asm, interrupt};

/// Whether the future is to be polled again.
static WOKEN: AtomicBool = AtomicBool::new(false);

/// How often the processor went to sleep, and how often the future was polled.
pub static SLEEPS: AtomicU32 = AtomicU32::new(0);
pub static POLLS: AtomicU32 = AtomicU32::new(0);

const TABLE: RawWakerVTable = RawWakerVTable::new(|_| WAKER, |_| wake(), |_| wake(), |_| ());
const WAKER: RawWaker = RawWaker::new(ptr::null(), &TABLE);

fn wake() {
    WOKEN.store(true, Ordering::Release);
}

fn count(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Polls the future whenever something woke it, until it is done.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // SAFETY: the functions of the table do not look at the pointer, and may be called from anywhere at any time.
    let waker = unsafe { Waker::from_raw(WAKER) };
    let mut task = Context::from_waker(&waker);
    loop {
        WOKEN.store(false, Ordering::Relaxed);
        count(&POLLS);
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
        while !WOKEN.load(Ordering::Acquire) {
            // An interrupt between the look and the sleep would be slept through. Masked, it still ends the sleep.
            interrupt::disable();
            if !WOKEN.load(Ordering::Acquire) {
                count(&SLEEPS);
                asm::wfi();
            }
            // SAFETY: they were enabled before, and nothing that needs them masked is under way.
            unsafe { interrupt::enable() };
        }
    }
}
