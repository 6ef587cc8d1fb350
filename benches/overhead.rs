//! How long a run takes: with stroma, by hand and with boxed futures.
//!
//! `cargo bench --bench overhead`. Compare those of a group in one run; absolute times depend on the machine. For the table of
//! ratios see `benches/report`.

mod work;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use work::{Page, Wide, Yields, boxed, by_hand, with_stroma};

/// Work that does so many runs.
type Runs = fn(u64) -> u64;

fn row(c: &mut Criterion, row: &str, variants: &[(&str, Runs)]) {
    let mut group = c.benchmark_group(row);
    for (variant, runs) in variants {
        group.bench_function(*variant, |bencher| {
            bencher.iter_custom(|n| {
                let start = Instant::now();
                black_box(runs(black_box(n)));
                start.elapsed()
            });
        });
    }
    group.finish();
}

macro_rules! time {
    ($($row:ident = $work:ident[$payload:ty $(, $slot:literal)?] $(+ $also:ident[$($and:tt)+])?;)+) => {
        fn rows(c: &mut Criterion) {
            $(
                row(c, stringify!($row), &[
                    ("stroma", with_stroma::$work::<$payload $(, $slot)?>),
                    ("hand", by_hand::$work::<$payload $(, $slot)?>),
                    ("boxed", boxed::$work::<$payload $(, $slot)?>),
                    $(("also", by_hand::$also::<$($and)+>),)?
                ]);
            )+
        }
    };
}

/// Long enough for a ratio: the rows are many, and what is compared stands next to each other.
fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .without_plots()
}

work::rows!(time);
criterion_group!(name = overhead; config = quick(); targets = rows);
criterion_main!(overhead);
