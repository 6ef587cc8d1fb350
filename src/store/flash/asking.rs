//! What the driver is asked to do, by those who then drive it on until it is done.

use core::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use spin::mutex::SpinMutex;

use super::{
    super::{StoreError, StoreErrorKind},
    room::{Answer, FlashRoom, Job, Stage},
};

/// A room, and the driver that has the flash for it.
pub(super) struct Driven<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    pub(super) room: &'static FlashRoom<RUNS, SLOTS, BYTES>,
    driver: SpinMutex<D>,
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Driven<D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    pub(super) const fn new(room: &'static FlashRoom<RUNS, SLOTS, BYTES>, driver: D) -> Self {
        Self { room, driver: SpinMutex::new(driver) }
    }

    pub(super) fn ask(&self, session: Option<usize>, job: Job) -> Asking<'_, D, RUNS, SLOTS, BYTES> {
        Asking { driven: self, session, ask: Ask::Wanted(job) }
    }

    /// Drives the driver on, unless somebody else does; whether it was done.
    pub(super) fn drive(&self, task: &mut Context<'_>) -> bool {
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

/// Something that the driver is asked to do.
pub(super) struct Asking<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>
where
    D: Future<Output = Infallible> + Unpin,
{
    pub(super) driven: &'a Driven<D, RUNS, SLOTS, BYTES>,
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
    pub(super) fn poll<T>(
        &mut self,
        task: &mut Context<'_>,
        send: &[u8],
        take: impl FnOnce(Result<Answer, StoreError>, &[u8]) -> Result<T, StoreError>,
    ) -> Poll<Result<T, StoreError>> {
        let room = self.driven.room;
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
        if self.driven.drive(task) {
            return true;
        }
        // Said before it is tried again: either this finds the driver free, or whoever has it finds this when done.
        self.driven.room.lock().contended = true;
        self.driven.drive(task)
    }
}

impl<D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Drop for Asking<'_, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn drop(&mut self) {
        if let Ask::Posted(ticket) = self.ask {
            self.driven.room.lock().give_up(ticket);
        }
        if !matches!(self.ask, Ask::Over) {
            // The flash may be about to wake this one, who would have driven the others' work on as well.
            self.driven.room.ring();
        }
    }
}

/// The error of an answer to another question.
#[cold]
pub(super) fn astray() -> StoreError {
    StoreError::with_detail(StoreErrorKind::Unavailable, "the driver gave no answer to this")
}
