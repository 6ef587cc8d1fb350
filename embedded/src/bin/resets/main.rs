//! A sensor that reports by radio, and a test bench that cuts its power at every step.
//!
//! The bench goes from phase to phase, most of them over many resets; where it is it keeps in memory that survives them.

#![no_std]
#![no_main]

mod bench;

use core::panic::PanicInfo;

use bench::Next;
use cortex_m::{Peripherals, peripheral::SCB};
use stroma_embedded::{clock, console};

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(mut peripherals) = Peripherals::take() else { console::fail("the peripherals are taken") };
    clock::start(&mut peripherals.SYST);
    match bench::go_on() {
        Ok(Next::Reset) => SCB::sys_reset(),
        Ok(Next::End) => console::succeed(),
        Err(why) => {
            bench::explain();
            console::fail(why)
        }
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    console::panicked(info)
}
