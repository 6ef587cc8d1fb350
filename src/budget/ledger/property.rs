//! The ledger against one without tricks.

extern crate std;
use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::{
    asked::{amount, bytes},
    codec::VERSION,
    *,
};

/// One thing that may happen to a ledger.
#[derive(Debug, Clone)]
enum Op {
    Enter {
        parent: usize,
        key: u32,
        tokens: Option<u64>,
        cost: Option<u64>,
    },
    Reserve {
        scope: usize,
        tokens: u64,
        cost: u64,
    },
    /// So many eighths of the reservation.
    Settle {
        which: usize,
        eighths: u64,
    },
    Book {
        scope: usize,
        tokens: u64,
        cost: u64,
        unpriced: u64,
    },
    /// Stored, and taken up by another process.
    Resume {
        ahead: bool,
    },
    Tell,
}

fn op() -> impl Strategy<Value = Op> {
    let small = || 0_u64..40;
    let limit = || prop::option::of(1_u64..200);
    prop_oneof![
        1 => (0..8_usize, 0..3_u32, limit(), limit())
            .prop_map(|(parent, key, tokens, cost)| Op::Enter { parent, key, tokens, cost }),
        4 => (0..8_usize, small(), small()).prop_map(|(scope, tokens, cost)| Op::Reserve { scope, tokens, cost }),
        3 => (any::<usize>(), 0..9_u64).prop_map(|(which, eighths)| Op::Settle { which, eighths }),
        1 => (0..8_usize, 0..4_u64, 0..4_u64, 0..4_u64)
            .prop_map(|(scope, tokens, cost, unpriced)| Op::Book { scope, tokens, cost, unpriced }),
        1 => any::<bool>().prop_map(|ahead| Op::Resume { ahead }),
        1 => Just(Op::Tell),
    ]
}

fn budget(tokens: Option<u64>, cost: Option<u64>) -> Budget {
    let budget = tokens.map_or(Budget::unlimited(), |tokens| Budget::unlimited().tokens(tokens));
    cost.map_or(budget, |cost| budget.cost(Usd::picodollars(cost)))
}

/// A ledger without tricks: a list of all that is set aside and booked, summed up when somebody asks.
#[derive(Default)]
struct Naive {
    /// Parent and key of each scope, and its limits.
    scopes: Vec<(usize, u32, Option<u64>, Option<u64>)>,
    /// Of which scope, and how much.
    reserved: Vec<(usize, Amount)>,
    booked: Vec<(usize, Amount)>,
}

impl Naive {
    fn is_in(&self, mut scope: usize, around: usize) -> bool {
        while scope != around && scope != 0 {
            scope = self.scopes[scope].0;
        }
        scope == around
    }

    fn sum(&self, of: &[(usize, Amount)], around: usize) -> Amount {
        let inside = of.iter().filter(|(scope, _)| self.is_in(*scope, around));
        inside.fold(Amount::ZERO, |sum, (_, amount)| sum.checked_add(*amount).unwrap())
    }

    fn admits(&self, scope: usize, more: Amount) -> bool {
        (0..self.scopes.len()).filter(|around| self.is_in(scope, *around)).all(|around| {
            let held = self.sum(&self.reserved, around).checked_add(self.sum(&self.booked, around)).unwrap();
            let total = held.checked_add(more).unwrap();
            let (_, _, tokens, cost) = self.scopes[around];
            tokens.is_none_or(|most| total.tokens <= most)
                && cost.is_none_or(|most| total.cost.as_picodollars() <= most)
        })
    }
}

proptest! {
    #[test]
    fn it_counts_as_a_naive_ledger_does(
        run in (prop::option::of(1_u64..300), prop::option::of(1_u64..300)),
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut naive = Naive { scopes: vec![(0, 0, run.0, run.1)], ..Naive::default() };
        let mut ledger = Ledger::new(&budget(run.0, run.1));
        let mut told = Amount::ZERO;
        for op in ops {
            match op {
                Op::Enter { parent, key, tokens, cost } => {
                    let parent = parent % naive.scopes.len();
                    let known = (1..naive.scopes.len())
                        .find(|at| (naive.scopes[*at].0, naive.scopes[*at].1) == (parent, key));
                    let scope = ledger.enter(Scope(parent as u8), key, &budget(tokens, cost), Duration::ZERO);
                    match known {
                        None if naive.scopes.len() == INNER + 1 => prop_assert_eq!(scope, None),
                        None => {
                            prop_assert_eq!(scope, Some(Scope(naive.scopes.len() as u8)));
                            naive.scopes.push((parent, key, tokens, cost));
                        }
                        Some(at) => {
                            prop_assert_eq!(scope, Some(Scope(at as u8)));
                            naive.scopes[at] = (parent, key, tokens, cost);
                        }
                    }
                }
                Op::Reserve { scope, tokens, cost } => {
                    let (scope, more) = (scope % naive.scopes.len(), amount(tokens, cost));
                    let admitted = ledger.reserve(Scope(scope as u8), more).is_ok();
                    prop_assert_eq!(admitted, naive.admits(scope, more));
                    if admitted {
                        naive.reserved.push((scope, more));
                    }
                }
                Op::Settle { which, eighths } => {
                    if let Some(which) = which.checked_rem(naive.reserved.len()) {
                        let (scope, held) = naive.reserved.swap_remove(which);
                        let actual = amount(held.tokens * eighths / 8, held.cost.as_picodollars() * eighths / 8);
                        prop_assert_eq!(ledger.settle(Scope(scope as u8), held, actual, 0), Ok(()));
                        naive.booked.push((scope, actual));
                    }
                }
                Op::Book { scope, tokens, cost, unpriced } => {
                    let scope = scope % naive.scopes.len();
                    let unpriced = unpriced.min(tokens);
                    prop_assert_eq!(ledger.book(Scope(scope as u8), amount(tokens, cost), unpriced), Ok(()));
                    naive.booked.push((scope, amount(tokens, cost)));
                }
                Op::Resume { ahead } => {
                    if ahead {
                        naive.reserved.iter().for_each(|(scope, held)| ledger.state.lock().mark(Scope(*scope as u8), *held));
                    }
                    let stored = bytes(&ledger, Duration::ZERO);
                    let next = Ledger::new(&budget(run.0, run.1));
                    next.restore(&stored).unwrap();
                    for (at, (parent, key, tokens, cost)) in naive.scopes.iter().enumerate().skip(1) {
                        let scope = next.enter(Scope(*parent as u8), *key, &budget(*tokens, *cost), Duration::ZERO);
                        prop_assert_eq!(scope, Some(Scope(at as u8)));
                    }
                    let under_way = core::mem::take(&mut naive.reserved);
                    if ahead {
                        naive.booked.extend(under_way);
                    }
                    ledger = next;
                    told = ledger.spent(Scope::RUN);
                }
                Op::Tell => {
                    let now = ledger.spent(Scope::RUN);
                    prop_assert_eq!(ledger.told().spent, now.saturating_sub(told));
                    told = now;
                }
            }
            for at in 0..naive.scopes.len() {
                let scope = Scope(at as u8);
                let (spent, held) = (naive.sum(&naive.booked, at), naive.sum(&naive.reserved, at));
                prop_assert_eq!(ledger.spent(scope), spent);
                let left = (0..naive.scopes.len()).filter(|around| naive.is_in(at, *around)).filter_map(|around| {
                    let held = naive.sum(&naive.reserved, around).tokens + naive.sum(&naive.booked, around).tokens;
                    Some(naive.scopes[around].2?.saturating_sub(held))
                });
                prop_assert_eq!(ledger.remaining(scope, Duration::ZERO).tokens, left.min());
                let reached = |over: fn(u64, u64) -> bool| {
                    (0..naive.scopes.len()).filter(|around| naive.is_in(at, *around)).any(|around| {
                        let spent = naive.sum(&naive.booked, around);
                        let (_, _, tokens, cost) = naive.scopes[around];
                        tokens.is_some_and(|most| over(spent.tokens, most))
                            || cost.is_some_and(|most| over(spent.cost.as_picodollars(), most))
                    })
                };
                prop_assert_eq!(ledger.exhausted(scope, Duration::ZERO).is_some(), reached(|spent, most| spent >= most));
                prop_assert_eq!(ledger.overrun(scope, Duration::ZERO).is_some(), reached(|spent, most| spent > most));
                let state = ledger.state.lock();
                let account = at.checked_sub(1).map_or(&state.run, |at| &state.inner[at]);
                prop_assert_eq!(account.reserved, held);
            }
        }
    }

    #[test]
    fn no_bytes_panic_and_what_is_read_is_written_again(
        amounts in prop::collection::vec((0..8_usize, any::<u64>(), any::<u64>(), 0..64_u32), 0..8),
        now in any::<u64>(),
        noise in prop::collection::vec(any::<u8>(), 0..LEDGER_MAX),
    ) {
        let ledger = Ledger::new(&Budget::unlimited());
        ledger.started(Duration::ZERO);
        for (key, (parent, tokens, cost, shift)) in amounts.into_iter().enumerate() {
            let parent = ledger.enter(Scope(0), parent as u32, &Budget::unlimited(), Duration::ZERO);
            let Some(scope) = parent.and_then(|parent| {
                ledger.enter(parent, key as u32, &Budget::unlimited(), Duration::ZERO)
            }) else { break };
            let _ = ledger.book(scope, amount(tokens >> shift, cost >> shift), 0);
        }
        let now = Duration::from_micros(now >> 10);
        let stored = bytes(&ledger, now);
        let read = |bytes: &[u8]| {
            let ledger = Ledger::new(&Budget::unlimited());
            ledger.restore(bytes).map(|()| self::bytes(&ledger, Duration::ZERO))
        };
        prop_assert_eq!(read(&stored), Ok(stored.clone()));
        // Whatever is read at all has one form only.
        let canonical = |bytes: &[u8]| read(bytes).is_ok_and(|again| again != bytes);
        for len in 0..stored.len() {
            prop_assert!(!canonical(&stored[..len]));
        }
        let mut flipped = stored.clone();
        for bit in 0..stored.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!canonical(&flipped));
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assert!(!canonical(&noise));
        let _ = read(&[&[VERSION << 3 | 7][..], &noise].concat());
    }
}
