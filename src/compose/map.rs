//! Plain functions between nodes. They have no id and no checkpoint: after a resume they are simply called again.

use core::{
    convert::Infallible,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::par::Settleable;
use crate::{
    exec::{Cx, Env, Exec, Explain, Local, Node, Stop, StopOf, Walk},
    slot::Place,
};

/// A plain function.
pub struct Map<F, In, Out, Error> {
    function: F,
    types: PhantomData<fn(In) -> (Out, Error)>,
}

impl<F, In, Out, Error> Map<F, In, Out, Error> {
    pub(crate) const fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<F, In, Out, Error> fmt::Debug for Map<F, In, Out, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<F>())
    }
}

impl<F, In, Out, Error> Node for Map<F, In, Out, Error> {
    type In = In;
    type Out = Out;
    type Error = Error;

    const NODES: u16 = 0;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

/// What a plain function returned, until it is taken.
#[derive(Debug)]
pub struct MapState<T>(Option<T>);

// Nothing in it is ever pinned.
impl<T> Unpin for MapState<T> {}

impl<F: Fn(In) -> Out, In, Out, Error, E: Env> Exec<E> for Map<F, In, Out, Error> {
    type State<'a>
        = MapState<Out>
    where
        Self: 'a,
        E: 'a;

    type Proof = Infallible;

    #[inline(always)]
    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> MapState<Out> {
        MapState(Some((self.function)(input)))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> MapState<Out> {
        match proof {}
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut MapState<Out>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Result<Out, StopOf<Self, E>>> {
        state.0.take().map_or(Poll::Pending, |out| Poll::Ready(Ok(out)))
    }

    #[inline(always)]
    fn drain<'a>(
        &'a self,
        _: Pin<&mut MapState<Out>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        Poll::Ready(None)
    }
}

/// What a plain function that can fail returns: a `Result` with the error of the pipeline.
#[diagnostic::on_unimplemented(
    message = "the function of `.try_map` has to return a `Result` with the error `{Error}`; this one returns `{Self}`",
    label = "does not fail with the error of the pipeline",
    note = "all of a pipeline has one error type: `result.map_err(f)` in the function converts it",
    note = "for a function that cannot fail use `.map(f)`, for an async one `.then(node(\"id\", f))`"
)]
pub trait Fallible<Error> {
    /// What it yields.
    type Out;
}

impl<Out, Error> Fallible<Error> for Result<Out, Error> {
    type Out = Out;
}

/// A plain function that can fail.
pub struct TryMap<F, In, Out, Error> {
    function: F,
    types: PhantomData<fn(In) -> (Out, Error)>,
}

impl<F, In, Out, Error> TryMap<F, In, Out, Error> {
    pub(crate) const fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<F, In, Out, Error> fmt::Debug for TryMap<F, In, Out, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<F>())
    }
}

impl<F, In, Out, Error> Node for TryMap<F, In, Out, Error> {
    type In = In;
    type Out = Out;
    type Error = Error;

    const NODES: u16 = 0;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

impl<F, In, Out, Error, E> Exec<E> for TryMap<F, In, Out, Error>
where
    F: Fn(In) -> Result<Out, Error>,
    E: Env<Detail: Explain<Error, E>>,
{
    type State<'a>
        = MapState<Result<Out, Error>>
    where
        Self: 'a,
        E: 'a;

    type Proof = Infallible;

    #[inline(always)]
    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        MapState(Some((self.function)(input)))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {}
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Result<Out, StopOf<Self, E>>> {
        match state.0.take() {
            Some(Ok(out)) => Poll::Ready(Ok(out)),
            Some(Err(error)) => {
                let info = E::Detail::explain(&error, at, cx, local);
                Poll::Ready(Err(Stop::Error(error, info)))
            }
            None => Poll::Pending,
        }
    }

    #[inline(always)]
    fn drain<'a>(
        &'a self,
        _: Pin<&mut Self::State<'a>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        Poll::Ready(None)
    }
}

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
