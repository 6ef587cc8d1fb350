//! Nodes that are made of functions and of other nodes.

mod func;
mod map;
mod par;
mod seq;
#[cfg(feature = "tokio")]
mod spawned;

pub use func::{CxFn, CxNode, FnNode, IdempotencyKey, NodeCx, NodeFn, NodeFuture, Provides};
pub use map::{Fallible, Flat, Map, MapErr, TryMap};
pub use par::{Chained, Fast, Forkable, Par, Settleable};
pub use seq::Seq;
#[cfg(feature = "tokio")]
pub use spawned::Spawned;
