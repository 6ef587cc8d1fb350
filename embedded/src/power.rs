//! The power of the device, which fails at the step that it is told to fail at.

use cortex_m::peripheral::SCB;

use crate::kept::{Kept, Word, kept};

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Something in a stage of the pipeline: its beginning, its end, and what it does with sensor and radio.
    Stage = 0,
    /// A word of the flash is written.
    Word = 1,
    /// A page of the flash is erased.
    Page = 2,
}

/// When in a step the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Tear {
    /// It had not begun.
    Before = 0,
    /// It was half done.
    Within = 1,
    /// It was done.
    After = 2,
}

pub const TEARS: u32 = 3;

/// Makes a step; how the power is to fail in it, if it is to.
pub fn step(step: Step) -> Option<Tear> {
    let Kept { power, world, .. } = kept();
    let number = power.steps.bump();
    let stage = world.stage.get();
    if step == Step::Word
        && let Some(last) = at(&power.last_word, stage)
    {
        last.set(number);
    }
    if number != power.fuse.get() {
        return None;
    }
    power.at.set(step as u32);
    power.at_stage.set(stage);
    Some(match power.tear.get() {
        0 => Tear::Before,
        1 => Tear::Within,
        _ => Tear::After,
    })
}

/// What is kept for a stage, which is counted from 1.
pub fn at(of: &[Word], stage: u32) -> Option<&Word> {
    of.get((stage as usize).checked_sub(1)?)
}

/// The power fails. What comes up again is the device after a reset, with nothing in its memory but what is kept.
pub fn fail() -> ! {
    let Kept { power, world, .. } = kept();
    power.fuse.set(0);
    power.failures.bump();
    if let Some(cut) = at(&world.cut, world.stage.get()) {
        cut.bump();
    }
    SCB::sys_reset()
}

/// A step in a stage, at which the power may fail.
pub fn here() {
    if step(Step::Stage).is_some() {
        fail();
    }
}
