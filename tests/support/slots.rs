//! What a store of a test's own is made of: slots by their keys, and values as bytes.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeSet;

use stroma::{
    Slot, SlotKind,
    store::{Begun, Encode, EncodeError, Session},
};

/// A slot as a map has it.
pub(crate) type Key = (String, u32, SlotKind);

pub(crate) fn key(slot: Slot<'_>) -> Key {
    (slot.node.to_owned(), slot.instance, slot.kind)
}

/// The slot of a key.
pub(crate) fn slot((node, instance, kind): &Key) -> Slot<'_> {
    Slot { node, index: 0, instance: *instance, kind: *kind }
}

/// A value that is its own bytes.
pub(crate) struct Raw<'b>(pub(crate) &'b [u8]);

impl Encode for Raw<'_> {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.0.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer.get_mut(..self.0.len()).ok_or(EncodeError::NoRoom)?.copy_from_slice(self.0);
        Ok(self.0.len())
    }
}

/// The bytes of a value, which says before how many they will be.
pub(crate) fn encoded(value: &impl Encode) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; value.encoded_len()?];
    let len = value.encode(&mut bytes)?;
    assert_eq!(len, bytes.len());
    Ok(bytes)
}

/// What a store says that answers at once.
pub(crate) fn done<T, F>(begun: Begun<T, F>) -> T {
    match begun {
        Begun::Done(value) => value,
        Begun::Pending(_) => panic!("a store in memory answers at once"),
    }
}

/// The slots that a session has: what opening found, and what was put and discarded since, whether it was written yet or not.
pub(crate) struct Seen(BTreeSet<Key>);

impl Seen {
    pub(crate) fn of(session: &impl Session) -> Self {
        let mut seen = BTreeSet::new();
        session.each_slot(|slot| {
            seen.insert(key(slot));
        });
        Self(seen)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, slot: Slot<'_>) -> bool {
        self.0.contains(&key(slot))
    }

    pub(crate) fn each(&self, visit: impl FnMut(Slot<'_>)) {
        self.0.iter().map(slot).for_each(visit);
    }

    pub(crate) fn put(&mut self, slot: Slot<'_>) {
        self.0.insert(key(slot));
    }

    /// Takes out those that are doomed.
    pub(crate) fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> BTreeSet<Key> {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(|key| doomed(slot(key)));
        self.0 = kept;
        gone
    }
}
