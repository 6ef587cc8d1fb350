//! The shell of a node: checkpoint around retry around time-out around its function.
//!
//! One state machine serves a single node and, with options switched off, each layer around a chain of nodes, so that a
//! retry is a retry in both places. What an option that is off would need is a type without values, and gone.

mod attempt;
mod poll;
mod state;

use core::any::type_name;

use super::{checkpoint::Role, retry::Again, timeout::Lasting};
use crate::exec::{Layer, Node, NodeInfo, Walk};

/// A body and what is to be done around it.
///
/// Around the function of a node the order is fixed: checkpoint, then retry, then checks of the output, then time-out, then the
/// function. So a time-out is one of each attempt, and what is checkpointed is the output of the attempt that succeeded and
/// passed. (The checks are around the function, within the time-out: they never wait, so it never ends one.)
#[derive(Debug, Clone, Copy)]
pub struct Step<B, P> {
    pub(crate) id: &'static str,
    /// The id under which its output is kept: the one that it had first.
    pub(crate) key: &'static str,
    pub(crate) body: B,
    pub(crate) policy: P,
}

/// What is to be done around a body: retries `R`, a limit of time `T`, and whether it is a node whose output is kept, `K`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy<R, T, K> {
    pub(crate) retry: R,
    pub(crate) limit: T,
    pub(crate) keep: K,
}

impl<B: Node, R: Again, T: Lasting, K: Role> Node for Step<B, Policy<R, T, K>> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES + K::NODES;
    const SKIPPED: u16 = if K::NODES != 0 && !K::STORED { 1 } else { B::SKIPPED };

    fn walk<W: Walk>(&self, walk: &mut W) {
        let (retry, timeout) = (self.policy.retry.policy(), self.policy.limit.lasting());
        if K::NODES == 0 {
            let retry = retry.map(|policy| Layer::Retry { policy, from_start: R::FROM_START });
            let layers = [retry, timeout.map(Layer::Timeout)];
            layers.iter().flatten().for_each(|layer| walk.enter(layer));
            self.body.walk(walk);
            return layers.iter().flatten().for_each(|_| walk.leave());
        }
        walk.node(NodeInfo {
            id: self.id,
            was: (self.key != self.id).then_some(self.key),
            input: type_name::<B::In>(),
            output: type_name::<B::Out>(),
            checkpointed: K::STORED,
            required: B::REQUIRES,
            ensured: B::ENSURES,
            retry: retry.copied(),
            timeout,
        });
    }
}
