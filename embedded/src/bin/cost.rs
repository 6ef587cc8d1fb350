//! What a node costs, in instructions: nodes that do next to nothing, so that it is the layers that are counted.

#![no_std]
#![no_main]

use core::{hint::black_box, panic::PanicInfo, pin::pin};

use cortex_m::{
    Peripherals, asm,
    peripheral::{SYST, syst::SystClkSource},
};
use cortex_m_semihosting::hprintln;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, PolicyMap, RunId, Runner, ms, node,
    store::{FlashRoom, FlashStore, MemoryStore},
};
use stroma_embedded::{
    app::{Fault, expected},
    board::{heard, measured},
    by_hand,
    clock::{self, SysTick},
    console,
    idle::block_on,
    kept::kept,
    memory,
    nor::{self, Nor},
};

/// The nodes of the shorter chain, and of the longer one.
const SHORT: u32 = 2;
const LONG: u32 = 6;

/// 32 bytes, which go from node to node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
struct Load([u16; 16]);

const LOAD: Load = Load([300; 16]);
const RETRY: PolicyMap = PolicyMap::never().recoverable(2, Backoff::constant(ms(1)));

/// The work of a node, of which the compiler can neither leave out nor merge anything: it is the same wherever it is called.
#[inline(never)]
fn work(load: &mut Load) {
    for value in &mut load.0 {
        *value = black_box(*value).wrapping_add(1);
    }
}

async fn step(mut load: Load) -> Result<Load, Fault> {
    work(&mut load);
    Ok(load)
}

/// How many ticks of the timer a thousand instructions take.
struct Rate(u32);

/// Counts with the timer at its full width, and without its interrupt.
fn stopwatch(timer: &mut SYST) -> Rate {
    const LOOPS: u32 = 4_000;
    timer.disable_interrupt();
    timer.disable_counter();
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(0x00ff_ffff);
    timer.clear_current();
    timer.enable_counter();
    // Two instructions for every two cycles that it is to take, as its loop is written.
    let ticks = |cycles| {
        let before = SYST::get_current();
        asm::delay(cycles);
        before.wrapping_sub(SYST::get_current()) & 0x00ff_ffff
    };
    let _ = ticks(LOOPS);
    Rate((ticks(2 * LOOPS) - ticks(LOOPS)) / (LOOPS / 1_000))
}

impl Rate {
    /// Calls `run`, which is to come to so many steps, and yields how many instructions that took.
    fn count(&self, run: impl FnOnce() -> Option<Load>, nodes: u32) -> Result<u32, &'static str> {
        let before = SYST::get_current();
        // What was computed is there before the second look at the timer, and nothing of it is left for later.
        let load = black_box(run());
        let ticks = before.wrapping_sub(SYST::get_current()) & 0x00ff_ffff;
        let right = load.is_some_and(|load| load.0 == [300 + nodes as u16; 16]);
        let instructions = u64::from(ticks) * 1_000 / u64::from(self.0.max(1));
        if right { Ok(instructions as u32) } else { Err("a measured chain came to something else") }
    }
}

/// A chain of two nodes.
macro_rules! short {
    ($node:ident) => {
        $node("a").then($node("b"))
    };
}

/// A chain of six.
macro_rules! long {
    ($node:ident) => {
        short!($node).then($node("c")).then($node("d")).then($node("e")).then($node("f"))
    };
}

/// The instructions of a run of this builder's runner, in the mean of some; the first one is left out.
macro_rules! runs {
    ($rate:expr, $nodes:expr, $builder:expr) => {{
        let runner = $builder.with_clock(SysTick).build().map_err(|_| UNBUILT)?;
        let run = |number| {
            // No two chains share a run in a store that they share.
            let id = RunId::from_u128(u128::from($nodes * 1_000 + number));
            $rate.count(|| block_on(runner.run_as(id, black_box(LOAD))).ok().map(|done| done.output), $nodes)
        };
        let _ = run(0)?;
        let mut sum = 0;
        for number in 1..=RUNS {
            sum += run(number)?;
        }
        sum / RUNS
    }};
}

const RUNS: u32 = 16;
const UNBUILT: &str = "a measured runner cannot be built";

type Rows = Result<[u32; 2], &'static str>;

#[inline(never)]
fn by_hand(rate: &Rate) -> Rows {
    async fn short(load: Load) -> Result<Load, Fault> {
        let load = step(load).await?;
        step(load).await
    }
    async fn long(load: Load) -> Result<Load, Fault> {
        let load = step(load).await?;
        let load = step(load).await?;
        let load = step(load).await?;
        let load = step(load).await?;
        let load = step(load).await?;
        step(load).await
    }
    Ok([
        rate.count(|| block_on(short(black_box(LOAD))).ok(), SHORT)?,
        rate.count(|| block_on(long(black_box(LOAD))).ok(), LONG)?,
    ])
}

#[inline(never)]
fn nothing_on(rate: &Rate) -> Rows {
    let plain = |id| node(id, step);
    let short = Runner::new(short!(plain)).build().map_err(|_| UNBUILT)?;
    let long = Runner::new(long!(plain)).build().map_err(|_| UNBUILT)?;
    Ok([
        rate.count(|| block_on(short.run(black_box(LOAD))).ok(), SHORT)?,
        rate.count(|| block_on(long.run(black_box(LOAD))).ok(), LONG)?,
    ])
}

#[inline(never)]
fn retry_and_timeout(rate: &Rate) -> Rows {
    let tried = |id| node(id, step).retry(RETRY).timeout(ms(20));
    let short = runs!(rate, SHORT, Runner::new(short!(tried)));
    Ok([short, runs!(rate, LONG, Runner::new(long!(tried)))])
}

#[inline(never)]
fn in_memory(rate: &Rate) -> Rows {
    static STORE: MemoryStore<2, 7, 80> = MemoryStore::new();
    let plain = |id| node(id, step);
    let short = runs!(rate, SHORT, Runner::new(short!(plain)).with_store(&STORE));
    Ok([short, runs!(rate, LONG, Runner::new(long!(plain)).with_store(&STORE))])
}

static ROOM: FlashRoom<2, 7, 128> = FlashRoom::new();

// Calls of their own, so that the smaller board has one store at a time on its stack.
#[inline(never)]
fn short_in_flash(rate: &Rate) -> Result<u32, &'static str> {
    nor::erase_all();
    let driver = pin!(ROOM.driver(Nor { erase_time: 0 }, 0..nor::SIZE).map_err(|_| UNBUILT)?);
    let store = FlashStore::new(&ROOM, driver);
    let plain = |id| node(id, step);
    Ok(runs!(rate, SHORT, Runner::new(short!(plain)).with_store(&store)))
}

#[inline(never)]
fn long_in_flash(rate: &Rate) -> Result<u32, &'static str> {
    nor::erase_all();
    let driver = pin!(ROOM.driver(Nor { erase_time: 0 }, 0..nor::SIZE).map_err(|_| UNBUILT)?);
    let store = FlashStore::new(&ROOM, driver);
    let plain = |id| node(id, step);
    Ok(runs!(rate, LONG, Runner::new(long!(plain)).with_store(&store)))
}

/// The program by hand does what the other one does, so that their sizes can be compared.
fn twin_works(timer: &mut SYST) -> Result<(), &'static str> {
    clock::start(timer);
    nor::erase_all();
    for word in [&kept().world.busy, &kept().world.deaf] {
        word.set(1);
    }
    for word in [&kept().world.asked, &kept().world.sent, &kept().world.accepted] {
        word.set(0);
    }
    for _ in 0..2 {
        let frame = by_hand::life(7, 10_000).map_err(|_| "the program by hand makes no report")?;
        let right = frame == expected(measured(7, 2)) && heard() == frame && kept().world.sent.get() == 2;
        right.then_some(()).ok_or("the program by hand reports something else")?;
    }
    Ok(())
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let ended = Peripherals::take().ok_or("the peripherals are taken").and_then(all);
    let (used, room) = (memory::stack_used(), memory::stack_room());
    hprintln!("stack: {} of {} bytes", used, room);
    match ended {
        _ if used >= room => console::fail("the stack went into what lies below it"),
        Ok(()) => console::succeed(),
        Err(why) => console::fail(why),
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    console::panicked(info)
}

fn all(mut peripherals: Peripherals) -> Result<(), &'static str> {
    twin_works(&mut peripherals.SYST)?;
    let rate = stopwatch(&mut peripherals.SYST);
    hprintln!("instructions, as QEMU counts them, of chains whose nodes do next to nothing with 32 bytes:");
    hprintln!("  {:<28}{:>12}{:>12}{:>32}", "", "of 2 nodes", "of 6 nodes", "per node of 6 more than by hand");
    let hand = by_hand(&rate)?;
    tell("by hand, one async fn", hand, hand);
    tell("nothing on", nothing_on(&rate)?, hand);
    tell("retry and time-out", retry_and_timeout(&rate)?, hand);
    tell("checkpoints in memory", in_memory(&rate)?, hand);
    if cfg!(microbit) {
        hprintln!("  (in flash: 16 KiB are too few for the store, the simulated chip and a stack)");
    } else {
        tell("checkpoints in flash", [short_in_flash(&rate)?, long_in_flash(&rate)?], hand);
    }
    hprintln!("  (with checkpoints: the mean of {} runs; in flash with the pages that are erased in them)", RUNS);
    Ok(())
}

fn tell(what: &str, [short, long]: [u32; 2], hand: [u32; 2]) {
    let more = (i64::from(long) - i64::from(hand[1])) / i64::from(LONG);
    hprintln!("  {:<28}{:>12}{:>12}{:>32}", what, short, long, more);
}
