//! What both programs share: the nodes, the clock, and how they end.

use core::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{Clock, Failure, FailureClass, Now};

/// What goes from node to node.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Sample {
    pub(crate) channel: u8,
    pub(crate) value: u64,
}

/// What goes wrong in a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SensorError {
    Busy,
    Broken,
}

impl Failure for SensorError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Busy => FailureClass::Recoverable,
            Self::Broken => FailureClass::Terminal,
        }
    }
}

impl core::fmt::Display for SensorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Busy => "busy",
            Self::Broken => "broken",
        })
    }
}

macro_rules! nodes {
    ($($name:ident $add:literal;)*) => {$(
        pub(crate) async fn $name(sample: Sample) -> Result<Sample, SensorError> {
            match black_box(sample.value) {
                0 => Err(SensorError::Busy),
                1 => Err(SensorError::Broken),
                value => Ok(Sample { channel: sample.channel, value: value.wrapping_add($add) }),
            }
        }
    )*};
}

nodes! {
    n1 1;
    n2 2;
    n3 3;
    n4 4;
    n5 5;
    n6 6;
    n7 7;
    n8 8;
}

/// A clock that goes on by a second each time it is asked.
#[derive(Debug)]
pub(crate) struct Ticks(pub(crate) AtomicU32);

impl Now for Ticks {
    fn now(&self) -> Duration {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(1), Ordering::Relaxed);
        Duration::from_secs(now.into())
    }
}

impl Clock for Ticks {
    type Sleep<'a> = Ready<()>;

    fn sleep(&self, _: Duration) -> Ready<()> {
        ready(())
    }
}

/// Polls a future to its end.
pub(crate) fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// The program itself. It ends without a word: what it has to say is its exit code.
#[macro_export]
macro_rules! program {
    (|$argc:ident| $code:expr) => {
        #[cfg(not(test))]
        #[panic_handler]
        fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
            loop {}
        }

        // What is not in `core`: copying memory, and what comes before `main`.
        #[link(name = "c")]
        unsafe extern "C" {}

        #[unsafe(no_mangle)]
        extern "C" fn main($argc: i32, _: *const *const u8) -> i32 {
            $code
        }
    };
}
