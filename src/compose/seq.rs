//! One node after the other.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use crate::{
    exec::{Cx, Env, Exec, Local, Node, StopOf, Walk},
    slot::Place,
};

/// First `A`, then `B` with what `A` yielded.
#[derive(Debug, Clone, Copy)]
pub struct Seq<A, B> {
    first: A,
    second: B,
}

impl<A, B> Seq<A, B> {
    pub(crate) const fn new(first: A, second: B) -> Self {
        Self { first, second }
    }

    #[cfg(test)]
    pub(crate) const fn parts(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }
}

impl<A: Node, B: Node> Seq<A, B> {
    /// The place of the first: what it yields is not the run's own output unless only plain functions come after it.
    #[inline(always)]
    const fn at_first(at: Place) -> Place {
        if B::NODES == 0 { at } else { at.not_last() }
    }
}

impl<A: Node, B: Node<In = A::Out, Error = A::Error>> Node for Seq<A, B> {
    type In = A::In;
    type Out = B::Out;
    type Error = A::Error;

    const NODES: u16 = A::NODES.saturating_add(B::NODES);
    const SKIPPED: u16 = A::SKIPPED.saturating_add(B::SKIPPED);

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.first.walk(walk);
        self.second.walk(walk);
    }
}

/// Which of the two a [`Seq`] is at.
#[pin_project(project = StateProj)]
#[derive(Debug)]
pub enum SeqState<A, B> {
    /// The first.
    First(#[pin] A),
    /// The second.
    Second(#[pin] B),
}

/// From where a [`Seq`] can go on.
#[derive(Debug, Clone, Copy)]
pub enum SeqProof<A, B> {
    /// From within the first, so that the second is yet to begin.
    First(A),
    /// From within the second.
    Second(B),
}

impl<A, B, E> Exec<E> for Seq<A, B>
where
    E: Env,
    A: Exec<E>,
    B: Exec<E> + Node<In = A::Out, Error = A::Error>,
{
    type State<'a>
        = SeqState<A::State<'a>, B::State<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = SeqProof<A::Proof, B::Proof>;

    #[inline(always)]
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        // The later one first: what was reached there makes everything before it unnecessary.
        match self.second.resumable(at.skip(A::NODES), local) {
            Some(proof) => Some(SeqProof::Second(proof)),
            None => self.first.resumable(Self::at_first(at), local).map(SeqProof::First),
        }
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: A::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        SeqState::First(self.first.start(input, Self::at_first(at), cx, local))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Self::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {
            SeqProof::First(proof) => SeqState::First(self.first.resume(proof, Self::at_first(at), cx, local)),
            SeqProof::Second(proof) => SeqState::Second(self.second.resume(proof, at.skip(A::NODES), cx, local)),
        }
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<B::Out, StopOf<A, E>>> {
        let second = at.skip(A::NODES);
        if let StateProj::First(first) = state.as_mut().project() {
            let out = ready!(self.first.poll(first, Self::at_first(at), cx, local, task))?;
            let begun = self.second.start(out, second, cx, local);
            state.set(SeqState::Second(begun));
        }
        match state.project() {
            StateProj::Second(state) => self.second.poll(state, second, cx, local, task),
            StateProj::First(_) => Poll::Pending,
        }
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
        match state.project() {
            StateProj::First(state) => self.first.drain(state, Self::at_first(at), cx, local, task),
            StateProj::Second(state) => self.second.drain(state, at.skip(A::NODES), cx, local, task),
        }
    }
}
