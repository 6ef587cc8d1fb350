//! What a run has, as its session knows it without asking, and what goes on its way from there: for stores with a heap.

use alloc::{borrow::Cow, collections::BTreeMap, vec::Vec};

use super::{Encode, EncodeError, StoreError, StoreErrorKind};
use crate::slot::{Slot, SlotKind};

/// A slot's key, as a store keeps it beyond the call: a literal of the program, or what was read.
pub(super) type OwnedKey = (Cow<'static, str>, u32, SlotKind);

/// The slots of a run, each with what its store wants to know of it.
#[derive(Debug)]
pub(super) struct Present<V>(BTreeMap<Cow<'static, str>, BTreeMap<(u32, SlotKind), V>>);

impl<V> Default for Present<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Present<V> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, slot: Slot<'_>) -> Option<&V> {
        self.0.get(slot.node)?.get(&(slot.instance, slot.kind))
    }

    pub(super) fn each(&self, mut visit: impl FnMut(Slot<'_>)) {
        for (node, kept) in &self.0 {
            for &(instance, kind) in kept.keys() {
                visit(Slot { node, index: 0, instance, kind });
            }
        }
    }

    pub(super) fn insert(&mut self, (node, instance, kind): OwnedKey, value: V) {
        self.0.entry(node).or_default().insert((instance, kind), value);
    }

    #[cfg(feature = "redis")]
    pub(super) fn remove(&mut self, slot: Slot<'_>) {
        if let Some(kept) = self.0.get_mut(slot.node) {
            kept.remove(&(slot.instance, slot.kind));
            if kept.is_empty() {
                self.0.remove(slot.node);
            }
        }
    }

    /// Takes out what is doomed.
    pub(super) fn take(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Vec<OwnedKey> {
        let mut taken = Vec::new();
        self.0.retain(|node, kept| {
            kept.retain(|&(instance, kind), _| {
                let goes = doomed(Slot { node, index: 0, instance, kind });
                if goes {
                    taken.push((node.clone(), instance, kind));
                }
                !goes
            });
            !kept.is_empty()
        });
        taken
    }
}

/// How long a value will be, in a store that takes `max` bytes of one.
pub(super) fn encoded_len(value: &impl Encode, max: usize) -> Result<usize, StoreError> {
    let len = value.encoded_len()?;
    if len > max {
        return Err(StoreError::new(StoreErrorKind::TooLarge { len, max }));
    }
    Ok(len)
}

/// Writes a value of this length behind what is there.
pub(super) fn append(bytes: &mut Vec<u8>, len: usize, value: &impl Encode) -> Result<(), StoreError> {
    let from = bytes.len();
    bytes.resize(from + len, 0);
    let len = value.encode(bytes.get_mut(from..).ok_or(EncodeError::NoRoom)?)?;
    bytes.truncate(from + len);
    Ok(())
}
