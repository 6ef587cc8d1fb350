extern crate std;
use std::{thread, vec, vec::Vec};

use super::{
    asked::{Told, amount, bytes, secs},
    *,
};
use crate::budget::model::UnknownModel;

#[test]
fn a_limit_of_a_part_is_inside_of_that_of_the_run() {
    let ledger = Ledger::new(&Budget::unlimited().tokens(100));
    ledger.started(secs(0));
    let part = ledger.enter(Scope::RUN, 1, &Budget::unlimited().tokens(60), secs(0)).unwrap();
    let inner = ledger.enter(part, 1, &Budget::unlimited().cost(Usd::picodollars(5)), secs(0)).unwrap();
    assert_eq!(ledger.reserve(inner, amount(50, 5)), Ok(()));
    // By its own limit, by that around it, by that of the run; and nothing of it is left behind.
    let error = BudgetExceeded::Cost { limit: Usd::picodollars(5), actual: Usd::picodollars(6) };
    assert_eq!(ledger.reserve(inner, amount(0, 1)), Err(error.into()));
    let error = BudgetExceeded::Tokens { limit: 60, actual: 61 };
    assert_eq!(ledger.reserve(inner, amount(11, 0)), Err(error.into()));
    let error = BudgetExceeded::Tokens { limit: 100, actual: 101 };
    assert_eq!(ledger.reserve(Scope::RUN, amount(51, 0)), Err(error.into()));
    assert_eq!(ledger.reserve(inner, amount(10, 0)), Ok(()));
    assert_eq!(ledger.reserve(Scope::RUN, amount(40, 7)), Ok(()));
    let left = ledger.remaining(inner, secs(0));
    assert_eq!((left.tokens, left.cost, left.time), (Some(0), Some(Usd::ZERO), None));
    ledger.settle(inner, amount(10, 0), amount(3, 0), 0).unwrap();
    ledger.settle(Scope::RUN, amount(40, 7), amount(20, 7), 0).unwrap();
    assert_eq!(ledger.spent(inner), amount(3, 0));
    assert_eq!(ledger.spent(part), amount(3, 0));
    assert_eq!(ledger.spent(Scope::RUN), amount(23, 7));
    assert_eq!(ledger.remaining(part, secs(0)).tokens, Some(7));
    assert_eq!(ledger.remaining(Scope::RUN, secs(0)).tokens, Some(27));
}

#[test]
fn nothing_starts_at_a_limit_and_only_what_is_over_it_is_overrun() {
    let ledger = Ledger::new(&Budget::unlimited().tokens(10).cost(Usd::picodollars(10)).latency(secs(10)));
    ledger.started(secs(100));
    let both = |now| (ledger.exhausted(Scope::RUN, now), ledger.overrun(Scope::RUN, now));
    // Before it begins no time goes by.
    assert_eq!(Ledger::new(&Budget::unlimited().latency(secs(1))).exhausted(Scope::RUN, secs(9)), None);
    assert_eq!(both(secs(109)), (None, None));
    let at = BudgetExceeded::Time { limit: secs(10), actual: secs(10) };
    assert_eq!(both(secs(110)), (Some(at), None));
    let over = BudgetExceeded::Time { limit: secs(10), actual: secs(11) };
    assert_eq!(both(secs(111)), (Some(over), Some(over)));
    // Reservations are not spent.
    ledger.reserve(Scope::RUN, amount(10, 10)).unwrap();
    assert_eq!(both(secs(100)), (None, None));
    ledger.settle(Scope::RUN, amount(10, 10), amount(9, 10), 0).unwrap();
    let at = BudgetExceeded::Cost { limit: Usd::picodollars(10), actual: Usd::picodollars(10) };
    assert_eq!(both(secs(100)), (Some(at), None));
    ledger.book(Scope::RUN, amount(2, 0), 0).unwrap();
    let over = BudgetExceeded::Tokens { limit: 10, actual: 11 };
    assert_eq!(both(secs(100)), (Some(over), Some(over)));
    // An inner scope is stopped by what is around it.
    let inner = ledger.enter(Scope::RUN, 1, &Budget::unlimited(), secs(100)).unwrap();
    assert_eq!(ledger.exhausted(inner, secs(100)), Some(over));
    assert_eq!(ledger.overrun(inner, secs(100)), Some(over));
}

#[test]
fn the_same_key_under_the_same_parent_is_the_same_scope() {
    let ledger = Ledger::new(&Budget::unlimited());
    let budget = Budget::unlimited().latency(secs(5));
    let enter = |parent, key, now| ledger.enter(parent, key, &budget, secs(now));
    let one = enter(Scope::RUN, 1, 0).unwrap();
    let two = enter(Scope::RUN, 2, 3).unwrap();
    let below = enter(one, 1, 3).unwrap();
    assert!(one != two && one != below);
    assert_eq!((enter(Scope::RUN, 1, 4), enter(one, 1, 4)), (Some(one), Some(below)));
    // Its time counts from when it was entered first
    assert_eq!((ledger.time(one, secs(4)), ledger.time(below, secs(4))), (secs(4), secs(1)));
    assert_eq!(ledger.remaining(below, secs(4)).time, Some(secs(1)));
    for key in 3..INNER as u32 {
        assert!(enter(Scope::RUN, key, 4).is_some());
    }
    assert_eq!(enter(Scope::RUN, 7, 4), None);
    assert_eq!(enter(Scope::RUN, 2, 4), Some(two));
    // and until all have left it; it goes on when it is entered again.
    ledger.leave(one, secs(4));
    assert_eq!(ledger.time(one, secs(5)), secs(5));
    ledger.leave(one, secs(5));
    assert_eq!(
        (ledger.time(one, secs(100)), ledger.exhausted(one, secs(100))),
        (secs(5), Some(BudgetExceeded::Time { limit: secs(5), actual: secs(5) }))
    );
    assert_eq!(enter(Scope::RUN, 1, 200), Some(one));
    assert_eq!(ledger.time(one, secs(201)), secs(6));
}

#[test]
fn what_does_not_fit_is_as_much_as_can_be_and_a_fault() {
    let ledger = Ledger::new(&Budget::unlimited());
    let inner = ledger.enter(Scope::RUN, 1, &Budget::unlimited(), secs(0)).unwrap();
    ledger.book(inner, amount(u64::MAX - 1, 5), 0).unwrap();
    assert_eq!(ledger.told().fault, None);
    assert_eq!(ledger.reserve(inner, amount(2, 0)), Err(SpendError::Overflow));
    assert_eq!(ledger.book(inner, amount(2, 5), 0), Err(SpendError::Overflow));
    assert_eq!(ledger.spent(Scope::RUN), amount(u64::MAX, 10));
    let recent = ledger.told();
    assert_eq!((recent.refused, recent.fault), (Some(SpendError::Overflow), Some(SpendError::Overflow)));
    // There is no limit, so none is reached.
    assert_eq!((ledger.exhausted(inner, secs(9)), ledger.overrun(inner, secs(9))), (None, None));
    // A settlement gives back what was set aside all the same.
    let limited = Ledger::new(&Budget::unlimited().tokens(10));
    limited.reserve(Scope::RUN, amount(10, 0)).unwrap();
    assert_eq!(limited.settle(Scope::RUN, amount(10, 0), amount(u64::MAX, 0), 0), Ok(()));
    assert_eq!(limited.settle(Scope::RUN, amount(0, 0), amount(1, 0), 0), Err(SpendError::Overflow));
    let over = BudgetExceeded::Tokens { limit: 10, actual: u64::MAX };
    assert_eq!(limited.overrun(Scope::RUN, secs(0)), Some(over));
}

#[test]
fn what_is_recent_is_told_once_the_first_of_each_kind() {
    let ledger = Ledger::new(&Budget::unlimited().tokens(10));
    assert!(!ledger.has_recent());
    ledger.reserve(Scope::RUN, amount(4, 1)).unwrap();
    // Nothing is spent yet.
    assert_eq!((ledger.has_recent(), ledger.told()), (true, Told::default()));
    ledger.settle(Scope::RUN, amount(4, 1), amount(3, 1), 2).unwrap();
    ledger.book(Scope::RUN, amount(1, 1), 1).unwrap();
    let refused = ledger.reserve(Scope::RUN, amount(7, 0)).unwrap_err();
    assert!(ledger.reserve(Scope::RUN, amount(8, 0)).is_err());
    let unknown = |name| SpendError::UnknownModel(UnknownModel::of(Some(name)));
    ledger.note_refused(unknown("r"));
    ledger.note_fault(unknown("a"));
    ledger.note_fault(unknown("b"));
    assert!(ledger.has_recent());
    let recent = Told { spent: amount(4, 2), unpriced_tokens: 3, refused: Some(refused), fault: Some(unknown("a")) };
    assert_eq!(ledger.told(), recent);
    assert!(!ledger.has_recent());
    assert_eq!(ledger.told(), Told::default());
    assert_eq!(ledger.unpriced(), 3);
    // What is restored is not recent.
    ledger.restore(&bytes(&ledger, secs(0))).unwrap();
    assert_eq!(ledger.told(), Told::default());
}

#[test]
fn a_ledger_goes_on_where_it_was() {
    let run = Budget::unlimited().tokens(100).latency(secs(60));
    let part = Budget::unlimited().tokens(50).latency(secs(20));
    let old = Ledger::new(&run);
    old.started(secs(1_000));
    let outer = old.enter(Scope::RUN, 7, &part, secs(1_010)).unwrap();
    let inner = old.enter(outer, u32::MAX, &part, secs(1_015)).unwrap();
    old.book(inner, amount(10, 3), 4).unwrap();
    old.book(outer, amount(5, 0), 0).unwrap();
    old.book(Scope::RUN, amount(1, 1), 0).unwrap();
    old.reserve(outer, amount(9, 9)).unwrap();

    for (ahead, more) in [(false, amount(0, 0)), (true, amount(9, 9))] {
        if ahead {
            old.state.lock().mark(outer, amount(9, 9));
        }
        let stored = bytes(&old, secs(1_020));
        let new = Ledger::new(&run);
        new.started(secs(5));
        new.restore(&stored).unwrap();
        assert_eq!(new.spent(Scope::RUN), amount(16, 4).saturating_add(more));
        assert_eq!((new.unpriced(), new.time(Scope::RUN, secs(6))), (4, secs(21)));
        // A scope gets its limit, and its time goes on, when it is entered again.
        let again = new.enter(Scope::RUN, 7, &part, secs(8)).unwrap();
        assert_eq!((new.spent(again), new.time(again, secs(9))), (amount(15, 3).saturating_add(more), secs(11)));
        let below = new.enter(again, u32::MAX, &part, secs(8)).unwrap();
        assert_eq!((new.spent(below), new.time(below, secs(8))), (amount(10, 3), secs(5)));
        assert_eq!(new.enter(below, 1, &part, secs(8)).map(|scope| new.spent(scope)), Some(Amount::ZERO));
        assert_eq!(new.remaining(again, secs(8)).time, Some(secs(10)));
    }
}

#[test]
fn a_reservation_is_stored_before_its_call_where_somebody_does_it() {
    let ledger = Ledger::new(&Budget::unlimited());
    let part = ledger.enter(Scope::RUN, 1, &Budget::unlimited(), secs(0)).unwrap();
    let stored = |scope| {
        let new = Ledger::new(&Budget::unlimited());
        new.restore(&bytes(&ledger, secs(0))).unwrap();
        new.spent(scope)
    };
    for (scope, tokens) in [(part, 3), (part, 4), (Scope::RUN, 50)] {
        ledger.reserve(scope, amount(tokens, 1)).unwrap();
    }
    assert_eq!(ledger.ask_ahead(part, amount(3, 1)), AheadAsked::Refused);
    assert!(!ledger.ahead_here(AheadHere::Nowhere));
    assert_eq!(ledger.ask_ahead(part, amount(3, 1)), AheadAsked::AtOnce);
    assert!(!ledger.ahead_here(AheadHere::Written));
    assert_eq!((stored(part), stored(Scope::RUN)), (Amount::ZERO, Amount::ZERO));
    for tokens in [3, 4] {
        assert_eq!(ledger.ask_ahead(part, amount(tokens, 1)), AheadAsked::Wait { written: 0 });
    }
    assert!(ledger.ahead_here(AheadHere::Not) && !ledger.ahead_here(AheadHere::Not));
    assert!(!ledger.is_written(0));
    ledger.ahead_written();
    assert!(ledger.is_written(0) && !ledger.is_written(1));
    // It is not spent here, and what is not ahead is not stored.
    assert_eq!((ledger.spent(part), stored(part), stored(Scope::RUN)), (Amount::ZERO, amount(7, 2), amount(7, 2)));
    ledger.take_back(part, amount(3, 1));
    ledger.settle(part, amount(3, 1), amount(1, 0), 0).unwrap();
    assert_eq!((stored(part), stored(Scope::RUN)), (amount(5, 1), amount(5, 1)));
    ledger.take_back(part, amount(4, 1));
    ledger.settle(part, amount(4, 1), Amount::ZERO, 0).unwrap();
    assert_eq!((stored(part), ledger.spent(Scope::RUN)), (amount(1, 0), amount(1, 0)));
    ledger.begin(&Budget::unlimited(), secs(0));
    assert_eq!(ledger.ask_ahead(Scope::RUN, amount(1, 1)), AheadAsked::Refused);
    assert!(!ledger.is_written(0));
}

#[test]
fn the_largest_ledger_fits_and_comes_back() {
    let ledger = Ledger::new(&Budget::unlimited());
    ledger.started(secs(0));
    let mut scope = Scope::RUN;
    for key in 0..INNER as u32 {
        scope = ledger.enter(scope, u32::MAX - key, &Budget::unlimited(), secs(0)).unwrap();
    }
    ledger.book(scope, amount(u64::MAX, u64::MAX), u64::MAX).unwrap();
    let stored = bytes(&ledger, Duration::MAX);
    assert_eq!(stored.len(), 36 + INNER * 31);
    let new = Ledger::new(&Budget::unlimited());
    new.restore(&stored).unwrap();
    assert_eq!(bytes(&new, secs(0)), stored);
}

#[test]
fn the_bytes_are_these() {
    // Fixed for ever: a stored ledger outlives the program.
    let ledger = Ledger::new(&Budget::unlimited());
    ledger.started(secs(1));
    let part = ledger.enter(Scope::RUN, 300, &Budget::unlimited(), secs(1)).unwrap();
    ledger.book(part, amount(127, 128), 3).unwrap();
    ledger.book(Scope::RUN, amount(1, u64::MAX - 128), 0).unwrap();
    let stored = bytes(&ledger, Duration::from_micros(1_000_005));
    let (run, part) = ([0b1_001, 1, 128], [0, 0x2c, 0x01, 0, 0, 1, 127, 1, 128, 1, 5]);
    let expected = [&run[..], &[8], &[0xff; 8], &[1, 3, 1, 5], &part];
    assert_eq!(stored, expected.concat());
}

#[test]
fn what_is_no_ledger_is_refused_and_changes_nothing() {
    use LedgerError::{Contradiction, Overlong, Trailing, Truncated, Version};
    let ledger = Ledger::new(&Budget::unlimited());
    ledger.book(Scope::RUN, amount(7, 7), 0).unwrap();
    let before = bytes(&ledger, secs(0));
    let with = |inner: u8, rest: &[u8]| [&[8 | inner, 1, 5, 1, 5, 0, 0], rest].concat();
    // A part in this scope, of this key, with so many tokens and picodollars.
    let part = |parent, key, tokens, cost| [parent, key, 0, 0, 0, 1, tokens, 1, cost, 0];
    let two = |one: [u8; 10], other: [u8; 10]| with(2, &[one, other].concat());
    let one = part(0, 1, 1, 1);
    for (stored, error) in [
        (vec![], Truncated),
        (vec![0, 1, 5, 1, 5, 0, 0], Version { found: 0 }),
        (vec![23], Version { found: 2 }),
        (vec![8, 1, 5, 1, 5, 0], Truncated),
        (vec![8, 1, 5, 1, 5, 0, 2, 1], Truncated),
        (with(1, &one[..9]), Truncated),
        (with(1, &one[..3]), Truncated),
        (with(2, &one), Truncated),
        (with(0, &one), Trailing { len: 10 }),
        (with(1, &[&one[..], &[0]].concat()), Trailing { len: 1 }),
        // A zero behind, a number of nine bytes.
        (vec![8, 2, 5, 0, 1, 5, 0, 0], Overlong),
        (vec![8, 1, 0, 1, 5, 0, 0], Overlong),
        (vec![8, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 0, 0], Overlong),
        // More tokens without a price than tokens.
        (vec![8, 1, 5, 1, 5, 1, 6, 0], Contradiction),
        // A time that there is not.
        (vec![8, 1, 5, 1, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1], Contradiction),
        // A part with more than the whole, alone or with another.
        (with(1, &part(0, 1, 6, 1)), Contradiction),
        (with(1, &part(0, 1, 1, 6)), Contradiction),
        (two(part(0, 1, 3, 1), part(0, 2, 3, 1)), Contradiction),
        (two(part(0, 1, 3, 1), part(1, 1, 4, 1)), Contradiction),
        // In a part that comes later, in itself, nowhere, and twice the same.
        (two(part(2, 1, 1, 1), part(0, 1, 1, 1)), Contradiction),
        (with(1, &part(1, 1, 1, 1)), Contradiction),
        (with(1, &part(255, 1, 1, 1)), Contradiction),
        (two(one, one), Contradiction),
    ] {
        assert_eq!(ledger.restore(&stored), Err(error), "{stored:?}");
        assert_eq!(bytes(&ledger, secs(0)), before);
    }
    assert_eq!(ledger.restore(&two(part(0, 1, 3, 2), part(0, 2, 2, 3))), Ok(()));
    assert_eq!(ledger.restore(&two(part(0, 1, 3, 2), part(1, 1, 3, 2))), Ok(()));
    assert_eq!(ledger.spent(Scope(2)), amount(3, 2));
}

#[test]
fn threads_never_cross_the_cap_and_every_sum_is_exact() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 5_000;
    let ledger = Ledger::new(&Budget::unlimited().tokens(40).cost(Usd::picodollars(u64::MAX / 2)));
    let parts =
        [1, 2].map(|key| ledger.enter(Scope::RUN, key, &Budget::unlimited().tokens(25), Duration::ZERO).unwrap());
    let settled: Vec<(u64, u64)> = thread::scope(|threads| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let ledger = &ledger;
                threads.spawn(move || {
                    let (mut admitted, mut cost) = (0, 0);
                    let part = parts[(thread % 2) as usize];
                    for round in 0..ROUNDS {
                        let most = amount(10, thread * ROUNDS + round);
                        if ledger.reserve(part, most).is_ok() {
                            // What is set aside is at most what there is, whoever looks and whenever.
                            let state = ledger.state.lock();
                            let held: Vec<u64> = state.inner.iter().map(|part| part.reserved.tokens).collect();
                            assert!(state.run.reserved.tokens <= 40, "{}", state.run.reserved.tokens);
                            assert!(held.iter().all(|held| *held <= 25), "{held:?}");
                            assert_eq!(held.iter().sum::<u64>(), state.run.reserved.tokens);
                            drop(state);
                            let actual = amount(0, most.cost.as_picodollars());
                            ledger.settle(part, most, actual, 0).unwrap();
                            admitted += 1;
                            cost += most.cost.as_picodollars();
                        }
                    }
                    (admitted, cost)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let cost = settled.iter().map(|(_, cost)| cost).sum();
    assert_eq!(ledger.spent(Scope::RUN), amount(0, cost));
    let parts = parts.map(|part| ledger.spent(part).cost.as_picodollars());
    assert_eq!(parts[0] + parts[1], cost);
    assert!(settled.iter().any(|(admitted, _)| *admitted > 0));
    assert_eq!(ledger.state.lock().run.reserved, Amount::ZERO);
}
