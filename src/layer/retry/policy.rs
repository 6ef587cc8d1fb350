//! Again as a policy says, from where it failed or from the start.

use core::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{Again, Repeatable, Retries, pause::Pause};
use crate::{
    clock::Clock,
    exec::{Cx, Env, Explain, Full, Local, Node, Stop, Timed, contains},
    failure::Failure,
    hash::fnv1a,
    layer::checkpoint::FaultOf,
    meter::Meter,
    never::Never,
    policy::{PolicyMap, Tally},
    slot::Place,
    store::{Begun, Durability},
};

/// From the start: what a composite had done is thrown away before it is tried again.
#[derive(Debug, Clone, Copy)]
pub struct FromStart(pub(crate) PolicyMap);

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
