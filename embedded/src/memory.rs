//! How much of the memory is used.

#![allow(unsafe_code, reason = "the stack below the one that is in use")]

use core::ptr;

use cortex_m::register::msp;
use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Where the stack begins, at the top, and where it may go down to.
fn bounds() -> (usize, usize) {
    (&raw const _stack_start as usize, &raw const _stack_end as usize)
}

/// The memory that is left for the stack, in bytes.
pub fn stack_room() -> usize {
    let (top, end) = bounds();
    top - end
}

/// How far down the stack went since the reset, in bytes. The start-up code has painted all of it.
pub fn stack_used() -> usize {
    let (top, end) = bounds();
    let mut at = end;
    // SAFETY: it is memory that nothing else uses, up to the first word that was used.
    while at < top && unsafe { ptr::read_volatile(at as *const u32) } == STACK_PAINT_VALUE {
        at += size_of::<u32>();
    }
    top - at
}

/// Paints what is free of the stack anew.
pub fn paint() {
    let (_, end) = bounds();
    // Some of it is left alone for this function's own frame.
    let top = (msp::read() as usize).saturating_sub(64);
    for at in (end..top).step_by(size_of::<u32>()) {
        // SAFETY: it is below all that is in use.
        unsafe { ptr::write_volatile(at as *mut u32, STACK_PAINT_VALUE) };
    }
}
