//! The clock of the board: SysTick, once a millisecond.

use core::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use critical_section::Mutex;
use stroma::{Clock, Now, ms};

/// Ticks of the processor's clock in a millisecond: 12.5 MHz after a reset of the one board, 64 MHz in QEMU's model of the other.
const TICKS_PER_MS: u32 = if cfg!(microbit) { 64_000 } else { 12_500 };

static TIME: Mutex<RefCell<Time>> = Mutex::new(RefCell::new(Time { millis: 0, alarm: None }));

struct Time {
    millis: u64,
    /// The next moment that the program waits for, and whom to wake then. It is one task, so one waker is enough.
    alarm: Option<(u64, Waker)>,
}

/// The clock; its time begins at each reset.
#[derive(Debug, Clone, Copy)]
pub struct SysTick;

/// Lets the time go by.
pub fn start(timer: &mut SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(TICKS_PER_MS - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

#[exception]
fn SysTick() {
    let due = critical_section::with(|cs| {
        let mut time = TIME.borrow_ref_mut(cs);
        time.millis += 1;
        let millis = time.millis;
        time.alarm.take_if(|(moment, _)| *moment <= millis)
    });
    if let Some((_, waker)) = due {
        waker.wake();
    }
}

impl SysTick {
    pub fn millis() -> u64 {
        critical_section::with(|cs| TIME.borrow_ref(cs).millis)
    }
}

impl Now for SysTick {
    fn now(&self) -> Duration {
        ms(Self::millis())
    }
}

impl Clock for SysTick {
    type Sleep<'a> = Sleep;

    fn sleep(&self, duration: Duration) -> Sleep {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        // The tick that is under way is not a whole one.
        Sleep { moment: Self::millis().saturating_add(millis).saturating_add(1) }
    }
}

/// A wait for a moment.
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Sleep {
    moment: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        critical_section::with(|cs| {
            let mut time = TIME.borrow_ref_mut(cs);
            if time.millis >= self.moment {
                return Poll::Ready(());
            }
            // Whoever waits for longer sets the alarm again when the task is polled for the earlier one.
            if time.alarm.as_ref().is_none_or(|(moment, _)| self.moment < *moment) {
                time.alarm = Some((self.moment, task.waker().clone()));
            }
            Poll::Pending
        })
    }
}
