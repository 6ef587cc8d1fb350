//! How long a run takes: with stroma, by hand and with boxed futures.
//!
//! `cargo bench --bench overhead`. Compare the three of a group in one run; absolute times depend on the machine.

mod work;

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use work::{Wide, boxed, by_hand, with_stroma};

/// Work that does so many runs.
type Runs = fn(u64) -> u64;

fn group(c: &mut Criterion, name: &str, variants: [(&str, [Runs; 2]); 3]) {
    let mut group = c.benchmark_group(name);
    for (variant, [narrow, wide]) in variants {
        for (payload, runs) in [("8 bytes", narrow), ("128 bytes", wide)] {
            group.bench_function(BenchmarkId::new(variant, payload), |bencher| {
                bencher.iter_custom(|n| {
                    let start = Instant::now();
                    black_box(runs(black_box(n)));
                    start.elapsed()
                });
            });
        }
    }
    group.finish();
}

macro_rules! groups {
    ($($group:ident),+) => {
        $(
            fn $group(c: &mut Criterion) {
                group(c, stringify!($group), [
                    ("stroma", [with_stroma::$group::<u64>, with_stroma::$group::<Wide>]),
                    ("by_hand", [by_hand::$group::<u64>, by_hand::$group::<Wide>]),
                    ("boxed", [boxed::$group::<u64>, boxed::$group::<Wide>]),
                ]);
            }
        )+

        criterion_group!(overhead, $($group),+);
    };
}

groups!(seq8, seq8_retry_timeout, par2, seq8_memory, seq8_trace, resume_last);
criterion_main!(overhead);
