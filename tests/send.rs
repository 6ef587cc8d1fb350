//! Where a runner can be used: in spawned tasks, in generic code, behind a trait, in a static, and on one thread without `Send`.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use stroma::{
    AnyRunner, BuildError, Cause, Completed, Exec, Halted, NodeCx, PolicyMap, Quick, Reporting, RunId, RunStatus,
    Runner, Sealed, SendExec, Trace, ms, node, node_with, par,
    parts::Caps,
    secs,
    store::{HeapStore, MemoryStore, StoreErrorKind},
};
use support::{error::Oops, polling::now_or_panic};
use tokio::task::{JoinHandle, LocalSet};

async fn add(x: u32) -> Result<u32, Oops> {
    tokio::task::yield_now().await;
    Ok(x + 1)
}

async fn text(x: u32) -> Result<String, Oops> {
    tokio::task::yield_now().await;
    Ok(x.to_string())
}

async fn length(text: String) -> Result<u32, Oops> {
    Ok(text.len() as u32)
}

/// What such a run ends with.
type Ended<Out> = Result<Completed<Out, Trace>, Halted<Oops, Trace>>;

/// Spawns a run of any pipeline in the environment of `quick`.
fn spawn<N>(runner: Arc<Runner<N, Quick>>, input: N::In) -> JoinHandle<Ended<N::Out>>
where
    N: Exec<Quick, Error = Oops> + Send + Sync + 'static,
    N::In: stroma::store::Payload + Send,
    N::Out: Send + 'static,
    for<'a> N::State<'a>: Send,
{
    tokio::spawn(async move { runner.run(input).await })
}

/// The same by the name that the crate has for it.
fn spawn_sealed<N>(runner: Arc<Runner<N, Quick>>, input: N::In) -> JoinHandle<Ended<N::Out>>
where
    N: SendExec<Quick, Error = Oops> + Send + Sync + 'static,
    N::In: stroma::store::Payload + Send,
    N::Out: Send + 'static,
{
    tokio::spawn(async move { runner.run(input).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generic_function_spawns_any_pipeline() {
    let one = Arc::new(Runner::quick(node("add", add)).build().unwrap());
    assert_eq!(spawn(Arc::clone(&one), 1).await.unwrap().unwrap().output, 2);
    assert_eq!(spawn_sealed(one, 1).await.unwrap().unwrap().output, 2);
    let branches =
        par!(node("a", add).timeout(secs(9)), node("b", text).then(node("c", length)), node("d", add).spawned());
    let all = node("first", add)
        .retry(PolicyMap::default())
        .then(branches.settle().retry(PolicyMap::default()))
        .map(|(a, b, c)| a + b + c)
        .deadline(secs(9));
    let all = Arc::new(Runner::quick(all).build().unwrap());
    assert_eq!(spawn(Arc::clone(&all), 7).await.unwrap().unwrap().output, 9 + 1 + 9);
    assert_eq!(spawn_sealed(all, 7).await.unwrap().unwrap().output, 19);
}

/// Runs any pipeline in any environment whose runs say so much, where it is: nothing here asks for `Send`.
async fn here<N, E>(runner: &Runner<N, E>, input: N::In) -> N::Out
where
    E: Reporting<Trace: stroma::Tracer<Finished = ()>, Store: stroma::store::Persist<N::In>>,
    N: Exec<E>,
{
    match runner.run_as(RunId::from_u128(1), input).await {
        Ok(done) => done.output,
        Err(_) => panic!("it stopped"),
    }
}

#[tokio::test]
async fn a_generic_function_runs_in_any_environment() {
    let pipeline = || node("add", add).then(node("text", text));
    assert_eq!(here(&Runner::new(pipeline()).with_report().build().unwrap(), 1).await, "2");
    let durable = Runner::new(pipeline()).with_store(MemoryStore::<1, 3, 32>::new()).build().unwrap();
    assert_eq!(here(&durable, 1).await, "2");
    assert_eq!(here(&Runner::new(pipeline()).with_store(HeapStore::new()).build().unwrap(), 1).await, "2");
}

#[tokio::test]
async fn a_concrete_runner_is_spawned_without_a_word() {
    let runner =
        Arc::new(Runner::quick(node("add", add).then(par(node("text", text), node("b", add)))).build().unwrap());
    let shared = Arc::clone(&runner);
    let done = tokio::spawn(async move { shared.run(1).await.unwrap().output }).await.unwrap();
    assert_eq!(done, ("2".to_owned(), 3));
    let done = tokio::spawn(async move {
        let id = RunId::from_u128(3);
        runner.run_as(id, 1).await.unwrap();
        runner.resume(id).await.unwrap();
        let done = runner.resume_from(id, "b").await.unwrap();
        (done.output, runner.forget(id).await.unwrap())
    });
    assert_eq!(done.await.unwrap(), (("2".to_owned(), 3), true));
}

#[tokio::test]
async fn a_node_with_context_is_spawned_too() {
    struct App {
        step: u32,
    }
    async fn step(x: u32, cx: NodeCx<'_, App>) -> Result<u32, Oops> {
        tokio::task::yield_now().await;
        Ok(x + cx.context().step)
    }
    let pipeline = node_with("step", step).then(node("add", add)).then(node_with("again", step).timeout(ms(900)));
    let runner = Arc::new(Runner::quick(pipeline).with_context(App { step: 10 }).build().unwrap());
    let done = tokio::spawn(async move { runner.run(1).await.unwrap().output });
    assert_eq!(done.await.unwrap(), 22);
}

#[tokio::test]
async fn a_pipeline_that_is_not_send_runs_on_one_thread() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let count = Rc::new(Cell::new(0));
    let note = {
        let seen = Rc::clone(&seen);
        move |x: u32| {
            let seen = Rc::clone(&seen);
            async move {
                tokio::task::yield_now().await;
                seen.borrow_mut().push(x);
                Ok::<_, Oops>(x + 1)
            }
        }
    };
    let twice = {
        let count = Rc::clone(&count);
        move |x: u32| {
            count.set(count.get() + 1);
            x * 2
        }
    };
    // What passes between nodes is stored, so an `Rc` is in the nodes alone.
    let pipeline = node("a", note.clone()).map(twice).then(par(node("b", note.clone()), node("c", note)));
    let runner = Rc::new(Runner::quick(pipeline).build().unwrap());
    assert_eq!(runner.run(1).await.unwrap().output, (5, 5));
    // In a local task as well.
    let local = LocalSet::new();
    let shared = Rc::clone(&runner);
    let done = local.run_until(async move { tokio::task::spawn_local(async move { shared.run(1).await }).await });
    assert_eq!(done.await.unwrap().unwrap().output, (5, 5));
    assert_eq!((&*seen.borrow(), count.get()), (&vec![1, 4, 4, 1, 4, 4], 2));
}

#[test]
fn a_payload_that_is_not_send_needs_no_executor_at_all() {
    let make = async |x: u32| Ok::<_, Oops>(Rc::new(x));
    let read = async |x: Rc<u32>| Ok::<_, Oops>(*x + 1);
    let runner = Runner::new(node("make", make).then(node("read", read))).build().unwrap();
    assert_eq!(now_or_panic(runner.run(6)), Ok(7));
}

/// A service that holds a runner whose type nobody wrote down.
trait Lengths: Send + Sync + 'static {
    fn length(&self, x: u32) -> impl Future<Output = Option<u32>> + Send;
}

impl<N> Lengths for Runner<N, Quick>
where
    N: Exec<Quick, In = u32, Out = u32, Error = Oops> + Send + Sync + 'static,
    for<'a> N::State<'a>: Send,
{
    async fn length(&self, x: u32) -> Option<u32> {
        self.run(x).await.ok().map(|done| done.output)
    }
}

struct Service<L> {
    lengths: L,
    served: AtomicU32,
}

impl<L: Lengths> Service<L> {
    async fn serve(self: Arc<Self>, x: u32) -> Option<u32> {
        self.served.fetch_add(1, Ordering::SeqCst);
        self.lengths.length(x).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_struct_holds_a_runner_behind_a_small_trait() {
    let lengths = Runner::quick(node("text", text).then(node("length", length))).build().unwrap();
    let service = Arc::new(Service { lengths, served: AtomicU32::new(0) });
    let tasks = [7, 77, 777].map(|x| tokio::spawn(Arc::clone(&service).serve(x)));
    for (task, expected) in tasks.into_iter().zip(1..) {
        assert_eq!(task.await.unwrap(), Some(expected));
    }
    assert_eq!(service.served.load(Ordering::SeqCst), 3);
}

/// What makes a runner and says nothing of its pipeline.
fn lengths() -> Result<impl AnyRunner<In = u32, Out = u32, Error = Oops>, BuildError> {
    Runner::quick(node("text", text).then(node("length", length))).build()
}

/// What holds one without knowing its pipeline, and spawns its runs.
struct Pool<R> {
    runner: Arc<R>,
}

impl<R: AnyRunner<In = u32, Out = u32, Error = Oops>> Pool<R> {
    async fn twice(&self, id: RunId, x: u32) -> (RunStatus, RunStatus, u32) {
        let runner = Arc::clone(&self.runner);
        let first = tokio::spawn(async move { runner.run_as(id, x).await.map(|done| done.report.status) });
        let first = first.await.unwrap().unwrap();
        let again = self.runner.resume(id).await.unwrap();
        (first, again.report.status, again.output)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_struct_holds_any_runner_and_spawns_its_runs() {
    let pool = Pool { runner: Arc::new(lengths().unwrap()) };
    assert_eq!(pool.runner.run(5).await.unwrap().output, 1);
    let id = RunId::from_u128(7);
    assert_eq!(pool.twice(id, 77).await, (RunStatus::Completed, RunStatus::Resumed, 2));
    let halted = pool.runner.resume(RunId::from_u128(8)).await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Store(error) if error.kind() == StoreErrorKind::UnknownRun));
}

/// The trait again, for a runner whose type is to be forgotten at run time.
trait Boxed: Send + Sync {
    fn go(&self, x: u32) -> Pin<Box<dyn Future<Output = Option<u32>> + Send + '_>>;
}

impl<L: Lengths> Boxed for L {
    fn go(&self, x: u32) -> Pin<Box<dyn Future<Output = Option<u32>> + Send + '_>> {
        Box::pin(self.length(x))
    }
}

static RUNNER: LazyLock<Box<dyn Boxed>> = LazyLock::new(|| {
    Box::new(Runner::quick(node("text", text).then(node("length", length))).build().expect("the ids are fine"))
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_lives_in_a_static() {
    let tasks: Vec<_> = (0..20).map(|x| tokio::spawn(RUNNER.go(10_u32.pow(x % 5)))).collect();
    for (task, x) in tasks.into_iter().zip(0..) {
        assert_eq!(task.await.unwrap(), Some(x % 5 + 1));
    }
    // And leaked, with its own type.
    let leaked: &'static _ = Box::leak(Box::new(Runner::quick(node("add", add)).build().unwrap()));
    assert_eq!(tokio::spawn(leaked.run(1)).await.unwrap().unwrap().output, 2);
}

/// A part of a pipeline, whose inside is hidden.
fn counting() -> Sealed<impl SendExec<Quick, In = u32, Out = u32, Error = Oops>> {
    node("text", text).then(node("length", length)).seal()
}

/// One for whatever environment its user has, with a name of the environment.
type AppEnv = Quick<Settings>;

struct Settings {
    factor: u32,
}

fn scaling() -> Sealed<impl SendExec<AppEnv, In = u32, Out = u32, Error = Oops>> {
    async fn scale(x: u32, cx: NodeCx<'_, Settings>) -> Result<u32, Oops> {
        tokio::task::yield_now().await;
        Ok(x * cx.context().factor)
    }
    node_with("scale", scale).then(node("more", add)).seal()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_part_is_used_like_any_other() {
    let alone = Arc::new(Runner::quick(counting()).build().unwrap());
    assert_eq!(spawn_sealed(alone, 100).await.unwrap().unwrap().output, 3);
    let then = Arc::new(Runner::quick(node("add", add).then(counting()).then(node("more", add))).build().unwrap());
    assert_eq!(spawn_sealed(then, 99).await.unwrap().unwrap().output, 4);
    let first = Arc::new(Runner::quick(par(counting(), node("add", add))).build().unwrap());
    assert_eq!(spawn_sealed(first, 99).await.unwrap().unwrap().output, (2, 100));
    let second = Arc::new(Runner::quick(par!(node("add", add), node("b", add), counting())).build().unwrap());
    assert_eq!(spawn_sealed(second, 99).await.unwrap().unwrap().output, (100, 100, 2));
    let settings = Settings { factor: 7 };
    let scaled = node("add", add).then(scaling()).timeout(secs(9));
    let scaled = Arc::new(Runner::quick(scaled).with_context(settings).build().unwrap());
    let done = tokio::spawn(async move { scaled.run(1).await.unwrap() }).await.unwrap();
    assert_eq!((done.output, done.report.status), (15, RunStatus::Completed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_at_once() {
    let running = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let (inside, seen) = (Arc::clone(&running), Arc::clone(&most));
    let gate = Arc::new(tokio::sync::Barrier::new(1_000));
    let meet = move |x: u32| {
        let (running, most, gate) = (Arc::clone(&inside), Arc::clone(&seen), Arc::clone(&gate));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Nobody goes on before all are here.
            gate.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Oops>(x)
        }
    };
    let pipeline = node("meet", meet).then(par(node("a", add), node("b", add).spawned())).map(|(a, b)| a + b);
    let runner = Arc::new(Runner::quick(pipeline).build().unwrap());
    let tasks: Vec<_> = (0..1_000).map(|x| spawn(Arc::clone(&runner), x)).collect();
    let mut ids = std::collections::HashSet::new();
    for (task, x) in tasks.into_iter().zip(0..) {
        let done = task.await.unwrap().unwrap();
        assert_eq!((done.output, done.report.status), (2 * (x + 1), RunStatus::Completed));
        assert!(ids.insert(done.report.run_id), "every run has an id of its own");
    }
    assert_eq!((ids.len(), most.load(Ordering::SeqCst)), (1_000, 1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_at_once_without_a_store() {
    static SHARED: OnceLock<Box<dyn Fn(u32) -> JoinHandle<u32> + Send + Sync>> = OnceLock::new();
    let runner = Arc::new(Runner::new(node("a", add).then(par(node("b", add), node("c", add)))).build().unwrap());
    let go = SHARED.get_or_init(|| {
        Box::new(move |x| {
            let runner = Arc::clone(&runner);
            tokio::spawn(async move { runner.run(x).await.unwrap().0 })
        })
    });
    let tasks: Vec<_> = (0..1_000).map(go).collect();
    for (task, x) in tasks.into_iter().zip(0..) {
        assert_eq!(task.await.unwrap(), x + 2);
    }
}

#[test]
fn runners_and_runs_are_send_and_sync_where_their_parts_are() {
    fn is_send_sync<T: Send + Sync>(_: &T) {}
    fn is_send<T: Send>(_: &T) {}
    let bare = Runner::new(node("a", add)).build().unwrap();
    is_send_sync(&bare);
    is_send(&bare.run(1));
    let quick = Runner::quick(node("a", add).then(node("b", text))).build().unwrap();
    is_send_sync(&quick);
    is_send(&quick.run(1));
    is_send(&quick.forget(RunId::from_u128(1)));
    let _: Option<Caps> = None;
}

#[test]
fn a_run_is_the_same_on_any_executor() {
    // No tokio at all: a manual clock and a store that answers at once.
    let clock = stroma::ManualClock::new();
    let quick = node("a", async |x: u32| Ok::<_, Oops>(x + 1)).timeout(ms(5));
    let runner = Runner::new(quick)
        .with_clock(clock)
        .with_store(HeapStore::new())
        .with_policies(PolicyMap::default())
        .with_trace(stroma::ListTrace)
        .build()
        .unwrap();
    let done = now_or_panic(runner.run(1)).unwrap();
    assert_eq!((done.output, done.trace.events().len()), (2, 1));
}

#[tokio::test]
async fn a_node_whose_future_is_boxed_is_spawned_where_the_pipeline_is_generic() {
    // Written `tokio::spawn(async move { runner.run(1).await })` this does not compile: in an async block the compiler forgets
    // that both lifetimes in the runner's type are the same `'static` ("one type is more general than the other").
    type Boxed = Pin<Box<dyn Future<Output = Result<u32, Oops>> + Send>>;
    fn boxed(x: u32) -> Boxed {
        Box::pin(add(x))
    }
    let runner = Arc::new(Runner::quick(node("a", boxed).then(node("b", boxed))).build().unwrap());
    assert_eq!(spawn(runner, 1).await.unwrap().unwrap().output, 3);
    // Inside an async closure it is a node like any other.
    let wrapped = node("a", async |x: u32| boxed(x).await).then(node("b", async |x: u32| boxed(x).await));
    let runner = Arc::new(Runner::quick(wrapped).build().unwrap());
    let done = tokio::spawn(async move { runner.run(1).await.unwrap().output });
    assert_eq!(done.await.unwrap(), 3);
}
