//! Single nodes.

use super::{
    Pipeline,
    types::{CxStep, FnStep},
};
use crate::{
    compose::{CxFn, CxNode, FnNode, NodeFn},
    layer::{Inherit, Leaf, Policy, Step, Stored, Unlimited},
};

/// A node made of an async function or closure that takes the input alone.
///
/// The id names the node in checkpoints, traces and errors; [`build`](crate::Builder::build) checks it.
///
/// ```
/// # #[derive(Debug)] struct AppError;
/// async fn double(x: u32) -> Result<u32, AppError> {
///     Ok(x * 2)
/// }
///
/// let factor = 3;
/// let pipeline = stroma::node("double", double)
///     .then(stroma::node("increment", async |x: u32| Ok(x + 1)))
///     .then(stroma::node("triple", move |x: u32| async move { Ok(x * factor) }));
/// # let _ = pipeline;
/// ```
///
/// A closure that uses something it owns is called again and again, so it lends or copies it to each future:
/// `move |x| { let client = client.clone(); async move { client.get(x).await } }`.
///
/// # When it does not compile
/// A function that is not async, or does not return a `Result`, is named in an error of ours. Three others are the compiler's,
/// since the bound is a plain `Fn`:
///
/// - *async closure does not implement `Fn` because it captures state from its environment*: it lacks the copy above. It is said
///   a second time where the runner is built in the same function.
/// - *cannot move out of `client`, a captured variable in an `Fn` closure*: so does this one; the compiler shows where.
/// - *function is expected to take 1 argument, but it takes 2 arguments*: it takes a [`NodeCx`](crate::NodeCx) too, so it wants
///   [`node_with`].
pub fn node<F, In, Fut, Out, Error>(id: &'static str, function: F) -> Pipeline<FnStep<F, In, Fut, Out>, In, Out, Error>
where
    F: NodeFn<In, Fut = Fut, Out = Out, Error = Error>,
{
    Pipeline::of(leaf(id, FnNode::new(function)))
}

/// A node made of an async function or closure that takes the input and a [`NodeCx`](crate::NodeCx).
///
/// ```
/// # use stroma::{NodeCx, node_with};
/// # #[derive(Debug)] struct AppError;
/// struct Config {
///     factor: u32,
/// }
///
/// async fn scale(x: u32, cx: NodeCx<'_, Config>) -> Result<u32, AppError> {
///     Ok(x * cx.context().factor)
/// }
///
/// let pipeline = node_with("scale", scale);
/// # let _ = pipeline;
/// ```
pub fn node_with<F, In, C, Out, Error>(
    id: &'static str,
    function: F,
) -> Pipeline<CxStep<F, In, C, Out, Error>, In, Out, Error>
where
    F: for<'a> CxFn<'a, In, C, Out = Out, Error = Error>,
    C: 'static,
{
    Pipeline::of(leaf(id, CxNode::new(function)))
}

fn leaf<B>(id: &'static str, body: B) -> Step<B, Policy<Inherit, Unlimited, Stored>> {
    Step { id, key: id, body, policy: Policy { retry: Inherit, limit: Unlimited, keep: Leaf } }
}
