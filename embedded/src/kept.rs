//! Memory that a reset leaves as it is: the start-up code neither clears nor fills it.
//!
//! In it are the simulated flash chip, the world outside of the device, and what the test bench wants to know after a reset.

#![allow(unsafe_code, reason = "a section of the linker's, and memory that was written before the program began")]

use core::{
    mem::MaybeUninit,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{app::STAGES, nor};

/// The smaller board has no room for the test bench of `resets`, which alone wants an image.
const IMAGE: usize = if cfg!(microbit) { 0 } else { nor::WORDS };

/// A number in memory that is kept. It is only loaded and stored, which every chip can.
pub struct Word(AtomicU32);

impl Word {
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds one; what it comes to.
    pub fn bump(&self) -> u32 {
        self.add(1)
    }

    pub fn add(&self, more: u32) -> u32 {
        let sum = self.get().wrapping_add(more);
        self.set(sum);
        sum
    }
}

/// All that is kept. It is made of words alone, so whatever bits are found there are a value of it.
#[repr(C)]
pub struct Kept {
    pub chip: [Word; nor::WORDS],
    /// The chip as it is when the power is about to be cut.
    pub image: [Word; IMAGE],
    pub world: World,
    pub power: Power,
    pub bench: Bench,
}

/// What is outside of the device: no reset of it changes what has happened there.
#[repr(C)]
pub struct World {
    /// How often the sensor was asked, and whether it is busy when it is asked next.
    pub asked: Word,
    pub busy: Word,
    /// How many frames went out, and whether the next one is not answered.
    pub sent: Word,
    pub deaf: Word,
    /// What the radio took from the battery, in microjoules.
    pub energy: Word,
    /// How many frames the gateway took, how many it had already, and the last that it took with its key.
    pub accepted: Word,
    pub repeated: Word,
    pub frame: [Word; 4],
    pub key: Word,
    /// How often each stage began, came to its end, and was cut off by the power or had its checkpoint cut off.
    pub begun: [Word; STAGES],
    pub ended: [Word; STAGES],
    pub cut: [Word; STAGES],
    /// The stage that began last, from 1, and the furthest that ever began.
    pub stage: Word,
    pub furthest: Word,
    /// How often a stage began after a later one had.
    pub paid_twice: Word,
}

/// The power of the device, and when it fails.
#[repr(C)]
pub struct Power {
    /// How many steps were made since the run began, or since it went on.
    pub steps: Word,
    /// At which step it fails; 0 for never.
    pub fuse: Word,
    pub tear: Word,
    /// How often it failed, and at what: 0 for a step of a stage, 1 for a word of the flash, 2 for a page.
    pub failures: Word,
    pub at: Word,
    pub at_stage: Word,
    /// The last step at which a word of the flash was written in each stage, and the first step of each stage.
    pub last_word: [Word; STAGES],
    pub first_step: [Word; STAGES],
    pub erases: Word,
}

/// Where the test bench is.
#[repr(C)]
pub struct Bench {
    pub magic: Word,
    pub phase: Word,
    pub lives: Word,
    pub step: Word,
    pub run: Word,
    pub random: Word,
    pub resets: Word,
    pub runs: Word,
    pub most_lives: Word,
    pub pages_cut: Word,
    pub words_cut: Word,
    pub stages_cut: Word,
    /// The reference run: its steps, and for each stage the last word of its checkpoint, and its first step.
    pub steps: Word,
    pub last_word: [Word; STAGES],
    pub first_step: [Word; STAGES],
    /// From which step on a stage was not run again, for each way in which the power fails.
    pub settled: [[Word; STAGES]; 3],
    /// Summed over all runs: how often a stage was cut off, and how often it ran again for that.
    pub cut: [Word; STAGES],
    pub again: [Word; STAGES],
    pub repeated: Word,
    /// The deepest stack of any run, in bytes.
    pub stack: Word,
}

#[unsafe(link_section = ".uninit.KEPT")]
static KEPT: MaybeUninit<Kept> = MaybeUninit::uninit();

/// The memory that is kept.
pub fn kept() -> &'static Kept {
    // SAFETY: it is made of atomic integers alone, for which all bits are valid, and it is never borrowed mutably. What is in
    // it after power-on is whatever the memory came up with, which `Bench::magic` tells from what was written.
    unsafe { KEPT.assume_init_ref() }
}

/// Everything is as on the first day.
pub fn clear(words: &[Word]) {
    words.iter().for_each(|word| word.set(0));
}
