//! The body of a node that reads JSON.

use core::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use serde::de::DeserializeOwned;

use super::read::from_slice;
use crate::{
    body::Body,
    contract::Direction,
    exec::{Cx, Exec, Local, Node, Stop, StopOf, Walk, from_input_alone},
    layer::{Checking, Require, broken},
    slot::Place,
};

/// Text from outside: whatever lends its bytes, such as `String`, `Vec<u8>` or `&'static str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no text that JSON could be in",
    label = "a `json::decode` in its pipeline is given a `{Self}`",
    note = "`json::decode` takes what lends bytes: a `String`, a `Vec<u8>`, a `&'static str`"
)]
pub trait JsonText {
    /// Its bytes.
    fn bytes(&self) -> &[u8];
}

#[diagnostic::do_not_recommend]
impl<T: AsRef<[u8]>> JsonText for T {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }
}

/// The body of a node that reads JSON.
pub struct Decoder<T, In, Error>(pub(super) PhantomData<fn(In) -> (T, Error)>);

impl<T, In, Error> fmt::Debug for Decoder<T, In, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl<T, In, Error> Clone for Decoder<T, In, Error> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, In, Error> Copy for Decoder<T, In, Error> {}

impl<T, In, Error> Body for Decoder<T, In, Error> {
    type Require<F> = Require<Self, F>;

    fn require<F>(self, check: F) -> Self::Require<F> {
        Require { body: self, check }
    }
}

impl<T, In, Error> Node for Decoder<T, In, Error> {
    type In = In;
    type Out = T;
    type Error = Error;

    const NODES: u16 = 0;
    const REQUIRES: bool = true;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

/// A text until it is read.
#[derive(Debug)]
pub struct DecoderState<In>(Option<In>);

// Nothing in it is ever pinned.
impl<In> Unpin for DecoderState<In> {}

impl<T, In, Error, E> Exec<E> for Decoder<T, In, Error>
where
    T: DeserializeOwned,
    In: JsonText,
    E: Checking,
{
    type State<'a>
        = DecoderState<In>
    where
        Self: 'a,
        E: 'a;

    from_input_alone!(E);

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> DecoderState<In> {
        DecoderState(Some(input))
    }

    #[inline]
    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut DecoderState<In>>,
        at: Place,
        _: Cx<'a, E>,
        local: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Result<T, StopOf<Self, E>>> {
        let Some(text) = state.0.take() else { return Poll::Pending };
        Poll::Ready(
            from_slice(text.bytes())
                .map_err(|violation| Stop::Halt(broken(self, Direction::Input, violation, at, local))),
        )
    }
}
