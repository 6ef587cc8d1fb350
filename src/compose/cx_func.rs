//! An async function that takes more than the input as the body of a node.

use core::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    func::{FnState, NodeFuture, poll_future},
    node_cx::{NodeCx, Provides},
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Local, Node, StopOf, Walk, from_input_alone},
    meter::Meter,
    slot::Place,
};

/// An async function that takes the input and a [`NodeCx`]: every `async fn(In, NodeCx<'_, C>) -> Result<Out, Error>`.
///
/// A trait of its own, since the future borrows from the context, and `Fn` alone cannot say so.
pub trait CxFn<'a, In, C: 'a>: Fn(In, NodeCx<'a, C>) -> Self::Fut {
    /// What it returns.
    type Fut: NodeFuture<Out = Self::Out, Error = Self::Error>;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
}

impl<'a, F, In, C: 'a, Fut> CxFn<'a, In, C> for F
where
    F: Fn(In, NodeCx<'a, C>) -> Fut,
    Fut: NodeFuture,
{
    type Fut = Fut;
    type Out = Fut::Out;
    type Error = Fut::Error;
}

/// An async function that takes a [`NodeCx`] too.
pub struct CxNode<F, In, C, Out, Error> {
    function: F,
    types: PhantomData<fn(In, C) -> (Out, Error)>,
}

impl<F, In, C, Out, Error> CxNode<F, In, C, Out, Error> {
    pub(crate) const fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<F, In, C, Out, Error> fmt::Debug for CxNode<F, In, C, Out, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<F>())
    }
}

impl<F, In, C, Out, Error> Node for CxNode<F, In, C, Out, Error> {
    type In = In;
    type Out = Out;
    type Error = Error;

    const NODES: u16 = 0;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

impl<F, In, C, Out, Error, E> Exec<E> for CxNode<F, In, C, Out, Error>
where
    F: for<'a> CxFn<'a, In, C, Out = Out, Error = Error>,
    C: 'static,
    E: Env,
    E::Context: Provides<C>,
{
    type State<'a>
        = FnState<<F as CxFn<'a, In, C>>::Fut>
    where
        Self: 'a,
        E: 'a;

    from_input_alone!(E);

    #[inline(always)]
    fn start<'a>(&'a self, input: In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        FnState((self.function)(
            input,
            NodeCx {
                context: cx.env.context().provide(),
                run: E::Detail::id(&local.run).copied(),
                node: at.id,
                key: at.key,
                instance: at.instance,
                attempt: at.attempt,
                began: E::Budget::seen(&local.book),
                spender: E::Budget::spender(&local.book, at.scope),
            },
        ))
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, StopOf<Self, E>>> {
        poll_future(state.project().0, task)
    }
}
