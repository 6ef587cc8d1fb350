//! Once more, as the policy says.

mod inherit;
mod not_again;
mod pause;
mod policy;

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

pub use inherit::Inherit;
pub use not_again::{NoRetry, Once};
pub use policy::FromStart;

use super::checkpoint::FaultOf;
use crate::{
    exec::{Cx, Env, Local, Node, Stop},
    policy::PolicyMap,
    slot::Place,
    store::Begun,
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
