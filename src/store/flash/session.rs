//! A run in somebody's hands.

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    super::{
        Begun, Encode, LEDGER_MAX, Session, StoreError, StoreErrorKind,
        error::{full, missing},
        table::refused,
    },
    asking::{Asking, Driven, astray},
    futures::{FlashBytes, FlashReading, FlashWriting},
    index::{Finish, Hold, Kept, Label, too_long},
    item::{Entry, SLOT_MIN, STATE_MIN, gone_len},
    room::{Answer, Job, Stage},
};
use crate::slot::Slot;

/// Exclusive access to one run of a [`FlashStore`](super::FlashStore).
///
/// What it [`holds`](Session::holds) is what is in the flash: a write that is under way does not count yet.
pub struct FlashSession<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>
where
    D: Future<Output = Infallible> + Unpin,
{
    driven: &'a Driven<D, RUNS, SLOTS, BYTES>,
    hold: Hold,
    ledger: Ledger,
}

impl<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize> FlashSession<'a, D, RUNS, SLOTS, BYTES>
where
    D: Future<Output = Infallible> + Unpin,
{
    fn ask(&self, job: Job) -> Asking<'a, D, RUNS, SLOTS, BYTES> {
        self.driven.ask(Some(self.hold.at), job)
    }

    /// Counts one more write that is asked for.
    fn next(&self) -> Result<u32, StoreError> {
        let mut inner = self.driven.room.lock();
        let record = inner.index.held(self.hold)?;
        record.asked = record.asked.saturating_add(1);
        Ok(record.asked)
    }

    /// The longest ledger, which has to fit into an item of its own.
    fn ledger_max(&self) -> usize {
        self.driven.room.lock().shape.item.saturating_sub(STATE_MIN + gone_len(SLOTS)).min(LEDGER_MAX)
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
        let max = self.driven.room.lock().shape.item.saturating_sub(before);
        let mut bytes = [0; BYTES];
        let value_len = match bytes.get_mut(before..before + max) {
            Some(to) => value.encode(to).map_err(|error| refused(&value, error, max))?,
            None => {
                let len = value.encoded_len()?;
                return Err(StoreError::new(StoreErrorKind::TooLarge { len, max }));
            }
        };
        if self.driven.room.lock().index.held(self.hold)?.place(slot).is_none() {
            return Err(full(SLOTS, "slots"));
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
        let mut inner = self.driven.room.lock();
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
        self.driven.room.lock().index.release(self.hold);
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
        self.driven.room.lock().index.held(self.hold).map_or(true, |record| record.is_empty())
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.driven.room.lock().index.held(self.hold).is_ok_and(|record| record.live(slot).is_some())
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
            return Begun::Done(Err(missing()));
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
            let mut inner = self.driven.room.lock();
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
            self.driven.drive(&mut Context::from_waker(&recent));
        }
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

/// What [`FlashStore::open`](crate::store::Store::open) waits for.
///
/// Dropped half-way, the run is free for the next who asks.
#[must_use = "nothing happens until it is polled"]
pub struct FlashOpening<'a, D, const RUNS: usize, const SLOTS: usize, const BYTES: usize>(
    pub(super) Asking<'a, D, RUNS, SLOTS, BYTES>,
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
        let opened = ready!(self.0.poll(task, &[], |answer, bytes| match answer? {
            Answer::Opened(hold) => {
                ledger.set(bytes);
                Ok(hold)
            }
            _ => Err(astray()),
        }));
        Poll::Ready(opened.map(|hold| FlashSession { driven: self.0.driven, hold, ledger }))
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
