//! How many instructions a run takes, by callgrind: with stroma, by hand and with boxed futures.
//!
//! `cargo bench --bench instructions`. Each case is counted for N runs and for 2N; the difference of the two, over N, is what
//! one run takes, without what comes before and after. The table of ratios, and the limits that they are held to, are in
//! `tests/instructions.rs`.

#![allow(unused_qualifications, reason = "the macros of gungraun qualify what they call")]

mod work;

use std::hint::black_box;

use gungraun::prelude::*;
use work::{Wide, boxed, by_hand, with_stroma};

macro_rules! groups {
    ($($group:ident { $($case:ident = $function:expr;)+ })+) => {
        $(
            $(
                #[library_benchmark]
                #[bench::once(1_000)]
                #[bench::twice(2_000)]
                fn $case(n: u64) -> u64 {
                    black_box($function(black_box(n)))
                }
            )+

            library_benchmark_group!(name = $group, benchmarks = [$($case),+]);
        )+

        main!(library_benchmark_groups = [$($group),+]);
    };
}

groups! {
    seq8 {
        seq8_u64_stroma = with_stroma::seq8::<u64>;
        seq8_u64_by_hand = by_hand::seq8::<u64>;
        seq8_u64_boxed = boxed::seq8::<u64>;
        seq8_wide_stroma = with_stroma::seq8::<Wide>;
        seq8_wide_by_hand = by_hand::seq8::<Wide>;
        seq8_wide_boxed = boxed::seq8::<Wide>;
    }
    seq8_retry_timeout {
        seq8_retry_timeout_u64_stroma = with_stroma::seq8_retry_timeout::<u64>;
        seq8_retry_timeout_u64_by_hand = by_hand::seq8_retry_timeout::<u64>;
        seq8_retry_timeout_u64_boxed = boxed::seq8_retry_timeout::<u64>;
        seq8_retry_timeout_wide_stroma = with_stroma::seq8_retry_timeout::<Wide>;
        seq8_retry_timeout_wide_by_hand = by_hand::seq8_retry_timeout::<Wide>;
        seq8_retry_timeout_wide_boxed = boxed::seq8_retry_timeout::<Wide>;
    }
    par2 {
        par2_u64_stroma = with_stroma::par2::<u64>;
        par2_u64_by_hand = by_hand::par2::<u64>;
        par2_u64_boxed = boxed::par2::<u64>;
        par2_wide_stroma = with_stroma::par2::<Wide>;
        par2_wide_by_hand = by_hand::par2::<Wide>;
        par2_wide_boxed = boxed::par2::<Wide>;
    }
    seq8_memory {
        seq8_memory_u64_stroma = with_stroma::seq8_memory::<u64>;
        seq8_memory_u64_by_hand = by_hand::seq8_memory::<u64>;
        seq8_memory_u64_boxed = boxed::seq8_memory::<u64>;
        seq8_memory_wide_stroma = with_stroma::seq8_memory::<Wide>;
        seq8_memory_wide_by_hand = by_hand::seq8_memory::<Wide>;
        seq8_memory_wide_boxed = boxed::seq8_memory::<Wide>;
    }
    seq8_trace {
        seq8_trace_u64_stroma = with_stroma::seq8_trace::<u64>;
        seq8_trace_u64_by_hand = by_hand::seq8_trace::<u64>;
        seq8_trace_u64_boxed = boxed::seq8_trace::<u64>;
        seq8_trace_wide_stroma = with_stroma::seq8_trace::<Wide>;
        seq8_trace_wide_by_hand = by_hand::seq8_trace::<Wide>;
        seq8_trace_wide_boxed = boxed::seq8_trace::<Wide>;
    }
    resume_last {
        resume_last_u64_stroma = with_stroma::resume_last::<u64>;
        resume_last_u64_by_hand = by_hand::resume_last::<u64>;
        resume_last_u64_boxed = boxed::resume_last::<u64>;
        resume_last_wide_stroma = with_stroma::resume_last::<Wide>;
        resume_last_wide_by_hand = by_hand::resume_last::<Wide>;
        resume_last_wide_boxed = boxed::resume_last::<Wide>;
    }
}
