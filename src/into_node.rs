//! What may stand in a pipeline, and what is said of what may not.

use crate::exec::Node;

/// Something that can come next in a pipeline whose output so far is `In` and whose error is `Error`.
///
/// # When it does not compile
/// The error points at the node that is wrong, names what it would have to take, and then what it takes:
///
/// ```text
/// error[E0277]: the next node has to take `Entities` and fail with `AppError`, and this one does not
///    | node("extract", extract).then(node("count", count))
///    |                          ---- ^^^^^^^^^^^^^^^^^^^^ does not fit the node before it
///    = note: a node's input is the output of the node before it: `.map(f)` converts between them
///    = note: all nodes of a pipeline have one error type: `.map_err(f)` converts it
///    = help: for that trait implementation, expected `Vec<String>`, found `Entities`
/// ```
///
/// [`map`](crate::Pipeline::map) converts between two nodes, [`map_err`](crate::Pipeline::map_err) an error. In a nested type
/// `Pipeline<.., A, B, E>`, `A` is what it takes, `B` what it yields and `E` its error.
#[diagnostic::on_unimplemented(
    message = "the next node has to take `{In}` and fail with `{Error}`, and this one does not",
    label = "does not fit the node before it",
    note = "a node's input is the output of the node before it: `.map(f)` converts between them",
    note = "all nodes of a pipeline have one error type: `.map_err(f)` converts it",
    note = "`node(\"id\", f)` makes a node of an async function; a `Pipeline<.., A, B, E>` takes an `A`, yields a `B` and fails \
            with an `E`"
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
    message = "each branch has to take `{In}` and fail with `{Error}`, and this one does not",
    label = "does not fit the first branch",
    note = "the branches of `par` take the same input",
    note = "all nodes of a pipeline have one error type: `.map_err(f)` converts it",
    note = "`node(\"id\", f)` makes a node of an async function; a `Pipeline<.., A, B, E>` takes an `A`, yields a `B` and fails \
            with an `E`"
)]
pub trait IntoBranch<In, Error> {
    /// What it yields.
    type Out;
    /// The node that it is.
    type Node: Node<In = In, Out = Self::Out, Error = Error>;
    /// Makes it.
    fn into_branch(self) -> Self::Node;
}

/// That two types are the same. Where they are not, [`Then`](Self::Then) is unknown, so that what uses it says nothing and the
/// mismatch is the only error.
pub trait Same<T> {
    /// An `X`, where they are.
    type Then<X>;
    /// Says so.
    fn then<X>(it: X) -> Self::Then<X>;
}

impl<T> Same<T> for T {
    type Then<X> = X;

    #[inline(always)]
    fn then<X>(it: X) -> X {
        it
    }
}

/// That a type is known. While the compiler does not know it, because of an error in what it comes from, [`Is`](Self::Is) is
/// unknown too, so that what uses it says nothing and that error is the only one.
pub trait Known {
    /// An `X`, once it is.
    type Is<X>;
}

impl<T: ?Sized> Known for T {
    type Is<X> = X;
}

/// A type as itself: with it a bound can stand on a parameter, which decides where an error is shown.
pub trait Itself {
    /// The type.
    type It;
    /// The value.
    fn it(self) -> Self::It;
}

impl<T> Itself for T {
    type It = T;

    #[inline(always)]
    fn it(self) -> T {
        self
    }
}

/// A whole piece of pipeline: what it takes, yields and fails with is its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pipeline",
    label = "not a node, a branching or a pipeline",
    note = "`node(\"id\", f)` makes a node of an async function",
    note = "a `json::decode` that begins a pipeline says what it takes: `.into_pipeline::<String, AppError>()`"
)]
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
