//! What is done to the flash: one future per store, which whoever waits for something drives on.

use core::{convert::Infallible, future, future::Future, ops::Range};

use embedded_storage_async::nor_flash::NorFlash;
use sequential_storage::{
    cache::{Cache, Uncached},
    map::{MapConfig, MapStorage},
};

use super::{
    super::{Access, LEDGER_MAX, StoreError, StoreErrorKind, table},
    fault::{fault, foreign, lost},
    index::{Finish, Hold, Kept, Label, too_long},
    item::{self, Entry, FIRST, FORMAT, HEAD, HEAD_MAX, Head, KEY, Key, SIGN, STATE, STATE_MIN, State, key},
    nor::Worn,
    pages::Pages,
    room::{Answer, FlashRoom, Inner, Job, Shape, Task},
};
use crate::run::RunId;

/// Why a range of a flash cannot be a store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// The range does not begin and end at a page, or is not within the flash.
    #[error("the range of the flash has to begin and end at a multiple of {page} bytes, and within its {capacity}")]
    Range {
        /// The bytes of a page: what is erased at once.
        page: usize,
        /// The bytes of the flash.
        capacity: usize,
    },
    /// The range has fewer than three pages: one is always kept blank, and one is copied when another is full.
    #[error("the range of the flash has to have three pages or more")]
    Pages,
    /// The flash has longer words than 32 bytes, or pages of fewer than a few words.
    #[error("this kind of flash is not supported: its words are too long or its pages too short; take another store")]
    Kind,
    /// The items of the store are too short for what has to fit into one.
    #[error("an item of this store has room for {bytes} bytes and needs {min}: make `BYTES` larger (or the page)")]
    Bytes {
        /// How many bytes fit into an item, in the room and in a page.
        bytes: usize,
        /// How many have to.
        min: usize,
    },
    /// The room has more runs or slots than can be numbered.
    #[error("a room has at most 65,535 runs and 65,533 slots: make it smaller")]
    Numbers,
    /// The room has a driver already.
    #[error("the room is the memory of another store, which has a driver: give each store one of its own")]
    InUse,
}

type Map<'r, F, const RUNS: usize, const SLOTS: usize, const BYTES: usize> =
    MapStorage<Key, Worn<'r, F, RUNS, SLOTS, BYTES>, Cache<Uncached, Uncached, Uncached, Key>>;

/// Some drivers of flash want what they write at a multiple of four.
#[repr(align(4))]
struct Aligned<const BYTES: usize>([u8; BYTES]);

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> FlashRoom<RUNS, SLOTS, BYTES> {
    /// What does the work on the flash, for [`FlashStore::new`](super::FlashStore::new): pin it, and keep it as long as the store.
    ///
    /// `range` is where in the flash the store is to be; it begins and ends at a page. Nothing is read or written yet.
    ///
    /// # Errors
    /// When the range does not fit the flash, an item not into the room or a page, or the room has a driver already.
    pub fn driver<F: NorFlash>(
        &'static self,
        flash: F,
        range: Range<u32>,
    ) -> Result<impl Future<Output = Infallible> + use<F, RUNS, SLOTS, BYTES>, FlashError> {
        let shape = Self::shape(&flash, &range)?;
        let config = MapConfig::try_new(range).map_err(|_| FlashError::Kind)?;
        {
            let mut inner = self.lock();
            if core::mem::replace(&mut inner.taken, true) {
                return Err(FlashError::InUse);
            }
            inner.begin(shape);
        }
        let taken = Taken(self);
        Ok(async move {
            // All of it is moved in here, not the reference alone.
            let taken = taken;
            let room = taken.0;
            let map = MapStorage::new(Worn::new(flash, room), config, Cache::new_uncached());
            let mut work = Work { room, shape, map, sound: false, scratch: Aligned([0; BYTES]), spare: [0; BYTES] };
            work.go_on().await
        })
    }

    fn shape<F: NorFlash>(flash: &F, range: &Range<u32>) -> Result<Shape, FlashError> {
        let (page, capacity) = (F::ERASE_SIZE, flash.capacity());
        if RUNS >= usize::from(u16::MAX) || SLOTS > usize::from(u16::MAX - FIRST) {
            return Err(FlashError::Numbers);
        }
        let whole = |at: u32| (at as usize).is_multiple_of(page);
        if range.start > range.end || range.end as usize > capacity || !whole(range.start) || !whole(range.end) {
            return Err(FlashError::Range { page, capacity });
        }
        let word = F::WRITE_SIZE.max(F::READ_SIZE);
        let pages = (range.end - range.start) as usize / page;
        if pages < 3 {
            return Err(FlashError::Pages);
        }
        // Of a page, a word at either end is a mark; of an item, the front.
        let room = page.saturating_sub(2 * word + 8_usize.next_multiple_of(word)).min(BYTES) / word * word;
        let item = room.min(usize::from(u16::MAX)).saturating_sub(KEY);
        let min = HEAD_MAX.max(STATE_MIN + item::gone_len(SLOTS));
        if item < min {
            return Err(FlashError::Bytes { bytes: item, min });
        }
        Ok(Shape { word, pages, page: page - 2 * word, item })
    }
}

/// Gives the room back with the driver.
struct Taken<const RUNS: usize, const SLOTS: usize, const BYTES: usize>(&'static FlashRoom<RUNS, SLOTS, BYTES>);

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> Drop for Taken<RUNS, SLOTS, BYTES> {
    fn drop(&mut self) {
        self.0.lock().taken = false;
    }
}

/// The driver at work.
struct Work<'r, F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
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

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Work<'_, F, RUNS, SLOTS, BYTES> {
    async fn go_on(&mut self) -> Infallible {
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

    /// Makes the index what is in the flash, if it is not.
    async fn settle(&mut self) -> Result<(), StoreError> {
        if !self.sound {
            let range = self.map.flash_range();
            Pages::new(self.map.flash(), &range).mend(&mut self.scratch.0, &mut self.spare).await?;
            self.read_runs().await?;
            self.read_slots().await?;
            self.room.lock().settled();
            self.sound = true;
        }
        Ok(())
    }

    /// The first time through: which runs there are.
    async fn read_runs(&mut self) -> Result<(), StoreError> {
        let Self { room, map, scratch, shape, .. } = self;
        {
            let mut inner = room.lock();
            inner.index.format_size = 0;
            inner.index.records.iter_mut().for_each(super::index::Record::unread);
        }
        let mut others = false;
        let mut items = map.fetch_all_items(&mut scratch.0).await.map_err(|error| fault(&error))?;
        loop {
            let next = items.next::<&[u8]>(&mut scratch.0).await.map_err(|error| fault(&error))?;
            let Some((key, item)) = next else { break };
            let mut inner = room.lock();
            let Inner { index, wear, .. } = &mut *inner;
            if key == FORMAT {
                index.format_size = shape.size(item.len()) as u32;
                continue;
            }
            others = true;
            let (at, place) = item::split(key);
            if place == HEAD {
                let head = Head::read(item).ok_or_else(|| foreign("a run's head is malformed"))?;
                index.generation = index.generation.max(head.generation);
                wear.erases = wear.erases.max(head.erases);
                match index.records.get_mut(at) {
                    Some(record) => {
                        record.run = head.run;
                        record.generation = head.generation;
                        record.head_size = shape.size(item.len()) as u32;
                    }
                    None if head.run.is_some() => return Err(foreign("it has more runs than the room")),
                    None => {}
                }
            }
        }
        match room.lock().index.format_size {
            0 if others => Err(foreign("another map is in this flash")),
            _ => Ok(()),
        }
    }

    /// The second time: their states, and the third: their slots.
    async fn read_slots(&mut self) -> Result<(), StoreError> {
        let Self { room, map, scratch, shape, .. } = self;
        for states in [true, false] {
            let mut items = map.fetch_all_items(&mut scratch.0).await.map_err(|error| fault(&error))?;
            loop {
                let next = items.next::<&[u8]>(&mut scratch.0).await.map_err(|error| fault(&error))?;
                let Some((key, item)) = next else { break };
                let (at, place) = item::split(key);
                let mut inner = room.lock();
                if key == FORMAT || place == HEAD || (place == STATE) != states {
                    continue;
                }
                let Some(record) = inner.index.records.get_mut(at) else { continue };
                let size = shape.size(item.len()) as u32;
                if states {
                    record.state_size = size;
                    let state = State::read(item).ok_or_else(|| foreign("a run's state is malformed"))?;
                    if state.generation == record.generation {
                        record.read_state(&state);
                    }
                    continue;
                }
                record.read_slot(usize::from(place - FIRST), item, size)?;
            }
        }
        Ok(())
    }

    /// Takes hold of a run; its ledger is in `bytes`, of the length that comes back.
    async fn open(&mut self, run: RunId, access: Access, bytes: &mut [u8; BYTES]) -> Result<(Hold, usize), StoreError> {
        let (begun, generation) = {
            let mut inner = self.room.lock();
            let index = &mut inner.index;
            match (index.find(&run), access) {
                (Some(at), _) if index.records.get(at).is_some_and(|record| record.excess) => {
                    return Err(StoreError::new(StoreErrorKind::Full { room: SLOTS, of: "slots" }));
                }
                (Some(at), _) => (Ok(index.hold(at)?), 0),
                (None, Access::Existing) => return Err(table::unknown()),
                (None, Access::Create) => {
                    index.generation = index.generation.saturating_add(1);
                    (Err(index.vacancy().ok_or_else(|| table::full(RUNS))?), index.generation)
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
                return Err(table::busy());
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
                return Err(StoreError::new(StoreErrorKind::Full { room: SLOTS, of: "slots" }));
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
            let place = record.live(label.slot()).ok_or_else(|| StoreError::new(StoreErrorKind::Missing))?;
            (place, record.generation)
        };
        let item = self.fetch(key(hold.at, FIRST + place as u16)).await?;
        let entry = Entry::read(item).filter(|entry| entry.generation == generation && entry.slot == label.slot());
        let value = entry.ok_or_else(lost)?.value;
        bytes.get_mut(..value.len()).ok_or_else(lost)?.copy_from_slice(value);
        Ok(value.len())
    }

    /// Writes the state of a run: what is gone from now on, its ledger, and whether it came to its end.
    async fn state(
        &mut self,
        at: usize,
        with: With<'_>,
        goes: impl Fn(usize, u32) -> bool,
        finished: u32,
    ) -> Result<(), StoreError> {
        let (number, generation, (newest, place)) = {
            let inner = self.room.lock();
            let Some(record) = inner.index.records.get(at) else { return Ok(()) };
            (record.number.saturating_add(1), record.generation, record.ledger())
        };
        // A ledger that is stored with a slot stays there, unless that is about to be overwritten.
        let carried = newest > 0 && (place.is_none() || with == With::Moved);
        let ledger_len = match with {
            With::New(_, ledger) => ledger.len(),
            _ if carried => self.ledger(at).await?.map_or(0, <[u8]>::len),
            _ => 0,
        };
        let len = STATE_MIN + item::gone_len(SLOTS) + ledger_len;
        self.make_room(len).await?;
        let mut ledger_number = 0;
        let mut ledger = [0; LEDGER_MAX];
        let ledger = match with {
            With::New(number, ledger) => {
                ledger_number = number;
                ledger
            }
            _ if carried => {
                ledger_number = newest;
                let kept = self.ledger(at).await?.unwrap_or_default();
                let to = ledger.get_mut(..kept.len()).ok_or_else(lost)?;
                to.copy_from_slice(kept);
                to
            }
            _ => &[],
        };
        let len = {
            let inner = self.room.lock();
            let Some(record) = inner.index.records.get(at) else { return Ok(()) };
            let (gone, rest) = self.spare.split_at_mut_checked(item::gone_len(SLOTS)).ok_or_else(lost)?;
            gone.fill(0);
            for (place, cell) in record.cells.iter().enumerate() {
                if (cell.kept != Kept::Live || goes(place, cell.asked))
                    && let Some(bits) = gone.get_mut(place / 8)
                {
                    *bits |= 1 << (place % 8);
                }
            }
            State { generation, number, finished, ledger_number, gone, ledger }
                .write(rest)
                .ok_or_else(|| too_long(ledger.len(), self.shape.item - STATE_MIN - item::gone_len(SLOTS)))?
        };
        let gone_len = item::gone_len(SLOTS);
        let Self { map, scratch, spare, .. } = self;
        let item = spare.get(gone_len..gone_len + len).unwrap_or_default();
        store(map, &mut scratch.0, &mut self.sound, key(at, STATE), item).await?;
        let size = self.shape.size(len) as u32;
        if let Some(record) = self.room.lock().index.records.get_mut(at) {
            record.number = number;
            record.state_size = size;
            record.state_ledger = ledger_number;
            record.finish = Finish::No;
        }
        Ok(())
    }

    /// The ledger of a run, wherever it is stored.
    async fn ledger(&mut self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        let place = {
            let inner = self.room.lock();
            match inner.index.records.get(at).map(super::index::Record::ledger) {
                None | Some((0, _)) => return Ok(None),
                Some((_, place)) => place,
            }
        };
        let ledger = match place {
            None => State::read(self.fetch(key(at, STATE)).await?).map(|state| state.ledger),
            Some(place) => Entry::read(self.fetch(key(at, FIRST + place as u16)).await?).map(|entry| entry.ledger),
        };
        ledger.ok_or_else(lost).map(Some)
    }

    /// Sees to it that an item of this length finds room, and that after it there still is some to forget a run in.
    async fn make_room(&mut self, len: usize) -> Result<(), StoreError> {
        let need = self.shape.size(len) as u64;
        // One page is always blank. Of the others, one at least has room for an item when on average they have: page for page,
        // what does not count is left behind.
        let least = need.max(self.shape.size(HEAD_MAX) as u64);
        let all = (self.shape.pages as u64 - 1) * (self.shape.page as u64).saturating_sub(least);
        loop {
            let (taken, gone) = {
                let inner = self.room.lock();
                (inner.index.size(), self.largest_gone(&inner.index.records))
            };
            if taken + need <= all {
                return Ok(());
            }
            if let Some((at, place)) = gone {
                self.store(key(at, FIRST + place as u16), &[]).await?;
                let size = self.shape.size(0) as u32;
                if let Some(record) = self.room.lock().index.records.get_mut(at)
                    && let Some(cell) = record.cells.get_mut(place)
                {
                    cell.size = size;
                }
                continue;
            }
            let oldest = self.room.lock().index.oldest();
            let Some(oldest) = oldest else {
                let words = format_args!("{taken} of {all} bytes are taken, {need} more asked");
                return Err(StoreError::with_detail(StoreErrorKind::Exhausted, words));
            };
            self.free(oldest).await?;
        }
    }

    /// The largest item that does not count any more, unless it is as small as what would take its place.
    fn largest_gone(&self, records: &[super::index::Record<SLOTS>]) -> Option<(usize, usize)> {
        let least = self.shape.size(0) as u32;
        let cells = records.iter().enumerate().flat_map(|(at, record)| {
            let holds_ledger = record.ledger().1;
            record.cells.iter().enumerate().map(move |(place, cell)| (at, place, cell, holds_ledger))
        });
        cells
            .filter(|(_, place, cell, ledger)| cell.kept == Kept::Gone && cell.size > least && *ledger != Some(*place))
            .max_by_key(|(_, _, cell, _)| cell.size)
            .map(|(at, place, _, _)| (at, place))
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
