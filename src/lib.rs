//! Statically typed pipelines with reliability built in.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// Nothing in the library may panic; tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used,
        // What is in `core` comes from there, so that no build of the core finds out too late.
        clippy::alloc_instead_of_core,
        clippy::std_instead_of_alloc,
        clippy::std_instead_of_core
    )
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod chain;
mod clock;
mod compose;
mod describe;
mod exec;
mod failure;
mod hash;
mod into_node;
mod layer;
mod never;
mod observe;
mod pipeline;
mod policy;
mod run;
mod runner;
mod slot;
pub mod store;
mod text;

#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use clock::{Clock, NoClock, Now};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use clock::{ManualClock, ManualSleep};
pub use compose::{CxFn, IdempotencyKey, NodeCx, NodeFn, NodeFuture, Par, Provides, Seq};
pub use describe::Description;
pub use exec::{
    Bare, Cx, Detail, Env, Exec, Explain, Fresh, Full, Local, Node, NodeInfo, Reporting, SendExec, Stop, StopOf, Stops,
    Timed, Walk,
};
pub use failure::{ByFailure, Classifier, FailedAttempt, Failure, FailureClass, FirstOf};
pub use into_node::{IntoBranch, IntoNode, Piece};
pub use layer::{NoRetry, Repeatable, Step};
#[cfg(feature = "alloc")]
pub use observe::{Event, ListTrace, Outcome, Trace};
pub use observe::{NoTrace, Record, Tracer};
#[doc(hidden)]
pub use pipeline::{__beside, __par_chained, __types_of};
pub use pipeline::{Pipeline, Sealed, node, node_with, par};
pub use policy::{Backoff, PolicyMap, ms, secs};
pub use run::{RUN_ID_MAX, Report, RunId, RunIdError, RunStatus, Spent};
#[cfg(feature = "tokio")]
pub use runner::Quick;
pub use runner::{Build, BuildError, Builder, Caps, Cause, Completed, Halted, NoContext, Resumable, Run, Runner};
pub use slot::{Place, Slot, SlotKind};

/// The types that pipelines are made of. They stand in signatures and in error messages; nobody has to write them.
pub mod parts {
    #[cfg(feature = "tokio")]
    pub use crate::compose::Spawned;
    pub use crate::{
        chain::{Fold, Nil, One, Push, Tune, Zero},
        compose::{Chained, CxNode, Fallible, Fast, Flat, FnNode, Forkable, Map, MapErr, Par, Seq, Settleable, TryMap},
        describe::Shown,
        into_node::{Itself, Known, Same},
        layer::{Deadline, FromStart, Inherit, Inner, Leaf, Once, Policy, Skipped, Step, Stored, Unlimited, Within},
        never::Never,
        pipeline::{CxStep, FnStep, MapStep, TryMapStep},
    };
}

/// What a program that uses pipelines wants in scope.
pub mod prelude {
    #[cfg(feature = "tokio")]
    pub use crate::Quick;
    pub use crate::{
        Backoff, Cause, Completed, Failure, FailureClass, Halted, NodeCx, PolicyMap, RunId, RunStatus, Runner, Sealed,
        SendExec, ms, node, node_with, par, secs,
    };
}
