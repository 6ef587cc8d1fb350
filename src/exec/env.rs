//! What a node runs in: the environment of all runs, and the two halves of one.

use core::{fmt, time::Duration};

use super::stop::{Detail, Stop, Stops};
use crate::{clock::Now, failure::FailureClass, meter::Meter, observe::Tracer, slot::Place, store::Durability};

/// What a run has: each capability is a type, and its absence a type without size.
pub trait Env: Sized {
    /// Where checkpoints are kept.
    type Store: Durability;
    /// How failures are tried again where a node does not say.
    type Policy;
    /// Who is asked first what a failure means.
    type Classifier;
    /// Where time comes from.
    type Clock: Now;
    /// Who sees what happens.
    type Trace: Tracer;
    /// What nodes are given beside their input.
    type Context;
    /// What is known of a run.
    type Detail: Detail + Stops<<Self::Store as Durability>::Fault> + Stops<<Self::Budget as Meter>::Over>;
    /// Whether it keeps account of what is spent.
    type Budget: Meter;

    /// The store.
    fn store(&self) -> &Self::Store;
    /// The policy.
    fn policy(&self) -> &Self::Policy;
    /// The classifier.
    fn classifier(&self) -> &Self::Classifier;
    /// The clock.
    fn clock(&self) -> &Self::Clock;
    /// The context.
    fn context(&self) -> &Self::Context;
    /// The trace.
    fn trace(&self) -> &Self::Trace;
    /// The budget.
    fn budget(&self) -> &Self::Budget;
}

/// The shared half of a run: the environment, for as long as the run is.
#[derive(Debug)]
pub struct Cx<'a, E> {
    /// The environment.
    pub env: &'a E,
}

impl<E> Clone for Cx<'_, E> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Cx<'_, E> {}

impl<E: Env> Cx<'_, E> {
    /// The time by the runner's clock.
    #[inline(always)]
    pub fn now(self) -> Duration {
        self.env.clock().now()
    }

    /// The time at the beginning or the end of an attempt, for those who observe it and for its account; the clock is not read
    /// where none of them asks.
    #[inline(always)]
    pub(crate) fn moment(self) -> Duration {
        if <E::Trace as Tracer>::TIMED || <E::Budget as Meter>::METERED { self.now() } else { Duration::ZERO }
    }
}

/// The exclusive half of a run: what only the future of this run touches, so without locks.
pub struct Local<'a, E: Env + 'a> {
    pub(crate) session: <E::Store as Durability>::Session<'a>,
    pub(crate) run: <E::Detail as Detail>::Run,
    pub(crate) log: <E::Trace as Tracer>::Log,
    pub(crate) book: <E::Budget as Meter>::Book<'a>,
}

impl<E: Env> fmt::Debug for Local<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl<E: Env> Local<'_, E> {
    /// Whether the store holds the output of the node with this id at this place, with a proof of it.
    pub fn holds(&self, id: &'static str, at: Place) -> Option<ProofOf<E>> {
        E::Store::holds(&self.session, at.output(id))
    }
}

/// What proves in `E` that something can be resumed.
pub(crate) type ProofOf<E> = <<E as Env>::Store as Durability>::Proof;

/// Whether a run can say what is to be known of an `Er`.
pub trait Explain<Er, E: Env>: Detail {
    /// Which node failed, and how that is to be answered.
    fn explain(error: &Er, at: Place, cx: Cx<'_, E>, local: &Local<'_, E>) -> Self::Info;

    /// The class of a stop.
    fn class(stop: &Stop<Er, Self>) -> FailureClass;
}
