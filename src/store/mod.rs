//! Where checkpoints are kept: the trait that every store implements, and what it may say.
//!
//! | store | for | feature |
//! |---|---|---|
//! | [`MemoryStore`] | as long as the process lasts, without a heap, in a `static` | |
//! | `HeapStore` | the same on the heap; `Runner::quick` begins with it | `alloc` |
//! | `RedbStore` | one machine and several processes: one file that survives `kill -9` | `redb` |
//! | `RedisStore` | many machines, one server | `redis` |
//! | `FlashStore` | a chip's own NOR flash, without a heap; survives a power cut at any point | `flash` |
//!
//! One is given to a runner by [`with_store`](crate::Builder::with_store), by value, by reference from a `static`, or in an `Arc`. A
//! store of your own implements [`Store`] and [`Session`], and `testing::conformance!` puts it to every clause of their contract.

mod codec;
pub(crate) mod durable;
mod error;
#[cfg(feature = "flash")]
mod flash;
#[cfg(feature = "alloc")]
mod heap;
#[cfg(any(feature = "redb", feature = "redis"))]
pub mod inspect;
mod memory;
#[cfg(any(feature = "redb", feature = "redis"))]
mod owned;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod raw;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
mod table;

use core::future::Future;

#[cfg(feature = "alloc")]
pub use codec::round_trip;
pub use codec::{CheckpointError, CheckpointFault, FORMAT_VERSION, Payload, decode, encode, encoded_len};
pub(crate) use codec::{Value, check_input, decode_input, decode_value, input_fingerprint};
pub(crate) use durable::Hold;
#[cfg(feature = "json")]
pub use durable::ReplayFault;
pub(crate) use durable::{Durability, Durable, Faulted, NoStore, Nothing, StoreFault};
pub use durable::{NodeName, Persist};
pub use error::{EncodeError, StoreError, StoreErrorKind};
#[cfg(feature = "flash")]
pub use flash::{
    FlashBytes, FlashError, FlashFlushing, FlashForgetting, FlashOpening, FlashReading, FlashRoom, FlashSession,
    FlashStore, FlashWear, FlashWriting,
};
#[cfg(feature = "alloc")]
pub use heap::{HeapSession, HeapStore};
pub use memory::{MemorySession, MemoryStore};
#[cfg(feature = "redb")]
pub use redb::{RedbForgetting, RedbOpening, RedbReading, RedbRuns, RedbSession, RedbStore, RedbView, RedbWriting};
#[cfg(feature = "redis")]
pub use redis::{RedisForgetting, RedisOpening, RedisReading, RedisRuns, RedisSession, RedisStore, RedisWriting};

use crate::{
    budget,
    run::RunId,
    slot::{Slot, SlotKind},
};

/// The most bytes that a ledger takes in a store.
pub const LEDGER_MAX: usize = budget::LEDGER_MAX;

/// An operation that is done already, or one that has to be waited for.
///
/// A store that answers at once says so with [`Done`](Self::Done), and then no future of it is ever stored in a run.
#[derive(Debug)]
pub enum Begun<T, F> {
    /// It is done, with this result.
    Done(T),
    /// It is under way; the future yields the result.
    Pending(F),
}

/// A value that can write itself into a store's buffer.
pub trait Encode {
    /// How many bytes [`encode`](Self::encode) will write.
    ///
    /// # Errors
    /// When the value cannot be serialised.
    fn encoded_len(&self) -> Result<usize, EncodeError>;

    /// Writes the value to the front of `buffer` and returns how many bytes it took.
    ///
    /// # Errors
    /// [`EncodeError::NoRoom`] when `buffer` is too short, in which case its content is unspecified; else when the value
    /// cannot be serialised.
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError>;
}

impl<E: Encode> Encode for &E {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        E::encoded_len(self)
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        E::encode(self, buffer)
    }
}

/// Whether [`Store::open`] may begin a run that the store does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Begin it.
    Create,
    /// Refuse it with [`StoreErrorKind::UnknownRun`].
    Existing,
}

/// A place that keeps checkpoints.
///
/// # Contract
/// - [`open`](Self::open) gives one holder at a time the run; another gets [`StoreErrorKind::Busy`] until the session is
///   dropped or, for a store that outlives a process, until its lease ran out.
/// - What a [`put`](Session::put) wrote is there, whole, once it reported success, and survives whatever the store says
///   that it survives. A `put` that failed or was dropped half-way left the old content or wrote the new one, never a mix.
/// - [`discard`](Session::discard) removes all that it was asked to or nothing.
/// - No operation touches a run other than its own.
///
/// # Cancel safety
/// A future of a store may be dropped at any await point. What it had begun then happens wholly or not at all.
///
/// A store whose driver offers only `async fn` hands the work to a task and waits for its answer, or boxes the future:
/// the associated types take either. Without a heap, it holds one pinned future that does all the work, and whoever waits
/// polls that: `FlashStore` does.
#[doc(alias("checkpointer", "persistence", "database"))]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store",
    label = "keeps no checkpoints",
    note = "`HeapStore::new()` and `MemoryStore` keep them in memory, `RedbStore::open(path)?` in a file, \
            `RedisStore::new(url, ttl)?` on a server, `FlashStore` in a chip's flash"
)]
pub trait Store {
    /// Exclusive access to one run; dropping it gives the run back.
    type Session<'a>: Session
    where
        Self: 'a;

    /// What opening waits for.
    type Opening<'a>: Future<Output = Result<Self::Session<'a>, StoreError>>
    where
        Self: 'a;

    /// What forgetting waits for.
    type Forgetting<'a>: Future<Output = Result<bool, StoreError>>
    where
        Self: 'a;

    /// How many slots a run may have, its input counted, or `None` for as many as there is room for.
    fn slots_per_run(&self) -> Option<usize> {
        None
    }

    /// Says which nodes the pipeline of a runner has: once, when the runner is made, before it runs anything. A store may keep it
    /// for those who look at its runs from outside; most do nothing, and nothing ever depends on it.
    ///
    /// `shape` is the fingerprint that the input of a run is stored with, and `outline` is what `inspect::Outline::parse` reads.
    fn introduce(&self, shape: u64, outline: impl core::fmt::Display) {
        let _ = (shape, outline);
    }

    /// Takes hold of a run and reads which slots it has.
    ///
    /// # Errors
    /// [`Busy`](StoreErrorKind::Busy), [`UnknownRun`](StoreErrorKind::UnknownRun), [`Full`](StoreErrorKind::Full) or
    /// [`Unavailable`](StoreErrorKind::Unavailable).
    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>>;

    /// Deletes a run and all that it has; whether there was one.
    ///
    /// # Errors
    /// [`Busy`](StoreErrorKind::Busy) while somebody executes the run.
    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>>;
}

/// Exclusive access to one run of a [`Store`].
///
/// The futures do not borrow the session, so that several branches of a run can have a write under way at once.
pub trait Session {
    /// What a write waits for.
    type Writing: Future<Output = Result<(), StoreError>>;

    /// What a read waits for.
    type Reading: Future<Output = Result<Self::Bytes, StoreError>>;

    /// What a read yields.
    type Bytes: AsRef<[u8]>;

    /// Whether the run has no slot at all.
    fn is_new(&self) -> bool;

    /// Whether the run has this slot. Answered from what opening read and what was put since: it never waits.
    fn holds(&self, slot: Slot<'_>) -> bool;

    /// Calls `visit` with every slot that the run has, in any order.
    fn each_slot(&self, visit: impl FnMut(Slot<'_>));

    /// How many outputs of nodes the run has, iterations and elements not counted.
    fn outputs(&self) -> usize {
        let mut outputs = 0;
        self.each_slot(|slot| outputs += usize::from(slot.kind == SlotKind::Output && slot.instance == 0));
        outputs
    }

    /// Saves one slot, replacing what it had, and the ledger with it, in one atomic step. An empty `ledger` leaves the
    /// stored one as it is.
    ///
    /// Of several writes that are under way at once, the ledger stays of that which was asked for last, whichever ends first.
    ///
    /// The value is encoded before this returns. `slot.node` is a literal of the program, so it may be kept.
    ///
    /// # Errors
    /// [`TooLarge`](StoreErrorKind::TooLarge), [`Full`](StoreErrorKind::Full), [`Fenced`](StoreErrorKind::Fenced),
    /// [`Unserialisable`](StoreErrorKind::Unserialisable) or [`Unavailable`](StoreErrorKind::Unavailable).
    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing>;

    /// Saves the ledger alone, as [`put`](Self::put) does with a slot: where a run stops between two checkpoints, and
    /// before the calls of a node that reserves ahead.
    ///
    /// # Errors
    /// [`TooLarge`](StoreErrorKind::TooLarge), [`Fenced`](StoreErrorKind::Fenced) or
    /// [`Unavailable`](StoreErrorKind::Unavailable).
    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing>;

    /// Reads one slot: `read` is called with its bytes where they are at hand, else the future yields them.
    ///
    /// # Errors
    /// [`Missing`](StoreErrorKind::Missing) when the run does not have the slot, or
    /// [`Unavailable`](StoreErrorKind::Unavailable).
    fn load<R>(&mut self, slot: Slot<'_>, read: impl FnOnce(&[u8]) -> R)
    -> Begun<Result<R, StoreError>, Self::Reading>;

    /// The stored ledger, empty where none was stored.
    fn ledger(&self) -> &[u8];

    /// Removes every slot for which `doomed` says so, in one atomic step.
    ///
    /// # Errors
    /// [`Fenced`](StoreErrorKind::Fenced) or [`Unavailable`](StoreErrorKind::Unavailable).
    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing>;

    /// Says that the time for what the run does is over: a time-out or a deadline rang. What is under way is still waited for,
    /// so a store that tries again for long should fail it now in place of another try.
    fn hurry(&mut self) {}

    /// Says that the run came to its end: a store that makes room by itself may let go of it from now on.
    fn finished(&mut self) {}
}

/// What points to a store is that store.
macro_rules! pointer_to_store {
    ($(#[$docs:meta])* $pointer:ty) => {
        $(#[$docs])*
        #[diagnostic::do_not_recommend]
        impl<S: Store> Store for $pointer {
            type Session<'a>
                = S::Session<'a>
            where
                Self: 'a;
            type Opening<'a>
                = S::Opening<'a>
            where
                Self: 'a;
            type Forgetting<'a>
                = S::Forgetting<'a>
            where
                Self: 'a;

            fn slots_per_run(&self) -> Option<usize> {
                S::slots_per_run(self)
            }

            fn introduce(&self, shape: u64, outline: impl core::fmt::Display) {
                S::introduce(self, shape, outline);
            }

            #[inline(always)]
            fn open<'a>(
                &'a self,
                run: &RunId,
                access: Access,
            ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
                S::open(self, run, access)
            }

            fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
                S::forget(self, run)
            }
        }
    };
}

pointer_to_store! {
    /// A store that is shared: in a `static`, or between runners.
    ///
    /// ```
    /// # use stroma::{Runner, node, store::MemoryStore};
    /// # #[derive(Debug)] struct AppError;
    /// # impl stroma::Failure for AppError {}
    /// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
    /// static STORE: MemoryStore<4, 8, 64> = MemoryStore::new();
    ///
    /// let runner = Runner::new(node("double", double)).with_store(&STORE).build()?;
    /// # let _ = runner;
    /// # Ok::<(), stroma::BuildError>(())
    /// ```
    &S
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pointer_to_store! {
    /// A store that is shared by runners of which none outlives the others for certain.
    alloc::sync::Arc<S>
}
