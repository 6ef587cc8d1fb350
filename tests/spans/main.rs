//! Spans of `tracing`: what is below what, what is in it, and when it ends.
#![cfg(all(feature = "tokio", feature = "tracing"))]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

#[path = "../support/mod.rs"]
mod support;
mod watch;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::Poll,
};

use stroma::{
    Backoff, Budget, ManualClock, NodeCx, PolicyMap, RunId, RunStatus, Runner, Usage, Usd, ms, node, node_with, par,
    secs, spans,
    store::{HeapStore, StoreErrorKind},
};
use support::{
    error::Oops,
    polling::{poll_once, poll_until_idle},
    scripted::{Act, Log, Scripted},
    spy::Spy,
};
use tokio::task::yield_now;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    info, info_span,
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};
use watch::Watch;

/// A tree is compared as it stands in the test, without its margin.
#[track_caller]
fn assert_tree(watch: &Watch, expected: &str) {
    let lines = expected.lines().skip(1);
    let margin = lines.clone().next().map_or(0, |line| line.len() - line.trim_start().len());
    let expected = lines.filter(|line| !line.trim().is_empty()).map(|line| format!("{}\n", &line[margin..]));
    let (found, expected) = (watch.tree(), expected.collect::<String>());
    assert!(found == expected, "expected\n{expected}found\n{found}");
}

fn id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

async fn add(x: u32) -> Result<u32, Oops> {
    info!("adding to {x}");
    yield_now().await;
    Ok(x + 1)
}

fn again(retries: u32) -> PolicyMap {
    PolicyMap::never().recoverable(retries, Backoff::constant(ms(10)))
}

#[tokio::test(start_paused = true)]
async fn attempts_are_in_nodes_and_nodes_in_the_run_and_that_in_the_span_of_the_caller() {
    let (watch, _guard) = Watch::here();
    let runner = Runner::quick(node("one", add).map(|x| x * 10).then(node("two", add))).with_tracing().build().unwrap();
    let request = info_span!("request");
    let run = runner.run_as(id("r"), 1);
    let done = tracing::Instrument::instrument(run, request.clone()).await.unwrap();
    drop(request);
    assert_eq!(done.output, 21);
    assert_tree(
        &watch,
        "
        request
          run restored=0 run_id=r status=COMPLETED
            node instance=0 node=one resumed=false
              attempt attempt=1 outcome=succeeded
                INFO adding to 1
            node instance=0 node=two resumed=false
              attempt attempt=1 outcome=succeeded
                INFO adding to 20
        ",
    );
    // Each ends before the next one begins.
    let told = watch.told.lock().unwrap();
    let order = "+request +run +node +attempt -attempt -node +node +attempt -attempt -node -run -request";
    assert_eq!(told.order.join(" "), order);
    for entry in &told.all {
        let ours = matches!(entry.name.as_str(), spans::RUN_SPAN | spans::NODE_SPAN | spans::ATTEMPT_SPAN);
        assert_eq!(entry.target == spans::TARGET, ours, "{}", entry.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_another_attempt_in_the_same_node_and_the_wait_is_in_none() {
    let (watch, _guard) = Watch::here();
    let a = Scripted::new(&Log::new(), "a", [Act::SlowFail(ms(5), Oops::Busy), Act::Slow(ms(20))]);
    let runner = Runner::quick(node("a", a.f()).retry(again(1))).with_tracing().build().unwrap();
    let mut run = pin!(runner.run_as(id("r"), 0));
    assert!(tokio::time::timeout(ms(10), run.as_mut()).await.is_err());
    // In the midst of the wait.
    let first = "
        run run_id=r (open)
          node instance=0 node=a resumed=false (open)
            attempt attempt=1 class=recoverable error=the line is busy otel.status_code=ERROR outcome=failed
              WARN attempt=1 class=recoverable error=the line is busy instance=0 node=a run_id=r attempt failed
        ";
    assert_tree(&watch, first);
    run.await.unwrap();
    assert_tree(
        &watch,
        "
        run restored=0 run_id=r status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 class=recoverable error=the line is busy otel.status_code=ERROR outcome=failed
              WARN attempt=1 class=recoverable error=the line is busy instance=0 node=a run_id=r attempt failed
            attempt attempt=2 outcome=succeeded
        ",
    );
    // By the runner's clock: the run, and its two attempts.
    assert_eq!(watch.all(spans::TOOK_US), ["35000", "5000", "20000"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_run_again_has_a_span_that_says_so() {
    let (watch, guard) = Watch::here();
    let b = Scripted::new(&Log::new(), "b", [Act::Fail(Oops::Busy)]);
    let pipeline = node("a", add).then(node("b", b.f()));
    let runner = Runner::quick(pipeline).with_policies(PolicyMap::never()).with_tracing().build().unwrap();
    runner.run_as(id("r"), 1).await.unwrap_err();
    assert_tree(
        &watch,
        "
        run otel.status_code=ERROR restored=0 run_id=r status=PARTIAL
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              INFO adding to 1
          node instance=0 node=b otel.status_code=ERROR resumed=false
            attempt attempt=1 class=recoverable error=the line is busy otel.status_code=ERROR outcome=failed
              WARN attempt=1 class=recoverable error=the line is busy instance=0 node=b run_id=r attempt failed
          WARN attempt=1 class=recoverable node=b run_id=r status=PARTIAL run stopped
        ",
    );
    drop(guard);
    let (watch, _guard) = Watch::here();
    assert_eq!(runner.resume(id("r")).await.unwrap().report.status, RunStatus::Resumed);
    assert_tree(
        &watch,
        "
        run restored=1 run_id=r status=RESUMED
          node instance=0 node=a resumed=true
          node instance=0 node=b resumed=false
            attempt attempt=1 outcome=succeeded
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn branches_that_interleave_log_below_their_own_attempts() {
    async fn step(name: &'static str, x: u32) -> Result<u32, Oops> {
        for step in 1..=2 {
            info!("{name} {step}");
            yield_now().await;
        }
        let inner = info_span!("inner");
        inner.in_scope(|| info!("{name} 3"));
        Ok(x)
    }
    let (watch, _guard) = Watch::here();
    let pipeline = par(node("left", async |x| step("left", x).await), node("right", async |x| step("right", x).await));
    Runner::quick(pipeline).with_tracing().build().unwrap().run_as(id("r"), 1).await.unwrap();
    assert_eq!(watch.all("message"), ["left 1", "right 1", "left 2", "right 2", "left 3", "right 3"]);
    assert_tree(
        &watch,
        "
        run restored=0 run_id=r status=COMPLETED
          node instance=0 node=left resumed=false
            attempt attempt=1 outcome=succeeded
              INFO left 1
              INFO left 2
              inner
                INFO left 3
          node instance=0 node=right resumed=false
            attempt attempt=1 outcome=succeeded
              INFO right 1
              INFO right 2
              inner
                INFO right 3
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn a_terminal_failure_is_an_error_and_cuts_its_siblings_short() {
    let (watch, _guard) = Watch::here();
    let log = Log::new();
    let (a, b) = (Scripted::new(&log, "a", [Act::Fail(Oops::Bad)]), Scripted::new(&log, "b", [Act::Hang]));
    let runner = Runner::quick(par(node("b", b.f()), node("a", a.f()))).with_tracing().build().unwrap();
    runner.run_as(id("r"), 1).await.unwrap_err();
    assert_tree(
        &watch,
        "
        run otel.status_code=ERROR restored=0 run_id=r status=FAILED
          node instance=0 node=b resumed=false
            attempt attempt=1 outcome=cut_short
          node instance=0 node=a otel.status_code=ERROR resumed=false
            attempt attempt=1 class=terminal error=the key is refused otel.status_code=ERROR outcome=failed
              WARN attempt=1 class=terminal error=the key is refused instance=0 node=a run_id=r attempt failed
          ERROR attempt=1 class=terminal node=a run_id=r status=FAILED run stopped
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_error_of_a_node_is_told_with_the_run() {
    let (watch, guard) = Watch::here();
    let a = Scripted::new(&Log::new(), "a", [Act::Hang]);
    let pipeline = node("a", a.f()).timeout(secs(2)).retry(PolicyMap::never());
    let runner = Runner::quick(pipeline).with_tracing().build().unwrap();
    runner.run_as(id("r"), 1).await.unwrap_err();
    let late = "an attempt took longer than its time-out of 2s";
    assert_tree(
        &watch,
        &format!(
            "
        run error=the {} otel.status_code=ERROR restored=0 run_id=r status=PARTIAL
          node instance=0 node=a otel.status_code=ERROR resumed=false
            attempt attempt=1 class=recoverable error={late} otel.status_code=ERROR outcome=failed
              WARN attempt=1 class=recoverable error={late} instance=0 node=a run_id=r attempt failed
          WARN attempt=1 class=recoverable error=the {} node=a run_id=r status=PARTIAL run stopped
        ",
            &late[3..],
            &late[3..]
        ),
    );
    drop(guard);
    // A run that could not even begin.
    let (watch, _guard) = Watch::here();
    let halted = runner.resume(id("who")).await.unwrap_err();
    let source = std::error::Error::source(&halted).unwrap().to_string();
    assert_tree(
        &watch,
        &format!(
            "
        run error={0}: {source} otel.status_code=ERROR restored=0 run_id=who status=FAILED
          ERROR class=terminal error={0}: {source} run_id=who status=FAILED run stopped
        ",
            halted.cause
        ),
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_output_cannot_be_kept_succeeded_and_stopped_the_run() {
    let (watch, _guard) = Watch::here();
    let spy = Spy::slow(1);
    spy.inside().fail_put = Some(("a", StoreErrorKind::Unavailable));
    let runner = Runner::quick(node("a", add)).with_store(spy).with_tracing().build().unwrap();
    let halted = runner.run_as(id("r"), 1).await.unwrap_err();
    let why = format!("{}: {}", halted.cause, std::error::Error::source(&halted).unwrap());
    assert_tree(
        &watch,
        &format!(
            "
        run error={why} otel.status_code=ERROR restored=0 run_id=r status=PARTIAL
          node instance=0 node=a otel.status_code=ERROR resumed=false
            attempt attempt=1 outcome=succeeded
              INFO adding to 1
          WARN attempt=1 class=recoverable error={why} node=a run_id=r status=PARTIAL run stopped
        "
        ),
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_says_so_and_leaves_nothing_open() {
    let (watch, _guard) = Watch::here();
    let a = Scripted::new(&Log::new(), "a", [Act::Hang]);
    let runner = Runner::quick(node("a", a.f())).with_tracing().build().unwrap();
    // One that is never polled never began.
    drop(runner.run_as(id("never"), 0));
    assert_eq!(watch.tree(), "");
    {
        let mut run = pin!(runner.run_as(id("r"), 0));
        assert!(poll_once(run.as_mut()).is_pending());
        assert_tree(
            &watch,
            "
            run run_id=r (open)
              node instance=0 node=a resumed=false (open)
                attempt attempt=1 (open)
            ",
        );
    }
    assert_tree(
        &watch,
        "
        run run_id=r status=CANCELLED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=cut_short
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_once_on_one_thread_are_told_apart() {
    let (watch, _guard) = Watch::here();
    let runner = Runner::quick(node("a", add).then(node("b", add))).with_tracing().build().unwrap();
    let (one, two) = tokio::join!(runner.run_as(id("one"), 10), runner.run_as(id("two"), 20));
    assert_eq!((one.unwrap().output, two.unwrap().output), (12, 22));
    assert_tree(
        &watch,
        "
        run restored=0 run_id=one status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              INFO adding to 10
          node instance=0 node=b resumed=false
            attempt attempt=1 outcome=succeeded
              INFO adding to 11
        run restored=0 run_id=two status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              INFO adding to 20
          node instance=0 node=b resumed=false
            attempt attempt=1 outcome=succeeded
              INFO adding to 21
        ",
    );
}

#[test]
fn a_run_that_changes_threads_takes_its_spans_along() {
    let (watch, guard) = Watch::here();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    async fn twice(x: u32) -> Result<u32, Oops> {
        info!("here");
        yield_now().await;
        info!("there");
        Ok(x)
    }
    let runner = Runner::quick(node("a", twice)).with_tracing().build().unwrap();
    let mut run = Box::pin(runner.run_as(id("r"), 1));
    assert!(poll_once(run.as_mut()).is_pending());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = tracing::dispatcher::set_default(&dispatch);
            assert!(matches!(poll_until_idle(run.as_mut()), Poll::Ready(Ok(_))));
        });
    });
    drop(guard);
    assert_tree(
        &watch,
        "
        run restored=0 run_id=r status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              INFO here
              INFO there
        ",
    );
}

#[test]
fn a_node_on_the_pool_logs_below_its_attempt() {
    let (watch, _guard) = Watch::here();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    // The threads of the pool have the same subscriber for as long as they live.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&dispatch)))
        .build()
        .unwrap();
    let here = std::thread::current().id();
    let elsewhere = move |x: u32| async move {
        info!("first");
        yield_now().await;
        info!("then");
        if std::thread::current().id() == here { Err(Oops::Bad) } else { Ok(x + 1) }
    };
    let runner = Runner::quick(node("a", elsewhere).spawned()).with_tracing().build().unwrap();
    runtime.block_on(async { runner.run_as(id("r"), 1).await }).unwrap();
    assert_tree(
        &watch,
        "
        run restored=0 run_id=r status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              INFO first
              INFO then
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_function_does_before_its_future_and_between_nodes_has_a_place() {
    let (watch, _guard) = Watch::here();
    let eager = |x: u32| {
        info!("before the future");
        std::future::ready(Ok::<_, Oops>(x))
    };
    let pipeline = node("a", eager).map(|x| {
        info!("between nodes");
        x
    });
    Runner::quick(pipeline).with_tracing().build().unwrap().run_as(id("r"), 1).await.unwrap();
    info!("after the run");
    assert_tree(
        &watch,
        "
        run restored=0 run_id=r status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              INFO before the future
          INFO between nodes
        INFO after the run
        ",
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_leaves_out_is_stood_in_for_by_what_is_around_it() {
    let run = async |watch: &Watch| {
        let a = Scripted::new(&Log::new(), "a", [Act::Fail(Oops::Busy)]);
        let said = move |x| {
            info!("said");
            a.f()(x)
        };
        let runner = Runner::quick(node("a", said).retry(again(1))).with_tracing().build().unwrap();
        // Fields of the same names in a span of somebody else's stay as they are.
        let mine = info_span!("mine", status = "mine", outcome = "mine", error = "mine", otel.status_code = "OK");
        tracing::Instrument::instrument(runner.run_as(id("r"), 1), mine).await.unwrap();
        let tree = watch.tree();
        assert!(tree.starts_with("mine error=mine otel.status_code=OK outcome=mine status=mine\n"), "{tree}");
    };
    let failed = "WARN attempt=1 class=recoverable error=the line is busy instance=0 node=a run_id=r attempt failed";
    {
        let (watch, _guard) = Watch::without(Some(spans::ATTEMPT_SPAN));
        run(&watch).await;
        let expected = format!(
            "
            mine error=mine otel.status_code=OK outcome=mine status=mine
              run restored=0 run_id=r status=COMPLETED
                node instance=0 node=a resumed=false
                  INFO said
                  {failed}
                  INFO said
            "
        );
        assert_tree(&watch, &expected);
    }
    {
        let (watch, _guard) = Watch::without(Some(spans::RUN_SPAN));
        run(&watch).await;
        let expected = format!(
            "
            mine error=mine otel.status_code=OK outcome=mine status=mine
              node instance=0 node=a resumed=false
                attempt attempt=1 class=recoverable error=the line is busy otel.status_code=ERROR outcome=failed
                  INFO said
                  {failed}
                attempt attempt=2 outcome=succeeded
                  INFO said
            "
        );
        assert_tree(&watch, &expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_that_a_node_leaves_open_does_not_lose_its_parent() {
    let (watch, _guard) = Watch::here();
    let kept = Arc::new(Mutex::new(None));
    let keep = {
        let kept = Arc::clone(&kept);
        move |x: u32| {
            let kept = Arc::clone(&kept);
            async move {
                *kept.lock().unwrap() = Some(info_span!("later"));
                Ok::<_, Oops>(x)
            }
        }
    };
    Runner::quick(node("a", keep)).with_tracing().build().unwrap().run_as(id("r"), 1).await.unwrap();
    kept.lock().unwrap().take().unwrap().in_scope(|| info!("long after"));
    assert_tree(
        &watch,
        "
        run restored=0 run_id=r status=COMPLETED
          node instance=0 node=a resumed=false
            attempt attempt=1 outcome=succeeded
              later
                INFO long after
        ",
    );
}

/// Hooks that want nothing.
struct Quiet;

impl<In, Out, Er> stroma::Hooks<In, Out, Er> for Quiet {}

/// A boxed future from a closure, as dynamic code has them.
type Fut<'a> = Pin<Box<dyn Future<Output = Result<u32, Oops>> + Send + 'a>>;

#[tokio::test(start_paused = true)]
async fn spans_go_with_every_other_capability_and_without_a_subscriber() {
    fn in_context(x: u32, cx: NodeCx<'_, u32>) -> Fut<'_> {
        Box::pin(async move { Ok(x + cx.context()) })
    }
    let store = HeapStore::new();
    let runner = Runner::new(node_with("a", in_context).timeout(secs(1)))
        .with_tracing()
        .with_clock(ManualClock::new())
        .with_store(store)
        .with_context(4_u32)
        .with_trace(stroma::ListTrace)
        .with_hooks(Quiet)
        .with_policies(PolicyMap::default())
        .build();
    let done = runner.unwrap().run_as(id("r"), 1).await.unwrap();
    assert_eq!((done.output, done.trace.events().len()), (5, 1));
}

/// What attempts and runs spent is in their spans, and adds up.
#[tokio::test(start_paused = true)]
async fn what_is_spent_is_with_the_attempt_and_the_run() {
    async fn spend(x: u32, cx: NodeCx<'_, Log>) -> Result<u32, Oops> {
        cx.record(Usage::tokens(5).with_cost(Usd::picodollars(7))).unwrap();
        let held = cx.reserve(Usage::tokens(100)).unwrap();
        if cx.attempt() == 1 && cx.node() == "b" {
            return Err(Oops::Busy);
        }
        held.settle(Usage::tokens(20)).unwrap();
        if cx.node() == "c" {
            std::future::pending::<()>().await;
        }
        Ok(x)
    }
    let (watch, _guard) = Watch::here();
    let free = node("free", async |x: u32| Ok(x));
    let pipeline = node_with("a", spend)
        .then(node_with("b", spend).retry(PolicyMap::never().recoverable(1, Backoff::none())))
        .then(free)
        .then(node_with("c", spend))
        .deadline(secs(1));
    let runner = Runner::quick(pipeline)
        .with_context(Log::new())
        .with_budget(Budget::unlimited().tokens(1_000))
        .with_tracing()
        .build()
        .unwrap();
    let halted = runner.run_as(RunId::from_u128(1), 1).await.unwrap_err();
    assert_eq!((halted.report.spent.tokens, halted.report.spent.cost), (180, Usd::picodollars(28)));
    // The run first, since its span is; then `a`, both attempts at `b`, and the one at `c` that was cut short.
    assert_eq!(watch.all(spans::TOKENS), ["180", "25", "105", "25", "25"]);
    assert_eq!(watch.all(spans::COST), ["28", "7", "7", "7", "7"]);
    assert!(watch.tree().contains("outcome=cut_short"), "{}", watch.tree());

    // Without an account there is nothing to tell.
    let (watch, _guard) = Watch::here();
    let runner = Runner::new(node_with("a", spend)).with_context(Log::new()).with_tracing().build().unwrap();
    assert!(runner.run_as(RunId::from_u128(1), 1).await.is_ok());
    assert!(watch.all(spans::TOKENS).is_empty() && watch.all(spans::COST).is_empty());
}
