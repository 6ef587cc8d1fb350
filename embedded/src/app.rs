//! The program of the device: it measures, looks for a shock in what it measured, and reports it by radio.

use core::fmt;

use crc::{CRC_16_IBM_SDLC, Crc};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{Failure, FailureClass, NodeCx, SpendError, Usage};

use crate::board::{Board, begin, end};

pub const SAMPLES: usize = 16;

/// The nodes of the pipeline, in their order.
pub const NAMES: [&str; STAGES] = ["sample", "filter", "detect", "pack", "transmit"];
pub const STAGES: usize = 5;

/// What a measurement and a transmission take from the battery, in microjoules.
pub const SAMPLE_ENERGY: u64 = 40;
pub const TRANSMIT_ENERGY: u64 = 900;

/// What came out of the sensor's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Window {
    /// Which report it is for.
    pub report: u32,
    /// Which measurement of the sensor's it is: no two are alike.
    pub serial: u32,
    pub values: [i16; SAMPLES],
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Shock {
    report: u32,
    serial: u32,
    peak: i16,
    at: u8,
    level: u16,
}

/// What goes on air.
pub type Frame = [u8; 16];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sensor has no measurement yet.
    Busy,
    /// The battery does not have enough for it.
    Energy,
}

impl Failure for Fault {
    fn class(&self) -> FailureClass {
        match self {
            Self::Busy => FailureClass::Recoverable,
            Self::Energy => FailureClass::Terminal,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the sensor is busy",
            Self::Energy => "there is no energy left for it",
        })
    }
}

impl From<SpendError> for Fault {
    fn from(_: SpendError) -> Self {
        Self::Energy
    }
}

pub async fn sample(report: u32, cx: NodeCx<'_, Board>) -> Result<Window, Fault> {
    begin(1);
    let energy = cx.reserve(Usage::tokens(SAMPLE_ENERGY))?;
    let window = cx.context().measure(report).await?;
    energy.settle(Usage::tokens(SAMPLE_ENERGY))?;
    end(1);
    Ok(window)
}

pub async fn filter(window: Window) -> Result<Window, Fault> {
    begin(2);
    let window = smooth(window);
    end(2);
    Ok(window)
}

pub async fn detect(window: Window) -> Result<Shock, Fault> {
    begin(3);
    let shock = find(&window);
    end(3);
    Ok(shock)
}

pub async fn pack(shock: Shock) -> Result<Frame, Fault> {
    begin(4);
    let frame = lay_out(&shock);
    end(4);
    Ok(frame)
}

pub async fn transmit(frame: Frame, cx: NodeCx<'_, Board>) -> Result<Frame, Fault> {
    begin(5);
    // Stored before the radio is switched on: a battery that gives up meanwhile has been used all the same.
    let energy = cx.reserve_ahead(Usage::tokens(TRANSMIT_ENERGY)).await?;
    cx.context().send(&frame, cx.idempotency_key()).await;
    energy.settle(Usage::tokens(TRANSMIT_ENERGY))?;
    end(5);
    Ok(frame)
}

/// A low-pass filter of the second order, in fixed-point numbers.
#[inline(never)]
pub fn smooth(mut window: Window) -> Window {
    let (mut first, mut second) = (0_i32, 0_i32);
    for value in &mut window.values {
        first += (i32::from(*value) * 256 - first) / 4;
        second += (first - second) / 4;
        *value = (second / 256) as i16;
    }
    window
}

/// The largest value, where it is, and the mean of all.
#[inline(never)]
pub fn find(window: &Window) -> Shock {
    let mut shock = Shock { report: window.report, serial: window.serial, peak: 0, at: 0, level: 0 };
    let mut sum = 0;
    for (at, value) in window.values.iter().enumerate() {
        sum += u32::from(value.unsigned_abs());
        if value.unsigned_abs() > shock.peak.unsigned_abs() {
            (shock.peak, shock.at) = (*value, at as u8);
        }
    }
    shock.level = (sum / SAMPLES as u32) as u16;
    shock
}

/// The frame of a shock, with its check sum.
#[inline(never)]
pub fn lay_out(shock: &Shock) -> Frame {
    const SUM: Crc<u16, crc::NoTable> = Crc::<u16, crc::NoTable>::new(&CRC_16_IBM_SDLC);
    let mut frame = [0; 16];
    let fields: [&[u8]; 5] = [
        &shock.report.to_be_bytes(),
        &shock.serial.to_be_bytes(),
        &shock.peak.to_be_bytes(),
        &[shock.at, 0],
        &shock.level.to_be_bytes(),
    ];
    for (to, from) in frame.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    let sum = SUM.checksum(&frame[..14]);
    frame[14..].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The frame that has to come out of a measurement.
pub fn expected(window: Window) -> Frame {
    lay_out(&find(&smooth(window)))
}
