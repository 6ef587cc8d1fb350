//! What the contract says that there is.

use std::{collections::BTreeMap, vec, vec::Vec};

use super::steps::Value;

/// What may be there: more than one thing after a write that failed.
pub(super) type Maybe = Vec<Option<Value>>;

/// What the contract says that a run has.
#[derive(Debug, Default, Clone)]
pub(super) struct Run {
    pub(super) slots: BTreeMap<(usize, u32), Maybe>,
    pub(super) ledger: Maybe,
    /// Who has it, and by which token.
    pub(super) holder: Option<(usize, u64)>,
}

impl Run {
    pub(super) fn slot(&mut self, node: usize, instance: u32) -> &mut Maybe {
        self.slots.entry((node, instance)).or_insert_with(|| vec![None])
    }

    pub(super) fn is_surely_empty(&self) -> bool {
        self.slots.values().all(|maybe| maybe.iter().all(Option::is_none))
    }

    pub(super) fn surely_has_something(&self) -> bool {
        self.slots.values().any(|maybe| maybe.iter().all(Option::is_some))
    }
}

/// Writes into a model: certain, or only possible.
pub(super) fn set(maybe: &mut Maybe, value: Option<Value>, certain: bool) {
    if certain {
        maybe.clear();
    } else if maybe.is_empty() {
        maybe.push(None);
    }
    if !maybe.contains(&value) {
        maybe.push(value);
    }
}
