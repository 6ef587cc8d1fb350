//! The checks of what was read, around the body that reads.

use super::decoder::Decoder;
use crate::layer::{Ensure, Once, Policy, Skipped, Step, Unlimited};

/// The node that a [`Decode`](super::Decode) is.
pub type DecodeStep<T, C, In, Error> =
    Step<<C as Around<Decoder<T, In, Error>>>::Body, Policy<Once, Unlimited, Skipped>>;

/// The checks of what a [`Decode`](super::Decode) read.
pub trait Around<B> {
    /// The body with the checks around it.
    type Body;
    /// Puts them there.
    fn around(self, body: B) -> Self::Body;
}

/// No checks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unchecked;

/// One more check.
#[derive(Debug, Clone, Copy)]
pub struct With<C, F> {
    pub(super) first: C,
    pub(super) then: F,
}

impl<B> Around<B> for Unchecked {
    type Body = B;

    fn around(self, body: B) -> B {
        body
    }
}

impl<B, C: Around<B>, F> Around<B> for With<C, F> {
    type Body = Ensure<C::Body, F>;

    fn around(self, body: B) -> Self::Body {
        Ensure { body: self.first.around(body), check: self.then }
    }
}
