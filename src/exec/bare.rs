//! A run of which nothing is known.

use core::{convert::Infallible, fmt, time::Duration};

use super::{
    env::{Cx, Env, Explain, Local},
    stop::{Detail, Fresh, Stop, Stops},
};
use crate::{failure::FailureClass, run::RunId, slot::Place};

/// A run of which nothing is known: it ends with the bare output or the node's bare error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bare;

impl Detail for Bare {
    type Info = ();
    type Halt = Infallible;
    type Run = ();

    #[inline(always)]
    fn place(halt: &mut Infallible, _: Place) {
        match *halt {}
    }

    fn told<'r>(halt: &'r Infallible, (): &'r ()) -> impl fmt::Display + 'r {
        halt
    }

    #[inline(always)]
    fn is_grave<Er>(_: &Stop<Er, Self>) -> bool {
        false
    }

    #[inline(always)]
    fn id((): &()) -> Option<&RunId> {
        None
    }

    #[inline(always)]
    fn begin((): &mut (), _: Duration) {}

    #[inline(always)]
    fn took((): &(), _: Duration) -> Duration {
        Duration::ZERO
    }

    #[inline(always)]
    fn resumed((): &mut (), _: u16) {}
}

impl Fresh for Bare {
    #[inline(always)]
    fn fresh() {}
}

impl<Er, E: Env<Detail = Self>> Explain<Er, E> for Bare {
    #[inline(always)]
    fn explain(_: &Er, _: Place, _: Cx<'_, E>, _: &Local<'_, E>) {}

    #[inline(always)]
    fn class(_: &Stop<Er, Self>) -> FailureClass {
        FailureClass::Ambiguous
    }
}

impl Stops<Infallible> for Bare {
    #[inline(always)]
    fn stop(fault: Infallible, _: Place) -> Infallible {
        fault
    }
}
