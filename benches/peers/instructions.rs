//! How many instructions a run takes with stroma and with other crates, by callgrind, and how often it allocates.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench peers_instructions`; `benches/report` makes a table of it.

#![allow(unused_qualifications, reason = "the macros of gungraun qualify what they call")]

#[path = "peers.rs"]
mod peers;
#[path = "rows.rs"]
mod table;
#[path = "../work/mod.rs"]
mod work;

use std::hint::black_box;

use gungraun::prelude::*;
use peers::{durable, joins, retries, services, skid};
use work::{Page, Wide, Yields, with_stroma};

/// Work that does so many runs.
type Runs = fn(u64) -> u64;

macro_rules! count {
    ($($row:ident[$payload:ty] * $n:literal: $($variant:ident = $module:ident::$work:ident),+;)+) => {
        $(
            #[library_benchmark]
            $(#[benches::$variant(($module::$work::<$payload>, $n), ($module::$work::<$payload>, 2 * $n))])+
            fn $row(runs: Runs, n: u64) -> u64 {
                black_box(runs(black_box(n)))
            }
        )+

        library_benchmark_group!(name = rows, benchmarks = [$($row),+]);
    };
}

table::rows!(count);
main!(library_benchmark_groups = rows);
