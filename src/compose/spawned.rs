//! A node that runs on tokio's pool, so that it can use another core.

use core::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::task::{JoinError, JoinHandle};

use super::func::{FnNode, NodeFuture};
use crate::{
    exec::{Cx, Detail, Exec, Full, Halt, Info, Local, Node, Reporting, Stop, StopOf, Walk, Why},
    observe::Tracer,
    said::Said,
    slot::Place,
    text::Words,
};

/// An async function on tokio's pool.
///
/// # Cancel safety
/// Dropping it aborts the task, which then ends at its next await point.
#[derive(Debug, Clone, Copy)]
pub struct Spawned<B>(pub(crate) B);

impl<B: Node> Node for Spawned<B> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES;
    const SKIPPED: u16 = B::SKIPPED;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.0.walk(walk);
    }
}

/// A task on the pool, aborted when this is dropped.
#[derive(Debug)]
pub struct SpawnedState<T>(JoinHandle<T>);

impl<T> Drop for SpawnedState<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<F, In, Fut, E> Exec<E> for Spawned<FnNode<F, In, Fut>>
where
    F: Fn(In) -> Fut,
    Fut: NodeFuture + Send + 'static,
    Fut::Out: Send + 'static,
    Fut::Error: Send + 'static,
    E: Reporting,
{
    type State<'a>
        = SpawnedState<Result<Fut::Out, Fut::Error>>
    where
        Self: 'a,
        E: 'a;

    type Proof = Infallible;

    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        SpawnedState(tokio::spawn(<E::Trace as Tracer>::carried(self.0.function()(input))))
    }

    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {}
    }

    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        _: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Fut::Out, StopOf<Self, E>>> {
        Poll::Ready(match ready!(Pin::new(&mut state.0).poll(task)) {
            Ok(Ok(out)) => Ok(out),
            Ok(Err(error)) => Err(Stop::Error(error, Info::default())),
            Err(error) if error.is_cancelled() => Err(Stop::Halt(Halt::new(Why::Cancelled))),
            Err(error) => Err(Stop::Halt(panicked(error, at, local))),
        })
    }

    fn drain<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        _: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        // Aborting is only asked for: the task ends at its next await point, and nothing else is to begin before that.
        state.0.abort();
        Poll::Ready(match ready!(Pin::new(&mut state.0).poll(task)) {
            // A panic on the way out is no less of one, and another attempt would come to it again.
            Err(error) if error.is_panic() => Some(Stop::Halt(panicked(error, at, local))),
            _ => None,
        })
    }
}

/// The stop of a task that panicked; the run keeps what it said.
fn panicked<E: Reporting>(error: JoinError, at: Place, local: &mut Local<'_, E>) -> Halt {
    let mut halt = Halt::new(Why::Panicked);
    Full::place(&mut halt, at);
    local.run.said.add(halt.info.node, Said::Panic(message(error)));
    halt
}

/// What a task that did not end properly said.
fn message(error: JoinError) -> Words {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<alloc::string::String>().map(|text| text.as_str()));
            Words::of(text.unwrap_or("a panic without a message"))
        }
        Err(error) => Words::of(error),
    }
}
