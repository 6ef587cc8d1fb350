//! A pipeline that is closed.

use crate::{
    describe::{Description, Shown},
    exec::{Node, Walk},
    into_node::{IntoBranch, IntoNode, Piece, Same},
};

/// A pipeline that is closed: what a function returns that hides how it is made.
///
/// It is used like any other: `.then(counting())`, `par(a, counting())`, `Runner::new(counting())`. How to write such a function
/// shows [`SendExec`](crate::SendExec).
#[derive(Debug, Clone, Copy)]
#[must_use = "a pipeline does nothing until a runner runs it"]
pub struct Sealed<N> {
    pub(crate) node: N,
}

impl<N: Node> Sealed<N> {
    /// Its nodes and its shape, as [`Pipeline::describe`](crate::Pipeline::describe).
    pub const fn describe(&self) -> Description<'_, Self> {
        Description::of(self)
    }
}

#[diagnostic::do_not_recommend]
impl<N, In, Error, It> IntoNode<In, Error> for Sealed<N>
where
    N: Node,
    (N::In, N::Error): Same<(In, Error), Then<N> = It>,
    It: Node<In = In, Out = N::Out, Error = Error>,
{
    type Out = N::Out;
    type Node = It;

    fn into_node(self) -> It {
        <(N::In, N::Error)>::then(self.node)
    }
}

#[diagnostic::do_not_recommend]
impl<N, In, Error, It> IntoBranch<In, Error> for Sealed<N>
where
    N: Node,
    (N::In, N::Error): Same<(In, Error), Then<N> = It>,
    It: Node<In = In, Out = N::Out, Error = Error>,
{
    type Out = N::Out;
    type Node = It;

    fn into_branch(self) -> It {
        <(N::In, N::Error)>::then(self.node)
    }
}

impl<N: Node> Piece for Sealed<N> {
    type In = N::In;
    type Out = N::Out;
    type Error = N::Error;
    type Node = N;

    fn into_piece(self) -> N {
        self.node
    }
}

impl<N: Node> Shown for Sealed<N> {
    fn show<W: Walk>(&self, walk: &mut W) {
        self.node.walk(walk);
    }
}
