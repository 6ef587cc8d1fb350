//! What is on the board and around it: a sensor, a radio, and the gateway that hears it.

use core::{
    fmt::{self, Display, Write},
    future,
};

use stroma::{Clock, ms};

use crate::{
    app::{Fault, Frame, SAMPLES, TRANSMIT_ENERGY, Window},
    clock::SysTick,
    kept::{Kept, Word, kept},
    power::{at, here},
};

/// What nodes are lent.
#[derive(Debug)]
pub struct Board {
    pub clock: SysTick,
}

impl Board {
    /// Asks the sensor for a measurement, which takes it a while.
    pub async fn measure(&self, report: u32) -> Result<Window, Fault> {
        let Kept { world, .. } = kept();
        let serial = world.asked.bump();
        here();
        if world.busy.get() > 0 {
            world.busy.set(0);
            return Err(Fault::Busy);
        }
        self.clock.sleep(ms(2)).await;
        here();
        Ok(measured(report, serial))
    }

    /// Sends a frame, and waits until the gateway has answered.
    pub async fn send(&self, frame: &Frame, key: Option<impl Display>) {
        let Kept { world, .. } = kept();
        here();
        world.energy.add(TRANSMIT_ENERGY as u32);
        self.clock.sleep(ms(3)).await;
        world.sent.bump();
        hear(frame, key);
        here();
        if world.deaf.get() > 0 {
            // The answer is lost, and nothing will come any more.
            world.deaf.set(0);
            future::pending().await
        }
        self.clock.sleep(ms(1)).await;
        here();
    }
}

/// What the sensor has in its queue: a shock on noise, other noise each time it is asked.
pub fn measured(report: u32, serial: u32) -> Window {
    let mut noise = report.wrapping_mul(0x9e37_79b9) ^ serial.wrapping_mul(0x85eb_ca6b) | 1;
    let mut values = [0; SAMPLES];
    for (number, value) in values.iter_mut().enumerate() {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let shock = if (5..8).contains(&number) { 9_000 } else { 0 };
        *value = shock + (noise & 0x3ff) as i16 - 512;
    }
    Window { report, serial, values }
}

/// The gateway hears a frame. It takes what comes with a new key, and knows the last key.
fn hear(frame: &Frame, key: Option<impl Display>) {
    let Kept { world, .. } = kept();
    let mut hash = Hash(0x811c_9dc5);
    let _ = key.map(|key| write!(hash, "{key}"));
    if world.accepted.get() > 0 && world.key.get() == hash.0 {
        world.repeated.bump();
        return;
    }
    world.accepted.bump();
    world.key.set(hash.0);
    for (to, from) in world.frame.iter().zip(frame.chunks_exact(4)) {
        to.set(from.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)));
    }
}

/// The last frame that the gateway took.
pub fn heard() -> Frame {
    let mut frame = [0; 16];
    for (to, from) in frame.chunks_exact_mut(4).zip(&kept().world.frame) {
        to.copy_from_slice(&from.get().to_be_bytes());
    }
    frame
}

/// FNV-1a of a text.
struct Hash(u32);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.bytes().fold(self.0, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Ok(())
    }
}

/// A stage begins: it is counted from 1. (A real board would have a pin for it, and a logic analyser on that.)
pub fn begin(stage: u32) {
    let Kept { world, power, .. } = kept();
    if stage < world.furthest.get() {
        world.paid_twice.bump();
    }
    world.furthest.set(world.furthest.get().max(stage));
    world.stage.set(stage);
    at(&world.begun, stage).map(Word::bump);
    if let Some(first) = at(&power.first_step, stage)
        && first.get() == 0
    {
        first.set(power.steps.get() + 1);
    }
    here();
}

/// A stage comes to its end.
pub fn end(stage: u32) {
    at(&kept().world.ended, stage).map(Word::bump);
    here();
}
