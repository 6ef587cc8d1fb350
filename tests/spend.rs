//! What runs spend: limits, reservations, what is booked and what is stored of it, parts with limits of their own, fallback.
#![cfg(all(feature = "tokio", feature = "json"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use stroma::{
    AccountsError, AheadReservation, Attempt, Backoff, Budget, BudgetExceeded, BuildError, Cause, Dimension, Failed,
    Failure, FailureClass, FallbackError, Hooks, LedgerError, ManualClock, NodeCx, PolicyMap, Price, Pricing,
    Reservation, RunId, RunStatus, Runner, SpendError, Spent, Succeeded, Usage, Usd, ms, node_with, par, secs,
    store::{HeapStore, StoreErrorKind},
};

mod support;
use support::{
    polling::{now_or_panic, poll_once, poll_until_idle, yield_once},
    spy::Spy,
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fail {
    /// What it was refused, passed on.
    Spend(SpendError),
    /// Recoverable.
    Busy,
    /// Terminal.
    Bad,
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spend(error) => error.fmt(f),
            Self::Busy => f.write_str("busy"),
            Self::Bad => f.write_str("bad"),
        }
    }
}

impl std::error::Error for Fail {}

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        match self {
            Self::Spend(error) => error.class(),
            Self::Busy => FailureClass::Recoverable,
            Self::Bad => FailureClass::Terminal,
        }
    }
}

impl From<SpendError> for Fail {
    fn from(error: SpendError) -> Self {
        Self::Spend(error)
    }
}

/// What a node does, one after the other. In the end it drops what it holds, and yields its input plus one.
#[derive(Debug, Clone)]
enum Do {
    /// Reserves so many tokens, and fails with the refusal.
    Reserve(u64),
    /// Reserves so many tokens, and goes on without when refused.
    Try(u64),
    /// Reserves so many tokens, and makes a failure of its own of a refusal.
    Or(u64, Fail),
    /// Reserves for a model.
    ReserveOf(Usage<'static>),
    /// Settles the last reservation at so many tokens.
    Settle(u64),
    /// Settles the last reservation by this usage, and fails with what is wrong with that.
    SettleOf(Usage<'static>),
    /// Reserves so many tokens and waits until that is stored; fails with the refusal.
    Ahead(u64),
    /// Two of them at once.
    Twice(u64, u64),
    /// Settles the last of those at so many tokens.
    SettleAhead(u64),
    /// Records so many tokens.
    Record(u64),
    /// Records a usage, and fails with what is wrong with it.
    RecordOf(Usage<'static>),
    /// Records a usage, and goes on whatever is wrong with it.
    TryRecord(Usage<'static>),
    /// Writes down the model that is to be used, and books its use.
    Model(&'static str, u64),
    /// Writes down what is left of the tokens.
    Left,
    /// Writes down what is left of the time.
    TimeLeft,
    /// Lets go of the task once.
    Pause,
    /// Waits on tokio's clock.
    Sleep(Duration),
    /// Never ends.
    Hang,
    Fail(Fail),
}

use Do::{
    Ahead, Hang, Left, Model, Or, Pause, Record, RecordOf, Reserve, ReserveOf, Settle, SettleAhead, SettleOf, Sleep,
    TimeLeft, Try, TryRecord, Twice,
};

/// What the nodes do, call by call; when nothing is left to be told they just yield.
#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    acts: BTreeMap<&'static str, VecDeque<Vec<Do>>>,
    calls: BTreeMap<&'static str, u32>,
    log: Vec<String>,
}

impl Script {
    fn new<const N: usize>(acts: [(&'static str, Vec<Do>); N]) -> Self {
        let script = Self::default();
        for (node, acts) in acts {
            script.0.lock().unwrap().acts.entry(node).or_default().push_back(acts);
        }
        script
    }

    fn next(&self, node: &'static str) -> Vec<Do> {
        let mut inside = self.0.lock().unwrap();
        *inside.calls.entry(node).or_default() += 1;
        inside.acts.get_mut(node).and_then(VecDeque::pop_front).unwrap_or_default()
    }

    fn calls(&self, node: &str) -> u32 {
        self.0.lock().unwrap().calls.get(node).copied().unwrap_or(0)
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap().log.push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }
}

async fn act(x: u32, cx: NodeCx<'_, Script>) -> Result<u32, Fail> {
    let script = cx.context();
    let mut held: Vec<Reservation<'_>> = Vec::new();
    let mut ahead: Vec<AheadReservation<'_>> = Vec::new();
    for act in script.next(cx.node()) {
        match act {
            Reserve(tokens) => held.push(cx.reserve(Usage::tokens(tokens))?),
            Try(tokens) => match cx.reserve(Usage::tokens(tokens)) {
                Ok(guard) => held.push(guard),
                Err(error) => script.add(format!("{}: {error}", cx.node())),
            },
            Or(tokens, fail) => held.push(cx.reserve(Usage::tokens(tokens)).map_err(|_| fail)?),
            ReserveOf(usage) => held.push(cx.reserve(usage)?),
            Settle(tokens) => drop(held.pop().unwrap().settle(Usage::tokens(tokens))?),
            SettleOf(usage) => drop(held.pop().unwrap().settle(usage)?),
            Ahead(tokens) => ahead.push(cx.reserve_ahead(Usage::tokens(tokens)).await?),
            Twice(one, two) => {
                let both = (cx.reserve_ahead(Usage::tokens(one)), cx.reserve_ahead(Usage::tokens(two)));
                let (one, two) = tokio::join!(both.0, both.1);
                ahead.extend([one?, two?]);
            }
            SettleAhead(tokens) => drop(ahead.pop().unwrap().settle(Usage::tokens(tokens))?),
            Record(tokens) => drop(cx.record(Usage::tokens(tokens))?),
            RecordOf(usage) => drop(cx.record(usage)?),
            TryRecord(usage) => script.add(format!("{:?}", cx.record(usage))),
            Model(wanted, tokens) => {
                let model = cx.model(wanted);
                script.add(format!("{} {model}", cx.node()));
                cx.record(Usage::of(model).input(tokens))?;
            }
            Left => script.add(format!("{} {:?}", cx.node(), cx.remaining().tokens)),
            TimeLeft => script.add(format!("{} {:?}", cx.node(), cx.remaining().time)),
            Pause => yield_once().await,
            Sleep(time) => tokio::time::sleep(time).await,
            Hang => std::future::pending().await,
            Do::Fail(fail) => return Err(fail),
        }
    }
    Ok(x + 1)
}

/// What all attempts spent together, as hooks are told.
#[derive(Debug, Clone, Default)]
struct Sum(Arc<Mutex<(u64, u64, u64, Vec<String>)>>);

impl Sum {
    fn add(&self, at: Attempt<'_>, how: &str, spent: Spent) {
        let mut sum = self.0.lock().unwrap();
        sum.0 += spent.tokens;
        sum.1 += spent.cost.as_picodollars();
        sum.2 += spent.unpriced_tokens;
        sum.3.push(format!("{} {} {how} {}", at.node, at.attempt, spent.tokens));
    }

    fn is(&self, spent: Spent) -> bool {
        let sum = self.0.lock().unwrap();
        (sum.0, sum.1, sum.2) == (spent.tokens, spent.cost.as_picodollars(), spent.unpriced_tokens)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap()).3
    }
}

impl<In, Out, Er> Hooks<In, Out, Er> for Sum {
    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.add(at, "succeeded", succeeded.spent);
    }

    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        self.add(at, "failed", failed.spent);
    }

    fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
        self.add(at, "cut short", spent);
    }
}

/// One picodollar for a token in, two for one out; a big model ten times that; and one that is free.
fn pricing() -> Pricing {
    let each = |pico| Price::per_token(Usd::picodollars(pico), Usd::picodollars(2 * pico));
    let pricing = Pricing::empty().with("m", each(1)).unwrap().with("big", each(10)).unwrap();
    pricing.with("small", each(1)).unwrap().with("tiny", Price::free()).unwrap()
}

const fn tokens(most: u64) -> Budget {
    Budget::unlimited().tokens(most)
}

const fn pico(most: u64) -> Budget {
    Budget::unlimited().cost(Usd::picodollars(most))
}

fn id(number: u128) -> RunId {
    RunId::from_u128(number)
}

/// A runner with everything on.
macro_rules! runner {
    ($pipeline:expr, $script:expr, $store:expr, $budget:expr, $sum:expr) => {
        Runner::quick($pipeline)
            .with_policies(PolicyMap::never().recoverable(9, Backoff::none()).ambiguous(9, Backoff::none()))
            .with_store($store.clone())
            .with_context($script.clone())
            .with_hooks($sum.clone())
            .with_budget($budget)
            .with_pricing(pricing())
            .build()
            .unwrap()
    };
    ($pipeline:expr, $script:expr, $store:expr, $budget:expr) => {
        runner!($pipeline, $script, $store, $budget, Sum::default())
    };
    ($pipeline:expr, $script:expr, $budget:expr) => {
        runner!($pipeline, $script, Arc::new(HeapStore::new()), $budget)
    };
}

fn over_tokens(limit: u64, actual: u64) -> Cause<Fail> {
    Cause::Budget(BudgetExceeded::Tokens { limit, actual })
}

fn over_cost(limit: u64, actual: u64) -> Cause<Fail> {
    Cause::Budget(BudgetExceeded::Cost { limit: Usd::picodollars(limit), actual: Usd::picodollars(actual) })
}

// ---- Reserve before the spend ----

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_run_whatever_error_the_node_made_of_it() {
    for fail in [Or(1_200, Fail::Busy), Or(1_200, Fail::Bad), Reserve(1_200)] {
        let script = Script::new([("b", vec![Record(100), fail])]);
        let sum = Sum::default();
        let store = Spy::new();
        let pipeline = || node_with("a", act).then(node_with("b", act)).then(node_with("c", act));
        let runner = runner!(pipeline(), script, store, tokens(1_000), sum);
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!(halted.cause, over_tokens(1_000, 1_300));
        assert_eq!((halted.node, halted.attempt, halted.report.status), (Some("b"), 1, RunStatus::Partial));
        assert_eq!((halted.class, script.calls("b"), script.calls("c")), (FailureClass::Recoverable, 1, 0));
        assert_eq!(halted.report.spent.tokens, 100);
        assert!(sum.is(halted.report.spent));
        let told = halted.to_string();
        assert!(
            told.contains("node `b`, attempt 1: the budget of 1000 tokens is reached at") && told.contains("resume"),
            "{told}"
        );
        assert_eq!(halted.trace.failures().count(), 1);
        // With a larger one it goes on.
        let runner = runner!(pipeline(), script, store, tokens(1_400));
        let done = runner.resume(id(1)).await.unwrap();
        assert_eq!((done.output, done.report.spent.tokens, script.calls("a")), (4, 100, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_node_can_do_without_is_none_of_the_runs_business() {
    let script = Script::new([("a", vec![Try(1_200), Try(900), Settle(10)]), ("b", vec![Left])]);
    let runner = runner!(node_with("a", act).then(node_with("b", act)), script, tokens(1_000));
    let done = runner.run(1).await.unwrap();
    assert_eq!((done.output, done.report.status, done.report.spent.tokens), (3, RunStatus::Completed, 10));
    let refused = "a: the budget of 1000 tokens is reached at 1200: raise it (`with_budget`, or `.budget` of a part), then `resume`";
    assert_eq!(script.take(), [refused, "b Some(990)"]);
    // Nor is it blamed for what goes wrong in another attempt.
    let script = Script::new([
        ("a", vec![Try(1_200), Record(1)]),
        ("b", vec![Pause, Do::Fail(Fail::Busy)]),
        ("b", vec![Do::Fail(Fail::Bad)]),
    ]);
    let runner = runner!(par(node_with("a", act), node_with("b", act)), script, tokens(1_000));
    assert_eq!(runner.run(1).await.unwrap_err().cause, Cause::Error(Fail::Bad));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_too_where_the_attempt_runs_out_of_time_afterwards() {
    let script = Script::new([("a", vec![Try(11), Hang])]);
    let runner = runner!(node_with("a", act).timeout(secs(1)), script, tokens(10));
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.attempt, script.calls("a")), (over_tokens(10, 11), 1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_retry_around_it_tries_a_refusal_again() {
    let patient = PolicyMap::never().recoverable(9, Backoff::none()).ambiguous(9, Backoff::none());
    let script = Script::new([("b", vec![Or(11, Fail::Busy)]), ("c", vec![Record(1)])]);
    let chain = || node_with("b", act).then(node_with("x", act));
    let pipeline =
        node_with("a", act).then(par(chain().retry(patient), node_with("c", act)).settle()).map(|(b, c)| b + c);
    let runner = runner!(pipeline.retry(patient).from_start(), script, tokens(10));
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node, halted.attempt), (over_tokens(10, 11), Some("b"), 1));
    // The other branch was let finish.
    assert_eq!((script.calls("a"), script.calls("b"), script.calls("c")), (1, 1, 1));
    assert_eq!(halted.report.spent.tokens, 1);
}

// ---- Record after it ----

#[tokio::test(start_paused = true)]
async fn a_node_that_overruns_is_called_once_keeps_its_output_and_halts_the_run() {
    let script = Script::new([("a", vec![Record(500)])]);
    let (store, sum) = (Spy::new(), Sum::default());
    let pipeline = || node_with("a", act).then(node_with("b", act));
    let runner = runner!(pipeline(), script, store, tokens(100), sum);
    let halted = runner.run_as(id(1), 1).await.unwrap_err();
    assert_eq!((halted.cause.clone(), halted.node, halted.attempt), (over_tokens(100, 500), Some("a"), 1));
    assert_eq!((halted.report.status, script.calls("a"), script.calls("b")), (RunStatus::Partial, 1, 0));
    assert_eq!(sum.take(), ["a 1 succeeded 500"]);
    assert_eq!(store.kept(&id(1).to_string()), ["", "a"]);
    // The same budget again: nothing is run. A larger one: it goes on from its output.
    let halted = runner.resume(id(1)).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (over_tokens(100, 500), Some("b")));
    let runner = runner!(pipeline(), script, store, tokens(501));
    let done = runner.resume(id(1)).await.unwrap();
    assert_eq!((done.output, done.report.status, done.report.spent.tokens), (3, RunStatus::Resumed, 500));
    assert_eq!((script.calls("a"), script.calls("b"), done.report.restored), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_node_may_overrun_too() {
    for store in [Spy::new(), Spy::slow(2)] {
        let script = Script::new([("b", vec![RecordOf(Usage::of("m").input(8).output(2))])]);
        let pipeline = || node_with("a", act).then(node_with("b", act).skip_checkpoint());
        let runner = runner!(pipeline(), script, store, pico(11));
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node), (over_cost(11, 12), Some("b")));
        // It is paid for, and there is nothing left to start: it is handed out.
        let done = runner.resume(id(1)).await.unwrap();
        assert_eq!((done.output, done.report.spent.cost), (3, Usd::picodollars(12)));
        let done = runner!(pipeline(), script, store, pico(100)).run_as(id(1), 1).await.unwrap();
        assert_eq!((done.output, done.report.spent.cost, script.calls("b")), (3, Usd::picodollars(12), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_is_not_over_it_but_nothing_starts_there() {
    // By reservation and by record; tokens and money.
    let by_tokens = vec![Reserve(10), Settle(10)];
    let by_cost = vec![RecordOf(Usage::of("m").output(5))];
    for (acts, budget, cause) in [(by_tokens, tokens(10), over_tokens(10, 10)), (by_cost, pico(10), over_cost(10, 10))]
    {
        let script = Script::new([("b", acts.clone()), ("b", acts)]);
        // As the last node: that is all right.
        let pipeline = || node_with("a", act).then(node_with("b", act));
        let done = runner!(pipeline(), script, budget).run(1).await.unwrap();
        assert_eq!(done.output, 3);
        // As any other: the next one does not start, nor does a sibling of its that has yet to.
        let next = par(node_with("c", act), node_with("d", act)).map(|(c, _)| c);
        let halted = runner!(pipeline().then(next), script, budget).run(1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node, halted.attempt), (cause, Some("c"), 1));
        assert_eq!((script.calls("c"), script.calls("d")), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempts_spend_counts_and_stops_the_next_attempt() {
    let fails = || vec![Record(40), Do::Fail(Fail::Busy)];
    let script = Script::new([("a", fails()), ("a", fails()), ("a", fails()), ("a", fails())]);
    let sum = Sum::default();
    let runner = runner!(node_with("a", act), script, Spy::new(), tokens(100), sum);
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.attempt, halted.report.spent.tokens), (over_tokens(100, 120), 4, 120));
    assert_eq!(script.calls("a"), 3);
    assert_eq!(sum.take(), ["a 1 failed 40", "a 2 failed 40", "a 3 failed 40"]);
}

// ---- What is spent without an end ----

#[tokio::test(start_paused = true)]
async fn what_a_time_out_drops_is_booked_on_its_attempt() {
    let hangs = || vec![Record(1), Reserve(30), Reserve(4), Settle(2), Hang];
    let script = Script::new([("a", hangs()), ("a", hangs()), ("b", hangs())]);
    let sum = Sum::default();
    let pipeline = node_with("a", act).timeout(secs(1)).then(node_with("b", act)).deadline(secs(9));
    let runner = runner!(pipeline, script, Spy::new(), tokens(1_000), sum);
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (Cause::Deadline { limit: secs(9) }, None));
    assert_eq!(halted.report.spent.tokens, 99);
    assert!(sum.is(halted.report.spent));
    assert_eq!(sum.take(), ["a 1 failed 33", "a 2 failed 33", "a 3 succeeded 0", "b 1 cut short 33"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_branch_held_when_its_sibling_failed_is_booked_on_it() {
    for store in [Spy::new(), Spy::slow(3)] {
        let script = Script::new([
            ("a", vec![Record(1), Reserve(10), Pause, Hang]),
            ("b", vec![Reserve(100), Pause, Pause, Do::Fail(Fail::Bad)]),
            ("c", vec![Reserve(1_000), Pause]),
        ]);
        let sum = Sum::default();
        let pipeline = par!(node_with("a", act), node_with("b", act), node_with("c", act).then(node_with("d", act)));
        let runner = runner!(pipeline, script, store, tokens(100_000), sum);
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!(halted.cause, Cause::Error(Fail::Bad));
        assert_eq!(halted.report.spent.tokens, 1_111);
        assert!(sum.is(halted.report.spent), "{:?}", sum.take());
        // What it spent since its last checkpoint is in the store: the next part of the run knows of it.
        let script = Script::new([("a", vec![Left])]);
        let pipeline = par!(node_with("a", act), node_with("b", act), node_with("c", act).then(node_with("d", act)));
        let done = runner!(pipeline, script, store, tokens(100_000)).resume(id(1)).await.unwrap();
        assert_eq!((done.report.spent.tokens, script.take()), (1_111, vec!["a Some(98889)".to_owned()]));
    }
}

/// Reserves before its future is polled, and holds the reservation until that is dropped.
fn keeps_to_the_end(x: u32, cx: NodeCx<'_, Script>) -> impl Future<Output = Result<u32, Fail>> + use<'_> {
    let guard = cx.reserve(Usage::tokens(7));
    let mut pauses = 2;
    poll_fn(move |task| {
        pauses -= 1;
        if pauses > 0 {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _held = &guard;
        Poll::Ready(Ok(x + 1))
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_before_the_first_poll_and_after_the_last_is_the_attempts_own() {
    for store in [Spy::new(), Spy::slow(1)] {
        let script = Script::new([("a", vec![Record(1), Pause, Record(1)]), ("c", vec![Pause, Pause, Record(100)])]);
        let sum = Sum::default();
        let branches = par!(node_with("a", act), node_with("b", keeps_to_the_end), node_with("c", act));
        let runner = runner!(branches.map(|(a, b, c)| a + b + c), script, store, tokens(1_000), sum);
        assert_eq!(runner.run_as(id(1), 1).await.unwrap().report.spent.tokens, 109);
        let mut told = sum.take();
        told.sort();
        assert_eq!(told, ["a 1 succeeded 2", "b 1 succeeded 7", "c 1 succeeded 100"]);
    }
    // It is with the checkpoint too, so that a finished run knows of it; and a limit that it crosses is crossed.
    let store = Spy::new();
    let pipeline = || node_with("b", keeps_to_the_end);
    let runner = runner!(pipeline(), Script::default(), store, tokens(1_000));
    for _ in 0..2 {
        assert_eq!(runner.run_as(id(1), 1).await.unwrap().report.spent.tokens, 7);
    }
    // What is refused there is not its sibling's refusal.
    let script = Script::new([("a", vec![Pause, Do::Fail(Fail::Bad)])]);
    let b = async |x, _: NodeCx<'_, Script>| Ok(x);
    let refused = |x: u32, cx: NodeCx<'_, Script>| {
        assert!(cx.reserve(Usage::tokens(1_001)).is_err());
        std::future::ready(Ok::<_, Fail>(x))
    };
    let branches = par!(node_with("a", act), node_with("b", b), node_with("c", refused));
    let halted = runner!(branches, script, tokens(1_000)).run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (Cause::Error(Fail::Bad), Some("a")));
}

// ---- Crash and resume ----

#[tokio::test(start_paused = true)]
async fn what_was_checkpointed_is_not_forgotten_by_a_crash() {
    for store in [Spy::new(), Spy::slow(2)] {
        let script = Script::new([
            ("a", vec![Record(600)]),
            ("b", vec![Left, Hang]),
            ("b", vec![Left, Or(401, Fail::Busy)]),
            ("b", vec![Reserve(400), Settle(399)]),
        ]);
        let pipeline = || node_with("a", act).then(node_with("b", act));
        let runner = runner!(pipeline(), script, store, tokens(1_000));
        {
            let mut run = pin!(runner.run_as(id(1), 1));
            assert!(poll_until_idle(run.as_mut()).is_pending());
        }
        let halted = runner.resume(id(1)).await.unwrap_err();
        assert_eq!(halted.cause, over_tokens(1_000, 1_001));
        assert_eq!(script.take(), ["b Some(400)", "b Some(400)"]);
        let done = runner.resume(id(1)).await.unwrap();
        assert_eq!((done.output, done.report.spent.tokens, script.calls("a")), (3, 999, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_tokens_money_and_time_of_all_parts_of_a_run() {
    let script = Script::new([
        ("a", vec![Sleep(ms(300)), RecordOf(Usage::of("m").input(3).output(2)), RecordOf(Usage::of("?").input(4))]),
        ("b", vec![Sleep(ms(200)), RecordOf(Usage::of("m").input(1)), Do::Fail(Fail::Bad)]),
        ("b", vec![Sleep(ms(100)), RecordOf(Usage::cost(Usd::picodollars(5)))]),
    ]);
    let store = Arc::new(HeapStore::new());
    let runner = runner!(node_with("a", act).then(node_with("b", act)), script, store, tokens(1_000));
    let told = |spent: Spent| (spent.tokens, spent.cost.as_picodollars(), spent.unpriced_tokens, spent.time);
    let halted = runner.run_as(id(1), 1).await.unwrap_err();
    assert_eq!(told(halted.report.spent), (10, 8, 4, ms(500)));
    tokio::time::advance(secs(100)).await;
    let done = runner.resume(id(1)).await.unwrap();
    assert_eq!(told(done.report.spent), (10, 13, 4, ms(600)));
    tokio::time::advance(secs(100)).await;
    // A finished run tells what it took, and is not charged for being asked.
    let again = runner.run_as(id(1), 1).await.unwrap();
    assert_eq!((again.report.spent, again.report.status), (done.report.spent, RunStatus::Resumed));
}

#[test]
fn a_ledger_that_is_none_halts_the_resume_and_nothing_is_deleted() {
    let script = Script::new([("a", vec![Record(600)])]);
    let store = Spy::new();
    let pipeline = || node_with("a", act).then(node_with("b", act));
    let runner = runner!(pipeline(), script, store, tokens(500));
    assert_eq!(now_or_panic(runner.run_as(id(1), 1)).unwrap_err().cause, over_tokens(500, 600));
    let good = store.ledger(&id(1));
    let longer = [&good[..], &[0]].concat();
    for (bytes, error) in [
        (good[..good.len() - 1].to_vec(), LedgerError::Truncated),
        (longer, LedgerError::Trailing { len: 1 }),
        (vec![0xff; 40], LedgerError::Version { found: 31 }),
        (vec![8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0], LedgerError::Overlong),
        // More tokens without a price than tokens.
        (vec![8, 1, 1, 0, 1, 2, 0], LedgerError::Contradiction),
    ] {
        store.set_ledger(&id(1), bytes.clone());
        for halted in [now_or_panic(runner.resume(id(1))), now_or_panic(runner.run_as(id(1), 1))] {
            let halted = halted.unwrap_err();
            assert_eq!((&halted.cause, halted.report.status), (&Cause::Ledger(error), RunStatus::Failed));
            assert!(halted.to_string().contains("nothing was deleted"), "{halted}");
        }
        assert_eq!(store.ledger(&id(1)), bytes);
    }
    assert_eq!((script.calls("a"), script.calls("b")), (1, 0));
    store.set_ledger(&id(1), good.clone());
    // A runner that keeps no account goes on with the run, and leaves the ledger as it is.
    let unmetered = Runner::new(pipeline()).with_store(store.clone()).with_context(script.clone()).build().unwrap();
    assert_eq!(now_or_panic(unmetered.resume(id(1))).unwrap().output, 3);
    assert_eq!(store.ledger(&id(1)), good);
    assert_eq!(now_or_panic(runner.run_as(id(1), 1)).unwrap().report.spent.tokens, 600);
}

#[test]
fn a_store_that_cannot_save_the_ledger_does_not_change_why_the_run_halted() {
    for pace in [None, Some(0), Some(3)] {
        let store = Spy::new();
        store.inside().yields = pace;
        store.inside().fail_put_ledger = Some(StoreErrorKind::Unavailable);
        let script = Script::new([("a", vec![Record(10)]), ("b", vec![Record(20), Do::Fail(Fail::Bad)])]);
        let runner = runner!(node_with("a", act).then(node_with("b", act)), script, store, tokens(500));
        let halted = now_or_panic(runner.run_as(id(1), 1)).unwrap_err();
        assert_eq!((halted.cause, halted.node, halted.report.spent.tokens), (Cause::Error(Fail::Bad), Some("b"), 30));
        // What was checkpointed is there.
        store.inside().fail_put_ledger = None;
        assert_eq!(now_or_panic(runner.resume(id(1))).unwrap().report.spent.tokens, 10);
    }
}

// ---- Parts ----

#[tokio::test(start_paused = true)]
async fn a_part_has_a_limit_inside_of_that_of_the_run() {
    // By reservation, by record, and at what is there already.
    for (acts, calls, cause) in [
        (vec![Or(61, Fail::Busy)], (1, 0), over_tokens(60, 61)),
        (vec![Record(61)], (1, 0), over_tokens(60, 61)),
        (vec![Record(60)], (1, 0), over_tokens(60, 60)),
        (vec![Record(50), Try(11), Left], (1, 1), over_tokens(60, 60)),
    ] {
        let script = Script::new([("a", vec![Record(30)]), ("b", acts), ("c", vec![Record(10)])]);
        let part = node_with("b", act).then(node_with("c", act)).then(node_with("d", act)).budget(tokens(60));
        let runner = runner!(node_with("a", act).then(part).then(node_with("e", act)), script, tokens(100));
        let halted = runner.run(1).await.unwrap_err();
        assert_eq!((halted.cause, halted.report.status), (cause, RunStatus::Partial));
        assert_eq!((script.calls("b"), script.calls("c"), script.calls("e")), (calls.0, calls.1, 0));
    }
    // The run's own limit is around it, and what is after it has the run's limit alone.
    let script = Script::new([("a", vec![Record(50)]), ("b", vec![Or(51, Fail::Busy)])]);
    let pipeline = || node_with("a", act).then(node_with("b", act).budget(tokens(60))).then(node_with("c", act));
    let halted = runner!(pipeline(), script, tokens(100)).run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (over_tokens(100, 101), Some("b")));
    let script = Script::new([("b", vec![Record(60)]), ("c", vec![Left, Reserve(40)])]);
    let done = runner!(pipeline(), script, tokens(100)).run(1).await.unwrap();
    assert_eq!((done.report.spent.tokens, script.take()), (100, vec!["c Some(40)".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn the_innermost_limit_that_is_reached_is_told_in_both_orders() {
    for (outer, inner, told) in [(50, 20, 20), (20, 50, 20), (20, 20, 20)] {
        let script = Script::new([("a", vec![Or(51, Fail::Bad)]), ("a", vec![Record(20), Left])]);
        let pipeline = || node_with("a", act).budget(tokens(inner)).budget(tokens(outer)).then(node_with("b", act));
        let runner = runner!(pipeline(), script, tokens(100));
        // That of the inner one, since it is asked first.
        assert_eq!(runner.run(1).await.unwrap_err().cause, over_tokens(inner, 51));
        assert_eq!(runner.run(1).await.unwrap().output, 3);
        assert_eq!(script.take(), [format!("a Some({})", inner.min(outer) - 20)]);
        assert_eq!(told, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_part_spent_is_known_after_a_resume() {
    for store in [Spy::new(), Spy::slow(1)] {
        let script = Script::new([
            ("a", vec![Record(5)]),
            ("b", vec![Record(30)]),
            ("c", vec![Reserve(7), Do::Fail(Fail::Bad)]),
            ("c", vec![Left, Or(24, Fail::Bad)]),
            ("c", vec![Reserve(23)]),
            ("d", vec![Left]),
        ]);
        let inner = || node_with("c", act).budget(tokens(45));
        let part = || node_with("b", act).then(inner()).budget(tokens(60));
        let runner = runner!(node_with("a", act).then(part()).then(node_with("d", act)), script, store, tokens(100));
        assert_eq!(runner.run_as(id(1), 1).await.unwrap_err().cause, Cause::Error(Fail::Bad));
        assert_eq!(runner.resume(id(1)).await.unwrap_err().cause, over_tokens(60, 61));
        assert_eq!(script.take(), ["c Some(23)"]);
        // Reached, and the part is over: what follows has what is left of the run's.
        assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.tokens, 65);
        assert_eq!(script.take(), ["d Some(35)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_are_branches_have_retries_around_them_and_inside() {
    let fails = |tokens| vec![Record(tokens), Do::Fail(Fail::Busy)];
    let three = PolicyMap::never().recoverable(3, Backoff::none());
    // Inside: all attempts share it. Around: so they do, since it is the part's and not the attempt's.
    for around in [false, true] {
        let script =
            Script::new([("a", fails(10)), ("a", fails(10)), ("a", vec![Or(11, Fail::Bad)]), ("b", vec![Record(90)])]);
        let a = node_with("a", act).retry(PolicyMap::never());
        let halted = if around {
            let part = a.budget(tokens(30)).retry(three);
            runner!(par(part, node_with("b", act)).settle(), script, tokens(1_000)).run(1).await.unwrap_err()
        } else {
            let part = a.retry(three).budget(tokens(30));
            runner!(par(part, node_with("b", act)).settle(), script, tokens(1_000)).run(1).await.unwrap_err()
        };
        assert_eq!((halted.cause, halted.node, script.calls("a")), (over_tokens(30, 31), Some("a"), 3));
        assert_eq!(halted.report.spent.tokens, 110);
    }
}

/// A branch of its own limit overruns, and is being saved as its sibling fails.
#[tokio::test(start_paused = true)]
async fn an_overrun_is_not_forgotten_for_the_failure_of_a_sibling() {
    for yields in [None, Some(4)] {
        let store = Spy::new();
        store.inside().yields = yields;
        let script =
            Script::new([("a", vec![Record(20)]), ("b", vec![Pause, Do::Fail(Fail::Busy)]), ("c", vec![Record(1)])]);
        let b = node_with("b", act).retry(PolicyMap::never());
        let pair = par(node_with("a", act).budget(tokens(10)), b).map(|(a, b)| a + b);
        let three = PolicyMap::never().recoverable(3, Backoff::none());
        let runner = runner!(pair.retry(three).then(node_with("c", act)), script, store, tokens(1_000));
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node), (over_tokens(10, 20), Some("a")), "{yields:?}");
        assert_eq!(script.calls("c"), 0);
        // It is paid for.
        assert!(store.kept(&id(1).to_string()).contains(&"a".to_owned()));
    }
}

#[test]
fn limits_that_make_no_sense_are_refused_when_the_runner_is_built() {
    let a = || node_with("a", act);
    let build = |budget| Runner::quick(a()).with_context(Script::default()).with_budget(budget).build().err();
    let empty = |dimension| {
        let mut empty = Budget::unlimited().tokens(0).check().unwrap_err();
        empty.dimension = dimension;
        Some(BuildError::Accounts(AccountsError::Empty(empty)))
    };
    assert_eq!(build(tokens(0)), empty(Dimension::Tokens));
    assert_eq!(build(pico(0)), empty(Dimension::Cost));
    assert_eq!(build(Budget::unlimited().latency(Duration::ZERO)), empty(Dimension::Time));
    let part = Runner::quick(a().budget(pico(0))).with_context(Script::default()).build().err();
    assert_eq!(part, empty(Dimension::Cost));

    let quick = || Runner::quick(a()).with_context(Script::default()).with_budget(pico(5));
    let refused = |error| Some(BuildError::Accounts(AccountsError::Fallback(error)));
    let itself = FallbackError::Itself { model: "big".into() };
    assert_eq!(quick().with_model_fallback("big", "big", 0.5).build().err(), refused(itself));
    for share in [f64::NAN, -0.1, 80.0, f64::INFINITY] {
        // The first that is wrong is told, whatever follows.
        let built = quick().with_model_fallback("big", "small", share).with_model_fallback("big", "small", 0.5).build();
        assert!(matches!(built.err(), Some(BuildError::Accounts(AccountsError::Fallback(FallbackError::Share(_))))));
    }

    let seven = || {
        let b = |id, most| node_with(id, act).budget(tokens(most));
        b("a", 1).then(b("b", 2)).then(b("c", 3)).then(b("d", 4)).then(b("e", 5)).then(b("f", 6)).then(b("g", 7))
    };
    assert!(Runner::quick(seven()).with_context(Script::default()).build().is_ok());
    let eight = Runner::quick(seven().budget(tokens(9))).with_context(Script::default()).build().err();
    assert_eq!(eight, Some(BuildError::TooManyBudgets { count: 8 }));

    let timed = Budget::unlimited().latency(secs(1));
    let bare = || Runner::new(a()).with_context(Script::default());
    assert_eq!(bare().with_budget(timed).build().err(), Some(BuildError::NoClock));
    assert!(bare().with_budget(timed).with_clock(ManualClock::new()).build().is_ok());
    let part = Runner::new(a().budget(timed)).with_context(Script::default()).with_budget(Budget::unlimited()).build();
    assert_eq!(part.err(), Some(BuildError::NoClock));
}

#[tokio::test(start_paused = true)]
async fn seven_parts_work_whichever_they_are() {
    let script = Script::default();
    for id in ["a", "b", "c", "d", "e", "f", "g"] {
        script.0.lock().unwrap().acts.insert(id, [vec![Left, Record(1)]].into());
    }
    let b = |id, most| node_with(id, act).budget(tokens(most));
    let pipeline = b("a", 11).then(b("b", 12)).then(b("c", 13)).then(par(b("d", 14), b("e", 15))).map(|(d, _)| d);
    let runner = runner!(pipeline.then(b("f", 16)).then(b("g", 17)), script, tokens(100));
    assert_eq!(runner.run(1).await.unwrap().report.spent.tokens, 7);
    let left = ["a Some(11)", "b Some(12)", "c Some(13)", "d Some(14)", "e Some(15)", "f Some(16)", "g Some(17)"];
    assert_eq!(script.take(), left);
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_others_than_those_of_the_ledger_are_told_so() {
    let script = Script::new([("h", vec![Do::Fail(Fail::Bad)])]);
    let store = Spy::new();
    let b = |id| node_with(id, act).budget(tokens(10));
    let runner = runner!(
        b("a").then(b("b")).then(b("c")).then(b("d")).then(b("e")).then(b("f")).then(b("g")).then(node_with("h", act)),
        script,
        store,
        tokens(100)
    );
    assert_eq!(runner.run_as(id(1), 1).await.unwrap_err().cause, Cause::Error(Fail::Bad));
    let n = |id| node_with(id, act);
    let others = || n("a").then(n("b")).then(n("c")).then(n("d")).then(n("e")).then(n("f")).then(n("g")).then(b("h"));
    let halted = runner!(others(), script, store, tokens(100)).resume(id(1)).await.unwrap_err();
    assert_eq!((halted.cause, script.calls("h")), (Cause::Account(SpendError::OtherParts), 1));
    assert_eq!(runner.resume(id(1)).await.unwrap().output, 9);
}

// ---- Time ----

fn over_time(limit: Duration, actual: Duration) -> Cause<Fail> {
    Cause::Budget(BudgetExceeded::Time { limit, actual })
}

#[tokio::test(start_paused = true)]
async fn time_is_looked_at_before_each_attempt_waits_included() {
    // A wait of 3 s between the attempts.
    let wait = PolicyMap::never().recoverable(9, Backoff::constant(secs(3)));
    let script = Script::new([
        ("a", vec![Sleep(secs(2))]),
        ("b", vec![TimeLeft, Do::Fail(Fail::Busy)]),
        ("b", vec![TimeLeft, Do::Fail(Fail::Busy)]),
        ("b", vec![TimeLeft, Do::Fail(Fail::Busy)]),
    ]);
    let pipeline = node_with("a", act).then(node_with("b", act).retry(wait));
    let runner = runner!(pipeline, script, Budget::unlimited().latency(secs(8)));
    let halted = runner.run(1).await.unwrap_err();
    // The second wait would end when the time is up: it is not waited.
    assert_eq!((halted.cause, halted.node, halted.attempt), (over_time(secs(8), secs(8)), Some("b"), 2));
    assert_eq!(script.take(), ["b Some(6s)", "b Some(3s)"]);
    assert_eq!((halted.report.status, halted.report.spent.time), (RunStatus::Partial, secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_budget_has_no_time_for_is_not_waited() {
    let patient = |wait| PolicyMap::never().recoverable(9, Backoff::constant(wait));
    let fails = || Script::new([("a", vec![Record(1), Do::Fail(Fail::Busy)])]);
    let retried = |wait| node_with("a", act).retry(patient(wait));
    // By the limit of the run, by that of a part, and where another limit is reached already.
    let start = tokio::time::Instant::now();
    let runner = runner!(retried(secs(3_600)), fails(), Budget::unlimited().latency(secs(60)));
    assert_eq!(runner.run(1).await.unwrap_err().cause, over_time(secs(60), secs(3_600)));
    let part = retried(secs(7)).budget(Budget::unlimited().latency(secs(5)));
    let runner = runner!(part, fails(), Budget::unlimited().latency(secs(60)));
    assert_eq!(runner.run(1).await.unwrap_err().cause, over_time(secs(5), secs(7)));
    let runner = runner!(retried(secs(3_600)), fails(), tokens(1));
    assert_eq!(runner.run(1).await.unwrap_err().cause, over_tokens(1, 1));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // One that it has time for is.
    let runner = runner!(retried(secs(59)), fails(), Budget::unlimited().latency(secs(60)));
    assert_eq!(runner.run(1).await.unwrap().report.spent.time, secs(59));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_keeps_its_output() {
    let script = Script::new([("a", vec![Sleep(secs(9))])]);
    let store = Spy::slow(1);
    let pipeline = || node_with("a", act).then(node_with("b", act));
    let runner = runner!(pipeline(), script, store, Budget::unlimited().latency(secs(8)));
    let halted = runner.run_as(id(1), 1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (over_time(secs(8), secs(9)), Some("a")));
    let runner = runner!(pipeline(), script, store, Budget::unlimited().latency(secs(10)));
    assert_eq!((runner.resume(id(1)).await.unwrap().output, script.calls("a")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn time_adds_up_over_resumes_without_the_time_between_them() {
    let fails = |time| vec![TimeLeft, Sleep(time), Do::Fail(Fail::Bad)];
    let script =
        Script::new([("a", fails(secs(4))), ("a", fails(secs(3))), ("a", fails(secs(3))), ("a", fails(secs(9)))]);
    let store = Arc::new(HeapStore::new());
    let pipeline = || node_with("a", act).budget(Budget::unlimited().latency(secs(9)));
    let runner = runner!(pipeline(), script, store, Budget::unlimited().latency(secs(100)));
    assert_eq!(runner.run_as(id(1), 1).await.unwrap_err().report.spent.time, secs(4));
    for (time, cause) in
        [(7, Cause::Error(Fail::Bad)), (10, Cause::Error(Fail::Bad)), (10, over_time(secs(9), secs(10)))]
    {
        tokio::time::advance(secs(1_000)).await;
        let halted = runner.resume(id(1)).await.unwrap_err();
        assert_eq!((halted.cause, halted.report.spent.time), (cause, secs(time)));
    }
    assert_eq!(script.take(), ["a Some(9s)", "a Some(5s)", "a Some(2s)"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_part_is_that_in_it() {
    let limit = Budget::unlimited().latency(secs(5));
    let sleeps = |time| vec![TimeLeft, Sleep(secs(time))];
    let script = Script::new([
        ("a", sleeps(2)),
        ("b", vec![Sleep(secs(60)), Do::Fail(Fail::Busy)]),
        ("a", sleeps(2)),
        ("b", vec![Sleep(secs(60))]),
        ("a", sleeps(0)),
    ]);
    let (a, three) = (node_with("a", act).budget(limit), PolicyMap::never().recoverable(3, Backoff::none()));
    let b = node_with("b", act).retry(PolicyMap::never());
    let store = Spy::slow(1);
    let runner = runner!(a.then(b).retry(three).from_start(), script, store, tokens(10));
    assert_eq!(runner.run_as(id(1), 1).await.unwrap().output, 3);
    assert_eq!(runner.resume_from(id(1), "a").await.unwrap().output, 3);
    assert_eq!(script.take(), ["a Some(5s)", "a Some(3s)", "a Some(1s)"]);

    // A part that is cut off is over as well.
    let script = Script::new([("a", vec![TimeLeft, Hang]), ("a", vec![TimeLeft])]);
    let b = Script::new([("b", vec![Sleep(secs(1)), Do::Fail(Fail::Busy)]), ("b", vec![])]);
    script.0.lock().unwrap().acts.append(&mut b.0.lock().unwrap().acts);
    let pair = par(node_with("a", act).budget(limit), node_with("b", act).retry(PolicyMap::never()));
    let wait = PolicyMap::never().recoverable(3, Backoff::constant(secs(60)));
    assert!(runner!(pair.retry(wait), script, tokens(10)).run(1).await.is_ok());
    assert_eq!(script.take(), ["a Some(5s)", "a Some(4s)"]);
}

// ---- Models ----

#[tokio::test(start_paused = true)]
async fn a_cheaper_model_takes_over_from_its_share_on_and_is_booked_by_what_is_reported() {
    let script = Script::new([
        ("a", vec![Model("big", 79), Model("big", 1), Model("big", 1)]),
        ("b", vec![Model("big", 148), Model("big", 1), Model("small", 1), Model("big", 1_000), Model("other", 0)]),
    ]);
    let runner = Runner::quick(node_with("a", act).then(node_with("b", act)))
        .with_context(script.clone())
        .with_budget(pico(1_000))
        .with_model_fallback("big", "small", 0.8)
        .with_model_fallback("small", "tiny", 0.95)
        .with_pricing(pricing().with("other", Price::free()).unwrap())
        .build()
        .unwrap();
    let done = runner.run(1).await.unwrap();
    // 790, 800; then small: 801, 949, 950; then tiny, which is free.
    let models = ["a big", "a big", "a small", "b small", "b small", "b tiny", "b tiny", "b other"];
    assert_eq!((script.take(), done.report.spent.cost), (models.map(str::to_owned).to_vec(), Usd::picodollars(950)));
    assert_eq!(done.report.spent.tokens, 79 + 1 + 1 + 148 + 1 + 1 + 1_000);
    // Each run begins anew.
    script.0.lock().unwrap().acts.insert("a", [vec![Model("big", 1)]].into());
    runner.run(1).await.unwrap();
    assert_eq!(script.take(), ["a big"]);
}

#[tokio::test(start_paused = true)]
async fn the_downgrade_of_a_run_and_of_a_part_is_its_own() {
    // Two runs of one runner at once: the first one is poor after its first call.
    let script = Script::new([
        ("a", vec![Model("big", 9), Pause, Pause, Model("big", 0)]),
        ("a", vec![Pause, Model("big", 0), Pause, Model("big", 0)]),
    ]);
    let runner = Runner::quick(node_with("a", act))
        .with_context(script.clone())
        .with_budget(pico(100))
        .with_model_fallback("big", "small", 0.5)
        .with_pricing(pricing())
        .build()
        .unwrap();
    let (one, two) = tokio::join!(runner.run(1), runner.run(1));
    assert_eq!((one.unwrap().report.spent.cost, two.unwrap().report.spent.cost), (Usd::picodollars(90), Usd::ZERO));
    assert_eq!(script.take(), ["a big", "a big", "a small", "a big"]);

    // The part is poor, the run is not; and the share of a resumed run is that of all of it.
    let script = Script::new([
        ("a", vec![Model("big", 5)]),
        ("b", vec![Model("big", 1)]),
        ("c", vec![Model("big", 0), Do::Fail(Fail::Bad)]),
        ("c", vec![Model("big", 45), Model("big", 0)]),
    ]);
    let part = node_with("a", act).then(node_with("b", act)).budget(pico(100));
    let store = Arc::new(HeapStore::new());
    let runner = Runner::quick(part.then(node_with("c", act)))
        .with_store(store)
        .with_context(script.clone())
        .with_budget(pico(1_000))
        .with_model_fallback("big", "small", 0.5)
        .with_pricing(pricing())
        .build()
        .unwrap();
    assert!(runner.run_as(id(1), 1).await.is_err());
    assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.cost, Usd::picodollars(501));
    assert_eq!(script.take(), ["a big", "b small", "c big", "c big", "c small"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_an_error_where_money_is_limited() {
    const UNKNOWN: Usage<'static> = Usage::of("gpt-9").input(10).output(10);
    let unknown = |cause: &Cause<Fail>| match cause {
        Cause::Account(SpendError::UnknownModel(model)) => model.to_string().contains("gpt-9"),
        _ => false,
    };
    for (acts, spent) in [
        (vec![ReserveOf(UNKNOWN)], (0, 0)),
        (vec![RecordOf(UNKNOWN)], (20, 0)),
        // Whatever the node makes of it.
        (vec![TryRecord(UNKNOWN)], (20, 0)),
        // At what was set aside for it.
        (vec![ReserveOf(Usage::of("m").input(30)), SettleOf(UNKNOWN)], (20, 30)),
    ] {
        let succeeds = matches!(acts[..], [TryRecord(_)]);
        let script = Script::new([("a", acts)]);
        let (store, sum) = (Spy::new(), Sum::default());
        let runner = runner!(node_with("a", act).then(node_with("b", act)), script, store, pico(1_000), sum);
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert!(unknown(&halted.cause), "{:?}", halted.cause);
        assert_eq!((halted.report.status, halted.node, script.calls("a")), (RunStatus::Failed, Some("a"), 1));
        assert_eq!((halted.report.spent.tokens, halted.report.spent.cost.as_picodollars()), spent);
        assert!(sum.is(halted.report.spent));
        // The output of what succeeded all the same is kept.
        assert_eq!(store.kept(&id(1).to_string()).contains(&"a".to_owned()), succeeds);
    }
    // Money that is limited for a part alone.
    let script = Script::new([("a", vec![RecordOf(UNKNOWN)]), ("b", vec![RecordOf(UNKNOWN)])]);
    let pipeline = node_with("a", act).then(node_with("b", act).budget(pico(1_000)));
    let halted = runner!(pipeline, script, tokens(1_000)).run(1).await.unwrap_err();
    assert!(unknown(&halted.cause) && halted.node == Some("b"));
    assert_eq!((halted.report.spent.tokens, halted.report.spent.unpriced_tokens), (40, 40));
    // Without, its tokens are counted, and that they are not in the cost.
    let script = Script::new([("a", vec![RecordOf(UNKNOWN), ReserveOf(UNKNOWN), RecordOf(Usage::of("m").input(1))])]);
    let done = runner!(node_with("a", act), script, tokens(1_000)).run(1).await.unwrap();
    let spent = done.report.spent;
    assert_eq!((spent.tokens, spent.unpriced_tokens, spent.cost.as_picodollars()), (41, 40, 1));
}

#[tokio::test(start_paused = true)]
async fn counts_that_do_not_fit_are_an_error_of_their_own() {
    const HUGE: Usage<'static> = Usage::of("m").input(u64::MAX).output(1);
    for (acts, spent) in [
        (vec![ReserveOf(HUGE)], 0),
        (vec![TryRecord(HUGE)], u64::MAX),
        // Each fits, their sum does not.
        (vec![TryRecord(Usage::tokens(u64::MAX)), TryRecord(Usage::tokens(1))], u64::MAX),
        (vec![Reserve(1), SettleOf(HUGE)], u64::MAX),
    ] {
        let script = Script::new([("a", acts)]);
        let runner = runner!(node_with("a", act).then(node_with("b", act)), script, Budget::unlimited());
        let halted = runner.run(1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node), (Cause::Account(SpendError::Overflow), Some("a")));
        assert_eq!((halted.report.spent.tokens, script.calls("a")), (spent, 1));
    }
}

// ---- Many runs ----

#[test]
fn runs_of_one_runner_on_several_threads_keep_their_own_accounts() {
    /// Spends as much as it is told, in three pieces, and asks what is left in between.
    async fn spend(x: u32, cx: NodeCx<'_, ()>) -> Result<u32, Fail> {
        let mut left = cx.remaining().tokens.unwrap();
        for round in 0..3 {
            let guard = cx.reserve(Usage::tokens(u64::from(x)))?;
            yield_once().await;
            // Nobody else's reservation is seen.
            assert_eq!(cx.remaining().tokens, Some(left - u64::from(x)));
            if round == 1 {
                drop(guard);
            } else {
                guard.settle(Usage::tokens(u64::from(x) - 1)).unwrap();
            }
            let now = cx.remaining().tokens.unwrap();
            assert_eq!(left - now, u64::from(x) - u64::from(round != 1));
            left = now;
        }
        Ok(x)
    }
    let runner = Runner::quick(node_with("a", spend).then(node_with("b", spend)))
        .with_context(())
        .with_budget(tokens(10_000))
        .build()
        .unwrap();
    std::thread::scope(|threads| {
        for thread in 0..4_u32 {
            let runner = &runner;
            threads.spawn(move || {
                for round in 0..200_u32 {
                    let x = 10 + thread * 200 + round;
                    if round % 3 == 0 {
                        // Some are dropped with a guard in hand.
                        assert!(poll_once(pin!(runner.run(x))).is_pending());
                    }
                    let mut runs: Vec<_> = (0..round % 4 + 1).map(|more| Box::pin(runner.run(x + more))).collect();
                    let mut ended = 0;
                    while ended < runs.len() {
                        ended = 0;
                        for (more, run) in runs.iter_mut().enumerate() {
                            let x = x + u32::try_from(more).unwrap();
                            match poll_once(run.as_mut()) {
                                Poll::Ready(done) => {
                                    let spent = done.unwrap().report.spent.tokens;
                                    assert_eq!(spent, 2 * (3 * u64::from(x) - 2));
                                }
                                Poll::Pending => continue,
                            }
                            ended += 1;
                        }
                        if ended < runs.len() {
                            assert_eq!(ended, 0, "runs of the same pipeline end together");
                        }
                    }
                }
            });
        }
    });
}

// ---- Reservations that are stored before the call ----

#[tokio::test(start_paused = true)]
async fn a_reservation_ahead_is_spent_when_the_process_dies_in_the_call() {
    for store in [Spy::new(), Spy::slow(0), Spy::slow(3)] {
        let calls = || {
            Script::new([
                ("a", vec![Record(100)]),
                // The call is under way when the process dies.
                ("b", vec![Ahead(400), Twice(50, 60), SettleAhead(1), Hang]),
                ("b", vec![Left, Ahead(300), SettleAhead(7)]),
            ])
        };
        let script = calls();
        let pipeline = || node_with("a", act).then(node_with("b", act).write_ahead()).then(node_with("c", act));
        let runner = runner!(pipeline(), script, store, tokens(1_000));
        {
            let mut run = pin!(runner.run_as(id(1), 1));
            assert!(poll_until_idle(run.as_mut()).is_pending());
        }
        let done = runner.resume(id(1)).await.unwrap();
        // What was settled after the write is not stored yet: it counts as it was reserved.
        assert_eq!(script.take(), ["b Some(390)"]);
        assert_eq!((done.output, done.report.spent.tokens), (4, 617));
        // In one life it is as with any other reservation.
        let script = calls();
        script.0.lock().unwrap().acts.get_mut("b").unwrap().pop_front();
        let runner = runner!(pipeline(), script, store, tokens(1_000));
        assert_eq!(runner.run_as(id(2), 1).await.unwrap().report.spent.tokens, 107);
        assert_eq!(runner.run_as(id(2), 1).await.unwrap().report.spent.tokens, 107);
        script.take();
    }
    // Without, it is forgotten.
    let store = Spy::new();
    let script = Script::new([("b", vec![Reserve(400), Hang]), ("b", vec![Left])]);
    let runner = runner!(node_with("b", act).write_ahead(), script, store, tokens(1_000));
    assert!(poll_until_idle(pin!(runner.run_as(id(1), 1))).is_pending());
    assert!(runner.resume(id(1)).await.is_ok());
    assert_eq!(script.take(), ["b Some(1000)"]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_another_branch_keeps_it_and_so_does_a_part() {
    for store in [Spy::new(), Spy::slow(2)] {
        let script = Script::new([
            ("a", vec![Ahead(400), Hang]),
            ("b", vec![Pause, Pause, Pause, Pause, Pause, Pause, Record(10)]),
            ("c", vec![Reserve(1_000), Hang]),
            ("a", vec![Left]),
            ("c", vec![Left]),
        ]);
        let a = || node_with("a", act).write_ahead().budget(tokens(500));
        let branches = || par!(a(), node_with("b", act), node_with("c", act));
        let runner = runner!(branches(), script, store, tokens(10_000));
        assert!(poll_until_idle(pin!(runner.run_as(id(1), 1))).is_pending());
        assert_eq!(store.kept(&id(1).to_string()), ["", "b"]);
        assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.tokens, 410);
        assert_eq!(script.take(), ["a Some(100)", "c Some(9590)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_before_the_call_is_taken_back() {
    // A time-out while the write is under way, and one in the call.
    let store = Spy::new();
    let script = Script::new([("a", vec![Ahead(400), Hang]), ("a", vec![Left, Ahead(400), Hang]), ("a", vec![Left])]);
    let sum = Sum::default();
    let runner = runner!(node_with("a", act).write_ahead().timeout(secs(1)), script, store, tokens(1_000), sum);
    let mut run = pin!(runner.run_as(id(1), 1));
    store.inside().gate_ledger = true;
    assert!(poll_until_idle(run.as_mut()).is_pending());
    tokio::time::advance(secs(1)).await;
    assert!(poll_until_idle(run.as_mut()).is_pending());
    store.release();
    tokio::time::advance(secs(1)).await;
    assert_eq!(run.await.unwrap().report.spent.tokens, 400);
    assert_eq!(script.take(), ["a Some(1000)", "a Some(600)"]);
    assert_eq!(sum.take(), ["a 1 failed 0", "a 2 failed 400", "a 3 succeeded 0"]);

    // A store that cannot.
    for store in [Spy::new(), Spy::slow(2)] {
        store.inside().fail_put_ledger = Some(StoreErrorKind::Unavailable);
        let script = Script::new([("a", vec![Ahead(400), Do::Fail(Fail::Bad)]), ("a", vec![Left])]);
        let runner = runner!(node_with("a", act).write_ahead(), script, store, tokens(1_000));
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        let Cause::Store(error) = halted.cause else { panic!("{:?}", halted.cause) };
        assert_eq!((error.kind(), halted.node, script.calls("a")), (StoreErrorKind::Unavailable, Some("a"), 1));
        assert_eq!(halted.report.spent.tokens, 0);
        store.inside().fail_put_ledger = None;
        assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.tokens, 0);
    }

    // A refusal is one.
    let script = Script::new([("a", vec![Ahead(400)])]);
    let halted = runner!(node_with("a", act).write_ahead(), script, tokens(300)).run(1).await.unwrap_err();
    assert_eq!(halted.cause, over_tokens(300, 400));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reserves_ahead_has_to_be_one_that_does() {
    let script = Script::new([("b", vec![Ahead(400)])]);
    // Another one that does is no help.
    let branches = par(node_with("a", act).write_ahead(), node_with("b", act));
    let halted = runner!(branches, script, tokens(1_000)).run(1).await.unwrap_err();
    assert_eq!((halted.cause.clone(), halted.node), (Cause::Account(SpendError::NotAhead), Some("b")));
    assert_eq!((halted.report.spent.tokens, halted.report.status), (0, RunStatus::Failed));
    let error: &dyn std::error::Error = &halted;
    assert!(error.source().unwrap().to_string().contains("`.write_ahead()`"));

    // Where there is nothing to write to, there is nothing to wait for.
    let acts = || Script::new([("a", vec![Ahead(400), SettleAhead(300), Twice(1, 2)])]);
    let pipeline = || node_with("a", act).write_ahead();
    let metered = Runner::new(pipeline()).with_context(acts()).with_budget(tokens(1_000)).build().unwrap();
    assert_eq!(now_or_panic(metered.run_as(id(1), 1)).unwrap().report.spent.tokens, 303);
    let bare = Runner::new(pipeline()).with_context(acts()).build().unwrap();
    assert_eq!(now_or_panic(bare.run(1)).unwrap(), 2);
    let stored = Runner::new(pipeline()).with_context(acts()).with_store(Spy::slow(1)).build().unwrap();
    assert_eq!(now_or_panic(stored.run_as(id(1), 1)).unwrap().output, 2);
}
