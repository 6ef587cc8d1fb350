//! Branches: on one task, ended by the first failure or settled, each with its own retries, time-outs and checkpoints.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, Cause, FailureClass, PolicyMap, RunId, RunStatus, Runner, TokioClock, ms, node, par, secs,
    store::StoreErrorKind,
};
use support::{
    error::Oops,
    polling::{now_or_panic, poll_once, poll_until_idle},
    scripted::{Act, Guard, Log, Scripted},
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

fn slow(log: &Log, id: &'static str, time: Duration) -> Scripted {
    Scripted::always(log, id, Act::Slow(time))
}

#[tokio::test(start_paused = true)]
async fn branches_go_on_side_by_side_on_one_task() {
    let local = tokio::task::LocalSet::new();
    local.run_until(async { tokio::task::spawn_local(side_by_side()).await.unwrap() }).await;
}

async fn side_by_side() {
    let log = Log::new();
    let (a, b, c) = (slow(&log, "a", ms(30)), slow(&log, "b", ms(50)), slow(&log, "c", ms(40)));
    let me = tokio::task::id();
    let here = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&here);
    let d = move |x: u32| {
        count.fetch_add(u32::from(tokio::task::id() == me), Ordering::SeqCst);
        async move { Ok::<_, Oops>(x) }
    };
    let pipeline = par!(node("a", a.f()), node("b", b.f()), node("c", c.f()), node("d", d));
    let runner = Runner::new(pipeline).build().unwrap();
    let start = Instant::now();
    assert_eq!(runner.run(0).await, Ok((1, 1, 1, 0)));
    // As long as the longest, not as all together.
    assert_eq!((start.elapsed(), here.load(Ordering::SeqCst)), (ms(50), 1));
    assert_eq!(log.take(), ["a begins", "b begins", "c begins", "a ends", "c ends", "b ends"]);
}

#[test]
fn branches_need_no_runtime_of_their_own() {
    // In the tests above `tokio::task::id` panics outside of a task; this one has no tokio at all.
    let log = Log::new();
    let pipeline = par(node("a", Scripted::fine(&log, "a").f()), node("b", Scripted::fine(&log, "b").f()));
    let runner = Runner::new(pipeline).build().unwrap();
    assert_eq!(now_or_panic(runner.run(0)), Ok((1, 1)));
}

#[derive(Debug, Serialize, Deserialize, postcard_schema::Schema)]
struct Counted(u32);

static CLONES: AtomicU32 = AtomicU32::new(0);

impl Clone for Counted {
    fn clone(&self) -> Self {
        CLONES.fetch_add(1, Ordering::SeqCst);
        Self(self.0)
    }
}

#[tokio::test]
async fn the_input_is_cloned_for_all_branches_but_the_last() {
    let branch = async |counted: Counted| Ok::<_, Oops>(counted.0);
    let pipeline = par!(node("a", branch), node("b", branch), node("c", branch), node("d", branch));
    let runner = Runner::new(pipeline).build().unwrap();
    assert_eq!(runner.run(Counted(7)).await, Ok((7, 7, 7, 7)));
    assert_eq!(CLONES.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_drops_the_others_at_once() {
    for failing in 0..3 {
        let log = Log::new();
        let branch = |at: usize, id| {
            let act = if at == failing { Act::SlowFail(ms(20), Oops::Bad) } else { Act::Slow(ms(500)) };
            node(id, Scripted::always(&log, id, act).f())
        };
        let pipeline = par!(branch(0, "a"), branch(1, "b"), branch(2, "c"));
        let runner = Runner::quick(pipeline).build().unwrap();
        let start = Instant::now();
        let mut running = pin!(runner.run(0));
        let halted = running.as_mut().await.unwrap_err();
        assert_eq!(start.elapsed(), ms(20));
        let name = ["a", "b", "c"][failing];
        assert_eq!(
            (halted.node, halted.cause, halted.report.status),
            (Some(name), Cause::Error(Oops::Bad), RunStatus::Failed)
        );
        // Dropped already, though the future of the run is still here.
        let mut events = log.take().split_off(3);
        assert_eq!(events.remove(0), format!("{name} fails"));
        events.sort();
        let dropped: Vec<_> =
            ["a", "b", "c"].iter().filter(|id| **id != name).map(|id| format!("{id} dropped")).collect();
        assert_eq!(events, dropped);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_store_drops_the_other_at_once_too() {
    let log = Log::new();
    let (a, b) =
        (Scripted::always(&log, "a", Act::SlowFail(ms(20), Oops::Bad)), Scripted::always(&log, "b", Act::Hang));
    let runner = Runner::new(par(node("a", a.f()), node("b", b.f()))).build().unwrap();
    let mut running = pin!(runner.run(0));
    assert_eq!(running.as_mut().await, Err(Oops::Bad));
    assert_eq!(log.take(), ["a begins", "b begins", "a fails", "b dropped"]);
}

#[tokio::test(start_paused = true)]
async fn settled_branches_finish_and_are_checkpointed() {
    for spy in [Spy::new(), Spy::slow(3)] {
        let log = Log::new();
        let a = Scripted::new(&log, "a", [Act::SlowFail(ms(20), Oops::Bad)]);
        let (b, b2) = (slow(&log, "b", ms(100)), slow(&log, "b2", ms(100)));
        let branches = par(node("a", a.f()), node("b", b.f()).then(node("b2", b2.f()))).settle();
        let pipeline = branches.map(|(a, b)| a + b).then(node("c", Scripted::fine(&log, "c").f()));
        let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
        let start = Instant::now();
        let halted = runner.run_as(id(), 0).await.unwrap_err();
        assert_eq!((halted.node, halted.cause, start.elapsed()), (Some("a"), Cause::Error(Oops::Bad), ms(200)));
        assert_eq!(spy.kept("r"), ["", "b", "b2"]);
        // So that a resume runs the one that failed and no other.
        let done = runner.resume(id()).await.unwrap();
        assert_eq!((done.output, done.report.status, done.report.restored), (4, RunStatus::Resumed, 2));
        assert_eq!((a.calls(), b.calls(), b2.calls()), (2, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_failures_of_settled_branches_the_first_is_told() {
    let log = Log::new();
    let failing = |id, time, error| node(id, Scripted::always(&log, id, Act::SlowFail(time, error)).f());
    let branches = || par(failing("a", ms(30), Oops::Odd), failing("b", ms(10), Oops::Odd)).settle();
    let start = Instant::now();
    let runner = Runner::quick(branches()).with_policies(NEVER).build().unwrap();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((halted.node, halted.cause, start.elapsed()), (Some("b"), Cause::Error(Oops::Odd), ms(30)));
    assert_eq!(halted.trace.events().len(), 2);
    // Of more than two as well, whatever their order.
    for delays in [[30, 10, 20], [10, 20, 30], [30, 20, 10], [20, 30, 10], [20, 10, 30]] {
        let [a, b, c] = delays.map(ms);
        let settled = par!(failing("a", a, Oops::Odd), failing("b", b, Oops::Odd), failing("c", c, Oops::Odd)).settle();
        let runner = Runner::quick(settled).with_policies(NEVER).build().unwrap();
        let first = ["a", "b", "c"][delays.iter().position(|delay| *delay == 10).unwrap()];
        assert_eq!(runner.run(0).await.unwrap_err().node, Some(first), "{delays:?}");
    }
    // Without a store and a report as well.
    log.take();
    let runner = Runner::new(branches()).build().unwrap();
    assert_eq!(runner.run(0).await, Err(Oops::Odd));
    assert_eq!(log.take()[2..], ["b fails", "a fails"]);
}

/// `par!` of these branches yields the flat tuple of their ids' positions, in both modes.
macro_rules! flat {
    ($log:expr; $($id:ident $output:expr),+) => {{
        let log = $log;
        let branch = |id: &'static str| node(id, Scripted::fine(log, id).f());
        let fine = par!($(branch(stringify!($id)).map(|x| x * $output)),+);
        assert_eq!(fine.describe().to_string(), concat!("(", flat!(@names $($id),+), ")"));
        assert_eq!(Runner::new(fine).build().unwrap().run(0).await.unwrap(), ($($output),+));
        let settled = par!($(branch(stringify!($id)).map(|x| x * $output)),+).settle();
        assert_eq!(Runner::quick(settled).build().unwrap().run(0).await.unwrap().output, ($($output),+));

        // The last fails at once: nobody is left to finish without `settle`, all do with it.
        log.take();
        let names = [$(stringify!($id)),+];
        let last = *names.last().unwrap();
        let branch = |id: &'static str| {
            let act = if id == last { Act::Fail(Oops::Bad) } else { Act::Slow(ms(10)) };
            node(id, Scripted::always(log, id, act).f())
        };
        let fast = par!($(branch(stringify!($id))),+);
        assert_eq!(Runner::quick(fast).build().unwrap().run(0).await.unwrap_err().node, Some(last));
        let how = |events: Vec<String>, how: &str| events.iter().filter(|event| event.ends_with(how)).count();
        assert_eq!(how(log.take(), "dropped"), names.len() - 1);
        let settled = par!($(branch(stringify!($id))),+).settle();
        assert_eq!(Runner::quick(settled).build().unwrap().run(0).await.unwrap_err().node, Some(last));
        assert_eq!(how(log.take(), "ends"), names.len() - 1);
    }};
    (@names $first:ident $(, $rest:ident)*) => { concat!(stringify!($first) $(, " | ", stringify!($rest))*) };
}

#[tokio::test(start_paused = true)]
async fn two_to_twelve_branches_yield_a_flat_tuple() {
    let log = &Log::new();
    flat!(log; a 1, b 2);
    flat!(log; a 1, b 2, c 3);
    flat!(log; a 1, b 2, c 3, d 4);
    flat!(log; a 1, b 2, c 3, d 4, e 5);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6, g 7);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6, g 7, h 8);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6, g 7, h 8, i 9);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6, g 7, h 8, i 9, j 10);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6, g 7, h 8, i 9, j 10, k 11);
    flat!(log; a 1, b 2, c 3, d 4, e 5, f 6, g 7, h 8, i 9, j 10, k 11, l 12);
}

#[tokio::test(start_paused = true)]
async fn a_sibling_that_is_being_saved_is_saved_first() {
    // The one that fails stands before, after and in another nesting than the one that is being saved.
    for order in 0..4 {
        let log = Log::new();
        let spy = Spy::new();
        spy.inside().gate = Some("saved");
        let saved = Scripted::fine(&log, "saved");
        let fails = Scripted::new(&log, "fails", [Act::SlowFail(ms(10), Oops::Bad)]);
        let hangs = Scripted::new(&log, "hangs", [Act::Hang]);
        let s = || node("saved", saved.f()).then(node("next", Scripted::fine(&log, "next").f()));
        let (f, h) = (|| node("fails", fails.f()), || node("hangs", hangs.f()));
        macro_rules! check {
            ($pipeline:expr) => {{
                let runner = Runner::quick($pipeline).with_store(spy.clone()).build().unwrap();
                {
                    let mut running = pin!(runner.run_as(id(), 0));
                    // The failure is there, and the run still waits for the write.
                    assert!(tokio::time::timeout(secs(9), running.as_mut()).await.is_err());
                    assert_eq!(spy.kept("r"), [""]);
                    let events = log.take();
                    assert!(events.contains(&"fails fails".to_owned()));
                    // Whoever is not being saved is dropped at once.
                    assert!(events.contains(&"hangs dropped".to_owned()), "{events:?}");
                    spy.release();
                    let halted = running.await.unwrap_err();
                    assert_eq!((halted.node, halted.cause), (Some("fails"), Cause::Error(Oops::Bad)));
                }
                // It is saved, and what comes after it did not begin.
                assert_eq!(spy.kept("r"), ["", "saved"]);
                assert_eq!(log.take(), [""; 0]);
                assert_eq!(runner.resume(id()).await.unwrap().report.restored, 1);
                assert_eq!(saved.calls(), 1);
            }};
        }
        match order {
            0 => check!(par!(s(), f(), h())),
            1 => check!(par!(f(), h(), s())),
            2 => check!(par(par(h(), s()).settle(), f())),
            _ => check!(par(f(), par(s(), h()).retry(again(9)).timeout(secs(99)).deadline(secs(99)))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_whose_save_fails_meanwhile_does_not_hide_the_first_failure() {
    let log = Log::new();
    let spy = Spy::new();
    spy.inside().gate = Some("a");
    spy.inside().fail_put = Some(("a", StoreErrorKind::Unavailable));
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::always(&log, "b", Act::SlowFail(ms(10), Oops::Bad)));
    let runner = Runner::quick(par(node("a", a.f()), node("b", b.f()))).with_store(spy.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(id(), 0));
    assert!(tokio::time::timeout(secs(9), running.as_mut()).await.is_err());
    spy.release();
    let halted = running.await.unwrap_err();
    assert_eq!((halted.node, halted.cause), (Some("b"), Cause::Error(Oops::Bad)));
}

#[tokio::test(start_paused = true)]
async fn both_branches_are_saved_before_what_comes_after_begins() {
    let log = Log::new();
    let spy = Spy::new();
    spy.inside().gate = Some("a");
    let c = Scripted::fine(&log, "c");
    let branches = par(node("a", Scripted::fine(&log, "a").f()), node("b", Scripted::fine(&log, "b").f()));
    let pipeline = branches.map(|(a, b)| a + b).then(node("c", c.f()));
    let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
    let mut running = pin!(runner.run_as(id(), 0));
    assert!(tokio::time::timeout(secs(9), running.as_mut()).await.is_err());
    assert_eq!((spy.kept("r"), c.calls()), (vec![String::new(), "b".to_owned()], 0));
    spy.release();
    assert_eq!(running.await.unwrap().output, 3);
}

#[tokio::test(start_paused = true)]
async fn each_branch_has_its_own_retries_and_time_outs() {
    let log = Log::new();
    let a = Scripted::new(&log, "a", [Act::Fail(Oops::Busy), Act::Fail(Oops::Busy)]);
    let b = Scripted::new(&log, "b", [Act::Hang, Act::Slow(ms(10))]);
    let c = Scripted::new(&log, "c", [Act::Slow(ms(60)), Act::SlowFail(ms(5), Oops::Busy)]);
    let branches = par!(
        node("a", a.f()).retry(NEVER.recoverable(2, Backoff::constant(ms(10)))),
        node("b", b.f()).timeout(ms(50)).retry(again(1)),
        node("c", c.f()).timeout(ms(100)).retry(NEVER)
    );
    let runner = Runner::quick(branches).build().unwrap();
    let start = Instant::now();
    let done = runner.run(0).await.unwrap();
    assert_eq!((done.output, start.elapsed()), ((1, 1, 1), ms(60)));
    assert_eq!((a.calls(), b.calls(), c.calls()), (3, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn each_branch_is_resumed_from_where_it_was() {
    for spy in [Spy::new(), Spy::slow(1)] {
        let log = Log::new();
        let before = Scripted::fine(&log, "before");
        let (a1, a2) = (Scripted::fine(&log, "a1"), Scripted::new(&log, "a2", [Act::SlowFail(ms(50), Oops::Bad)]));
        let (b1, b2) = (slow(&log, "b1", ms(10)), Scripted::new(&log, "b2", [Act::Hang]));
        let c1 = Scripted::new(&log, "c1", [Act::Hang]);
        let (a, b) = (node("a1", a1.f()).then(node("a2", a2.f())), node("b1", b1.f()).then(node("b2", b2.f())));
        let branches = par!(a, b, node("c1", c1.f())).map(|(a, b, c)| 100 * a + 10 * b + c);
        let pipeline = node("before", before.f()).then(branches).then(node("after", Scripted::fine(&log, "after").f()));
        let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
        assert!(runner.run_as(id(), 0).await.is_err());
        assert_eq!(spy.kept("r"), ["", "a1", "b1", "before"]);
        spy.take_loads();
        let done = runner.resume(id()).await.unwrap();
        assert_eq!((done.output, done.report.restored), (332 + 1, 3));
        let calls = [&before, &a1, &a2, &b1, &b2, &c1].map(Scripted::calls);
        assert_eq!(calls, [1, 1, 2, 1, 2, 2]);
        // The third branch needs what was before; the others go on from within.
        let mut loads = spy.take_loads();
        loads.sort();
        assert_eq!(loads, ["a1", "b1", "before"]);
    }
}

#[tokio::test(start_paused = true)]
async fn branches_at_the_end_are_kept_even_if_they_skip_their_checkpoint() {
    let log = Log::new();
    let spy = Spy::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"));
    let branches = par(node("a", a.f()).skip_checkpoint(), node("b", b.f()).skip_checkpoint()).map(|(a, b)| (a, b, 7));
    let runner = Runner::quick(branches).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.run_as(id(), 0).await.unwrap().output, (1, 1, 7));
    assert_eq!(runner.run_as(id(), 0).await.unwrap().output, (1, 1, 7));
    assert_eq!((a.calls(), b.calls(), spy.kept("r").len()), (1, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_panic_unwinds_through_the_run_and_the_run_can_be_resumed() {
    let log = Log::new();
    let spy = Spy::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [Act::Panic("ouch")]));
    let c = slow(&log, "c", ms(10));
    let pipeline = node("a", a.f()).then(par(node("c", c.f()), node("b", b.f())));
    let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
    let caught = {
        let mut running = pin!(runner.run_as(id(), 0));
        let caught = std::panic::catch_unwind(AssertUnwindSafe(|| poll_until_idle(running.as_mut())));
        let message = caught.err().unwrap();
        *message.downcast_ref::<&str>().unwrap()
    };
    assert_eq!(caught, "ouch");
    assert_eq!(log.take(), ["a begins", "a ends", "c begins", "b begins", "b dropped", "c dropped"]);
    let done = runner.resume(id()).await.unwrap();
    assert_eq!((done.output, done.report.restored, a.calls()), ((2, 2), 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_spawned_node_is_terminal() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Panic("ouch"));
    let b = Scripted::always(&log, "b", Act::Hang);
    let pipeline = par(node("a", a.f()).spawned().retry(again(9)), node("b", b.f()));
    let runner = Runner::quick(pipeline.retry(again(9))).with_policies(again(9)).build().unwrap();
    let halted = runner.run(0).await.unwrap_err();
    assert_eq!((halted.node, halted.attempt, halted.class), (Some("a"), 1, FailureClass::Terminal));
    assert_eq!((halted.report.status, a.calls()), (RunStatus::Failed, 1));
    let Cause::Panicked(message) = &halted.cause else { panic!("{halted}") };
    assert_eq!(message.to_string(), "ouch");
    assert!(halted.to_string().contains("panicked on tokio's pool: ouch (terminal)"), "{halted}");
    assert_eq!(log.take().last().unwrap(), "b dropped");

    // A formatted message is kept too.
    let formatted = async |x: u32| if x == 0 { panic!("no {x}") } else { Ok::<u32, Oops>(x) };
    let runner = Runner::new(node("a", formatted).spawned()).with_report().build().unwrap();
    let Cause::Panicked(message) = runner.run(0).await.unwrap_err().cause else { panic!() };
    assert_eq!(message.to_string(), "no 0");
}

#[tokio::test(start_paused = true)]
async fn a_spawned_node_is_aborted_when_it_is_dropped() {
    let log = Log::new();
    let hangs = |id| Scripted::always(&log, id, Act::Hang);
    // With the run.
    let a = hangs("a");
    let runner = Runner::quick(node("a", a.f()).spawned()).build().unwrap();
    assert!(tokio::time::timeout(ms(10), runner.run(0)).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(log.take(), ["a begins", "a dropped"]);
    // When its time is over.
    let runner = Runner::quick(node("a", a.f()).spawned().timeout(ms(10))).with_policies(NEVER).build().unwrap();
    assert_eq!(runner.run(0).await.unwrap_err().cause, Cause::TimedOut { limit: ms(10) });
    tokio::task::yield_now().await;
    assert_eq!(log.take(), ["a begins", "a dropped"]);
    // When a sibling fails.
    let b = Scripted::always(&log, "b", Act::SlowFail(ms(10), Oops::Bad));
    let runner = Runner::quick(par(node("a", a.f()).spawned(), node("b", b.f()))).build().unwrap();
    assert!(runner.run(0).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(log.take(), ["a begins", "b begins", "b fails", "a dropped"]);
}

#[tokio::test(start_paused = true)]
async fn a_spawned_node_is_a_node_like_any_other() {
    let log = Log::new();
    let spy = Spy::new();
    let a = Scripted::new(&log, "a", [Act::Fail(Oops::Busy), Act::Slow(ms(5))]);
    let b = Scripted::new(&log, "b", [Act::Fail(Oops::Bad)]);
    let pipeline = node("a", a.f()).spawned().timeout(ms(9)).retry(again(1)).then(node("b", b.f()).spawned());
    let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.run_as(id(), 0).await.unwrap_err().cause, Cause::Error(Oops::Bad));
    assert_eq!(runner.resume(id()).await.unwrap().output, 2);
    assert_eq!((a.calls(), b.calls()), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spawned_node_runs_in_another_task() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ids);
    let note = move |x: u32| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock().unwrap().push(tokio::task::id());
            Ok::<_, Oops>(x)
        }
    };
    let runner = Runner::new(par(node("a", note.clone()).spawned(), node("b", note))).with_report().build().unwrap();
    let runner = Arc::new(runner);
    let me = tokio::spawn(async move {
        assert!(runner.run(0).await.is_ok());
        tokio::task::id()
    });
    let me = me.await.unwrap();
    let ids = ids.lock().unwrap();
    assert_eq!(ids.iter().filter(|id| **id == me).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_is_done_is_not_polled_again() {
    // A `poll_fn` that was ready panics when it is polled again.
    let once = |id: &'static str| {
        node(id, move |x: u32| {
            let mut over = false;
            std::future::poll_fn(move |_| {
                assert!(!std::mem::replace(&mut over, true), "polled again");
                Poll::Ready(Ok::<_, Oops>(x))
            })
        })
    };
    let log = Log::new();
    let hangs = || node("hangs", slow(&log, "hangs", ms(50)).f());
    let runner = Runner::new(par!(once("a"), hangs(), once("c")).settle()).with_clock(TokioClock).build().unwrap();
    assert_eq!(runner.run(3).await.unwrap().output, (3, 4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_drops_all_its_branches() {
    let log = Log::new();
    let guarded = |id: &'static str| {
        let log = log.clone();
        node(id, move |x: u32| {
            let guard = Guard::begin(&log, id);
            async move {
                std::future::pending::<()>().await;
                guard.end("ends");
                Ok::<_, Oops>(x)
            }
        })
    };
    let runner = Runner::quick(par!(guarded("a"), guarded("b"), guarded("c")).settle()).build().unwrap();
    {
        let mut running = pin!(runner.run(0));
        assert!(poll_once(running.as_mut()).is_pending());
    }
    assert_eq!(log.take(), ["a begins", "b begins", "c begins", "a dropped", "b dropped", "c dropped"]);
}
