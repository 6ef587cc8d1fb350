//! Checkpoints in a chip's NOR flash, without a heap.

mod drive;
mod fault;
mod index;
mod item;
mod nor;
mod pages;
mod room;

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

pub use drive::FlashError;
pub use room::{FlashRoom, FlashWear};
use spin::mutex::SpinMutex;

use self::{
    index::{Finish, Hold, Kept, Label, too_long},
    item::{Entry, SLOT_MIN, STATE_MIN, gone_len},
    room::{Answer, Job, Stage},
};
use super::{Access, Begun, Encode, LEDGER_MAX, Session, Store, StoreError, StoreErrorKind, table::refused};
use crate::{run::RunId, slot::Slot};

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
    room: &'static FlashRoom<RUNS, SLOTS, BYTES>,
    driver: SpinMutex<D>,
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> FlashStore<D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    /// The store of a room and its pinned driver.
    pub const fn new(room: &'static FlashRoom<RUNS, SLOTS, BYTES>, driver: D) -> Self {
        Self { room, driver: SpinMutex::new(driver) }
    }

    /// How much the flash has been used.
    pub fn wear(&self) -> FlashWear {
        self.room.lock().wear
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
        FlashFlushing(self.ask(None, Job::Flush))
    }

    fn ask(&self, session: Option<usize>, job: Job) -> Asking<'_, D, RUNS, SLOTS, BYTES> {
        Asking { store: self, session, ask: Ask::Wanted(job) }
    }

    /// Drives the driver on, unless somebody else does; whether it was done.
    fn drive(&self, task: &mut Context<'_>) -> bool {
        let Some(mut driver) = self.driver.try_lock() else { return false };
        match Pin::new(&mut *driver).poll(task) {
            Poll::Pending => {}
            Poll::Ready(never) => match never {},
        }
        drop(driver);
        let contended = core::mem::take(&mut self.room.lock().contended);
        if contended {
            self.room.ring();
        }
        true
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug for FlashStore<D, RUNS, SLOTS, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashStore").field("room", self.room).finish_non_exhaustive()
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
        Begun::Pending(FlashOpening(self.ask(None, Job::Open { run: *run, access })))
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        Begun::Pending(FlashForgetting(self.ask(None, Job::Forget { run: *run })))
    }
}

/// Something that the driver is asked to do.
struct Asking<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>
where
    D: Future<Output = Infallible> + Unpin,
{
    store: &'a FlashStore<D, RUNS, SLOTS, BYTES>,
    /// The position of the run in whose session it is asked.
    session: Option<usize>,
    ask: Ask,
}

enum Ask {
    Wanted(Job),
    Posted(u32),
    Over,
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Asking<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    /// Goes on with it; `take` is called with the answer and the bytes that come with it.
    fn poll<T>(
        &mut self,
        task: &mut Context<'_>,
        send: &[u8],
        take: impl FnOnce(Result<Answer, StoreError>, &[u8]) -> Result<T, StoreError>,
    ) -> Poll<Result<T, StoreError>> {
        let room = self.store.room;
        loop {
            let displaced = {
                let mut inner = room.lock();
                match core::mem::replace(&mut self.ask, Ask::Over) {
                    Ask::Over => return Poll::Pending,
                    Ask::Wanted(job) => self.ask = inner.post(job, send).map_or_else(Ask::Wanted, Ask::Posted),
                    Ask::Posted(ticket) => match core::mem::replace(&mut inner.desk.stage, Stage::Free) {
                        Stage::Answered(answer) => {
                            let taken = take(answer, inner.desk.bytes());
                            drop(inner);
                            room.ring();
                            return Poll::Ready(taken);
                        }
                        stage => {
                            inner.desk.stage = stage;
                            self.ask = Ask::Posted(ticket);
                        }
                    },
                }
                inner.wait(self.session, task.waker())
            };
            // Whoever has lost their place tries again.
            if let Some(displaced) = displaced {
                displaced.wake();
            }
            let driven = self.drive(task);
            let inner = room.lock();
            let goes_on = match (&self.ask, &inner.desk.stage) {
                (Ask::Wanted(_), Stage::Free) | (Ask::Posted(_), Stage::Answered(_)) => true,
                (Ask::Posted(_), Stage::Posted(_)) if driven && !inner.finishing => {
                    drop(inner);
                    let words = "the driver is that of another room";
                    return Poll::Ready(Err(StoreError::with_detail(StoreErrorKind::Unavailable, words)));
                }
                _ => false,
            };
            if !goes_on {
                return Poll::Pending;
            }
        }
    }

    fn drive(&self, task: &mut Context<'_>) -> bool {
        if self.store.drive(task) {
            return true;
        }
        // Said before it is tried again: either this finds the driver free, or whoever has it finds this when done.
        self.store.room.lock().contended = true;
        self.store.drive(task)
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Drop for Asking<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn drop(&mut self) {
        if let Ask::Posted(ticket) = self.ask {
            self.store.room.lock().give_up(ticket);
        }
        if !matches!(self.ask, Ask::Over) {
            // The flash may be about to wake this one, who would have driven the others' work on as well.
            self.store.room.ring();
        }
    }
}

/// A future that asks the driver, with what it makes of the answer.
macro_rules! asking_future {
    ($(#[$docs:meta])* $name:ident, $output:ty, $answer:pat => $taken:expr) => {
        $(#[$docs])*
        ///
        /// Dropped half-way, what it asked for happens wholly or not at all.
        #[must_use = "nothing happens until it is polled"]
        pub struct $name<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>(
            Asking<'a, D, RUNS, SLOTS, BYTES>,
        )
        where
            D: Future<Output = Infallible> + Unpin;

        impl<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Future for $name<'a, D, RUNS, SLOTS, BYTES>
        where
            D: Future<Output = Infallible> + Unpin,
        {
            type Output = Result<$output, StoreError>;

            fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(task, &[], |answer, _| match answer? {
                    $answer => Ok($taken),
                    _ => Err(astray()),
                })
            }
        }

        impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug for $name<'_, D, RUNS, SLOTS, BYTES>
        where
            D: Future<Output = Infallible> + Unpin,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

asking_future! {
    /// What [`FlashStore::forget`](Store::forget) waits for.
    FlashForgetting, bool, Answer::Forgotten(known) => known
}

asking_future! {
    /// What [`FlashStore::flush`] waits for.
    FlashFlushing, (), Answer::Done => ()
}

/// What [`FlashStore::open`](Store::open) waits for.
///
/// Dropped half-way, the run is free for the next who asks.
#[must_use = "nothing happens until it is polled"]
pub struct FlashOpening<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>(
    Asking<'a, D, RUNS, SLOTS, BYTES>,
)
where
    D: Future<Output = Infallible> + Unpin;

impl<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Future
    for FlashOpening<'a, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    type Output = Result<FlashSession<'a, D, RUNS, SLOTS, BYTES>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let mut ledger = Ledger::EMPTY;
        let opened = core::task::ready!(self.0.poll(task, &[], |answer, bytes| match answer? {
            Answer::Opened(hold) => {
                ledger.set(bytes);
                Ok(hold)
            }
            _ => Err(astray()),
        }));
        Poll::Ready(opened.map(|hold| FlashSession { store: self.0.store, hold, ledger }))
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug
    for FlashOpening<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashOpening").finish_non_exhaustive()
    }
}

/// What a write of a [`FlashSession`] waits for.
///
/// It carries what is to be written. Dropped half-way, that is in the flash wholly or not at all.
#[must_use = "nothing happens until it is polled"]
pub struct FlashWriting<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>
where
    D: Future<Output = Infallible> + Unpin,
{
    asking: Asking<'a, D, RUNS, SLOTS, BYTES>,
    len: usize,
    bytes: [u8; BYTES],
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Future for FlashWriting<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { asking, len, bytes } = &mut *self;
        asking.poll(task, bytes.get(..*len).unwrap_or_default(), |answer, _| answer.map(|_| ()))
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug
    for FlashWriting<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashWriting").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What a read of a [`FlashSession`] waits for.
#[must_use = "nothing happens until it is polled"]
pub struct FlashReading<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>(
    Asking<'a, D, RUNS, SLOTS, BYTES>,
)
where
    D: Future<Output = Infallible> + Unpin;

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Future for FlashReading<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    type Output = Result<FlashBytes<BYTES>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(task, &[], |answer, value| {
            answer?;
            let mut read = FlashBytes { len: value.len(), bytes: [0; BYTES] };
            read.bytes.get_mut(..value.len()).ok_or_else(astray)?.copy_from_slice(value);
            Ok(read)
        })
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug
    for FlashReading<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashReading").finish_non_exhaustive()
    }
}

/// A checkpoint that was read from the flash.
pub struct FlashBytes<const BYTES: usize> {
    len: usize,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> AsRef<[u8]> for FlashBytes<BYTES> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const BYTES: usize> fmt::Debug for FlashBytes<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FlashBytes").field(&self.as_ref()).finish()
    }
}

/// The ledger as the session knows it.
struct Ledger {
    len: usize,
    bytes: [u8; LEDGER_MAX],
}

impl Ledger {
    const EMPTY: Self = Self { len: 0, bytes: [0; LEDGER_MAX] };

    fn set(&mut self, ledger: &[u8]) {
        if let Some(to) = self.bytes.get_mut(..ledger.len()) {
            to.copy_from_slice(ledger);
            self.len = ledger.len();
        }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Exclusive access to one run of a [`FlashStore`].
///
/// What it [`holds`](Session::holds) is what is in the flash: a write that is under way does not count yet.
pub struct FlashSession<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>
where
    D: Future<Output = Infallible> + Unpin,
{
    store: &'a FlashStore<D, RUNS, SLOTS, BYTES>,
    hold: Hold,
    ledger: Ledger,
}

impl<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> FlashSession<'a, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn ask(&self, job: Job) -> Asking<'a, D, RUNS, SLOTS, BYTES> {
        self.store.ask(Some(self.hold.at), job)
    }

    /// Counts one more write that is asked for.
    fn next(&self) -> Result<u32, StoreError> {
        let mut inner = self.store.room.lock();
        let record = inner.index.held(self.hold)?;
        record.asked = record.asked.saturating_add(1);
        Ok(record.asked)
    }

    /// The longest ledger, which has to fit into an item of its own.
    fn ledger_max(&self) -> usize {
        self.store.room.lock().shape.item.saturating_sub(STATE_MIN + gone_len(SLOTS)).min(LEDGER_MAX)
    }

    fn begin_put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Result<FlashWriting<'a, D, RUNS, SLOTS, BYTES>, StoreError> {
        if ledger.len() > self.ledger_max() {
            return Err(too_long(ledger.len(), self.ledger_max()));
        }
        let label = Label::of(slot)?;
        let before = SLOT_MIN + slot.node.len() + ledger.len();
        let max = self.store.room.lock().shape.item.saturating_sub(before);
        let mut bytes = [0; BYTES];
        let value_len = match bytes.get_mut(before..before + max) {
            Some(to) => value.encode(to).map_err(|error| refused(&value, error, max))?,
            None => {
                let len = value.encoded_len()?;
                return Err(StoreError::new(StoreErrorKind::TooLarge { len, max }));
            }
        };
        if self.store.room.lock().index.held(self.hold)?.place(slot).is_none() {
            return Err(StoreError::new(StoreErrorKind::Full { room: SLOTS, of: "slots" }));
        }
        let asked = self.next()?;
        let ledger_number = if ledger.is_empty() { 0 } else { asked };
        Entry::write(slot, ledger_number, ledger, &mut bytes).ok_or_else(astray)?;
        if !ledger.is_empty() {
            self.ledger.set(ledger);
        }
        let asking = self.ask(Job::Put { hold: self.hold, label, asked, ledger_number });
        Ok(FlashWriting { asking, len: before + value_len, bytes })
    }

    fn begin_put_ledger(&mut self, ledger: &[u8]) -> Result<FlashWriting<'a, D, RUNS, SLOTS, BYTES>, StoreError> {
        let max = self.ledger_max();
        let mut bytes = [0; BYTES];
        match bytes.get_mut(..ledger.len()) {
            Some(to) if ledger.len() <= max => to.copy_from_slice(ledger),
            _ => return Err(too_long(ledger.len(), max)),
        }
        let number = self.next()?;
        self.ledger.set(ledger);
        let asking = self.ask(Job::Ledger { hold: self.hold, number });
        Ok(FlashWriting { asking, len: ledger.len(), bytes })
    }

    /// The key of what stands at this place of the run, or nothing when that is no checkpoint.
    fn label(&self, place: usize) -> Option<Label> {
        let mut inner = self.store.room.lock();
        let cell = inner.index.held(self.hold).ok()?.cells.get(place)?;
        (cell.kept == Kept::Live).then(|| cell.label.clone())
    }

    fn begin_discard(
        &mut self,
        mut doomed: impl FnMut(Slot<'_>) -> bool,
    ) -> Result<Option<FlashWriting<'a, D, RUNS, SLOTS, BYTES>>, StoreError> {
        let mut bytes = [0; BYTES];
        let mut any = false;
        // The lock is not held while somebody else's function is called.
        for place in 0..SLOTS {
            if self.label(place).is_some_and(|label| doomed(label.slot()))
                && let Some(bits) = bytes.get_mut(place / 8)
            {
                *bits |= 1 << (place % 8);
                any = true;
            }
        }
        let asked = self.next()?;
        let asking = self.ask(Job::Discard { hold: self.hold, asked });
        Ok(any.then_some(FlashWriting { asking, len: gone_len(SLOTS), bytes }))
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Drop for FlashSession<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn drop(&mut self) {
        self.store.room.lock().index.release(self.hold);
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug
    for FlashSession<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashSession").field("is_new", &self.is_new()).finish_non_exhaustive()
    }
}

impl<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Session
    for FlashSession<'a, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    type Writing = FlashWriting<'a, D, RUNS, SLOTS, BYTES>;
    type Reading = FlashReading<'a, D, RUNS, SLOTS, BYTES>;
    type Bytes = FlashBytes<BYTES>;

    fn is_new(&self) -> bool {
        self.store.room.lock().index.held(self.hold).map_or(true, |record| record.is_empty())
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.store.room.lock().index.held(self.hold).is_ok_and(|record| record.live(slot).is_some())
    }

    fn each_slot(&self, mut visit: impl FnMut(Slot<'_>)) {
        // The lock is not held while somebody else's function is called.
        for place in 0..SLOTS {
            if let Some(label) = self.label(place) {
                visit(label.slot());
            }
        }
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.begin_put(slot, value, ledger) {
            Ok(writing) => Begun::Pending(writing),
            Err(error) => Begun::Done(Err(error)),
        }
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.begin_put_ledger(ledger) {
            Ok(writing) => Begun::Pending(writing),
            Err(error) => Begun::Done(Err(error)),
        }
    }

    fn load<R>(&mut self, slot: Slot<'_>, _: impl FnOnce(&[u8]) -> R) -> Begun<Result<R, StoreError>, Self::Reading> {
        if !self.holds(slot) {
            return Begun::Done(Err(StoreError::new(StoreErrorKind::Missing)));
        }
        match Label::of(slot) {
            Ok(label) => Begun::Pending(FlashReading(self.ask(Job::Load { hold: self.hold, label }))),
            Err(error) => Begun::Done(Err(error)),
        }
    }

    fn ledger(&self) -> &[u8] {
        self.ledger.get()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.begin_discard(doomed) {
            Ok(Some(writing)) => Begun::Pending(writing),
            Ok(None) => Begun::Done(Ok(())),
            Err(error) => Begun::Done(Err(error)),
        }
    }

    fn finished(&mut self) {
        let recent = {
            let mut inner = self.store.room.lock();
            match inner.index.held(self.hold) {
                Ok(record) if record.finish == Finish::No && !record.is_empty() => record.finish = Finish::Due,
                _ => return,
            }
            match inner.desk.stage {
                // Nobody else is driving it on: this one can, up to where it has to wait. Some drivers of flash want a waker of
                // their executor's, and the last one that was seen is.
                Stage::Free => inner.recent.clone(),
                _ => None,
            }
        };
        if let Some(recent) = recent {
            self.store.drive(&mut Context::from_waker(&recent));
        }
    }
}

/// The error of an answer to another question.
#[cold]
fn astray() -> StoreError {
    StoreError::with_detail(StoreErrorKind::Unavailable, "the driver gave no answer to this")
}
