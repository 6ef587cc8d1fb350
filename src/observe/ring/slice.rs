//! What a node was given and yielded, as bytes.

use core::fmt;

use serde::de::DeserializeOwned;

use crate::observe::Recordable;

/// What a node was given and yielded, as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slices<const BYTES: usize> {
    pub(super) input: Slice<BYTES>,
    pub(super) output: Slice<BYTES>,
}

/// A value as postcard bytes, or why there are none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Slice<const BYTES: usize>(Bytes<BYTES>);

#[derive(Clone, PartialEq, Eq, Default)]
enum Bytes<const BYTES: usize> {
    #[default]
    Absent,
    Kept(heapless::Vec<u8, BYTES>),
    TooLong {
        needed: usize,
    },
    Unserialisable,
}

/// Why a value is not in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotKept {
    /// There was none: the attempt did not succeed, or went on without an input.
    #[error("there was no value: the attempt did not succeed, or went on without an input")]
    Absent,
    /// It is longer than a value in this ring may be.
    #[error("the value takes {needed} bytes and the ring keeps {room}: `.with_values::<{needed}>()` would keep it")]
    TooLong {
        /// How many bytes it takes.
        needed: usize,
        /// How many the ring keeps.
        room: usize,
    },
    /// Its `Serialize` refused, or postcard has no form for it.
    #[error("the value cannot be serialised with postcard: try it with `testing::round_trip`")]
    Unserialisable,
    /// It is not a value of the type that it was asked for.
    #[error("the bytes are not a value of this type: decode them as the type that the node takes or yields")]
    OtherType,
}

impl<const BYTES: usize> Slice<BYTES> {
    /// The bytes.
    ///
    /// # Errors
    /// When they were not kept.
    pub fn bytes(&self) -> Result<&[u8], NotKept> {
        match &self.0 {
            Bytes::Kept(bytes) => Ok(bytes),
            Bytes::Absent => Err(NotKept::Absent),
            Bytes::TooLong { needed } => Err(NotKept::TooLong { needed: *needed, room: BYTES }),
            Bytes::Unserialisable => Err(NotKept::Unserialisable),
        }
    }

    /// The value, where it was a `T`.
    ///
    /// # Errors
    /// When it was not kept, or is no `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, NotKept> {
        match postcard::take_from_bytes(self.bytes()?) {
            Ok((value, [])) => Ok(value),
            _ => Err(NotKept::OtherType),
        }
    }

    pub(super) fn of(value: &impl Recordable) -> Self {
        let mut bytes = heapless::Vec::new();
        // There is room for as many as there is room for.
        let _ = bytes.resize_default(BYTES);
        Self(match postcard::to_slice(value, &mut bytes) {
            Ok(written) => {
                let len = written.len();
                bytes.truncate(len);
                Bytes::Kept(bytes)
            }
            Err(postcard::Error::SerializeBufferFull) => match postcard::experimental::serialized_size(value) {
                Ok(needed) => Bytes::TooLong { needed },
                Err(_) => Bytes::Unserialisable,
            },
            Err(_) => Bytes::Unserialisable,
        })
    }
}

impl<const BYTES: usize> fmt::Debug for Slice<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.bytes(), f)
    }
}
