use super::*;
use crate::budget::{
    fallback::Fallbacks,
    limit::{Budget, BudgetExceeded},
    price::Price,
    pricing::Pricing,
};

const CENT: Budget = Budget::unlimited().cost(Usd::cents(1));

/// A dollar for a thousand tokens, in or out.
fn pricing() -> Pricing {
    let price = Price::per_token(Usd::picodollars(1_000_000_000), Usd::picodollars(1_000_000_000));
    Pricing::empty().with("m", price).unwrap()
}

fn unknown(model: Option<&str>) -> SpendError {
    SpendError::UnknownModel(UnknownModel::of(model))
}

const fn amount(tokens: u64, cost: u64) -> Amount {
    Amount { tokens, cost: Usd::picodollars(cost * 1_000_000_000) }
}

#[test]
fn without_a_ledger_nothing_is_limited_or_counted() {
    let spender = Spender::none();
    let reservation = spender.reserve(Usage::of("m").input(u64::MAX).output(u64::MAX)).unwrap();
    assert_eq!(reservation.amount(), Amount::ZERO);
    assert_eq!(reservation.settle(Usage::of("m").input(7).with_cost(Usd::cents(2))), Ok(Usd::cents(2)));
    assert_eq!(spender.record(Usage::of("m").input(7)), Ok(Usd::ZERO));
    assert_eq!((spender.spent(), spender.model("m")), (Amount::ZERO, "m"));
    assert_eq!(spender.remaining(Duration::ZERO), Remaining::default());
}

#[test]
fn a_reservation_is_settled_at_the_price_of_the_model_that_is_reported() {
    let accounts = Accounts::new(CENT).pricing(pricing().with("free", Price::free()).unwrap());
    let ledger = Ledger::new(accounts.budget());
    let spender = Spender::over(&ledger, &accounts);
    let one = spender.reserve(Usage::of("m").input(4).output(2)).unwrap();
    assert_eq!(one.amount(), amount(6, 6));
    // Both together would be eleven thousandths.
    let error = BudgetExceeded::Cost { limit: Usd::cents(1), actual: amount(0, 11).cost };
    assert_eq!(spender.reserve(Usage::of("m").input(5)).unwrap_err(), error.into());
    assert_eq!(one.settle(Usage::of("free").input(4).output(1)), Ok(Usd::ZERO));
    assert_eq!(spender.spent(), amount(5, 0));
    let two = spender.reserve(Usage::of("m").input(10)).unwrap();
    assert_eq!(two.settle(Usage::of("m-2024-08-06").input(3)), Ok(amount(0, 3).cost));
    assert_eq!(spender.spent(), amount(8, 3));
    assert_eq!(spender.remaining(Duration::ZERO).cost, Some(amount(0, 7).cost));
}

#[test]
fn a_reservation_that_is_dropped_is_booked() {
    let accounts = Accounts::new(CENT).pricing(pricing());
    let ledger = Ledger::new(accounts.budget());
    let spender = Spender::over(&ledger, &accounts);
    drop(spender.reserve(Usage::of("m").input(4)).unwrap());
    assert_eq!((spender.spent(), ledger.unpriced()), (amount(4, 4), 0));
    assert_eq!(ledger.told().spent, amount(4, 4));
    // One that is refused is not.
    assert!(spender.reserve(Usage::of("m").input(7)).is_err());
    assert_eq!(spender.spent(), amount(4, 4));
    let unlimited = Accounts::new(Budget::unlimited());
    let ledger = Ledger::new(unlimited.budget());
    drop(Spender::over(&ledger, &unlimited).reserve(Usage::of("?").input(4)).unwrap());
    assert_eq!((ledger.spent(Scope::RUN), ledger.unpriced()), (amount(4, 0), 4));
}

#[test]
fn a_model_without_a_price_is_an_error_only_where_money_is_limited() {
    let accounts = Accounts::new(Budget::unlimited().tokens(1_000)).pricing(pricing());
    let ledger = Ledger::new(accounts.budget());
    let spender = Spender::over(&ledger, &accounts);
    assert_eq!(spender.record(Usage::of("?").input(3)), Ok(Usd::ZERO));
    assert_eq!(spender.record(Usage::tokens(2)), Ok(Usd::ZERO));
    assert_eq!(spender.reserve(Usage::tokens(9)).unwrap().settle(Usage::of("?").output(1)), Ok(Usd::ZERO));
    let recent = ledger.told();
    assert_eq!((recent.spent, recent.unpriced_tokens, recent.fault), (amount(6, 0), 6, None));

    // A limit of money anywhere around, here that of a part.
    let part = ledger.enter(Scope::RUN, 1, &CENT, Duration::ZERO).unwrap();
    let inner = ledger.enter(part, 1, &Budget::unlimited(), Duration::ZERO).unwrap();
    let spender = Spender::new(&ledger, &accounts, inner);
    assert_eq!(spender.reserve(Usage::of("?").input(3)).unwrap_err(), unknown(Some("?")));
    assert_eq!(ledger.told().refused, Some(unknown(Some("?"))));
    assert_eq!(spender.record(Usage::tokens(2)), Err(unknown(None)));
    let recent = ledger.told();
    assert_eq!((recent.spent, recent.refused, recent.fault), (amount(2, 0), None, Some(unknown(None))));
    // With a cost of its own, or without anything, no price is needed.
    assert_eq!(spender.record(Usage::of("?").input(1).with_cost(amount(0, 1).cost)), Ok(amount(0, 1).cost));
    assert_eq!(spender.record(Usage::default()), Ok(Usd::ZERO));
    assert_eq!(ledger.told().fault, None);
    // What was set aside for it is what it cost, as far as anybody knows.
    let reservation = spender.reserve(Usage::of("m").input(5)).unwrap();
    assert_eq!(reservation.settle(Usage::of("?").input(4)), Err(unknown(Some("?"))));
    let recent = ledger.told();
    assert_eq!((recent.spent, recent.fault), (amount(4, 5), Some(unknown(Some("?")))));
    assert_eq!(ledger.remaining(part, Duration::ZERO).cost, Some(amount(0, 4).cost));
}

#[test]
fn counts_that_do_not_fit_are_errors_and_as_much_as_can_be() {
    let accounts = Accounts::new(Budget::unlimited().tokens(1_000)).pricing(pricing());
    for usage in [Usage::tokens(u64::MAX).output(1), Usage::of("m").input(u64::MAX).output(u64::MAX)] {
        let ledger = Ledger::new(accounts.budget());
        let spender = Spender::over(&ledger, &accounts);
        assert_eq!(spender.reserve(usage).unwrap_err(), SpendError::Overflow);
        assert_eq!((spender.spent(), ledger.told().refused), (Amount::ZERO, Some(SpendError::Overflow)));
        assert_eq!(spender.record(usage), Err(SpendError::Overflow));
        assert_eq!(spender.spent().tokens, u64::MAX);
        assert_eq!(ledger.told().fault, Some(SpendError::Overflow));
        let over = BudgetExceeded::Tokens { limit: 1_000, actual: u64::MAX };
        assert_eq!(ledger.overrun(Scope::RUN, Duration::ZERO), Some(over));
    }
    // The tokens fit, what they cost does not.
    let ledger = Ledger::new(accounts.budget());
    let spender = Spender::over(&ledger, &accounts);
    let reservation = spender.reserve(Usage::of("m").input(9)).unwrap();
    assert_eq!(reservation.settle(Usage::of("m").input(1 << 60)), Err(SpendError::Overflow));
    assert_eq!(spender.spent(), Amount { tokens: 1 << 60, cost: Usd::MAX });
    assert_eq!(ledger.told().fault, Some(SpendError::Overflow));
}

#[test]
fn the_model_follows_the_limit_that_is_nearest_to_used_up() {
    let rules = Fallbacks::none().with("big", "small", 0.8).unwrap();
    let accounts = Accounts::new(CENT).pricing(pricing()).fallbacks(rules);
    let ledger = Ledger::new(accounts.budget());
    let run = Spender::over(&ledger, &accounts);
    let part = ledger.enter(Scope::RUN, 1, &Budget::unlimited().cost(amount(0, 5).cost), Duration::ZERO).unwrap();
    let part = Spender::new(&ledger, &accounts, part);
    assert_eq!((run.model("big"), part.model("big")), ("big", "big"));
    let _held = run.reserve(Usage::of("m").input(5)).unwrap();
    part.record(Usage::of("m").input(4)).unwrap();
    assert_eq!((run.model("big"), part.model("big")), ("big", "small"));
    run.record(Usage::of("m").input(4)).unwrap();
    assert_eq!((run.model("big"), part.model("big"), run.model("other")), ("small", "small", "other"));
    // One run's spend is no other's.
    let other = Ledger::new(accounts.budget());
    assert_eq!(Spender::over(&other, &accounts).model("big"), "big");
}
