//! Retries: how many, how long between, whose policy, and what runs again.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use stroma::{
    Backoff, Cause, FailedAttempt, FailureClass, ManualClock, NodeCx, Now, Outcome, PolicyMap, RunId, RunStatus,
    Runner, ms, node, node_with, par, secs,
};
use support::{
    clock::CountingClock,
    error::Oops,
    polling::{now_or_panic, poll_once, poll_until_idle},
    scripted::{Act, Log, Scripted},
    spy::Spy,
};
use tokio::time::Instant;

const NONE: PolicyMap = PolicyMap::never();

/// So many retries of everything, without waits.
fn again(retries: u32) -> PolicyMap {
    NONE.recoverable(retries, Backoff::none()).ambiguous(retries, Backoff::none())
}

fn busy() -> Act {
    Act::Fail(Oops::Busy)
}

fn odd() -> Act {
    Act::Fail(Oops::Odd)
}

fn id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn three_retries_are_four_attempts() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", busy());
    let policy = NONE.recoverable(3, Backoff::constant(ms(10)));
    let runner = Runner::quick(node("a", a.f()).retry(policy)).build().unwrap();
    let start = Instant::now();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!(a.calls(), 4);
    // Three waits, and none after the last attempt.
    assert_eq!(start.elapsed(), ms(30));
    assert_eq!((halted.node, halted.attempt, halted.class), (Some("a"), 4, FailureClass::Recoverable));
    assert_eq!((halted.cause, halted.report.status), (Cause::Error(Oops::Busy), RunStatus::Partial));
    assert_eq!(halted.report.spent.time, ms(30));

    let b = Scripted::new(&log, "b", [busy(), busy(), busy()]);
    let runner = Runner::quick(node("b", b.f()).retry(policy)).build().unwrap();
    let done = runner.run(0).await.unwrap();
    assert_eq!((b.calls(), done.output, done.report.status), (4, 1, RunStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn no_retries_is_one_attempt() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", busy());
    let runner = Runner::quick(node("a", a.f()).retry(NONE)).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap_err().attempt, 1);
    assert_eq!(a.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_class_has_its_own_counter() {
    let log = Log::new();
    let policy = NONE.recoverable(2, Backoff::none()).ambiguous(1, Backoff::none());
    // Two recoverable and one ambiguous failure are within both counts, in any order.
    for acts in [[busy(), odd(), busy()], [odd(), busy(), busy()], [busy(), busy(), odd()]] {
        let a = Scripted::new(&log, "a", acts);
        let runner = Runner::quick(node("a", a.f()).retry(policy)).build().unwrap();
        assert_eq!((runner.run(0).await.unwrap().output, a.calls()), (1, 4));
    }
    // The second ambiguous one is too many, though only one recoverable retry is used up.
    let a = Scripted::new(&log, "a", [odd(), busy(), odd()]);
    let runner = Runner::quick(node("a", a.f()).retry(policy)).build().unwrap();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((halted.attempt, halted.class, a.calls()), (3, FailureClass::Ambiguous, 3));
}

#[tokio::test(start_paused = true)]
async fn terminal_is_never_tried_again() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Fail(Oops::Bad));
    let runner = Runner::quick(node("a", a.f()).retry(again(9))).with_policies(again(9)).build().unwrap();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((a.calls(), halted.class, halted.report.status), (1, FailureClass::Terminal, RunStatus::Failed));

    // A terminal failure after recoverable ones ends it too.
    let b = Scripted::new(&log, "b", [busy(), Act::Fail(Oops::Bad)]);
    let runner = Runner::quick(node("b", b.f()).retry(again(9))).build().unwrap();
    assert_eq!((runner.run(0).await.unwrap_err().attempt, b.calls()), (2, 2));

    // Nor by a retry around the chain.
    let c = Scripted::always(&log, "c", Act::Fail(Oops::Bad));
    let chain = node("first", Scripted::fine(&log, "first").f()).then(node("c", c.f()));
    let runner = Runner::quick(chain.retry(again(9))).build().unwrap();
    assert_eq!((runner.run(0).await.unwrap_err().class, c.calls()), (FailureClass::Terminal, 1));
}

#[tokio::test(start_paused = true)]
async fn quick_retries_recoverable_three_times_and_ambiguous_once() {
    let log = Log::new();
    for (act, attempts, longest) in
        [(busy(), 4, secs(1 + 2 + 4)), (odd(), 2, ms(500)), (Act::Fail(Oops::Bad), 1, ms(0))]
    {
        let a = Scripted::always(&log, "a", act);
        let runner = Runner::quick(node("a", a.f())).build().unwrap();
        let start = Instant::now();
        assert_eq!(runner.run(0).await.unwrap_err().attempt, attempts);
        assert_eq!(a.calls(), attempts);
        // Each wait is drawn from below the computed one; the paused clock counts in milliseconds.
        assert!(start.elapsed() <= longest + ms(u64::from(attempts)), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_its_own_replaces_the_runners() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", busy());
    let runner = Runner::quick(node("a", a.f()).retry(again(1))).with_policies(again(5)).build().unwrap();
    assert!(runner.run(0).await.is_err());
    assert_eq!(a.calls(), 2);

    // As a whole: where its own says nothing of a class there are no retries, whatever the runner says.
    let b = Scripted::always(&log, "b", odd());
    let own = NONE.recoverable(3, Backoff::none());
    let runner = Runner::quick(node("b", b.f()).retry(own)).with_policies(again(5)).build().unwrap();
    assert!(runner.run(0).await.is_err());
    assert_eq!(b.calls(), 1);

    // And the runner's replaces the defaults.
    let c = Scripted::always(&log, "c", busy());
    let runner = Runner::quick(node("c", c.f())).with_policies(again(7)).build().unwrap();
    assert!(runner.run(0).await.is_err());
    assert_eq!(c.calls(), 8);
}

/// The waits of a run of one node, by the clock that was asked to wait.
async fn waits(run: RunId, name: &'static str) -> Vec<Duration> {
    let log = Log::new();
    let clock = CountingClock::default();
    let a = Scripted::always(&log, name, busy());
    let policy = NONE.recoverable(4, Backoff::exponential(secs(10)).cap(secs(10)));
    let runner = Runner::new(node(name, a.f()).retry(policy)).with_clock(clock.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(run, 0));
    while poll_until_idle(running.as_mut()).is_pending() {
        clock.clock.advance(clock.clock.next_wake().unwrap());
    }
    clock.sleeps()
}

#[tokio::test]
async fn jitter_depends_on_run_node_and_attempt_alone() {
    let one = waits(id("one"), "a").await;
    assert_eq!(one.len(), 4);
    assert_eq!(one, waits(id("one"), "a").await);
    assert_ne!(one, waits(id("two"), "a").await);
    assert_ne!(one, waits(id("one"), "b").await);
    assert!(one.iter().all(|wait| *wait < secs(10)), "{one:?}");
    // Each attempt draws anew.
    assert!(one.windows(2).all(|pair| pair[0] != pair[1]), "{one:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_error_asks_for_wins_over_the_computed_wait() {
    let log = Log::new();
    for (asked, policy) in [(secs(90), Backoff::constant(ms(1))), (ms(3), Backoff::constant(secs(9)))] {
        let a = Scripted::new(&log, "a", [Act::Fail(Oops::Later(asked))]);
        let runner = Runner::quick(node("a", a.f()).retry(NONE.recoverable(1, policy))).build().unwrap();
        let start = Instant::now();
        assert_eq!(runner.run(0).await.unwrap().output, 1);
        assert_eq!(start.elapsed(), asked);
    }
    // It does not add retries.
    let a = Scripted::always(&log, "a", Act::Fail(Oops::Later(ms(1))));
    let runner = Runner::quick(node("a", a.f()).retry(again(2))).build().unwrap();
    assert!(runner.run(0).await.is_err());
    assert_eq!(a.calls(), 3);
}

#[tokio::test]
async fn a_wait_of_nothing_lets_go_once_and_does_not_touch_the_timer() {
    let log = Log::new();
    for error in [Oops::Busy, Oops::Later(Duration::ZERO)] {
        let clock = CountingClock::default();
        let a = Scripted::new(&log, "a", [Act::Fail(error.clone()), Act::Fail(error)]);
        let runner = Runner::new(node("a", a.f()).retry(again(2))).with_clock(clock.clone()).build().unwrap();
        let mut running = pin!(runner.run_as(id("r"), 0));
        // Two retries let go of the task twice, and want to be polled again at once.
        assert!(poll_once(running.as_mut()).is_pending());
        assert_eq!(a.calls(), 1);
        assert!(poll_once(running.as_mut()).is_pending());
        assert_eq!(a.calls(), 2);
        assert!(poll_once(running.as_mut()).is_ready());
        assert_eq!((a.calls(), clock.sleeps()), (3, vec![]));
    }
}

#[test]
fn a_node_that_fails_at_once_for_ever_is_ended_by_a_time_out_or_deadline_around_it() {
    // Each attempt takes a millisecond of the clock and never waits by itself.
    let failing = |clock: ManualClock, calls: Arc<AtomicU32>| {
        move |_: u32| {
            clock.advance(ms(1));
            calls.fetch_add(1, Ordering::SeqCst);
            async { Err::<u32, _>(Oops::Busy) }
        }
    };
    let for_ever = NONE.recoverable(u32::MAX, Backoff::none());
    let log = Log::new();

    let (clock, calls) = (ManualClock::new(), Arc::<AtomicU32>::default());
    let chain = node("first", Scripted::fine(&log, "first").f())
        .then(node("a", failing(clock.clone(), calls.clone())).retry(for_ever));
    let runner = Runner::new(chain.timeout(ms(50))).with_clock(clock.clone()).build().unwrap();
    let halted = now_or_panic(runner.run_as(id("r"), 0)).unwrap_err();
    assert_eq!(halted.cause, Cause::TimedOut { limit: ms(50) });
    // Armed when the first attempt let go, one millisecond in.
    assert_eq!((clock.now(), calls.load(Ordering::SeqCst)), (ms(51), 51));

    let (clock, calls) = (ManualClock::new(), Arc::<AtomicU32>::default());
    let chain = node("a", failing(clock.clone(), calls.clone())).retry(for_ever).deadline(ms(50));
    let runner = Runner::new(chain).with_clock(clock.clone()).build().unwrap();
    let halted = now_or_panic(runner.run_as(id("r"), 0)).unwrap_err();
    assert_eq!((halted.cause, clock.now()), (Cause::Deadline { limit: ms(50) }, ms(50)));

    // The same by a retry around the chain.
    let (clock, calls) = (ManualClock::new(), Arc::<AtomicU32>::default());
    let chain = node("first", Scripted::fine(&log, "first").f()).then(node("a", failing(clock.clone(), calls)));
    let runner = Runner::new(chain.retry(for_ever).timeout(ms(50))).with_clock(clock.clone()).build().unwrap();
    let halted = now_or_panic(runner.run_as(id("r"), 0)).unwrap_err();
    assert_eq!(halted.cause, Cause::TimedOut { limit: ms(50) });
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_is_not_waited() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::SlowFail(ms(10), Oops::Busy));
    let policy = NONE.recoverable(99, Backoff::constant(ms(30)));
    let chain = node("a", a.f()).retry(policy).deadline(ms(100));
    let runner = Runner::quick(chain).build().unwrap();
    let start = Instant::now();
    let halted = runner.run(0).await.unwrap_err();
    // Attempts begin at 0, 40 and 80; the third fails at 90, and a wait until 120 would go past 100.
    assert_eq!((start.elapsed(), a.calls()), (ms(90), 3));
    assert_eq!((halted.node, halted.attempt), (Some("a"), 3));
    assert_eq!((halted.cause, halted.report.status), (Cause::Error(Oops::Busy), RunStatus::Partial));

    // The same for a wait that the error asks for, and for a deadline further out.
    let a = Scripted::always(&log, "a", Act::Fail(Oops::Later(secs(5))));
    let chain = node("a", a.f())
        .retry(policy)
        .then(node("b", Scripted::fine(&log, "b").f()))
        .deadline(secs(9))
        .deadline(secs(4));
    let runner = Runner::quick(chain).build().unwrap();
    let start = Instant::now();
    assert_eq!(runner.run(0).await.unwrap_err().cause, Cause::Error(Oops::Later(secs(5))));
    assert_eq!((start.elapsed(), a.calls()), (ms(0), 1));
}

#[tokio::test(start_paused = true)]
async fn classifiers_are_asked_first_in_order_and_see_where_it_failed() {
    type Seen = Arc<Mutex<Vec<(&'static str, &'static str, u32, RunId)>>>;
    let log = Log::new();
    let seen = Seen::default();
    let a = Scripted::new(&log, "a", [busy(), odd(), Act::Fail(Oops::Bad)]);
    let (first, second) = (Arc::clone(&seen), Arc::clone(&seen));
    let runner = Runner::quick(node("before", Scripted::fine(&log, "before").f()).then(node("a", a.f())))
        .with_policies(again(9))
        .with_classifier(move |error: &Oops, at: &FailedAttempt<'_>| {
            first.lock().unwrap().push(("first", at.node, at.attempt, *at.run_id));
            // Terminal by itself: what is asked first wins.
            (*error == Oops::Bad).then_some(FailureClass::Recoverable)
        })
        .with_classifier(move |error: &Oops, at: &FailedAttempt<'_>| {
            second.lock().unwrap().push(("second", at.node, at.attempt, *at.run_id));
            (*error == Oops::Odd).then_some(FailureClass::Recoverable)
        })
        .build()
        .unwrap();
    let run = id("classified");
    let done = runner.run_as(run, 0).await.unwrap();
    assert_eq!((done.output, a.calls()), (2, 4));
    assert_eq!(
        *seen.lock().unwrap(),
        [
            ("first", "a", 1, run),
            ("second", "a", 1, run),
            ("first", "a", 2, run),
            ("second", "a", 2, run),
            ("first", "a", 3, run),
        ]
    );
    let classes: Vec<_> = done
        .trace
        .failures()
        .map(|event| match event.outcome {
            Outcome::Failed { class, .. } => class,
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(classes, [FailureClass::Recoverable; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_a_classifier_says_is_the_class_of_the_run_and_of_a_retry_around_it() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", busy());
    let chain = node("a", a.f()).retry(NONE).then(node("b", Scripted::fine(&log, "b").f())).retry(again(5));
    let runner = Runner::quick(chain)
        .with_classifier(|_: &Oops, _: &FailedAttempt<'_>| Some(FailureClass::Terminal))
        .build()
        .unwrap();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((a.calls(), halted.class, halted.report.status), (1, FailureClass::Terminal, RunStatus::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_a_chain_runs_what_is_not_done() {
    for spy in [Spy::new(), Spy::slow(2)] {
        let log = Log::new();
        let (a, b, c) =
            (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"), Scripted::new(&log, "c", [busy(), busy()]));
        let chain = node("a", a.f()).then(node("b", b.f())).then(node("c", c.f()).retry(NONE)).retry(again(2));
        let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
        let done = runner.run(0).await.unwrap();
        assert_eq!((done.output, a.calls(), b.calls(), c.calls()), (3, 1, 1, 3));
        // It goes on from the last output there is, and reads no other.
        assert_eq!(spy.take_loads(), ["b", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_a_chain_runs_all_of_it_without_a_store() {
    let log = Log::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [busy(), busy()]));
    let chain = node("a", a.f()).then(node("b", b.f())).retry(again(2));
    let runner = Runner::new(chain).with_clock(stroma::TokioClock).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap().output, 2);
    assert_eq!((a.calls(), b.calls()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn from_start_throws_away_what_the_chain_had_done_and_nothing_else() {
    for spy in [Spy::new(), Spy::slow(1)] {
        let log = Log::new();
        let before = Scripted::fine(&log, "before");
        let (a, b, c) =
            (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"), Scripted::new(&log, "c", [busy(), busy()]));
        let chain =
            node("a", a.f()).then(node("b", b.f())).then(node("c", c.f()).retry(NONE)).retry(again(2)).from_start();
        let runner = Runner::quick(node("before", before.f()).then(chain)).with_store(spy.clone()).build().unwrap();
        let done = runner.run_as(id("r"), 0).await.unwrap();
        assert_eq!((done.output, before.calls()), (4, 1));
        assert_eq!((a.calls(), b.calls(), c.calls()), (3, 3, 3));
        assert_eq!(spy.inside().discards, 2);
        assert_eq!(spy.kept("r"), ["", "a", "b", "before", "c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn from_start_after_a_resume_in_the_middle_goes_on_from_there() {
    let log = Log::new();
    let spy = Spy::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [Act::Fail(Oops::Bad), busy()]));
    let chain = node("a", a.f()).then(node("b", b.f()).retry(NONE)).retry(again(2)).from_start();
    let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
    assert!(runner.run_as(id("r"), 0).await.is_err());
    assert_eq!(runner.resume(id("r")).await.unwrap().output, 2);
    assert_eq!((a.calls(), b.calls()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_throw_away_ends_the_run() {
    for spy in [Spy::new(), Spy::slow(1)] {
        let log = Log::new();
        spy.inside().fail_discard = Some(stroma::store::StoreErrorKind::Unavailable);
        let (a, b) = (Scripted::fine(&log, "a"), Scripted::always(&log, "b", busy()));
        let chain = node("a", a.f()).then(node("b", b.f()).retry(NONE)).retry(again(5)).from_start();
        let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
        let halted = runner.run_as(id("r"), 0).await.unwrap_err();
        assert!(matches!(halted.cause, Cause::Store(_)), "{halted}");
        assert_eq!((halted.report.status, a.calls(), b.calls()), (RunStatus::Partial, 1, 1));
        assert_eq!(spy.kept("r"), ["", "a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_branches_runs_the_one_that_failed() {
    let log = Log::new();
    let (a, b, c) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [busy()]), Scripted::fine(&log, "c"));
    let branches = par(node("a", a.f()), node("b", b.f()).retry(NONE)).map(|(a, b)| a + b);
    let chain = branches.then(node("c", c.f())).retry(again(1));
    let runner = Runner::quick(chain).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap().output, 3);
    assert_eq!((a.calls(), b.calls(), c.calls()), (1, 2, 1));

    // Directly around them, and without a store.
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [busy()]));
    let branches = par(node("a", a.f()), node("b", b.f())).retry(again(1));
    let runner = Runner::new(branches).with_clock(stroma::TokioClock).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap().output, (1, 1));
    assert_eq!((a.calls(), b.calls()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn nested_retries_multiply_and_count_for_themselves() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", busy());
    let chain = node("first", Scripted::fine(&log, "first").f()).then(node("a", a.f()).retry(again(1))).retry(again(2));
    let runner = Runner::quick(chain).build().unwrap();
    let halted = runner.run(0).await.unwrap_err();
    // Two attempts in each of three.
    assert_eq!(a.calls(), 6);
    assert_eq!((halted.node, halted.attempt), (Some("a"), 2));
    let attempts: Vec<_> = halted.trace.events_for("a").map(|event| event.attempt).collect();
    assert_eq!(attempts, [1, 2, 1, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_node_sees_the_number_of_its_attempt_and_one_key_for_all() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let fails_twice = |seen: Arc<Mutex<Vec<(u32, String)>>>| {
        move |x: u32, cx: NodeCx<'_, ()>| {
            seen.lock().unwrap().push((cx.attempt(), cx.idempotency_key().unwrap().to_string()));
            let attempt = cx.attempt();
            async move { if attempt < 3 { Err(Oops::Busy) } else { Ok(x + 1) } }
        }
    };
    let log = Log::new();
    let chain = node("first", Scripted::fine(&log, "first").f()).then(node_with("a", fails_twice(Arc::clone(&seen))));
    let runner = Runner::quick(chain.retry(NONE)).with_policies(again(5)).with_context(()).build().unwrap();
    let done = runner.run_as(id("r"), 0).await.unwrap();
    assert_eq!(done.output, 2);
    let all = |attempts: &[u32]| attempts.iter().map(|attempt| (*attempt, "r/a".to_owned())).collect::<Vec<_>>();
    assert_eq!(*seen.lock().unwrap(), all(&[1, 2, 3]));
    let attempts: Vec<_> = done.trace.events_for("a").map(|event| event.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_chain_are_not_those_of_its_nodes() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let always_fails = |seen: Arc<Mutex<Vec<u32>>>| {
        move |_: u32, cx: NodeCx<'_, ()>| {
            seen.lock().unwrap().push(cx.attempt());
            async { Err::<u32, _>(Oops::Busy) }
        }
    };
    let log = Log::new();
    let first = node("first", Scripted::fine(&log, "first").f());
    let chain = first.then(node_with("a", always_fails(Arc::clone(&seen))).retry(again(1))).retry(again(2));
    let runner = Runner::new(chain).with_clock(stroma::TokioClock).with_context(()).build().unwrap();
    assert!(runner.run(0).await.is_err());
    assert_eq!(*seen.lock().unwrap(), [1, 2, 1, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn counters_start_anew_after_a_resume() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", busy());
    let runner = Runner::quick(node("a", a.f()).retry(again(1))).build().unwrap();
    assert_eq!(runner.run_as(id("r"), 0).await.unwrap_err().attempt, 2);
    assert_eq!(runner.resume(id("r")).await.unwrap_err().attempt, 2);
    assert_eq!(a.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_input_of_every_attempt_is_the_same() {
    let inputs = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&inputs);
    let failing = move |text: String| {
        seen.lock().unwrap().push(text);
        async { Err::<String, _>(Oops::Busy) }
    };
    let runner = Runner::quick(node("a", failing).retry(again(2))).build().unwrap();
    assert!(runner.run("same".to_owned()).await.is_err());
    assert_eq!(*inputs.lock().unwrap(), ["same"; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_can_be_dropped_and_gone_on_with() {
    let log = Log::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [busy()]));
    let policy = NONE.recoverable(1, Backoff::constant(secs(60)));
    let chain = node("a", a.f()).then(node("b", b.f()).retry(policy));
    let runner = Runner::quick(chain).build().unwrap();
    assert!(tokio::time::timeout(secs(1), runner.run_as(id("r"), 0)).await.is_err());
    assert_eq!(runner.run_as(id("r"), 0).await.unwrap().output, 2);
    assert_eq!((a.calls(), b.calls()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn try_map_is_tried_again_only_with_what_is_around_it() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let log = Log::new();
    let a = Scripted::fine(&log, "a");
    let chain = node("a", a.f()).try_map(move |x| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Oops::Busy),
        _ => Ok(x),
    });
    let runner = Runner::quick(chain.retry(again(1))).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap().output, 1);
    assert_eq!((a.calls(), calls.load(Ordering::SeqCst)), (1, 2));
}
