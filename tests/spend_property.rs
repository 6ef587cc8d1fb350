//! Whatever nodes do with their reservations, however branches interleave, wherever a run is killed: no limit is crossed by
//! reservations, what is reported is what was spent, and what was checkpointed is not forgotten.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "support/polling.rs"]
mod polling;
#[path = "support/slots.rs"]
mod slots;

use core::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{collections::BTreeSet, panic::resume_unwind, rc::Rc, thread};

use polling::{drive, yield_once};
use proptest::prelude::*;
use slots::{Key, Raw, Seen, done, encoded, key};
use stroma::{
    AheadReservation, Amount, Attempt, Backoff, Budget, Cause, Clock, Completed, Failed, Failure, FailureClass, Halted,
    Hooks, ManualClock, NodeCx, Now, PolicyMap, Price, Pricing, Reservation, RunId, Runner, Slot, SpendError, Spent,
    Succeeded, Usage, Usd, ms, node_with, par,
    store::{Access, Begun, Encode, HeapStore, MemoryStore, Session, Store, StoreError},
};

// ---- What nodes do ----

#[derive(Debug, Clone, Copy)]
enum Op {
    /// Lets go of the task once.
    Yield,
    /// Waits so many milliseconds.
    Sleep(u8),
    /// Sets aside so many tokens, in and out, of the priced model.
    Reserve(u8, u8),
    /// The same, and waits until it is stored.
    Ahead(u8, u8),
    /// Settles what was reserved last, at so many tokens more or less.
    Settle(i8),
    /// Drops what was reserved last.
    Drop,
    /// Books so many tokens; of a model with a price or without one.
    Record(u8, bool),
    /// Fails; what is still held is dropped.
    Fail(FailureClass),
}

#[derive(Debug)]
struct Fail(FailureClass);

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        self.0
    }
}

/// Tokens, picodollars, tokens without a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    tokens: u64,
    cost: u64,
    unpriced: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        *self = Self {
            tokens: self.tokens + other.tokens,
            cost: self.cost + other.cost,
            unpriced: self.unpriced + other.unpriced,
        };
    }

    fn sub(&mut self, other: Self) {
        *self = Self {
            tokens: self.tokens - other.tokens,
            cost: self.cost - other.cost,
            unpriced: self.unpriced - other.unpriced,
        };
    }

    fn plus(mut self, other: Self) -> Self {
        self.add(other);
        self
    }

    fn of(amount: Amount) -> Self {
        Self { tokens: amount.tokens, cost: amount.cost.as_picodollars(), unpriced: 0 }
    }
}

impl From<Spent> for Sum {
    fn from(spent: Spent) -> Self {
        Self { tokens: spent.tokens, cost: spent.cost.as_picodollars(), unpriced: spent.unpriced_tokens }
    }
}

/// What nodes did, added up by themselves.
#[derive(Debug, Clone, Default)]
struct World(Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    clock: ManualClock,
    /// What each node does, call by call; after the last it just yields.
    calls: Vec<Vec<Vec<Op>>>,
    called: Vec<usize>,
    /// How long operations of the store take in polls, over and over.
    paces: Vec<u8>,
    operations: usize,
    /// What was booked, and is set aside, since this process began.
    booked: Sum,
    held: Sum,
    /// What of it is to be in the store as if it were booked.
    ahead: Sum,
    /// What observers were told of.
    told: Sum,
    admitted: u32,
    refused: u32,
    limit: Option<u64>,
    /// What the store has, and when the process that goes on from it began.
    committed: (Sum, Duration),
    base: (Sum, Duration),
    began: Duration,
    /// In which order ledgers were handed to the store, and the last that it has.
    asked: u64,
    written: u64,
}

impl World {
    fn total(&self) -> (Sum, Duration) {
        let inside = self.0.borrow();
        let time = inside.base.1 + (inside.clock.now() - inside.began);
        (inside.base.0.plus(inside.booked), time)
    }

    /// What a ledger that is stored now stands for.
    fn stored(&self) -> (Sum, Duration) {
        let (total, time) = self.total();
        (total.plus(self.0.borrow().ahead), time)
    }

    fn book(&self, spent: Sum) {
        self.0.borrow_mut().booked.add(spent);
    }

    /// That what is booked and set aside never crosses the limit, where all that is spent is reserved.
    fn hold(&self, amount: Sum) {
        let mut inside = self.0.borrow_mut();
        inside.held.add(amount);
        inside.admitted += 1;
        if let Some(limit) = inside.limit {
            assert!(inside.booked.tokens + inside.held.tokens <= limit, "{inside:?}");
        }
    }

    fn pace(&self) -> u8 {
        let mut inside = self.0.borrow_mut();
        inside.operations += 1;
        let at = inside.operations.checked_rem(inside.paces.len());
        at.map_or(0, |at| inside.paces[at])
    }
}

impl<In, Out, Er> Hooks<In, Out, Er> for World {
    fn on_success(&self, _: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.0.borrow_mut().told.add(succeeded.spent.into());
    }

    fn on_failure(&self, _: Attempt<'_>, failed: Failed<'_, Er>) {
        self.0.borrow_mut().told.add(failed.spent.into());
    }

    fn on_cut_short(&self, _: Attempt<'_>, spent: Spent) {
        self.0.borrow_mut().told.add(spent.into());
    }
}

/// Either kind of a reservation.
enum Guard<'a> {
    Plain(Reservation<'a>),
    Ahead(AheadReservation<'a>),
}

/// A reservation that the world knows of.
struct Held<'a> {
    guard: Option<Guard<'a>>,
    amount: Sum,
    world: World,
}

impl<'a> Held<'a> {
    fn new(guard: Guard<'a>, world: &World) -> Self {
        let amount = match &guard {
            Guard::Plain(guard) => guard.amount(),
            Guard::Ahead(guard) => guard.amount(),
        };
        let amount = Sum::of(amount);
        world.hold(amount);
        Self { guard: Some(guard), amount, world: world.clone() }
    }

    fn take(&mut self) -> Option<Guard<'a>> {
        let guard = self.guard.take()?;
        let mut inside = self.world.0.borrow_mut();
        inside.held.sub(self.amount);
        if let Guard::Ahead(_) = guard {
            inside.ahead.sub(self.amount);
        }
        Some(guard)
    }

    fn settle(mut self, by: i8) {
        let Some(guard) = self.take() else { return };
        let out = self.amount.tokens.saturating_add_signed(by.into());
        let used = Usage::of("m").output(out);
        let cost = match guard {
            Guard::Plain(guard) => guard.settle(used),
            Guard::Ahead(guard) => guard.settle(used),
        };
        assert_eq!(cost.unwrap().as_picodollars(), 2 * out);
        self.world.book(Sum { tokens: out, cost: 2 * out, unpriced: 0 });
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(guard) = self.take() {
            drop(guard);
            self.world.book(self.amount);
        }
    }
}

/// What is being stored before its call, until it is or is not.
struct Asking(World, Sum);

impl Asking {
    fn new(world: &World, input: u8, output: u8) -> Self {
        let (input, output) = (u64::from(input), u64::from(output));
        let amount = Sum { tokens: input + output, cost: input + 2 * output, unpriced: 0 };
        world.0.borrow_mut().ahead.add(amount);
        Self(world.clone(), amount)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.0.borrow_mut().ahead.sub(self.1);
    }
}

fn usage(input: u8, output: u8) -> Usage<'static> {
    Usage::of("m").input(input.into()).output(output.into())
}

async fn work(x: u64, cx: NodeCx<'_, World>) -> Result<u64, Fail> {
    let world = cx.context();
    let (ops, clock) = {
        let mut inside = world.0.borrow_mut();
        let node: usize = cx.node().trim_start_matches('n').parse().unwrap();
        let call = inside.called[node];
        inside.called[node] += 1;
        (inside.calls[node].get(call).cloned().unwrap_or_default(), inside.clock.clone())
    };
    let mut held: Vec<Held<'_>> = Vec::new();
    for op in ops {
        match op {
            Op::Yield => yield_once().await,
            Op::Sleep(time) => clock.sleep(ms(time.into())).await,
            Op::Reserve(input, output) => match cx.reserve(usage(input, output)) {
                Ok(guard) => held.push(Held::new(Guard::Plain(guard), world)),
                Err(_) => world.0.borrow_mut().refused += 1,
            },
            Op::Ahead(input, output) => {
                let asking = Asking::new(world, input, output);
                match cx.reserve_ahead(usage(input, output)).await {
                    Ok(guard) => {
                        // It goes on to be of the guard.
                        world.0.borrow_mut().ahead.add(asking.1);
                        held.push(Held::new(Guard::Ahead(guard), world));
                    }
                    Err(SpendError::Exceeded(_)) => world.0.borrow_mut().refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Settle(by) => held.pop().into_iter().for_each(|held| held.settle(by)),
            Op::Drop => drop(held.pop()),
            Op::Record(tokens, priced) => {
                let tokens = u64::from(tokens);
                cx.record(Usage::of(if priced { "m" } else { "?" }).input(tokens)).unwrap();
                let (cost, unpriced) = if priced { (tokens, 0) } else { (0, tokens) };
                world.book(Sum { tokens, cost, unpriced });
            }
            Op::Fail(class) => return Err(Fail(class)),
        }
    }
    Ok(x + 1)
}

// ---- A store that takes its time, and notes what it was given ----

#[derive(Debug)]
struct Watch<S> {
    inner: S,
    world: World,
}

struct WatchSession<I> {
    inner: Rc<RefCell<I>>,
    seen: Seen,
    ledger: Vec<u8>,
    world: World,
}

enum Change {
    Put(Slot<'static>, Vec<u8>),
    Ledger,
    Discard(BTreeSet<Key>),
}

/// A write; one that is dropped before its end never happens.
struct Writing<I> {
    polls: u8,
    change: Option<Change>,
    ledger: Vec<u8>,
    /// What the ledger stands for, and as which it was asked for.
    stands_for: (Sum, Duration),
    number: u64,
    inner: Rc<RefCell<I>>,
    world: World,
}

impl<I> Unpin for Writing<I> {}

impl<I: Session> Writing<I> {
    fn begin(session: &WatchSession<I>, change: Change, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self> {
        let world = session.world.clone();
        let number = {
            let mut inside = world.0.borrow_mut();
            inside.asked += 1;
            inside.asked
        };
        let mut writing = Self {
            polls: world.pace(),
            change: Some(change),
            ledger: ledger.to_vec(),
            stands_for: world.stored(),
            number,
            inner: Rc::clone(&session.inner),
            world,
        };
        if writing.polls == 0 { Begun::Done(writing.apply()) } else { Begun::Pending(writing) }
    }

    fn apply(&mut self) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        let mut inside = self.world.0.borrow_mut();
        // Of several the ledger of that which was asked for last stays.
        let newest = !self.ledger.is_empty() && self.number > inside.written;
        if newest {
            inside.written = self.number;
            inside.committed = self.stands_for;
        }
        let ledger: &[u8] = if newest { &self.ledger } else { &[] };
        match self.change.take().expect("a write ends once") {
            Change::Put(slot, bytes) => done(inner.put(slot, Raw(&bytes), ledger)),
            Change::Ledger if newest => done(inner.put_ledger(ledger)),
            Change::Ledger => Ok(()),
            Change::Discard(keys) => done(inner.discard(|slot| keys.contains(&key(slot)))),
        }
    }
}

impl<I: Session> Future for Writing<I> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.apply())
    }
}

impl<I: Session> Session for WatchSession<I> {
    type Writing = Writing<I>;
    type Reading = I::Reading;
    type Bytes = I::Bytes;

    fn is_new(&self) -> bool {
        self.seen.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.seen.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.seen.each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let bytes = encoded(&value).unwrap();
        self.seen.put(slot);
        Writing::begin(self, Change::Put(slot, bytes), ledger)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Writing::begin(self, Change::Ledger, ledger)
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        self.inner.borrow_mut().load(slot, read)
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let keys = self.seen.discard(doomed);
        Writing::begin(self, Change::Discard(keys), &[])
    }

    fn finished(&mut self) {
        self.inner.borrow_mut().finished();
    }
}

impl<S: Store> Store for Watch<S> {
    type Session<'a>
        = WatchSession<S::Session<'a>>
    where
        Self: 'a;
    type Opening<'a>
        = core::future::Pending<Result<Self::Session<'a>, StoreError>>
    where
        Self: 'a;
    type Forgetting<'a>
        = S::Forgetting<'a>
    where
        Self: 'a;

    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        let opened = done(self.inner.open(run, access)).map(|inner| {
            let seen = Seen::of(&inner);
            let ledger = inner.ledger().to_vec();
            WatchSession { inner: Rc::new(RefCell::new(inner)), seen, ledger, world: self.world.clone() }
        });
        Begun::Done(opened)
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.inner.forget(run)
    }
}

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

// ---- 64 branches against a cap for 10 ----

macro_rules! eight {
    ($a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal $with:expr) => {{
        let with = $with;
        par!(
            with(concat!("n", $a)),
            with(concat!("n", $b)),
            with(concat!("n", $c)),
            with(concat!("n", $d)),
            with(concat!("n", $e)),
            with(concat!("n", $f)),
            with(concat!("n", $g)),
            with(concat!("n", $h)),
        )
    }};
}

type Eight = (u64, u64, u64, u64, u64, u64, u64, u64);

fn sum((a, b, c, d, e, f, g, h): Eight) -> u64 {
    a + b + c + d + e + f + g + h
}

/// 8 x 8 branches; `$wrap` is done to each of the eight, and to all.
macro_rules! sixty_four {
    ($node:expr, $wrap:ident) => {
        $wrap!(par!(
            $wrap!(eight!("0" "1" "2" "3" "4" "5" "6" "7" $node)).map(sum),
            $wrap!(eight!("8" "9" "10" "11" "12" "13" "14" "15" $node)).map(sum),
            $wrap!(eight!("16" "17" "18" "19" "20" "21" "22" "23" $node)).map(sum),
            $wrap!(eight!("24" "25" "26" "27" "28" "29" "30" "31" $node)).map(sum),
            $wrap!(eight!("32" "33" "34" "35" "36" "37" "38" "39" $node)).map(sum),
            $wrap!(eight!("40" "41" "42" "43" "44" "45" "46" "47" $node)).map(sum),
            $wrap!(eight!("48" "49" "50" "51" "52" "53" "54" "55" $node)).map(sum),
            $wrap!(eight!("56" "57" "58" "59" "60" "61" "62" "63" $node)).map(sum),
        ))
        .map(sum)
    };
}

macro_rules! plain {
    ($pipeline:expr) => {
        $pipeline
    };
}

macro_rules! settled {
    ($pipeline:expr) => {
        $pipeline.settle()
    };
}

/// Such a run is moved a few times before it begins, which takes more stack than a test has where nothing is optimised.
fn with_room<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs 64 branches that do as they are told, under a cap of 30 tokens, each tried again twice where it fails.
macro_rules! run_64 {
    ($calls:expr, $pipeline:expr) => {{
        let calls = $calls;
        with_room(|| {
            let world = World::default();
            {
                let mut inside = world.0.borrow_mut();
                inside.calls = calls;
                inside.called = vec![0; 64];
                inside.limit = Some(30);
            }
            let runner = Runner::new($pipeline)
                .with_clock(world.0.borrow().clock.clone())
                .with_policies(PolicyMap::never().recoverable(2, Backoff::constant(ms(1))))
                .with_context(world.clone())
                .with_hooks(world.clone())
                .with_budget(Budget::unlimited().tokens(30))
                .with_pricing(pricing())
                .build()
                .unwrap();
            let clock = world.0.borrow().clock.clone();
            let ended = drive(runner.run(0), &clock, None).0.unwrap();
            drop(runner);
            let report = match &ended {
                Ok(done) => done.report,
                Err(halted) => halted.report,
            };
            let inside = std::mem::take(&mut *world.0.borrow_mut());
            assert_eq!(
                (Sum::from(report.spent), inside.told, inside.held),
                (inside.booked, inside.booked, Sum::default())
            );
            assert!(inside.booked.tokens <= 30);
            (ended, inside)
        })
    }};
}

fn yields(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(prop_oneof![Just(Op::Yield), (1_u8..4).prop_map(Op::Sleep)], 0..most)
}

/// One call: it waits, reserves three tokens, waits, and ends in some way.
fn a_branch(end: impl Strategy<Value = Op>) -> impl Strategy<Value = Vec<Op>> {
    (yields(5), yields(5), end)
        .prop_map(|(before, after, end)| [before, vec![Op::Reserve(2, 1)], after, vec![end]].concat())
}

proptest! {
    #![proptest_config(cases(40))]

    /// Each books what it reserved, by settling or by dropping it: of 64 exactly ten are admitted.
    #[test]
    fn of_64_branches_exactly_as_many_are_admitted_as_there_is_room_for(
        calls in prop::collection::vec(a_branch(prop_oneof![Just(Op::Settle(0)), Just(Op::Drop), Just(Op::Yield)]), 64)
    ) {
        let calls: Vec<_> = calls.into_iter().map(|call| vec![call]).collect();
        let node = |id| node_with(id, work);
        let (ended, inside) = run_64!(calls.clone(), sixty_four!(node, plain));
        prop_assert_eq!((inside.admitted, inside.refused, inside.booked.tokens), (10, 54, 30));
        prop_assert_eq!(ended.map(|done| done.output).ok(), Some(64));
        let (ended, inside) = run_64!(calls, sixty_four!(node, settled));
        prop_assert_eq!((inside.admitted, inside.refused, inside.booked.tokens), (10, 54, 30));
        prop_assert!(ended.is_ok());
    }

    /// The same where some fail for good, or are cut off by a time-out: what they held is booked.
    #[test]
    fn so_they_are_where_some_fail_or_are_cut_off(
        calls in prop::collection::vec(
            a_branch(prop_oneof![Just(Op::Settle(0)), Just(Op::Fail(FailureClass::Terminal)), Just(Op::Sleep(99))]),
            64,
        )
    ) {
        let calls: Vec<_> = calls.into_iter().map(|call| vec![call]).collect();
        let node = |id| node_with(id, work).timeout(ms(50)).retry(PolicyMap::never());
        let (ended, inside) = run_64!(calls, sixty_four!(node, settled));
        prop_assert_eq!((inside.admitted, inside.booked.tokens), (10, 30));
        prop_assert_eq!(inside.refused, 54);
        // Whoever was refused and failed then failed for that.
        if let Err(halted) = ended {
            prop_assert!(!matches!(halted.cause, Cause::Account(_)));
        }
    }

    /// Whatever they settle at and however often they try: what is booked and what is reserved is never above the cap.
    #[test]
    fn whatever_they_do_the_cap_is_not_crossed(
        calls in prop::collection::vec(
            prop::collection::vec(
                a_branch(prop_oneof![
                    (-3_i8..=0).prop_map(Op::Settle),
                    Just(Op::Drop),
                    Just(Op::Sleep(99)),
                    Just(Op::Fail(FailureClass::Recoverable)),
                ]),
                0..4,
            ),
            64,
        )
    ) {
        let node = |id| node_with(id, work).timeout(ms(20));
        let (_, inside) = run_64!(calls.clone(), sixty_four!(node, settled));
        prop_assert!(inside.admitted >= 10 || inside.refused == 0);
        drop(run_64!(calls, sixty_four!(node, plain)));
    }
}
