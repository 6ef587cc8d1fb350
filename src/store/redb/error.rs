//! What the store says when something fails.

use core::fmt;
use std::{io, path::Path};

use ::redb::{DatabaseError, StorageError};

use super::super::{StoreError, StoreErrorKind};

#[cold]
pub(super) fn failed(path: &Path, error: &::redb::Error) -> StoreError {
    let kind = match error {
        ::redb::Error::Io(error) => kind_of(error),
        ::redb::Error::Corrupted(why) => return corrupted(path, why),
        _ => StoreErrorKind::Unavailable,
    };
    said(kind, path, format_args!("failed: {error}"))
}

/// What a failure of the system means for whoever wants to save something.
fn kind_of(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
        // A limit that a process has for its files is no different from a disk that is full.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreErrorKind::Exhausted
        }
        _ => StoreErrorKind::Unavailable,
    }
}

#[cold]
pub(super) fn denied(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            said(StoreErrorKind::Denied, path, "may not be read and written: change its permissions or the user")
        }
        io::ErrorKind::IsADirectory => foreign(path, "is a folder: name a file in it"),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            foreign(path, "leads through a file: name a path of folders")
        }
        _ => said(kind_of(error), path, error),
    }
}

#[cold]
pub(super) fn not_opened(path: &Path, error: &DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            unavailable(path, "is open in a program that does not share it: close that")
        }
        DatabaseError::LockProtocolMismatch => {
            unavailable(path, "is open with another version of redb: use the same in both")
        }
        DatabaseError::UpgradeRequired(version) => {
            foreign(path, format_args!("has version {version} of redb's format: upgrade it with redb 2.6"))
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            foreign(path, "is no redb database: name another file")
        }
        DatabaseError::Storage(StorageError::Io(error)) => denied(path, error),
        DatabaseError::Storage(StorageError::Corrupted(why)) => corrupted(path, why),
        DatabaseError::Storage(StorageError::Unsupported) => {
            unavailable(path, "is on a file system without locks: choose another place")
        }
        error => unavailable(path, error),
    }
}

#[cold]
fn corrupted(path: &Path, why: &str) -> StoreError {
    unavailable(path, format_args!("is damaged: put a backup in its place ({why})"))
}

#[cold]
pub(super) fn unavailable(path: &Path, why: impl fmt::Display) -> StoreError {
    said(StoreErrorKind::Unavailable, path, why)
}

#[cold]
pub(super) fn foreign(path: &Path, why: impl fmt::Display) -> StoreError {
    said(StoreErrorKind::Foreign, path, why)
}

fn said(kind: StoreErrorKind, path: &Path, why: impl fmt::Display) -> StoreError {
    StoreError::with_detail(kind, format_args!("`{}` {why}", Tail(path)))
}

/// A path as an error has room for it: its end, which is where it differs from others.
pub(super) struct Tail<'p>(pub(super) &'p Path);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ROOM: usize = 48;
        let path = self.0.to_string_lossy();
        let cut = path.len().saturating_sub(ROOM);
        if cut == 0 {
            return f.write_str(&path);
        }
        let start = path.char_indices().map(|(at, _)| at).find(|&at| at >= cut).unwrap_or(cut);
        write!(f, "…{}", path.get(start..).unwrap_or_default())
    }
}

#[cold]
pub(super) fn gone() -> StoreError {
    StoreError::with_detail(StoreErrorKind::Unavailable, "the thread of the redb store has ended: open the store again")
}
