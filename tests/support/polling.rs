//! Futures polled by hand.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls as long as the future wants to be polled again at once.
pub(crate) fn poll_until_idle<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flag = Arc::new(Flag(true.into()));
    let waker = Waker::from(Arc::clone(&flag));
    while flag.0.swap(false, Ordering::SeqCst) {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(out);
        }
    }
    Poll::Pending
}

/// Polls a future that has to be ready without waiting.
pub(crate) fn now_or_panic<F: Future>(future: F) -> F::Output {
    match poll_until_idle(std::pin::pin!(future)) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("it waits"),
    }
}
