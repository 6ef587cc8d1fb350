//! A store among all that share the file, and which of them are alive.

use alloc::{borrow::ToOwned, string::ToString};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{super::StoreError, error::denied};

/// This store among all that have the file open, dead ones included. Its lock is a fact that the kernel keeps.
pub(super) struct Holder {
    pub(super) id: u128,
    pub(super) folder: PathBuf,
    _lock: File,
}

impl Holder {
    pub(super) fn folder(database: &Path) -> PathBuf {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".holders");
        folder.into()
    }

    /// A new holder with its lock. To be called inside a write transaction, like [`is_alive`](Self::is_alive): nobody
    /// then meets a file between its creation and its lock, and two of them that look at a third do not take each
    /// other's test for its life.
    pub(super) fn new(database: &Path) -> io::Result<Self> {
        let folder = Self::folder(database);
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            // What died without a run in hand is found by nobody else.
            if let Some(id) = entry?.file_name().to_str().and_then(|name| Uuid::try_parse(name).ok()) {
                is_alive(&folder, id)?;
            }
        }
        let id = Uuid::now_v7();
        let path = folder.join(id.to_string());
        let lock = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        lock.try_lock()?;
        Ok(Self { id: id.as_u128(), folder, _lock: lock })
    }

    pub(super) fn is_alive(&self, holder: u128) -> Result<bool, StoreError> {
        is_alive(&self.folder, Uuid::from_u128(holder)).map_err(|error| denied(&self.folder, &error))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // One that stays behind has no lock, and the next store to be opened sweeps it away.
        let _ = fs::remove_file(self.folder.join(Uuid::from_u128(self.id).to_string()));
    }
}

/// Whether a holder lives; the file of a dead one is deleted. No name ever comes back, so it cannot be the wrong one.
pub(super) fn is_alive(folder: &Path, holder: Uuid) -> io::Result<bool> {
    let path = folder.join(holder.to_string());
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            let _ = fs::remove_file(&path);
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
