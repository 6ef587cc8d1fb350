//! A run with an id, that says where and why it stopped.

use core::{convert::Infallible, fmt, time::Duration};

use super::{
    env::{Cx, Env, Explain, Local},
    halt::{Halt, Info, Why},
    stop::{Detail, Stop, Stops},
};
use crate::{
    clock::Clock,
    failure::{Classifier, FailedAttempt, Failure, FailureClass},
    meter::Overspent,
    report::{Report, RunStatus, Spent},
    run::RunId,
    said::{Notes, Said},
    slot::Place,
    store::Faulted,
};

/// A run with an id, that says where and why it stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Full;

impl Detail for Full {
    type Info = Info;
    type Halt = Halt;
    type Run = RunInfo;

    fn place(halt: &mut Halt, at: Place) {
        if halt.info.node.is_none() && !at.id.is_empty() {
            halt.info.node = Some(at.id);
            halt.info.attempt = at.attempt;
        }
    }

    fn told<'r>(halt: &'r Halt, run: &'r RunInfo) -> impl fmt::Display + 'r {
        Told { halt, run }
    }

    fn is_grave<Er>(stop: &Stop<Er, Self>) -> bool {
        match stop {
            Stop::Halt(halt) => !halt.why.is_attempt() || halt.why.class() == FailureClass::Terminal,
            Stop::Error(_, info) => info.class == Some(FailureClass::Terminal),
        }
    }

    #[inline(always)]
    fn id(run: &RunInfo) -> Option<&RunId> {
        Some(&run.report.run_id)
    }

    #[inline(always)]
    fn begin(run: &mut RunInfo, now: Duration) {
        run.report.spent.time = now;
    }

    #[inline(always)]
    fn took(run: &RunInfo, now: Duration) -> Duration {
        now.saturating_sub(run.report.spent.time)
    }

    fn resumed(run: &mut RunInfo, restored: u16) {
        run.report.status = RunStatus::Resumed;
        run.report.restored = restored;
    }
}

#[cfg(feature = "std")]
impl super::stop::Fresh for Full {
    fn fresh() -> RunInfo {
        RunInfo::new(RunId::fresh())
    }
}

impl<Er: Failure, E: Env<Detail = Self, Classifier: Classifier<Er>>> Explain<Er, E> for Full {
    fn explain(error: &Er, at: Place, cx: Cx<'_, E>, local: &Local<'_, E>) -> Info {
        let failed = FailedAttempt::new(at.id, at.attempt, &local.run.report.run_id);
        let class = cx.env.classifier().classify(error, &failed).unwrap_or_else(|| error.class());
        Info { node: (!at.id.is_empty()).then_some(at.id), attempt: at.attempt, class: Some(class) }
    }

    fn class(stop: &Stop<Er, Self>) -> FailureClass {
        match stop {
            Stop::Error(error, info) => info.class.unwrap_or_else(|| error.class()),
            Stop::Halt(halt) => halt.why.class(),
        }
    }
}

impl Stops<Infallible> for Full {
    #[inline(always)]
    fn stop(fault: Infallible, _: Place) -> Halt {
        match fault {}
    }
}

impl Stops<Faulted> for Full {
    #[cold]
    fn stop(_: Faulted, at: Place) -> Halt {
        let mut halt = Halt::new(Why::Store);
        <Self as Detail>::place(&mut halt, at);
        halt
    }
}

impl Stops<Overspent> for Full {
    #[cold]
    fn stop(over: Overspent, at: Place) -> Halt {
        let mut halt = Halt::new(match over {
            Overspent::Limit => Why::Budget,
            Overspent::Account => Why::Account,
        });
        <Self as Detail>::place(&mut halt, at);
        halt
    }
}

/// What a run knows of itself.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// What it will be reported with, in its place from the beginning: made at the end it would be copied twice. Until then its time
    /// is the one at which the run began, so that there is no room for both.
    pub(crate) report: Report,
    /// What there is to say of a stop beside the stop itself.
    pub(crate) said: Notes,
}

impl RunInfo {
    #[inline(always)]
    pub(crate) const fn new(id: RunId) -> Self {
        let report = Report { run_id: id, status: RunStatus::Completed, spent: Spent::NONE, restored: 0 };
        Self { report, said: Notes::none() }
    }

    /// What was said of a stop.
    pub(crate) fn said_of(&self, halt: &Halt) -> Option<&Said> {
        self.said.find(halt.info.node, |said| match said {
            #[cfg(feature = "tokio")]
            Said::Panic(_) => matches!(halt.why, Why::Panicked),
            Said::Contract(broken) => halt.why.broken() == Some(broken.direction),
        })
    }
}

/// A [`Halt`] with what the run knows more of it.
struct Told<'r> {
    halt: &'r Halt,
    run: &'r RunInfo,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run.said_of(self.halt) {
            Some(Said::Contract(broken)) => broken.fmt(f),
            _ => self.halt.fmt(f),
        }
    }
}

/// An environment with a clock that can wait, and a run that can report that it did.
#[diagnostic::on_unimplemented(
    message = "a time-out, a deadline or a retry needs a clock, and this runner has none",
    label = "no clock in this runner",
    note = "`Runner::new(..)` has no clock until `.with_clock(TokioClock)` or `.with_clock(..)` with one of your own; \
            `Runner::quick(..)` has tokio's"
)]
pub trait Timed: Env<Clock: Clock, Detail = Full> {}

#[diagnostic::do_not_recommend]
impl<E: Env<Clock: Clock, Detail = Full>> Timed for E {}

/// An environment whose runs say more than the node's own error when they stop.
#[diagnostic::on_unimplemented(
    message = "a node on tokio's pool, and a run under an id, need a runner that reports, and this one does not",
    label = "needs a runner that reports",
    note = "`Runner::new(..)` yields the node's bare error and keeps no ids; `.with_report()` makes it `Completed` or `Halted`, \
            as every store, clock or trace does"
)]
pub trait Reporting: Env<Detail = Full> {}

#[diagnostic::do_not_recommend]
impl<E: Env<Detail = Full>> Reporting for E {}
