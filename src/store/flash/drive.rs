//! The driver of a flash: one future per store, which whoever waits for something drives on.

use core::{convert::Infallible, future::Future, ops::Range};

use embedded_storage_async::nor_flash::NorFlash;
use sequential_storage::{
    cache::Cache,
    map::{MapConfig, MapStorage},
};

use super::{
    item::{self, FIRST, HEAD_MAX, KEY, STATE_MIN},
    nor::Worn,
    room::{FlashRoom, Shape},
    work::Work,
};

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
            Work::new(room, shape, map).go_on().await
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
