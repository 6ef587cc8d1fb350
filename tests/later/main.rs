//! What the foundation decides for later, tried once so that it is not precluded: a fan-out over a collection and a loop, as
//! nodes of a user's own. Their checkpoints and their resume need nothing but `Place::with_instance` and the key format as it
//! is. Elements and iterations count from 1: instance 0 is whatever is in neither.
#![cfg(all(feature = "redb", feature = "tokio"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

mod for_each;
#[path = "../support/polling.rs"]
mod polling;
mod repeat;

use core::{
    convert::Infallible,
    future::{Future, pending},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    task::Wake,
    thread::{self, Thread},
};

use for_each::{Alone, for_each};
use polling::yield_once;
use postcard_schema::Schema;
use repeat::{Turn, repeat};
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, ByFailure, Env, Exec, Failure, FailureClass, ManualClock, NoTrace, Node, NodeCx, Pipeline, Place,
    PolicyMap, RunId, RunStatus, Runner, node_with,
    parts::{Caps, Cx, Durable, Full, Local, Nil, One, Piece, StopOf, Walk},
    store::{HeapStore, MemoryStore, Payload, RedbStore, Store},
};

// ---- What runs in them ----

type Call = (&'static str, u32);

/// What the nodes of one test did, and which call is the last of its process: it never ends.
#[derive(Debug, Clone, Default)]
struct World(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    calls: Vec<Call>,
    last: Option<usize>,
    over: bool,
    failures: BTreeMap<Call, u32>,
    keys: BTreeMap<String, Call>,
}

#[derive(Debug, PartialEq)]
struct Fail;

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        FailureClass::Recoverable
    }
}

impl World {
    /// Writes down a call, and stops here if it is the last one of this process.
    async fn call<C>(&self, cx: &NodeCx<'_, C>) -> Result<(), Fail> {
        let call = (cx.node(), cx.instance());
        yield_once().await;
        let (last, fails) = {
            let mut inside = self.0.lock().unwrap();
            inside.calls.push(call);
            let key = cx.idempotency_key().unwrap().to_string();
            assert_eq!(*inside.keys.entry(key).or_insert(call), call, "two have one key");
            let last = inside.last == Some(inside.calls.len());
            inside.over |= last;
            let fails = inside.failures.get_mut(&call).filter(|left| **left > 0).map(|left| *left -= 1).is_some();
            (last, fails)
        };
        if last {
            pending().await
        }
        if fails { Err(Fail) } else { Ok(()) }
    }

    fn count(&self) -> BTreeMap<Call, usize> {
        let mut count = BTreeMap::new();
        for call in &self.0.lock().unwrap().calls {
            *count.entry(*call).or_default() += 1;
        }
        count
    }
}

async fn list(n: u32, cx: NodeCx<'_, World>) -> Result<Vec<u32>, Fail> {
    cx.context().call(&cx).await?;
    Ok((1..=n).map(|x| x * 10).collect())
}

async fn add(x: u32, cx: NodeCx<'_, World>) -> Result<u32, Fail> {
    cx.context().call(&cx).await?;
    Ok(x + 1)
}

async fn judge(x: u32, cx: NodeCx<'_, World>) -> Result<Turn<u32, String>, Fail> {
    cx.context().call(&cx).await?;
    Ok(if cx.instance() < 4 { Turn::Again(x) } else { Turn::Break(x.to_string()) })
}

type Lab<S> = Caps<Durable<S>, PolicyMap, ManualClock, World, ByFailure, NoTrace, Full>;

/// Wakes the thread that polls.
struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::Release);
        self.0.unpark();
    }
}

/// Polls a run to its end, or until nothing moves after the last call of its process; then drops it.
fn drive<F: Future>(run: F, world: &World, clock: &ManualClock) -> Option<F::Output> {
    let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(unpark.clone());
    let mut run = pin!(run);
    loop {
        if unpark.1.swap(false, Ordering::Acquire) {
            if let Poll::Ready(output) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
        } else if world.0.lock().unwrap().over {
            return None;
        } else if let Some(wait) = clock.next_wake() {
            clock.advance(wait);
        } else {
            thread::park();
        }
    }
}

fn runner<P, S>(pipeline: P, store: S, world: &World, clock: &ManualClock) -> Runner<P::Node, Lab<S>>
where
    S: Store,
    P: Piece<In: Payload>,
    P::Node: Exec<Lab<S>>,
{
    Runner::new(pipeline)
        .with_store(store)
        .with_clock(clock.clone())
        .with_policies(PolicyMap::never())
        .with_context(world.clone())
        .build()
        .unwrap()
}

/// Runs a pipeline once undisturbed; then, for each call, kills it in that call and goes on with another run of the future, on
/// the store that `store` makes. `exact`: whatever came to its end before is in the store, so nothing but the killed call
/// happens twice.
fn killed_in_each_call<P, S>(
    pipeline: impl Fn() -> P,
    input: &P::In,
    expected: &P::Out,
    store: impl Fn() -> S,
    exact: bool,
) where
    S: Store,
    P: Piece<In: Clone + Payload, Out: PartialEq + core::fmt::Debug, Error = Fail>,
    P::Node: Exec<Lab<S>>,
{
    let (world, clock) = (World::default(), ManualClock::new());
    let whole = runner(pipeline(), store(), &world, &clock);
    let id = RunId::from_u128(1);
    let done = drive(whole.run_as(id, input.clone()), &world, &clock).unwrap().unwrap();
    assert_eq!((&done.output, done.report.status), (expected, RunStatus::Completed));
    let once = world.count();
    assert!(once.values().all(|times| *times == 1), "{once:?}");
    // The result of a finished run needs no input and no call.
    let done = drive(whole.resume(id), &world, &clock).unwrap().unwrap();
    assert_eq!((&done.output, done.report.status), (expected, RunStatus::Resumed));
    assert_eq!(world.count(), once);

    for last in 1..=once.len() {
        let (world, clock) = (World::default(), ManualClock::new());
        let runner = runner(pipeline(), store(), &world, &clock);
        world.0.lock().unwrap().last = Some(last);
        assert!(drive(runner.run_as(id, input.clone()), &world, &clock).is_none());
        let killed = {
            let mut inside = world.0.lock().unwrap();
            inside.over = false;
            inside.last = None;
            inside.calls[last - 1]
        };
        let done = drive(runner.resume(id), &world, &clock).unwrap().unwrap();
        assert_eq!((&done.output, done.report.status), (expected, RunStatus::Resumed));
        for (call, times) in world.count() {
            if exact {
                assert_eq!(times, if call == killed { 2 } else { 1 }, "{call:?}, killed in {killed:?}");
            } else {
                assert!(times <= 2 && (call != killed || times == 2), "{call:?}, killed in {killed:?}");
            }
            assert!(once.contains_key(&call));
        }
    }
}

/// The three stores that this crate has by now.
macro_rules! on_every_store {
    ($pipeline:expr, $input:expr, $expected:expr, $exact_on_redb:expr) => {{
        let (input, expected) = (&$input, &$expected);
        killed_in_each_call(|| $pipeline, input, expected, MemoryStore::<2, 24, 64>::new, true);
        killed_in_each_call(|| $pipeline, input, expected, HeapStore::new, true);
        let folder = tempfile::TempDir::new().unwrap();
        let number = core::cell::Cell::new(0);
        let redb = || {
            number.set(number.get() + 1);
            RedbStore::open(folder.path().join(format!("{}.redb", number.get()))).unwrap()
        };
        killed_in_each_call(|| $pipeline, input, expected, redb, $exact_on_redb);
    }};
}

macro_rules! all_of_it {
    ($together:expr) => {
        node_with("list", list)
            .then(for_each(node_with("fetch", add).then(node_with("parse", add)), $together))
            .map(|all| all.into_iter().sum::<u32>())
            .then(repeat(node_with("step", add).then(node_with("judge", judge))))
            .map(|text| text.len() as u32)
            .then(node_with("end", add))
    };
}

#[test]
fn elements_one_after_the_other_and_iterations_are_not_run_again() {
    // 12 + 22 + 32 and four steps are 70, and that has two digits.
    on_every_store!(all_of_it!(false), 3, 3, true);
}

#[test]
fn elements_side_by_side_are_not_run_again() {
    // In redb what the others yielded may still be on its way to the disk when the process dies.
    on_every_store!(all_of_it!(true), 3, 3, false);
}

#[test]
fn a_fan_out_alone_has_its_elements_from_the_input_and_its_result_from_the_elements() {
    on_every_store!(for_each(node_with("fetch", add).skip_checkpoint(), false), vec![1, 2, 3], vec![2, 3, 4], true);
    on_every_store!(for_each(node_with("fetch", add), true), Vec::new(), Vec::new(), true);
}

#[test]
fn a_loop_alone_goes_on_with_the_iteration_that_it_was_in() {
    on_every_store!(repeat(node_with("judge", judge)), 5, "5".to_owned(), true);
}

fn patient() -> PolicyMap {
    PolicyMap::never().recoverable(3, Backoff::none())
}

/// What fails is one element; what is thrown away for it is that element's alone.
#[test]
fn a_retry_from_the_start_in_an_element_leaves_the_others_alone() {
    for failing in 1..=3 {
        let (world, clock) = (World::default(), ManualClock::new());
        world.0.lock().unwrap().failures.insert(("parse", failing), 2);
        let body = node_with("fetch", add).then(node_with("parse", add)).retry(patient()).from_start();
        let runner = runner(for_each(body, false), HeapStore::new(), &world, &clock);
        let id = RunId::from_u128(1);
        let done = drive(runner.run_as(id, vec![10, 20, 30]), &world, &clock).unwrap().unwrap();
        assert_eq!(done.output, [12, 22, 32]);
        let count = world.count();
        for element in 1..=3 {
            let times = if element == failing { 3 } else { 1 };
            assert_eq!((count[&("fetch", element)], count[&("parse", element)]), (times, times));
        }
        assert_eq!(drive(runner.resume(id), &world, &clock).unwrap().unwrap().output, [12, 22, 32]);
        assert_eq!(world.count(), count);
    }
}

/// A retry around the whole goes on with what is not done; from the start it does all of it again.
#[test]
fn a_retry_around_a_fan_out_or_a_loop() {
    for from_start in [false, true] {
        let (world, clock) = (World::default(), ManualClock::new());
        world.0.lock().unwrap().failures.extend([(("fetch", 2), 1), (("judge", 3), 1)]);
        let fan = for_each(node_with("fetch", add), true);
        let turn = repeat(node_with("judge", judge));
        let id = RunId::from_u128(1);
        let input = vec![1, 2, 3];
        let sum = |all: Vec<u32>| all.into_iter().sum::<u32>();
        let output = if from_start {
            let chain = fan.retry(patient()).from_start().map(sum).then(turn.retry(patient()).from_start());
            let runner = runner(chain, MemoryStore::<1, 16, 64>::new(), &world, &clock);
            drive(runner.run_as(id, input), &world, &clock).unwrap().unwrap().output
        } else {
            let chain = fan.retry(patient()).map(sum).then(turn.retry(patient()));
            let runner = runner(chain, MemoryStore::<1, 16, 64>::new(), &world, &clock);
            drive(runner.run_as(id, input), &world, &clock).unwrap().unwrap().output
        };
        assert_eq!(output, "9");
        let count = world.count();
        let times = |node, instances: core::ops::RangeInclusive<u32>| {
            instances.map(|instance| count[&(node, instance)]).collect::<Vec<_>>()
        };
        // The third element was dropped when the second failed, before it had come to its call.
        let (fetched, judged) =
            if from_start { (vec![2, 2, 1], vec![2, 2, 2, 1]) } else { (vec![1, 2, 1], vec![1, 1, 2, 1]) };
        assert_eq!((times("fetch", 1..=3), times("judge", 1..=4)), (fetched, judged));
    }
}
