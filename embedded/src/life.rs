//! One life of the device, from a reset on: the pipeline, and the runner that goes on with it.

use core::{fmt::Display, pin::pin};
use stroma::{
    Backoff, Budget, Cause, PolicyMap, RunId, RunStatus, Runner, ms, node, node_with,
    store::{FlashRoom, FlashStore},
};

use crate::{
    app::{Frame, detect, filter, pack, sample, transmit},
    board::Board,
    clock::SysTick,
    idle::block_on,
    nor::{self, Nor},
};

/// The memory of the store: two runs of six slots, which are the five nodes and the input.
pub static ROOM: FlashRoom<2, 6, 160> = FlashRoom::new();

/// How a life ended, if it was not the power that ended it.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub status: RunStatus,
    pub energy: u64,
    pub millis: u64,
    pub restored: u16,
    /// Bytes of the run's future, of the driver of the store, and of runner and store.
    pub sizes: [usize; 3],
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(Frame),
    /// The budget stopped it, at this node.
    OutOfEnergy(Option<&'static str>),
    Stopped,
}

/// Begins a report, or goes on with it where an earlier life left off, with so many microjoules in the battery. `say` is told why it
/// stopped, if it was not for its energy.
// A call of its own, so that what it takes of the stack is given back.
#[inline(never)]
pub fn life(run: u32, report: Option<u32>, energy: u64, say: impl FnOnce(&dyn Display)) -> Result<Ended, &'static str> {
    let pipeline = node_with("sample", sample)
        .retry(PolicyMap::never().recoverable(3, Backoff::constant(ms(5))))
        .then(node("filter", filter))
        .then(node("detect", detect))
        .then(node("pack", pack))
        .then(
            node_with("transmit", transmit)
                .write_ahead()
                .timeout(ms(50))
                .retry(PolicyMap::never().recoverable(2, Backoff::constant(ms(10)))),
        );

    let driver = ROOM.driver(Nor { erase_time: 2 }, 0..nor::SIZE).map_err(|_| "the flash does not fit the store")?;
    let driver_size = size_of_val(&driver);
    let driver = pin!(driver);
    let store = FlashStore::new(&ROOM, driver);
    let runner = Runner::new(pipeline)
        .with_store(&store)
        .with_clock(SysTick)
        .with_context(Board { clock: SysTick })
        .with_budget(Budget::unlimited().tokens(energy).latency(ms(10_000)))
        .build()
        .map_err(|_| "the runner cannot be built")?;

    let id = RunId::from_u128(u128::from(run));
    let going = match report {
        Some(report) => runner.run_as(id, report),
        None => runner.resume(id),
    };
    let sizes = [size_of_val(&going), driver_size, size_of_val(&runner) + size_of_val(&store)];
    let ended = block_on(going);
    // That the run is done is noted in the flash as well, even if that has to be waited for.
    block_on(store.flush()).map_err(|_| "the flash cannot be read")?;
    let (outcome, report) = match ended {
        Ok(done) => (Outcome::Done(done.output), done.report),
        Err(halted) if matches!(halted.cause, Cause::Budget(_)) => (Outcome::OutOfEnergy(halted.node), halted.report),
        Err(halted) => {
            match &halted.cause {
                Cause::Store(error) => say(&format_args!("{halted}: {error}")),
                _ => say(&halted),
            }
            (Outcome::Stopped, halted.report)
        }
    };
    Ok(Ended {
        outcome,
        status: report.status,
        energy: report.spent.tokens,
        millis: report.spent.time.as_millis() as u64,
        restored: report.restored,
        sizes,
    })
}
