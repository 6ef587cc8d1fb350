//! Typed pipelines of fallible async steps, with retries, time-outs and crash-safe checkpoints built in.
//!
//! A pipeline is one generic type. What does not fit together does not compile, and a capability that is not switched on costs
//! no instruction, no byte and no trait bound.
//!
//! ```
//! use postcard_schema::Schema;
//! use serde::{Deserialize, Serialize};
//! use stroma::prelude::*;
//!
//! // What goes from node to node. A runner that keeps checkpoints wants these derives; one that keeps none wants nothing.
//! #[derive(Clone, Serialize, Deserialize, Schema)]
//! struct Words(Vec<String>);
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("the document is empty")]
//! struct AppError;
//!
//! // Says which failures are worth another try; nothing said means nobody knows.
//! impl Failure for AppError {}
//!
//! struct App {
//!     title: &'static str,
//! }
//!
//! async fn extract(document: String) -> Result<Words, AppError> {
//!     let words: Vec<_> = document.split_whitespace().map(str::to_owned).collect();
//!     if words.is_empty() { Err(AppError) } else { Ok(Words(words)) }
//! }
//!
//! async fn count(words: Words) -> Result<u32, AppError> {
//!     Ok(words.0.len() as u32)
//! }
//!
//! async fn longest(words: Words) -> Result<String, AppError> {
//!     words.0.into_iter().max_by_key(String::len).ok_or(AppError)
//! }
//!
//! async fn report((count, longest): (u32, String), cx: NodeCx<'_, App>) -> Result<String, AppError> {
//!     Ok(format!("{}: {count} words, the longest is `{longest}`", cx.context().title))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pipeline = node("extract", extract)
//!     .then(par(node("count", count), node("longest", longest).timeout(secs(2))))
//!     .then(node_with("report", report).retry(PolicyMap::default().recoverable(5, Backoff::exponential(ms(200)))));
//!
//! // Checkpoints in memory, the default retries, tokio's clock, a trace.
//! let runner = Runner::quick(pipeline).with_context(App { title: "Notes" }).build()?;
//!
//! let done = runner.run("a pipeline is one generic type".to_owned()).await?;
//! assert_eq!(done.output, "Notes: 6 words, the longest is `pipeline`");
//! assert_eq!(done.report.status, RunStatus::Completed);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//! - [`node`], [`node_with`] and [`par()`] make pipelines; the methods of [`Pipeline`] put them together, and
//!   [the order in which its layers wrap](Pipeline#order) is said there.
//! - [`Runner`] runs them: [`Runner::new`] with nothing switched on, or `Runner::quick` with checkpoints in memory, retries,
//!   tokio's clock and a trace. The latter asks of every type that passes between nodes `Clone`, `Serialize`,
//!   `DeserializeOwned` and `Schema`.
//! - [`Completed`] and [`Halted`] are how a run ends; [`Failure`] is what an error says about itself, and [`PolicyMap`] how it is
//!   tried again.
//! - [`Pipeline::require`] and [`Pipeline::ensure`] check what goes into a node and what comes out of it; `json::decode` reads text
//!   from outside, and `.validated()` applies the rules of a type.
//! - [`Budget`] limits tokens, money and time, of a run with [`Builder::with_budget`] and of a part of it with
//!   [`Pipeline::budget`]. A node reserves before a call and settles after it, with [`NodeCx::reserve`]; [`Pricing`] says
//!   what a [`Usage`] costs, exactly, in [`Usd`].
//! - [`Hooks`] are called at every attempt, and `EventStream` hands the same to async code. A trace comes back with the run:
//!   `ListTrace`, or [`RingTrace`] without a heap. `Builder::with_tracing` makes spans.
//! - A pipeline is drawn by [`Description::mermaid`] and [`Description::dot`], which need no heap. A trace is shown by `Trace::table`
//!   in a terminal and by `Trace::timeline` as SVG, as a page, and in Perfetto.
//! - `Runner::replay` runs a pipeline on the outputs that a trace has kept, and says where it differs.
//! - [`store`] is where checkpoints are kept: in memory, in a file, on a Redis server or in a chip's flash. It has the trait for a
//!   store of your own; [`Exec`] is the trait for a kind of node of your own.
//! - `testing` puts both a store and a pipeline of yours to the test.
//! - The guide, in `docs/src` of the package, has a chapter on each of these, on what a crash can repeat, and on what the compiler
//!   says to early mistakes.
//!
//! # What there is
//! A pipeline takes an `A`, yields a `B` and fails with an `E`; what is in the first column makes another one of it.
//!
//! | what | takes | yields | example |
//! |---|---|---|---|
//! | [`node`] | `A` | `B` | `node("read", read)`: an `async fn(A) -> Result<B, E>` |
//! | [`node_with`] | `A` | `B` | `node_with("read", read)`: the same with a [`NodeCx`] |
//! | [`par()`], [`par!`] | `A: Clone` | `(B, C)` | `par(node("count", count), node("longest", longest))` |
//! | [`then`](Pipeline::then) | `A` | `C` | `.then(node("parse", parse))`: what takes a `B` comes next |
//! | [`map`](Pipeline::map) | `A` | `C` | `.map(\|page\| page.text)`: a plain function |
//! | [`try_map`](Pipeline::try_map) | `A` | `C` | `.try_map(split)`: a plain function that can fail |
//! | [`map_err`](Pipeline::map_err) | `A` | `B`, or an `F` | `.map_err(AppError::from)` |
//! | `json::decode` | text | `T` | `.then(json::decode::<Facts>())` |
//! | [`custom`](Pipeline::custom) | `A` | `B` | `Pipeline::custom(mine)`: a kind of node of your own |
//!
//! These leave `A` and `B` as they are, and [wrap what is to their left](Pipeline#order):
//!
//! | what | for | example |
//! |---|---|---|
//! | [`retry`](Pipeline::retry) | other attempts, by class of failure | `.retry(PolicyMap::default().recoverable(5, Backoff::none()))` |
//! | [`timeout`](Pipeline::timeout) | the time of an attempt | `.timeout(secs(2))` |
//! | [`deadline`](Pipeline::deadline) | the time of all attempts and waits | `.deadline(secs(30))` |
//! | [`budget`](Pipeline::budget) | tokens, money and time of a part | `.budget(Budget::unlimited().cost(Usd::cents(20)))` |
//! | [`require`](Pipeline::require) | a check of the input | `.require(\|text: &String\| !text.is_empty())` |
//! | [`ensure`](Pipeline::ensure) | a check of the output | `.ensure(\|found: &Vec<Fact>\| found.len() < 10)` |
//! | `validated` | the rules of the output's type | `.validated()` |
//! | [`skip_checkpoint`](Pipeline::skip_checkpoint) | an output that is cheap to make again | `.skip_checkpoint()` |
//! | [`was`](Pipeline::was) | a node that had another id | `.was("old")` |
//! | [`write_ahead`](Pipeline::write_ahead) | spend that no crash forgets | `.write_ahead()` |
//! | [`settle`](Pipeline::settle) | branches that end before a failure does | `par(a, b).settle()` |
//! | [`from_start`](Pipeline::from_start) | a retry that begins the chain anew | `.retry(policy).from_start()` |
//! | `spawned` | another core | `.spawned()` |
//! | [`seal`](Pipeline::seal) | a function that returns it | `.seal()`, as [`Sealed`] |
//!
//! # What there is not
//! - Loops, conditions, and a fan-out over a list: not yet. A `match` or a loop within one node does it, without checkpoints of its
//!   own.
//! - Parallel cores, but for `.spawned()`: the branches of [`par()`] take turns on one task.
//! - A rate limit, a circuit breaker, a bulkhead: they belong around the client that a node calls, where several pipelines share them.
//! - Sagas: nothing undoes what a node did. [`Halted`] says how far a run got; a pipeline of your own can take it back.
//! - A human in the loop, signals, timers of days: end the pipeline there, and begin a second one with the answer.
//! - Exactly once for effects on the outside: a node that was cut off runs again, and
//!   [`NodeCx::idempotency_key`] is the same each time.
//! - A scheduler, or anything that picks a run up by itself: whoever calls [`Runner::run_as`] again does.
//!
//! # Features
//! Each only adds items. Without any of them the crate is `no_std` and has no heap. On by default are `alloc`, `json`, `redb`,
//! `std` and `tokio`.
//!
//! - `alloc`: the heap. `HeapStore`, `ListTrace` and its pictures, `ManualClock`, accounts of any number of runs at once.
//! - `derive`: `#[derive(Failure)]`, and `#[stroma::state]` for a type that is kept in checkpoints.
//! - `flash`: `FlashStore`, checkpoints in a chip's own NOR flash, which survive a power cut at any point. Without a heap.
//! - `garde`: `.validated()`, the rules of a type that implements `garde::Validate`. With `std`.
//! - `json`: traces with inputs and outputs, as JSON and back, and in the format of Chrome; with `std` their replay; `json::decode`;
//!   price tables. With `alloc`.
//! - `redb`: `RedbStore`, checkpoints in one file that survives `kill -9`, for several processes. With `std`.
//! - `redis`: `RedisStore`, checkpoints on a server that many machines share, and `Builder::with_redis`. With `tokio`.
//! - `redis-tls`: `rediss://`, the same over TLS. With `redis`.
//! - `reqwest`: `reqwest::Error` as a failure. With `std`.
//! - `std`: fresh run ids, so `run` in a runner that reports; `AnyRunner`; `std::io::Error` as a failure. With `alloc`.
//! - `testing`: for a program's own tests. `testing::conformance!` puts a store of your own to every clause of the contract, and
//!   `testing::Torture` kills your pipeline at every boundary and compares. With `tokio`.
//! - `tokio`: `Runner::quick`, `TokioClock`, `.spawned()`, `EventStream`. With `std`.
//! - `tracing`: `.with_tracing()`, spans of runs, nodes and attempts, and module `spans`, which says what is in them. With
//!   `alloc`, and it wants a chip with compare-and-swap.
//!
//! # Without `std`
//! With `default-features = false` a pipeline runs on a microcontroller: a [`MemoryStore`](store::MemoryStore) in a `static`, or
//! with `flash` a `FlashStore`, a [`Clock`] of the board's, [`Runner::run_as`] with an id that the device counts up, and any
//! executor. On a chip without compare-and-swap (`thumbv6m`) the store's lock goes through the `critical-section` crate, of which
//! the program provides the implementation.
//!
//! # Versions
//! The oldest Rust is 1.90; a later one is asked for only in a minor version. Until 1.0 a minor version may break code, a patch
//! never does. What is in [`parts`] stands in signatures and may change its parameters in any minor version.

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

/// Its examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// The examples of the guide are tests, with the features that they use.
#[cfg(all(doctest, feature = "derive", feature = "redb", feature = "json", feature = "testing"))]
mod guide {
    #[doc = include_str!("../docs/src/first.md")]
    mod first {}
    #[doc = include_str!("../docs/src/failures.md")]
    mod failures {}
    #[doc = include_str!("../docs/src/budgets.md")]
    mod budgets {}
    #[doc = include_str!("../docs/src/watching.md")]
    mod watching {}
    #[doc = include_str!("../docs/src/compile.md")]
    mod compile {}
    #[doc = include_str!("../docs/src/crash.md")]
    mod crash {}
    #[doc = include_str!("../docs/src/stores.md")]
    mod stores {}
    #[doc = include_str!("../docs/src/testing.md")]
    mod testing {}
    #[doc = include_str!("../docs/src/embedded.md")]
    mod embedded {}
    #[doc = include_str!("../docs/src/from-python.md")]
    mod from_python {}
    #[doc = include_str!("../docs/src/from-tower.md")]
    mod from_tower {}
    #[doc = include_str!("../docs/src/from-langgraph.md")]
    mod from_langgraph {}
    #[doc = include_str!("../docs/src/not-temporal.md")]
    mod not_temporal {}
}

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod body;
mod budget;
mod chain;
mod clock;
mod compose;
mod contract;
mod describe;
mod exec;
mod failure;
mod hash;
mod into_node;
#[cfg(feature = "json")]
pub mod json;
mod layer;
mod meter;
mod never;
mod observe;
pub mod picture;
mod pipeline;
mod policy;
mod report;
mod run;
mod runner;
mod said;
mod slot;
#[cfg(feature = "derive")]
mod state;
pub mod store;
#[cfg(feature = "alloc")]
pub mod testing;
mod text;
#[cfg(feature = "garde")]
mod valid;
#[cfg(feature = "json")]
mod value;

// rustdoc forgets an alias that stands at an item of a private module, so it stands here.
#[doc(alias("callback", "listener", "middleware"))]
pub use observe::Hooks;
#[doc(alias("step", "task"))]
pub use pipeline::node;
#[doc(alias("join", "parallel", "concurrent", "branch", "fork", "fan_out", "fan-out"))]
pub use pipeline::par;
#[doc(alias("jitter", "exponential", "delay"))]
pub use policy::Backoff;
#[doc(alias("RetryPolicy", "retries", "circuit_breaker", "rate_limit"))]
pub use policy::PolicyMap;
#[doc(alias("saga", "compensate", "rollback"))]
pub use runner::Halted;
#[doc(alias("executor", "engine", "workflow"))]
pub use runner::Runner;

pub use budget::{
    Accounts, AccountsError, AheadReservation, Amount, Budget, BudgetExceeded, Dimension, EmptyBudget, FALLBACKS_MAX,
    FallbackError, Fallbacks, LEDGERS, Ledger, LedgerError, ModelName, OWN_PRICES_MAX, Price, Pricing, PricingError,
    PricingErrorKind, Remaining, Reservation, ShareError, SpendError, Spender, UnknownModel, Usage, Usd, UsdError,
};
pub use clock::{Clock, NoClock, Now};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use clock::{ManualClock, ManualSleep};
#[cfg(feature = "tokio")]
pub use clock::{TokioClock, TokioSleep};
pub use compose::{IdempotencyKey, NodeCx, Provides};
pub use contract::{Check, ContractViolation, Direction, Violation};
pub use describe::{Contracts, Description};
pub use exec::{Env, Exec, Node, Reporting, SendExec, Timed};
pub use failure::{ByFailure, Classifier, FailedAttempt, Failure, FailureClass, FirstOf};
pub use into_node::{IntoBranch, IntoNode};
#[cfg(all(feature = "std", feature = "json"))]
pub use observe::Valued;
#[cfg(feature = "json")]
pub use observe::{AsIs, Redact, TraceError, ValueTrace};
pub use observe::{
    Attempt, Ended, Failed, Message, NoTrace, NotKept, Reason, Record, Ring, RingEvent, RingOutcome, RingTrace, Slice,
    Slices, Stopped, Succeeded, Tracer,
};
#[cfg(feature = "alloc")]
pub use observe::{Difference, Event, Field, ListTrace, Outcome, Trace};
#[cfg(feature = "tokio")]
pub use observe::{EventKind, EventStream, StreamEvent, StreamHook};
#[cfg(feature = "tracing")]
pub use observe::{Spans, spans};
#[doc(hidden)]
pub use pipeline::{__beside, __par_chained, __types_of};
pub use pipeline::{Pipeline, Sealed, node_with};
pub use policy::{ms, secs};
pub use report::{Report, RunStatus, Spent};
pub use run::{RUN_ID_MAX, RunId, RunIdError};
#[cfg(feature = "tokio")]
pub use runner::Quick;
#[cfg(feature = "std")]
pub use runner::{AnyRunner, RunResult};
pub use runner::{BuildError, Builder, Cause, Completed, NoContext, Resumable, Run};
#[cfg(all(feature = "std", feature = "json"))]
pub use runner::{Replay, ReplayEnv, ReplayError, Replayed};
pub use slot::{Place, Slot, SlotKind};
#[cfg(feature = "derive")]
pub use state::state;
#[cfg(feature = "garde")]
pub use valid::Valid;
#[cfg(feature = "json")]
pub use value::{DecodeError, Value};

/// The types and traits that pipelines and runners are made of. They stand in signatures and in error messages; nobody has
/// to write them, but for who writes a kind of node.
pub mod parts {
    #[cfg(feature = "json")]
    pub use crate::json::{
        checks::{Around, DecodeStep, Unchecked, With},
        decoder::{Decoder, JsonText},
    };
    pub use crate::{
        body::Body,
        budget::{Ledgers, Scope},
        chain::{Checks, Fold, Nil, One, Push, Tune, Zero},
        compose::{
            Chained, CxFn, CxNode, Fallible, Fast, Flat, FnNode, Forkable, Map, MapErr, NodeFn, NodeFuture, Par, Seq,
            Settleable, TryMap,
        },
        contract::Verdict,
        describe::Shown,
        exec::{Bare, Cx, Detail, Explain, Fresh, Full, Layer, Local, NodeInfo, Stop, StopOf, Stops, Walk},
        into_node::{Itself, Known, Piece, Same},
        layer::{
            Budgeted, Checking, Deadline, Ensure, FromStart, Inherit, Inner, Leaf, NoRetry, Once, Policy, Repeatable,
            Require, Skipped, Step, Stored, Unlimited, Within, WriteAhead,
        },
        meter::{Meter, Metered, Metering, NoBudget},
        never::Never,
        observe::{Both, Hooked, Recordable, RingOf, RingValues, Told},
        pipeline::{CxStep, Ensured, FnStep, MapStep, Required, TryMapStep},
        runner::{Build, Caps, NodeIdText, PanicMessage},
        store::durable::{
            Durability, Durable, Faulted, Held, LoadUnderWay, NoStore, Nothing, Open, SaveUnderWay, StoreFault,
        },
    };
    #[cfg(feature = "tokio")]
    pub use crate::{body::Spawnable, compose::Spawned};
    #[cfg(feature = "garde")]
    pub use crate::{pipeline::ValidatedStep, valid::Validated};
}

/// What the macros of feature `derive` name. Not for use by hand: it changes without notice.
#[cfg(feature = "derive")]
#[doc(hidden)]
pub mod __derive {
    pub use crate::failure::{RetryAfter, retry_after};
    pub use ::postcard_schema;
    pub use ::serde;
}

/// What a program that uses pipelines wants in scope.
pub mod prelude {
    #[cfg(feature = "std")]
    pub use crate::AnyRunner;
    #[cfg(feature = "tokio")]
    pub use crate::Quick;
    pub use crate::{
        Backoff, Budget, Cause, Completed, Failure, FailureClass, Halted, NoContext, NodeCx, PolicyMap, RunId,
        RunStatus, Runner, Sealed, SendExec, SpendError, Usage, Usd, Violation, ms, node, node_with, par, secs,
    };
}
