//! Runs the pipeline on a board, or in an emulator of one; on a computer too.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board {
    use core::panic::PanicInfo;

    use cortex_m::asm::wfi;
    use cortex_m_semihosting::{
        debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
        hprintln,
    };
    #[cortex_m_rt::entry]
    fn main() -> ! {
        match stroma_no_std::run() {
            Ok(()) => {
                hprintln!("ok");
                exit(EXIT_SUCCESS);
            }
            Err(why) => {
                hprintln!("failed: {}", why);
                exit(EXIT_FAILURE);
            }
        }
        loop {
            wfi();
        }
    }

    #[panic_handler]
    fn panicked(info: &PanicInfo<'_>) -> ! {
        hprintln!("{}", info);
        exit(EXIT_FAILURE);
        loop {
            wfi();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), &'static str> {
    stroma_no_std::run()
}
