//! What a store may say.

use core::time::Duration;

use crate::text::Words;

/// What a store could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: Words,
}

impl StoreError {
    /// An error of this kind.
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, detail: Words::none() }
    }

    /// An error of this kind with the words of whatever is underneath. Without a heap, more than 40 bytes of them are cut.
    pub fn with_detail(kind: StoreErrorKind, detail: impl core::fmt::Display) -> Self {
        Self { kind, detail: Words::of(detail) }
    }

    /// What kind of error it is.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The words of whatever is underneath, or nothing.
    pub fn detail(&self) -> &str {
        self.detail.as_str()
    }
}

impl From<EncodeError> for StoreError {
    #[cold]
    fn from(error: EncodeError) -> Self {
        Self::with_detail(StoreErrorKind::Unserialisable, error)
    }
}

impl core::fmt::Display for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.kind, f)?;
        if !self.detail().is_empty() {
            write!(f, " ({})", self.detail())?;
        }
        Ok(())
    }
}

impl core::error::Error for StoreError {}

/// The kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Somebody else executes the run.
    #[error("somebody else is executing this run: wait for it to end, then call again with the same id")]
    Busy {
        /// How long until its lease runs out if it is not renewed, where the store knows.
        until: Option<Duration>,
    },
    /// The session lost its run to somebody else.
    #[error("this session lost the run to another holder: nothing was written; open the run again")]
    Fenced,
    /// The store does not know the run.
    #[error("the store has no run of this id: start it with `run_as` and its input")]
    UnknownRun,
    /// The run does not have the slot.
    #[error("the run has no such checkpoint: `holds` says which it has")]
    Missing,
    /// There is no room for another run or slot.
    #[error("the store is full: it has room for {room} {of}; `forget` what is done with, or make it larger")]
    Full {
        /// How many there is room for.
        room: usize,
        /// Of what: `runs` or `slots`.
        of: &'static str,
    },
    /// The value does not fit.
    #[error(
        "the checkpoint takes {len} bytes and a slot of this store holds {max}: make the slots larger, or \
         `.skip_checkpoint()` on the node"
    )]
    TooLarge {
        /// How many bytes it takes.
        len: usize,
        /// How many bytes a slot holds.
        max: usize,
    },
    /// The value cannot be serialised.
    #[error("the value cannot be serialised: try it with `testing::round_trip`")]
    Unserialisable,
    /// The store does not let this program in, or not do this.
    #[error("the store refuses this program: see that its credentials and permissions are right, then resume the run")]
    Denied,
    /// There is no room left underneath: a disk is full, or a server's memory.
    #[error("there is no room left underneath the store: make room, then resume the run")]
    Exhausted,
    /// Something that no store wrote is where the run's data would be, or data of another version.
    #[error(
        "what is stored where the run's data would be is not of this store: move it, or give the store another place"
    )]
    Foreign,
    /// The run's data disappeared while the session held it: it expired, was evicted, or was lost with a server's memory.
    #[error("the data of the run is gone from the store: begin it again with `run_as` and its input")]
    Gone,
    /// The store cannot be set up with what it was given: its address or a setting is none.
    #[error("the store cannot be set up like this: mend its address or setting, then make it again")]
    Misconfigured,
    /// The store cannot be reached or failed underneath; trying again later may help.
    #[error("the store failed underneath: see that it is reachable and has room, then resume the run")]
    Unavailable,
}

/// Why a value did not get into a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is shorter than the value.
    #[error("the buffer is shorter than the encoded value: `encoded_len` says how long that is")]
    NoRoom,
    /// The value's own `Serialize` refused, or postcard has no form for it.
    #[error(
        "postcard has no form for the value, or its own `Serialize` refuses: a length has to be known (no `flatten`)"
    )]
    Unserialisable,
    /// The value does not come back from its bytes as it was; found in debug builds only.
    #[error(
        "the value does not come back from its bytes as it was: postcard needs every field serialised (no `skip`, no \
         `untagged` or internally tagged enum)"
    )]
    NotFaithful,
}

#[cold]
pub(super) fn busy(until: Option<Duration>) -> StoreError {
    StoreError::new(StoreErrorKind::Busy { until })
}

#[cfg(any(feature = "alloc", feature = "flash"))]
#[cold]
pub(super) fn fenced() -> StoreError {
    StoreError::new(StoreErrorKind::Fenced)
}

#[cold]
pub(super) fn unknown() -> StoreError {
    StoreError::new(StoreErrorKind::UnknownRun)
}

#[cold]
pub(super) fn missing() -> StoreError {
    StoreError::new(StoreErrorKind::Missing)
}

#[cold]
pub(super) fn full(room: usize, of: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Full { room, of })
}
