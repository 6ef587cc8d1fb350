//! A limit of spend for a part of a pipeline, inside the limit of the run.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use crate::{
    budget::{Budget, Scope},
    exec::{Cx, Env, Exec, Layer, Local, Node, NodeInfo, Stop, StopOf, Stops, Walk, ends},
    hash::{FNV_START, fnv1a},
    meter::{Meter, Metered},
    slot::Place,
};

/// A body that may spend so much and no more, however often it tries.
#[derive(Debug, Clone, Copy)]
pub struct Budgeted<N> {
    body: N,
    budget: Budget,
    /// What it is known by in a stored ledger.
    key: u32,
}

impl<N: Node> Budgeted<N> {
    pub(crate) fn new(body: N, budget: Budget) -> Self {
        // Known by where it begins and ends, so that it finds what it spent before a crash also when others came or went.
        let key = ends(&body).into_iter().flat_map(<[NodeInfo; 2]>::from).fold(FNV_START, |hash, node| {
            // No id has this in it, so two never run together.
            fnv1a(fnv1a(hash, node.stored_as().as_bytes()), b"\0")
        });
        // The cast keeps the half that FNV-1a mixes best.
        Self { body, budget, key: (key ^ (key >> 32)) as u32 }
    }
}

impl<N: Node> Node for Budgeted<N> {
    type In = N::In;
    type Out = N::Out;
    type Error = N::Error;

    const NODES: u16 = N::NODES;
    const SKIPPED: u16 = N::SKIPPED;

    fn walk<W: Walk>(&self, walk: &mut W) {
        walk.enter(&Layer::Budget(&self.budget));
        self.body.walk(walk);
        walk.leave();
    }
}

/// Where a [`Budgeted`] is in its work.
#[pin_project(project = StateProj)]
#[derive(Debug)]
pub enum BudgetedState<S, X> {
    /// The body is at work.
    Within {
        /// Its state.
        #[pin]
        body: S,
        /// Its account.
        scope: Scope,
    },
    /// There was no room for its account.
    Refused(X),
}

impl<N, E> Exec<E> for Budgeted<N>
where
    N: Exec<E>,
    E: Env<Budget: Metered>,
{
    type State<'a>
        = BudgetedState<N::State<'a>, <E::Budget as Meter>::Over>
    where
        Self: 'a,
        E: 'a;

    type Proof = N::Proof;

    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<N::Proof> {
        self.body.resumable(at, local)
    }

    #[inline]
    fn start<'a>(&'a self, input: N::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        match self.enter(at, cx, local) {
            Ok(scope) => {
                let body = self.body.start(input, at.with_scope(scope), cx, local);
                BudgetedState::Within { body, scope }
            }
            Err(over) => BudgetedState::Refused(over),
        }
    }

    #[inline]
    fn resume<'a>(&'a self, proof: N::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        match self.enter(at, cx, local) {
            Ok(scope) => {
                let body = self.body.resume(proof, at.with_scope(scope), cx, local);
                BudgetedState::Within { body, scope }
            }
            Err(over) => BudgetedState::Refused(over),
        }
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
        match state.project() {
            StateProj::Within { body, scope } => {
                let ended = ready!(self.body.poll(body, at.with_scope(*scope), cx, local, task));
                E::Budget::leave(&local.book, *scope, cx.now());
                Poll::Ready(ended)
            }
            StateProj::Refused(over) => {
                E::Budget::no_room(&mut local.book);
                Poll::Ready(Err(Stop::Halt(E::Detail::stop(*over, at))))
            }
        }
    }

    fn has_failed<'a>(state: &Self::State<'a>) -> bool
    where
        Self: 'a,
        E: 'a,
    {
        matches!(state, BudgetedState::Within { body, .. } if N::has_failed(body))
    }

    fn drain<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        match state.project() {
            StateProj::Within { body, scope } => {
                let drained = ready!(self.body.drain(body, at.with_scope(*scope), cx, local, task));
                E::Budget::leave(&local.book, *scope, cx.now());
                Poll::Ready(drained)
            }
            StateProj::Refused(_) => Poll::Ready(None),
        }
    }
}

impl<N> Budgeted<N> {
    fn enter<'a, E>(
        &self,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Result<Scope, <E::Budget as Meter>::Over>
    where
        E: Env<Budget: Metered>,
    {
        E::Budget::enter(&mut local.book, at.scope, self.key, &self.budget, cx.now())
    }
}
