//! `device` without the crate, for comparison.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m::{Peripherals, peripheral::SCB};
use stroma_embedded::{by_hand::life, clock, kept::kept};

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(mut peripherals) = Peripherals::take() else { SCB::sys_reset() };
    clock::start(&mut peripherals.SYST);
    let number = &kept().bench.run;
    loop {
        let report = number.get();
        match life(report, 2_000) {
            Ok(_) => number.set(report + 1),
            Err(_) => SCB::sys_reset(),
        }
    }
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
