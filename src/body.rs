//! The function of a node, and what the builder methods put around it, within the node.

#[cfg(feature = "tokio")]
use crate::compose::Spawned;
use crate::{
    compose::{CxNode, FnNode},
    layer::{Ensure, Require},
};

/// The function of a node, with its checks.
///
/// Of several checks the first that was written is asked first: a new check of the input goes next to the function, inside
/// those that are there, and one of the output goes around them.
pub trait Body: Sized {
    /// With one more check of its input.
    type Require<F>;

    /// Puts the check there.
    fn require<F>(self, check: F) -> Self::Require<F>;
}

macro_rules! innermost {
    ($($(#[$gate:meta])? $name:ident<$($part:ident),*>),*) => {$(
        $(#[$gate])?
        impl<$($part),*> Body for $name<$($part),*> {
            type Require<Check> = Require<Self, Check>;

            fn require<Check>(self, check: Check) -> Self::Require<Check> {
                Require { body: self, check }
            }
        }
    )*};
}

innermost!(
    FnNode<F, In, Fut>,
    CxNode<F, In, C, Out, Error>,
    #[cfg(feature = "tokio")]
    Spawned<B>
);

impl<B: Body, G> Body for Require<B, G> {
    type Require<F> = Require<B::Require<F>, G>;

    fn require<F>(self, check: F) -> Self::Require<F> {
        Require { body: self.body.require(check), check: self.check }
    }
}

impl<B: Body, G> Body for Ensure<B, G> {
    type Require<F> = Ensure<B::Require<F>, G>;

    fn require<F>(self, check: F) -> Self::Require<F> {
        Ensure { body: self.body.require(check), check: self.check }
    }
}

/// A function that can run on tokio's pool, with its checks, which run where the rest of the run does.
#[cfg(feature = "tokio")]
#[diagnostic::on_unimplemented(
    message = "this node cannot run on tokio's pool",
    label = "its function does not take the input alone",
    note = "`.spawned()` is for `node(\"id\", f)`: a function that takes a `NodeCx` borrows from the run, and tokio's pool \
            wants `'static`"
)]
pub trait Spawnable {
    /// On the pool.
    type Spawned;

    /// Puts it there.
    fn spawned(self) -> Self::Spawned;
}

#[cfg(feature = "tokio")]
#[diagnostic::do_not_recommend]
impl<F, In, Fut> Spawnable for FnNode<F, In, Fut> {
    type Spawned = Spawned<Self>;

    fn spawned(self) -> Spawned<Self> {
        Spawned(self)
    }
}

#[cfg(feature = "tokio")]
#[diagnostic::do_not_recommend]
impl<B: Spawnable, G> Spawnable for Require<B, G> {
    type Spawned = Require<B::Spawned, G>;

    fn spawned(self) -> Self::Spawned {
        Require { body: self.body.spawned(), check: self.check }
    }
}

#[cfg(feature = "tokio")]
#[diagnostic::do_not_recommend]
impl<B: Spawnable, G> Spawnable for Ensure<B, G> {
    type Spawned = Ensure<B::Spawned, G>;

    fn spawned(self) -> Self::Spawned {
        Ensure { body: self.body.spawned(), check: self.check }
    }
}
