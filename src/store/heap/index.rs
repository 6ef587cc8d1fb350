//! Which runs there are: found by a hash table, let go of in the order of two lists.

use alloc::{boxed::Box, vec::Vec};

use super::{
    super::{
        StoreError,
        error::{busy, full},
        table::{Standing, Table},
    },
    cells::HeapTable,
};
use crate::run::RunId;

/// The position of a record. [`NOWHERE`] is that of none: no list is that long.
pub(super) type At = u32;

const NOWHERE: At = At::MAX;

/// All runs: found by a hash table, let go of in the order of two lists.
pub(super) struct Index {
    /// How many there may be.
    runs: usize,
    pub(super) records: Vec<Record>,
    /// The first record of each chain of ids with the same hash; their number is a power of two.
    pub(super) buckets: Vec<At>,
    free: List,
    finished: List,
    halted: List,
}

pub(super) struct Record {
    id: RunId,
    hash: u32,
    /// The next record in the chain of its hash.
    chain: At,
    state: State,
    /// The neighbours in the list of its state.
    before: At,
    after: At,
    /// Not here while a session has it.
    pub(super) table: Option<Box<HeapTable>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Kept(Standing),
}

/// Records in the order of their last use.
#[derive(Clone, Copy)]
struct List {
    first: At,
    last: At,
}

pub(super) fn hash(run: &RunId) -> u32 {
    let seed = run.seed();
    // The lower half of an FNV hash depends on every byte; the upper half spreads better.
    (seed >> 32) as u32 ^ seed as u32
}

impl Index {
    pub(super) const fn new(runs: usize) -> Self {
        const EMPTY: List = List { first: NOWHERE, last: NOWHERE };
        Self { runs, records: Vec::new(), buckets: Vec::new(), free: EMPTY, finished: EMPTY, halted: EMPTY }
    }

    fn record(&self, at: At) -> Option<&Record> {
        self.records.get(at as usize)
    }

    fn record_mut(&mut self, at: At) -> Option<&mut Record> {
        self.records.get_mut(at as usize)
    }

    fn bucket(&mut self, hash: u32) -> Option<&mut At> {
        let mask = self.buckets.len().wrapping_sub(1);
        self.buckets.get_mut(hash as usize & mask)
    }

    fn list(&mut self, standing: Standing) -> &mut List {
        match standing {
            Standing::Empty => &mut self.free,
            Standing::Finished => &mut self.finished,
            Standing::Halted => &mut self.halted,
        }
    }

    pub(super) fn find(&self, run: &RunId, hash: u32) -> Option<At> {
        let mask = self.buckets.len().wrapping_sub(1);
        let mut at = *self.buckets.get(hash as usize & mask)?;
        while let Some(record) = self.record(at) {
            if record.hash == hash && record.id == *run {
                return Some(at);
            }
            at = record.chain;
        }
        None
    }

    /// Takes hold of a known run.
    pub(super) fn reopen(&mut self, at: At) -> Result<Box<HeapTable>, StoreError> {
        self.take_out(at);
        self.record_mut(at).and_then(|record| record.table.take()).ok_or_else(|| busy(None))
    }

    /// Takes hold of a new run, in the place of an old one if it must.
    pub(super) fn begin(&mut self, run: &RunId, hash: u32) -> Result<(At, Box<HeapTable>), StoreError> {
        let at = if self.free.first != NOWHERE {
            self.free.first
        } else if self.records.len() < self.runs.min(NOWHERE as usize) {
            self.add(run)
        } else if self.finished.first != NOWHERE {
            self.finished.first
        } else {
            self.halted.first
        };
        if self.record(at).is_none() {
            return Err(full(self.runs, "runs"));
        }
        self.take_out(at);
        self.unchain(at);
        self.chain(at, run, hash);
        let mut table = self.record_mut(at).and_then(|record| record.table.take()).ok_or_else(|| busy(None))?;
        table.clear();
        Ok((at, table))
    }

    /// One more record, held by nobody and in no list yet.
    #[cold]
    fn add(&mut self, run: &RunId) -> At {
        // Fewer than `NOWHERE` by the caller's check.
        let at = self.records.len() as At;
        self.records.push(Record {
            id: *run,
            hash: 0,
            chain: NOWHERE,
            state: State::Held,
            before: NOWHERE,
            after: NOWHERE,
            table: Some(Box::new(Table::new(Vec::new(), Vec::new()))),
        });
        if self.records.len() > self.buckets.len() {
            self.spread();
        }
        at
    }

    /// Twice as many buckets, so that chains stay short.
    fn spread(&mut self) {
        let wanted = (self.buckets.len() * 2).max(8);
        self.buckets.clear();
        self.buckets.resize(wanted, NOWHERE);
        for at in 0..self.records.len() {
            let at = at as At;
            let Some(record) = self.record(at) else { continue };
            if record.state != State::Kept(Standing::Empty) {
                let (id, hash) = (record.id, record.hash);
                self.chain(at, &id, hash);
            }
        }
    }

    fn chain(&mut self, at: At, run: &RunId, hash: u32) {
        let Some(bucket) = self.bucket(hash) else { return };
        let chain = core::mem::replace(bucket, at);
        if let Some(record) = self.record_mut(at) {
            record.id = *run;
            record.hash = hash;
            record.chain = chain;
        }
    }

    /// Takes a record out of the chain of its hash, if it is in it.
    fn unchain(&mut self, at: At) {
        let Some(record) = self.record(at) else { return };
        let (hash, next) = (record.hash, record.chain);
        let Some(bucket) = self.bucket(hash) else { return };
        if *bucket == at {
            *bucket = next;
            return;
        }
        let mut before = *bucket;
        while let Some(record) = self.record_mut(before) {
            if record.chain == at {
                record.chain = next;
                return;
            }
            before = record.chain;
        }
    }

    /// Takes a record out of the list of its state; from now on it is held.
    fn take_out(&mut self, at: At) {
        let Some(record) = self.record_mut(at) else { return };
        let State::Kept(standing) = core::mem::replace(&mut record.state, State::Held) else { return };
        let (before, after) = (record.before, record.after);
        match self.record_mut(before) {
            Some(record) => record.after = after,
            None => self.list(standing).first = after,
        }
        match self.record_mut(after) {
            Some(record) => record.before = before,
            None => self.list(standing).last = before,
        }
    }

    /// Puts a held record at the end of the list of its new state.
    fn put_in(&mut self, at: At, standing: Standing) {
        let list = self.list(standing);
        let before = core::mem::replace(&mut list.last, at);
        if before == NOWHERE {
            list.first = at;
        }
        if let Some(record) = self.record_mut(before) {
            record.after = at;
        }
        if let Some(record) = self.record_mut(at) {
            record.state = State::Kept(standing);
            record.before = before;
            record.after = NOWHERE;
        }
    }

    pub(super) fn give_back(&mut self, at: At, table: Box<HeapTable>) {
        let standing = table.standing();
        if let Some(record) = self.record_mut(at) {
            record.table = Some(table);
        }
        if standing == Standing::Empty {
            self.unchain(at);
        }
        self.put_in(at, standing);
    }

    pub(super) fn forget(&mut self, run: &RunId, hash: u32) -> Result<bool, StoreError> {
        let Some(at) = self.find(run, hash) else { return Ok(false) };
        if self.record(at).is_some_and(|record| record.state == State::Held) {
            return Err(busy(None));
        }
        self.take_out(at);
        self.unchain(at);
        self.put_in(at, Standing::Empty);
        Ok(true)
    }
}
