//! What has to hold whatever bytes or text come in. The fuzz targets in `fuzz/` and the replay of their corpora in
//! `tests/hostile.rs` call the same functions.
#![allow(dead_code, reason = "every fuzz target uses a part of it")]

pub(crate) mod checkpoint;
pub(crate) mod prices;
pub(crate) mod run_id;
#[path = "../support/slots.rs"]
mod slots;
pub(crate) mod trace;

use std::{
    fmt::Display,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use stroma::store::Begun;

/// The result of `f`, which holds at most `per_byte` times `len` bytes of heap at any moment, and `apart` beside them.
#[track_caller]
fn within<R>(len: usize, per_byte: usize, apart: usize, f: impl FnOnce() -> R) -> R {
    let mut result = None;
    let counted = allocation_counter::measure(|| result = Some(f()));
    let most = len * per_byte + apart;
    assert!(counted.bytes_max <= most as u64, "{} bytes of heap for {len} bytes, at most {most}", counted.bytes_max);
    result.unwrap()
}

/// What is shown has no character that would begin a line or steer a terminal.
#[track_caller]
fn is_one_line(shown: impl Display) {
    let text = shown.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Polls to the end what never waits.
#[track_caller]
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// The result of an operation of a store, which may be waited for.
fn done<T, F: Future<Output = T>>(begun: Begun<T, F>) -> T {
    match begun {
        Begun::Done(result) => result,
        Begun::Pending(future) => wait(future),
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Takes the bytes of an input apart.
struct Pieces<'d>(&'d [u8]);

impl<'d> Pieces<'d> {
    /// The next byte; zero where there is none.
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    /// So many of the next bytes as the first of them says, or all.
    fn piece(&mut self) -> &'d [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(len);
        self.0 = rest;
        piece
    }
}
