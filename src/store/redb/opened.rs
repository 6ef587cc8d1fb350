//! The file of a store as it is open for who looks into it: to be read, and to be written only where that cannot be helped.

use std::path::Path;

use ::redb::{Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TransactionError};

use super::file::builder;

/// The file, open. To close it after it was open for writing is to write to it, whatever was done in between.
pub(super) enum Opened {
    Read(ReadOnlyDatabase),
    Write(Database),
}

impl Opened {
    /// Opens the file for reading; where a program left it open when it was killed, it is repaired first.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        match builder().open_read_only(path) {
            Err(DatabaseError::RepairAborted) => builder().open(path).map(Self::Write),
            opened => opened.map(Self::Read),
        }
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        match self {
            Self::Read(database) => database.begin_read(),
            Self::Write(database) => database.begin_read(),
        }
    }

    /// Opens the file of this name to be written, as it is from now on; whether it was not yet. What was read before may have been
    /// of another file, if somebody put one in its place.
    pub(super) fn open_to_write(&mut self, path: &Path) -> Result<bool, DatabaseError> {
        if let Self::Write(_) = self {
            return Ok(false);
        }
        *self = Self::Write(builder().open(path)?);
        Ok(true)
    }
}
