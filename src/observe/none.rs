//! No trace.

use core::{fmt, time::Duration};

use super::{Attempt, Ended, Reason, Record, Tracer};
use crate::{failure::FailureClass, report::Report};

/// The trace of a runner without one: nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl Tracer for NoTrace {
    type Log = ();
    type Visit = ();
    type Mark = ();
    type Finished = ();

    const ENABLED: bool = false;
    const TIMED: bool = false;

    #[inline(always)]
    fn finish(&self, (): (), _: Option<&Report>, _: Duration) {}
}

impl<In, Out, Er> Record<In, Out, Er> for NoTrace {
    #[inline(always)]
    fn started(&self, (): &mut (), _: Attempt<'_>, (): &(), _: Duration, _: Option<&In>) {}

    #[inline(always)]
    fn succeeded(&self, (): &mut (), _: Ended<'_>, (): &mut (), _: &Out) {}

    #[inline(always)]
    fn failed<H: fmt::Display>(&self, (): &mut (), _: Ended<'_>, (): &mut (), _: FailureClass, _: Reason<'_, Er, H>) {}

    #[inline(always)]
    fn cut_short(&self, (): &mut (), _: Ended<'_>, (): &mut ()) {}
}
