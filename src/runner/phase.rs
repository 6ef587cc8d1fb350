//! What a run is doing, and how it is to begin.

use pin_project::pin_project;

use crate::{
    exec::{Env, Exec, Node, ProofOf, StopOf},
    meter::Meter,
    store::Durability,
};

/// How a run is to begin.
#[derive(Debug)]
pub(super) enum How<'a, In, P> {
    Start(In),
    Resume(P),
    ResumeFrom(P, &'a str),
}

/// What a run is doing.
#[pin_project(project = PhaseProj, project_replace = PhaseOwned)]
pub(super) enum Phase<H, O, W, S, K, L> {
    /// It was not polled yet.
    Begin { how: H },
    /// It waits for the store to open.
    Opening {
        how: H,
        #[pin]
        opening: O,
    },
    /// The run exists already and is to be looked into.
    Looking { how: H },
    /// It reads or writes what has to be known or kept before the first node.
    Preparing {
        how: H,
        #[pin]
        work: W,
    },
    /// The nodes are at work.
    Running {
        #[pin]
        state: S,
    },
    /// The nodes are over, and what they spent is being saved.
    Closing {
        stop: K,
        #[pin]
        ledger: L,
    },
    /// It is over.
    Over,
}

/// What a run waits for before its first node.
#[pin_project(project = WorkProj)]
pub(super) enum Work<W, R> {
    SavingInput(#[pin] W),
    ReadingInput(#[pin] R),
    Discarding(#[pin] W),
}

pub(super) type PhaseOf<'a, N, E> = Phase<
    How<'a, <N as Node>::In, ProofOf<E>>,
    <<E as Env>::Store as Durability>::Opening<'a>,
    Work<<<E as Env>::Store as Durability>::Writing<'a>, <<E as Env>::Store as Durability>::Reading<'a>>,
    <N as Exec<E>>::State<'a>,
    <<E as Env>::Budget as Meter>::Hold<StopOf<N, E>>,
    <<E as Env>::Store as Durability>::Writing<'a>,
>;

pub(super) type FaultOf<E> = <<E as Env>::Store as Durability>::Fault;

/// What comes after a step of the preparation: another phase, or the end of a run that cannot begin.
pub(super) type Next<'a, N, E> = Result<PhaseOf<'a, N, E>, FaultOf<E>>;
