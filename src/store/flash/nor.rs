//! The flash as sequential-storage is given it: what is done to it is counted, a page is used only when it is blank, and a mark
//! that the power failed in is one.

use embedded_storage_async::nor_flash::{ErrorType, MultiwriteNorFlash, NorFlash, ReadNorFlash};

use super::room::FlashRoom;

/// What is read at once where a page is looked at.
const CHUNK: usize = 32;

/// A flash with the room that its wear is noted in.
pub(super) struct Worn<'r, F, const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    flash: F,
    room: &'r FlashRoom<RUNS, SLOTS, BYTES>,
}

impl<'r, F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Worn<'r, F, RUNS, SLOTS, BYTES> {
    pub(super) const fn new(flash: F, room: &'r FlashRoom<RUNS, SLOTS, BYTES>) -> Self {
        Self { flash, room }
    }

    async fn is_blank(&mut self, from: u32) -> Result<bool, F::Error> {
        let mut bytes = [0; CHUNK];
        let step = CHUNK / F::READ_SIZE * F::READ_SIZE;
        let mut at = 0;
        while at < F::ERASE_SIZE {
            let len = step.min(F::ERASE_SIZE - at);
            let Some(chunk) = bytes.get_mut(..len) else { break };
            self.flash.read(from + at as u32, chunk).await?;
            if chunk.iter().any(|byte| *byte != 0xff) {
                return Ok(false);
            }
            at += len;
        }
        Ok(true)
    }
}

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> ErrorType
    for Worn<'_, F, RUNS, SLOTS, BYTES>
{
    type Error = F::Error;
}

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> ReadNorFlash
    for Worn<'_, F, RUNS, SLOTS, BYTES>
{
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        let end = F::ERASE_SIZE - F::READ_SIZE;
        if offset as usize % F::ERASE_SIZE != end || bytes.len() != F::READ_SIZE {
            return self.flash.read(offset, bytes).await;
        }
        // The last word of a page is the mark that it is full. One that the power failed in counts as made: the page was full,
        // and not every flash takes a second write of the same word.
        let mut word = [0; CHUNK];
        let len = F::WRITE_SIZE.max(F::READ_SIZE).min(CHUNK);
        let Some(word) = word.get_mut(..len) else { return Ok(()) };
        self.flash.read(offset - (len - F::READ_SIZE) as u32, word).await?;
        bytes.fill(if word.iter().all(|byte| *byte == 0xff) { 0xff } else { 0 });
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> NorFlash
    for Worn<'_, F, RUNS, SLOTS, BYTES>
{
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        {
            let pages = to.saturating_sub(from) / F::ERASE_SIZE as u32;
            let wear = &mut self.room.lock().wear;
            wear.erases = wear.erases.saturating_add(pages);
            wear.erases_since_start = wear.erases_since_start.saturating_add(pages);
        }
        self.flash.erase(from, to).await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        // The first word of a page is written when the page is taken into use. An erase that the power failed in can have
        // left it with both marks blank and old bytes in between.
        let page = F::ERASE_SIZE as u32;
        if offset.is_multiple_of(page) && !self.is_blank(offset).await? {
            self.erase(offset, offset + page).await?;
        }
        {
            let wear = &mut self.room.lock().wear;
            wear.writes = wear.writes.saturating_add(1);
            wear.bytes_written = wear.bytes_written.saturating_add(bytes.len() as u64);
        }
        self.flash.write(offset, bytes).await
    }
}

impl<F: MultiwriteNorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> MultiwriteNorFlash
    for Worn<'_, F, RUNS, SLOTS, BYTES>
{
}
