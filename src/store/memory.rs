//! Checkpoints in memory, without a heap.

use core::fmt;

use spin::mutex::{SpinMutex, SpinMutexGuard};

use super::{
    Access, Begun, Encode, Session, Store, StoreError,
    table::{Buffer, Cell, Cells, Standing, Table, busy, full, refused, unknown},
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
            (None, Access::Create) if turn == HELD => return Err(full(RUNS)),
            (None, Access::Create) => next,
        };
        let (Some(record), Some(table)) = (index.records.get_mut(at), self.tables.get(at)) else {
            return Err(full(RUNS));
        };
        // The lock alone would tell who holds the run, but it is given back a moment before the record says so.
        if record.turn == HELD {
            return Err(busy());
        }
        let Some(mut table) = table.try_lock() else { return Err(busy()) };
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
            Some(record) if record.turn == HELD => Err(busy()),
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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{
        super::{
            StoreErrorKind,
            codec::Value,
            table::testing::{self, Raw, done, kind, open, output, read},
        },
        *,
    };

    #[test]
    fn sessions_are_send_and_stores_are_sync() {
        fn is_send<T: Send>() {}
        fn is_send_sync<T: Send + Sync>() {}
        is_send::<MemorySession<'static, 4, 64>>();
        is_send_sync::<MemoryStore<2, 4, 64>>();
    }

    #[test]
    fn what_is_put_is_there_in_the_next_session_too() {
        testing::what_is_put_is_there_in_the_next_session_too(&MemoryStore::<2, 4, 16>::new());
    }

    #[test]
    fn one_holder_at_a_time() {
        testing::one_holder_at_a_time(&MemoryStore::<2, 4, 16>::new());
    }

    #[test]
    fn what_is_finished_goes_first() {
        testing::what_is_finished_goes_first(&MemoryStore::<3, 2, 16>::new());
    }

    #[test]
    fn a_finished_run_that_goes_on_is_finished_no_more() {
        testing::a_finished_run_that_goes_on_is_finished_no_more(&MemoryStore::<3, 2, 16>::new());
    }

    #[test]
    fn a_failed_put_leaves_the_old_value() {
        testing::a_failed_put_leaves_the_old_value(&MemoryStore::<1, 4, 8>::new());
    }

    #[test]
    fn behaves_as_a_map_does() {
        testing::behaves_as_a_map_does(&MemoryStore::<2, 7, 8>::new(), 7, Some(8));
        testing::behaves_as_a_map_does(&MemoryStore::<2, 90, 8>::new(), 90, Some(8));
    }

    #[test]
    fn a_checkpoint_that_is_too_large_says_both_sizes_and_leaves_the_old_one() {
        let store = MemoryStore::<1, 4, 16>::new();
        let mut session = open(&store, 1).unwrap();
        let (slot, other) = (output("a", 1, 0), output("b", 2, 0));
        let too_large = Some(StoreErrorKind::TooLarge { len: 33, max: 16 });
        done(session.put(slot, Value { value: &7_u8, shape: None }, &[])).unwrap();
        let before = read(&mut session, slot);
        assert_eq!(before.as_deref().map(super::super::decode::<u8>), Some(Ok(7)));
        assert_eq!(kind(done(session.put(slot, Value { value: &[1_u8; 20], shape: None }, b"l"))), too_large);
        assert_eq!(kind(done(session.put(other, Value { value: &[1_u8; 20], shape: None }, b"l"))), too_large);
        assert_eq!(read(&mut session, slot), before);
        assert!(!session.holds(other) && session.ledger().is_empty());
    }

    #[test]
    fn a_run_has_as_many_slots_as_the_type_says() {
        let store = MemoryStore::<1, 2, 16>::new();
        assert_eq!(store.slots_per_run(), Some(2));
        let mut session = open(&store, 1).unwrap();
        let full = Some(StoreErrorKind::Full { room: 2, of: "slots" });
        done(session.put(output("a", 1, 0), Raw(b"0"), &[])).unwrap();
        done(session.put(output("a", 1, 1), Raw(b"1"), &[])).unwrap();
        assert_eq!(kind(done(session.put(output("a", 1, 2), Raw(b"2"), &[]))), full);
        assert_eq!(kind(done(session.put(output("z", 9, 0), Raw(b"2"), &[]))), full);
        done(session.put(output("a", 1, 1), Raw(b"3"), &[])).unwrap();
        done(session.discard(|slot| slot.instance == 0)).unwrap();
        // Its own place is past the end, so it takes another.
        done(session.put(output("z", 9, 0), Raw(b"z"), &[])).unwrap();
        assert_eq!(read(&mut session, output("z", 9, 0)).as_deref(), Some(&b"z"[..]));
        assert_eq!(read(&mut session, output("a", 1, 1)).as_deref(), Some(&b"3"[..]));
    }

    #[test]
    fn a_store_without_room_says_so() {
        let full = |room, of| Some(StoreErrorKind::Full { room, of });
        assert_eq!(kind(open(&MemoryStore::<0, 1, 1>::new(), 1)), full(0, "runs"));
        let slotless = MemoryStore::<1, 0, 1>::new();
        assert_eq!(kind(done(open(&slotless, 1).unwrap().put(Slot::INPUT, Raw(b""), &[]))), full(0, "slots"));
    }

    #[test]
    fn only_one_of_many_threads_gets_a_run() {
        static STORE: MemoryStore<3, 2, 8> = MemoryStore::new();
        let entered = core::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let entered = &entered;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let Ok(mut session) = open(&STORE, u128::from(round % 5_u32)) else { continue };
                        done(session.put(Slot::INPUT, Raw(&[thread; 4]), &[])).unwrap();
                        assert_eq!(read(&mut session, Slot::INPUT), Some(std::vec![thread; 4]));
                        if round % 2 == 0 {
                            session.finished();
                        }
                        entered.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(entered.into_inner() > 0);
        // No run was lost on the way: all three can be held at once, and not a fourth.
        let all = [open(&STORE, 10).unwrap(), open(&STORE, 11).unwrap(), open(&STORE, 12).unwrap()];
        assert!(open(&STORE, 13).is_err());
        drop(all);
    }
}
