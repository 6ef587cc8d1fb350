//! Checkpoints in memory, on the heap.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use spin::mutex::SpinMutex;

use super::{
    Access, Begun, Encode, EncodeError, Session, Store, StoreError,
    table::{Buffer, Cell, Cells, Standing, Table, busy, full, refused, unknown},
};
use crate::{never::Never, run::RunId, slot::Slot};

/// How many runs a store keeps that was not told otherwise.
const RUNS: usize = 1024;

/// Checkpoints in memory, on the heap: the last 1,024 runs, or as many as [`with_capacity`](Self::with_capacity) says, with
/// any number of slots of any size.
///
/// The memory of a run that is let go of is used for the next one. So a store that has been at work for a while allocates
/// nothing more, and keeps what the largest of its runs needed.
///
/// ```
/// use stroma::{
///     RunId,
///     store::{Access, Begun, HeapStore, Session, Store},
/// };
///
/// static STORE: HeapStore = HeapStore::with_capacity(100);
///
/// match STORE.open(&RunId::new("invoice 17")?, Access::Create) {
///     Begun::Done(session) => assert!(session?.is_new()),
///     Begun::Pending(never) => never.absurd(),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it forgets
/// When all runs are taken and a new one begins, the store lets go of the finished run that was used longest ago. If none is
/// finished it lets go of the halted run that was used longest ago, which then cannot be resumed any more. It never lets go
/// of one that is being executed: with as many of those as it keeps, [`open`](Store::open) says
/// [`Full`](super::StoreErrorKind::Full). Nothing survives the process.
///
/// # Speed
/// To find a run takes the same time however many there are. Of the slots of a run, a loop's iterations and a collection's
/// elements after the first are looked for one by one: with thousands of them in one run that is felt.
pub struct HeapStore {
    index: SpinMutex<Index>,
}

type HeapTable = Table<Vec<Cell<Vec<u8>>>>;

impl HeapStore {
    /// A store that keeps the last 1,024 runs.
    pub const fn new() -> Self {
        Self::with_capacity(RUNS)
    }

    /// A store that keeps the last `runs` runs, but at least one. Their memory is allocated as it is needed.
    pub const fn with_capacity(runs: usize) -> Self {
        let runs = if runs == 0 { 1 } else { runs };
        Self { index: SpinMutex::new(Index::new(runs)) }
    }

    #[inline]
    fn hold(&self, run: &RunId, access: Access) -> Result<HeapSession<'_>, StoreError> {
        // Before the lock is taken: hashing takes as long as the rest.
        let hash = hash(run);
        let mut index = self.index.lock();
        let (at, table) = match (index.find(run, hash), access) {
            (Some(at), _) => (at, index.reopen(at)?),
            (None, Access::Existing) => return Err(unknown()),
            (None, Access::Create) => index.begin(run, hash)?,
        };
        drop(index);
        Ok(HeapSession { store: self, at, table: Some(table) })
    }
}

impl Default for HeapStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HeapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapStore").finish_non_exhaustive()
    }
}

#[diagnostic::do_not_recommend]
impl Store for HeapStore {
    type Session<'a> = HeapSession<'a>;
    type Opening<'a> = Never<Result<HeapSession<'a>, StoreError>>;
    type Forgetting<'a> = Never<Result<bool, StoreError>>;

    #[inline]
    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        Begun::Done(self.hold(run, access))
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        Begun::Done(self.index.lock().forget(run, hash(run)))
    }
}

/// The position of a record. [`NOWHERE`] is that of none: no list is that long.
type At = u32;

const NOWHERE: At = At::MAX;

/// All runs: found by a hash table, let go of in the order of two lists.
struct Index {
    /// How many there may be.
    runs: usize,
    records: Vec<Record>,
    /// The first record of each chain of ids with the same hash; their number is a power of two.
    buckets: Vec<At>,
    free: List,
    finished: List,
    halted: List,
}

struct Record {
    id: RunId,
    hash: u32,
    /// The next record in the chain of its hash.
    chain: At,
    state: State,
    /// The neighbours in the list of its state.
    before: At,
    after: At,
    /// Not here while a session has it.
    table: Option<Box<HeapTable>>,
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

fn hash(run: &RunId) -> u32 {
    let seed = run.seed();
    // The lower half of an FNV hash depends on every byte; the upper half spreads better.
    (seed >> 32) as u32 ^ seed as u32
}

impl Index {
    const fn new(runs: usize) -> Self {
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

    fn find(&self, run: &RunId, hash: u32) -> Option<At> {
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
    fn reopen(&mut self, at: At) -> Result<Box<HeapTable>, StoreError> {
        self.take_out(at);
        self.record_mut(at).and_then(|record| record.table.take()).ok_or_else(busy)
    }

    /// Takes hold of a new run, in the place of an old one if it must.
    fn begin(&mut self, run: &RunId, hash: u32) -> Result<(At, Box<HeapTable>), StoreError> {
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
            return Err(full(self.runs));
        }
        self.take_out(at);
        self.unchain(at);
        self.chain(at, run, hash);
        let mut table = self.record_mut(at).and_then(|record| record.table.take()).ok_or_else(busy)?;
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

    fn give_back(&mut self, at: At, table: Box<HeapTable>) {
        let standing = table.standing();
        if let Some(record) = self.record_mut(at) {
            record.table = Some(table);
        }
        if standing == Standing::Empty {
            self.unchain(at);
        }
        self.put_in(at, standing);
    }

    fn forget(&mut self, run: &RunId, hash: u32) -> Result<bool, StoreError> {
        let Some(at) = self.find(run, hash) else { return Ok(false) };
        if self.record(at).is_some_and(|record| record.state == State::Held) {
            return Err(busy());
        }
        self.take_out(at);
        self.unchain(at);
        self.put_in(at, Standing::Empty);
        Ok(true)
    }
}

/// Exclusive access to one run of a [`HeapStore`].
///
/// A slot of a run always comes with the same [`index`](Slot::index), in this session and in the next.
pub struct HeapSession<'a> {
    store: &'a HeapStore,
    at: At,
    /// Always there but while the session is being dropped.
    table: Option<Box<HeapTable>>,
}

impl Drop for HeapSession<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(table) = self.table.take() {
            self.store.index.lock().give_back(self.at, table);
        }
    }
}

impl fmt::Debug for HeapSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeapSession").field("is_new", &self.is_new()).finish_non_exhaustive()
    }
}

impl Session for HeapSession<'_> {
    type Writing = Never<Result<(), StoreError>>;
    type Reading = Never<Result<[u8; 0], StoreError>>;
    type Bytes = [u8; 0];

    #[inline]
    fn is_new(&self) -> bool {
        self.table.as_ref().is_none_or(|table| table.is_empty())
    }

    #[inline]
    fn holds(&self, slot: Slot<'_>) -> bool {
        self.table.as_ref().is_some_and(|table| table.holds(slot))
    }

    #[inline]
    fn outputs(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.outputs())
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        if let Some(table) = &self.table {
            table.each_slot(visit);
        }
    }

    #[inline]
    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(match &mut self.table {
            Some(table) => table.put(slot, value, ledger),
            None => Err(lost()),
        })
    }

    #[inline]
    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        Begun::Done(match &self.table {
            Some(table) => table.load(slot, read),
            None => Err(lost()),
        })
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(match &mut self.table {
            Some(table) => table.put_ledger(ledger),
            None => Err(lost()),
        })
    }

    fn ledger(&self) -> &[u8] {
        self.table.as_ref().map_or(&[], |table| table.ledger())
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(match &mut self.table {
            Some(table) => {
                table.discard(doomed);
                Ok(())
            }
            None => Err(lost()),
        })
    }

    #[inline]
    fn finished(&mut self) {
        if let Some(table) = &mut self.table {
            table.finished();
        }
    }
}

impl Cells for Vec<Cell<Vec<u8>>> {
    type Buffer = Vec<u8>;

    #[inline(always)]
    fn all(&self) -> &[Cell<Vec<u8>>] {
        self
    }

    #[inline(always)]
    fn all_mut(&mut self) -> &mut [Cell<Vec<u8>>] {
        self
    }

    fn reach(&mut self, len: usize) -> bool {
        if len > self.len() {
            self.resize_with(len, || Cell::vacant(Vec::new()));
        }
        true
    }
}

/// All of the vector is room for the value: its length is what the longest so far took.
impl Buffer for Vec<u8> {
    type Spare = Self;

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline(always)]
    fn fill(&mut self, value: impl Encode) -> Result<usize, StoreError> {
        match value.encode(self) {
            Ok(len) => Ok(len),
            Err(error) => fill_larger(self, value, error),
        }
    }

    fn refill(&mut self, value: impl Encode, spare: &mut Self) -> Result<usize, StoreError> {
        let len = spare.fill(value)?;
        core::mem::swap(self, spare);
        Ok(len)
    }
}

#[cold]
fn fill_larger(buffer: &mut Vec<u8>, value: impl Encode, error: EncodeError) -> Result<usize, StoreError> {
    if error != EncodeError::NoRoom {
        return Err(error.into());
    }
    let len = value.encoded_len()?;
    if len > buffer.len() {
        buffer.resize(len, 0);
    }
    value.encode(buffer).map_err(|error| refused(value, error, len))
}

#[cold]
fn lost() -> StoreError {
    StoreError::new(super::StoreErrorKind::Fenced)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{
        super::{
            StoreErrorKind,
            table::testing::{self, Raw, begin, done, existing, forget, kind, open, output, read},
        },
        *,
    };

    #[test]
    fn sessions_are_send_and_stores_are_sync() {
        fn is_send<T: Send>() {}
        fn is_send_sync<T: Send + Sync>() {}
        is_send::<HeapSession<'static>>();
        is_send_sync::<HeapStore>();
    }

    #[test]
    fn what_is_put_is_there_in_the_next_session_too() {
        testing::what_is_put_is_there_in_the_next_session_too(&HeapStore::new());
    }

    #[test]
    fn one_holder_at_a_time() {
        testing::one_holder_at_a_time(&HeapStore::with_capacity(2));
    }

    #[test]
    fn what_is_finished_goes_first() {
        testing::what_is_finished_goes_first(&HeapStore::with_capacity(3));
    }

    #[test]
    fn a_finished_run_that_goes_on_is_finished_no_more() {
        testing::a_finished_run_that_goes_on_is_finished_no_more(&HeapStore::with_capacity(3));
    }

    #[test]
    fn a_failed_put_leaves_the_old_value() {
        testing::a_failed_put_leaves_the_old_value(&HeapStore::new());
    }

    #[test]
    fn behaves_as_a_map_does() {
        testing::behaves_as_a_map_does(&HeapStore::new(), usize::MAX, None);
        testing::behaves_as_a_map_does(&HeapStore::with_capacity(1), usize::MAX, None);
    }

    #[test]
    fn there_is_room_for_one_run_at_least() {
        let store = HeapStore::with_capacity(0);
        let session = open(&store, 1).unwrap();
        assert_eq!(kind(open(&store, 2)), Some(StoreErrorKind::Full { room: 1, of: "runs" }));
        drop(session);
        assert!(open(&store, 2).is_ok());
        assert_eq!(store.slots_per_run(), None);
    }

    #[test]
    fn any_number_of_slots_of_any_size() {
        let store = HeapStore::new();
        let mut session = open(&store, 1).unwrap();
        let long = std::vec![7; 100_000];
        for instance in 0..500 {
            let len = instance as usize * 200;
            done(session.put(output("a", 3, instance), Raw(&long[..len]), &[])).unwrap();
        }
        for instance in 0..500 {
            assert_eq!(
                read(&mut session, output("a", 3, instance)).map(|bytes| bytes.len()),
                Some(instance as usize * 200)
            );
        }
    }

    /// Where the memory of a store is and how much: changes with every allocation that lasts.
    fn memory(store: &HeapStore) -> Vec<(usize, usize)> {
        let index = store.index.lock();
        let mut all = std::vec![
            (index.records.as_ptr() as usize, index.records.capacity()),
            (index.buckets.as_ptr() as usize, index.buckets.capacity())
        ];
        for table in index.records.iter().filter_map(|record| record.table.as_ref()) {
            all.extend(table.cells().iter().map(|cell| cell.buffer().as_ptr() as usize).map(|at| (at, 0)));
            all.push((table.cells().as_ptr() as usize, table.cells().capacity()));
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn in_the_steady_state_nothing_is_allocated() {
        let store = HeapStore::with_capacity(4);
        let one_run = |id: u128| {
            let mut session = open(&store, id).unwrap();
            done(session.put(Slot::INPUT, Raw(&[1; 30]), &[])).unwrap();
            for instance in 0..4 {
                done(session.put(output("a", 1, instance), Raw(&[2; 300]), b"ledger")).unwrap();
            }
            done(session.put(output("a", 1, 0), Raw(&[3; 300]), b"ledger")).unwrap();
            session.finished();
        };
        (0..40).for_each(one_run);
        let before = memory(&store);
        (40..400).for_each(one_run);
        assert_eq!(memory(&store), before);
    }

    #[test]
    fn many_runs_come_and_go_and_each_is_found() {
        let store = HeapStore::with_capacity(300);
        for id in 0..1_000 {
            begin(&store, id, true);
            if id % 7 == 3 {
                assert_eq!(forget(&store, id), Ok(true));
            }
        }
        // The forgotten ones left their room to others, so 300 of the rest are there: the last 300.
        let kept = (0..1_000).filter(|id| existing(&store, *id).is_ok()).collect::<Vec<_>>();
        let last = (0..1_000).filter(|id| id % 7 != 3).rev().take(300).collect::<Vec<_>>();
        assert_eq!(kept.len(), 300);
        assert!(last.iter().rev().eq(kept.iter()));
    }

    #[test]
    fn threads_share_a_store() {
        let store = HeapStore::with_capacity(8);
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..2_000_u32 {
                        let Ok(mut session) = open(store, u128::from(round % 13)) else { continue };
                        done(session.put(Slot::INPUT, Raw(&[thread; 4]), &[])).unwrap();
                        assert_eq!(read(&mut session, Slot::INPUT), Some(std::vec![thread; 4]));
                        if round % 2 == 0 {
                            session.finished();
                        }
                    }
                });
            }
        });
        let all = (100..108).map(|id| open(&store, id).unwrap()).collect::<Vec<_>>();
        assert!(open(&store, 108).is_err());
        drop(all);
    }
}
