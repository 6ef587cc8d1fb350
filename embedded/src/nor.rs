//! A NOR flash chip, simulated in memory that a reset leaves alone. The power can fail at each word that it writes and at each
//! page that it erases, and leaves there what it leaves on a chip.

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use stroma::{Clock, ms};

use crate::{
    clock::SysTick,
    kept::{Word, kept},
    power::{self, Step, Tear},
};

const WORD: usize = 4;
/// The smaller board has 16 KiB of memory for everything.
pub const PAGE: usize = if cfg!(microbit) { 512 } else { 1_024 };
pub const PAGES: usize = 4;
pub const SIZE: u32 = (PAGE * PAGES) as u32;
pub const WORDS: usize = PAGE * PAGES / WORD;

/// The driver of the chip.
pub struct Nor {
    /// How long it takes to erase a page, in milliseconds.
    pub erase_time: u64,
}

/// What goes wrong with it: it was asked for what is not there or not aligned, or to write a word that was not blank.
#[derive(Debug, Clone, Copy)]
pub enum NorError {
    Address,
    NotBlank,
}

impl NorFlashError for NorError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Address => NorFlashErrorKind::OutOfBounds,
            Self::NotBlank => NorFlashErrorKind::Other,
        }
    }
}

/// The words of a part of the chip that begins and ends with a word.
fn words(from: u32, to: u32) -> Result<&'static [Word], NorError> {
    let (from, to) = (from as usize, to as usize);
    if !from.is_multiple_of(WORD) || !to.is_multiple_of(WORD) {
        return Err(NorError::Address);
    }
    kept().chip.get(from / WORD..to / WORD).ok_or(NorError::Address)
}

/// A chip as it comes from the factory.
pub fn erase_all() {
    kept().chip.iter().for_each(|word| word.set(u32::MAX));
}

impl ErrorType for Nor {
    type Error = NorError;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        let end = (offset as usize).checked_add(bytes.len()).filter(|end| *end <= SIZE as usize);
        let end = end.ok_or(NorError::Address)?;
        let first = offset as usize / WORD;
        let mut skip = offset as usize % WORD;
        let mut bytes = bytes.iter_mut();
        for word in kept().chip.get(first..end.div_ceil(WORD)).ok_or(NorError::Address)? {
            let word = word.get().to_le_bytes();
            // In this order: a `zip` asks its first half first, and what that one has given is gone.
            for (from, to) in word.iter().skip(skip).zip(bytes.by_ref()) {
                *to = *from;
            }
            skip = 0;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE as usize
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        if !(from as usize).is_multiple_of(PAGE) || !(to as usize).is_multiple_of(PAGE) {
            return Err(NorError::Address);
        }
        for page in words(from, to)?.chunks(PAGE / WORD) {
            if self.erase_time > 0 {
                // The processor sleeps meanwhile.
                SysTick.sleep(ms(self.erase_time)).await;
            }
            let failing = power::step(Step::Page);
            let erased = match failing {
                Some(Tear::Before) => 0,
                Some(Tear::Within) => page.len() / 2,
                Some(Tear::After) | None => page.len(),
            };
            page.iter().take(erased).for_each(|word| word.set(u32::MAX));
            kept().power.erases.bump();
            if failing.is_some() {
                power::fail();
            }
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        let to = words(offset, offset + bytes.len() as u32)?;
        for (to, from) in to.iter().zip(bytes.chunks_exact(WORD)) {
            let from = from.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            if to.get() != u32::MAX {
                return Err(NorError::NotBlank);
            }
            let failing = power::step(Step::Word);
            to.set(match failing {
                Some(Tear::Before) => u32::MAX,
                // Bits only ever go from one to zero, and some of them have not.
                Some(Tear::Within) => from | 0x5a5a_5a5a,
                Some(Tear::After) | None => from,
            });
            if failing.is_some() {
                power::fail();
            }
        }
        Ok(())
    }
}
