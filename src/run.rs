//! The name of one execution of a pipeline.

use core::fmt;

/// The longest run id in bytes.
pub const RUN_ID_MAX: usize = 64;

/// The name of one run: a UUID, or up to 64 bytes of text of your own.
///
/// A run id names the same run in every process that shares a store, which is what makes [`run_as`] idempotent. Any
/// character but a control character may be in it; no character has a special meaning.
///
/// ```
/// use stroma::RunId;
///
/// let id = RunId::new("invoice 2026/17")?;
/// assert_eq!(id.to_string(), "invoice 2026/17");
/// assert!(RunId::new("two\nlines").is_err());
/// # Ok::<(), stroma::RunIdError>(())
/// ```
///
/// [`run_as`]: crate::Runner::run_as
#[derive(Clone, Copy)]
pub struct RunId(Name);

#[derive(Clone, Copy)]
enum Name {
    Uuid([u8; 16]),
    Text { len: u8, bytes: [u8; RUN_ID_MAX] },
}

impl RunId {
    /// An id of your own.
    ///
    /// Text that is a UUID in its hyphenated lower-case form names the same run as that UUID.
    ///
    /// # Errors
    /// When the text is empty, longer than [`RUN_ID_MAX`] bytes, or has a control character in it.
    pub fn new(text: &str) -> Result<Self, RunIdError> {
        if text.is_empty() {
            return Err(RunIdError::Empty);
        }
        if let Some(at) = text.chars().position(char::is_control) {
            return Err(RunIdError::Control { at });
        }
        let mut bytes = [0; RUN_ID_MAX];
        let Some(target) = bytes.get_mut(..text.len()) else {
            return Err(RunIdError::TooLong { len: text.len() });
        };
        target.copy_from_slice(text.as_bytes());
        if let Ok(uuid) = uuid::Uuid::try_parse(text) {
            let mut buffer = uuid::Uuid::encode_buffer();
            if uuid.hyphenated().encode_lower(&mut buffer) == text {
                return Ok(Self::from(uuid));
            }
        }
        // The length is at most 64, so the cast keeps it.
        Ok(Self(Name::Text { len: text.len() as u8, bytes }))
    }

    /// The id with this 128-bit number as its UUID: for a device that counts its runs.
    pub const fn from_u128(number: u128) -> Self {
        Self(Name::Uuid(number.to_be_bytes()))
    }

    /// A fresh id: a UUID of version 7, so that ids sort by the time of their making.
    #[cfg(feature = "std")]
    pub fn fresh() -> Self {
        Self::from(uuid::Uuid::now_v7())
    }

    /// Calls `f` with the id as text: what [`Display`](fmt::Display) shows.
    pub fn with_str<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        match &self.0 {
            Name::Uuid(bytes) => {
                let mut buffer = uuid::Uuid::encode_buffer();
                f(uuid::Uuid::from_bytes(*bytes).hyphenated().encode_lower(&mut buffer))
            }
            Name::Text { len, bytes } => {
                let bytes = bytes.get(..usize::from(*len)).unwrap_or_default();
                // The bytes were copied from a `str`, so this never falls back.
                f(core::str::from_utf8(bytes).unwrap_or_default())
            }
        }
    }

    /// The seed of the wait after the failure of this attempt (from 1) at this node in this run, `instance` being 0 outside of
    /// loops and collections: with [`Backoff::delay`](crate::Backoff::delay) a test can tell how long a retry waits.
    ///
    /// ```
    /// use stroma::{Backoff, RunId, ms};
    ///
    /// let backoff = Backoff::exponential(ms(100));
    /// let run = RunId::from_u128(7);
    /// let first = backoff.delay(1, run.jitter_seed("fetch", 0, 1));
    /// assert!(first <= ms(100));
    /// assert_ne!(first, backoff.delay(1, run.jitter_seed("parse", 0, 1)));
    /// ```
    pub fn jitter_seed(&self, node: &str, instance: u32, attempt: u32) -> u64 {
        [node.as_bytes(), &instance.to_le_bytes(), &attempt.to_le_bytes()]
            .into_iter()
            .fold(self.seed(), crate::hash::fnv1a)
    }

    /// A number that depends on the whole id.
    pub(crate) fn seed(&self) -> u64 {
        let bytes: &[u8] = match &self.0 {
            Name::Uuid(bytes) => bytes,
            Name::Text { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
        };
        crate::hash::fnv1a(crate::hash::FNV_START, bytes)
    }
}

impl From<uuid::Uuid> for RunId {
    fn from(uuid: uuid::Uuid) -> Self {
        Self(Name::Uuid(*uuid.as_bytes()))
    }
}

impl core::str::FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        Self::new(text)
    }
}

impl PartialEq for RunId {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Name::Uuid(a), Name::Uuid(b)) => u128::from_ne_bytes(*a) == u128::from_ne_bytes(*b),
            (Name::Text { len: a_len, bytes: a }, Name::Text { len: b_len, bytes: b }) => a_len == b_len && a == b,
            _ => false,
        }
    }
}

impl Eq for RunId {}

impl core::hash::Hash for RunId {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        match &self.0 {
            Name::Uuid(bytes) => bytes.hash(state),
            Name::Text { bytes, .. } => bytes.hash(state),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.pad(text))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

/// Why a text is not a run id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunIdError {
    /// There is no text.
    #[error("a run id is empty: give it at least one character, or let `run` make a UUID")]
    Empty,
    /// The text is too long.
    #[error("a run id of {len} bytes is over the limit of {RUN_ID_MAX}: use a shorter one, or a hash of it")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The text has a control character in it.
    #[error("a run id has a control character at position {at}: leave it out")]
    Control {
        /// Its position in characters, from 0.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn ids_that_look_like_a_uuid_are_that_uuid() {
        let uuid = uuid::Uuid::from_u128(7);
        assert_eq!(RunId::new(&uuid.to_string()), Ok(RunId::from(uuid)));
        assert_eq!(RunId::from_u128(7), RunId::from(uuid));
        // Another spelling is another name: it is shown as it was given.
        let loud = "67E55044-10B1-426F-9247-BB680E5FE0C8";
        assert_eq!(RunId::new(loud).map(|id| id.to_string()), Ok(loud.to_string()));
    }

    #[test]
    fn bad_ids_are_refused_with_the_reason() {
        assert_eq!(RunId::new(""), Err(RunIdError::Empty));
        assert_eq!(RunId::new(&"x".repeat(65)), Err(RunIdError::TooLong { len: 65 }));
        assert_eq!(RunId::new("ä\u{7}"), Err(RunIdError::Control { at: 1 }));
        assert!(RunId::new(&"x".repeat(64)).is_ok());
        assert_ne!(RunId::new("a*"), RunId::new("a"));
    }
}
