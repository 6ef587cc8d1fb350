//! Money as a program outside of the crate sees it.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use proptest::prelude::*;
use stroma::{
    Accounts, Amount, Budget, BudgetExceeded, Failure, FailureClass, Fallbacks, Ledger, Price, Pricing, SpendError,
    Spender, Usage, Usd, secs,
};

const PICO: Price = Price::per_token(Usd::picodollars(1), Usd::picodollars(2));

fn accounts(budget: Budget) -> Accounts {
    Accounts::new(budget).pricing(Pricing::empty().with("m", PICO).unwrap())
}

#[test]
fn of_64_reservations_against_a_cap_for_10_exactly_10_are_admitted() {
    let accounts = accounts(Budget::unlimited().cost(Usd::picodollars(30)));
    for _ in 0..50 {
        let ledger = Ledger::new(accounts.budget());
        let (barrier, admitted) = (Barrier::new(8), AtomicUsize::new(0));
        // Eight threads of eight calls each, none of which settles before all have asked.
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    let spender = Spender::over(&ledger, &accounts);
                    barrier.wait();
                    let calls = [(); 8].map(|()| spender.reserve(Usage::of("m").input(1).output(1)));
                    admitted.fetch_add(calls.iter().flatten().count(), Ordering::Relaxed);
                    for refused in calls.iter().filter_map(|call| call.as_ref().err()) {
                        let limit = Usd::picodollars(30);
                        let error = BudgetExceeded::Cost { limit, actual: Usd::picodollars(33) };
                        assert_eq!(*refused, SpendError::Exceeded(error));
                    }
                    barrier.wait();
                    for call in calls.into_iter().flatten() {
                        assert_eq!(call.settle(Usage::of("m").output(1)), Ok(Usd::picodollars(2)));
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 10);
        let spender = Spender::over(&ledger, &accounts);
        assert_eq!(spender.spent(), Amount { tokens: 10, cost: Usd::picodollars(20) });
    }
}

#[test]
fn threads_that_spend_at_will_add_up_to_the_picodollar() {
    let accounts = accounts(Budget::unlimited().cost(Usd::picodollars(200_000)).tokens(150_000));
    let ledger = Ledger::new(accounts.budget());
    let sums: Vec<(u64, u64)> = thread::scope(|threads| {
        let workers: Vec<_> = (0..8_u64)
            .map(|thread| {
                let spender = Spender::over(&ledger, &accounts);
                threads.spawn(move || {
                    let (mut tokens, mut cost) = (0, 0);
                    for round in 0..5_000_u64 {
                        let most = Usage::of("m").input(thread + round % 7).output(round % 5);
                        let Ok(call) = spender.reserve(most) else { continue };
                        let held = call.amount();
                        match round % 3 {
                            // It fails, or is cancelled.
                            0 => {
                                drop(call);
                                tokens += held.tokens;
                                cost += held.cost.as_picodollars();
                            }
                            _ => {
                                let used = Usage::of("m").input(most.input_tokens()).output(most.output_tokens() / 2);
                                cost += call.settle(used).unwrap().as_picodollars();
                                tokens += used.total_tokens().unwrap();
                            }
                        }
                    }
                    (tokens, cost)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let spent = Spender::over(&ledger, &accounts).spent();
    assert_eq!(spent.tokens, sums.iter().map(|(tokens, _)| tokens).sum::<u64>());
    assert_eq!(spent.cost.as_picodollars(), sums.iter().map(|(_, cost)| cost).sum::<u64>());
    // They would have spent more: the cap was met, and never crossed.
    assert!(spent.tokens <= 150_000 && spent.cost <= Usd::picodollars(200_000), "{spent:?}");
    assert!(spent.tokens > 149_800 || spent.cost > Usd::picodollars(199_800), "{spent:?}");
}

#[test]
fn a_refusal_is_terminal_for_a_node_that_passes_it_on() {
    let accounts = accounts(Budget::unlimited().tokens(5).latency(secs(1)));
    let ledger = Ledger::new(accounts.budget());
    let spender = Spender::over(&ledger, &accounts);
    let refused = spender.reserve(Usage::tokens(6)).unwrap_err();
    assert_eq!(refused.class(), FailureClass::Terminal);
    assert_eq!(
        refused.to_string(),
        "the budget of 5 tokens is reached at 6: raise it (`with_budget`, or `.budget` of a part), then `resume`"
    );
    let error: &dyn std::error::Error = &refused;
    assert!(error.source().is_none());
    assert_eq!(format!("{ledger:?}").split(' ').next(), Some("Ledger"));
}

#[test]
fn money_crosses_serde_exactly() {
    let usd: Usd = "0.1".parse().unwrap();
    assert_eq!(serde_json::to_string(&usd).unwrap(), "\"0.10\"");
    assert_eq!(serde_json::from_str::<Usd>("\"$1e-1\"").unwrap(), usd);
    // A number would have gone through a float.
    for text in ["0.1", "1", "\"-1\"", "\"\"", "null"] {
        assert!(serde_json::from_str::<Usd>(text).is_err(), "{text}");
    }
    let error = serde_json::from_str::<Usd>("0.1").unwrap_err().to_string();
    assert!(error.contains("dollars as a decimal number in quotes"), "{error}");
}

#[test]
fn a_table_can_be_made_of_names_known_only_at_run_time() {
    let name = format!("house-{}", 7);
    let pricing = Pricing::known().with(name.clone(), Price::free()).unwrap();
    assert_eq!(pricing.price_of(&name), Some(Price::free()));
    let rules = Fallbacks::none().with("gpt-4o", name.clone(), 0.5).unwrap();
    assert_eq!(rules.model("gpt-4o", Usd::cents(1), Some(Usd::cents(2))), name);
}

#[test]
fn the_known_table_is_dated_and_has_what_it_should() {
    let known = Pricing::known();
    assert!(known.iter().count() >= 40);
    assert!(Pricing::KNOWN_AS_OF.len() == 10 && Pricing::KNOWN_SOURCE.starts_with("https://"));
    for family in ["gpt-", "o3", "claude-", "gemini-", "mistral-", "deepseek-", "grok-", "command-"] {
        assert!(known.iter().any(|(model, _)| model.starts_with(family)), "{family}");
    }
}

proptest! {
    /// What a table says is what the tokens cost, computed in wider numbers.
    #[test]
    fn costs_are_exact_or_an_error(
        price in (any::<u64>(), any::<u64>()),
        tokens in (any::<u64>(), any::<u64>()),
        shift in (0_u32..64, 0_u32..64),
    ) {
        let (price, tokens) = ((price.0 >> shift.0, price.1 >> shift.0), (tokens.0 >> shift.1, tokens.1 >> shift.1));
        let each = Price::per_token(Usd::picodollars(price.0), Usd::picodollars(price.1));
        let pricing = Pricing::empty().with("m", each).unwrap();
        let exact = [price.0, price.1].map(u128::from);
        let parts = [exact[0].checked_mul(u128::from(tokens.0)), exact[1].checked_mul(u128::from(tokens.1))];
        let exact = parts[0].zip(parts[1]).and_then(|(input, output)| input.checked_add(output));
        let exact = exact.and_then(|exact| u64::try_from(exact).ok());
        let cost = pricing.cost(&Usage::of("m").input(tokens.0).output(tokens.1));
        prop_assert_eq!(cost, exact.map(|exact| Some(Usd::picodollars(exact))).ok_or(SpendError::Overflow));
    }

    /// A rule fires from exactly its share on, whatever the amounts.
    #[test]
    fn a_share_is_reached_when_it_is(spent in any::<u64>(), limit in 1_u64.., share in 0_u32..=1_000_000) {
        let rules = Fallbacks::none().with("big", "small", f64::from(share) / 1e6).unwrap();
        let reached = u128::from(spent) * 1_000_000 >= u128::from(limit) * u128::from(share);
        let model = rules.model("big", Usd::picodollars(spent), Some(Usd::picodollars(limit)));
        prop_assert_eq!(model, if reached { "small" } else { "big" });
    }
}
