//! How a program ends that runs in an emulator.

use core::panic::PanicInfo;

use cortex_m::asm;
use cortex_m_semihosting::{
    debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
    hprintln,
};

/// All went well.
pub fn succeed() -> ! {
    hprintln!("all is well");
    exit(EXIT_SUCCESS);
    stop()
}

/// Something is wrong.
pub fn fail(why: &str) -> ! {
    hprintln!("FAILED: {}", why);
    exit(EXIT_FAILURE);
    stop()
}

/// What a panic handler does.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    hprintln!("FAILED: {}", info);
    exit(EXIT_FAILURE);
    stop()
}

/// Without an emulator there is nobody to tell.
fn stop() -> ! {
    loop {
        asm::wfi();
    }
}
