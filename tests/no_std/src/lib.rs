//! A pipeline with retries, a time-out and checkpoints in a `static`, polled to its end by hand: no `std`, no heap, no executor.

#![no_std]
#![forbid(unsafe_code)]

use core::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, Cause, Clock, Failure, FailureClass, NodeCx, Now, PolicyMap, RunId, RunStatus, Runner, ms, node,
    node_with, par, store::MemoryStore,
};

/// Room for two runs of five slots: four nodes and the input.
static STORE: MemoryStore<2, 5, 48> = MemoryStore::new();

/// Time as a device has it: a counter that something else moves on.
static CLOCK: Ticks = Ticks { millis: AtomicU32::new(0) };

/// How often the sensor was asked.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// A counter of milliseconds. It is only loaded and stored, which every chip can.
#[derive(Debug)]
struct Ticks {
    millis: AtomicU32,
}

impl Ticks {
    /// What the interrupt of a timer would do.
    fn tick(&self) {
        bump(&self.millis);
    }
}

impl Now for Ticks {
    fn now(&self) -> Duration {
        ms(self.millis.load(Ordering::Relaxed).into())
    }
}

impl Clock for Ticks {
    type Sleep<'a> = Until<'a>;

    fn sleep(&self, duration: Duration) -> Until<'_> {
        Until { clock: self, moment: self.now() + duration }
    }
}

/// A wait for a moment. Nobody is woken: whoever polls, polls again.
#[derive(Debug)]
struct Until<'a> {
    clock: &'a Ticks,
    moment: Duration,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() < self.moment { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Adds one, where nothing else writes.
fn bump(counter: &AtomicU32) -> u32 {
    let next = counter.load(Ordering::Relaxed) + 1;
    counter.store(next, Ordering::Relaxed);
    next
}

/// What goes from node to node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
struct Sample {
    channel: u8,
    value: u16,
}

/// What goes wrong with a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SensorError {
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

impl fmt::Display for SensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the sensor is busy",
            Self::Broken => "the sensor is broken",
        })
    }
}

/// Fails at once the first time, does not answer the second time, and answers the third time.
async fn read(channel: u8) -> Result<Sample, SensorError> {
    match bump(&ASKED) {
        1 => Err(SensorError::Busy),
        2 => {
            CLOCK.sleep(ms(1_000)).await;
            Err(SensorError::Broken)
        }
        _ => Ok(Sample { channel, value: 500 }),
    }
}

async fn scale(sample: Sample) -> Result<u32, SensorError> {
    CLOCK.sleep(ms(2)).await;
    Ok(u32::from(sample.value) * 3)
}

async fn check(sample: Sample) -> Result<bool, SensorError> {
    Ok(sample.value < 1_000)
}

/// What nodes are lent.
#[derive(Debug)]
struct Board {
    offset: u32,
}

async fn correct((scaled, plausible): (u32, bool), cx: NodeCx<'_, Board>) -> Result<u32, SensorError> {
    if plausible { Ok(scaled + cx.context().offset) } else { Err(SensorError::Broken) }
}

/// Polls a future until it is ready, with a tick of the clock after each poll. Gives up after a while.
fn drive<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return Some(output);
        }
        CLOCK.tick();
    }
    None
}

/// Runs all of it; what was wrong, if anything was.
///
/// # Errors
/// With what did not come out as it should have.
pub fn run() -> Result<(), &'static str> {
    let patient = PolicyMap::never().recoverable(3, Backoff::constant(ms(10)));
    let pipeline = node("read", read)
        .timeout(ms(50))
        .retry(patient)
        .then(par(node("scale", scale), node("check", check)))
        .then(node_with("correct", correct));
    let runner = Runner::new(pipeline)
        .with_store(&STORE)
        .with_clock(&CLOCK)
        .with_context(Board { offset: 7 })
        .build()
        .map_err(|_| "the runner cannot be built")?;
    let id = RunId::from_u128(1);

    let done = drive(runner.run_as(id, 2)).ok_or("it hangs")?.map_err(|_| "the first run halted")?;
    expect(done.output == 1_507, "the output is another one")?;
    expect(done.report.status == RunStatus::Completed, "the status is another one")?;
    // A wait of 10 ms, a time-out of 50 ms, another wait, and 2 ms of scaling.
    expect(done.report.spent.time >= ms(72), "it was faster than its waits")?;
    expect(ASKED.load(Ordering::Relaxed) == 3, "the sensor was not asked three times")?;

    let again = drive(runner.run_as(id, 2)).ok_or("it hangs")?.map_err(|_| "the second run halted")?;
    expect(again.output == 1_507, "the output of a finished run is another one")?;
    expect(again.report.status == RunStatus::Resumed, "a finished run was not taken from the store")?;
    expect(ASKED.load(Ordering::Relaxed) == 3, "a finished run asked the sensor again")?;

    let other = drive(runner.run_as(id, 3)).ok_or("it hangs")?;
    expect(matches!(other.map_err(|halted| halted.cause), Err(Cause::OtherInput)), "another input was let in")?;
    Ok(())
}

fn expect(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}
