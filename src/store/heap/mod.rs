//! Checkpoints in memory, on the heap.

mod cells;
mod index;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::fmt;

use spin::mutex::SpinMutex;

use self::{
    cells::HeapTable,
    index::{At, Index, hash},
};
use super::{
    Access, Begun, Encode, Session, Store, StoreError,
    error::{fenced, unknown},
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
            None => Err(fenced()),
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
            None => Err(fenced()),
        })
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(match &mut self.table {
            Some(table) => table.put_ledger(ledger),
            None => Err(fenced()),
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
            None => Err(fenced()),
        })
    }

    #[inline]
    fn finished(&mut self) {
        if let Some(table) = &mut self.table {
            table.finished();
        }
    }
}
