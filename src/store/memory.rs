//! Checkpoints in memory, without a heap.

#[cfg(test)]
mod tests;

use core::fmt;

use spin::mutex::{SpinMutex, SpinMutexGuard};

use super::{
    Access, Begun, Encode, Session, Store, StoreError,
    error::{busy, full, unknown},
    table::{Buffer, Cell, Cells, Standing, Table, refused},
};
use crate::{never::Never, run::RunId, slot::Slot};

/// Checkpoints in memory, without a heap: the last `RUNS` runs, each with `SLOTS` slots of `BYTES` bytes.
///
/// The input of a run takes a slot too, so a pipeline of three nodes needs four. A checkpoint takes 13 bytes more than
/// its payload, the input 21.
///
/// ```
/// use stroma::{
///     RunId,
///     store::{Access, Begun, MemoryStore, Session, Store},
/// };
///
/// // Room for 4 runs of 8 slots with 64 bytes each. All zeros, so it takes no room in the program's image.
/// static STORE: MemoryStore<4, 8, 64> = MemoryStore::new();
///
/// match STORE.open(&RunId::from_u128(1), Access::Create) {
///     Begun::Done(session) => assert!(session?.is_new()),
///     Begun::Pending(never) => never.absurd(),
/// }
/// # Ok::<(), stroma::store::StoreError>(())
/// ```
///
/// It finds a run by looking at each, so it is for some hundred runs at most; `HeapStore` has an index.
///
/// # What it forgets
/// When all `RUNS` are taken and a new one begins, the store lets go of the finished run that was used longest ago. If
/// none is finished it lets go of the halted run that was used longest ago, which then cannot be resumed any more. It never
/// lets go of one that is being executed: with `RUNS` of those, [`open`](Store::open) says [`Full`](super::StoreErrorKind::Full).
/// Nothing survives the process.
///
/// # Locks
/// Opening, ending and forgetting a run take one lock of the store for a few dozen instructions. Do none of these in an
/// interrupt handler, or in a task that interrupts others, if what it interrupts may be doing the same: the lock would never
/// be given back. What a session does in between takes no lock at all.
pub struct MemoryStore<const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    index: SpinMutex<Index<[Record; RUNS]>>,
    /// The table of the record at the same position. Locked only while `index` is, and kept locked by the session.
    tables: [SpinMutex<ArrayTable<SLOTS, BYTES>>; RUNS],
}

type ArrayTable<const SLOTS: usize, const BYTES: usize> = Table<[Cell<[u8; BYTES]>; SLOTS]>;

/// What is known of all runs.
struct Index<R: ?Sized> {
    /// Counts the sessions that ended.
    clock: u64,
    records: R,
}

struct Record {
    id: RunId,
    /// Whose turn it is to go: [`FREE`], then what is finished by its last use, then with [`HALTED`] added what is
    /// halted by its last use, and never [`HELD`].
    turn: u64,
}

const FREE: u64 = 0;
const HALTED: u64 = 1 << 63;
const HELD: u64 = u64::MAX;

impl Record {
    const VACANT: Self = Self { id: RunId::from_u128(0), turn: FREE };
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> MemoryStore<RUNS, SLOTS, BYTES> {
    /// A store without runs.
    pub const fn new() -> Self {
        Self {
            index: SpinMutex::new(Index { clock: 0, records: [const { Record::VACANT }; RUNS] }),
            tables: [const { SpinMutex::new(Table::new([const { Cell::vacant([0; BYTES]) }; SLOTS], ())) }; RUNS],
        }
    }

    #[inline]
    fn hold(&self, run: &RunId, access: Access) -> Result<MemorySession<'_, SLOTS, BYTES>, StoreError> {
        let mut index = self.index.lock();
        let mut found = None;
        let (mut next, mut turn) = (0, HELD);
        for (at, record) in index.records.iter().enumerate() {
            if record.turn != FREE && record.id == *run {
                found = Some(at);
                break;
            }
            if record.turn < turn {
                (next, turn) = (at, record.turn);
            }
        }
        let at = match (found, access) {
            (Some(at), _) => at,
            (None, Access::Existing) => return Err(unknown()),
            (None, Access::Create) if turn == HELD => return Err(full(RUNS, "runs")),
            (None, Access::Create) => next,
        };
        let (Some(record), Some(table)) = (index.records.get_mut(at), self.tables.get(at)) else {
            return Err(full(RUNS, "runs"));
        };
        // The lock alone would tell who holds the run, but it is given back a moment before the record says so.
        if record.turn == HELD {
            return Err(busy(None));
        }
        let Some(mut table) = table.try_lock() else { return Err(busy(None)) };
        if found.is_none() {
            record.id = *run;
            table.clear();
        }
        record.turn = HELD;
        drop(index);
        Ok(MemorySession { table, lease: Lease { index: &self.index, at, standing: Standing::Empty } })
    }

    fn remove(&self, run: &RunId) -> Result<bool, StoreError> {
        let mut index = self.index.lock();
        match index.records.iter_mut().find(|record| record.turn != FREE && record.id == *run) {
            None => Ok(false),
            Some(record) if record.turn == HELD => Err(busy(None)),
            Some(record) => {
                record.turn = FREE;
                Ok(true)
            }
        }
    }
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> Default for MemoryStore<RUNS, SLOTS, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug for MemoryStore<RUNS, SLOTS, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("runs", &RUNS).field("slots", &SLOTS).field("bytes", &BYTES).finish()
    }
}

#[diagnostic::do_not_recommend]
impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> Store for MemoryStore<RUNS, SLOTS, BYTES> {
    type Session<'a>
        = MemorySession<'a, SLOTS, BYTES>
    where
        Self: 'a;
    type Opening<'a>
        = Never<Result<MemorySession<'a, SLOTS, BYTES>, StoreError>>
    where
        Self: 'a;
    type Forgetting<'a>
        = Never<Result<bool, StoreError>>
    where
        Self: 'a;

    #[inline]
    fn slots_per_run(&self) -> Option<usize> {
        Some(SLOTS)
    }

    #[inline]
    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        Begun::Done(self.hold(run, access))
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        Begun::Done(self.remove(run))
    }
}

/// Exclusive access to one run of a [`MemoryStore`].
///
/// A slot of a run always comes with the same [`index`](Slot::index), in this session and in the next.
pub struct MemorySession<'a, const SLOTS: usize, const BYTES: usize> {
    // Fields are dropped in this order: the table's lock is free before the record says that the run is.
    table: SpinMutexGuard<'a, ArrayTable<SLOTS, BYTES>>,
    lease: Lease<'a>,
}

/// Gives a run back when it is dropped.
struct Lease<'a> {
    index: &'a SpinMutex<Index<[Record]>>,
    at: usize,
    standing: Standing,
}

impl Drop for Lease<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut index = self.index.lock();
        index.clock += 1;
        let turn = match self.standing {
            Standing::Empty => FREE,
            Standing::Finished => index.clock,
            Standing::Halted => HALTED | index.clock,
        };
        if let Some(record) = index.records.get_mut(self.at) {
            record.turn = turn;
        }
    }
}

impl<const SLOTS: usize, const BYTES: usize> Drop for MemorySession<'_, SLOTS, BYTES> {
    #[inline]
    fn drop(&mut self) {
        self.lease.standing = self.table.standing();
    }
}

impl<const SLOTS: usize, const BYTES: usize> fmt::Debug for MemorySession<'_, SLOTS, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySession").field("is_new", &self.is_new()).finish_non_exhaustive()
    }
}

impl<const SLOTS: usize, const BYTES: usize> Session for MemorySession<'_, SLOTS, BYTES> {
    type Writing = Never<Result<(), StoreError>>;
    type Reading = Never<Result<[u8; 0], StoreError>>;
    type Bytes = [u8; 0];

    #[inline]
    fn is_new(&self) -> bool {
        self.table.is_empty()
    }

    #[inline]
    fn holds(&self, slot: Slot<'_>) -> bool {
        self.table.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.table.each_slot(visit);
    }

    #[inline]
    fn outputs(&self) -> usize {
        self.table.outputs()
    }

    #[inline(always)]
    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(self.table.put(slot, value, ledger))
    }

    #[inline]
    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        Begun::Done(self.table.load(slot, read))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(self.table.put_ledger(ledger))
    }

    fn ledger(&self) -> &[u8] {
        self.table.ledger()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        self.table.discard(doomed);
        Begun::Done(Ok(()))
    }

    #[inline]
    fn finished(&mut self) {
        self.table.finished();
    }
}

impl<const SLOTS: usize, const BYTES: usize> Cells for [Cell<[u8; BYTES]>; SLOTS] {
    type Buffer = [u8; BYTES];

    #[inline(always)]
    fn all(&self) -> &[Cell<[u8; BYTES]>] {
        self
    }

    #[inline(always)]
    fn all_mut(&mut self) -> &mut [Cell<[u8; BYTES]>] {
        self
    }

    fn reach(&mut self, len: usize) -> bool {
        len <= SLOTS
    }
}

impl<const BYTES: usize> Buffer for [u8; BYTES] {
    type Spare = ();

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline(always)]
    fn fill(&mut self, value: impl Encode) -> Result<usize, StoreError> {
        match value.encode(self) {
            Ok(len) => Ok(len),
            Err(error) => Err(refused(value, error, BYTES)),
        }
    }

    fn refill(&mut self, value: impl Encode, (): &mut ()) -> Result<usize, StoreError> {
        // Overwriting is rare, so the second copy is on the stack and not in every run.
        let mut whole = [0; BYTES];
        let len = whole.fill(value)?;
        if let (Some(new), Some(old)) = (whole.get(..len), self.get_mut(..len)) {
            old.copy_from_slice(new);
        }
        Ok(len)
    }
}
