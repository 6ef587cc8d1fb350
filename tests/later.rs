//! What the foundation decides for later, tried once so that it is not precluded: a fan-out over a collection and a loop, as
//! nodes of a user's own. Their checkpoints and their resume need nothing but `Place::with_instance` and the key format as it
//! is. Elements and iterations count from 1: instance 0 is whatever is in neither.
#![cfg(all(feature = "redb", feature = "tokio"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "support/polling.rs"]
mod polling;

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

use polling::yield_once;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, ByFailure, Caps, Cx, Env, Exec, Failure, FailureClass, Full, Local, ManualClock, NoTrace, Node, NodeCx,
    Piece, Pipeline, Place, PolicyMap, RunId, RunStatus, Runner, StopOf, Walk, node_with,
    parts::{Nil, One},
    store::{Durable, HeapStore, MemoryStore, Payload, RedbStore, Store},
};

// ---- A fan-out ----

/// Runs `N` on each element, one after the other or all together, and yields what they yield in the same order.
struct ForEach<N> {
    body: N,
    together: bool,
}

impl<N: Node> Node for ForEach<N> {
    type In = Vec<N::In>;
    type Out = Vec<N::Out>;
    type Error = N::Error;

    const NODES: u16 = N::NODES;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(walk);
    }
}

enum Element<In, S, Out> {
    Waits(Option<In>),
    Goes(Pin<Box<S>>),
    Done(Option<Out>),
}

struct ForEachState<In, S, Out, Stop> {
    elements: Vec<Element<In, S, Out>>,
    failed: Option<Stop>,
}

impl<In, S, Out, Stop> Unpin for ForEachState<In, S, Out, Stop> {}

impl<N> ForEach<N> {
    fn begin<'a, E: Env>(
        &'a self,
        input: N::In,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Element<N::In, N::State<'a>, N::Out>
    where
        N: Exec<E>,
    {
        Element::Goes(Box::pin(match self.body.resumable(at, local) {
            Some(proof) => self.body.resume(proof, at, cx, local),
            None => self.body.start(input, at, cx, local),
        }))
    }
}

fn element(at: Place, index: usize) -> Place {
    at.with_instance(u32::try_from(index).unwrap() + 1)
}

impl<N: Exec<E>, E: Env> Exec<E> for ForEach<N> {
    type State<'a>
        = ForEachState<N::In, N::State<'a>, N::Out, StopOf<N, E>>
    where
        Self: 'a,
        E: 'a;

    /// How many elements there are is known from the input alone, which whatever comes before has kept.
    type Proof = Infallible;

    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    fn start<'a>(&'a self, input: Vec<N::In>, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let elements = input.into_iter().enumerate().map(|(index, input)| {
            if self.together { self.begin(input, element(at, index), cx, local) } else { Element::Waits(Some(input)) }
        });
        ForEachState { elements: elements.collect(), failed: None }
    }

    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {}
    }

    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Vec<N::Out>, StopOf<Self, E>>> {
        if state.failed.is_none() {
            let mut all = true;
            for index in 0..state.elements.len() {
                let at = element(at, index);
                if let Element::Waits(input) = &mut state.elements[index] {
                    let input = input.take().unwrap();
                    state.elements[index] = self.begin(input, at, cx, local);
                }
                let Element::Goes(going) = &mut state.elements[index] else { continue };
                match self.body.poll(going.as_mut(), at, cx, local, task) {
                    Poll::Ready(Ok(out)) => state.elements[index] = Element::Done(Some(out)),
                    Poll::Ready(Err(stop)) => {
                        state.elements[index] = Element::Done(None);
                        state.failed = Some(stop);
                        break;
                    }
                    Poll::Pending => all = false,
                }
                if !self.together && !all {
                    break;
                }
            }
            if state.failed.is_none() {
                if !all {
                    return Poll::Pending;
                }
                let outs = state.elements.iter_mut().map(|element| match element {
                    Element::Done(out) => out.take().unwrap(),
                    _ => unreachable!("all are done"),
                });
                return Poll::Ready(Ok(outs.collect()));
            }
        }
        self.drain(state.as_mut(), at, cx, local, task).map(|stop| Err(stop.unwrap()))
    }

    fn drain<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        let ForEachState { elements, failed } = &mut *state;
        let mut all = true;
        for (index, one) in elements.iter_mut().enumerate() {
            if let Element::Goes(going) = one {
                match self.body.drain(going.as_mut(), element(at, index), cx, local, task) {
                    Poll::Ready(stop) => {
                        *one = Element::Done(None);
                        *failed = failed.take().or(stop);
                    }
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(failed.take()) } else { Poll::Pending }
    }
}

type Alone<N> = Pipeline<One<N, Nil>, <N as Node>::In, <N as Node>::Out, <N as Node>::Error>;

fn for_each<P: Piece>(body: P, together: bool) -> Alone<ForEach<P::Node>> {
    Pipeline::custom(ForEach { body: body.into_piece(), together })
}

// ---- A loop ----

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
enum Turn<Again, Out> {
    Again(Again),
    Break(Out),
}

/// What the body of a loop yields.
trait Turns<Again> {
    type Out;
    fn turn(self) -> Turn<Again, Self::Out>;
}

impl<Again, Out> Turns<Again> for Turn<Again, Out> {
    type Out = Out;

    fn turn(self) -> Self {
        self
    }
}

/// Runs `N` until it says that it is enough.
struct Loop<N> {
    body: N,
}

impl<N: Node<Out: Turns<N::In>>> Node for Loop<N> {
    type In = N::In;
    type Out = <N::Out as Turns<N::In>>::Out;
    type Error = N::Error;

    const NODES: u16 = N::NODES;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(walk);
    }
}

struct LoopState<S> {
    iteration: u32,
    body: Pin<Box<S>>,
}

impl<N: Exec<E> + Node<Out: Turns<N::In>>, E: Env> Exec<E> for Loop<N> {
    type State<'a>
        = LoopState<N::State<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = (u32, N::Proof);

    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        // The last iteration of which something is there: what was before it, it does not need.
        (1..).map_while(|iteration| Some((iteration, self.body.resumable(at.with_instance(iteration), local)?))).last()
    }

    fn start<'a>(&'a self, input: N::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        LoopState { iteration: 1, body: Box::pin(self.body.start(input, at.with_instance(1), cx, local)) }
    }

    fn resume<'a>(
        &'a self,
        (iteration, proof): Self::Proof,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Self::State<'a> {
        LoopState { iteration, body: Box::pin(self.body.resume(proof, at.with_instance(iteration), cx, local)) }
    }

    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Self::Out, StopOf<Self, E>>> {
        loop {
            let here = at.with_instance(state.iteration);
            match self.body.poll(state.body.as_mut(), here, cx, local, task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(stop)) => return Poll::Ready(Err(stop)),
                Poll::Ready(Ok(out)) => match out.turn() {
                    Turn::Break(out) => return Poll::Ready(Ok(out)),
                    Turn::Again(input) => {
                        state.iteration += 1;
                        let next = at.with_instance(state.iteration);
                        state.body = Box::pin(self.body.start(input, next, cx, local));
                    }
                },
            }
        }
    }

    fn drain<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        let at = at.with_instance(state.iteration);
        self.body.drain(state.body.as_mut(), at, cx, local, task)
    }
}

fn repeat<P: Piece>(body: P) -> Alone<Loop<P::Node>>
where
    P::Node: Node<Out: Turns<<P::Node as Node>::In>>,
{
    Pipeline::custom(Loop { body: body.into_piece() })
}

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
