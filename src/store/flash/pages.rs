//! What an erase leaves behind that the power failed in.
//!
//! The map in the flash is a ring of pages. It is written at one of them, the one after that is blank, and the oldest comes next.
//! When a page is full, what counts of the oldest is copied to the blank one, and the oldest is erased. If the power fails in
//! that erase, anything may be left in the page, marks included. sequential-storage takes a page whose marks are still there for
//! one that was not copied yet, drops the copies and copies what is left of it. So that is looked after before.

use core::ops::Range;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use sequential_storage::{
    cache::{Cache, Uncached},
    map::{MapConfig, MapStorage},
};

use super::{
    super::StoreError,
    fault::{fault, foreign, unreadable},
    item::{FORMAT, Key, SIGN},
};

/// The longest word.
const WORD_MAX: usize = 32;

/// One page of a flash, as if it were all there is: the first of two, the second of which is blank, with the marks of a page
/// that is written at.
struct Page<'f, F> {
    flash: &'f mut F,
    at: u32,
}

impl<F: NorFlash> Page<'_, F> {
    const WORD: usize = if F::WRITE_SIZE > F::READ_SIZE { F::WRITE_SIZE } else { F::READ_SIZE };
}

impl<F: NorFlash> ErrorType for Page<'_, F> {
    type Error = F::Error;
}

impl<F: NorFlash> ReadNorFlash for Page<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        let from = offset as usize;
        if from + bytes.len() > F::ERASE_SIZE {
            bytes.fill(0xff);
            return Ok(());
        }
        self.flash.read(self.at + offset, bytes).await?;
        for (at, byte) in (from..).zip(bytes) {
            if at < Self::WORD {
                *byte = 0;
            } else if at >= F::ERASE_SIZE - Self::WORD {
                *byte = 0xff;
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        2 * F::ERASE_SIZE
    }
}

/// Nothing is written here: there is nothing to repair in such a flash.
impl<F: NorFlash> NorFlash for Page<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, _: u32, _: u32) -> Result<(), F::Error> {
        Ok(())
    }

    async fn write(&mut self, _: u32, _: &[u8]) -> Result<(), F::Error> {
        Ok(())
    }
}

/// The marks of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Blank,
    /// It is the one that is written at.
    Begun,
    Full,
    /// Only the second mark is there.
    Torn,
}

/// The pages of a store.
pub(super) struct Pages<'f, F> {
    flash: &'f mut F,
    start: u32,
    count: usize,
}

impl<'f, F: NorFlash> Pages<'f, F> {
    pub(super) fn new(flash: &'f mut F, range: &Range<u32>) -> Self {
        let count = (range.end - range.start) as usize / F::ERASE_SIZE;
        Self { flash, start: range.start, count }
    }

    /// Makes of what the power left what sequential-storage can go on with, or says that this is not a store's flash and leaves it
    /// alone.
    pub(super) async fn mend(&mut self, scratch: &mut [u8], spare: &mut [u8]) -> Result<(), StoreError> {
        if !self.is_ours(scratch).await? {
            return self.mend_fresh(scratch).await;
        }
        for page in 0..self.count {
            if self.mark(page).await? == Mark::Torn {
                self.erase(page).await?;
            }
        }
        // At most one page was being erased, and its repair may have been cut off as well.
        for _ in 0..self.count {
            if !self.mend_one(scratch, spare).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether there was something to mend.
    async fn mend_one(&mut self, scratch: &mut [u8], spare: &mut [u8]) -> Result<bool, StoreError> {
        let mut all_full = true;
        for page in 0..self.count {
            let mark = self.mark(page).await?;
            all_full &= mark == Mark::Full;
            if mark != Mark::Begun || self.mark(self.before(page)).await? == Mark::Begun {
                continue;
            }
            let next = self.after(page);
            if self.mark(next).await? == Mark::Blank {
                continue;
            }
            // The oldest page is to be blank by now. Whatever counts of it is in newer pages, or else its erase had not begun.
            if self.is_superseded(next, scratch).await? {
                self.erase(next).await?;
                return Ok(true);
            }
        }
        if !all_full {
            return Ok(false);
        }
        // The power failed when the copies in the page that was written at were about to be made again. It is the one that has
        // nothing but copies of what is in the page after it.
        for page in 0..self.count {
            if self.is_copy(page, scratch, spare).await? {
                self.erase(page).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the item that names the store is in some page.
    async fn is_ours(&mut self, scratch: &mut [u8]) -> Result<bool, StoreError> {
        for page in 0..self.count {
            match self.find(page, FORMAT, scratch).await? {
                Some(sign) if sign == SIGN => return Ok(true),
                Some(_) => return Err(foreign("of another version")),
                None => {}
            }
        }
        Ok(false)
    }

    /// A flash without the item that names the store is blank, but for what the power left of that item when it was written, or
    /// of the page when that was erased again: many chips write zeros before they erase.
    async fn mend_fresh(&mut self, scratch: &mut [u8]) -> Result<(), StoreError> {
        let mut last = None;
        let mut says_nothing = true;
        for page in 0..self.count {
            let mut at = 0;
            while at < F::ERASE_SIZE {
                let len = (WORD_MAX / F::READ_SIZE * F::READ_SIZE).min(F::ERASE_SIZE - at);
                let Some(chunk) = scratch.get_mut(..len) else { break };
                self.flash.read(self.address(page) + at as u32, chunk).await.map_err(|error| unreadable(&error))?;
                says_nothing &= chunk.iter().all(|byte| matches!(byte, 0 | 0xff));
                if let Some(byte) = chunk.iter().rposition(|byte| *byte != 0xff) {
                    last = Some((page, at + byte));
                }
                at += len;
            }
        }
        let word = Page::<F>::WORD;
        let most = word + 8_usize.next_multiple_of(word) + (size_of::<Key>() + SIGN.len()).next_multiple_of(word);
        match last {
            None => Ok(()),
            Some((0, _)) if says_nothing => self.erase(0).await,
            Some((0, at)) if at < most && self.item(0, 0, scratch).await?.is_none() => self.erase(0).await,
            Some(_) => Err(foreign("something else is there: erase it first")),
        }
    }

    /// Whether every key of a page is in another one, too.
    async fn is_superseded(&mut self, page: usize, scratch: &mut [u8]) -> Result<bool, StoreError> {
        let mut at = 0;
        while let Some((key, _)) = self.item(page, at, scratch).await? {
            let mut found = false;
            for other in 0..self.count {
                if other != page && self.mark(other).await? != Mark::Blank && !found {
                    found = self.find(other, key, scratch).await?.is_some();
                }
            }
            if !found {
                return Ok(false);
            }
            at += 1;
        }
        Ok(true)
    }

    /// Whether every item of a page is in the next one, too.
    async fn is_copy(&mut self, page: usize, scratch: &mut [u8], spare: &mut [u8]) -> Result<bool, StoreError> {
        let next = self.after(page);
        let mut at = 0;
        while let Some((key, item)) = self.item(page, at, scratch).await? {
            if self.find(next, key, spare).await? != Some(item) {
                return Ok(false);
            }
            at += 1;
        }
        Ok(true)
    }

    /// The item of a page at this position in it.
    async fn item<'b>(
        &mut self,
        page: usize,
        at: usize,
        scratch: &'b mut [u8],
    ) -> Result<Option<(Key, &'b [u8])>, StoreError> {
        let len = {
            let mut map = self.map(page)?;
            let mut items = map.fetch_all_items(scratch).await.map_err(|error| fault(&error))?;
            let mut found = None;
            for _ in 0..=at {
                let next = items.next::<&[u8]>(scratch).await.map_err(|error| fault(&error))?;
                let Some((key, item)) = next else { return Ok(None) };
                found = Some((key, item.len()));
            }
            found
        };
        // sequential-storage has put the key and the item to the front of its buffer.
        Ok(len.and_then(|(key, len)| Some((key, scratch.get(key.len()..key.len() + len)?))))
    }

    /// The newest item of a page with this key.
    async fn find<'b>(&mut self, page: usize, key: Key, scratch: &'b mut [u8]) -> Result<Option<&'b [u8]>, StoreError> {
        self.map(page)?.fetch_item::<&[u8]>(scratch, &key).await.map_err(|error| fault(&error))
    }

    fn map(&mut self, page: usize) -> Result<Map<'_, F>, StoreError> {
        // A page of the store's flash is long enough for a map.
        let config = MapConfig::try_new(0..2 * F::ERASE_SIZE as u32).map_err(|error| unreadable(&error))?;
        let at = self.address(page);
        Ok(MapStorage::new(Page { flash: self.flash, at }, config, Cache::new_uncached()))
    }

    /// What sequential-storage takes the page for.
    async fn mark(&mut self, page: usize) -> Result<Mark, StoreError> {
        let at = self.address(page);
        let mut set = [false; 2];
        for (set, at) in set.iter_mut().zip([at, at + (F::ERASE_SIZE - F::READ_SIZE) as u32]) {
            let mut word = [0; WORD_MAX];
            let word = word.get_mut(..F::READ_SIZE).unwrap_or_default();
            self.flash.read(at, word).await.map_err(|error| unreadable(&error))?;
            *set = word.iter().map(|byte| byte.count_zeros()).sum::<u32>() >= 4;
        }
        Ok(match set {
            [false, false] => Mark::Blank,
            [true, false] => Mark::Begun,
            [true, true] => Mark::Full,
            [false, true] => Mark::Torn,
        })
    }

    async fn erase(&mut self, page: usize) -> Result<(), StoreError> {
        let at = self.address(page);
        self.flash.erase(at, at + F::ERASE_SIZE as u32).await.map_err(|error| unreadable(&error))
    }

    fn address(&self, page: usize) -> u32 {
        self.start + (page * F::ERASE_SIZE) as u32
    }

    fn after(&self, page: usize) -> usize {
        if page + 1 < self.count { page + 1 } else { 0 }
    }

    fn before(&self, page: usize) -> usize {
        page.checked_sub(1).unwrap_or(self.count.saturating_sub(1))
    }
}

type Map<'f, F> = MapStorage<Key, Page<'f, F>, Cache<Uncached, Uncached, Uncached, Key>>;
