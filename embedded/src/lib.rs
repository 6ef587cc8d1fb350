//! A sensor that reports by radio: its pipeline, its drivers, and the chip and the world around it, which are simulated.

#![no_std]

pub mod app;
pub mod board;
pub mod by_hand;
pub mod clock;
pub mod console;
pub mod idle;
pub mod kept;
pub mod life;
pub mod memory;
pub mod nor;
pub mod power;
