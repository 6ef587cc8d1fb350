//! Plain functions between nodes. They have no id and no checkpoint: after a resume they are simply called again.

use core::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    exec::{Cx, Env, Exec, Explain, Local, Node, Stop, StopOf, Walk, from_input_alone},
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

    from_input_alone!(E);

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> MapState<Out> {
        MapState(Some((self.function)(input)))
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

    from_input_alone!(E);

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        MapState(Some((self.function)(input)))
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
}
