//! A run allocates nothing on the heap: neither a plain one nor one with retries, time-outs and checkpoints in memory.
#![cfg(feature = "std")]

#[path = "support/error.rs"]
mod error;
#[path = "support/polling.rs"]
mod polling;

use core::{
    cell::Cell,
    future::Future,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use allocation_counter::measure;
use error::Oops;
use polling::{poll_once, yield_once};
use stroma::{
    Attempt, Backoff, Budget, Clock, Failed, Hooks, NodeCx, Now, PolicyMap, Price, Pricing, RingTrace, RunId,
    RunStatus, Runner, Succeeded, Usage, Usd, ms, node, node_with, par, secs,
    store::{MemoryStore, StoreErrorKind},
};

/// Polls to the end; whatever these futures wait for comes of itself.
fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
    }
}

/// Runs `run` once to warm up and then three times, in which it must not allocate.
#[track_caller]
fn allocates_nothing(mut run: impl FnMut()) {
    run();
    let counted = measure(|| (0..3).for_each(|_| run()));
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(core::hint::black_box(Box::new(1_u64))));
    assert_eq!((counted.count_total, counted.bytes_total), (1, 8));
}

async fn add(x: u64) -> Result<u64, Oops> {
    yield_once().await;
    Ok(x + 1)
}

fn sum((a, b): (u64, u64)) -> u64 {
    a + b
}

#[test]
fn a_plain_run() {
    let pipeline = node("a", add).then(par(node("b", add).then(node("c", add)), node("d", add))).map(sum);
    let runner = Runner::new(pipeline.then(node("e", add))).build().unwrap();
    allocates_nothing(|| assert_eq!(drive(runner.run(1)), Ok(8)));
}

#[test]
fn checks_that_pass() {
    let checked =
        node("a", add).require(|x: &u64| *x < 9).ensure(|x: &u64| if *x < 9 { Ok(()) } else { Err("too much") });
    let chain = checked.then(node("b", add)).require(|x: &u64| *x != 7).ensure(|x: &u64| *x != 7);
    let runner = Runner::new(chain).with_report().build().unwrap();
    allocates_nothing(|| assert_eq!(drive(runner.run_as(RunId::from_u128(1), 1)).unwrap().output, 3));
}

/// A clock that goes on by a millisecond whenever somebody asks whether it is time yet.
#[derive(Default)]
struct Ticking(AtomicU64);

struct Tick<'c> {
    clock: &'c Ticking,
    until: u64,
}

impl Now for Ticking {
    fn now(&self) -> Duration {
        ms(self.0.load(Ordering::Relaxed))
    }
}

impl Clock for Ticking {
    type Sleep<'a> = Tick<'a>;

    fn sleep(&self, duration: Duration) -> Tick<'_> {
        Tick { clock: self, until: self.0.load(Ordering::Relaxed) + duration.as_millis() as u64 }
    }
}

impl Future for Tick<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        if self.clock.0.fetch_add(1, Ordering::Relaxed) >= self.until {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How many attempts at `b`, `e` and `h` are still to fail.
#[derive(Default)]
struct Flaky(Cell<[u32; 3]>);

async fn flaky(x: u64, cx: NodeCx<'_, Flaky>) -> Result<u64, Oops> {
    yield_once().await;
    let at = ["b", "e", "h"].iter().position(|id| *id == cx.node()).unwrap();
    let Flaky(left) = cx.context();
    let mut failures = left.get();
    if failures[at] == 0 {
        return Ok(x + 1);
    }
    failures[at] -= 1;
    left.set(failures);
    Err(Oops::Busy)
}

/// A time-out that is armed and not reached, retries of a node, of a chain, and from the start, branches, and a deadline.
macro_rules! all_of_it {
    ($wait:expr) => {
        node("a", add)
            .timeout(secs(60))
            .then(node_with("b", flaky))
            .then(par(
                node("c", add).then(node("d", add).skip_checkpoint()).timeout(secs(60)),
                node_with("e", flaky)
                    .retry(PolicyMap::never())
                    .then(node("f", add))
                    .retry(PolicyMap::never().recoverable(9, $wait)),
            ))
            .map(sum)
            .then(
                node("g", add).then(node_with("h", flaky)).retry(PolicyMap::never().recoverable(9, $wait)).from_start(),
            )
            .deadline(secs(600))
            .seal()
    };
}

/// Each kind of run: fresh, under an id of its own and dropped half-way, resumed, once more for its result, and from a node on.
macro_rules! each_kind_of_run {
    ($runner:expr) => {{
        let runner = &$runner;
        let flaky = &runner.context().0;
        let mut number = 0;
        allocates_nothing(|| {
            let ended = |ended: Result<stroma::Completed<u64, ()>, stroma::Halted<Oops, ()>>, status| {
                let done = ended.unwrap();
                assert_eq!((done.output, done.report.status), (12, status));
                assert_eq!(flaky.get(), [0; 3]);
            };
            flaky.set([2; 3]);
            ended(drive(runner.run(1)), RunStatus::Completed);
            number += 1;
            let id = RunId::from_u128(number);
            flaky.set([2; 3]);
            {
                let mut run = pin!(runner.run_as(id, 1));
                while flaky.get() != [0, 1, 2] {
                    assert!(poll_once(run.as_mut()).is_pending());
                }
            }
            ended(drive(runner.resume(id)), RunStatus::Resumed);
            ended(drive(runner.run_as(id, 1)), RunStatus::Resumed);
            flaky.set([0, 2, 2]);
            ended(drive(runner.resume_from(id, "e")), RunStatus::Resumed);
        });
    }};
}

fn patient(wait: Backoff) -> PolicyMap {
    PolicyMap::never().recoverable(3, wait)
}

#[test]
fn a_run_with_everything_on_a_clock_of_its_own() {
    for wait in [Backoff::none(), Backoff::constant(ms(5)), Backoff::exponential(ms(5))] {
        let runner = Runner::new(all_of_it!(wait))
            .with_clock(Ticking::default())
            .with_policies(patient(wait))
            .with_context(Flaky::default())
            .with_store(MemoryStore::<4, 9, 32>::new())
            .build()
            .unwrap();
        each_kind_of_run!(runner);
    }
}

#[cfg(feature = "tokio")]
#[test]
fn a_run_with_everything_on_tokios_clock() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let runner = Runner::new(all_of_it!(Backoff::none()))
        .with_clock(stroma::TokioClock)
        .with_policies(patient(Backoff::none()))
        .with_context(Flaky::default())
        .with_store(MemoryStore::<4, 9, 32>::new())
        .build()
        .unwrap();
    each_kind_of_run!(runner);
}

/// A run that halts, and one that is refused, say why without a heap too.
#[test]
fn a_run_that_halts() {
    let runner = Runner::new(node_with("b", flaky))
        .with_clock(Ticking::default())
        .with_policies(patient(Backoff::none()))
        .with_context(Flaky::default())
        .with_store(MemoryStore::<1, 2, 32>::new())
        .build()
        .unwrap();
    allocates_nothing(|| {
        runner.context().0.set([9, 0, 0]);
        let halted = drive(runner.run_as(RunId::from_u128(1), 1)).unwrap_err();
        assert_eq!((halted.node, halted.attempt, halted.report.status), (Some("b"), 4, RunStatus::Partial));
        let halted = drive(runner.run_as(RunId::from_u128(1), 2)).unwrap_err();
        assert_eq!(halted.cause, stroma::Cause::OtherInput);
        let halted = drive(runner.resume(RunId::from_u128(2))).unwrap_err();
        assert!(matches!(halted.cause, stroma::Cause::Store(error) if error.kind() == StoreErrorKind::UnknownRun));
    });
}

#[test]
fn a_ring_records_events_failures_and_values_without_a_heap() {
    let calls = AtomicU64::new(0);
    let flaky = async |x: u64| {
        yield_once().await;
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { Err(Oops::Busy) } else { Ok(x) }
    };
    let flaky = node("flaky", flaky).retry(PolicyMap::never().recoverable(1, Backoff::none()));
    let runner = Runner::new(node("add", add).then(flaky).then(node("last", add)))
        .with_clock(Ticking::default())
        .with_trace(RingTrace::<3>::new().with_values::<16>())
        .build()
        .unwrap();
    allocates_nothing(|| {
        let done = drive(runner.run_as(RunId::from_u128(1), 7)).unwrap();
        assert_eq!((done.output, done.trace.len(), done.trace.dropped()), (9, 3, 1));
        assert!(done.trace.iter().map(|event| event.input().decode::<u64>()).eq([Ok(8), Ok(8), Ok(8)]));
        assert_eq!(done.trace.failures().count(), 1);
    });
}

async fn spend(x: u64, cx: NodeCx<'_, Flaky>) -> Result<u64, Oops> {
    let model = cx.model("big");
    let most = Usage::of(model).input(30).output(10);
    let reserved = cx.reserve(most).map_err(|_| Oops::Busy)?;
    yield_once().await;
    reserved.settle(Usage::of(model).input(x)).map_err(|_| Oops::Busy)?;
    cx.record(Usage::cost(Usd::picodollars(1))).map_err(|_| Oops::Busy)?;
    let ahead = cx.reserve_ahead(most).await.map_err(|_| Oops::Busy)?;
    drop(ahead);
    flaky(x, cx).await
}

/// Whoever keeps account does it without a heap: of fresh, dropped, resumed and halted runs, and of a few at once.
#[test]
fn a_run_that_spends() {
    let price = |each| Price::per_token(Usd::picodollars(each), Usd::picodollars(2 * each));
    let pricing = Pricing::empty().with("big", price(10)).unwrap().with("small", price(1)).unwrap();
    let part = node_with("b", spend).write_ahead().then(node("c", add)).budget(Budget::unlimited().tokens(130));
    let runner = Runner::new(node("a", add).then(par(part, node_with("e", spend).write_ahead())).map(sum))
        .with_clock(Ticking::default())
        .with_policies(patient(Backoff::none()))
        .with_context(Flaky::default())
        .with_store(MemoryStore::<8, 6, 32>::new())
        .with_budget(Budget::unlimited().cost(Usd::picodollars(2_000)).latency(secs(600)))
        .with_model_fallback("big", "small", 0.5)
        .with_pricing(pricing)
        .build()
        .unwrap();
    let mut number = 0;
    let flaky = &runner.context().0;
    allocates_nothing(|| {
        flaky.set([1, 0, 0]);
        let done = drive(runner.run(1)).unwrap();
        assert_eq!(done.output, 7);
        let spent = done.report.spent;
        assert!(spent.tokens > 120 && spent.cost > Usd::picodollars(1_000));
        number += 1;
        let id = RunId::from_u128(number);
        {
            // It is dropped with its guards in hand, beside two others that go on.
            let (mut one, mut two) = (pin!(runner.run(1)), pin!(runner.run(1)));
            let mut run = pin!(runner.run_as(id, 1));
            for _ in 0..3 {
                assert!(poll_once(run.as_mut()).is_pending());
                assert!(poll_once(one.as_mut()).is_pending() && poll_once(two.as_mut()).is_pending());
            }
        }
        assert_eq!(drive(runner.resume(id)).unwrap().output, 7);
        // Too much in failed attempts.
        flaky.set([9, 0, 0]);
        let halted = drive(runner.run_as(RunId::from_u128(number + 1_000), 1)).unwrap_err();
        assert!(matches!(halted.cause, stroma::Cause::Budget(_)), "{:?}", halted.cause);
        assert!(drive(runner.run_as(RunId::from_u128(number + 1_000), 1)).is_err());
    });
}

/// What the bench with everything on does, and failures that are tried again: three hooks, a trace, a budget, retries, time-outs and
/// checkpoints, with contracts on top.
#[test]
fn a_run_with_everything_on_and_observed() {
    #[derive(Default)]
    struct Count([AtomicU64; 3]);

    impl<In, Out, Er> Hooks<In, Out, Er> for &Count {
        fn on_start(&self, _: Attempt<'_>, _: Option<&In>) {
            self.0[0].fetch_add(1, Ordering::Relaxed);
        }

        fn on_success(&self, _: Attempt<'_>, _: Succeeded<'_, Out>) {
            self.0[1].fetch_add(1, Ordering::Relaxed);
        }

        fn on_failure(&self, _: Attempt<'_>, _: Failed<'_, Er>) {
            self.0[2].fetch_add(1, Ordering::Relaxed);
        }
    }

    let counts = [Count::default(), Count::default(), Count::default()];
    let [first, second, third] = &counts;
    let calls = AtomicU64::new(0);
    let flaky = async |x: u64| {
        yield_once().await;
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { Err(Oops::Busy) } else { Ok(x) }
    };
    let runner = Runner::new(
        node("add", add)
            .require(|x: &u64| *x < 9)
            .timeout(secs(5))
            .then(node("flaky", flaky).timeout(secs(5)))
            .then(node("last", add).ensure(|x: &u64| *x < 9)),
    )
    .with_clock(Ticking::default())
    .with_policies(patient(Backoff::constant(ms(5))))
    .with_budget(Budget::unlimited().tokens(1_000).cost(Usd::dollars(1)).latency(secs(600)))
    .with_hooks((first, second, third))
    .with_trace(RingTrace::<4>::new())
    .with_store(MemoryStore::<2, 4, 32>::new())
    .build()
    .unwrap();
    let mut number = 0;
    allocates_nothing(|| {
        number += 1;
        let done = drive(runner.run_as(RunId::from_u128(number), 1)).unwrap();
        assert_eq!((done.output, done.trace.len(), done.trace.failures().count()), (3, 4, 1));
    });
    for Count([begun, succeeded, failed]) in &counts {
        let count = |counter: &AtomicU64| u128::from(counter.load(Ordering::Relaxed));
        assert_eq!((count(begun), count(succeeded), count(failed)), (4 * number, 3 * number, number));
    }
}
