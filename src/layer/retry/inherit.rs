//! Again as the runner says.

use core::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{Again, Retries};
use crate::{
    exec::{Cx, Env, Local, Node, Stop},
    layer::checkpoint::FaultOf,
    slot::Place,
    store::Begun,
};

/// As the runner says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inherit;

impl Again for Inherit {}

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
