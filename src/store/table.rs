//! The slots of one run in memory, for the stores that keep them there.
//!
//! A slot's [`index`](Slot::index) is its place in the table. Only what finds its place taken (the iterations of a loop)
//! goes elsewhere, and as long as nothing did, one look answers every question.

use super::{Encode, EncodeError, LEDGER_MAX, StoreError, StoreErrorKind};
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

#[cold]
fn missing() -> StoreError {
    StoreError::new(StoreErrorKind::Missing)
}

#[cold]
pub(super) fn busy() -> StoreError {
    StoreError::new(StoreErrorKind::Busy { until: None })
}

#[cold]
pub(super) fn unknown() -> StoreError {
    StoreError::new(StoreErrorKind::UnknownRun)
}

#[cold]
pub(super) fn full(runs: usize) -> StoreError {
    StoreError::new(StoreErrorKind::Full { room: runs, of: "runs" })
}

/// What both stores are tested with.
#[cfg(test)]
pub(super) mod testing {
    extern crate std;
    use std::{
        collections::{BTreeMap, BTreeSet},
        string::String,
        vec::Vec,
    };

    use super::super::{Access, Begun, Encode, EncodeError, LEDGER_MAX, Session, Store, StoreError, StoreErrorKind};
    use crate::{
        run::RunId,
        slot::{Slot, SlotKind},
    };

    /// A value that is its own bytes, and that can be made to fail after it has written some.
    pub(in super::super) struct Raw<'b>(pub(in super::super) &'b [u8]);

    impl Encode for Raw<'_> {
        fn encoded_len(&self) -> Result<usize, EncodeError> {
            Ok(self.0.len())
        }

        fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
            for (at, byte) in self.0.iter().enumerate() {
                *buffer.get_mut(at).ok_or(EncodeError::NoRoom)? = *byte;
            }
            Ok(self.0.len())
        }
    }

    /// A value that scribbles over its buffer and then fails.
    pub(in super::super) struct Faithless;

    impl Encode for Faithless {
        fn encoded_len(&self) -> Result<usize, EncodeError> {
            Ok(2)
        }

        fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
            buffer.get_mut(..2).ok_or(EncodeError::NoRoom)?.fill(0xee);
            Err(EncodeError::NotFaithful)
        }
    }

    pub(in super::super) fn done<T, F>(begun: Begun<T, F>) -> T {
        match begun {
            Begun::Done(value) => value,
            Begun::Pending(_) => panic!("a store in memory answers at once"),
        }
    }

    pub(in super::super) fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
        result.err().map(|error| error.kind())
    }

    pub(in super::super) fn open<S: Store>(store: &S, id: u128) -> Result<S::Session<'_>, StoreError> {
        done(store.open(&RunId::from_u128(id), Access::Create))
    }

    pub(in super::super) fn existing<S: Store>(store: &S, id: u128) -> Result<S::Session<'_>, StoreError> {
        done(store.open(&RunId::from_u128(id), Access::Existing))
    }

    pub(in super::super) fn forget<S: Store>(store: &S, id: u128) -> Result<bool, StoreError> {
        done(store.forget(&RunId::from_u128(id)))
    }

    pub(in super::super) const fn output(node: &'static str, index: u16, instance: u32) -> Slot<'static> {
        Slot { node, index, instance, kind: SlotKind::Output }
    }

    pub(in super::super) fn read<S: Session>(session: &mut S, slot: Slot<'_>) -> Option<Vec<u8>> {
        done(session.load(slot, <[u8]>::to_vec)).ok()
    }

    /// Begins a run, gives it its input and ends the session.
    pub(in super::super) fn begin<S: Store>(store: &S, id: u128, finished: bool) {
        let mut session = open(store, id).unwrap();
        done(session.put(Slot::INPUT, Raw(b"in"), &[])).unwrap();
        if finished {
            session.finished();
        }
    }

    pub(in super::super) fn what_is_put_is_there_in_the_next_session_too(store: &impl Store) {
        let mut session = open(store, 1).unwrap();
        assert!(session.is_new() && !session.holds(Slot::INPUT) && session.ledger().is_empty());
        done(session.put(Slot::INPUT, Raw(b"in"), &[])).unwrap();
        done(session.put(output("a", 1, 0), Raw(b"one"), b"spent 3")).unwrap();
        done(session.put(output("b", 2, 0), Raw(b""), &[])).unwrap();
        for _ in 0..2 {
            assert!(!session.is_new() && session.holds(output("a", 1, 0)) && !session.holds(output("c", 3, 0)));
            assert_eq!(read(&mut session, output("a", 1, 0)).as_deref(), Some(&b"one"[..]));
            assert_eq!(read(&mut session, output("b", 2, 0)).as_deref(), Some(&b""[..]));
            assert_eq!(kind(done(session.load(output("c", 3, 0), |_| ()))), Some(StoreErrorKind::Missing));
            assert_eq!(session.ledger(), b"spent 3");
            drop(session);
            session = existing(store, 1).unwrap();
        }
        done(session.put(output("a", 1, 0), Raw(b"two"), &[])).unwrap();
        let mut seen = Vec::new();
        session.each_slot(|slot| seen.push((String::from(slot.node), slot.instance, slot.kind)));
        seen.sort();
        assert_eq!(
            seen,
            [
                (String::new(), 0, SlotKind::Input),
                (String::from("a"), 0, SlotKind::Output),
                (String::from("b"), 0, SlotKind::Output)
            ]
        );
        assert_eq!(read(&mut session, output("a", 1, 0)).as_deref(), Some(&b"two"[..]));
    }

    pub(in super::super) fn one_holder_at_a_time(store: &impl Store) {
        let busy = Some(StoreErrorKind::Busy { until: None });
        let mut session = open(store, 1).unwrap();
        assert_eq!(kind(open(store, 1)), busy);
        assert_eq!(kind(existing(store, 1)), busy);
        assert_eq!(kind(forget(store, 1)), busy);
        done(session.put(Slot::INPUT, Raw(b"in"), &[])).unwrap();
        let other = open(store, 2).unwrap();
        assert!(other.is_new());
        drop(session);
        assert!(!open(store, 1).unwrap().is_new());
        drop(other);
        // A run that never got a slot was never there.
        assert_eq!(kind(existing(store, 2)), Some(StoreErrorKind::UnknownRun));
        assert_eq!(kind(existing(store, 3)), Some(StoreErrorKind::UnknownRun));
        assert_eq!(forget(store, 1), Ok(true));
        assert_eq!(forget(store, 1), Ok(false));
        assert_eq!(kind(existing(store, 1)), Some(StoreErrorKind::UnknownRun));
        assert!(open(store, 1).unwrap().is_new());
    }

    /// The store has room for three runs.
    pub(in super::super) fn what_is_finished_goes_first(store: &impl Store) {
        let known = |id| existing(store, id).is_ok();
        begin(store, 1, false);
        begin(store, 2, true);
        begin(store, 3, true);
        begin(store, 4, false);
        assert!(known(1) && !known(2) && known(3) && known(4));
        // Looked at again, 3 is still finished; and 1 is now the one that was used longest ago, save 3.
        drop(open(store, 4).unwrap());
        begin(store, 5, false);
        assert!(known(5) && known(4) && known(1) && !known(3));
        drop((open(store, 4), open(store, 5), open(store, 1)));
        let held = open(store, 4).unwrap();
        begin(store, 6, false);
        assert!(kind(open(store, 4)).is_some() && !known(5) && known(1) && known(6));
        let (one, six) = (open(store, 1).unwrap(), open(store, 6).unwrap());
        assert_eq!(kind(open(store, 7)), Some(StoreErrorKind::Full { room: 3, of: "runs" }));
        assert_eq!(kind(existing(store, 7)), Some(StoreErrorKind::UnknownRun));
        drop((one, held));
        // A freed run's room is taken before anybody has to go.
        assert_eq!(forget(store, 1), Ok(true));
        assert!(open(store, 7).unwrap().is_new());
        begin(store, 8, true);
        drop(six);
        assert!(known(4) && known(6) && known(8));
    }

    pub(in super::super) fn a_finished_run_that_goes_on_is_finished_no_more(store: &impl Store) {
        for id in [1, 2, 3] {
            begin(store, id, true);
        }
        // 1 goes on with another node, 2 goes back and then another way.
        done(open(store, 1).unwrap().put(output("a", 1, 0), Raw(b"a"), &[])).unwrap();
        let mut two = open(store, 2).unwrap();
        done(two.put(output("a", 1, 0), Raw(b"a"), &[])).unwrap();
        two.finished();
        done(two.discard(|slot| slot.node == "a")).unwrap();
        // As many slots as when it finished, and still not finished.
        done(two.put(output("b", 1, 0), Raw(b"b"), &[])).unwrap();
        drop(two);
        drop(open(store, 3));
        begin(store, 4, false);
        assert!(existing(store, 1).is_ok() && existing(store, 2).is_ok() && existing(store, 3).is_err());
    }

    pub(in super::super) fn a_failed_put_leaves_the_old_value(store: &impl Store) {
        let mut session = open(store, 1).unwrap();
        let slot = output("a", 1, 0);
        assert_eq!(kind(done(session.put(slot, Faithless, b"x"))), Some(StoreErrorKind::Unserialisable));
        assert!(!session.holds(slot) && session.is_new() && session.ledger().is_empty());
        done(session.put(slot, Raw(b"old"), b"1")).unwrap();
        assert_eq!(kind(done(session.put(slot, Faithless, b"2"))), Some(StoreErrorKind::Unserialisable));
        let long = [0; LEDGER_MAX + 1];
        assert_eq!(
            kind(done(session.put(slot, Raw(b"new"), &long))),
            Some(StoreErrorKind::TooLarge { len: LEDGER_MAX + 1, max: LEDGER_MAX })
        );
        assert_eq!(read(&mut session, slot).as_deref(), Some(&b"old"[..]));
        assert_eq!(session.ledger(), b"1");
        done(session.put(slot, Raw(b"newer"), &long[..LEDGER_MAX])).unwrap();
        assert_eq!(read(&mut session, slot).as_deref(), Some(&b"newer"[..]));
        assert_eq!(session.ledger(), &long[..LEDGER_MAX]);
        // A shorter ledger replaces all of the longer one.
        done(session.put(slot, Raw(b"n"), b"3")).unwrap();
        assert_eq!(session.ledger(), b"3");
    }

    /// Marsaglia's xorshift with the shifts 13, 7 and 17.
    struct Xorshift(u64);

    impl Xorshift {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) % limit
        }
    }

    /// The store has `slots` slots for a run, each of 8 bytes where `bytes` says so.
    pub(in super::super) fn behaves_as_a_map_does(store: &impl Store, slots: usize, bytes: Option<usize>) {
        const NODES: [&str; 5] = ["", "a", "b", "ab", "c"];
        const KINDS: [SlotKind; 3] = [SlotKind::Input, SlotKind::Output, SlotKind::Signal];
        let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
        for round in 0..60 {
            let mut model = BTreeMap::<(&str, u32, SlotKind), Vec<u8>>::new();
            let mut session = open(store, round).unwrap();
            // Some rounds have no loops and so nothing astray, and each numbers its nodes in its own way.
            let instances = [1, 2, 6][random.below(3) as usize];
            let shift = random.below(4) as u16;
            for _ in 0..300 {
                let at = random.below(NODES.len() as u64) as usize;
                let slot = Slot {
                    node: NODES[at],
                    index: at as u16 + shift,
                    instance: random.below(instances) as u32,
                    kind: KINDS[random.below(3) as usize],
                };
                let key = (slot.node, slot.instance, slot.kind);
                match random.below(12) {
                    0..6 => {
                        let value = std::vec![random.below(256) as u8; random.below(12) as usize];
                        let result = kind(done(session.put(slot, Raw(&value), &value)));
                        match bytes {
                            _ if !model.contains_key(&key) && model.len() == slots => {
                                assert_eq!(result, Some(StoreErrorKind::Full { room: slots, of: "slots" }));
                            }
                            Some(max) if value.len() > max => {
                                assert_eq!(result, Some(StoreErrorKind::TooLarge { len: value.len(), max }));
                            }
                            _ => {
                                assert_eq!(result, None);
                                assert!(value.is_empty() || session.ledger() == value);
                                model.insert(key, value);
                            }
                        }
                    }
                    6..8 => assert_eq!(session.holds(slot), model.contains_key(&key)),
                    8..10 => assert_eq!(read(&mut session, slot).as_ref(), model.get(&key)),
                    10 => {
                        let node = NODES[random.below(5) as usize];
                        let instance = random.below(instances) as u32;
                        done(session.discard(|slot| slot.node == node || slot.instance > instance)).unwrap();
                        model.retain(|key, _| key.0 != node && key.1 <= instance);
                    }
                    // A new session of the same run.
                    _ => {
                        drop(session);
                        session = open(store, round).unwrap();
                    }
                }
                assert_eq!(session.is_new(), model.is_empty());
                let mut seen = BTreeSet::new();
                session.each_slot(|slot| {
                    let node = NODES.into_iter().find(|node| *node == slot.node);
                    assert!(seen.insert((node.unwrap(), slot.instance, slot.kind)));
                });
                assert!(seen.iter().eq(model.keys()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{
        super::EncodeError,
        testing::{Raw, output},
        *,
    };

    impl Buffer for u8 {
        type Spare = ();

        fn bytes(&self) -> &[u8] {
            core::slice::from_ref(self)
        }

        fn fill(&mut self, value: impl Encode) -> Result<usize, StoreError> {
            value.encode(core::slice::from_mut(self)).map_err(|error| refused(value, error, 1))
        }

        fn refill(&mut self, value: impl Encode, (): &mut ()) -> Result<usize, StoreError> {
            self.fill(value)
        }
    }

    struct Four([Cell<u8>; 4]);

    impl Cells for Four {
        type Buffer = u8;

        fn all(&self) -> &[Cell<u8>] {
            &self.0
        }

        fn all_mut(&mut self) -> &mut [Cell<u8>] {
            &mut self.0
        }

        fn reach(&mut self, len: usize) -> bool {
            len <= 4
        }
    }

    #[test]
    fn nothing_of_an_old_run_comes_back_when_the_epochs_begin_again() {
        let mut table = Table::new(Four([const { Cell::vacant(0) }; 4]), ());
        table.clear();
        assert_eq!(table.epoch, 1);
        table.put(output("a", 1, 0), Raw(b"x"), b"y").unwrap();
        table.epoch = u32::MAX;
        table.clear();
        assert_eq!(table.epoch, 1);
        assert!(table.is_empty() && !table.holds(output("a", 1, 0)) && table.ledger().is_empty());
    }

    #[test]
    fn a_table_is_exact_again_once_nothing_is_astray() {
        let mut table = Table::new(Four([const { Cell::vacant(0) }; 4]), ());
        table.clear();
        for instance in 0..3 {
            table.put(output("a", 0, instance), Raw(b"x"), &[]).unwrap();
        }
        assert_eq!(table.astray, 2);
        table.discard(|slot| slot.instance > 0);
        assert_eq!(table.astray, 0);
        table.discard(|_| true);
        assert_eq!((table.astray, table.standing()), (0, Standing::Empty));
    }

    #[test]
    fn a_predicate_that_panics_discards_nothing() {
        let mut table = Table::new(Four([const { Cell::vacant(0) }; 4]), ());
        table.clear();
        for instance in 0..3 {
            table.put(output("a", 0, instance), Raw(b"x"), &[]).unwrap();
        }
        let mut asked = 0;
        let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
            table.discard(|_| {
                asked += 1;
                assert!(asked < 3);
                true
            });
        }));
        assert!(outcome.is_err());
        let mut left = Vec::new();
        table.each_slot(|slot| left.push(slot.instance));
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2]);
        table.discard(|slot| slot.instance == 1);
        assert_eq!(table.count, 2);
    }

    #[test]
    fn an_error_of_the_value_is_told_from_a_lack_of_room() {
        assert_eq!(refused(Raw(b"abc"), EncodeError::NoRoom, 2).kind(), StoreErrorKind::TooLarge { len: 3, max: 2 });
        assert_eq!(refused(Raw(b"abc"), EncodeError::NotFaithful, 2).kind(), StoreErrorKind::Unserialisable);
    }
}
