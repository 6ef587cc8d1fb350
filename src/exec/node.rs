//! What a node is, and a walk through those that there are.

use core::time::Duration;

use crate::{budget::Budget, policy::PolicyMap, slot::same_id};

/// A piece of a pipeline: it takes an `In` and yields an `Out` or an `Error`.
///
/// It knows nothing of the runner; how it runs in one is [`Exec`](crate::Exec).
pub trait Node {
    /// What it takes.
    type In;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;

    /// How many nodes with an id it has.
    const NODES: u16;

    /// How many of them skip their checkpoint.
    const SKIPPED: u16 = 0;

    /// Whether its input is checked before it begins. A node with an id says so of its function.
    const REQUIRES: bool = false;

    /// Whether its output is checked before anything is done with it. A node with an id says so of its function.
    const ENSURES: bool = false;

    /// Shows `walk` every node in order, and where branches begin and end.
    fn walk<W: Walk>(&self, walk: &mut W);
}

/// What a walk through a pipeline meets.
pub trait Walk {
    /// A node with an id.
    fn node(&mut self, node: NodeInfo);

    /// Branches begin; the first one follows.
    fn fork(&mut self) {}

    /// The next branch follows.
    fn branch(&mut self) {}

    /// The branches end.
    fn join(&mut self) {}

    /// A layer begins that is around what follows. What a node has itself is told with the node.
    fn enter(&mut self, layer: &Layer<'_>) {
        let _ = layer;
    }

    /// The layer that began last, of those that have not ended, ends.
    fn leave(&mut self) {}
}

/// A layer around a part of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer<'a> {
    /// The whole is tried again: what it has not done yet, or all of it.
    Retry {
        /// How often.
        policy: &'a PolicyMap,
        /// Whether what was done is thrown away first.
        from_start: bool,
    },
    /// Each attempt at the whole has a limit of time.
    Timeout(Duration),
    /// The whole has one, retries and waits included.
    Deadline(Duration),
    /// The whole has a limit of spend.
    Budget(&'a Budget),
}

/// A walk that sees the nodes alone.
pub(crate) struct Each<F>(pub(crate) F);

impl<F: FnMut(NodeInfo)> Walk for Each<F> {
    fn node(&mut self, node: NodeInfo) {
        (self.0)(node);
    }
}

/// Whether a node with this id is somewhere in `node`.
pub(crate) fn contains(node: &impl Node, id: &str) -> bool {
    let mut found = false;
    node.walk(&mut Each(|node: NodeInfo| found |= node.is(id)));
    found
}

/// The first and the last node in `node`; of a single one it is both.
pub(crate) fn ends(node: &impl Node) -> Option<(NodeInfo, NodeInfo)> {
    let mut ends = None;
    node.walk(&mut Each(|node: NodeInfo| ends = Some((ends.map_or(node, |(first, _)| first), node))));
    ends
}

/// What is known of a node without running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its id.
    pub id: &'static str,
    /// The id that it had first, and that its output is kept under, where it was renamed.
    pub was: Option<&'static str>,
    /// The name of the type that it takes.
    pub input: &'static str,
    /// The name of the type that it yields.
    pub output: &'static str,
    /// Whether its output is checkpointed in a runner with a store.
    pub checkpointed: bool,
    /// Whether its input is checked, by itself or by what is around it and begins with it.
    pub required: bool,
    /// Whether its output is checked, by itself or by what is around it and ends with it.
    pub ensured: bool,
    /// How it is tried again; `None` where that is left to the runner.
    pub retry: Option<PolicyMap>,
    /// How long each of its attempts may take; `None` for as long as it likes.
    pub timeout: Option<Duration>,
}

impl NodeInfo {
    /// The id that its output is kept under.
    pub(crate) fn stored_as(&self) -> &'static str {
        self.was.unwrap_or(self.id)
    }

    /// Whether this is the node's id, or was.
    pub(crate) fn is(&self, id: &str) -> bool {
        same_id(self.id, id) || self.was.is_some_and(|was| same_id(was, id))
    }
}
