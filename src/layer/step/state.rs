//! Where a step is in its work.

use pin_project::pin_project;

use crate::{
    exec::{Env, Exec, Node},
    layer::{
        checkpoint::Keep,
        retry::Retries,
        timeout::{Alarm, Limit},
    },
    meter::Meter,
    observe::Tracer,
};

/// From where a [`Step`](super::Step) can go on.
#[derive(Debug, Clone, Copy)]
pub enum StepProof<K, B> {
    /// Its own output is in the store.
    Output(K),
    /// Its body can go on.
    Body(B),
}

/// Where a [`Step`](super::Step) is in its work.
#[pin_project(project = StateProj)]
pub struct StepState<Kept, Tally, V, P> {
    pub(super) kept: Kept,
    pub(super) tally: Tally,
    pub(super) visit: V,
    #[pin]
    pub(super) phase: P,
}

impl<Kept, Tally, V, P> core::fmt::Debug for StepState<Kept, Tally, V, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepState").finish_non_exhaustive()
    }
}

/// What a [`Step`](super::Step) is doing; a phase that its options rule out has no values.
#[pin_project(project = PhaseProj)]
#[derive(Debug)]
pub enum Phase<B, T, O, M, A, W, C, S, L, X, G> {
    /// The body is at work.
    Try {
        /// Its state.
        #[pin]
        body: B,
        /// The timer.
        #[pin]
        timer: Alarm<T, O>,
        /// What the observers remember of its beginning.
        mark: M,
        /// What it spent.
        tab: A,
    },
    /// It waits before another attempt.
    Wait(#[pin] W),
    /// It throws away what the last attempt had done.
    Clear(#[pin] C),
    /// It waits for its output to be saved.
    Save {
        /// The write.
        #[pin]
        saving: S,
        /// Whether the run has to stop then, for what it spent.
        over: Option<X>,
    },
    /// It waits for its output to be read.
    Load(#[pin] L),
    /// It does not begin, since the budget is used up.
    Refused(X),
    /// What it held is given back, and it goes on to another phase.
    Gone(G),
}

/// The phases of a step with body `B`, retries `R`, limit `T` and role `K` in `E`.
pub(super) type PhaseOf<'a, B, R, T, K, E> = Phase<
    <B as Exec<E>>::State<'a>,
    <T as Limit<E>>::Timer<'a>,
    <T as Limit<E>>::Late,
    <<E as Env>::Trace as Tracer>::Mark,
    <<E as Env>::Budget as Meter>::Tab,
    <R as Retries<<B as Node>::In, <B as Node>::Error, E>>::Wait<'a>,
    <R as Retries<<B as Node>::In, <B as Node>::Error, E>>::Clearing<'a>,
    <K as Keep<<B as Node>::Out, E>>::Saving<'a>,
    <K as Keep<<B as Node>::Out, E>>::Loading<'a>,
    <<E as Env>::Budget as Meter>::Over,
    <<E as Env>::Budget as Meter>::Gone,
>;
