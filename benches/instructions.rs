//! How many instructions a run takes, by callgrind: with stroma, by hand and with boxed futures; and how they use the cache.
//!
//! `cargo bench --bench instructions`. Each row is counted for N runs and for 2N; the difference of the two, over N, is what
//! one run takes, without what comes before and after. The tables, and the limits that the ratios are held to, are in
//! `tests/instructions.rs`.

#![allow(unused_qualifications, reason = "the macros of gungraun qualify what they call")]

mod work;

use std::hint::black_box;

use gungraun::prelude::*;
use work::{Page, Payload, Wide, Yields, boxed, by_hand, with_stroma};

/// Work that does so many runs.
type Runs = fn(u64) -> u64;

macro_rules! count {
    ($($row:ident = $work:ident[$payload:ty $(, $slot:literal)?] $(+ $also:ident[$($and:tt)+])?;)+) => {
        $(
            #[library_benchmark]
            #[benches::stroma(
                (with_stroma::$work::<$payload $(, $slot)?>, <$payload>::RUNS),
                (with_stroma::$work::<$payload $(, $slot)?>, 2 * <$payload>::RUNS)
            )]
            #[benches::hand(
                (by_hand::$work::<$payload $(, $slot)?>, <$payload>::RUNS),
                (by_hand::$work::<$payload $(, $slot)?>, 2 * <$payload>::RUNS)
            )]
            #[benches::boxed(
                (boxed::$work::<$payload $(, $slot)?>, <$payload>::RUNS),
                (boxed::$work::<$payload $(, $slot)?>, 2 * <$payload>::RUNS)
            )]
            $(
                #[benches::also(
                    (by_hand::$also::<$($and)+>, <$payload>::RUNS),
                    (by_hand::$also::<$($and)+>, 2 * <$payload>::RUNS)
                )]
            )?
            fn $row(runs: Runs, n: u64) -> u64 {
                black_box(runs(black_box(n)))
            }
        )+

        library_benchmark_group!(name = rows, benchmarks = [$($row),+]);
    };
}

work::rows!(count);
main!(library_benchmark_groups = rows);
