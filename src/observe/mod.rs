//! What is written down of a run while it goes on.

mod trace;

use core::{fmt, time::Duration};

#[cfg(feature = "alloc")]
pub use trace::{Event, ListTrace, Outcome, Trace};

use crate::{failure::FailureClass, slot::Place};

/// Whether and how a run is traced: [`NoTrace`] or, with `alloc`, `ListTrace`.
pub trait Tracer {
    /// What is being written.
    type Log: Default;
    /// What is remembered of the beginning of an attempt.
    type Mark: Copy;
    /// What was written, when the run is over.
    type Finished;

    /// Whether anything is written at all.
    const ENABLED: bool;

    /// Notes when the run begins.
    fn begin(&self, log: &mut Self::Log, now: impl FnOnce() -> Duration);

    /// Remembers the beginning of an attempt.
    fn mark(&self, now: impl FnOnce() -> Duration) -> Self::Mark;

    /// Writes that a node is not run again since its output is in the store.
    fn restored(&self, log: &mut Self::Log, node: &'static str);

    /// Writes that an attempt was cut short, because a sibling failed or the time of something around it was over.
    fn cut_short(&self, log: &mut Self::Log, at: Place, mark: Self::Mark, now: impl FnOnce() -> Duration);

    /// Ends writing.
    fn finish(&self, log: Self::Log) -> Self::Finished;
}

/// A [`Tracer`] that can write down failures of type `Er`.
#[diagnostic::on_unimplemented(
    message = "`{Er}` cannot be written into this runner's trace",
    label = "a trace shows every failure as text",
    note = "`impl core::fmt::Display for {Er}`, or `.with_trace(NoTrace)`"
)]
pub trait Record<Er>: Tracer {
    /// Writes that an attempt succeeded.
    fn succeeded(&self, log: &mut Self::Log, at: Place, mark: Self::Mark, now: impl FnOnce() -> Duration);

    /// Writes that an attempt failed.
    fn failed<H: fmt::Display>(
        &self,
        log: &mut Self::Log,
        at: Place,
        mark: Self::Mark,
        now: impl FnOnce() -> Duration,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    );
}

/// Why an attempt failed.
#[derive(Debug)]
pub enum Reason<'a, Er, H> {
    /// With the node's own error.
    Error(&'a Er),
    /// For another reason.
    Halt(&'a H),
}

/// The trace of a runner without one: nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl Tracer for NoTrace {
    type Log = ();
    type Mark = ();
    type Finished = ();

    const ENABLED: bool = false;

    #[inline(always)]
    fn begin(&self, (): &mut (), _: impl FnOnce() -> Duration) {}

    #[inline(always)]
    fn mark(&self, _: impl FnOnce() -> Duration) {}

    #[inline(always)]
    fn restored(&self, (): &mut (), _: &'static str) {}

    #[inline(always)]
    fn cut_short(&self, (): &mut (), _: Place, (): (), _: impl FnOnce() -> Duration) {}

    #[inline(always)]
    fn finish(&self, (): ()) {}
}

impl<Er> Record<Er> for NoTrace {
    #[inline(always)]
    fn succeeded(&self, (): &mut (), _: Place, (): (), _: impl FnOnce() -> Duration) {}

    #[inline(always)]
    fn failed<H: fmt::Display>(
        &self,
        (): &mut (),
        _: Place,
        (): (),
        _: impl FnOnce() -> Duration,
        _: FailureClass,
        _: Reason<'_, Er, H>,
    ) {
    }
}
