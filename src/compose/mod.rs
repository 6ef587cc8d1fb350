//! Nodes that are made of functions and of other nodes.

mod cx_func;
mod flat;
mod func;
mod map;
mod map_err;
mod mode;
mod node_cx;
mod par;
mod seq;
#[cfg(feature = "tokio")]
mod spawned;

pub use cx_func::{CxFn, CxNode};
pub use flat::Flat;
pub use func::{FnNode, NodeFn, NodeFuture};
pub use map::{Fallible, Map, TryMap};
pub use map_err::MapErr;
pub use mode::{Chained, Fast, Settleable};
pub use node_cx::{IdempotencyKey, NodeCx, Provides};
pub use par::{Forkable, Par};
pub use seq::Seq;
#[cfg(feature = "tokio")]
pub use spawned::Spawned;
