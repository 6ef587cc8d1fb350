//! The bytes of the items that a [`FlashStore`](super::FlashStore) keeps in flash; numbers have their lowest byte first.
//!
//! ```text
//! key     run (2), place (2)
//! head    generation (4), erases (4), used (1), id          place 0: which run this is
//! state   generation (4), number (4), finished (4),         place 1: what there is to say of all its slots
//!         ledger number (4), ledger length (2), gone, ledger
//! slot    generation (4), number (4), ledger number (4),    place 2 and up: one checkpoint
//!         instance (4), index (2), kind (1), node length (1), ledger length (2), node, ledger, value
//! ```

use crate::{
    run::{RUN_ID_MAX, RunId},
    slot::{Slot, SlotKind},
};

/// The key of an item: the position of its run, and its place in it.
pub(super) type Key = [u8; 4];

pub(super) const KEY: usize = size_of::<Key>();

pub(super) const HEAD: u16 = 0;
pub(super) const STATE: u16 = 1;
pub(super) const FIRST: u16 = 2;

/// The key of the item that says whose flash this is; the first one that is ever written.
pub(super) const FORMAT: Key = [0xff; KEY];
/// What is in it: our name and the version of what is above.
pub(super) const SIGN: &[u8] = b"stroma\x01";

/// The most bytes of a head.
pub(super) const HEAD_MAX: usize = 9 + RUN_ID_MAX;
/// The bytes of a state without what is gone and without a ledger.
pub(super) const STATE_MIN: usize = 18;
/// The bytes of a slot without node, ledger and value.
pub(super) const SLOT_MIN: usize = 22;

pub(super) const fn key(run: usize, place: u16) -> Key {
    // There are never more than 65,535 runs: the room says so.
    let [a, b] = (run as u16).to_le_bytes();
    let [c, d] = place.to_le_bytes();
    [a, b, c, d]
}

/// The position of the run and the place.
pub(super) const fn split(key: Key) -> (usize, u16) {
    let [a, b, c, d] = key;
    (u16::from_le_bytes([a, b]) as usize, u16::from_le_bytes([c, d]))
}

/// How many bytes say of `slots` slots which are gone.
pub(super) const fn gone_len(slots: usize) -> usize {
    slots.div_ceil(8)
}

/// Which run is at a position, or that there is none.
pub(super) struct Head {
    pub(super) generation: u32,
    /// How often pages were erased when it was written.
    pub(super) erases: u32,
    pub(super) run: Option<RunId>,
}

impl Head {
    pub(super) fn write(&self, to: &mut [u8]) -> Option<usize> {
        let mut to = Writer { to, at: 0 };
        to.put(&self.generation.to_le_bytes())?;
        to.put(&self.erases.to_le_bytes())?;
        to.put(&[u8::from(self.run.is_some())])?;
        if let Some(run) = &self.run {
            run.with_str(|id| to.put(id.as_bytes()))?;
        }
        Some(to.at)
    }

    pub(super) fn read(from: &[u8]) -> Option<Self> {
        let mut from = Reader(from);
        let (generation, erases, [used]) = (from.number()?, from.number()?, from.bytes()?);
        let run = match used {
            0 => None,
            1 => Some(RunId::new(core::str::from_utf8(from.0).ok()?).ok()?),
            _ => return None,
        };
        Some(Self { generation, erases, run })
    }
}

/// What there is to say of all slots of a run at once.
pub(super) struct State<'b> {
    pub(super) generation: u32,
    /// Items of a run are numbered as they are written.
    pub(super) number: u32,
    /// When the run came to its end, in ends of runs of this store; 0 if it did not. Written as the last item of a run only.
    pub(super) finished: u32,
    pub(super) ledger_number: u32,
    /// A bit for every slot: set when what was written there before this item does not count.
    pub(super) gone: &'b [u8],
    pub(super) ledger: &'b [u8],
}

impl<'b> State<'b> {
    pub(super) fn write(&self, to: &mut [u8]) -> Option<usize> {
        let mut to = Writer { to, at: 0 };
        for number in [self.generation, self.number, self.finished, self.ledger_number] {
            to.put(&number.to_le_bytes())?;
        }
        to.put(&u16::try_from(self.ledger.len()).ok()?.to_le_bytes())?;
        to.put(self.gone)?;
        to.put(self.ledger)?;
        Some(to.at)
    }

    pub(super) fn read(from: &'b [u8]) -> Option<Self> {
        let mut from = Reader(from);
        let (generation, number, finished, ledger_number) =
            (from.number()?, from.number()?, from.number()?, from.number()?);
        let ledger_len = usize::from(u16::from_le_bytes(from.bytes()?));
        let gone = from.0.len().checked_sub(ledger_len)?;
        let (gone, ledger) = from.0.split_at_checked(gone)?;
        Some(Self { generation, number, finished, ledger_number, gone, ledger })
    }

    /// Whether what stood at this slot, and has this number, is gone.
    pub(super) fn took(&self, slot: usize, number: u32) -> bool {
        number < self.number && self.gone.get(slot / 8).is_some_and(|bits| bits >> (slot % 8) & 1 == 1)
    }
}

/// One checkpoint.
pub(super) struct Entry<'b> {
    pub(super) generation: u32,
    pub(super) number: u32,
    pub(super) ledger_number: u32,
    pub(super) slot: Slot<'b>,
    pub(super) ledger: &'b [u8],
    pub(super) value: &'b [u8],
}

impl<'b> Entry<'b> {
    /// Writes all but the value, whose place begins at what is returned.
    pub(super) fn write(slot: Slot<'_>, ledger_number: u32, ledger: &[u8], to: &mut [u8]) -> Option<usize> {
        let mut to = Writer { to, at: 0 };
        // Generation and number are known when it is written to the flash.
        to.put(&[0; 8])?;
        to.put(&ledger_number.to_le_bytes())?;
        to.put(&slot.instance.to_le_bytes())?;
        to.put(&slot.index.to_le_bytes())?;
        to.put(&[slot.kind as u8, u8::try_from(slot.node.len()).ok()?])?;
        to.put(&u16::try_from(ledger.len()).ok()?.to_le_bytes())?;
        to.put(slot.node.as_bytes())?;
        to.put(ledger)?;
        Some(to.at)
    }

    /// Fills in what [`write`](Self::write) left open.
    pub(super) fn number(item: &mut [u8], generation: u32, number: u32) {
        for (to, from) in item.iter_mut().zip(generation.to_le_bytes().into_iter().chain(number.to_le_bytes())) {
            *to = from;
        }
    }

    pub(super) fn read(from: &'b [u8]) -> Option<Self> {
        let mut from = Reader(from);
        let (generation, number, ledger_number, instance) =
            (from.number()?, from.number()?, from.number()?, from.number()?);
        let index = u16::from_le_bytes(from.bytes()?);
        let [kind, node_len] = from.bytes()?;
        let ledger_len = usize::from(u16::from_le_bytes(from.bytes()?));
        let node = core::str::from_utf8(from.take(usize::from(node_len))?).ok()?;
        let ledger = from.take(ledger_len)?;
        let slot = Slot { node, index, instance, kind: SlotKind::from_u8(kind)? };
        Some(Self { generation, number, ledger_number, slot, ledger, value: from.0 })
    }
}

struct Writer<'b> {
    to: &'b mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.to.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn items_come_back_as_they_were() {
        let mut bytes = [0; 200];
        for run in [None, Some(RunId::from_u128(7)), Some(RunId::new(&"ä".repeat(32)).unwrap())] {
            let len = Head { generation: 9, erases: 8, run }.write(&mut bytes).unwrap();
            let head = Head::read(&bytes[..len]).unwrap();
            assert_eq!((head.generation, head.erases, head.run), (9, 8, run));
            assert!(len <= HEAD_MAX);
        }
        let state =
            State { generation: 1, number: 5, finished: 3, ledger_number: 4, gone: &[0b100], ledger: b"ledger" };
        let len = state.write(&mut bytes).unwrap();
        assert_eq!(len, STATE_MIN + 1 + 6);
        let state = State::read(&bytes[..len]).unwrap();
        assert_eq!((state.generation, state.number, state.finished, state.ledger_number), (1, 5, 3, 4));
        assert_eq!((state.gone, state.ledger), (&[0b100][..], &b"ledger"[..]));
        assert!(state.took(2, 4) && !state.took(2, 5) && !state.took(1, 4) && !state.took(8, 4));
        let slot = Slot { node: "a", index: 3, instance: 2, kind: SlotKind::Decision };
        let at = Entry::write(slot, 6, b"l", &mut bytes).unwrap();
        assert_eq!(at, SLOT_MIN + 2);
        bytes[at..at + 2].copy_from_slice(b"vv");
        Entry::number(&mut bytes, 7, 8);
        let entry = Entry::read(&bytes[..at + 2]).unwrap();
        assert_eq!((entry.generation, entry.number, entry.ledger_number), (7, 8, 6));
        assert_eq!((entry.slot, entry.slot.index, entry.ledger, entry.value), (slot, 3, &b"l"[..], &b"vv"[..]));
    }

    #[test]
    fn whatever_is_read_is_an_item_or_none() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64))| {
            let _ = (Head::read(&bytes), State::read(&bytes).map(|state| state.took(3, 0)), Entry::read(&bytes));
        });
    }
}
