//! A node whose reservations are stored before its calls go out.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use crate::{
    exec::{Cx, Env, Exec, Local, Node, Stop, StopOf, Stops, Walk},
    meter::Meter,
    slot::Place,
    store::{Begun, Durability},
};

/// The body of a node that reserves ahead: what it asks for is stored when it lets go of the task, and then it goes on.
#[derive(Debug, Clone, Copy)]
pub struct WriteAhead<B>(pub(crate) B);

impl<B: Node> Node for WriteAhead<B> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES;
    const SKIPPED: u16 = B::SKIPPED;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.0.walk(walk);
    }
}

/// Where a [`WriteAhead`] is in its work.
#[pin_project(project = StateProj)]
#[derive(Debug)]
pub struct WriteAheadState<S, W> {
    #[pin]
    body: S,
    /// The write that the body waits for.
    #[pin]
    writing: Option<W>,
}

impl<B, E> Exec<E> for WriteAhead<B>
where
    B: Exec<E>,
    E: Env,
{
    type State<'a>
        = WriteAheadState<B::State<'a>, <E::Store as Durability>::Writing<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = B::Proof;

    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<B::Proof> {
        self.0.resumable(at, local)
    }

    #[inline]
    fn start<'a>(&'a self, input: B::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        WriteAheadState { body: self.0.start(input, at, cx, local), writing: None }
    }

    #[inline]
    fn resume<'a>(&'a self, proof: B::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        WriteAheadState { body: self.0.resume(proof, at, cx, local), writing: None }
    }

    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<B::Out, StopOf<B, E>>> {
        let StateProj { mut body, mut writing } = state.project();
        loop {
            // The body is left alone for so long: what it waits for beside it, it is asked again about afterwards.
            if let Some(under_way) = writing.as_mut().as_pin_mut() {
                let written = ready!(E::Store::poll_write(under_way, &mut local.session, task));
                writing.set(None);
                match written {
                    Ok(()) => E::Budget::written_ahead(&local.book),
                    Err(fault) => return Poll::Ready(Err(Stop::Halt(E::Detail::stop(fault, at)))),
                }
            }
            E::Budget::ahead(&local.book, E::Store::DURABLE);
            let polled = self.0.poll(body.as_mut(), at, cx, local, task);
            let asked = E::Budget::asked_ahead(&local.book);
            if !asked || polled.is_ready() {
                return polled;
            }
            let mut room = Default::default();
            let bytes = E::Budget::bytes(E::Budget::ledger(&local.book), cx.now(), &mut room);
            match E::Store::put_ledger(&mut local.session, bytes) {
                Begun::Done(Ok(())) => E::Budget::written_ahead(&local.book),
                Begun::Done(Err(fault)) => return Poll::Ready(Err(Stop::Halt(E::Detail::stop(fault, at)))),
                Begun::Pending(write) => writing.set(Some(write)),
            }
        }
    }

    fn has_failed<'a>(state: &Self::State<'a>) -> bool
    where
        Self: 'a,
        E: 'a,
    {
        B::has_failed(&state.body)
    }

    fn drain<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        // A write that is under way may be dropped: nothing has been called for it.
        self.0.drain(state.project().body, at, cx, local, task)
    }
}
