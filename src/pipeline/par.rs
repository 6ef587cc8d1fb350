//! Branches: the function for two, and the macro for more.

use core::marker::PhantomData;

use super::{Pipeline, sealed::Sealed};
use crate::{
    chain::{Nil, One},
    compose::{Chained, Fast, Par},
    into_node::{IntoBranch, Piece},
};

/// Two branches that take the same input, concurrently on one task; the pair of their outputs comes out.
///
/// The input is cloned for each branch but the last, which [`build`](crate::Builder::build) checks.
///
/// Each branch has its own retries, time-outs and checkpoints. When one fails the other is dropped at once, unless
/// [`settle`](Pipeline::settle) says otherwise. More than two: [`par!`](crate::par!).
///
/// ```
/// # use stroma::{node, par};
/// # #[derive(Debug)] struct AppError;
/// # async fn count(text: String) -> Result<usize, AppError> { Ok(text.len()) }
/// # async fn upper(text: String) -> Result<String, AppError> { Ok(text.to_uppercase()) }
/// let pipeline = par(node("count", count), node("upper", upper)).map(|(count, upper)| format!("{count} {upper}"));
/// # let _ = pipeline;
/// ```
pub fn par<A, B, In, Error, Left, Right, LeftOut, RightOut>(
    left: A,
    right: B,
) -> Pipeline<One<Par<Left, Right>, Nil>, In, (LeftOut, RightOut), Error>
where
    A: Piece<In = In, Out = LeftOut, Error = Error, Node = Left>,
    B: IntoBranch<In, Error, Out = RightOut, Node = Right>,
{
    Pipeline::of(One { tree: Par::new(left.into_piece(), right.into_branch()), rest: Nil })
}

/// Three branches and more, for [`par!`](crate::par!).
#[doc(hidden)]
pub fn __par_chained<A, B, In, Error, Left, Right, LeftOut, RightOut>(
    left: A,
    right: B,
) -> Pipeline<One<Par<Left, Right, Chained<Fast>>, Nil>, In, (LeftOut, RightOut), Error>
where
    A: Piece<In = In, Out = LeftOut, Error = Error, Node = Left>,
    B: IntoBranch<In, Error, Out = RightOut, Node = Right>,
{
    Pipeline::of(One { tree: Par::new(left.into_piece(), right.into_branch()), rest: Nil })
}

/// What the first branch of a [`par!`](crate::par!) takes and fails with.
#[doc(hidden)]
pub fn __types_of<A, In, Error>(_: &A) -> PhantomData<fn(In) -> Error>
where
    A: Piece<In = In, Error = Error>,
{
    PhantomData
}

/// A further branch of a [`par!`](crate::par!), checked against the first one so that the error is at the one that is wrong.
#[doc(hidden)]
pub fn __beside<B, In, Error, Node>(_: PhantomData<fn(In) -> Error>, branch: B) -> Sealed<Node>
where
    B: IntoBranch<In, Error, Node = Node>,
{
    Sealed { node: branch.into_branch() }
}

/// Any number of branches from two to twelve that take the same input; the flat tuple of their outputs comes out.
///
/// ```
/// # use stroma::{node, par};
/// # #[derive(Debug)] struct AppError;
/// # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
/// let pipeline = par!(node("a", f), node("b", f), node("c", f)).map(|(a, b, c)| a + b + c);
/// assert_eq!(pipeline.describe().to_string(), "(a | b | c)");
/// ```
#[macro_export]
macro_rules! par {
    ($a:expr, $b:expr $(,)?) => {
        $crate::par($a, $b)
    };
    ($first:expr, $($branch:expr),+ $(,)?) => {{
        let first = $first;
        let types = $crate::__types_of(&first);
        $crate::__par_flat!([first, $($crate::__beside(types, $branch)),+] [] a b c d e f g h i j k l)
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __par_flat {
    ([$first:expr, $($rest:expr),+] [$($name:ident)*] $next:ident $($names:ident)*) => {
        $crate::__par_flat!(@nest [$($rest),+] [$first] [$($name)* $next] $($names)*)
    };
    (@nest [$branch:expr, $($rest:expr),+] [$($done:expr),+] [$($name:ident)*] $next:ident $($names:ident)*) => {
        $crate::__par_flat!(@nest [$($rest),+] [$($done),+, $branch] [$($name)* $next] $($names)*)
    };
    (@nest [$last:expr] [$($done:expr),+] [$($name:ident)*] $next:ident $($names:ident)*) => {
        $crate::__par_flat!(@tree [$($done),+] $last).__flat(
            |$crate::__par_flat!(@pattern $($name)* $next)| ($($name,)* $next)
        )
    };
    (@tree [$first:expr, $second:expr] $last:expr) => {
        $crate::__par_chained($first, $crate::par($second, $last))
    };
    (@tree [$first:expr, $($rest:expr),+] $last:expr) => {
        $crate::__par_chained($first, $crate::__par_flat!(@tree [$($rest),+] $last))
    };
    (@pattern $a:ident $b:ident) => { ($a, $b) };
    (@pattern $a:ident $($rest:ident)+) => { ($a, $crate::__par_flat!(@pattern $($rest)+)) };
}
