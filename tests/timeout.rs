//! Limits of time: per attempt, and over a whole subtree.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use stroma::{
    Backoff, Cause, FailureClass, ManualClock, Outcome, PolicyMap, RunId, RunStatus, Runner, TokioClock, ms, node, par,
    secs,
};
use support::{
    clock::CountingClock,
    error::Oops,
    polling::{now_or_panic, poll_once, poll_until_idle},
    scripted::{Act, Log, Scripted},
    spy::Spy,
};
use tokio::time::Instant;

const NEVER: PolicyMap = PolicyMap::never();

fn again(retries: u32) -> PolicyMap {
    NEVER.recoverable(retries, Backoff::none())
}

fn id() -> RunId {
    RunId::new("r").unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_whole_time() {
    let log = Log::new();
    let a = Scripted::new(&log, "a", [Act::Hang, Act::Hang, Act::Slow(ms(99))]);
    let runner = Runner::quick(node("a", a.f()).timeout(ms(100)).retry(again(2))).build().unwrap();
    let start = Instant::now();
    let done = runner.run(0).await.unwrap();
    assert_eq!((done.output, a.calls(), start.elapsed()), (1, 3, ms(299)));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_is_recoverable_and_says_its_limit() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Hang);
    // Only recoverable failures are tried again here.
    let policy = NEVER.recoverable(1, Backoff::constant(ms(5))).ambiguous(9, Backoff::none());
    let runner = Runner::quick(node("a", a.f()).timeout(ms(100)).retry(policy)).build().unwrap();
    let start = Instant::now();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((a.calls(), start.elapsed()), (2, ms(205)));
    assert_eq!((halted.node, halted.attempt, halted.class), (Some("a"), 2, FailureClass::Recoverable));
    assert_eq!((&halted.cause, halted.report.status), (&Cause::TimedOut { limit: ms(100) }, RunStatus::Partial));
    assert!(
        halted.to_string().contains("the attempt took longer than its time-out of 100ms (recoverable)"),
        "{halted}"
    );
    for event in halted.trace.events() {
        let Outcome::Failed { class, message } = &event.outcome else { panic!("{event:?}") };
        assert_eq!(*class, FailureClass::Recoverable);
        assert_eq!(message, "an attempt took longer than its time-out of 100ms");
        assert_eq!(event.took, ms(100));
    }
    assert_eq!(halted.trace.events().len(), 2);
}

#[test]
fn a_node_that_does_not_wait_costs_no_timer() {
    let log = Log::new();
    let clock = CountingClock::default();
    let pipeline = node("a", Scripted::fine(&log, "a").f())
        .timeout(ms(1))
        .then(node("b", Scripted::fine(&log, "b").f()).timeout(ms(2)))
        .timeout(ms(3))
        .deadline(ms(4));
    let runner = Runner::new(pipeline).with_clock(clock.clone()).build().unwrap();
    assert_eq!(now_or_panic(runner.run_as(id(), 0)).unwrap().output, 2);
    assert_eq!(clock.sleeps(), []);
}

#[test]
fn the_timer_is_armed_when_the_node_first_waits() {
    let clock = CountingClock::default();
    let (inner, calls) = (clock.clone(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&calls);
    // It works for 70 ms before it waits for the first time: that does not count.
    let late = move |x: u32| {
        let (clock, calls) = (inner.clone(), Arc::clone(&counted));
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            clock.clock.advance(ms(70));
            tokio::task::yield_now().await;
            clock.clock.advance(ms(70));
            tokio::task::yield_now().await;
            Ok::<_, Oops>(x)
        }
    };
    let runner = Runner::new(node("late", late).timeout(ms(100))).with_clock(clock.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(id(), 7));
    assert!(poll_once(running.as_mut()).is_pending());
    assert_eq!(clock.sleeps(), [ms(100)]);
    // 140 ms after the beginning, and 70 ms after the timer was armed.
    assert!(poll_once(running.as_mut()).is_pending());
    assert!(poll_once(running.as_mut()).is_ready());
    assert_eq!((clock.sleeps().len(), calls.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_future_that_ran_out_of_time_is_dropped_before_the_next_begins() {
    for wait in [ms(0), ms(10)] {
        let log = Log::new();
        let a = Scripted::new(&log, "a", [Act::Hang, Act::Hang]);
        let policy = NEVER.recoverable(2, Backoff::constant(wait));
        let runner = Runner::quick(node("a", a.f()).timeout(ms(100)).retry(policy)).build().unwrap();
        assert!(runner.run(0).await.is_ok());
        assert_eq!(log.take(), ["a begins", "a dropped", "a begins", "a dropped", "a begins", "a ends"]);
    }
    // The same for a chain and for branches.
    let log = Log::new();
    let (a, b) = (Scripted::new(&log, "a", [Act::Hang]), Scripted::new(&log, "b", [Act::Hang]));
    let branches = par(node("a", a.f()), node("b", b.f())).timeout(ms(100)).retry(again(1));
    let runner = Runner::quick(branches).build().unwrap();
    assert!(runner.run(0).await.is_ok());
    let events = log.take();
    assert_eq!(events[..2], ["a begins", "b begins"]);
    assert_eq!(events[2..4], ["a dropped", "b dropped"]);
    assert_eq!(events.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn the_future_that_ran_out_of_time_last_is_dropped_before_the_run_ends() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Hang);
    let runner = Runner::quick(node("a", a.f()).timeout(ms(100)).retry(NEVER)).build().unwrap();
    let mut running = pin!(runner.run(0));
    assert!(running.as_mut().await.is_err());
    // The future of the run is still here.
    assert_eq!(log.take(), ["a begins", "a dropped"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_ready_at_the_last_moment_made_it() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Slow(ms(100)));
    let runner = Runner::quick(node("a", a.f()).timeout(ms(100)).retry(NEVER)).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap().output, 1);
    let runner = Runner::quick(node("a", a.f()).retry(NEVER).deadline(ms(100))).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap().output, 1);
    // One millisecond more is too late.
    let b = Scripted::always(&log, "b", Act::Slow(ms(101)));
    let runner = Runner::quick(node("b", b.f()).timeout(ms(100)).retry(NEVER)).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap_err().cause, Cause::TimedOut { limit: ms(100) });
}

#[test]
fn who_is_ready_when_the_clock_is_long_past_the_limit_made_it() {
    let clock = ManualClock::new();
    let ready = Arc::new(AtomicU32::new(0));
    let flag = Arc::clone(&ready);
    let waits = move |x: u32| {
        let flag = Arc::clone(&flag);
        std::future::poll_fn(move |_| match flag.load(Ordering::SeqCst) {
            0 => std::task::Poll::Pending,
            _ => std::task::Poll::Ready(Ok::<_, Oops>(x)),
        })
    };
    for wrapped in [false, true] {
        ready.store(0, Ordering::SeqCst);
        let limit = if wrapped { ms(1_000_000) } else { ms(100) };
        let pipeline = node("a", waits.clone()).timeout(limit).deadline(ms(100_000_000)).timeout(ms(100));
        let runner = Runner::new(pipeline).with_clock(clock.clone()).build().unwrap();
        let mut running = pin!(runner.run_as(id(), 7));
        assert!(poll_until_idle(running.as_mut()).is_pending());
        ready.store(1, Ordering::SeqCst);
        clock.advance(secs(10));
        assert!(matches!(poll_once(running.as_mut()), std::task::Poll::Ready(Ok(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_retries_and_waits() {
    let log = Log::new();
    // Each attempt takes 40 ms and each wait 20 ms: the third attempt, begun at 120, is cut at 150.
    let a = Scripted::always(&log, "a", Act::SlowFail(ms(40), Oops::Busy));
    let policy = NEVER.recoverable(99, Backoff::constant(ms(20)));
    let runner = Runner::quick(node("a", a.f()).retry(policy).deadline(ms(150))).build().unwrap();
    let start = Instant::now();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((a.calls(), start.elapsed()), (3, ms(150)));
    assert_eq!((&halted.cause, halted.class), (&Cause::Deadline { limit: ms(150) }, FailureClass::Recoverable));
    assert_eq!(halted.report.status, RunStatus::Partial);
    assert!(halted.to_string().contains("it took longer than its deadline of 150ms, retries included"), "{halted}");
    assert_eq!(log.take().last().unwrap(), "a dropped");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_over_all_nodes_in_it_and_no_others() {
    let log = Log::new();
    let slow = |id| Scripted::always(&log, id, Act::Slow(ms(60)));
    let (a, b, c) = (slow("a"), slow("b"), slow("c"));
    let inner = node("b", b.f()).then(node("c", c.f())).deadline(ms(130));
    let runner = Runner::quick(node("a", a.f()).then(inner)).build().unwrap();
    let start = Instant::now();
    assert_eq!(runner.run(0).await.unwrap().output, 3);
    assert_eq!(start.elapsed(), ms(180));
    let inner = node("a", a.f()).then(node("b", b.f())).then(node("c", c.f())).deadline(ms(130));
    let halted = Runner::quick(inner).build().unwrap().run(0).await.unwrap_err();
    assert_eq!(halted.cause, Cause::Deadline { limit: ms(130) });
    assert_eq!(halted.report.spent.time, ms(130));
}

#[tokio::test(start_paused = true)]
async fn of_nested_deadlines_the_nearer_one_counts() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Hang);
    for (inner, outer, nearer) in [(ms(50), ms(100), ms(50)), (ms(100), ms(50), ms(50))] {
        let chain = node("a", a.f()).retry(NEVER).deadline(inner).deadline(outer);
        let start = Instant::now();
        let halted = Runner::quick(chain).build().unwrap().run(0).await.unwrap_err();
        assert_eq!((halted.cause, start.elapsed()), (Cause::Deadline { limit: nearer }, nearer));
    }
    // An inner one that passed can be tried again as long as the outer one has not.
    let chain = node("a", a.f()).retry(NEVER).deadline(ms(40)).retry(again(99)).deadline(ms(100));
    let before = a.calls();
    let start = Instant::now();
    let halted = Runner::quick(chain).build().unwrap().run(0).await.unwrap_err();
    assert_eq!((halted.cause, start.elapsed(), a.calls() - before), (Cause::Deadline { limit: ms(100) }, ms(100), 3));
    // And a wait is held against the nearer of the two, whichever is outside.
    let b = Scripted::always(&log, "b", Act::Fail(Oops::Busy));
    let patient = NEVER.recoverable(9, Backoff::constant(ms(60)));
    for (inner, outer) in [(ms(50), ms(1_000)), (ms(1_000), ms(50))] {
        let chain = node("b", b.f()).retry(patient).deadline(inner).deadline(outer);
        let start = Instant::now();
        let halted = Runner::quick(chain).build().unwrap().run(0).await.unwrap_err();
        assert_eq!((halted.cause, start.elapsed()), (Cause::Error(Oops::Busy), ms(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_node_the_order_of_the_calls_does_not_matter() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Hang);
    macro_rules! takes {
        ($pipeline:expr) => {{
            let spy = Spy::new();
            let before = a.calls();
            let start = Instant::now();
            let runner = Runner::quick($pipeline.then(node("b", Scripted::fine(&log, "b").f())));
            let halted = runner.with_store(spy.clone()).build().unwrap().run_as(id(), 0).await.unwrap_err();
            (start.elapsed(), a.calls() - before, halted.attempt, halted.cause)
        }};
    }
    let expected = (ms(300), 3, 3, Cause::TimedOut { limit: ms(100) });
    assert_eq!(takes!(node("a", a.f()).timeout(ms(100)).retry(again(2)).skip_checkpoint()), expected);
    assert_eq!(takes!(node("a", a.f()).retry(again(2)).timeout(ms(100)).skip_checkpoint()), expected);
    assert_eq!(takes!(node("a", a.f()).skip_checkpoint().retry(again(2)).was("o").timeout(ms(100))), expected);
    // What is said last holds.
    assert_eq!(takes!(node("a", a.f()).timeout(ms(7)).retry(again(9)).retry(again(2)).timeout(ms(100))), expected);
}

#[tokio::test(start_paused = true)]
async fn on_a_chain_the_order_of_the_calls_is_the_order_of_the_layers() {
    let log = Log::new();
    let (a, b) = (Scripted::always(&log, "a", Act::Slow(ms(70))), Scripted::always(&log, "b", Act::Slow(ms(70))));
    let chain = || node("a", a.f()).then(node("b", b.f()));
    let run = async |start: Instant, halted: bool, calls: u32| {
        assert_eq!((halted, a.calls()), (true, calls));
        start.elapsed()
    };
    // 100 ms for each of three attempts at the chain.
    let runner = Runner::new(chain().timeout(ms(100)).retry(again(2))).with_clock(TokioClock).build().unwrap();
    let start = Instant::now();
    let halted = runner.run(0).await.is_err();
    assert_eq!(run(start, halted, 3).await, ms(300));
    // 100 ms for all attempts together.
    let runner = Runner::new(chain().retry(again(2)).timeout(ms(100))).with_clock(TokioClock).build().unwrap();
    let start = Instant::now();
    let halted = runner.run(0).await.is_err();
    assert_eq!(run(start, halted, 4).await, ms(100));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_around_a_chain_keeps_what_was_done_in_it() {
    let log = Log::new();
    let (a, b) = (Scripted::always(&log, "a", Act::Slow(ms(70))), Scripted::always(&log, "b", Act::Slow(ms(70))));
    let chain = node("a", a.f()).then(node("b", b.f())).timeout(ms(100)).retry(again(1));
    let start = Instant::now();
    assert_eq!(Runner::quick(chain).build().unwrap().run(0).await.unwrap().output, 2);
    // `b` was cut after 30 ms of the first attempt and had the second for itself.
    assert_eq!((start.elapsed(), a.calls(), b.calls()), (ms(170), 1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_save_is_not_in_the_time_of_the_node() {
    let log = Log::new();
    let spy = Spy::new();
    spy.inside().gate = Some("a");
    let a = Scripted::fine(&log, "a");
    let runner =
        Runner::quick(node("a", a.f()).timeout(ms(10)).retry(again(5))).with_store(spy.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(id(), 0));
    assert!(tokio::time::timeout(secs(9), running.as_mut()).await.is_err());
    spy.release();
    assert_eq!((running.await.unwrap().output, a.calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_waits_for_what_is_being_saved() {
    let log = Log::new();
    let spy = Spy::new();
    spy.inside().gate = Some("a");
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"));
    let chain = node("a", a.f()).then(node("b", b.f())).deadline(ms(10));
    let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(id(), 0));
    assert!(tokio::time::timeout(secs(9), running.as_mut()).await.is_err());
    spy.release();
    // The time is over all the same: nothing else begins.
    assert_eq!(running.await.unwrap_err().cause, Cause::Deadline { limit: ms(10) });
    assert_eq!((spy.kept("r"), b.calls()), (vec![String::new(), "a".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn deadlines_start_anew_after_a_resume() {
    let log = Log::new();
    let slow = |id| Scripted::always(&log, id, Act::Slow(ms(60)));
    let (a, b) = (slow("a"), slow("b"));
    let runner = Runner::quick(node("a", a.f()).then(node("b", b.f())).deadline(ms(100))).build().unwrap();
    assert!(runner.run_as(id(), 0).await.is_err());
    tokio::time::advance(secs(3_600)).await;
    let done = runner.resume(id()).await.unwrap();
    assert_eq!((done.output, a.calls(), b.calls()), (2, 1, 2));
    // What both parts took, without the time in between.
    assert_eq!(done.report.spent.time, ms(100 + 60));
}

#[tokio::test(start_paused = true)]
async fn one_branch_can_run_out_of_time_alone() {
    let log = Log::new();
    let (a, b) = (Scripted::new(&log, "a", [Act::Hang]), Scripted::always(&log, "b", Act::Slow(ms(30))));
    let branches = par(node("a", a.f()).timeout(ms(100)).retry(again(1)), node("b", b.f()));
    let start = Instant::now();
    assert_eq!(Runner::quick(branches).build().unwrap().run(0).await.unwrap().output, (1, 1));
    assert_eq!((start.elapsed(), a.calls(), b.calls()), (ms(100), 2, 1));
}

#[test]
fn a_manual_clock_knows_when_nobody_waits_any_more() {
    let clock = ManualClock::new();
    let ready = Arc::new(AtomicU32::new(0));
    let flag = Arc::clone(&ready);
    let waits = move |x: u32| {
        let flag = Arc::clone(&flag);
        std::future::poll_fn(move |_| match flag.load(Ordering::SeqCst) {
            0 => std::task::Poll::Pending,
            _ => std::task::Poll::Ready(Ok::<_, Oops>(x)),
        })
    };
    let runner = Runner::new(node("a", waits).timeout(ms(100))).with_clock(clock.clone()).build().unwrap();
    {
        let mut first = pin!(runner.run_as(id(), 7));
        let mut second = pin!(runner.run_as(id(), 7));
        assert!(poll_once(first.as_mut()).is_pending());
        assert!(poll_once(second.as_mut()).is_pending());
        assert_eq!(clock.next_wake(), Some(ms(100)));
        ready.store(1, Ordering::SeqCst);
        assert!(poll_once(first.as_mut()).is_ready());
        // The other one still waits for the same moment, though both have the same waker.
        assert_eq!(clock.next_wake(), Some(ms(100)));
    }
    assert_eq!(clock.next_wake(), None);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_around_a_chain_waits_for_what_is_being_saved() {
    let log = Log::new();
    let spy = Spy::new();
    spy.inside().gate = Some("a");
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"));
    let chain = node("a", a.f()).then(node("b", b.f())).timeout(ms(10)).retry(again(1));
    let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(id(), 0));
    assert!(tokio::time::timeout(secs(9), running.as_mut()).await.is_err());
    assert_eq!((spy.kept("r"), b.calls()), (vec![String::new()], 0));
    spy.release();
    // The attempt is over all the same; the next one goes on from what it saved.
    assert_eq!(running.await.unwrap().output, 2);
    assert_eq!((a.calls(), b.calls()), (1, 1));
}
