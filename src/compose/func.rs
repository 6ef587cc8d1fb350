//! An async function of the input alone as the body of a node.

use core::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use crate::{
    exec::{Cx, Detail, Env, Exec, Local, Node, Stop, StopOf, Walk, from_input_alone},
    slot::Place,
};

/// What the function of a node returns: a future that yields a `Result`.
#[diagnostic::on_unimplemented(
    message = "the function of a node has to be `async` and return a `Result`; this one returns `{Self}`",
    label = "not an `async` function that returns a `Result`",
    note = "for a plain function use `.map(f)` or, when it returns a `Result`, `.try_map(f)`",
    note = "where nothing can go wrong, return `Ok(..)` with the error type of the pipeline"
)]
pub trait NodeFuture: Future<Output = Result<Self::Out, Self::Error>> {
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
}

#[diagnostic::do_not_recommend]
impl<F, Out, Error> NodeFuture for F
where
    F: Future<Output = Result<Out, Error>>,
{
    type Out = Out;
    type Error = Error;
}

/// An async function that takes the input alone: every `async fn(In) -> Result<Out, Error>`.
pub trait NodeFn<In>: Fn(In) -> Self::Fut {
    /// What it returns.
    type Fut: NodeFuture<Out = Self::Out, Error = Self::Error>;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
}

impl<F, In, Fut> NodeFn<In> for F
where
    F: Fn(In) -> Fut,
    Fut: NodeFuture,
{
    type Fut = Fut;
    type Out = Fut::Out;
    type Error = Fut::Error;
}

/// The body of a node that is an async function of the input alone.
pub struct FnNode<F, In, Fut> {
    function: F,
    types: PhantomData<fn(In) -> Fut>,
}

impl<F, In, Fut> FnNode<F, In, Fut> {
    pub(crate) const fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn function(&self) -> &F {
        &self.function
    }
}

impl<F, In, Fut> fmt::Debug for FnNode<F, In, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<F>())
    }
}

impl<F: Clone, In, Fut> Clone for FnNode<F, In, Fut> {
    fn clone(&self) -> Self {
        Self::new(self.function.clone())
    }
}

impl<F: Copy, In, Fut> Copy for FnNode<F, In, Fut> {}

impl<F, In, Fut: NodeFuture> Node for FnNode<F, In, Fut> {
    type In = In;
    type Out = Fut::Out;
    type Error = Fut::Error;

    const NODES: u16 = 0;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

/// The future of a node's function.
#[pin_project]
#[derive(Debug)]
pub struct FnState<Fut>(#[pin] pub(super) Fut);

impl<F, In, Fut, E> Exec<E> for FnNode<F, In, Fut>
where
    F: Fn(In) -> Fut,
    Fut: NodeFuture,
    E: Env,
{
    type State<'a>
        = FnState<Fut>
    where
        Self: 'a,
        E: 'a;

    from_input_alone!(E);

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> FnState<Fut> {
        FnState((self.function)(input))
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut FnState<Fut>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Fut::Out, StopOf<Self, E>>> {
        poll_future(state.project().0, task)
    }
}

#[inline(always)]
pub(super) fn poll_future<Fut: NodeFuture, D: Detail>(
    future: Pin<&mut Fut>,
    task: &mut Context<'_>,
) -> Poll<Result<Fut::Out, Stop<Fut::Error, D>>> {
    future.poll(task).map_err(|error| Stop::Error(error, D::Info::default()))
}
