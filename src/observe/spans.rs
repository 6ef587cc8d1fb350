//! Spans of `tracing`: one for each run, in it one for each node, in that one for each attempt.
//!
//! [`with_tracing`](crate::Builder::with_tracing) switches them on. An attempt's span is entered around every poll of the node's
//! function, so what the function logs, and the spans that it makes, are below the attempt that they are of, however branches
//! interleave and whichever thread goes on with them; a node on tokio's pool takes the span along. The run's span is below
//! the one that is current where the run is first polled. A node's span is open while it waits for another attempt or for the
//! store; an attempt's is not.
//!
//! All are of level INFO and target `stroma`. Where a filter leaves one out, what would be below it is below the next one
//! around it.
//!
//! | Span | Field | Is |
//! |---|---|---|
//! | `run` | `run_id` | the run's id |
//! | | `status` | `COMPLETED`, `RESUMED`, `PARTIAL` or `FAILED`; `CANCELLED` where the run was dropped before its end |
//! | | `restored` | how many nodes were not run because their output was in the store |
//! | | `took_us` | how long it took in microseconds by the runner's clock, where it has one |
//! | | `error` | why it stopped, unless that was a node's own error: that is with the attempt |
//! | | `otel.status_code` | `ERROR` where it stopped |
//! | `node` | `node` | the node's id |
//! | | `instance` | the iteration or element; 0 outside of loops and collections |
//! | | `resumed` | whether it was not run because its output was in the store; such a span ends at once |
//! | | `otel.status_code` | `ERROR` where it ended without an output |
//! | `attempt` | `attempt` | which attempt it is, from 1 |
//! | | `outcome` | `succeeded`, `failed`, or `cut_short` where it was ended by something around it |
//! | | `class` | of a failure: what it means, such as `recoverable` |
//! | | `error` | of a failure: what it says |
//! | | `took_us` | how long it took, as for the run |
//! | | `otel.status_code` | `ERROR` where it failed |
//!
//! The failure of an attempt is an event too, at WARN, and so is the end of a run that stopped: at WARN where a resume can go on
//! with it (`PARTIAL`), else at ERROR. They have the fields that tell which attempt or run it is, for those who see events alone.
//!
//! Without a subscriber a node and its attempt cost some 340 instructions together, and the reading of the runner's clock twice.
#![cfg(feature = "tracing")]

use core::{fmt, time::Duration};

#[cfg(feature = "tokio")]
use tracing::Instrument;
use tracing::{
    Level, Span, event,
    field::{Empty, display},
    span,
};

use super::{Attempt, Ended, Reason, Record, Stopped, Tracer};
use crate::{
    failure::FailureClass,
    report::{Report, RunStatus},
    run::RunId,
};

/// The target of all spans and events.
pub const TARGET: &str = "stroma";

/// The name of a run's span.
pub const RUN_SPAN: &str = "run";
/// The name of a node's span.
pub const NODE_SPAN: &str = "node";
/// The name of an attempt's span.
pub const ATTEMPT_SPAN: &str = "attempt";

/// The run's id.
pub const RUN_ID: &str = "run_id";
/// How the run ended.
pub const STATUS: &str = "status";
/// How many nodes were not run because their output was in the store.
pub const RESTORED: &str = "restored";
/// The node's id.
pub const NODE: &str = "node";
/// The iteration or element.
pub const INSTANCE: &str = "instance";
/// Whether the node was not run because its output was in the store.
pub const RESUMED: &str = "resumed";
/// Which attempt it is.
pub const ATTEMPT: &str = "attempt";
/// How the attempt ended.
pub const OUTCOME: &str = "outcome";
/// What a failure means.
pub const CLASS: &str = "class";
/// What a failure says.
pub const ERROR: &str = "error";
/// How long it took, in microseconds.
pub const TOOK_US: &str = "took_us";
/// What OpenTelemetry makes its span status of.
pub const OTEL_STATUS: &str = "otel.status_code";

/// The status of a run that was dropped before its end.
pub const CANCELLED: &str = "CANCELLED";
/// The outcome of an attempt that yielded an output.
pub const SUCCEEDED: &str = "succeeded";
/// The outcome of an attempt that failed.
pub const FAILED: &str = "failed";
/// The outcome of an attempt that did neither.
pub const CUT_SHORT: &str = "cut_short";

const OTEL_ERROR: &str = "ERROR";

/// Makes a span of each run, node and attempt. What is in them, [the module](self) says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spans;

/// A span of ours or, where nobody wants ours, the next one around it.
#[derive(Debug)]
struct Near {
    span: Span,
    ours: bool,
}

impl Default for Near {
    #[inline(always)]
    fn default() -> Self {
        Self { span: Span::none(), ours: false }
    }
}

impl Near {
    #[inline(always)]
    fn new(span: Span, around: impl FnOnce() -> Span) -> Self {
        if span.is_disabled() { Self { span: around(), ours: false } } else { Self { span, ours: true } }
    }

    /// Writes down how it ended, and closes it. The next one around it, which is somebody else's, is left as it was.
    #[inline(always)]
    fn close(&mut self, end: impl FnOnce(&Span)) {
        let Self { span, ours } = core::mem::take(self);
        if ours {
            end(&span);
        }
    }
}

/// The span of a run.
#[derive(Debug, Default)]
pub struct RunSpan {
    near: Near,
    began: Duration,
}

impl Drop for RunSpan {
    #[inline]
    fn drop(&mut self) {
        self.near.close(|span| {
            span.record(STATUS, CANCELLED);
        });
    }
}

/// The span of a node.
#[derive(Debug, Default)]
pub struct NodeSpan(Near);

/// The span of an attempt.
#[derive(Debug, Default)]
pub struct AttemptSpan {
    near: Near,
    began: Duration,
}

impl AttemptSpan {
    #[inline(always)]
    fn end(&mut self, ended: Ended<'_>, outcome: &str, more: impl FnOnce(&Span)) {
        let began = self.began;
        self.near.close(|span| {
            span.record(OUTCOME, outcome);
            took(span, began, ended.now);
            more(span);
        });
    }
}

impl Drop for AttemptSpan {
    #[inline]
    fn drop(&mut self) {
        self.near.close(|span| {
            span.record(OUTCOME, CUT_SHORT);
        });
    }
}

/// Writes down how long something took, where the runner has a clock: one without is always at zero.
fn took(span: &Span, began: Duration, now: Duration) {
    if !now.is_zero() {
        span.record(TOOK_US, u64::try_from(now.saturating_sub(began).as_micros()).unwrap_or(u64::MAX));
    }
}

/// The span of a node, below that of its run.
#[inline(always)]
fn node(log: &RunSpan, at: Attempt<'_>, resumed: bool) -> Near {
    let span = span!(
        target: TARGET, parent: &log.near.span, Level::INFO, NODE_SPAN,
        { NODE } = at.node, { INSTANCE } = at.instance, { RESUMED } = resumed, { OTEL_STATUS } = Empty,
    );
    Near::new(span, || log.near.span.clone())
}

impl Tracer for Spans {
    type Log = RunSpan;
    type Visit = NodeSpan;
    type Mark = AttemptSpan;
    type Finished = ();

    const ENABLED: bool = true;
    const TIMED: bool = true;

    #[inline(always)]
    fn begin(&self, log: &mut RunSpan, run: Option<&RunId>, now: Duration) {
        let span = span!(
            target: TARGET, Level::INFO, RUN_SPAN,
            { RUN_ID } = run.map(display), { STATUS } = Empty, { RESTORED } = Empty, { TOOK_US } = Empty, { ERROR } = Empty,
            { OTEL_STATUS } = Empty,
        );
        *log = RunSpan { near: Near::new(span, Span::current), began: now };
    }

    #[inline(always)]
    fn restored(&self, log: &mut RunSpan, at: Attempt<'_>) {
        node(log, at, true);
    }

    #[inline(always)]
    fn visit(&self, log: &mut RunSpan, at: Attempt<'_>) -> NodeSpan {
        NodeSpan(node(log, at, false))
    }

    #[inline(always)]
    fn left(&self, visit: &mut NodeSpan, with_output: bool) {
        visit.0.close(|span| {
            if !with_output {
                span.record(OTEL_STATUS, OTEL_ERROR);
            }
        });
    }

    #[inline(always)]
    fn inside(&self, log: &RunSpan) -> impl Sized + use<> {
        log.near.ours.then(|| log.near.span.clone().entered())
    }

    #[inline(always)]
    fn within<R>(&self, mark: &AttemptSpan, poll: impl FnOnce() -> R) -> R {
        mark.near.span.in_scope(poll)
    }

    #[cfg(feature = "tokio")]
    #[inline(always)]
    fn carried<F: Future + Send + 'static>(future: F) -> impl Future<Output = F::Output> + Send + 'static {
        future.in_current_span()
    }

    #[cold]
    fn halted(&self, log: &mut RunSpan, stopped: Stopped<'_>) {
        let span = &log.near.span;
        let Stopped { report, node, attempt, class, why, .. } = stopped;
        macro_rules! tell {
            ($level:expr) => {
                event!(
                    target: TARGET, parent: span, $level,
                    { RUN_ID } = display(&report.run_id), { STATUS } = display(report.status), { NODE } = node,
                    { ATTEMPT } = node.map(|_| attempt), { CLASS } = display(class), { ERROR } = why.map(display),
                    "run stopped"
                )
            };
        }
        if report.status == RunStatus::Failed {
            tell!(Level::ERROR)
        } else {
            tell!(Level::WARN)
        }
        if log.near.ours {
            if let Some(why) = why {
                span.record(ERROR, display(why));
            }
            span.record(OTEL_STATUS, OTEL_ERROR);
        }
    }

    #[inline(always)]
    fn finish(&self, mut log: RunSpan, report: Option<&Report>, now: Duration) {
        let began = log.began;
        log.near.close(|span| {
            if let Some(report) = report {
                span.record(STATUS, display(report.status));
                span.record(RESTORED, report.restored);
            }
            took(span, began, now);
        });
    }
}

#[diagnostic::do_not_recommend]
impl<In, Out, Er: fmt::Display> Record<In, Out, Er> for Spans {
    #[inline(always)]
    fn started(
        &self,
        _: &mut RunSpan,
        at: Attempt<'_>,
        visit: &NodeSpan,
        now: Duration,
        _: Option<&In>,
    ) -> AttemptSpan {
        let around = &visit.0.span;
        let span = span!(
            target: TARGET, parent: around, Level::INFO, ATTEMPT_SPAN,
            { ATTEMPT } = at.attempt, { OUTCOME } = Empty, { CLASS } = Empty, { ERROR } = Empty, { TOOK_US } = Empty,
            { OTEL_STATUS } = Empty,
        );
        AttemptSpan { near: Near::new(span, || around.clone()), began: now }
    }

    #[inline(always)]
    fn succeeded(&self, _: &mut RunSpan, ended: Ended<'_>, mark: &mut AttemptSpan, _: &Out) {
        mark.end(ended, SUCCEEDED, |_| ());
    }

    fn failed<H: fmt::Display>(
        &self,
        _: &mut RunSpan,
        ended: Ended<'_>,
        mark: &mut AttemptSpan,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    ) {
        let at = ended.at;
        event!(
            target: TARGET, parent: &mark.near.span, Level::WARN,
            { RUN_ID } = display(at.run_id), { NODE } = at.node, { INSTANCE } = at.instance, { ATTEMPT } = at.attempt,
            { CLASS } = display(class), { ERROR } = display(why),
            "attempt failed"
        );
        mark.end(ended, FAILED, |span| {
            span.record(CLASS, display(class));
            span.record(ERROR, display(why));
            span.record(OTEL_STATUS, OTEL_ERROR);
        });
    }

    #[inline(always)]
    fn cut_short(&self, _: &mut RunSpan, ended: Ended<'_>, mark: &mut AttemptSpan) {
        mark.end(ended, CUT_SHORT, |_| ());
    }
}
