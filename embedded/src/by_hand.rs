//! The program of [`life`](crate::life) without the crate, for comparison: the same stages, retries, time-out, energy and checkpoints
//! in flash, written out for this one pipeline. It promises less: a flash that the power failed in while a page was erased is not mended, a checkpoint of
//! another program is taken for its own, and a report that runs out of energy does not say where.

use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use sequential_storage::{
    cache::{Cache, Uncached},
    map::{MapConfig, MapStorage},
};
use serde::{Serialize, de::DeserializeOwned};
use stroma::{Clock, ms};

use crate::{
    app::{Fault, Frame, SAMPLE_ENERGY, Shock, TRANSMIT_ENERGY, Window, find, lay_out, smooth},
    board::{Board, begin, end},
    clock::SysTick,
    idle::block_on,
    nor::{self, Nor},
};

/// Why a report was not made.
#[derive(Debug)]
pub enum Stop {
    Stage,
    Flash,
    Energy,
}

impl From<Fault> for Stop {
    fn from(_: Fault) -> Self {
        Self::Stage
    }
}

/// What is done, and what it took.
struct Checkpoints {
    map: MapStorage<u8, Nor, Cache<Uncached, Uncached, Uncached, u8>>,
    buffer: [u8; 160],
    value: [u8; 160],
    report: u32,
    energy: u64,
    limit: u64,
}

/// Where the energy is kept that was set aside for the radio.
const AHEAD: u8 = 6;

impl Checkpoints {
    /// The output of a stage, if it is that of this report.
    async fn load<T: DeserializeOwned>(&mut self, stage: u8) -> Result<Option<T>, Stop> {
        let found = self.map.fetch_item::<&[u8]>(&mut self.buffer, &stage).await.map_err(|_| Stop::Flash)?;
        let found: Option<(u32, u64, T)> = found.and_then(|bytes| postcard::from_bytes(bytes).ok());
        let Some((report, energy, output)) = found else {
            return Ok(None);
        };
        if report != self.report {
            return Ok(None);
        }
        self.energy = self.energy.max(energy);
        Ok(Some(output))
    }

    async fn save<T: Serialize>(&mut self, stage: u8, output: &T) -> Result<(), Stop> {
        let value = (self.report, self.energy, output);
        let value: &[u8] = postcard::to_slice(&value, &mut self.value).map_err(|_| Stop::Flash)?;
        self.map.store_item(&mut self.buffer, &stage, &value).await.map_err(|_| Stop::Flash)
    }

    /// Takes it as spent.
    fn spend(&mut self, energy: u64) -> Result<(), Stop> {
        if self.energy + energy > self.limit {
            return Err(Stop::Energy);
        }
        self.energy += energy;
        Ok(())
    }
}

async fn sampled(board: &Board, kept: &mut Checkpoints) -> Result<Window, Stop> {
    if let Some(window) = kept.load(1).await? {
        return Ok(window);
    }
    let mut retries = 0;
    let window = loop {
        begin(1);
        kept.spend(SAMPLE_ENERGY)?;
        match board.measure(kept.report).await {
            Ok(window) => break window,
            Err(Fault::Busy) if retries < 3 => {
                retries += 1;
                SysTick.sleep(ms(5)).await;
            }
            Err(fault) => return Err(fault.into()),
        }
    };
    end(1);
    kept.save(1, &window).await?;
    Ok(window)
}

async fn filtered(board: &Board, kept: &mut Checkpoints) -> Result<Window, Stop> {
    if let Some(window) = kept.load(2).await? {
        return Ok(window);
    }
    let window = sampled(board, kept).await?;
    begin(2);
    let window = smooth(window);
    end(2);
    kept.save(2, &window).await?;
    Ok(window)
}

async fn detected(board: &Board, kept: &mut Checkpoints) -> Result<Shock, Stop> {
    if let Some(shock) = kept.load(3).await? {
        return Ok(shock);
    }
    let window = filtered(board, kept).await?;
    begin(3);
    let shock = find(&window);
    end(3);
    kept.save(3, &shock).await?;
    Ok(shock)
}

async fn packed(board: &Board, kept: &mut Checkpoints) -> Result<Frame, Stop> {
    if let Some(frame) = kept.load(4).await? {
        return Ok(frame);
    }
    let shock = detected(board, kept).await?;
    begin(4);
    let frame = lay_out(&shock);
    end(4);
    kept.save(4, &frame).await?;
    Ok(frame)
}

async fn transmitted(board: &Board, kept: &mut Checkpoints) -> Result<Frame, Stop> {
    if let Some(frame) = kept.load(5).await? {
        return Ok(frame);
    }
    let frame = packed(board, kept).await?;
    // What was set aside before the power failed counts.
    let _ = kept.load::<()>(AHEAD).await?;
    let mut retries = 0;
    loop {
        begin(5);
        kept.spend(TRANSMIT_ENERGY)?;
        kept.save(AHEAD, &()).await?;
        if within(ms(50), board.send(&frame, Some(kept.report))).await.is_some() {
            break;
        }
        if retries == 2 {
            return Err(Stop::Stage);
        }
        retries += 1;
        SysTick.sleep(ms(10)).await;
    }
    end(5);
    kept.save(5, &frame).await?;
    Ok(frame)
}

/// What a future comes to within a time.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut sleep) = (pin!(future), pin!(SysTick.sleep(limit)));
    poll_fn(|task| match future.as_mut().poll(task) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(task).map(|()| None),
    })
    .await
}

/// Begins a report, or goes on with it where an earlier life left off.
///
/// # Errors
/// With what stopped it.
#[inline(never)]
pub fn life(report: u32, limit: u64) -> Result<Frame, Stop> {
    let config = MapConfig::try_new(0..nor::SIZE).map_err(|_| Stop::Flash)?;
    let map = MapStorage::new(Nor { erase_time: 2 }, config, Cache::new_uncached());
    let mut kept = Checkpoints { map, buffer: [0; 160], value: [0; 160], report, energy: 0, limit };
    block_on(transmitted(&Board { clock: SysTick }, &mut kept))
}
