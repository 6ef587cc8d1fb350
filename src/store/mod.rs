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
mod durable;
#[cfg(feature = "flash")]
mod flash;
#[cfg(feature = "alloc")]
mod heap;
#[cfg(any(feature = "redb", feature = "redis"))]
pub mod inspect;
mod memory;
#[cfg(feature = "redis")]
mod owned;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
mod table;
mod wary;

use core::{future::Future, time::Duration};

#[cfg(feature = "alloc")]
pub use codec::round_trip;
pub use codec::{CheckpointError, CheckpointFault, FORMAT_VERSION, Payload, decode, encode, encoded_len};
pub(crate) use codec::{Value, check_input, decode_input, decode_value, input_fingerprint};
pub(crate) use durable::Hold;
#[cfg(feature = "json")]
pub use durable::ReplayFault;
pub use durable::{
    Durability, Durable, Faulted, Held, LoadUnderWay, NoStore, NodeName, Nothing, Open, Persist, SaveUnderWay,
    StoreFault,
};
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
    text::Words,
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

/// Why a value did not get into a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is shorter than the value.
    #[error("the buffer is shorter than the encoded value: `encoded_len` says how long that is")]
    NoRoom,
    /// The value's own `Serialize` refused, or postcard has no form for it.
    #[error(
        "postcard has no form for the value, or its own `Serialize` refuses: a length has to be known (no `flatten`)"
    )]
    Unserialisable,
    /// The value does not come back from its bytes as it was; found in debug builds only.
    #[error(
        "the value does not come back from its bytes as it was: postcard needs every field serialised (no `skip`, no \
         `untagged` or internally tagged enum)"
    )]
    NotFaithful,
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
    note = "`HeapStore::new()` and `MemoryStore` keep them in memory, `RedbStore::open(path)` in a file, \
            `RedisStore::new(url, ttl)` on a server, `FlashStore` in a chip's flash"
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
impl<S: Store> Store for &S {
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

/// A store that is shared by runners of which none outlives the others for certain.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
impl<S: Store> Store for alloc::sync::Arc<S> {
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

/// What a store could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: Words,
}

impl StoreError {
    /// An error of this kind.
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, detail: Words::none() }
    }

    /// An error of this kind with the words of whatever is underneath. Without a heap, more than 40 bytes of them are cut.
    pub fn with_detail(kind: StoreErrorKind, detail: impl core::fmt::Display) -> Self {
        Self { kind, detail: Words::of(detail) }
    }

    /// What kind of error it is.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The words of whatever is underneath, or nothing.
    pub fn detail(&self) -> &str {
        self.detail.as_str()
    }
}

impl From<EncodeError> for StoreError {
    #[cold]
    fn from(error: EncodeError) -> Self {
        Self::with_detail(StoreErrorKind::Unserialisable, error)
    }
}

impl core::fmt::Display for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.kind, f)?;
        if !self.detail().is_empty() {
            write!(f, " ({})", self.detail())?;
        }
        Ok(())
    }
}

impl core::error::Error for StoreError {}

/// The kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Somebody else executes the run.
    #[error("somebody else is executing this run: wait for it to end, then call again with the same id")]
    Busy {
        /// How long until its lease runs out if it is not renewed, where the store knows.
        until: Option<Duration>,
    },
    /// The session lost its run to somebody else.
    #[error("this session lost the run to another holder: nothing was written; open the run again")]
    Fenced,
    /// The store does not know the run.
    #[error("the store has no run of this id: start it with `run_as` and its input")]
    UnknownRun,
    /// The run does not have the slot.
    #[error("the run has no such checkpoint: `holds` says which it has")]
    Missing,
    /// There is no room for another run or slot.
    #[error("the store is full: it has room for {room} {of}; `forget` what is done with, or make it larger")]
    Full {
        /// How many there is room for.
        room: usize,
        /// Of what: `runs` or `slots`.
        of: &'static str,
    },
    /// The value does not fit.
    #[error(
        "the checkpoint takes {len} bytes and a slot of this store holds {max}: make the slots larger, or \
         `.skip_checkpoint()` on the node"
    )]
    TooLarge {
        /// How many bytes it takes.
        len: usize,
        /// How many bytes a slot holds.
        max: usize,
    },
    /// The value cannot be serialised.
    #[error("the value cannot be serialised: try it with `testing::round_trip`")]
    Unserialisable,
    /// The store does not let this program in, or not do this.
    #[error("the store refuses this program: see that its credentials and permissions are right, then resume the run")]
    Denied,
    /// There is no room left underneath: a disk is full, or a server's memory.
    #[error("there is no room left underneath the store: make room, then resume the run")]
    Exhausted,
    /// Something that no store wrote is where the run's data would be, or data of another version.
    #[error(
        "what is stored where the run's data would be is not of this store: move it, or give the store another place"
    )]
    Foreign,
    /// The run's data disappeared while the session held it: it expired, was evicted, or was lost with a server's memory.
    #[error("the data of the run is gone from the store: begin it again with `run_as` and its input")]
    Gone,
    /// The store cannot be reached or failed underneath; trying again later may help.
    #[error("the store failed underneath: see that it is reachable and has room, then resume the run")]
    Unavailable,
}
