//! Checkpoints in a chip's NOR flash, without a heap.

mod asking;
mod drive;
mod fault;
mod futures;
mod index;
mod item;
mod nor;
mod pages;
mod room;
mod session;
mod work;

use core::{convert::Infallible, fmt, future::Future};

pub use drive::FlashError;
pub use futures::{FlashBytes, FlashFlushing, FlashForgetting, FlashReading, FlashWriting};
pub use room::{FlashRoom, FlashWear};
pub use session::{FlashOpening, FlashSession};

use self::{asking::Driven, room::Job};
use super::{Access, Begun, Store, StoreError};
#[cfg(doc)]
use super::{Session, StoreErrorKind};
use crate::run::RunId;

/// Checkpoints in NOR flash: for a device that is switched off at any moment, and has no heap.
///
/// It has three parts. A [`FlashRoom`] is its memory, and belongs into a `static`. The room's [`driver`](FlashRoom::driver)
/// is a future that has the flash and does the work on it; it is pinned where it is made. The store has both, and whoever
/// waits for something of the store drives the driver on: there is no task to spawn.
///
/// ```
/// use core::{ops::Range, pin::pin};
///
/// use embedded_storage_async::nor_flash::NorFlash;
/// use stroma::{
///     RunId, Runner, node,
///     store::{FlashRoom, FlashStore},
/// };
/// # #[derive(Debug)] struct AppError;
/// # impl stroma::Failure for AppError {}
/// # async fn sample(_: u32) -> Result<u16, AppError> { Ok(1) }
/// # async fn send(_: u16) -> Result<(), AppError> { Ok(()) }
///
/// /// Room for 4 runs of 3 slots, with items of up to 128 bytes.
/// static ROOM: FlashRoom<4, 3, 128> = FlashRoom::new();
///
/// async fn measure(flash: impl NorFlash, range: Range<u32>, count: u128) -> Option<()> {
///     let driver = pin!(ROOM.driver(flash, range).ok()?);
///     let store = FlashStore::new(&ROOM, driver);
///     let runner = Runner::new(node("sample", sample).then(node("send", send))).with_store(&store).build().ok()?;
///     // After a reset: goes on where the run was, or begins it.
///     runner.run_as(RunId::from_u128(count), 7).await.ok()?;
///     let (_, most) = store.wear().erases_per_page();
///     (most < 10_000).then_some(())
/// }
/// ```
///
/// On another thread, or in a task of an executor that wants `'static`, the driver goes into a box:
/// `FlashStore::new(&ROOM, Box::pin(ROOM.driver(flash, range)?))`. The store is `Send` and `Sync` when the driver is `Send`,
/// and the driver is when the flash and its futures are.
///
/// # What survives
/// A [`put`](Session::put) that reported success is in the flash, whatever happens to the power from then on. Each put is one
/// item of sequential-storage's map, with the value, the run's ledger and a checksum in it, and such an item is there wholly or
/// not at all. A [`discard`](Session::discard) is one item that says of all slots whether they are gone; to forget a run
/// and to begin one is one item each. After a reset the flash alone says which runs there are, and nobody has any of
/// them: a flash has one program, so there is no lease that has to run out.
///
/// What an erase leaves behind that the power failed in may be anything at all, and of a word that was being written any bits.
///
/// A future of the store that is dropped half-way cuts nothing off. What had not begun yet does not happen; what had is
/// gone on with by the next operation, whichever that is.
///
/// # What it forgets
/// When all `RUNS` places are taken and a new run begins, the store lets go of the finished run that was used longest ago. It
/// does the same when the flash has no room for a checkpoint. It never lets go of a run that is not finished: `forget` it,
/// or [`open`](Store::open) says [`Full`](StoreErrorKind::Full) and a write [`Exhausted`](StoreErrorKind::Exhausted). There
/// is always room to forget a run.
///
/// # How much flash
/// What there can be to keep is `RUNS * ((SLOTS + 1) * (BYTES + 12) + 100)` bytes. A page takes its size less `BYTES` of that in
/// the worst case, and one page is always blank; with fewer pages than that makes, the store is full when what is really there
/// does not fit. There have to be three. More flash makes for fewer erases: whenever a page is full the oldest is erased, and
/// what counts of it is written once more.
///
/// A checkpoint writes one item: 34 bytes, the id of its node, the [encoded](super::encode) value and the ledger, rounded up to
/// words.
///
/// The range has to be erased before the store is opened for the first time. What else is found there is
/// [`Foreign`](StoreErrorKind::Foreign), and left as it is.
///
/// # Locks
/// Every operation takes a lock of the room for a few dozen instructions, or for the copy of one item. Do none of them in an
/// interrupt handler, or in a task that interrupts others, if what it interrupts may be doing the same: the lock would never
/// be given back. While the flash is at work no lock is waited for: who finds the driver driven on by another thread is
/// woken when it is free.
///
/// A future of the store that was polled and then is neither polled again nor dropped keeps the others waiting.
pub struct FlashStore<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    driven: Driven<D, RUNS, SLOTS, BYTES>,
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> FlashStore<D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    /// The store of a room and its pinned driver.
    pub const fn new(room: &'static FlashRoom<RUNS, SLOTS, BYTES>, driver: D) -> Self {
        Self { driven: Driven::new(room, driver) }
    }

    /// How much the flash has been used.
    pub fn wear(&self) -> FlashWear {
        self.driven.room.lock().wear
    }

    /// Waits until all is in the flash that is to be: call it before the power goes, if there is a moment left.
    ///
    /// Only that a run came to its end can still be on its way, and only where the flash is one that waits. Without it such a
    /// run counts as one that stopped short until it is gone on with, and is not made room of.
    ///
    /// # Errors
    /// When the flash cannot be read.
    ///
    /// # Cancel safety
    /// What was begun is gone on with by the next operation.
    ///
    /// ```
    /// # use core::convert::Infallible;
    /// # use stroma::store::{FlashStore, StoreError};
    /// # async fn f<D>(store: &FlashStore<D, 4, 8, 128>) -> Result<(), StoreError>
    /// # where D: Future<Output = Infallible> + Unpin {
    /// store.flush().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn flush(&self) -> FlashFlushing<'_, D, RUNS, SLOTS, BYTES> {
        FlashFlushing(self.driven.ask(None, Job::Flush))
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug for FlashStore<D, RUNS, SLOTS, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashStore").field("room", self.driven.room).finish_non_exhaustive()
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Store for FlashStore<D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    type Session<'a>
        = FlashSession<'a, D, RUNS, SLOTS, BYTES>
    where
        Self: 'a;
    type Opening<'a>
        = FlashOpening<'a, D, RUNS, SLOTS, BYTES>
    where
        Self: 'a;
    type Forgetting<'a>
        = FlashForgetting<'a, D, RUNS, SLOTS, BYTES>
    where
        Self: 'a;

    fn slots_per_run(&self) -> Option<usize> {
        Some(SLOTS)
    }

    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        Begun::Pending(FlashOpening(self.driven.ask(None, Job::Open { run: *run, access })))
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        Begun::Pending(FlashForgetting(self.driven.ask(None, Job::Forget { run: *run })))
    }
}
