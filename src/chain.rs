//! A chain of nodes while it is built, counted in binary.
//!
//! The chain is a list of digits, the least significant first. Each [`One`] holds a balanced tree of its weight; pushing a node
//! is an increment with carry. So the tree that comes of it is as deep as the logarithm of the chain, and neither the
//! compiler's recursion limit nor its time is felt.

use core::time::Duration;

use crate::{
    body::Body,
    budget::Budget,
    compose::Seq,
    exec::Node,
    layer::{Budgeted, Deadline, Ensure, FromStart, Inner, Once, Policy, Require, Step, Unlimited, Within},
    policy::PolicyMap,
};

/// No more digits.
#[derive(Debug, Clone, Copy)]
pub struct Nil;

/// A digit that is set: `tree` comes after all that is in `rest`.
#[derive(Debug, Clone, Copy)]
pub struct One<T, R> {
    pub(crate) tree: T,
    pub(crate) rest: R,
}

/// A digit that is not set.
#[derive(Debug, Clone, Copy)]
pub struct Zero<R> {
    pub(crate) rest: R,
}

/// A chain that another node can be appended to.
pub trait Push<T> {
    /// The longer chain.
    type Out;
    /// Appends it.
    fn push(self, next: T) -> Self::Out;
}

impl<T> Push<T> for Nil {
    type Out = One<T, Nil>;

    fn push(self, next: T) -> Self::Out {
        One { tree: next, rest: self }
    }
}

impl<T, R> Push<T> for Zero<R> {
    type Out = One<T, R>;

    fn push(self, next: T) -> Self::Out {
        One { tree: next, rest: self.rest }
    }
}

impl<T, U, R: Push<Seq<U, T>>> Push<T> for One<U, R> {
    type Out = Zero<R::Out>;

    fn push(self, next: T) -> Self::Out {
        Zero { rest: self.rest.push(Seq::new(self.tree, next)) }
    }
}

/// A single node is the number one.
impl<T, B, P> Push<T> for Step<B, P> {
    type Out = Zero<One<Seq<Self, T>, Nil>>;

    fn push(self, next: T) -> Self::Out {
        Zero { rest: One { tree: Seq::new(self, next), rest: Nil } }
    }
}

/// A chain that can be made one node.
pub trait Fold {
    /// The node.
    type Node;
    /// Makes it.
    fn fold(self) -> Self::Node;
}

impl<B, P> Fold for Step<B, P> {
    type Node = Self;

    fn fold(self) -> Self {
        self
    }
}

impl<T> Fold for One<T, Nil> {
    type Node = T;

    fn fold(self) -> T {
        self.tree
    }
}

impl<T, U, R> Fold for One<T, One<U, R>>
where
    One<U, R>: Fold,
{
    type Node = Seq<<One<U, R> as Fold>::Node, T>;

    fn fold(self) -> Self::Node {
        Seq::new(self.rest.fold(), self.tree)
    }
}

impl<T, R> Fold for One<T, Zero<R>>
where
    Zero<R>: Fold,
{
    type Node = Seq<<Zero<R> as Fold>::Node, T>;

    fn fold(self) -> Self::Node {
        Seq::new(self.rest.fold(), self.tree)
    }
}

impl<R: Fold> Fold for Zero<R> {
    type Node = R::Node;

    fn fold(self) -> R::Node {
        self.rest.fold()
    }
}

/// A layer around one node.
pub(crate) type Wrapped<N, R, T> = One<Step<N, Policy<R, T, Inner>>, Nil>;

/// What the builder methods do to a chain: a single node has a field for each, anything else is folded and wrapped.
pub trait Tune: Sized {
    /// With these retries.
    type Retry;
    /// With a limit of time per attempt.
    type Timeout;

    /// Sets the retries.
    fn retry(self, policy: PolicyMap) -> Self::Retry;
    /// Sets the limit of time per attempt.
    fn timeout(self, limit: Duration) -> Self::Timeout;
}

impl<B, R, T, K> Tune for Step<B, Policy<R, T, K>> {
    type Retry = Step<B, Policy<PolicyMap, T, K>>;
    type Timeout = Step<B, Policy<R, Within, K>>;

    fn retry(self, retry: PolicyMap) -> Self::Retry {
        let Policy { limit, keep, .. } = self.policy;
        Step { id: self.id, key: self.key, body: self.body, policy: Policy { retry, limit, keep } }
    }

    fn timeout(self, limit: Duration) -> Self::Timeout {
        let Policy { retry, keep, .. } = self.policy;
        Step { id: self.id, key: self.key, body: self.body, policy: Policy { retry, limit: Within(limit), keep } }
    }
}

macro_rules! fold_and_wrap {
    ($($name:ident<$($part:ident),*>),*) => {$(
        impl<$($part),*> Tune for $name<$($part),*>
        where
            Self: Fold,
        {
            type Retry = Wrapped<<Self as Fold>::Node, PolicyMap, Unlimited>;
            type Timeout = Wrapped<<Self as Fold>::Node, Once, Within>;

            fn retry(self, policy: PolicyMap) -> Self::Retry {
                wrap(self.fold(), policy, Unlimited)
            }

            fn timeout(self, limit: Duration) -> Self::Timeout {
                wrap(self.fold(), Once, Within(limit))
            }
        }
    )*};
}

fold_and_wrap!(One<T, R>, Zero<R>);

/// Where the checks of values go: with a single node around its function, with anything else, folded, around the whole.
pub trait Checks: Sized {
    /// With a check of the input.
    type Require<F>;
    /// With a check of the output.
    type Ensure<F>;

    /// Checks the input.
    fn require<F>(self, check: F) -> Self::Require<F>;
    /// Checks the output.
    fn ensure<F>(self, check: F) -> Self::Ensure<F>;
}

impl<B: Body, P> Checks for Step<B, P> {
    type Require<F> = Step<B::Require<F>, P>;
    type Ensure<F> = Step<Ensure<B, F>, P>;

    fn require<F>(self, check: F) -> Self::Require<F> {
        let Self { id, key, body, policy } = self;
        Step { id, key, body: body.require(check), policy }
    }

    fn ensure<F>(self, check: F) -> Self::Ensure<F> {
        let Self { id, key, body, policy } = self;
        Step { id, key, body: Ensure { body, check }, policy }
    }
}

macro_rules! fold_and_check {
    ($($name:ident<$($part:ident),*>),*) => {$(
        impl<$($part),*> Checks for $name<$($part),*>
        where
            Self: Fold,
        {
            type Require<F> = One<Require<<Self as Fold>::Node, F>, Nil>;
            type Ensure<F> = One<Ensure<<Self as Fold>::Node, F>, Nil>;

            fn require<F>(self, check: F) -> Self::Require<F> {
                One { tree: Require { body: self.fold(), check }, rest: Nil }
            }

            fn ensure<F>(self, check: F) -> Self::Ensure<F> {
                One { tree: Ensure { body: self.fold(), check }, rest: Nil }
            }
        }
    )*};
}

fold_and_check!(One<T, R>, Zero<R>);

fn wrap<N, R, T>(body: N, retry: R, limit: T) -> Wrapped<N, R, T> {
    One { tree: Step { id: "", key: "", body, policy: Policy { retry, limit, keep: Inner } }, rest: Nil }
}

/// The retries of a composite, from the start.
pub(crate) fn from_start<N, T>(chain: Wrapped<N, PolicyMap, T>) -> Wrapped<N, FromStart, T> {
    let Policy { retry, limit, .. } = chain.tree.policy;
    wrap(chain.tree.body, FromStart(retry), limit)
}

/// A deadline over a whole chain.
pub(crate) fn deadline<C: Fold>(chain: C, limit: Duration) -> One<Deadline<C::Node>, Nil> {
    One { tree: Deadline::new(chain.fold(), limit), rest: Nil }
}

/// A budget for a whole chain.
pub(crate) fn budget<C: Fold<Node: Node>>(chain: C, budget: Budget) -> One<Budgeted<C::Node>, Nil> {
    One { tree: Budgeted::new(chain.fold(), budget), rest: Nil }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain as text: `(ab)` for a [`Seq`].
    trait Show {
        fn show(&self, out: &mut std::string::String);
    }
    extern crate std;

    impl Show for char {
        fn show(&self, out: &mut std::string::String) {
            out.push(*self);
        }
    }

    impl<A: Show, B: Show> Show for Seq<A, B> {
        fn show(&self, out: &mut std::string::String) {
            let (first, second) = self.parts();
            out.push('(');
            first.show(out);
            second.show(out);
            out.push(')');
        }
    }

    fn shown(chain: impl Fold<Node: Show>) -> std::string::String {
        let mut out = std::string::String::new();
        chain.fold().show(&mut out);
        out
    }

    #[test]
    fn a_chain_keeps_its_order_and_is_balanced() {
        let one = Nil.push('a');
        assert_eq!(shown(one), "a");
        let two = one.push('b');
        assert_eq!(shown(two), "(ab)");
        let three = two.push('c');
        assert_eq!(shown(three), "((ab)c)");
        let four = three.push('d');
        assert_eq!(shown(four), "((ab)(cd))");
        assert_eq!(shown(four.push('e').push('f').push('g')), "((((ab)(cd))(ef))g)");
        assert_eq!(shown(four.push('e').push('f').push('g').push('h')), "(((ab)(cd))((ef)(gh)))");
    }
}
