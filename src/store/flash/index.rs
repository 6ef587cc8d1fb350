//! What is in the flash, as far as it has to be known at once: which runs there are, and which slots each has.

use super::{
    super::{
        LEDGER_MAX, StoreError, StoreErrorKind,
        error::{busy, fenced},
    },
    item::{Entry, State},
};
use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
};

/// The longest id of a node.
pub(super) const NODE_MAX: usize = 64;

/// The id of a node.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name(heapless::String<NODE_MAX, u8>);

impl Name {
    const EMPTY: Self = Self(heapless::String::new());

    /// A name of at most [`NODE_MAX`] bytes.
    pub(super) fn of(node: &str) -> Result<Self, StoreError> {
        let mut name = Self::EMPTY;
        match name.0.push_str(node) {
            Ok(()) => Ok(name),
            Err(_) => Err(StoreError::with_detail(
                StoreErrorKind::TooLarge { len: node.len(), max: NODE_MAX },
                "this is the id of the node",
            )),
        }
    }
}

/// The key of a slot that outlives whoever asked for it.
#[derive(Clone)]
pub(super) struct Label {
    node: Name,
    pub(super) index: u16,
    instance: u32,
    kind: SlotKind,
}

impl Label {
    const INPUT: Self = Self { node: Name::EMPTY, index: 0, instance: 0, kind: SlotKind::Input };

    pub(super) fn of(slot: Slot<'_>) -> Result<Self, StoreError> {
        Ok(Self { node: Name::of(slot.node)?, index: slot.index, instance: slot.instance, kind: slot.kind })
    }

    pub(super) fn slot(&self) -> Slot<'_> {
        Slot { node: self.node.0.as_str(), index: self.index, instance: self.instance, kind: self.kind }
    }
}

/// What there is at one place of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing was ever written here.
    Blank,
    /// What is written here does not count any more.
    Gone,
    /// A checkpoint.
    Live,
}

/// One place for a checkpoint of a run.
pub(super) struct Cell {
    pub(super) kept: Kept,
    pub(super) label: Label,
    /// The bytes that its item takes in flash.
    pub(super) size: u32,
    pub(super) ledger_number: u32,
    /// When it was asked for what is here, in the order of the run.
    pub(super) asked: u32,
}

impl Cell {
    const BLANK: Self = Self { kept: Kept::Blank, label: Label::INPUT, size: 0, ledger_number: 0, asked: 0 };
}

/// Whether a run came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    No,
    /// It did, and the flash does not say so yet.
    Due,
    Kept,
}

/// A run, or room for one.
pub(super) struct Record<const SLOTS: usize> {
    /// Which run it is; for a place that was never used, or is free again, none.
    pub(super) run: Option<RunId>,
    /// The number of this use of the place: what was written under another one does not count.
    pub(super) generation: u32,
    pub(super) held: bool,
    /// Counts the sessions, so that what was asked in an earlier one is told from what is asked in this.
    pub(super) session: u32,
    /// When it was used last, or came to its end.
    pub(super) turn: u32,
    pub(super) finish: Finish,
    /// The flash has slots of it that there is no room for.
    pub(super) excess: bool,
    /// The number of the item that was written last.
    pub(super) number: u32,
    pub(super) asked: u32,
    pub(super) head_size: u32,
    pub(super) state_size: u32,
    /// Of the ledger in the state.
    pub(super) state_ledger: u32,
    pub(super) cells: [Cell; SLOTS],
}

impl<const SLOTS: usize> Record<SLOTS> {
    pub(super) const VACANT: Self = Self {
        run: None,
        generation: 0,
        held: false,
        session: 0,
        turn: 0,
        finish: Finish::No,
        excess: false,
        number: 0,
        asked: 0,
        head_size: 0,
        state_size: 0,
        state_ledger: 0,
        cells: [const { Cell::BLANK }; SLOTS],
    };

    /// Forgets all that was read from the flash.
    pub(super) fn unread(&mut self) {
        *self = Self { held: self.held, session: self.session, asked: self.asked, turn: self.turn, ..Self::VACANT };
    }

    /// Takes over the newest state that was found. What stood somewhere before it, and is gone, is told by the number
    /// that [`Cell::asked`] lends its place to until all is read.
    pub(super) fn read_state(&mut self, state: &State<'_>) {
        self.number = state.number;
        self.state_ledger = state.ledger_number;
        self.finish = if state.finished == 0 { Finish::No } else { Finish::Kept };
        self.turn = self.turn.max(state.finished);
        for (place, cell) in self.cells.iter_mut().enumerate() {
            cell.asked = if state.took(place, 0) { state.number } else { 0 };
        }
    }

    /// Takes over what was found at the place of a slot; the last that is found there counts.
    pub(super) fn read_slot(&mut self, place: usize, item: &[u8], size: u32) -> Result<(), StoreError> {
        let entry = match Entry::read(item) {
            Some(entry) => Some(entry),
            // It made room.
            None if item.is_empty() => None,
            None => return Err(StoreError::with_detail(StoreErrorKind::Foreign, "a checkpoint is malformed")),
        };
        let entry = entry.filter(|entry| entry.generation == self.generation && self.run.is_some());
        let Some(cell) = self.cells.get_mut(place) else {
            self.excess |= entry.is_some();
            return Ok(());
        };
        cell.kept = Kept::Gone;
        cell.size = size;
        cell.ledger_number = 0;
        cell.label = Label::INPUT;
        let Some(entry) = entry else { return Ok(()) };
        if entry.number >= cell.asked {
            cell.kept = Kept::Live;
        }
        cell.label = Label::of(entry.slot)?;
        cell.ledger_number = entry.ledger_number;
        if entry.number > self.number {
            self.number = entry.number;
            self.finish = Finish::No;
        }
        Ok(())
    }

    /// All is read.
    pub(super) fn settled(&mut self) {
        self.asked = self.asked.max(self.ledger().0);
        for cell in &mut self.cells {
            cell.asked = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.kept != Kept::Live)
    }

    /// The place of a slot that is there.
    pub(super) fn live(&self, slot: Slot<'_>) -> Option<usize> {
        self.cells.iter().position(|cell| cell.kept == Kept::Live && cell.label.slot() == slot)
    }

    /// The place of a slot: where it is, was, or is to go.
    pub(super) fn place(&self, slot: Slot<'_>) -> Option<usize> {
        let known = |cell: &Cell| cell.kept != Kept::Blank && cell.label.slot() == slot;
        // What is there and gone takes room in flash, so it is overwritten first.
        self.live(slot)
            .or_else(|| self.cells.iter().position(known))
            .or_else(|| self.cells.iter().position(|cell| cell.kept == Kept::Gone))
            .or_else(|| self.cells.iter().position(|cell| cell.kept == Kept::Blank))
    }

    /// The number of the run's ledger, 0 for none, and the place of the slot that it is stored with, or that it is in the state.
    pub(super) fn ledger(&self) -> (u32, Option<usize>) {
        let mut newest = (self.state_ledger, None);
        for (at, cell) in self.cells.iter().enumerate() {
            if cell.ledger_number > newest.0 {
                newest = (cell.ledger_number, Some(at));
            }
        }
        newest
    }

    /// From now on it is nobody's, or the place of a run that begins.
    pub(super) fn begin(&mut self, run: Option<RunId>, generation: u32) {
        self.run = run;
        self.generation = generation;
        self.finish = Finish::No;
        self.excess = false;
        self.number = 0;
        self.asked = 0;
        self.state_ledger = 0;
        for cell in &mut self.cells {
            cell.ledger_number = 0;
            cell.asked = 0;
            if cell.kept == Kept::Live {
                cell.kept = Kept::Gone;
            }
        }
    }

    fn size(&self) -> u64 {
        let cells: u64 = self.cells.iter().map(|cell| u64::from(cell.size)).sum();
        cells + u64::from(self.head_size) + u64::from(self.state_size)
    }
}

/// Which run a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) at: usize,
    pub(super) session: u32,
}

/// All runs.
pub(super) struct Index<const RUNS: usize, const SLOTS: usize> {
    /// The number of the generation that began last.
    pub(super) generation: u32,
    /// Counts the ends of sessions and of runs.
    pub(super) clock: u32,
    pub(super) format_size: u32,
    pub(super) records: [Record<SLOTS>; RUNS],
}

impl<const RUNS: usize, const SLOTS: usize> Index<RUNS, SLOTS> {
    pub(super) const EMPTY: Self =
        Self { generation: 0, clock: 0, format_size: 0, records: [const { Record::VACANT }; RUNS] };

    /// Where a run is that is there, or that somebody has just begun.
    pub(super) fn find(&self, run: &RunId) -> Option<usize> {
        self.records
            .iter()
            .position(|record| record.run.as_ref() == Some(run) && (record.held || record.excess || !record.is_empty()))
    }

    /// The place for a run that begins: a free one, else that of the run that came to its end longest ago.
    pub(super) fn vacancy(&self) -> Option<usize> {
        let free =
            |record: &Record<SLOTS>| !record.held && (record.run.is_none() || (record.is_empty() && !record.excess));
        self.records.iter().position(free).or_else(|| self.oldest())
    }

    /// The run that came to its end longest ago, of those that nobody has.
    pub(super) fn oldest(&self) -> Option<usize> {
        let finished = |record: &Record<SLOTS>| !record.held && record.run.is_some() && record.finish != Finish::No;
        let runs = self.records.iter().enumerate().filter(|(_, record)| finished(record));
        runs.min_by_key(|(_, record)| record.turn).map(|(at, _)| at)
    }

    /// The record of a session, as long as it is that session's.
    pub(super) fn held(&mut self, hold: Hold) -> Result<&mut Record<SLOTS>, StoreError> {
        match self.records.get_mut(hold.at) {
            Some(record) if !record.held || record.session != hold.session => Err(fenced()),
            Some(record) if record.run.is_some() => Ok(record),
            _ => Err(StoreError::new(StoreErrorKind::Gone)),
        }
    }

    /// Takes hold of a run.
    pub(super) fn hold(&mut self, at: usize) -> Result<Hold, StoreError> {
        match self.records.get_mut(at) {
            Some(record) if !record.held => {
                record.held = true;
                record.session = record.session.wrapping_add(1);
                Ok(Hold { at, session: record.session })
            }
            _ => Err(busy(None)),
        }
    }

    pub(super) fn release(&mut self, hold: Hold) {
        self.clock = self.clock.saturating_add(1);
        let clock = self.clock;
        if let Some(record) = self.records.get_mut(hold.at)
            && record.session == hold.session
        {
            record.held = false;
            record.turn = clock;
        }
    }

    /// Gives every run back: the sessions of an earlier driver are over.
    pub(super) fn release_all(&mut self) {
        for record in &mut self.records {
            record.unread();
            record.held = false;
            record.session = record.session.wrapping_add(1);
            (record.asked, record.turn) = (0, 0);
        }
    }

    /// All is read: what the runs say is gone on with.
    pub(super) fn settled(&mut self) {
        for record in &mut self.records {
            record.settled();
            self.clock = self.clock.max(record.turn);
        }
    }

    /// The bytes of flash that are taken by what has to be kept.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.format_size) + self.records.iter().map(Record::size).sum::<u64>()
    }
}

/// The error of a ledger that does not fit.
#[cold]
pub(super) fn too_long(len: usize, max: usize) -> StoreError {
    let max = max.min(LEDGER_MAX);
    StoreError::with_detail(StoreErrorKind::TooLarge { len, max }, "this is the run's ledger")
}
