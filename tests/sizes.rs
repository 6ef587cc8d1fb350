//! How large the future of a run is, against the same work by hand; as a table with `--nocapture`.
#![cfg(feature = "tokio")]

#[path = "support/twins.rs"]
mod twins;

use std::{fmt::Write, thread, time::Duration};

use stroma::{Backoff, Budget, PolicyMap, RingTrace, RunId, Runner, TokioClock, node, par, store::MemoryStore};
use twins::{Page, Payload, Runs, Wide, ready, yields};

const RETRIES: u32 = 3;
const LIMIT: Duration = Duration::from_secs(30);
const POLICY: PolicyMap = PolicyMap::never().recoverable(RETRIES, Backoff::none()).ambiguous(RETRIES, Backoff::none());
/// What is by hand may be so much smaller.
const MORE: usize = 64;

macro_rules! seq8 {
    ($step:ident, $p:ty $(, $layer:ident($($arg:expr),*))*) => {
        node("n1", $step::<$p>)$(.$layer($($arg),*))*
            .then(node("n2", $step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n3", $step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n4", $step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n5", $step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n6", $step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n7", $step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n8", $step::<$p>)$(.$layer($($arg),*))*)
    };
}

/// A pair of sizes: of stroma's future and of the one by hand.
struct Row {
    name: &'static str,
    payload: &'static str,
    nodes: &'static str,
    ours: usize,
    by_hand: usize,
}

macro_rules! rows {
    ($rows:ident, $step:ident, $p:ty, $room:literal, $payload:literal) => {{
        let mut row =
            |name, ours, by_hand| $rows.push(Row { name, payload: $payload, nodes: stringify!($step), ours, by_hand });
        let id = RunId::from_u128(1);
        let runs = Runs::<$room>::new();

        let runner = Runner::new(seq8!($step, $p)).build().unwrap();
        let by_hand = twins::seq8($step::<$p>, <$p>::some());
        row("seq8", size_of_val(&runner.run(<$p>::some())), size_of_val(&by_hand));

        let both = par(node("left", $step::<$p>), node("right", $step::<$p>));
        let runner = Runner::new(both.map(|(left, _right)| left)).build().unwrap();
        let by_hand = twins::par2($step::<$p>, <$p>::some());
        row("par2", size_of_val(&runner.run(<$p>::some())), size_of_val(&by_hand));

        let chain = seq8!($step, $p, retry(POLICY), timeout(LIMIT));
        let runner = Runner::new(chain).with_clock(TokioClock).build().unwrap();
        let by_hand = twins::seq8_retry_timeout($step::<$p>, (RETRIES, LIMIT), id, <$p>::some());
        row("seq8 retry time-out", size_of_val(&runner.run_as(id, <$p>::some())), size_of_val(&by_hand));

        let store = MemoryStore::<1, 9, $room>::new();
        let runner = Runner::new(seq8!($step, $p)).with_store(store).build().unwrap();
        let by_hand = twins::seq8_memory($step::<$p>, &runs, 7, id, <$p>::some());
        row("seq8 memory", size_of_val(&runner.run_as(id, <$p>::some())), size_of_val(&by_hand));
        let by_hand = twins::resume($step::<$p>, &runs, id);
        row("resume", size_of_val(&runner.resume(id)), size_of_val(&by_hand));

        let chain = seq8!($step, $p, retry(POLICY), timeout(LIMIT));
        let runner = Runner::new(chain)
            .with_clock(TokioClock)
            .with_budget(Budget::unlimited().tokens(1_000))
            .with_trace(RingTrace::<8>::new())
            .with_store(MemoryStore::<1, 9, $room>::new())
            .build()
            .unwrap();
        let by_hand = twins::seq8_full($step::<$p>, &runs, (RETRIES, LIMIT), 7, id, <$p>::some());
        row("seq8 everything", size_of_val(&runner.run_as(id, <$p>::some())), size_of_val(&by_hand));
    }};
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows!(rows, ready, u64, 192, "8 B");
    rows!(rows, ready, Wide, 192, "128 B");
    rows!(rows, ready, Page, 5200, "4 KiB");
    rows!(rows, yields, u64, 192, "8 B");
    rows!(rows, yields, Wide, 192, "128 B");
    rows!(rows, yields, Page, 5200, "4 KiB");
    rows
}

#[test]
fn a_future_is_at_most_64_bytes_larger_than_the_same_by_hand() {
    // An unoptimised build gives each value of each row a place of its own on the stack.
    let rows = thread::Builder::new().stack_size(64 << 20).spawn(rows).unwrap().join().unwrap();
    let mut table = String::from("| future | payload | nodes | stroma | by hand | more |\n|---|---|---|---|---|---|\n");
    let mut over = Vec::new();
    for Row { name, payload, nodes, ours, by_hand } in &rows {
        let more = *ours as isize - *by_hand as isize;
        writeln!(table, "| {name} | {payload} | {nodes} | {ours} | {by_hand} | {more:+} |").unwrap();
        if *ours > by_hand + MORE {
            over.push((name, payload, nodes));
        }
    }
    println!("{table}");
    assert!(over.is_empty(), "more than {MORE} bytes above: {over:?}\n{table}");
}
