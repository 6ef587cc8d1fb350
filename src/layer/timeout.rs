//! A limit of time for each attempt.

use core::{convert::Infallible, future::Future, time::Duration};

use pin_project::pin_project;

use crate::{
    clock::Clock,
    exec::{Cx, Detail, Env, Halt, Timed, Why},
    never::Never,
};

/// What a limit of time says of itself.
pub trait Lasting {
    /// How long an attempt may take, where it is limited.
    fn lasting(&self) -> Option<Duration>;
}

impl Lasting for Unlimited {
    fn lasting(&self) -> Option<Duration> {
        None
    }
}

impl Lasting for Within {
    fn lasting(&self) -> Option<Duration> {
        Some(self.0)
    }
}

/// Whether an attempt has a limit of time: [`Unlimited`] or [`Within`].
pub trait Limit<E: Env>: Lasting {
    /// What wakes the task when the time is over.
    type Timer<'a>: Future<Output = ()>
    where
        E: 'a;

    /// Says that the time is over.
    type Late: Copy;

    /// Whether there is a limit.
    const LIMITED: bool;

    /// Begins to measure, where there is a limit. Called when an attempt first has to wait, so that one which does not
    /// wait pays nothing; what it took until then does not count.
    fn arm<'a>(&self, cx: Cx<'a, E>) -> Option<Self::Timer<'a>>
    where
        E: 'a;

    /// Says that this timer has fired.
    fn late<'a>(timer: &Self::Timer<'a>) -> Self::Late
    where
        E: 'a;

    /// The stop of an attempt whose time is over.
    fn elapsed(&self, late: Self::Late) -> <E::Detail as Detail>::Halt;
}

/// The timer of one attempt.
#[pin_project(project = AlarmProj)]
#[derive(Debug)]
pub enum Alarm<T, L> {
    /// It was not needed yet.
    Off,
    /// It runs.
    On(#[pin] T),
    /// It has fired, and what the attempt is saving is to be saved before it is dropped.
    Over(L),
}

/// No limit of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl<E: Env> Limit<E> for Unlimited {
    type Timer<'a>
        = Never<()>
    where
        E: 'a;
    type Late = Infallible;

    const LIMITED: bool = false;

    #[inline(always)]
    fn arm<'a>(&self, _: Cx<'a, E>) -> Option<Never<()>>
    where
        E: 'a,
    {
        None
    }

    #[inline(always)]
    fn late<'a>(timer: &Never<()>) -> Infallible
    where
        E: 'a,
    {
        timer.absurd()
    }

    #[inline(always)]
    fn elapsed(&self, late: Infallible) -> <E::Detail as Detail>::Halt {
        match late {}
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
    type Late = ();

    const LIMITED: bool = true;

    #[cold]
    fn arm<'a>(&self, cx: Cx<'a, E>) -> Option<Self::Timer<'a>>
    where
        E: 'a,
    {
        Some(cx.env.clock().sleep(self.0))
    }

    #[inline(always)]
    fn late<'a>(_: &Self::Timer<'a>)
    where
        E: 'a,
    {
    }

    #[cold]
    fn elapsed(&self, (): ()) -> Halt {
        Halt::new(Why::TimedOut { limit: self.0 })
    }
}
