//! What a store has to have, and what was spent.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{
    budget::{Budget, Ledger, Scope, Usd},
    report::Spent,
    slot::{Slot, SlotKind},
};

/// Node, instance and kind of a slot.
pub(super) type Key = (String, u32, SlotKind);

pub(super) fn key(slot: Slot<'_>) -> Key {
    (slot.node.to_string(), slot.instance, slot.kind)
}

/// Slots as a message has them.
pub(super) fn names<'k>(keys: impl IntoIterator<Item = &'k Key>) -> String {
    let name = |(node, _, kind): &Key| if node.is_empty() { format!("{kind:?}") } else { node.clone() };
    keys.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What was spent, time left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    tokens: u64,
    cost: Usd,
    unpriced: u64,
}

impl Sum {
    /// What a stored ledger says.
    pub(super) fn stored(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let ledger = Ledger::new(&Budget::unlimited());
        ledger.restore(bytes).ok()?;
        let spent = ledger.spent(Scope::RUN);
        Some(Self { tokens: spent.tokens, cost: spent.cost, unpriced: ledger.unpriced() })
    }

    pub(super) fn covers(self, other: Self) -> bool {
        self.tokens >= other.tokens && self.cost >= other.cost && self.unpriced >= other.unpriced
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost: Usd::picodollars(self.cost.as_picodollars().saturating_add(other.cost.as_picodollars())),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }
}

impl From<Spent> for Sum {
    fn from(spent: Spent) -> Self {
        Self { tokens: spent.tokens, cost: spent.cost, unpriced: spent.unpriced_tokens }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens and {}", self.tokens, self.cost)
    }
}

/// What an operation leaves in the store.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Nothing,
    /// A slot with its bytes, and whether they are damaged; and the ledger, unless it is empty.
    Put {
        slot: Option<(Key, Vec<u8>, bool)>,
        ledger: Vec<u8>,
    },
    Discard(Vec<Key>),
}

/// What the store has to have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model {
    pub(super) slots: BTreeMap<Key, Vec<u8>>,
    pub(super) ledger: Vec<u8>,
    pub(super) damaged: BTreeSet<Key>,
}

impl Model {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Nothing => {}
            Change::Put { slot, ledger } => {
                if let Some((key, bytes, damaged)) = slot {
                    self.slots.insert(key.clone(), bytes.clone());
                    if *damaged {
                        self.damaged.insert(key.clone());
                    } else {
                        self.damaged.remove(key);
                    }
                }
                if !ledger.is_empty() {
                    self.ledger.clone_from(ledger);
                }
            }
            Change::Discard(keys) => {
                for key in keys {
                    self.slots.remove(key);
                    self.damaged.remove(key);
                }
            }
        }
    }

    pub(super) fn is(&self, slots: &[Key], ledger: &[u8]) -> bool {
        // A run without a slot is none, whatever it spent.
        self.slots.keys().eq(slots) && (slots.is_empty() || self.ledger == ledger)
    }
}
