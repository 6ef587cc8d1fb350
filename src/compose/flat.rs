//! A node whose output is turned into another form.

use core::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::mode::Settleable;
use crate::{
    exec::{Cx, Env, Exec, Local, Node, StopOf, Walk},
    slot::Place,
};

/// A body whose output is turned into another form: the flat tuple of a `par!`.
#[derive(Clone, Copy)]
pub struct Flat<N, F, Out> {
    body: N,
    function: F,
    types: PhantomData<fn() -> Out>,
}

impl<N, F, Out> Flat<N, F, Out> {
    pub(crate) const fn new(body: N, function: F) -> Self {
        Self { body, function, types: PhantomData }
    }
}

impl<N: Settleable, F, Out> Settleable for Flat<N, F, Out> {
    type Settled = Flat<N::Settled, F, Out>;

    fn settle(self) -> Self::Settled {
        Flat::new(self.body.settle(), self.function)
    }
}

impl<N: fmt::Debug, F, Out> fmt::Debug for Flat<N, F, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.body.fmt(f)
    }
}

impl<N: Node, F, Out> Node for Flat<N, F, Out> {
    type In = N::In;
    type Out = Out;
    type Error = N::Error;

    const NODES: u16 = N::NODES;
    const SKIPPED: u16 = N::SKIPPED;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(walk);
    }
}

/// Where the body of a [`Flat`] is in its work.
#[pin_project]
#[derive(Debug)]
pub struct FlatState<S>(#[pin] S);

impl<N, F, Out, E> Exec<E> for Flat<N, F, Out>
where
    E: Env,
    N: Exec<E>,
    F: Fn(N::Out) -> Out,
{
    type State<'a>
        = FlatState<N::State<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = N::Proof;

    #[inline(always)]
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<N::Proof> {
        self.body.resumable(at, local)
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: N::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        FlatState(self.body.start(input, at, cx, local))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: N::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        FlatState(self.body.resume(proof, at, cx, local))
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, StopOf<N, E>>> {
        self.body.poll(state.project().0, at, cx, local, task).map_ok(&self.function)
    }

    #[inline]
    fn drain<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        self.body.drain(state.project().0, at, cx, local, task)
    }
}
