//! Values for tests of stores, of no type and without a codec.

use super::{Encode, EncodeError};

/// A value that is its own bytes; into a buffer that is too short it writes as many as fit.
pub(crate) struct Raw<'b>(pub(crate) &'b [u8]);

impl Encode for Raw<'_> {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.0.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let fits = self.0.len().min(buffer.len());
        if let (Some(to), Some(bytes)) = (buffer.get_mut(..fits), self.0.get(..fits)) {
            to.copy_from_slice(bytes);
        }
        if fits == self.0.len() { Ok(fits) } else { Err(EncodeError::NoRoom) }
    }
}

/// A value that scribbles over its buffer, and then cannot be encoded.
pub(crate) struct Faithless;

impl Encode for Faithless {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(3)
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer.get_mut(..3).ok_or(EncodeError::NoRoom)?.fill(0xee);
        Err(EncodeError::NotFaithful)
    }
}
