//! The bytes of a checkpoint.
//!
//! ```text
//! version  1 byte    FORMAT_VERSION
//! schema   8 bytes   FNV-1a of the postcard schema, little endian
//! shape    8 bytes   only for a run's input: FNV-1a of the pipeline's node ids and shape, little endian
//! payload  n bytes   postcard
//! crc      4 bytes   CRC-32/ISO-HDLC of all before it, little endian
//! ```

mod flavor;
#[cfg(test)]
mod tests;
mod wary;

use core::{fmt, marker::PhantomData, num::NonZeroU64};

use postcard::ser_flavors::Flavor;
use postcard_schema::{Schema, key::Key};
use serde::{Serialize, de::DeserializeOwned};

use self::{
    flavor::{Compare, Sink, refused},
    wary::{Wary, has_map},
};
use super::{Encode, EncodeError};

/// The first byte of every checkpoint.
pub const FORMAT_VERSION: u8 = 1;

const VERSION_AND_SCHEMA: usize = 9;
const SHAPE: usize = 8;
const CRC: usize = 4;

// A constant, not a static: so the compiler sees the parameters of the algorithm and drops the branches for others.
const CHECKSUM: &crc::Crc<u32> = &crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// What every checkpoint of a `T` begins with.
struct Header<T>(PhantomData<T>);

impl<T: Payload> Header<T> {
    const BYTES: [u8; VERSION_AND_SCHEMA] = {
        let [a, b, c, d, e, f, g, h] = T::SCHEMA_KEY.to_le_bytes();
        [FORMAT_VERSION, a, b, c, d, e, f, g, h]
    };

    /// The checksum so far, so that a run never computes it over these bytes.
    const DIGEST: crc::Digest<'static, u32> = {
        let mut digest = CHECKSUM.digest();
        digest.update(&Self::BYTES);
        digest
    };
}

/// A value that can be kept in a store and comes back: everything that is `Serialize`, `DeserializeOwned` and `Schema`.
///
/// Derive the three, or with feature `derive` put `#[stroma::state]` above the type, which does:
///
/// ```
/// use postcard_schema::Schema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize, Schema)]
/// struct Entities {
///     names: Vec<String>,
/// }
/// # fn is_payload<T: stroma::store::Payload>() {}
/// # is_payload::<Entities>();
/// ```
///
/// What postcard cannot keep: `usize` and `isize` (no fixed size), recursive types (no finite schema), fields that are
/// skipped, enums that are `untagged` or internally tagged, and foreign types without a newtype of yours around them. A
/// `usize` in a field is refused where the field is: *the trait bound `usize: postcard_schema::Schema` is not satisfied*.
///
/// A type that borrows, such as `&'static str`, cannot come back from bytes that are gone by then. The compiler says so without
/// naming the type: *implementation of `Deserialize` is not general enough*. Keep a `String` in its place.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a checkpoint",
    label = "a runner with a store keeps what passes between its nodes",
    note = "a checkpointed type is `Serialize`, `DeserializeOwned` and `Schema`: `#[stroma::state]` of feature `derive`, or \
            `#[derive(Clone, serde::Serialize, serde::Deserialize, postcard_schema::Schema)]`",
    note = "`usize` has another size on another machine: `u32` or `u64`",
    note = "a runner without a store asks for none of this: `Runner::new(pipeline)`"
)]
pub trait Payload: Serialize + DeserializeOwned + Schema {
    /// The hash of the type's schema.
    const SCHEMA_KEY: u64;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Schema> Payload for T {
    const SCHEMA_KEY: u64 = u64::from_le_bytes(Key::for_path::<T>("").to_bytes());
}

/// Why a checkpoint was not taken over. Nothing is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointError {
    /// The node that it is of, or `None` for the run's input.
    pub node: Option<&'static str>,
    /// What is wrong with it.
    pub fault: CheckpointFault,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "the checkpoint of node `{node}` "),
            None => write!(f, "the stored input of the run "),
        }?;
        fmt::Display::fmt(&self.fault, f)?;
        // The input cannot be discarded: there would be nothing to begin from.
        if self.node.is_some() && !matches!(self.fault, CheckpointFault::Version { .. }) {
            f.write_str("; `resume_from` that node discards it and all that depends on it")?;
        }
        Ok(())
    }
}

impl core::error::Error for CheckpointError {}

/// What is wrong with the bytes of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFault {
    /// It is of another version of the format.
    #[error(
        "has format version {found}, this program reads {FORMAT_VERSION}: resume it with the program that wrote it"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// It is of a type with another schema.
    #[error(
        "was written as a type with schema {stored:016x}, the type is now {expected:016x}: resume it with the program that \
         wrote it"
    )]
    Schema {
        /// The schema key it was written with.
        stored: u64,
        /// The schema key of the type at hand.
        expected: u64,
    },
    /// It is shorter than any checkpoint, so part of it is missing.
    #[error("is truncated to {len} bytes")]
    Truncated {
        /// How many bytes there are.
        len: usize,
    },
    /// Its checksum does not match its bytes.
    #[error("is damaged (its checksum does not match)")]
    Damaged,
    /// Its checksum and schema match and still it does not decode.
    #[error("does not decode: the type's `Serialize` and `Deserialize` do not agree; see `testing::round_trip`")]
    Undecodable,
}

/// How many bytes the checkpoint of `value` takes.
///
/// # Errors
/// When the value cannot be serialised.
pub fn encoded_len<T: Payload>(value: &T) -> Result<usize, EncodeError> {
    Value::output(value).encoded_len()
}

/// Writes the checkpoint of `value` to the front of `buffer` and returns its length.
///
/// ```
/// let mut buffer = [0; 32];
/// let len = stroma::store::encode(&7_u64, &mut buffer)?;
/// assert_eq!(len, 14);
/// assert_eq!(stroma::store::decode::<u64>(&buffer[..len]).unwrap(), 7);
/// # Ok::<(), stroma::store::EncodeError>(())
/// ```
///
/// # Errors
/// When `buffer` is too short or the value cannot be serialised.
#[inline]
pub fn encode<T: Payload>(value: &T, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    Value::output(value).encode(buffer)
}

/// Reads a checkpoint that [`encode`] wrote.
///
/// Whoever wrote the bytes, decoding takes memory in proportion to them: a length that they claim makes no room before what it
/// counts is there. Per byte it is at most what the largest element of a list in `T` takes, divided by the fewest bytes that such
/// an element has, and thrice that while a list grows; a map of few entries has room for eleven. Only elements that have no
/// byte at all, such as `()`, are as many as the bytes say.
///
/// # Errors
/// When the bytes are not a whole checkpoint of a `T`.
#[inline(always)]
pub fn decode<T: Payload>(bytes: &[u8]) -> Result<T, CheckpointFault> {
    let body = verified::<T>(bytes)?;
    payload(body.get(VERSION_AND_SCHEMA..).unwrap_or_default())
}

/// Encodes a value, decodes it and encodes it again, which must give the same bytes: for a test of a type's own, with values
/// that use all of it. A debug build does it with every checkpoint that it saves.
///
/// ```
/// use postcard_schema::Schema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Schema)]
/// struct Page {
///     text: String,
///     #[serde(skip)]
///     words: Vec<String>,
/// }
///
/// #[derive(Serialize, Deserialize, Schema)]
/// struct Sparse {
///     #[serde(skip_serializing_if = "Option::is_none")]
///     title: Option<String>,
///     text: String,
/// }
///
/// // What is skipped does not come back, but its absence is at least consistent.
/// assert!(stroma::testing::round_trip(&Page { text: "a".into(), words: vec!["a".into()] }).is_ok());
/// // What is sometimes there cannot be told from what comes after it.
/// assert!(stroma::testing::round_trip(&Sparse { title: None, text: "a".into() }).is_err());
/// ```
///
/// # Errors
/// When the value cannot be serialised, or does not come back as it was.
#[cfg(feature = "alloc")]
pub fn round_trip<T: Payload>(value: &T) -> Result<(), EncodeError> {
    let mut bytes = alloc::vec![0; encoded_len(value)?];
    let len = encode(value, &mut bytes)?;
    faithful::<T>(bytes.get(VERSION_AND_SCHEMA..len.saturating_sub(CRC)).unwrap_or_default())
}

/// A value on its way into a store: a node's output or, with the shape of the pipeline that it is for, a run's input.
#[derive(Debug)]
pub(crate) struct Value<'v, T> {
    pub(crate) value: &'v T,
    pub(crate) shape: Option<NonZeroU64>,
}

impl<'v, T> Value<'v, T> {
    const fn output(value: &'v T) -> Self {
        Self { value, shape: None }
    }
}

impl<T: Payload> Encode for Value<'_, T> {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        let header = if self.shape.is_some() { VERSION_AND_SCHEMA + SHAPE } else { VERSION_AND_SCHEMA };
        let payload = postcard::experimental::serialized_size(self.value).map_err(|_| EncodeError::Unserialisable)?;
        Ok(header + payload + CRC)
    }

    #[inline]
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        write(self.value, self.shape, buffer)
    }
}

#[inline(always)]
pub(crate) fn decode_value<T: Payload>(bytes: &[u8], node: &'static str) -> Result<T, CheckpointError> {
    decode(bytes).map_err(|fault| CheckpointError { node: Some(node), fault })
}

pub(crate) fn decode_input<T: Payload>(bytes: &[u8]) -> Result<T, CheckpointError> {
    let inner = || {
        let body = verified::<T>(bytes)?;
        payload(body.get(VERSION_AND_SCHEMA + SHAPE..).ok_or(CheckpointFault::Truncated { len: bytes.len() })?)
    };
    inner().map_err(|fault| CheckpointError { node: None, fault })
}

/// The schema that these bytes were written with, as far as they go.
#[cfg(any(feature = "redb", feature = "redis"))]
pub(super) fn schema_of(head: &[u8]) -> Option<u64> {
    let (version, rest) = head.split_first()?;
    let schema = rest.first_chunk().filter(|_| *version == FORMAT_VERSION)?;
    Some(u64::from_le_bytes(*schema))
}

/// The shape that these bytes of an input were written for.
#[cfg(any(feature = "redb", feature = "redis"))]
pub(super) fn shape_of(head: &[u8]) -> Option<u64> {
    schema_of(head)?;
    input_fingerprint(head).ok()
}

/// How much of a checkpoint tells its schema and its shape.
#[cfg(any(feature = "redb", feature = "redis"))]
pub(super) const HEAD: usize = VERSION_AND_SCHEMA + SHAPE;

/// Whether the checksum is that of the bytes before it, whatever type they are of.
#[cfg(any(feature = "redb", feature = "redis"))]
pub(super) fn is_intact(bytes: &[u8]) -> bool {
    bytes.split_last_chunk().is_some_and(|(body, crc)| CHECKSUM.checksum(body) == u32::from_le_bytes(*crc))
}

/// The shape that a stored input was written for.
#[inline]
pub(crate) fn input_fingerprint(bytes: &[u8]) -> Result<u64, CheckpointError> {
    bytes
        .get(VERSION_AND_SCHEMA..VERSION_AND_SCHEMA + SHAPE)
        .and_then(|shape| shape.try_into().ok())
        .map(u64::from_le_bytes)
        .ok_or(CheckpointError { node: None, fault: CheckpointFault::Truncated { len: bytes.len() } })
}

/// Whether stored bytes are the input `value`, by the bytes of the payload; the input itself is checked first.
pub(crate) fn check_input<T: Payload>(bytes: &[u8], value: &T) -> Result<bool, CheckpointError> {
    let body = verified::<T>(bytes).map_err(|fault| CheckpointError { node: None, fault })?;
    let stored = body.get(VERSION_AND_SCHEMA + SHAPE..).unwrap_or_default();
    Ok(postcard::serialize_with_flavor(value, Compare { expected: stored }).unwrap_or(false))
}

// One call of its own: whoever calls it inlined several times over would keep the serialiser from being inlined in it.
#[inline(never)]
fn write<T: Payload>(value: &T, shape: Option<NonZeroU64>, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let (header, rest) = buffer.split_first_chunk_mut().ok_or(EncodeError::NoRoom)?;
    *header = Header::<T>::BYTES;
    let mut sink = Sink { rest, at: 0 };
    if let Some(shape) = shape {
        sink.try_extend(&shape.get().to_le_bytes()).map_err(refused)?;
    }
    // The serialiser itself, since the function around it would not be inlined.
    let mut serializer = postcard::Serializer { output: sink };
    value.serialize(&mut serializer).map_err(refused)?;
    let Sink { rest, at } = serializer.output;
    let (body, rest) = rest.split_at_mut_checked(at).ok_or(EncodeError::NoRoom)?;
    // After the payload and not on the way: the serialiser has one thing less to carry from number to number.
    let mut digest = Header::<T>::DIGEST;
    digest.update(body);
    *rest.first_chunk_mut().ok_or(EncodeError::NoRoom)? = digest.finalize().to_le_bytes();
    #[cfg(debug_assertions)]
    faithful::<T>(body.get(if shape.is_some() { SHAPE } else { 0 }..).unwrap_or_default())?;
    Ok(VERSION_AND_SCHEMA + at + CRC)
}

/// The bytes before the checksum, once version, checksum and schema were found right.
#[inline]
fn verified<T: Payload>(bytes: &[u8]) -> Result<&[u8], CheckpointFault> {
    if let Some((body, crc)) = bytes.split_last_chunk::<CRC>()
        && let Some(rest) = body.strip_prefix(&Header::<T>::BYTES)
    {
        let mut digest = Header::<T>::DIGEST;
        digest.update(rest);
        if digest.finalize() == u32::from_le_bytes(*crc) {
            return Ok(body);
        }
    }
    Err(unverified(bytes, T::SCHEMA_KEY))
}

/// What is wrong with bytes that are not a checkpoint of the type at hand.
#[cold]
fn unverified(bytes: &[u8], expected: u64) -> CheckpointFault {
    let truncated = CheckpointFault::Truncated { len: bytes.len() };
    let Some((body, crc)) = bytes.split_last_chunk::<CRC>() else { return truncated };
    let [version, rest @ ..] = body else { return truncated };
    let Some((schema, _)) = rest.split_first_chunk::<8>() else { return truncated };
    if *version != FORMAT_VERSION {
        return CheckpointFault::Version { found: *version };
    }
    if CHECKSUM.checksum(body) != u32::from_le_bytes(*crc) {
        return CheckpointFault::Damaged;
    }
    CheckpointFault::Schema { stored: u64::from_le_bytes(*schema), expected }
}

#[inline]
fn payload<T: Payload>(bytes: &[u8]) -> Result<T, CheckpointFault> {
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    let value = match const { has_map(T::SCHEMA) } {
        true => T::deserialize(Wary(&mut deserializer)),
        false => T::deserialize(&mut deserializer),
    };
    let value = value.map_err(|_| CheckpointFault::Undecodable)?;
    // Bytes left over mean that the type does not read what it wrote.
    match deserializer.finalize() {
        Ok([]) => Ok(value),
        _ => Err(CheckpointFault::Undecodable),
    }
}

/// Decodes `bytes` and encodes the result again, which must give the same bytes.
#[cfg(any(debug_assertions, feature = "alloc"))]
pub(crate) fn faithful<T: Payload>(bytes: &[u8]) -> Result<(), EncodeError> {
    let again = payload::<T>(bytes).map_err(|_| EncodeError::NotFaithful)?;
    match postcard::serialize_with_flavor(&again, Compare { expected: bytes }) {
        Ok(true) => Ok(()),
        _ => Err(EncodeError::NotFaithful),
    }
}
