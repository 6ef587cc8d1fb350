//! Room for the next item.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    super::{
        super::{StoreError, StoreErrorKind},
        index::{Kept, Record},
        item::{FIRST, HEAD_MAX, key},
    },
    Work,
};

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Work<'_, F, RUNS, SLOTS, BYTES> {
    /// Sees to it that an item of this length finds room, and that after it there still is some to forget a run in.
    pub(super) async fn make_room(&mut self, len: usize) -> Result<(), StoreError> {
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
    fn largest_gone(&self, records: &[Record<SLOTS>]) -> Option<(usize, usize)> {
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
}
