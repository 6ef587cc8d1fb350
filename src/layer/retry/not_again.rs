//! Not again.

use core::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{Again, Retries};
use crate::{
    exec::{Cx, Env, Local, Node, Stop},
    layer::checkpoint::FaultOf,
    never::Never,
    slot::Place,
    store::Begun,
};

/// Not again, whatever the runner says: for a layer that wraps something for another purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Once;

/// The policy of a runner that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRetry;

impl Again for Once {}

impl Again for NoRetry {}

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
