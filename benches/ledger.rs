//! How long a reservation and its settlement take, beside a pair of uncontended atomic additions.
//!
//! `cargo bench --bench ledger`. Compare within one run; absolute times depend on the machine.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use criterion::{Criterion, criterion_group, criterion_main};
use stroma::{Accounts, Budget, Ledger, Pricing, Spender, Usage, Usd};

fn reserve_and_settle(c: &mut Criterion) {
    let mut group = c.benchmark_group("reserve_and_settle");
    for (name, order) in [("atomic_pair_seq_cst", Ordering::SeqCst), ("atomic_pair_acq_rel", Ordering::AcqRel)] {
        let counter = AtomicU64::new(0);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let counter = black_box(&counter);
                counter.fetch_add(black_box(3), order);
                counter.fetch_add(black_box(2), order)
            });
        });
    }
    // So large that no bench comes near it.
    let limited = Budget::unlimited().tokens(u64::MAX / 2).cost(Usd::picodollars(u64::MAX / 2));
    for (name, budget, most, used) in [
        ("tokens", Budget::unlimited().tokens(u64::MAX / 2), Usage::tokens(3), Usage::tokens(2)),
        (
            "tokens_and_cost",
            limited,
            Usage::tokens(3).with_cost(Usd::picodollars(3)),
            Usage::tokens(2).with_cost(Usd::picodollars(2)),
        ),
        ("by_price_of_model", limited, Usage::of("gpt-4o").input(1).output(1), Usage::of("gpt-4o").input(1)),
    ] {
        let accounts = Accounts::new(budget).pricing(Pricing::known());
        let ledger = Ledger::new(accounts.budget());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let spender = Spender::over(black_box(&ledger), black_box(&accounts));
                match spender.reserve(black_box(most)) {
                    Ok(reservation) => reservation.settle(black_box(used)),
                    Err(refused) => Err(refused),
                }
            });
        });
    }
    group.finish();
}

criterion_group!(ledger, reserve_and_settle);
criterion_main!(ledger);
