//! The program as a device has it: without test bench and text. After a reset it goes on with the report that was under way.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m::{Peripherals, peripheral::SCB};
use stroma_embedded::{
    clock,
    kept::kept,
    life::{Outcome, life},
};

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(mut peripherals) = Peripherals::take() else { SCB::sys_reset() };
    clock::start(&mut peripherals.SYST);
    // Which report is the next one; a real board has a counter in its flash, or a clock that goes on.
    let number = &kept().bench.run;
    loop {
        let report = number.get();
        match life(report, Some(report), 2_000, |_| ()) {
            Ok(ended) if matches!(ended.outcome, Outcome::Done(_)) => number.set(report + 1),
            // The battery is empty, or something is wrong that may be gone after a reset.
            _ => SCB::sys_reset(),
        }
    }
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
