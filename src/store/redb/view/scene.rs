//! What a run is at one moment, from the tables and from what is beside them.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use ::redb::{ReadOnlyTable, ReadTransaction, TableError};
use uuid::Uuid;

use super::super::{
    super::{
        StoreError,
        codec::HEAD,
        inspect::{Holding, Outline, RunView, SlotView},
    },
    error::denied,
    file::{JOURNALS, NOBODY, PIPELINES, RUNS, Record, SLOTS, SlotKey, TIMES, first_key, unix_millis},
    holder,
    journal::Line,
    lease::Seen,
};
use crate::{run::RunId, slot::SlotKind};

/// What is beside the tables.
pub(super) struct Scene {
    pub(super) folder: PathBuf,
    pub(super) lives: HashMap<u128, Holding>,
    /// By run, what is in journals.
    pub(super) lines: HashMap<String, Vec<Pending>>,
}

/// A line of a journal.
pub(super) struct Pending {
    pub(super) holder: u128,
    pub(super) number: u64,
    pub(super) token: u64,
    pub(super) body: Vec<u8>,
}

/// The tables of one moment. Those that a program of before them never made are absent.
pub(super) struct Tables {
    pub(super) runs: ReadOnlyTable<&'static str, Record<'static>>,
    slots: ReadOnlyTable<SlotKey<'static>, &'static [u8]>,
    journals: Option<ReadOnlyTable<u128, u64>>,
    times: Option<ReadOnlyTable<&'static str, (u64, u64)>>,
    pipelines: Option<ReadOnlyTable<u64, &'static str>>,
}

impl Tables {
    pub(super) fn of(read: &ReadTransaction) -> Result<Self, ::redb::Error> {
        Ok(Self {
            runs: read.open_table(RUNS)?,
            slots: read.open_table(SLOTS)?,
            journals: optional(read.open_table(JOURNALS))?,
            times: optional(read.open_table(TIMES))?,
            pipelines: optional(read.open_table(PIPELINES))?,
        })
    }
}

impl Scene {
    /// `None` for what is left of a holder that died before its first checkpoint: that is no run.
    pub(super) fn view(
        &self,
        tables: &Tables,
        run: &RunId,
        (holder, token, ledger): Record<'_>,
        values: bool,
    ) -> Result<Result<Option<RunView>, StoreError>, ::redb::Error> {
        let holding = match self.life_of(holder) {
            Ok(holding) => holding,
            Err(error) => return Ok(Err(denied(&self.folder, &error))),
        };
        let mut view = RunView::new(*run, holding);
        view.ledger = ledger.to_vec();
        let mut slots = BTreeMap::new();
        let id = run.with_str(ToOwned::to_owned);
        for entry in tables.slots.range(first_key(&id)..)? {
            let (key, bytes) = entry?;
            let (of, node, instance, kind) = key.value();
            if of != id {
                break;
            }
            slots.insert((node.to_owned(), instance, kind), Stored::new(bytes.value(), values));
        }
        let noted = match &tables.journals {
            Some(journals) => journals.get(holder)?.map_or(0, |noted| noted.value()),
            None => 0,
        };
        let pending = self.lines.get(&id).map(Vec::as_slice).unwrap_or_default();
        for line in pending.iter().filter(|line| (line.holder, line.token) == (holder, token) && line.number > noted) {
            let Ok(line) = postcard::from_bytes::<Line<'_>>(&line.body) else { continue };
            if let Some((node, instance, kind, bytes)) = line.slot {
                slots.insert((node.to_owned(), instance, kind), Stored::new(bytes, values));
            }
            if !line.ledger.is_empty() {
                view.ledger = line.ledger.to_vec();
            }
        }
        for ((node, instance, kind), stored) in slots {
            // A kind of a later version is nothing that this one could show.
            if let Some(kind) = SlotKind::from_u8(kind) {
                let mut slot = SlotView::new(node, instance, kind, stored.len, &stored.head);
                slot.bytes = stored.bytes;
                view.add(slot, &stored.head);
            }
        }
        if view.slots.is_empty() && !matches!(view.holding, Holding::Held { .. }) {
            return Ok(Ok(None));
        }
        if let Some(times) = &tables.times
            && let Some(times) = times.get(&*id)?
        {
            let (begun, left) = times.value();
            view.age = since(begun);
            view.idle = since(left).filter(|_| view.holding == Holding::Free);
        }
        if let (Some(pipelines), Some(shape)) = (&tables.pipelines, view.shape) {
            view.outline = pipelines.get(shape)?.and_then(|outline| Outline::parse(outline.value()));
        }
        Ok(Ok(Some(view)))
    }

    fn life_of(&self, holder: u128) -> io::Result<Holding> {
        if holder == NOBODY {
            return Ok(Holding::Free);
        }
        if let Some(life) = self.lives.get(&holder) {
            return Ok(*life);
        }
        // Whoever came after the survey is there; of whom no file is left has ended.
        let mut buffer = Uuid::encode_buffer();
        let file = self.folder.join(Uuid::from_u128(holder).hyphenated().encode_lower(&mut buffer));
        Ok(if file.try_exists()? { Holding::Held { until: None } } else { Holding::Abandoned })
    }
}

/// A value, or as much of it as is wanted.
struct Stored {
    len: usize,
    head: Vec<u8>,
    bytes: Option<Vec<u8>>,
}

impl Stored {
    fn new(bytes: &[u8], whole: bool) -> Self {
        let head = bytes.get(..HEAD).unwrap_or(bytes).to_vec();
        Self { len: bytes.len(), head, bytes: whole.then(|| bytes.to_vec()) }
    }
}

/// Who of these lives. Inside a write transaction, like every question about a lock.
pub(super) fn lives(folder: &Path, seen: &mut Seen, holders: &BTreeSet<u128>) -> io::Result<HashMap<u128, Holding>> {
    let now = Instant::now();
    let life = |holder: &u128| {
        let id = Uuid::from_u128(*holder);
        let life = if !holder::is_there(folder, id)? {
            Holding::Abandoned
        } else {
            match seen.remaining(folder, id, now)? {
                Some(Duration::ZERO) => Holding::Abandoned,
                until => Holding::Held { until },
            }
        };
        Ok((*holder, life))
    };
    holders.iter().map(life).collect()
}

/// How long ago that was, by the time of day; zero stands for a time that is not known.
fn since(millis: u64) -> Option<Duration> {
    (millis != 0).then(|| Duration::from_millis(unix_millis().saturating_sub(millis)))
}

pub(super) fn optional<T>(opened: Result<T, TableError>) -> Result<Option<T>, ::redb::Error> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
