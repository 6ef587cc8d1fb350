//! What is waited for, and what a read yields.

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    super::StoreError,
    asking::{Asking, astray},
    room::Answer,
};

/// A future that asks the driver, with what it makes of the answer.
macro_rules! asking_future {
    ($(#[$docs:meta])* $name:ident, $output:ty, ($answer:pat, $bytes:pat) => $taken:expr) => {
        $(#[$docs])*
        ///
        /// Dropped half-way, what it asked for happens wholly or not at all.
        #[must_use = "nothing happens until it is polled"]
        pub struct $name<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>(
            pub(super) Asking<'a, D, RUNS, SLOTS, BYTES>,
        )
        where
            D: Future<Output = Infallible> + Unpin;

        impl<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Future for $name<'a, D, RUNS, SLOTS, BYTES>
        where
            D: Future<Output = Infallible> + Unpin,
        {
            type Output = Result<$output, StoreError>;

            fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(task, &[], |answer, $bytes| match answer? {
                    $answer => $taken,
                    _ => Err(astray()),
                })
            }
        }

        impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug for $name<'_, D, RUNS, SLOTS, BYTES>
        where
            D: Future<Output = Infallible> + Unpin,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

asking_future! {
    /// What [`FlashStore::forget`](crate::store::Store::forget) waits for.
    FlashForgetting, bool, (Answer::Forgotten(known), _) => Ok(known)
}

asking_future! {
    /// What [`FlashStore::flush`](super::FlashStore::flush) waits for.
    FlashFlushing, (), (Answer::Done, _) => Ok(())
}

asking_future! {
    /// What a read of a [`FlashSession`](super::FlashSession) waits for.
    FlashReading, FlashBytes<BYTES>, (Answer::Loaded, value) => FlashBytes::of(value)
}

/// What a write of a [`FlashSession`](super::FlashSession) waits for.
///
/// It carries what is to be written. Dropped half-way, that is in the flash wholly or not at all.
#[must_use = "nothing happens until it is polled"]
pub struct FlashWriting<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>
where
    D: Future<Output = Infallible> + Unpin,
{
    pub(super) asking: Asking<'a, D, RUNS, SLOTS, BYTES>,
    pub(super) len: usize,
    pub(super) bytes: [u8; BYTES],
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Future for FlashWriting<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { asking, len, bytes } = &mut *self;
        asking.poll(task, bytes.get(..*len).unwrap_or_default(), |answer, _| answer.map(|_| ()))
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug
    for FlashWriting<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashWriting").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A checkpoint that was read from the flash.
pub struct FlashBytes<const BYTES: usize> {
    len: usize,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> FlashBytes<BYTES> {
    fn of(value: &[u8]) -> Result<Self, StoreError> {
        let mut read = Self { len: value.len(), bytes: [0; BYTES] };
        read.bytes.get_mut(..value.len()).ok_or_else(astray)?.copy_from_slice(value);
        Ok(read)
    }
}

impl<const BYTES: usize> AsRef<[u8]> for FlashBytes<BYTES> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const BYTES: usize> fmt::Debug for FlashBytes<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FlashBytes").field(&self.as_ref()).finish()
    }
}
