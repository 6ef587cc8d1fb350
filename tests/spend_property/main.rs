//! Whatever nodes do with their reservations, however branches interleave, wherever a run is killed: no limit is crossed by
//! reservations, what is reported is what was spent, and what was checkpointed is not forgotten.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

mod branches;
mod nodes;
#[path = "../support/polling.rs"]
mod polling;
#[path = "../support/slots.rs"]
mod slots;
mod store;

use core::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{collections::BTreeSet, panic::resume_unwind, rc::Rc, thread};

use nodes::{Fail, Inside, Op, Sum, World, work};
use polling::{drive, yield_once};
use proptest::prelude::*;
use slots::{Key, Raw, Seen, done, encoded, key};
use store::Watch;
use stroma::{
    AheadReservation, Amount, Attempt, Backoff, Budget, Cause, Clock, Completed, Failed, Failure, FailureClass, Halted,
    Hooks, ManualClock, NodeCx, Now, PolicyMap, Price, Pricing, Reservation, RunId, Runner, Slot, SpendError, Spent,
    Succeeded, Usage, Usd, ms, node_with, par,
    store::{Access, Begun, Encode, HeapStore, MemoryStore, Session, Store, StoreError},
};

// ---- What is reported is what was spent ----

#[derive(Debug, Clone)]
struct Case {
    calls: Vec<Vec<Vec<Op>>>,
    paces: Vec<u8>,
    kills: Vec<u16>,
    budget: Option<u16>,
    no_heap: bool,
}

/// How far a process went.
#[derive(Debug, PartialEq, Eq)]
enum Went {
    /// It was killed, or a node failed.
    Short,
    /// A limit is reached.
    AsFarAsItMay,
    ToTheEnd,
}

type Ended<Out> = Result<Completed<Out, ()>, Halted<Fail, ()>>;

struct Trial<'t, F> {
    world: &'t World,
    case: &'t Case,
    run: F,
}

impl<F> Trial<'_, F> {
    /// One process, from what the store holds to its end or its death, and how many polls that took.
    fn process<R, Out>(&self, kill: Option<usize>) -> (Went, usize)
    where
        F: Fn() -> R,
        R: Future<Output = Ended<Out>>,
    {
        let clock = {
            let mut inside = self.world.0.borrow_mut();
            inside.base = inside.committed;
            inside.began = inside.clock.now();
            (inside.booked, inside.told) = (Sum::default(), Sum::default());
            inside.operations = 0;
            inside.clock.clone()
        };
        // The time while nothing runs is not of the run.
        clock.advance(ms(1_000_000));
        self.world.0.borrow_mut().began = clock.now();
        let (ended, polls) = drive((self.run)(), &clock, kill);
        {
            let inside = self.world.0.borrow();
            assert_eq!((inside.held, inside.ahead), (Sum::default(), Sum::default()));
        }
        let Some(ended) = ended else { return (Went::Short, polls) };
        let (report, went) = match &ended {
            Ok(done) => (done.report, Went::ToTheEnd),
            Err(Halted { cause: Cause::Budget(_), report, .. }) => (*report, Went::AsFarAsItMay),
            Err(halted) => (halted.report, Went::Short),
        };
        let (total, time) = self.world.total();
        let inside = self.world.0.borrow();
        assert_eq!(inside.told, inside.booked, "attempts and nodes: {inside:?}");
        assert_eq!(Sum::from(report.spent), total, "report and nodes: {inside:?}");
        assert_eq!(report.spent.time, time);
        if ended.is_err() || inside.booked != Sum::default() {
            // All of it is in the store, of a run that halted and of one that came to its end.
            assert_eq!(inside.committed.0, total, "store and nodes: {inside:?}");
        }
        (went, polls)
    }

    fn begin(&self) {
        let inside = &mut *self.world.0.borrow_mut();
        *inside = Inside {
            clock: inside.clock.clone(),
            calls: self.case.calls.clone(),
            called: vec![0; self.case.calls.len()],
            paces: self.case.paces.clone(),
            ..Inside::default()
        };
    }

    fn to_the_end<R, Out>(&self, kills: &[usize])
    where
        F: Fn() -> R,
        R: Future<Output = Ended<Out>>,
    {
        self.begin();
        let mut kills = kills.iter();
        // Each that is not killed halts with a failure that is then in the past, so there are not many.
        let went = loop {
            match self.process(kills.next().copied()).0 {
                Went::Short => {}
                went => break went,
            }
        };
        if went == Went::AsFarAsItMay {
            return;
        }
        // Whoever asks again is told the same, and nothing runs for it.
        let (called, total) = (self.world.0.borrow().called.clone(), self.world.0.borrow().committed.0);
        self.process(None);
        assert_eq!((&self.world.0.borrow().called, self.world.total().0), (&called, total));
    }
}

fn pricing() -> Pricing {
    Pricing::empty().with("m", Price::per_token(Usd::picodollars(1), Usd::picodollars(2))).unwrap()
}

macro_rules! n {
    ($node:literal) => {
        node_with(concat!("n", $node), work).write_ahead()
    };
}

macro_rules! check_in {
    ($case:expr, $pipeline:expr, $store:expr) => {{
        let case: &Case = $case;
        let world = World::default();
        let runner = Runner::new($pipeline)
            .with_store(Watch { inner: $store, world: world.clone() })
            .with_clock(world.0.borrow().clock.clone())
            .with_policies(PolicyMap::never().recoverable(2, Backoff::constant(ms(3))).ambiguous(1, Backoff::none()))
            .with_context(world.clone())
            .with_hooks(world.clone())
            .with_budget(case.budget.map_or(Budget::unlimited(), |most| Budget::unlimited().tokens(most.into())))
            .with_pricing(pricing())
            .build()
            .unwrap();
        let id = core::cell::Cell::new(0);
        let trial = Trial { world: &world, case, run: || runner.run_as(RunId::from_u128(id.get()), 7) };
        trial.begin();
        let (_, polls) = trial.process(None);
        for kill in 0..=polls {
            id.set(kill as u128 + 1);
            trial.to_the_end(&[kill]);
        }
        id.set(id.get() + 1);
        let kills: Vec<_> = case.kills.iter().map(|kill| usize::from(*kill) % (polls + 1)).collect();
        trial.to_the_end(&kills);
    }};
}

macro_rules! check {
    ($case:expr, $pipeline:expr) => {
        if $case.no_heap {
            check_in!($case, $pipeline, MemoryStore::<4, 12, 40>::new());
        } else {
            check_in!($case, $pipeline, HeapStore::with_capacity(4));
        }
    };
}

fn patient() -> PolicyMap {
    PolicyMap::never().recoverable(2, Backoff::constant(ms(2))).ambiguous(2, Backoff::none())
}

fn part(most: u64) -> Budget {
    Budget::unlimited().tokens(most)
}

fn an_op() -> impl Strategy<Value = Op> {
    let class =
        prop_oneof![Just(FailureClass::Recoverable), Just(FailureClass::Ambiguous), Just(FailureClass::Terminal)];
    prop_oneof![
        3 => Just(Op::Yield),
        2 => (1_u8..9).prop_map(Op::Sleep),
        4 => (0_u8..40, 0_u8..40).prop_map(|(input, output)| Op::Reserve(input, output)),
        3 => (0_u8..40, 0_u8..40).prop_map(|(input, output)| Op::Ahead(input, output)),
        2 => (-90_i8..30).prop_map(Op::Settle),
        1 => Just(Op::Drop),
        2 => (0_u8..50, any::<bool>()).prop_map(|(tokens, priced)| Op::Record(tokens, priced)),
        1 => class.prop_map(Op::Fail),
    ]
}

fn a_case() -> impl Strategy<Value = Case> {
    let calls = prop::collection::vec(prop::collection::vec(prop::collection::vec(an_op(), 0..7), 0..4), 7);
    let budget = prop_oneof![2 => Just(None), 1 => (1_u16..600).prop_map(Some)];
    (
        calls,
        // Without a pace the store answers at once, as the two of the crate do.
        prop_oneof![Just(Vec::new()), prop::collection::vec(0_u8..4, 1..8)],
        prop::collection::vec(any::<u16>(), 0..6),
        budget,
        any::<bool>(),
    )
        .prop_map(|(calls, paces, kills, budget, no_heap)| Case { calls, paces, kills, budget, no_heap })
}

fn cases(fewer: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = fewer;
    }
    config.failure_persistence = None;
    config
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_chain_reports_and_keeps_what_it_spent(case in a_case()) {
        check!(
            &case,
            n!(0).then(n!(1).retry(patient())).then(n!(2).skip_checkpoint()).then(n!(3).timeout(ms(9)))
                .then(n!(4).then(n!(5)).timeout(ms(12)).retry(patient())).then(n!(6))
        );
    }

    #[test]
    fn branches_report_and_keep_what_they_spent(case in a_case()) {
        let branches = par!(n!(1), n!(2).then(n!(3)).timeout(ms(12)), n!(4).skip_checkpoint());
        check!(&case, n!(0).then(branches).map(|(a, b, c)| a + b + c).then(n!(5)).deadline(ms(90)));
    }

    #[test]
    fn branches_at_the_end_do(case in a_case()) {
        check!(&case, par(n!(0).then(n!(1)), par(n!(2), n!(3).timeout(ms(8)).retry(patient()))));
    }

    #[test]
    fn settled_branches_do(case in a_case()) {
        let branches = par!(n!(1), n!(2).timeout(ms(8)), n!(3).then(n!(4))).settle();
        check!(&case, n!(0).then(branches.retry(patient()).map(|(a, b, c)| a + b + c)).then(n!(5)));
    }

    #[test]
    fn parts_and_retries_from_the_start_do(case in a_case()) {
        let branches = par(n!(1).then(n!(2)).budget(part(300)), n!(3).budget(part(150)).retry(patient()));
        let inner = branches.map(|(a, b)| a + b).budget(part(400)).then(n!(4)).retry(patient()).from_start();
        check!(&case, n!(0).then(inner).deadline(ms(120)).then(n!(5).budget(part(90))));
    }
}
