//! What this store takes for its own.

use alloc::sync::Arc;
use std::collections::HashMap;

use super::session::Hold;

/// Which runs the sessions of this store hold.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) by_run: HashMap<Arc<str>, Claim>,
    /// The highest token given out, so that no two sessions of this store ever go by the same.
    pub(super) last: u64,
}

/// A run that a session of this store holds.
pub(super) struct Claim {
    pub(super) token: u64,
    /// It was found that somebody else has it by now.
    pub(super) lost: bool,
}

impl Claims {
    /// Whether the run is ours as far as we know; a fence says when to ask the tables again.
    pub(super) fn has(&self, hold: &Hold) -> bool {
        self.by_run.get(&hold.run).is_some_and(|claim| claim.token == hold.token && !claim.lost)
    }
}
