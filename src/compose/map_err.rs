//! A node whose errors are turned into others.

use core::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use crate::{
    exec::{Cx, Env, Exec, Local, Node, Stop, StopOf, Walk},
    slot::Place,
};

/// A body whose error is turned into another one.
pub struct MapErr<N, F, Error> {
    body: N,
    function: F,
    types: PhantomData<fn() -> Error>,
}

impl<N, F, Error> MapErr<N, F, Error> {
    pub(crate) const fn new(body: N, function: F) -> Self {
        Self { body, function, types: PhantomData }
    }
}

impl<N: fmt::Debug, F, Error> fmt::Debug for MapErr<N, F, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapErr").field("body", &self.body).finish_non_exhaustive()
    }
}

impl<N: Node, F, Error> Node for MapErr<N, F, Error> {
    type In = N::In;
    type Out = N::Out;
    type Error = Error;

    const NODES: u16 = N::NODES;
    const SKIPPED: u16 = N::SKIPPED;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(walk);
    }
}

/// Where the body of a [`MapErr`] is in its work.
#[pin_project]
#[derive(Debug)]
pub struct MapErrState<S>(#[pin] S);

impl<N: Node, F: Fn(N::Error) -> Error, Error> MapErr<N, F, Error> {
    /// The same stop with the other error.
    #[inline(always)]
    fn turn<E: Env>(&self, stop: StopOf<N, E>) -> Stop<Error, E::Detail> {
        match stop {
            Stop::Error(error, info) => Stop::Error((self.function)(error), info),
            Stop::Halt(halt) => Stop::Halt(halt),
        }
    }
}

impl<N, F, Error, E> Exec<E> for MapErr<N, F, Error>
where
    E: Env,
    N: Exec<E>,
    F: Fn(N::Error) -> Error,
{
    type State<'a>
        = MapErrState<N::State<'a>>
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
        MapErrState(self.body.start(input, at, cx, local))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: N::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        MapErrState(self.body.resume(proof, at, cx, local))
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<N::Out, StopOf<Self, E>>> {
        self.body.poll(state.project().0, at, cx, local, task).map_err(|stop| self.turn::<E>(stop))
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
        self.body.drain(state.project().0, at, cx, local, task).map(|stop| stop.map(|stop| self.turn::<E>(stop)))
    }
}
