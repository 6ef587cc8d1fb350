//! The type of what cannot be: the states of a capability that is not there.

use core::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

/// A value, or the future of a value, that is never made.
///
/// In an enum of states its variant takes no room and no branch. A `Ready<T>` in its place would be carried along.
#[derive(Debug)]
pub struct Never<T>(Infallible, PhantomData<fn() -> T>);

impl<T> Never<T> {
    /// Whatever is asked for: nobody can ask.
    #[inline(always)]
    pub fn absurd<R>(&self) -> R {
        match self.0 {}
    }
}

impl<T> Future for Never<T> {
    type Output = T;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        self.absurd()
    }
}
