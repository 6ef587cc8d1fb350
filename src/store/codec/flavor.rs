//! Where postcard writes to: a buffer, or nothing at all.

use postcard::ser_flavors::Flavor;

use super::super::EncodeError;

/// Where a payload goes.
pub(super) struct Sink<'b> {
    pub(super) rest: &'b mut [u8],
    pub(super) at: usize,
}

impl Flavor for Sink<'_> {
    type Output = Self;

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        *self.rest.get_mut(self.at).ok_or(postcard::Error::SerializeBufferFull)? = byte;
        self.at += 1;
        Ok(())
    }

    #[inline(always)]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // Most pieces are numbers of a byte or two, and a call to copy them would cost more than they do.
        match bytes {
            [one] => return self.try_push(*one),
            [one, two] => {
                self.try_push(*one)?;
                return self.try_push(*two);
            }
            _ => {}
        }
        let end = self.at + bytes.len();
        self.rest.get_mut(self.at..end).ok_or(postcard::Error::SerializeBufferFull)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self> {
        Ok(self)
    }
}

#[cold]
pub(super) fn refused(error: postcard::Error) -> EncodeError {
    match error {
        postcard::Error::SerializeBufferFull => EncodeError::NoRoom,
        _ => EncodeError::Unserialisable,
    }
}

/// Serialises into nothing and says whether the bytes would have been the expected ones: no buffer needed.
pub(super) struct Compare<'e> {
    pub(super) expected: &'e [u8],
}

impl Flavor for Compare<'_> {
    type Output = bool;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match self.expected.strip_prefix(bytes) {
            Some(rest) => {
                self.expected = rest;
                Ok(())
            }
            None => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.expected.is_empty())
    }
}
