//! What may stand in a pipeline, and what is said of what may not.

use crate::exec::Node;

/// Something that can come next in a pipeline whose output so far is `In` and whose error is `Error`.
///
/// # When it does not compile
/// The error points at the node that is wrong and names what it would have to take:
///
/// ```text
/// error[E0277]: `Pipeline<Step<FnNode<..>, ..>, u32, u32, ..>` is not a node that takes `Entities` and fails with `AppError`
///    | .then(node("count", count))
///    |  ---- ^^^^^^^^^^^^^^^^^^^^ does not fit the node before it
/// ```
///
/// In `Pipeline<.., A, B, E>`, `A` is what it takes, `B` what it yields and `E` its error. [`map`](crate::Pipeline::map) converts
/// between two nodes, [`map_err`](crate::Pipeline::map_err) converts an error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a node that takes `{In}` and fails with `{Error}`",
    label = "does not fit the node before it",
    note = "`Pipeline<.., A, B, E>` takes an `A`, yields a `B` and fails with an `E`",
    note = "a node's input is the output of the node before it: `.map(f)` converts between them",
    note = "all nodes of a pipeline have one error type: `.map_err(f)` converts it"
)]
pub trait IntoNode<In, Error> {
    /// What it yields.
    type Out;
    /// The node that it is.
    type Node: Node<In = In, Out = Self::Out, Error = Error>;
    /// Makes it.
    fn into_node(self) -> Self::Node;
}

/// Something that can be a branch beside another one that takes `In` and fails with `Error`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a branch that takes `{In}` and fails with `{Error}`",
    label = "does not fit the branch before it",
    note = "`Pipeline<.., A, B, E>` takes an `A`, yields a `B` and fails with an `E`",
    note = "the branches of `par` take the same input and have one error type: `.map_err(f)` converts an error"
)]
pub trait IntoBranch<In, Error> {
    /// What it yields.
    type Out;
    /// The node that it is.
    type Node: Node<In = In, Out = Self::Out, Error = Error>;
    /// Makes it.
    fn into_branch(self) -> Self::Node;
}

/// A whole piece of pipeline: what it takes, yields and fails with is its own.
pub trait Piece {
    /// What it takes.
    type In;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
    /// The node that it is.
    type Node: Node<In = Self::In, Out = Self::Out, Error = Self::Error>;
    /// Makes it.
    fn into_piece(self) -> Self::Node;
}
