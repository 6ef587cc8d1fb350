//! The slots of one run, on the heap.

use alloc::vec::Vec;

use super::super::{
    Encode, EncodeError, StoreError,
    table::{Buffer, Cell, Cells, Table, refused},
};

pub(super) type HeapTable = Table<Vec<Cell<Vec<u8>>>>;

impl Cells for Vec<Cell<Vec<u8>>> {
    type Buffer = Vec<u8>;

    #[inline(always)]
    fn all(&self) -> &[Cell<Vec<u8>>] {
        self
    }

    #[inline(always)]
    fn all_mut(&mut self) -> &mut [Cell<Vec<u8>>] {
        self
    }

    fn reach(&mut self, len: usize) -> bool {
        if len > self.len() {
            self.resize_with(len, || Cell::vacant(Vec::new()));
        }
        true
    }
}

/// All of the vector is room for the value: its length is what the longest so far took.
impl Buffer for Vec<u8> {
    type Spare = Self;

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline(always)]
    fn fill(&mut self, value: impl Encode) -> Result<usize, StoreError> {
        match value.encode(self) {
            Ok(len) => Ok(len),
            Err(error) => fill_larger(self, value, error),
        }
    }

    fn refill(&mut self, value: impl Encode, spare: &mut Self) -> Result<usize, StoreError> {
        let len = spare.fill(value)?;
        core::mem::swap(self, spare);
        Ok(len)
    }
}

#[cold]
fn fill_larger(buffer: &mut Vec<u8>, value: impl Encode, error: EncodeError) -> Result<usize, StoreError> {
    if error != EncodeError::NoRoom {
        return Err(error.into());
    }
    let len = value.encoded_len()?;
    if len > buffer.len() {
        buffer.resize(len, 0);
    }
    value.encode(buffer).map_err(|error| refused(value, error, len))
}
