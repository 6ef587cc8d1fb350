//! What can go wrong between a run and its store.

use super::super::{CheckpointError, StoreError};
use crate::{budget::LedgerError, text::Words};

/// What can go wrong between a run and its store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// The store failed.
    Store(StoreError),
    /// A checkpoint is not what it should be.
    Checkpoint(CheckpointError),
    /// The stored ledger cannot be taken over.
    Ledger(LedgerError),
    /// The run was started with another input.
    OtherInput,
    /// The run was started with a pipeline of other nodes.
    OtherPipeline {
        /// The fingerprint of its nodes.
        stored: u64,
        /// The fingerprint of the nodes at hand.
        now: u64,
    },
    /// The pipeline has no node of the name that was asked for.
    UnknownNode(NodeName),
    /// A trace cannot answer for a node.
    #[cfg(feature = "json")]
    Replay(ReplayFault),
}

/// Why a trace that is replayed cannot answer for a node.
#[cfg(feature = "json")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayFault {
    /// It has no output of that node.
    #[error("the trace has no output of this node")]
    NotRecorded,
    /// The node failed when it was recorded.
    #[error("the node failed when it was recorded: {message}")]
    Failed {
        /// What the failure said.
        message: alloc::string::String,
    },
    /// The recorded output is not of the type that the node yields now.
    #[error("the recorded output is of another type than this node yields")]
    OtherType(#[source] crate::value::DecodeError),
}

/// The id of a node that is not in the program. Without a heap it is cut to 40 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName(Words);

impl NodeName {
    pub(crate) fn of(id: &str) -> Self {
        Self(Words::of(id))
    }
}

impl core::fmt::Display for NodeName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl From<StoreError> for StoreFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CheckpointError> for StoreFault {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}
