//! The log of a run: what is written to it, and what is read back. Its form stands in `script.rs`.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;

use alloc::{borrow::ToOwned, collections::BTreeMap, format, string::String, vec::Vec};

use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
    store::{
        Encode, StoreError,
        codec::{HEAD, shape_of},
        inspect::{Holding, Outline, Outlines, RunView, SlotView},
        owned::{self, Present},
    },
};

/// The longest value that a server takes, by its own default.
const VALUE_MAX: usize = 512 << 20;

/// What stands for a slot in the log. The node's id stands last, so nothing in it can be taken for something else.
pub(super) fn slot_name(node: &str, instance: u32, kind: SlotKind) -> String {
    format!("{}.{instance}.{node}", word(kind))
}

/// The slot that a name stands for, or `None` for what is none, or one of a later version.
fn slot_of(name: &str) -> Option<(&str, u32, SlotKind)> {
    let mut parts = name.splitn(3, '.');
    let (kind, instance, node) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = (0..=u8::MAX).map_while(SlotKind::from_u8).find(|known| word(*known) == kind)?;
    Some((node, instance.parse().ok()?, kind))
}

/// One write: three elements, in one buffer.
#[derive(Debug)]
pub(super) struct Record {
    bytes: Vec<u8>,
    head: usize,
    ledger: usize,
    /// A write of its own that goes with it: its head, and an outline.
    about: Option<(String, String)>,
}

impl Record {
    pub(super) fn put(order: u64, slot: Slot<'_>, ledger: &[u8], value: &impl Encode) -> Result<Self, StoreError> {
        let len = owned::encoded_len(value, VALUE_MAX)?;
        let mut number = NumberText::default();
        let mut bytes = Vec::with_capacity(48 + slot.node.len() + ledger.len() + len);
        bytes.extend_from_slice(number.of(order));
        bytes.extend_from_slice(b" put ");
        bytes.extend_from_slice(word(slot.kind).as_bytes());
        bytes.push(b'.');
        bytes.extend_from_slice(number.of(u64::from(slot.instance)));
        bytes.push(b'.');
        bytes.extend_from_slice(slot.node.as_bytes());
        let mut record = Self::with_ledger(bytes, ledger);
        owned::append(&mut record.bytes, len, value)?;
        Ok(record)
    }

    pub(super) fn spent(order: u64, ledger: &[u8]) -> Self {
        Self::with_ledger(format!("{order} spent").into_bytes(), ledger)
    }

    pub(super) fn discard(order: u64, slots: impl IntoIterator<Item = String>) -> Self {
        let mut record = Self::with_ledger(format!("{order} discard").into_bytes(), &[]);
        for name in slots {
            record.bytes.extend_from_slice(format!("{}:", name.len()).as_bytes());
            record.bytes.extend_from_slice(name.as_bytes());
        }
        record
    }

    fn with_ledger(mut bytes: Vec<u8>, ledger: &[u8]) -> Self {
        let head = bytes.len();
        bytes.extend_from_slice(ledger);
        Self { head, ledger: bytes.len(), bytes, about: None }
    }

    /// Head, ledger and the rest.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let (front, rest) = self.bytes.split_at_checked(self.ledger).unwrap_or_default();
        let (head, ledger) = front.split_at_checked(self.head).unwrap_or_default();
        [head, ledger, rest]
    }

    /// Adds what is known of the pipeline that this input is for, as the write after it.
    pub(super) fn tell(&mut self, outlines: &Outlines, order: impl FnOnce() -> u64) {
        let [_, _, input] = self.parts();
        if let Some(outline) = shape_of(input).and_then(|shape| outlines.get(&shape)) {
            self.about = Some((format!("{} about", order()), outline.clone()));
        }
    }

    pub(super) const fn about(&self) -> Option<&(String, String)> {
        self.about.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.about.as_ref().map_or(0, |(head, outline)| head.len() + outline.len())
    }
}

/// A number as text, without the machinery of `format!`: one is written with each checkpoint.
#[derive(Default)]
struct NumberText([u8; 20]);

impl NumberText {
    fn of(&mut self, mut number: u64) -> &[u8] {
        let mut from = self.0.len();
        for digit in self.0.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            from -= 1;
            if number == 0 {
                break;
            }
        }
        self.0.get(from..).unwrap_or_default()
    }
}

/// What a run has, from the heads of its log: where in the log each slot is, and the highest number.
pub(super) fn present(heads: impl IntoIterator<Item = Vec<u8>>) -> Option<(Present<Option<usize>>, u64)> {
    let mut writes = BTreeMap::new();
    let mut heads = heads.into_iter();
    // The first element of the log is none of them, and each has three.
    let mut at = 1;
    while let Some(head) = heads.next() {
        let head = String::from_utf8(head).ok()?;
        let (order, what) = head.split_once(' ')?;
        let write = match what.split_once(' ') {
            Some(("put", name)) => {
                slot_of(name).map(|(node, instance, kind)| Write::Put(node.to_owned(), instance, kind, at + 2))
            }
            None if what == "discard" => Some(Write::Discard(heads.next()?)),
            // A kind of a later version is kept, but there is nothing that this one could do with it.
            _ => None,
        };
        writes.insert(order.parse::<u64>().ok()?, write);
        at += 3;
    }
    let last = writes.last_key_value().map_or(0, |(order, _)| *order);
    let mut present = Present::default();
    for write in writes.into_values().flatten() {
        match write {
            Write::Put(node, instance, kind, at) => present.insert((node.into(), instance, kind), Some(at)),
            Write::Discard(names) => {
                for name in discarded(&names)? {
                    if let Some((node, instance, kind)) = slot_of(name) {
                        present.remove(Slot { node, index: 0, instance, kind });
                    }
                }
            }
        }
    }
    Some((present, last))
}

enum Write {
    Put(String, u32, SlotKind, usize),
    Discard(Vec<u8>),
}

fn discarded(names: &[u8]) -> Option<Vec<&str>> {
    let mut rest = core::str::from_utf8(names).ok()?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_once(':')?;
        let (name, tail) = tail.split_at_checked(len.parse().ok()?)?;
        found.push(name);
        rest = tail;
    }
    Some(found)
}

/// The words are part of the stored format and never change.
fn word(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Input => "input",
        SlotKind::Output => "output",
        SlotKind::Intent => "intent",
        SlotKind::Decision => "decision",
        SlotKind::Signal => "signal",
    }
}

/// What is known of a run, from what [`LOOK`](super::script::LOOK) answers about its log.
pub(super) fn looked(
    run: RunId,
    holding: Holding,
    writes: impl IntoIterator<Item = (Vec<u8>, usize, Vec<u8>)>,
    values: bool,
) -> Option<RunView> {
    let mut ordered = BTreeMap::new();
    for (head, len, rest) in writes {
        let head = String::from_utf8(head).ok()?;
        let (order, what) = head.split_once(' ')?;
        ordered.insert(order.parse::<u64>().ok()?, (what.to_owned(), len, rest));
    }
    let mut view = RunView::new(run, holding);
    let mut slots = BTreeMap::new();
    for (what, len, rest) in ordered.into_values() {
        match what.split_once(' ') {
            Some(("put", name)) => drop(slots.insert(name.to_owned(), (len, rest))),
            None if what == "discard" => discarded(&rest)?.into_iter().for_each(|name| drop(slots.remove(name))),
            None if what == "about" => view.outline = core::str::from_utf8(&rest).ok().and_then(Outline::parse),
            _ => {}
        }
    }
    let mut sorted = BTreeMap::new();
    for (name, (len, rest)) in slots {
        if let Some((node, instance, kind)) = slot_of(&name) {
            let mut slot = SlotView::new(node.to_owned(), instance, kind, len, &rest);
            let head = rest.get(..HEAD).unwrap_or(&rest).to_vec();
            slot.bytes = values.then_some(rest);
            sorted.insert((node.to_owned(), instance, kind), (slot, head));
        }
    }
    sorted.into_values().for_each(|(slot, head)| view.add(slot, &head));
    Some(view)
}
