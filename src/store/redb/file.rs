//! The tables, and the file that they are in.

use std::{
    fs::{self, File},
    io,
    path::{self, Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use ::redb::{Builder, ConcurrencyMode, Database, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    super::{StoreError, owned::OwnedKey},
    error::{failed, foreign},
};

/// The version of the tables; another one is refused.
pub(super) const FORMAT: u64 = 2;
pub(super) const FORMAT_KEY: &str = "format";

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("stroma.meta");
pub(super) const RUNS: TableDefinition<'_, &str, Record<'_>> = TableDefinition::new("stroma.runs");
pub(super) const SLOTS: TableDefinition<'_, SlotKey<'_>, &[u8]> = TableDefinition::new("stroma.slots");

/// By holder, the last line of its journal that is in the tables.
pub(super) const JOURNALS: TableDefinition<'_, u128, u64> = TableDefinition::new("stroma.journals");

/// By run, when it was begun and when it was given back last, in milliseconds of the Unix epoch; zero where that is not known. For
/// who looks on alone: nothing is decided by it.
pub(super) const TIMES: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("stroma.times");
/// By fingerprint of its shape, the outline of a pipeline. For who looks on alone.
pub(super) const PIPELINES: TableDefinition<'_, u64, &str> = TableDefinition::new("stroma.pipelines");

/// A run's holder, its fencing token and its ledger.
pub(super) type Record<'r> = (u128, u64, &'r [u8]);
/// Run, node, instance and kind. A tuple is compared field by field, so no text can reach into its neighbour's keys.
pub(super) type SlotKey<'k> = (&'k str, &'k str, u32, u8);

/// The holder of a run that nobody holds; no UUID of version 7 is zero.
pub(super) const NOBODY: u128 = 0;
/// What redb may keep of the file in memory; its own default is a gigabyte.
pub(super) const CACHE: usize = 32 << 20;

pub(super) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_concurrency_mode(ConcurrencyMode::MultiWriter).set_cache_size(CACHE);
    builder
}

/// The path in full, with the folders that lead to it made.
pub(super) fn prepare(path: &Path) -> io::Result<PathBuf> {
    let path = path::absolute(path)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(path)
}

/// Makes a new file's name as durable as its content is going to be.
pub(super) fn sync_folders(path: &Path) {
    // Folders cannot be opened everywhere, and where they can, those far up may not be ours to sync.
    for folder in path.ancestors().skip(1) {
        if File::open(folder).and_then(|folder| folder.sync_all()).is_err() {
            return;
        }
    }
}

/// Checks the version of the tables, or makes them; whether it did. Format 1 had no journals.
pub(super) fn set_up(write: &WriteTransaction, path: &Path) -> Result<bool, StoreError> {
    let set_up = || -> Result<Option<u64>, ::redb::Error> {
        let mut meta = write.open_table(META)?;
        let found = meta.get(FORMAT_KEY)?.map(|format| format.value());
        if found.is_none_or(|format| format < FORMAT) {
            meta.insert(FORMAT_KEY, FORMAT)?;
            write.open_table(RUNS)?;
            write.open_table(SLOTS)?;
            write.open_table(JOURNALS)?;
        }
        Ok(found)
    };
    match set_up().map_err(|error| failed(path, &error))? {
        Some(FORMAT) => Ok(false),
        Some(format) if format > FORMAT => {
            Err(foreign(path, format_args!("has format {format}, not {FORMAT}: use the program that wrote it")))
        }
        _ => Ok(true),
    }
}

pub(super) fn slot_key<'k>(run: &'k str, (node, instance, kind): &'k OwnedKey) -> SlotKey<'k> {
    (run, node, *instance, *kind as u8)
}

/// The least key that a run's slot can have.
pub(super) fn first_key(run: &str) -> SlotKey<'_> {
    (run, "", 0, 0)
}

/// The time of day, for who looks on; zero stands for none.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
