//! Pipelines with retries, a time-out, checkpoints in a `static`, a budget, a ring of events, hooks and contracts, polled to their end
//! by hand: no `std`, no heap, no executor.

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
    Attempt, Backoff, Budget, Cause, Clock, Direction, Failure, FailureClass, Hooks, NodeCx, Now, PolicyMap, RingTrace,
    RunId, RunStatus, Runner, SpendError, Usage, ms, node, node_with, par, store::MemoryStore,
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
    transmissions()
}

/// Counts attempts at nodes.
#[derive(Debug)]
struct Count(AtomicU32);

impl<In, Out, Er> Hooks<In, Out, Er> for &Count {
    fn on_start(&self, _: Attempt<'_>, _: Option<&In>) {
        bump(&self.0);
    }
}

impl From<SpendError> for SensorError {
    fn from(_: SpendError) -> Self {
        Self::Busy
    }
}

/// Sends a byte, for which it may take up to 40 units of energy, and takes 30.
async fn send(byte: u8, cx: NodeCx<'_, Board>) -> Result<u8, SensorError> {
    let energy = cx.reserve(Usage::tokens(40))?;
    CLOCK.sleep(ms(1)).await;
    energy.settle(Usage::tokens(30))?;
    Ok(byte + 1)
}

/// Room for two runs of three nodes and the input each.
static SENT: MemoryStore<2, 4, 32> = MemoryStore::new();

/// How an attempt at transmitting ended.
struct Sent {
    /// The last byte, or the node at which it stopped, and whether for its energy.
    ended: Result<u8, (Option<&'static str>, bool)>,
    energy: u64,
    attempts: u32,
    /// What the trace has last.
    traced: Option<&'static str>,
    broke: Option<Direction>,
}

/// Three transmissions that have so much energy together and no more.
// A call of its own, so that what it takes of the stack is given back: the smaller board has 16 KiB of memory.
#[inline(never)]
fn transmit(run: u128, first: Option<u8>, energy: u64) -> Result<Sent, &'static str> {
    let count = Count(AtomicU32::new(0));
    let pipeline = node_with("first", send)
        .then(node_with("second", send))
        .then(node_with("third", send).ensure(|byte: &u8| *byte < 9));
    let runner = Runner::new(pipeline)
        .with_store(&SENT)
        .with_clock(&CLOCK)
        .with_context(Board { offset: 0 })
        .with_policies(PolicyMap::default())
        .with_hooks(&count)
        .with_trace(RingTrace::<1>::new())
        .with_budget(Budget::unlimited().tokens(energy).latency(ms(60_000)))
        .build()
        .map_err(|_| "the runner with a budget cannot be built")?;
    let id = RunId::from_u128(run);
    let ended = match first {
        Some(byte) => drive(runner.run_as(id, byte)),
        None => drive(runner.resume(id)),
    };
    let attempts = || count.0.load(Ordering::Relaxed);
    Ok(match ended.ok_or("it hangs")? {
        Ok(done) => Sent {
            ended: Ok(done.output),
            energy: done.report.spent.tokens,
            attempts: attempts(),
            traced: done.trace.iter().last().map(|event| event.node),
            broke: None,
        },
        Err(halted) => Sent {
            ended: Err((halted.node, matches!(halted.cause, Cause::Budget(_)))),
            energy: halted.report.spent.tokens,
            attempts: attempts(),
            traced: None,
            broke: match halted.cause {
                Cause::Contract(broken) => Some(broken.direction),
                _ => None,
            },
        },
    })
}

fn transmissions() -> Result<(), &'static str> {
    let sent = transmit(2, Some(1), 90)?;
    expect(sent.ended == Err((Some("third"), true)), "it did not stop at the third node for its energy")?;
    expect((sent.energy, sent.attempts) == (60, 3), "it took another amount of energy")?;

    // With more of it, it goes on, and what it took before counts.
    let sent = transmit(2, None, 100)?;
    expect(!matches!(sent.ended, Err((None, _))), "it did not begin to go on")?;
    expect(sent.ended == Ok(4), "it went on to another end")?;
    expect(sent.energy == 90, "what it took before does not count")?;
    expect(sent.attempts == 1, "it did something twice")?;
    expect(sent.traced == Some("third"), "the trace has something else")?;

    let sent = transmit(3, Some(7), 1_000)?;
    expect(sent.ended == Err((Some("third"), false)), "a contract was broken and nobody said so")?;
    expect(sent.broke == Some(Direction::Output), "another contract was broken")
}

fn expect(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}
