//! A limit of time over a whole subtree, retries and waits included.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::pin_project;

use crate::{
    clock::Clock,
    exec::{Cx, Detail, Exec, Full, Halt, Layer, Local, Node, NodeInfo, Stop, StopOf, Timed, Walk, Why, ends},
    slot::Place,
    store::Durability,
};

/// A body that has to be over within a time, however often it tries.
///
/// # Cancel safety
/// When the time is over the body is dropped once what it is saving is saved; what was checkpointed stays.
#[derive(Debug, Clone, Copy)]
pub struct Deadline<N> {
    body: N,
    limit: Duration,
}

impl<N> Deadline<N> {
    pub(crate) const fn new(body: N, limit: Duration) -> Self {
        Self { body, limit }
    }
}

impl<N: Node> Deadline<N> {
    /// The stop of a body whose time is over; it names the node where the body is a single one.
    #[cold]
    fn over(&self, at: Place) -> Halt {
        let mut halt = Halt::new(Why::Deadline { limit: self.limit });
        if N::NODES == 1
            && let Some((NodeInfo { id, .. }, _)) = ends(&self.body)
        {
            Full::place(&mut halt, at.with_id(id, id));
        }
        halt
    }
}

impl<N: Node> Node for Deadline<N> {
    type In = N::In;
    type Out = N::Out;
    type Error = N::Error;

    const NODES: u16 = N::NODES;
    const SKIPPED: u16 = N::SKIPPED;

    fn walk<W: Walk>(&self, walk: &mut W) {
        walk.enter(&Layer::Deadline(self.limit));
        self.body.walk(walk);
        walk.leave();
    }
}

/// Where a [`Deadline`] is in its work.
#[pin_project(project = StateProj)]
#[derive(Debug)]
pub struct DeadlineState<S, T> {
    #[pin]
    body: S,
    until: Duration,
    #[pin]
    timer: Option<T>,
    over: bool,
}

impl<N: Exec<E>, E: Timed> Exec<E> for Deadline<N> {
    type State<'a>
        = DeadlineState<N::State<'a>, <E::Clock as Clock>::Sleep<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = N::Proof;

    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<N::Proof> {
        self.body.resumable(at, local)
    }

    #[inline]
    fn start<'a>(&'a self, input: N::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let until = cx.now().saturating_add(self.limit);
        let body = self.body.start(input, at.with_deadline(until), cx, local);
        DeadlineState { body, until, timer: None, over: false }
    }

    #[inline]
    fn resume<'a>(&'a self, proof: N::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let until = cx.now().saturating_add(self.limit);
        let body = self.body.resume(proof, at.with_deadline(until), cx, local);
        DeadlineState { body, until, timer: None, over: false }
    }

    #[inline]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<N::Out, StopOf<N, E>>> {
        let StateProj { mut body, until, mut timer, over } = state.project();
        let at = at.with_deadline(*until);
        if !*over {
            // The body first: one that is ready at its last moment made it.
            if let Poll::Ready(ended) = self.body.poll(body.as_mut(), at, cx, local, task) {
                return Poll::Ready(ended);
            }
            if timer.is_none() {
                timer.set(Some(cx.env.clock().sleep(until.saturating_sub(cx.now()))));
            }
            let Some(timer) = timer.as_pin_mut() else { return Poll::Pending };
            ready!(timer.poll(task));
            *over = true;
            E::Store::hurry(&mut local.session);
        }
        let kept_back = ready!(self.body.drain(body, at, cx, local, task));
        // What is graver than a time that is over was there before it.
        Poll::Ready(Err(match kept_back {
            Some(stop) if E::Detail::is_grave(&stop) => stop,
            _ => Stop::Halt(self.over(at)),
        }))
    }

    fn drain<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        self.body.drain(state.project().body, at, cx, local, task)
    }
}
