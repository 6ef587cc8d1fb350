//! What goes wrong underneath, in the words of a store.

use core::fmt;

use sequential_storage::Error;

use super::super::{StoreError, StoreErrorKind};

/// The error of a flash, in ours.
#[cold]
pub(super) fn fault<E: fmt::Debug>(error: &Error<E>) -> StoreError {
    match error {
        Error::Storage { value, .. } => unreadable(value),
        Error::FullStorage => StoreError::new(StoreErrorKind::Exhausted),
        Error::BufferTooSmall(len) => foreign(format_args!("it has an item of {len} bytes")),
        Error::Corrupted { .. } => foreign("the flash is corrupt: erase it"),
        _ => StoreError::with_detail(StoreErrorKind::Unavailable, "sequential-storage gave up"),
    }
}

/// The flash's own error.
#[cold]
pub(super) fn unreadable(error: &impl fmt::Debug) -> StoreError {
    StoreError::with_detail(StoreErrorKind::Unavailable, format_args!("{error:?}"))
}

#[cold]
pub(super) fn foreign(words: impl fmt::Display) -> StoreError {
    StoreError::with_detail(StoreErrorKind::Foreign, words)
}

/// The error of an item that is not what was written.
#[cold]
pub(super) fn lost() -> StoreError {
    foreign("an item is not what was written")
}
