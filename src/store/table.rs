//! The slots of one run in memory, for the stores that keep them there.
//!
//! A slot's [`index`](Slot::index) is its place in the table. Only what finds its place taken (the iterations of a loop)
//! goes elsewhere, and as long as nothing did, one look answers every question.

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use super::{Encode, EncodeError, LEDGER_MAX, StoreError, StoreErrorKind, error::missing};
use crate::slot::{Slot, SlotKind, same_id};

/// The memory of one slot's value.
pub(super) trait Buffer {
    /// What a value is written to while the old one is still needed.
    type Spare: Default;

    /// All of it, of which the value is the front.
    fn bytes(&self) -> &[u8];

    /// Writes a value where there was none.
    fn fill(&mut self, value: impl Encode) -> Result<usize, StoreError>;

    /// Writes a value over another, which stays as it was when that fails.
    fn refill(&mut self, value: impl Encode, spare: &mut Self::Spare) -> Result<usize, StoreError>;
}

/// A row of cells.
pub(super) trait Cells {
    /// What a cell keeps its value in.
    type Buffer: Buffer;

    fn all(&self) -> &[Cell<Self::Buffer>];

    fn all_mut(&mut self) -> &mut [Cell<Self::Buffer>];

    /// Whether there are at least `len` cells, or are now.
    fn reach(&mut self, len: usize) -> bool;
}

/// One slot, or room for one.
///
/// An empty cell is all zeros, so that a table in a `static` takes no room in the program's image.
pub(super) struct Cell<B> {
    node: Option<&'static str>,
    key: Key,
    len: usize,
    /// The cell is in use when this is the table's epoch; 0 is never one.
    epoch: u32,
    doomed: bool,
    buffer: B,
}

/// What of a slot is not its node, in one word.
#[derive(Clone, Copy)]
struct Key {
    instance: u32,
    index: u16,
    kind: SlotKind,
}

impl Key {
    #[inline(always)]
    const fn of(slot: Slot<'_>) -> Self {
        Self { instance: slot.instance, index: slot.index, kind: slot.kind }
    }

    /// 1 for the output of a node outside of loops and collections, else 0.
    #[inline(always)]
    const fn is_output(self) -> usize {
        matches!(self.kind, SlotKind::Output) as usize & (self.instance == 0) as usize
    }

    #[inline(always)]
    const fn slot(self, node: &'static str) -> Slot<'static> {
        Slot { node, index: self.index, instance: self.instance, kind: self.kind }
    }
}

impl<B> Cell<B> {
    pub(super) const fn vacant(buffer: B) -> Self {
        let key = Key { instance: 0, index: 0, kind: SlotKind::Input };
        Self { node: None, key, len: 0, epoch: 0, doomed: false, buffer }
    }

    #[inline(always)]
    fn is(&self, slot: Slot<'_>, epoch: u32) -> bool {
        self.epoch == epoch
            && self.key.instance == slot.instance
            && self.key.kind == slot.kind
            && self.node.is_some_and(|node| same_id(node, slot.node))
    }

    #[cfg(test)]
    pub(super) fn buffer(&self) -> &B {
        &self.buffer
    }

    fn slot(&self) -> Slot<'static> {
        self.key.slot(self.node.unwrap_or_default())
    }

    #[inline(always)]
    fn occupy(&mut self, node: &'static str, key: Key, len: usize, epoch: u32) {
        self.node = Some(node);
        self.key = key;
        self.len = len;
        self.epoch = epoch;
    }
}

/// How a run stands when its session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no slot: there is nothing to keep.
    Empty,
    /// It stopped short.
    Halted,
    /// It came to its end.
    Finished,
}

/// What one run has stored.
///
/// Begin with [`clear`](Self::clear) for a new run.
pub(super) struct Table<C: Cells> {
    /// Which cells are in use: those that carry this number. Counting it up empties the table in one step.
    epoch: u32,
    /// How many cells are in use.
    count: usize,
    /// How many of them are outputs outside of loops and collections.
    outputs: usize,
    /// 0 when every slot is where its index says, so that whoever looks there has the answer.
    astray: usize,
    /// How many slots there were when the run came to its end; 0 if it did not, or was taken up again since.
    finished_with: usize,
    ledger_len: usize,
    ledger: [u8; LEDGER_MAX],
    spare: <C::Buffer as Buffer>::Spare,
    cells: C,
}

impl<C: Cells> Table<C> {
    pub(super) const fn new(cells: C, spare: <C::Buffer as Buffer>::Spare) -> Self {
        Self {
            epoch: 0,
            count: 0,
            outputs: 0,
            astray: 0,
            finished_with: 0,
            ledger_len: 0,
            ledger: [0; LEDGER_MAX],
            spare,
            cells,
        }
    }

    #[cfg(test)]
    pub(super) fn cells(&self) -> &C {
        &self.cells
    }

    /// Makes it the empty table of a new run; buffers stay as they are.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.outputs = 0;
        self.astray = 0;
        self.finished_with = 0;
        self.ledger_len = 0;
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.restart();
        }
    }

    /// After four thousand million runs the numbers begin again, so the marks of the first ones have to go.
    #[cold]
    fn restart(&mut self) {
        for cell in self.cells.all_mut() {
            cell.epoch = 0;
        }
        self.epoch = 1;
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(super) fn holds(&self, slot: Slot<'_>) -> bool {
        self.find(slot).is_some()
    }

    #[inline(always)]
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(super) fn each_slot(&self, mut visit: impl FnMut(Slot<'_>)) {
        for cell in self.cells.all() {
            if cell.epoch == self.epoch {
                visit(cell.slot());
            }
        }
    }

    // Inlined where it is called, so that what the caller knows of slot and ledger is known here.
    #[inline(always)]
    pub(super) fn put(&mut self, slot: Slot<'static>, value: impl Encode, ledger: &[u8]) -> Result<(), StoreError> {
        if ledger.len() > LEDGER_MAX {
            return Err(too_long(ledger.len()));
        }
        let epoch = self.epoch;
        match self.cells.all_mut().get_mut(usize::from(slot.index)) {
            Some(cell) if cell.epoch != epoch && self.astray == 0 => {
                let len = cell.buffer.fill(value)?;
                cell.occupy(slot.node, Key::of(slot), len, epoch);
                self.count += 1;
                self.outputs += Key::of(slot).is_output();
            }
            // In pieces that fit into registers: the slot itself would be written to memory on the way that is taken, too.
            _ => self.put_elsewhere(slot.node, Key::of(slot), value)?,
        }
        if !ledger.is_empty() {
            self.put_ledger(ledger)?;
        }
        Ok(())
    }

    /// Replaces the ledger.
    #[inline(always)]
    pub(super) fn put_ledger(&mut self, ledger: &[u8]) -> Result<(), StoreError> {
        let Some(kept) = self.ledger.get_mut(..ledger.len()) else { return Err(too_long(ledger.len())) };
        kept.copy_from_slice(ledger);
        self.ledger_len = ledger.len();
        Ok(())
    }

    /// [`put`](Self::put) when the slot's own cell is taken, perhaps by the slot itself, or cannot be trusted to be it.
    #[inline(never)]
    fn put_elsewhere(&mut self, node: &'static str, key: Key, value: impl Encode) -> Result<(), StoreError> {
        let (slot, epoch) = (key.slot(node), self.epoch);
        if let Some(cell) = self.find(slot).and_then(|at| self.cells.all_mut().get_mut(at)) {
            cell.len = cell.buffer.refill(value, &mut self.spare)?;
            return Ok(());
        }
        let at = self.vacancy(usize::from(slot.index));
        let full = StoreErrorKind::Full { room: self.cells.all().len(), of: "slots" };
        let Some(cell) = self.cells.all_mut().get_mut(at) else { return Err(StoreError::new(full)) };
        let len = cell.buffer.fill(value)?;
        cell.occupy(node, key, len, epoch);
        self.count += 1;
        self.outputs += key.is_output();
        self.astray += usize::from(at != usize::from(slot.index));
        Ok(())
    }

    /// The free cell for a slot that belongs at `home`, made if need be; past the end when there is none.
    fn vacancy(&mut self, home: usize) -> usize {
        let epoch = self.epoch;
        if self.cells.reach(home + 1) && self.cells.all().get(home).is_some_and(|cell| cell.epoch != epoch) {
            return home;
        }
        let len = self.cells.all().len();
        if self.count >= len {
            self.cells.reach(len + 1);
            return len;
        }
        // From the far end, where fewer nodes are still to come and find their cell taken.
        self.cells.all().iter().rposition(|cell| cell.epoch != epoch).unwrap_or(len)
    }

    #[inline]
    pub(super) fn load<R>(&self, slot: Slot<'_>, read: impl FnOnce(&[u8]) -> R) -> Result<R, StoreError> {
        match self.find(slot).and_then(|at| self.cells.all().get(at)) {
            Some(cell) => Ok(read(cell.buffer.bytes().get(..cell.len).unwrap_or_default())),
            None => Err(missing()),
        }
    }

    #[inline]
    fn find(&self, slot: Slot<'_>) -> Option<usize> {
        let home = usize::from(slot.index);
        match self.cells.all().get(home) {
            Some(cell) if cell.is(slot, self.epoch) => Some(home),
            _ if self.astray == 0 => None,
            _ => self.search(slot),
        }
    }

    #[inline(never)]
    fn search(&self, slot: Slot<'_>) -> Option<usize> {
        self.cells.all().iter().position(|cell| cell.is(slot, self.epoch))
    }

    pub(super) fn ledger(&self) -> &[u8] {
        self.ledger.get(..self.ledger_len).unwrap_or_default()
    }

    pub(super) fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) {
        // All are asked before the first goes: a panic in `doomed` leaves everything as it was.
        for cell in self.cells.all_mut() {
            cell.doomed = cell.epoch == self.epoch && doomed(cell.slot());
        }
        for (at, cell) in self.cells.all_mut().iter_mut().enumerate() {
            if cell.doomed {
                cell.epoch = 0;
                self.count -= 1;
                self.outputs -= cell.key.is_output();
                self.finished_with = 0;
                self.astray -= usize::from(at != usize::from(cell.key.index));
            }
        }
        if self.count == 0 {
            self.astray = 0;
        }
    }

    pub(super) fn finished(&mut self) {
        self.finished_with = self.count;
    }

    /// What is to become of the run. One that finished and got more slots since is on its way again.
    #[inline]
    pub(super) fn standing(&self) -> Standing {
        if self.count == 0 {
            Standing::Empty
        } else if self.count == self.finished_with {
            Standing::Finished
        } else {
            Standing::Halted
        }
    }
}

/// The error of a value that did not get into a buffer of `max` bytes.
#[cold]
pub(super) fn refused(value: impl Encode, error: EncodeError, max: usize) -> StoreError {
    if error != EncodeError::NoRoom {
        return error.into();
    }
    match value.encoded_len() {
        Ok(len) => StoreError::new(StoreErrorKind::TooLarge { len, max }),
        Err(error) => error.into(),
    }
}

#[cold]
fn too_long(len: usize) -> StoreError {
    StoreError::with_detail(StoreErrorKind::TooLarge { len, max: LEDGER_MAX }, "this is the run's ledger")
}
