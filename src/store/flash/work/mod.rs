//! What the driver does to the flash.

mod settle;
mod space;
mod state;

use core::{convert::Infallible, future, ops::Range};

use embedded_storage_async::nor_flash::NorFlash;
use sequential_storage::{
    cache::{Cache, Uncached},
    map::MapStorage,
};

use super::{
    super::{
        Access, StoreError, StoreErrorKind,
        error::{busy, full, missing, unknown},
    },
    fault::{fault, lost},
    index::{Finish, Hold, Kept, Label},
    item::{Entry, FIRST, FORMAT, HEAD, HEAD_MAX, Head, Key, SIGN, key},
    nor::Worn,
    room::{Answer, FlashRoom, Job, Shape, Task},
};
use crate::run::RunId;

pub(super) type Map<'r, F, const RUNS: usize, const SLOTS: usize, const BYTES: usize> =
    MapStorage<Key, Worn<'r, F, RUNS, SLOTS, BYTES>, Cache<Uncached, Uncached, Uncached, Key>>;

/// Some drivers of flash want what they write at a multiple of four.
#[repr(align(4))]
struct Aligned<const BYTES: usize>([u8; BYTES]);

/// The driver at work.
pub(super) struct Work<'r, F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    room: &'r FlashRoom<RUNS, SLOTS, BYTES>,
    shape: Shape,
    map: Map<'r, F, RUNS, SLOTS, BYTES>,
    /// Whether the index is what is in the flash.
    sound: bool,
    /// What sequential-storage works in.
    scratch: Aligned<BYTES>,
    /// Where a state is put together.
    spare: [u8; BYTES],
}

/// The ledger of a state that is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With<'b> {
    /// The one that it has.
    Kept,
    /// The run's, wherever it is stored.
    Moved,
    /// This one.
    New(u32, &'b [u8]),
}

impl<'r, F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Work<'r, F, RUNS, SLOTS, BYTES> {
    pub(super) fn new(
        room: &'r FlashRoom<RUNS, SLOTS, BYTES>,
        shape: Shape,
        map: Map<'r, F, RUNS, SLOTS, BYTES>,
    ) -> Self {
        Self { room, shape, map, sound: false, scratch: Aligned([0; BYTES]), spare: [0; BYTES] }
    }

    pub(super) async fn go_on(&mut self) -> Infallible {
        let room = self.room;
        let mut bytes = [0; BYTES];
        loop {
            match future::poll_fn(|_| room.lock().next(&mut bytes)).await {
                Task::Job { job, len } => {
                    let (answer, value) = self.job(job, &mut bytes, len).await;
                    let value = value.and_then(|value| bytes.get(value)).unwrap_or_default();
                    room.lock().answer(answer, value);
                    room.ring();
                }
                Task::Finish(at) => self.try_finish(at).await,
            }
        }
    }

    /// Does a job; where the answer comes with bytes, they are in `bytes`.
    async fn job(
        &mut self,
        job: Job,
        bytes: &mut [u8; BYTES],
        len: usize,
    ) -> (Result<Answer, StoreError>, Option<Range<usize>>) {
        if let Err(error) = self.settle().await {
            return (Err(error), None);
        }
        match job {
            Job::Open { run, access } => match self.open(run, access, bytes).await {
                Ok((hold, len)) => (Ok(Answer::Opened(hold)), Some(0..len)),
                Err(error) => (Err(error), None),
            },
            Job::Load { hold, label } => match self.load(hold, &label, bytes).await {
                Ok(len) => (Ok(Answer::Loaded), Some(0..len)),
                Err(error) => (Err(error), None),
            },
            Job::Flush => {
                while let Some(at) = self.room.lock().due() {
                    self.try_finish(at).await;
                }
                (Ok(Answer::Done), None)
            }
            Job::Forget { run } => (self.forget(run).await.map(Answer::Forgotten), None),
            Job::Put { hold, label, asked, ledger_number } => {
                let item = bytes.get_mut(..len).unwrap_or_default();
                (self.put(hold, label, asked, ledger_number, item).await.map(|()| Answer::Done), None)
            }
            Job::Ledger { hold, number } => {
                let ledger = bytes.get(..len).unwrap_or_default();
                (self.put_ledger(hold, number, ledger).await.map(|()| Answer::Done), None)
            }
            Job::Discard { hold, asked } => {
                let gone = bytes.get(..len).unwrap_or_default();
                (self.discard(hold, asked, gone).await.map(|()| Answer::Done), None)
            }
        }
    }

    /// Takes hold of a run; its ledger is in `bytes`, of the length that comes back.
    async fn open(&mut self, run: RunId, access: Access, bytes: &mut [u8; BYTES]) -> Result<(Hold, usize), StoreError> {
        let (begun, generation) = {
            let mut inner = self.room.lock();
            let index = &mut inner.index;
            match (index.find(&run), access) {
                (Some(at), _) if index.records.get(at).is_some_and(|record| record.excess) => {
                    return Err(full(SLOTS, "slots"));
                }
                (Some(at), _) => (Ok(index.hold(at)?), 0),
                (None, Access::Existing) => return Err(unknown()),
                (None, Access::Create) => {
                    index.generation = index.generation.saturating_add(1);
                    (Err(index.vacancy().ok_or_else(|| full(RUNS, "runs"))?), index.generation)
                }
            }
        };
        match begun {
            Ok(hold) => match self.ledger(hold.at).await {
                Ok(None) => Ok((hold, 0)),
                Ok(Some(ledger)) => {
                    // A ledger is shorter than an item, so there is room for it.
                    let Some(to) = bytes.get_mut(..ledger.len()) else { return Ok((hold, 0)) };
                    to.copy_from_slice(ledger);
                    Ok((hold, ledger.len()))
                }
                Err(error) => {
                    self.room.lock().index.release(hold);
                    Err(error)
                }
            },
            Err(at) => {
                // One item: it makes the run known, and what was at this place before is no more.
                self.make_room(HEAD_MAX).await?;
                self.head(at, Some(run), generation).await?;
                Ok((self.room.lock().index.hold(at)?, 0))
            }
        }
    }

    async fn forget(&mut self, run: RunId) -> Result<bool, StoreError> {
        let at = {
            let inner = self.room.lock();
            let Some(at) = inner.index.find(&run) else { return Ok(false) };
            if inner.index.records.get(at).is_some_and(|record| record.held) {
                return Err(busy(None));
            }
            at
        };
        self.free(at).await.map(|()| true)
    }

    /// Makes the place of a run free, in one item.
    async fn free(&mut self, at: usize) -> Result<(), StoreError> {
        let generation = self.room.lock().index.records.get(at).map_or(0, |record| record.generation);
        self.head(at, None, generation).await
    }

    async fn head(&mut self, at: usize, run: Option<RunId>, generation: u32) -> Result<(), StoreError> {
        let mut head = [0; HEAD_MAX];
        let erases = self.room.lock().wear.erases;
        let len = Head { generation, erases, run }.write(&mut head).unwrap_or_default();
        let head = head.get(..len).unwrap_or_default();
        self.store(key(at, HEAD), head).await?;
        let size = self.shape.size(len) as u32;
        if let Some(record) = self.room.lock().index.records.get_mut(at) {
            record.head_size = size;
            record.begin(run, generation);
        }
        Ok(())
    }

    async fn put(
        &mut self,
        hold: Hold,
        label: Label,
        asked: u32,
        ledger_number: u32,
        item: &mut [u8],
    ) -> Result<(), StoreError> {
        let (place, ledger_moves) = {
            let mut inner = self.room.lock();
            let record = inner.index.held(hold)?;
            let Some(place) = record.place(label.slot()) else {
                return Err(full(SLOTS, "slots"));
            };
            if let Some(cell) = record.cells.get(place)
                && cell.kept != Kept::Blank
                && cell.label.slot() == label.slot()
                && cell.asked > asked
            {
                // What was asked for later is there already, and its ledger with it.
                return Ok(());
            }
            let (newest, with) = record.ledger();
            (place, newest > ledger_number && with == Some(place))
        };
        if ledger_moves {
            // The run's ledger is stored with what is overwritten.
            self.state(hold.at, With::Moved, |_, _| false, 0).await?;
        }
        self.make_room(item.len()).await?;
        let (generation, number) = {
            let mut inner = self.room.lock();
            let record = inner.index.held(hold)?;
            (record.generation, record.number.saturating_add(1))
        };
        Entry::number(item, generation, number);
        self.store(key(hold.at, FIRST + place as u16), item).await?;
        let size = self.shape.size(item.len()) as u32;
        if let Some(record) = self.room.lock().index.records.get_mut(hold.at) {
            record.number = number;
            record.finish = Finish::No;
            if let Some(cell) = record.cells.get_mut(place) {
                cell.kept = Kept::Live;
                cell.label = label;
                cell.size = size;
                cell.asked = asked;
                cell.ledger_number = ledger_number;
            }
        }
        Ok(())
    }

    async fn put_ledger(&mut self, hold: Hold, number: u32, ledger: &[u8]) -> Result<(), StoreError> {
        if self.room.lock().index.held(hold)?.ledger().0 > number {
            return Ok(());
        }
        self.state(hold.at, With::New(number, ledger), |_, _| false, 0).await
    }

    async fn discard(&mut self, hold: Hold, asked: u32, gone: &[u8]) -> Result<(), StoreError> {
        self.room.lock().index.held(hold)?;
        let goes = |place: usize, since: u32| {
            since < asked && gone.get(place / 8).is_some_and(|bits| bits >> (place % 8) & 1 == 1)
        };
        self.state(hold.at, With::Kept, goes, 0).await?;
        if let Some(record) = self.room.lock().index.records.get_mut(hold.at) {
            for (place, cell) in record.cells.iter_mut().enumerate() {
                if cell.kept == Kept::Live && goes(place, cell.asked) {
                    cell.kept = Kept::Gone;
                    cell.asked = asked;
                }
            }
        }
        Ok(())
    }

    /// Notes in the flash that a run came to its end, if it can: nobody waits for that, and when the run is at its end again it is
    /// tried again.
    async fn try_finish(&mut self, at: usize) {
        if self.finish(at).await.is_err()
            && let Some(record) = self.room.lock().index.records.get_mut(at)
            && record.finish == Finish::Due
        {
            record.finish = Finish::No;
        }
    }

    /// Notes in the flash that a run came to its end.
    async fn finish(&mut self, at: usize) -> Result<(), StoreError> {
        self.settle().await?;
        let stamp = {
            let mut inner = self.room.lock();
            let index = &mut inner.index;
            index.clock = index.clock.saturating_add(1);
            index.clock
        };
        self.state(at, With::Kept, |_, _| false, stamp).await?;
        if let Some(record) = self.room.lock().index.records.get_mut(at) {
            record.finish = Finish::Kept;
            record.turn = stamp;
        }
        Ok(())
    }

    async fn load(&mut self, hold: Hold, label: &Label, bytes: &mut [u8; BYTES]) -> Result<usize, StoreError> {
        let (place, generation) = {
            let mut inner = self.room.lock();
            let record = inner.index.held(hold)?;
            let place = record.live(label.slot()).ok_or_else(missing)?;
            (place, record.generation)
        };
        let item = self.fetch(key(hold.at, FIRST + place as u16)).await?;
        let entry = Entry::read(item).filter(|entry| entry.generation == generation && entry.slot == label.slot());
        let value = entry.ok_or_else(lost)?.value;
        bytes.get_mut(..value.len()).ok_or_else(lost)?.copy_from_slice(value);
        Ok(value.len())
    }

    async fn fetch(&mut self, key: Key) -> Result<&[u8], StoreError> {
        let Self { map, scratch, sound, .. } = self;
        match map.fetch_item::<&[u8]>(&mut scratch.0, &key).await {
            Ok(Some(item)) => Ok(item),
            Ok(None) => Err(StoreError::new(StoreErrorKind::Gone)),
            Err(error) => {
                *sound = false;
                Err(fault(&error))
            }
        }
    }

    async fn store(&mut self, key: Key, item: &[u8]) -> Result<(), StoreError> {
        if self.room.lock().index.format_size == 0 {
            store(&mut self.map, &mut self.scratch.0, &mut self.sound, FORMAT, SIGN).await?;
            self.room.lock().index.format_size = self.shape.size(SIGN.len()) as u32;
        }
        store(&mut self.map, &mut self.scratch.0, &mut self.sound, key, item).await
    }
}

async fn store<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize>(
    map: &mut Map<'_, F, RUNS, SLOTS, BYTES>,
    scratch: &mut [u8; BYTES],
    sound: &mut bool,
    key: Key,
    item: &[u8],
) -> Result<(), StoreError> {
    // Not as a trait object, which would take `Send` from the future. When this fails, or is never gone on with, nobody knows
    // whether the item is in the flash.
    *sound = false;
    map.store_item_generic::<&[u8]>(scratch, &key, &item).await.map_err(|error| fault(&error))?;
    *sound = true;
    Ok(())
}
