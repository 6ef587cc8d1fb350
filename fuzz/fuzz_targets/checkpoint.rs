//! Stored bytes: checkpoints, and what a run reads of a store.
#![no_main]

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::checkpoint::check(data));
