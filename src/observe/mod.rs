//! Who sees what happens in a run: hooks, the trace, spans.

mod both;
mod diff;
mod form;
mod hooks;
mod none;
mod replay;
mod ring;
pub mod spans;
#[cfg(feature = "tokio")]
mod stream;
mod trace;
mod values;

use core::{fmt, time::Duration};

use serde::Serialize;

pub use both::Both;
#[cfg(feature = "alloc")]
pub use diff::{Difference, Field};
#[cfg(feature = "json")]
pub use form::TraceError;
pub use hooks::{Failed, Hooked, Hooks, Succeeded};
pub use none::NoTrace;
#[cfg(all(feature = "std", feature = "json"))]
pub(crate) use replay::Replaying;
#[cfg(all(feature = "std", feature = "json"))]
pub use replay::Valued;
pub use ring::{Message, NotKept, Ring, RingEvent, RingOf, RingOutcome, RingTrace, RingValues, Slice, Slices};
#[cfg(feature = "tracing")]
pub use spans::Spans;
#[cfg(feature = "tokio")]
pub use stream::{EventKind, EventStream, StreamEvent, StreamHook};
#[cfg(feature = "alloc")]
pub use trace::{Event, ListTrace, Outcome, Trace};
#[cfg(feature = "json")]
pub use values::{AsIs, Redact, ValueTrace};

use crate::{
    failure::FailureClass,
    report::{Report, Spent},
    run::RunId,
    slot::Place,
};

/// Which attempt at which node of which run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The run.
    pub run_id: &'a RunId,
    /// The node's id.
    pub node: &'static str,
    /// The iteration or element that it is of; 0 outside of loops and collections.
    pub instance: u32,
    /// Which attempt it is, from 1; 0 for a node that is not run since its output is in the store.
    pub attempt: u32,
}

impl<'a> Attempt<'a> {
    #[inline(always)]
    pub(crate) fn new(run: Option<&'a RunId>, at: Place) -> Self {
        // Whoever observes, observes runs that have an id.
        const NONE: &RunId = &RunId::from_u128(0);
        Self { run_id: run.unwrap_or(NONE), node: at.id, instance: at.instance, attempt: at.attempt }
    }
}

/// What is known of an attempt when it ends, beside what came of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// The attempt.
    pub at: Attempt<'a>,
    /// The time by the runner's clock; zero where the observer is not [`TIMED`](Tracer::TIMED).
    pub now: Duration,
    /// What the attempt spent; its time is left to the observer.
    pub spent: Spent,
}

impl<'a> Ended<'a> {
    #[inline(always)]
    pub(crate) const fn new(at: Attempt<'a>, now: Duration, spent: Spent) -> Self {
        Self { at, now, spent }
    }
}

/// What is known of a run that stopped before its end.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Stopped<'a> {
    /// The run's id, status and spend.
    pub report: &'a Report,
    /// The node that it stopped at, or `None` where it was not at a node.
    pub node: Option<&'static str>,
    /// Which attempt at the node it was, from 1; 0 where it was not at a node.
    pub attempt: u32,
    /// What the failure means.
    pub class: FailureClass,
    /// Why, where it was not a node's own error: that was told when the attempt failed.
    pub why: Option<fmt::Arguments<'a>>,
}

/// An observer of runs: [`NoTrace`], a trace, hooks, or several of them as [`Both`].
///
/// It is given references and returns nothing that a run depends on, so that it cannot change one. What it keeps of a run is
/// with that run and in no lock.
pub trait Tracer {
    /// What is being written of a run.
    type Log: Default;
    /// What is remembered of a node from its first attempt to its last.
    type Visit: Default;
    /// What is remembered of an attempt from its beginning to its end.
    type Mark: Default;
    /// What was written, when the run is over.
    type Finished;

    /// Whether anything is observed at all.
    const ENABLED: bool;

    /// Whether it asks for the time; where it does not, the clock is not read for it.
    const TIMED: bool;

    /// A run begins.
    #[inline(always)]
    fn begin(&self, log: &mut Self::Log, run: Option<&RunId>, now: Duration) {
        let _ = (log, run, now);
    }

    /// A node is not run again, since its output is in the store.
    #[inline(always)]
    fn restored(&self, log: &mut Self::Log, at: Attempt<'_>) {
        let _ = (log, at);
    }

    /// A node is come to; its attempts follow.
    #[inline(always)]
    fn visit(&self, log: &mut Self::Log, at: Attempt<'_>) -> Self::Visit {
        let _ = (log, at);
        Default::default()
    }

    /// A node that was come to is left: with an output that is kept, or with a failure that is not tried again. It is not called
    /// for one that is dropped before that.
    #[inline(always)]
    fn left(&self, _: &mut Self::Visit, with_output: bool) {
        let _ = with_output;
    }

    /// What an observer that has to be around a poll of the run keeps for as long as that takes.
    #[inline(always)]
    fn inside(&self, _: &Self::Log) -> impl Sized + use<Self> {}

    /// Calls `poll`, which begins or goes on with an attempt: an observer that has to be around that is.
    #[inline(always)]
    fn within<R>(&self, _: &Self::Mark, poll: impl FnOnce() -> R) -> R {
        poll()
    }

    /// The future of an attempt that goes on elsewhere, on tokio's pool, with what has to be around it. It is called
    /// [`within`](Self::within) that attempt.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    fn carried<F: Future + Send + 'static>(future: F) -> impl Future<Output = F::Output> + Send + 'static {
        future
    }

    /// The run stopped before its end; [`finish`](Self::finish) follows.
    #[inline(always)]
    fn halted(&self, _: &mut Self::Log, stopped: Stopped<'_>) {
        let _ = stopped;
    }

    /// The run is over; a runner without reports has none.
    fn finish(&self, log: Self::Log, report: Option<&Report>, now: Duration) -> Self::Finished;
}

/// A [`Tracer`] that can observe a node which takes an `In`, yields an `Out` and fails with an `Er`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot observe a node that takes `{In}`, yields `{Out}` and fails with `{Er}`",
    label = "what observes a runner observes every one of its nodes"
)]
pub trait Record<In, Out, Er>: Tracer {
    /// An attempt begins; without an input where a node of one's own kind goes on from the store.
    fn started(
        &self,
        log: &mut Self::Log,
        at: Attempt<'_>,
        visit: &Self::Visit,
        now: Duration,
        input: Option<&In>,
    ) -> Self::Mark;

    /// An attempt succeeded.
    fn succeeded(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Self::Mark, output: &Out);

    /// An attempt failed.
    fn failed<H: fmt::Display>(
        &self,
        log: &mut Self::Log,
        ended: Ended<'_>,
        mark: &mut Self::Mark,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    );

    /// An attempt was cut short, because a sibling failed or the time of something around it was over.
    fn cut_short(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Self::Mark);

    /// A node was not run, since its output is in the trace that is replayed.
    fn replayed(&self, log: &mut Self::Log, ended: Ended<'_>, input: Option<&In>, output: &Out) {
        let _ = (log, ended, input, output);
    }
}

/// What a trace can say of a failure.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written into this runner's trace",
    label = "a trace shows every failure as text",
    note = "`impl core::fmt::Display for {Self}`, or `.with_trace(NoTrace)`"
)]
pub trait Told: fmt::Display {}

#[diagnostic::do_not_recommend]
impl<Er: fmt::Display> Told for Er {}

/// What a trace with values can keep.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a trace with values: it is not `Serialize`",
    label = "a trace with values keeps every node's input and output",
    note = "`#[derive(serde::Serialize)]` on `{Self}`, or a trace without values: leave `.with_values()` out"
)]
pub trait Recordable: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Recordable for T {}

/// Why an attempt failed.
#[derive(Debug)]
pub enum Reason<'a, Er, H> {
    /// With the node's own error.
    Error(&'a Er),
    /// For another reason.
    Halt(&'a H),
}

impl<Er, H> Clone for Reason<'_, Er, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Er, H> Copy for Reason<'_, Er, H> {}

impl<Er: fmt::Display, H: fmt::Display> fmt::Display for Reason<'_, Er, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Halt(halt) => halt.fmt(f),
        }
    }
}
