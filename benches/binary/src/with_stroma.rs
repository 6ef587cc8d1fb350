//! With stroma.

#![no_std]
#![no_main]

mod work;

use core::{hint::black_box, sync::atomic::AtomicU32};

use stroma::{Backoff, Halted, PolicyMap, RunId, Runner, node, store::MemoryStore};
use work::{Sample, SensorError, Ticks, drive, n1, n2, n3, n4, n5, n6, n7, n8};

static STORE: MemoryStore<1, 9, 48> = MemoryStore::new();

const POLICY: PolicyMap = PolicyMap::never().recoverable(3, Backoff::none()).ambiguous(1, Backoff::none());

/// Two runs under one id: the second finds the first.
fn work(value: u64) -> Result<u64, i32> {
    let pipeline = node("n1", n1)
        .retry(POLICY)
        .then(node("n2", n2).retry(POLICY))
        .then(node("n3", n3).retry(POLICY))
        .then(node("n4", n4).retry(POLICY))
        .then(node("n5", n5).retry(POLICY))
        .then(node("n6", n6).retry(POLICY))
        .then(node("n7", n7).retry(POLICY))
        .then(node("n8", n8).retry(POLICY));
    let runner = Runner::new(pipeline).with_clock(Ticks(AtomicU32::new(0))).with_store(&STORE).build();
    let runner = runner.map_err(|_| -1)?;
    let id = RunId::from_u128(black_box(1));
    let mut sum = 0_u64;
    for _ in 0..black_box(2) {
        let done = drive(runner.run_as(id, Sample { channel: 1, value })).map_err(code)?;
        sum = sum.wrapping_add(done.output.value).wrapping_add(u64::from(done.report.restored));
        sum = sum.wrapping_add(done.report.spent.time.as_secs());
    }
    Ok(sum)
}

/// Why it halted, in a number.
fn code<T>(halted: Halted<SensorError, T>) -> i32 {
    let node = halted.node.map_or(0, |node| i32::from(node.as_bytes()[1]));
    black_box(&halted.cause);
    -1 - node - halted.class as i32 - halted.attempt as i32
}

program!(|argc| work(u64::from(argc.unsigned_abs())).map_or_else(|code| code, |sum| sum as i32));
