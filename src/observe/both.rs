//! Two observers of one run.

use core::{fmt, time::Duration};

use super::{Attempt, Ended, Reason, Record, Stopped, Tracer};
use crate::{failure::FailureClass, report::Report, run::RunId};

/// Two observers: `A`, whose finished trace is the run's, and then `B`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<A: Tracer, B: Tracer> Tracer for Both<A, B> {
    type Log = (A::Log, B::Log);
    type Visit = (A::Visit, B::Visit);
    type Mark = (A::Mark, B::Mark);
    type Finished = A::Finished;

    const ENABLED: bool = A::ENABLED || B::ENABLED;
    const TIMED: bool = A::TIMED || B::TIMED;

    #[inline(always)]
    fn begin(&self, log: &mut Self::Log, run: Option<&RunId>, now: Duration) {
        self.0.begin(&mut log.0, run, now);
        self.1.begin(&mut log.1, run, now);
    }

    #[inline(always)]
    fn restored(&self, log: &mut Self::Log, at: Attempt<'_>) {
        self.0.restored(&mut log.0, at);
        self.1.restored(&mut log.1, at);
    }

    #[inline(always)]
    fn visit(&self, log: &mut Self::Log, at: Attempt<'_>) -> Self::Visit {
        (self.0.visit(&mut log.0, at), self.1.visit(&mut log.1, at))
    }

    #[inline(always)]
    fn left(&self, visit: &mut Self::Visit, with_output: bool) {
        self.0.left(&mut visit.0, with_output);
        self.1.left(&mut visit.1, with_output);
    }

    #[inline(always)]
    fn inside(&self, log: &Self::Log) -> impl Sized + use<A, B> {
        (self.0.inside(&log.0), self.1.inside(&log.1))
    }

    #[inline(always)]
    fn within<R>(&self, mark: &Self::Mark, poll: impl FnOnce() -> R) -> R {
        match (A::ENABLED, B::ENABLED) {
            (true, true) => self.0.within(&mark.0, || self.1.within(&mark.1, poll)),
            (true, false) => self.0.within(&mark.0, poll),
            (false, _) => self.1.within(&mark.1, poll),
        }
    }

    #[cfg(feature = "tokio")]
    #[inline(always)]
    fn carried<F: Future + Send + 'static>(future: F) -> impl Future<Output = F::Output> + Send + 'static {
        A::carried(B::carried(future))
    }

    #[inline(always)]
    fn halted(&self, log: &mut Self::Log, stopped: Stopped<'_>) {
        self.0.halted(&mut log.0, stopped);
        self.1.halted(&mut log.1, stopped);
    }

    #[inline(always)]
    fn finish(&self, log: Self::Log, report: Option<&Report>, now: Duration) -> Self::Finished {
        self.1.finish(log.1, report, now);
        self.0.finish(log.0, report, now)
    }
}

impl<In, Out, Er, A, B> Record<In, Out, Er> for Both<A, B>
where
    A: Record<In, Out, Er>,
    B: Record<In, Out, Er>,
{
    #[inline(always)]
    fn started(
        &self,
        log: &mut Self::Log,
        at: Attempt<'_>,
        visit: &Self::Visit,
        now: Duration,
        input: Option<&In>,
    ) -> Self::Mark {
        (self.0.started(&mut log.0, at, &visit.0, now, input), self.1.started(&mut log.1, at, &visit.1, now, input))
    }

    #[inline(always)]
    fn succeeded(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Self::Mark, output: &Out) {
        self.0.succeeded(&mut log.0, ended, &mut mark.0, output);
        self.1.succeeded(&mut log.1, ended, &mut mark.1, output);
    }

    #[inline(always)]
    fn failed<H: fmt::Display>(
        &self,
        log: &mut Self::Log,
        ended: Ended<'_>,
        mark: &mut Self::Mark,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    ) {
        self.0.failed(&mut log.0, ended, &mut mark.0, class, why);
        self.1.failed(&mut log.1, ended, &mut mark.1, class, why);
    }

    #[inline(always)]
    fn cut_short(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Self::Mark) {
        self.0.cut_short(&mut log.0, ended, &mut mark.0);
        self.1.cut_short(&mut log.1, ended, &mut mark.1);
    }

    #[inline(always)]
    fn replayed(&self, log: &mut Self::Log, ended: Ended<'_>, input: Option<&In>, output: &Out) {
        self.0.replayed(&mut log.0, ended, input, output);
        self.1.replayed(&mut log.1, ended, input, output);
    }
}
