//! Once more, as the policy says.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::pin_project;

use super::checkpoint::FaultOf;
use crate::{
    clock::Clock,
    exec::{Cx, Env, Explain, Full, Local, Node, Stop, Timed, contains},
    failure::Failure,
    hash::fnv1a,
    meter::Meter,
    never::Never,
    policy::{PolicyMap, Tally},
    slot::Place,
    store::{Begun, Durability},
};

/// What retries say of themselves.
pub trait Again {
    /// Whether what was done is thrown away before another attempt.
    const FROM_START: bool = false;

    /// The policy, where it is one of their own.
    fn policy(&self) -> Option<&PolicyMap> {
        None
    }
}

impl Again for Inherit {}

impl Again for Once {}

impl Again for NoRetry {}

impl Again for PolicyMap {
    fn policy(&self) -> Option<&PolicyMap> {
        Some(self)
    }
}

impl Again for FromStart {
    const FROM_START: bool = true;

    fn policy(&self) -> Option<&PolicyMap> {
        Some(&self.0)
    }
}

/// How failures of one node are tried again: [`Inherit`], a [`PolicyMap`] of its own, or [`Once`].
pub trait Retries<In, Er, E: Env>: Again {
    /// What is kept of the input for another attempt.
    type Kept;
    /// How many attempts there were.
    type Tally: Copy + Default;
    /// The wait before another attempt.
    type Wait<'a>: Future<Output = ()>
    where
        E: 'a;
    /// What throwing away the last attempt waits for.
    type Clearing<'a>
    where
        E: 'a;

    /// Keeps what another attempt will need.
    fn keep(&self, input: &In, cx: Cx<'_, E>) -> Self::Kept;

    /// What is kept where there is no input: what goes on from the store needs none to go on again.
    fn keep_nothing(&self, cx: Cx<'_, E>) -> Self::Kept;

    /// The number of the attempt under way, from 1.
    fn attempt(tally: Self::Tally) -> u32;

    /// Counts a failure and begins the wait before another attempt.
    ///
    /// # Errors
    /// When there is none; and with the moment at which it would begin, where the budget would be used up by then.
    fn again<'a>(
        &self,
        tally: &mut Self::Tally,
        stop: &Stop<Er, E::Detail>,
        at: Place,
        cx: Cx<'a, E>,
        local: &Local<'_, E>,
    ) -> Result<Self::Wait<'a>, Option<Duration>>;

    /// Throws away what the last attempt had done, where that is wanted.
    fn clear<'a, N: Node>(
        &self,
        kept: &Self::Kept,
        body: &N,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Begun<Result<(), FaultOf<E>>, Self::Clearing<'a>>;

    /// Waits for that.
    fn poll_clear<'a>(
        clearing: Pin<&mut Self::Clearing<'a>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), FaultOf<E>>>
    where
        E: 'a;

    /// The input of another attempt, or nothing where there was none.
    fn input(kept: &Self::Kept) -> Option<In>;
}

/// A value that a node can be given more than once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be given to a node a second time: a retry needs `Clone`",
    label = "a retry keeps a copy of the input",
    note = "`#[derive(Clone)]` on `{Self}`, or an `Arc` around it, which is cheap to copy",
    note = "`Runner::new(..)` without policies keeps no copy; `.retry(PolicyMap::never())` still does"
)]
pub trait Repeatable {
    /// Another of the same.
    fn again(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Repeatable for T {
    #[inline(always)]
    fn again(&self) -> Self {
        self.clone()
    }
}

/// As the runner says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inherit;

/// Not again, whatever the runner says: for a layer that wraps something for another purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Once;

/// The policy of a runner that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRetry;

/// From the start: what a composite had done is thrown away before it is tried again.
#[derive(Debug, Clone, Copy)]
pub struct FromStart(pub(crate) PolicyMap);

macro_rules! not_again {
    ($($name:ty),*) => {$(
        impl<In, Er, E: Env> Retries<In, Er, E> for $name {
            type Kept = ();
            type Tally = ();
            type Wait<'a> = Never<()> where E: 'a;
            type Clearing<'a> = Never<()> where E: 'a;

            #[inline(always)]
            fn keep(&self, _: &In, _: Cx<'_, E>) {}

            #[inline(always)]
            fn keep_nothing(&self, _: Cx<'_, E>) {}

            #[inline(always)]
            fn attempt((): ()) -> u32 {
                1
            }

            #[inline(always)]
            fn again<'a>(
                &self,
                (): &mut (),
                _: &Stop<Er, E::Detail>,
                _: Place,
                _: Cx<'a, E>,
                _: &Local<'_, E>,
            ) -> Result<Never<()>, Option<Duration>> {
                Err(None)
            }

            #[inline(always)]
            fn clear<'a, N: Node>(
                &self,
                (): &(),
                _: &N,
                _: Place,
                _: Cx<'a, E>,
                _: &mut Local<'a, E>,
            ) -> Begun<Result<(), FaultOf<E>>, Self::Clearing<'a>> {
                Begun::Done(Ok(()))
            }

            #[inline(always)]
            fn poll_clear<'a>(
                clearing: Pin<&mut Never<()>>,
                _: &mut Local<'a, E>,
                _: &mut Context<'_>,
            ) -> Poll<Result<(), FaultOf<E>>>
            where
                E: 'a,
            {
                clearing.absurd()
            }

            #[inline(always)]
            fn input((): &()) -> Option<In> {
                None
            }
        }
    )*};
}

not_again!(Once, NoRetry);

impl<In, Er, E> Retries<In, Er, E> for Inherit
where
    E: Env,
    E::Policy: Retries<In, Er, E>,
{
    type Kept = <E::Policy as Retries<In, Er, E>>::Kept;
    type Tally = <E::Policy as Retries<In, Er, E>>::Tally;
    type Wait<'a>
        = <E::Policy as Retries<In, Er, E>>::Wait<'a>
    where
        E: 'a;

    type Clearing<'a>
        = <E::Policy as Retries<In, Er, E>>::Clearing<'a>
    where
        E: 'a;

    #[inline(always)]
    fn keep(&self, input: &In, cx: Cx<'_, E>) -> Self::Kept {
        cx.env.policy().keep(input, cx)
    }

    #[inline(always)]
    fn keep_nothing(&self, cx: Cx<'_, E>) -> Self::Kept {
        cx.env.policy().keep_nothing(cx)
    }

    #[inline(always)]
    fn attempt(tally: Self::Tally) -> u32 {
        <E::Policy as Retries<In, Er, E>>::attempt(tally)
    }

    #[inline(always)]
    fn again<'a>(
        &self,
        tally: &mut Self::Tally,
        stop: &Stop<Er, E::Detail>,
        at: Place,
        cx: Cx<'a, E>,
        local: &Local<'_, E>,
    ) -> Result<Self::Wait<'a>, Option<Duration>> {
        cx.env.policy().again(tally, stop, at, cx, local)
    }

    #[inline(always)]
    fn clear<'a, N: Node>(
        &self,
        kept: &Self::Kept,
        body: &N,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Begun<Result<(), FaultOf<E>>, Self::Clearing<'a>> {
        cx.env.policy().clear(kept, body, at, cx, local)
    }

    #[inline(always)]
    fn poll_clear<'a>(
        clearing: Pin<&mut Self::Clearing<'a>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), FaultOf<E>>>
    where
        E: 'a,
    {
        <E::Policy as Retries<In, Er, E>>::poll_clear(clearing, local, task)
    }

    #[inline(always)]
    fn input(kept: &Self::Kept) -> Option<In> {
        <E::Policy as Retries<In, Er, E>>::input(kept)
    }
}

macro_rules! as_the_map_says {
    ($name:ty, $map:expr, $clearing:ty, $clear:expr, $poll:expr) => {
        impl<In, Er, E> Retries<In, Er, E> for $name
        where
            In: Repeatable,
            Er: Failure,
            E: Timed,
            Full: Explain<Er, E>,
        {
            type Kept = Option<In>;
            type Tally = Tally;
            type Wait<'a>
                = Pause<<E::Clock as Clock>::Sleep<'a>>
            where
                E: 'a;
            type Clearing<'a>
                = $clearing
            where
                E: 'a;

            #[inline(always)]
            fn keep(&self, input: &In, _: Cx<'_, E>) -> Option<In> {
                Some(input.again())
            }

            #[inline(always)]
            fn keep_nothing(&self, _: Cx<'_, E>) -> Option<In> {
                None
            }

            #[inline(always)]
            fn attempt(tally: Tally) -> u32 {
                tally.attempt()
            }

            fn again<'a>(
                &self,
                tally: &mut Tally,
                stop: &Stop<Er, Full>,
                at: Place,
                cx: Cx<'a, E>,
                local: &Local<'_, E>,
            ) -> Result<Self::Wait<'a>, Option<Duration>> {
                let map: fn(&Self) -> &PolicyMap = $map;
                again(map(self), tally, stop, at, cx, local)
            }

            fn clear<'a, N: Node>(
                &self,
                kept: &Option<In>,
                body: &N,
                at: Place,
                _: Cx<'a, E>,
                local: &mut Local<'a, E>,
            ) -> Begun<Result<(), FaultOf<E>>, Self::Clearing<'a>> {
                // Without the input it could not begin anew, so what is there is kept and gone on from.
                if kept.is_none() {
                    return Begun::Done(Ok(()));
                }
                $clear(body, at, local)
            }

            #[inline(always)]
            fn poll_clear<'a>(
                clearing: Pin<&mut Self::Clearing<'a>>,
                local: &mut Local<'a, E>,
                task: &mut Context<'_>,
            ) -> Poll<Result<(), FaultOf<E>>>
            where
                E: 'a,
            {
                $poll(clearing, local, task)
            }

            #[inline]
            fn input(kept: &Option<In>) -> Option<In> {
                kept.as_ref().map(In::again)
            }
        }
    };
}

as_the_map_says!(
    PolicyMap,
    |map| map,
    Never<()>,
    |_, _, _| Begun::Done(Ok(())),
    |clearing: Pin<&mut Never<()>>, _, _| clearing.absurd()
);
as_the_map_says!(
    FromStart,
    |from_start| &from_start.0,
    <E::Store as Durability>::Writing<'a>,
    clear::<N, E>,
    |clearing, local: &mut Local<'a, E>, task| E::Store::poll_write(clearing, &mut local.session, task)
);

/// Removes every checkpoint of the nodes in `body`: those of this element or iteration, where it is in a collection or loop.
fn clear<'a, N: Node, E: Env>(
    body: &N,
    at: Place,
    local: &mut Local<'a, E>,
) -> Begun<Result<(), FaultOf<E>>, <E::Store as Durability>::Writing<'a>> {
    let Some(proof) = E::Store::existing(&local.session) else {
        return Begun::Done(Ok(()));
    };
    E::Store::discard(proof, &mut local.session, |slot| {
        (at.instance == 0 || slot.instance == at.instance) && contains(body, slot.node)
    })
}

#[cold]
fn again<'a, Er, E>(
    policy: &PolicyMap,
    tally: &mut Tally,
    stop: &Stop<Er, Full>,
    at: Place,
    cx: Cx<'a, E>,
    local: &Local<'_, E>,
) -> Result<Pause<<E::Clock as Clock>::Sleep<'a>>, Option<Duration>>
where
    Er: Failure,
    E: Timed,
    Full: Explain<Er, E>,
{
    let asked = match stop {
        // A store that failed is not a failure of the node, and running the node again does not mend it.
        Stop::Halt(halt) if !halt.why.is_attempt() => return Err(None),
        Stop::Halt(_) => None,
        Stop::Error(error, _) => error.retry_after(),
    };
    let attempt = tally.attempt();
    let run = &local.run.report.run_id;
    let seed = if at.id.is_empty() {
        // A layer around a chain has no id; its place tells it from others.
        fnv1a(run.jitter_seed("", at.instance, attempt), &at.node.to_le_bytes())
    } else {
        run.jitter_seed(at.id, at.instance, attempt)
    };
    let delay = policy.next(tally, Full::class(stop), seed).ok_or(None)?;
    let delay = asked.unwrap_or(delay);
    let clock = cx.env.clock();
    if delay.is_zero() {
        return Ok(Pause::Yield { yielded: false });
    }
    let until = cx.now().saturating_add(delay);
    if at.deadline.is_some_and(|deadline| until >= deadline) {
        return Err(None);
    }
    // Nothing could begin after it.
    if E::Budget::METERED && E::Budget::used_up_at(&local.book, at.scope, until) {
        return Err(Some(until));
    }
    Ok(Pause::Sleep(clock.sleep(delay)))
}

/// The wait before another attempt.
///
/// One of no length still lets go of the task once, so that a time-out around it can fire, but does not touch the timer.
#[pin_project(project = PauseProj)]
#[derive(Debug)]
pub enum Pause<S> {
    /// Lets go of the task once.
    Yield {
        /// Whether it did.
        yielded: bool,
    },
    /// Waits for the clock.
    Sleep(#[pin] S),
}

impl<S: Future<Output = ()>> Future for Pause<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        match self.project() {
            PauseProj::Yield { yielded: true } => Poll::Ready(()),
            PauseProj::Yield { yielded } => {
                *yielded = true;
                task.waker().wake_by_ref();
                Poll::Pending
            }
            PauseProj::Sleep(sleep) => sleep.poll(task),
        }
    }
}
