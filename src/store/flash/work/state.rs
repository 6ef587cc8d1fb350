//! The state of a run, and where its ledger is.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    super::{
        super::{LEDGER_MAX, StoreError},
        fault::lost,
        index::{Finish, Kept, Record, too_long},
        item::{self, Entry, FIRST, STATE, STATE_MIN, State, key},
    },
    With, Work, store,
};

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Work<'_, F, RUNS, SLOTS, BYTES> {
    /// Writes the state of a run: what is gone from now on, its ledger, and whether it came to its end.
    pub(super) async fn state(
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
    pub(super) async fn ledger(&mut self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        let place = {
            let inner = self.room.lock();
            match inner.index.records.get(at).map(Record::ledger) {
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
}
