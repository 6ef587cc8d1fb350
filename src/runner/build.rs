//! From a builder to a runner: what is checked, and why a runner cannot be built.

use core::fmt;

use super::run::Runner;
use crate::{
    budget::{AccountsError, EmptyBudget, INNER_BUDGETS_MAX},
    describe::Description,
    exec::{Layer, Node, NodeInfo, Walk},
    pipeline::Sealed,
    text::Text,
};

/// The longest id of a node in bytes.
const NODE_ID_MAX: usize = 64;

/// A builder whose pipeline can run in its environment: what [`Builder::build`](super::Builder::build) asks for.
pub trait Build {
    /// The pipeline.
    type Node;
    /// The environment.
    type Env;
    /// Checks what the compiler cannot, and makes the runner.
    ///
    /// # Errors
    /// As [`Builder::build`](super::Builder::build).
    fn checked(self) -> Result<Runner<Self::Node, Self::Env>, BuildError>;
}

pub(super) fn check_ids<N: Node>(node: &Sealed<N>) -> Result<(), BuildError> {
    let mut wrong = None;
    let mut position = 0_usize;
    Description::of(node).nodes(|one| {
        let found = [Some(one.id), one.was].into_iter().flatten().find_map(|id| check_id(id, position));
        wrong = wrong.take().or(found).or_else(|| doubled(node, one, position));
        position += 1;
    });
    wrong.map_or(Ok(()), Err)
}

/// Whether the budgets of parts allow anything and a ledger has room for them; yields whether one of them limits time.
pub(super) fn check_budgets<N: Node>(node: &Sealed<N>) -> Result<bool, BuildError> {
    struct Budgets {
        count: usize,
        timed: bool,
        empty: Option<EmptyBudget>,
    }
    impl Walk for Budgets {
        fn node(&mut self, _: NodeInfo) {}

        fn enter(&mut self, layer: &Layer<'_>) {
            let Layer::Budget(budget) = layer else { return };
            self.count += 1;
            self.timed |= budget.time_limit().is_some();
            self.empty = self.empty.or(budget.check().err());
        }
    }
    let mut budgets = Budgets { count: 0, timed: false, empty: None };
    node.node.walk(&mut budgets);
    if let Some(empty) = budgets.empty {
        return Err(BuildError::Accounts(empty.into()));
    }
    if budgets.count > INNER_BUDGETS_MAX {
        return Err(BuildError::TooManyBudgets { count: budgets.count });
    }
    Ok(budgets.timed)
}

fn check_id(id: &'static str, position: usize) -> Option<BuildError> {
    if id.is_empty() {
        return Some(BuildError::EmptyId { position: position + 1 });
    }
    if id.len() > NODE_ID_MAX {
        return Some(BuildError::LongId { id: NodeIdText(Text::of(id)), len: id.len() });
    }
    id.chars().any(char::is_control).then(|| BuildError::ControlInId { id: NodeIdText(Text::line(id)) })
}

/// Whether a node after `position` has the same id, or an id that this one had.
fn doubled<N: Node>(node: &Sealed<N>, one: NodeInfo, position: usize) -> Option<BuildError> {
    let mut found = None;
    let mut at = 0_usize;
    Description::of(node).nodes(|other| {
        if at > position {
            let clash = [Some(other.id), other.was].into_iter().flatten().find(|id| one.is(id));
            let clash = clash.map(|id| BuildError::DuplicateId { id, first: position + 1, second: at + 1 });
            found = found.take().or(clash);
        }
        at += 1;
    });
    found
}

/// The beginning of a node's id that cannot be used.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeIdText(Text<48>);

impl fmt::Display for NodeIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for NodeIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a runner cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two nodes have one id.
    #[error("node {first} and node {second} both have the id `{id}`: give one of them another")]
    DuplicateId {
        /// The id.
        id: &'static str,
        /// The first of them, counted from 1.
        first: usize,
        /// The second of them.
        second: usize,
    },
    /// A node has an empty id.
    #[error("node {position} has an empty id: checkpoints and traces are kept by id, so give it one")]
    EmptyId {
        /// Which node it is, counted from 1.
        position: usize,
    },
    /// An id is too long.
    #[error("the node id `{id}` has {len} bytes, the limit is {NODE_ID_MAX}: shorten it")]
    LongId {
        /// How it begins.
        id: NodeIdText,
        /// Its length in bytes.
        len: usize,
    },
    /// An id has a control character in it.
    #[error("the node id `{id}` has a control character in it: leave it out")]
    ControlInId {
        /// The id, with the character escaped.
        id: NodeIdText,
    },
    /// The store has fewer slots for a run than the pipeline has nodes.
    #[error(
        "the pipeline needs {needed} slots (its nodes and the input) and a run of the store has {slots}: make it larger"
    )]
    TooFewSlots {
        /// How many the store has.
        slots: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The budget allows nothing, or a fallback rule makes no sense.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// More parts of the pipeline have a budget than a ledger has room for.
    #[error(
        "{count} parts of the pipeline have a budget of their own, and there is room for {INNER_BUDGETS_MAX}: give fewer one"
    )]
    TooManyBudgets {
        /// How many have one.
        count: usize,
    },
    /// Time is limited, and the runner has no clock.
    #[error("the budget limits time, and this runner has no clock: give it one with `with_clock`")]
    NoClock,
}
