//! The index, from what is in the flash.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    super::{
        super::StoreError,
        fault::{fault, foreign},
        index::Record,
        item::{self, FIRST, FORMAT, HEAD, Head, STATE, State},
        pages::Pages,
        room::Inner,
    },
    Work,
};

impl<F: NorFlash, const RUNS: usize, const SLOTS: usize, const BYTES: usize> Work<'_, F, RUNS, SLOTS, BYTES> {
    /// Makes the index what is in the flash, if it is not.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
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
            inner.index.records.iter_mut().for_each(Record::unread);
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
}
