//! What happens to the other branches when one fails.

use core::marker::PhantomData;

use crate::{
    exec::Env,
    store::{Durability, Hold},
};

/// The first failure ends both branches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fast;

/// After a failure the other branch is allowed to finish and to be checkpointed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settle;

/// The right branch is the rest of the same `par!`, which is as flat as it is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chained<M>(PhantomData<M>);

/// Whether the right branch of a [`Par`](super::Par) is the rest of the same `par!`.
pub trait Joins {
    /// It is.
    const CHAINED: bool;
}

impl Joins for Fast {
    const CHAINED: bool = false;
}

impl Joins for Settle {
    const CHAINED: bool = false;
}

impl<M> Joins for Chained<M> {
    const CHAINED: bool = true;
}

impl<E: Env, M: ParMode<E>> ParMode<E> for Chained<M> {
    type Hold<T> = M::Hold<T>;
    const SETTLE: bool = M::SETTLE;
}

/// Branches that can be told to settle.
pub trait Settleable {
    /// The same branches, settling.
    type Settled;
    /// Tells them.
    fn settle(self) -> Self::Settled;
}

/// What happens to the other branch when one fails: [`Fast`] or [`Settle`].
pub trait ParMode<E: Env> {
    /// Room for the failure while the other branch goes on.
    type Hold<T>: Hold<T>;
    /// Whether it is allowed to finish.
    const SETTLE: bool;
}

impl<E: Env> ParMode<E> for Fast {
    type Hold<T> = <E::Store as Durability>::Hold<T>;
    const SETTLE: bool = false;
}

impl<E: Env> ParMode<E> for Settle {
    type Hold<T> = Option<T>;
    const SETTLE: bool = true;
}
