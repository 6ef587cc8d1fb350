//! How long a run takes with stroma and with other crates, and how often it allocates.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench peers_times`. What is compared stands next to each other; absolute
//! times depend on the machine.

#[path = "peers.rs"]
mod peers;
#[path = "rows.rs"]
mod table;
#[path = "../work/mod.rs"]
mod work;

use std::{
    collections::BTreeMap,
    env, fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use criterion::{Criterion, criterion_group, criterion_main};
use peers::{durable, joins, retries, services, skid};
use work::{Page, Wide, Yields, with_stroma};

/// Work that does so many runs.
type Runs = fn(u64) -> u64;

fn row(c: &mut Criterion, row: &str, variants: &[(&str, Runs)]) {
    let mut group = c.benchmark_group(format!("peers_{row}"));
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
    ($($row:ident[$payload:ty] * $n:literal: $($variant:ident = $module:ident::$work:ident),+;)+) => {
        fn all(c: &mut Criterion) {
            $(row(c, stringify!($row), &[$((stringify!($variant), $module::$work::<$payload>)),+]);)+
        }
    };
}

table::rows!(time);

/// Durable steps in a file: a run is eight of them, each of which is on the disk before the next begins. A disk has moods, so the two
/// take turns, and the median of many turns goes into a file that `benches/report` reads.
fn file(_: &mut Criterion) {
    let turns = if env::args().any(|arg| arg == "--test") { 1 } else { 41 };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut stroma = durable::stroma_file::<u64>(&folder.path().join("stroma.redb"));
    let mut memable = durable::memable_file::<u64>(&folder.path().join("memable.redb"));
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..turns {
        for (times, run) in times.iter_mut().zip([&mut stroma as &mut dyn FnMut(u64), &mut memable]) {
            let start = Instant::now();
            (0..4).for_each(|i| run(4 * turn + i));
            times.push(start.elapsed().as_secs_f64() * 1e3 / 4.0);
        }
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("8 durable steps in a file: stroma {ours:.2} ms, memable {theirs:.2} ms");
    let medians = BTreeMap::from([("stroma", ours), ("memable", theirs)]);
    fs::write(target().join("peers-file.json"), serde_json::to_vec_pretty(&medians).unwrap()).unwrap();
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Allocations of one run, into a file that `benches/report` reads.
fn allocations(_: &mut Criterion) {
    fn of_one(runs: Runs) -> f64 {
        let count = |n| measure(|| _ = black_box(runs(n))).count_total as f64;
        count(1);
        (count(12) - count(4)) / 8.0
    }
    macro_rules! allocate {
        ($($row:ident[$payload:ty] * $n:literal: $($variant:ident = $module:ident::$work:ident),+;)+) => {
            BTreeMap::from([
                $((
                    stringify!($row),
                    BTreeMap::from([$((stringify!($variant), of_one($module::$work::<$payload>))),+]),
                )),+
            ])
        };
    }
    let counts = table::rows!(allocate);
    fs::write(target().join("peers-allocations.json"), serde_json::to_vec_pretty(&counts).unwrap()).unwrap();
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .without_plots()
}

criterion_group!(name = peers; config = quick(); targets = allocations, all, file);
criterion_main!(peers);
