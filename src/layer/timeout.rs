//! A limit of time for each attempt.

use core::{future::Future, time::Duration};

use crate::{
    clock::Clock,
    exec::{Cx, Detail, Env, Halt, Timed, Why},
    never::Never,
};

/// Whether an attempt has a limit of time: [`Unlimited`] or [`Within`].
pub trait Limit<E: Env> {
    /// What wakes the task when the time is over.
    type Timer<'a>: Future<Output = ()>
    where
        E: 'a;

    /// Begins to measure, where there is a limit. Called when an attempt first has to wait, so that one which does not
    /// wait pays nothing; what it took until then does not count.
    fn arm<'a>(&self, cx: Cx<'a, E>) -> Option<Self::Timer<'a>>
    where
        E: 'a;

    /// The stop of an attempt whose time is over.
    fn elapsed<'a>(&self, timer: &Self::Timer<'a>) -> <E::Detail as Detail>::Halt
    where
        E: 'a;
}

/// No limit of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl<E: Env> Limit<E> for Unlimited {
    type Timer<'a>
        = Never<()>
    where
        E: 'a;

    #[inline(always)]
    fn arm<'a>(&self, _: Cx<'a, E>) -> Option<Never<()>>
    where
        E: 'a,
    {
        None
    }

    #[inline(always)]
    fn elapsed<'a>(&self, timer: &Never<()>) -> <E::Detail as Detail>::Halt
    where
        E: 'a,
    {
        timer.absurd()
    }
}

/// Each attempt has this much time from when it first has to wait.
#[derive(Debug, Clone, Copy)]
pub struct Within(pub(crate) Duration);

impl<E: Timed> Limit<E> for Within {
    type Timer<'a>
        = <E::Clock as Clock>::Sleep<'a>
    where
        E: 'a;

    #[cold]
    fn arm<'a>(&self, cx: Cx<'a, E>) -> Option<Self::Timer<'a>>
    where
        E: 'a,
    {
        Some(cx.env.clock().sleep(self.0))
    }

    #[cold]
    fn elapsed<'a>(&self, _: &Self::Timer<'a>) -> Halt
    where
        E: 'a,
    {
        Halt::new(Why::TimedOut { limit: self.0 })
    }
}
