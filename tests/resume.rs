//! Checkpoints: what is kept, what is run again, what is refused, and what is never lost.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, Cause, FailureClass, ManualClock, Outcome, PolicyMap, RunId, RunStatus, Runner, ms, node, par, secs,
    store::{CheckpointFault, FORMAT_VERSION, MemoryStore, StoreErrorKind},
};
use support::{
    error::{Oops, chain},
    polling::{now_or_panic, poll_once, poll_until_idle},
    scripted::{Act, Log, Scripted},
    spy::Spy,
};

const NEVER: PolicyMap = PolicyMap::never();

fn again(retries: u32) -> PolicyMap {
    NEVER.recoverable(retries, Backoff::none()).ambiguous(retries, Backoff::none())
}

fn bad() -> Act {
    Act::Fail(Oops::Bad)
}

fn id() -> RunId {
    RunId::new("r").unwrap()
}

/// Both kinds of store: one that answers at once, and one whose every answer has to be waited for.
fn stores() -> [Spy; 2] {
    [Spy::new(), Spy::slow(2)]
}

/// `a`, `b` and `c`, scripted.
struct Three {
    a: Scripted,
    b: Scripted,
    c: Scripted,
}

impl Three {
    fn new(log: &Log) -> Self {
        Self { a: Scripted::fine(log, "a"), b: Scripted::fine(log, "b"), c: Scripted::fine(log, "c") }
    }

    fn calls(&self) -> [u32; 3] {
        [self.a.calls(), self.b.calls(), self.c.calls()]
    }
}

/// The runner of `a -> b -> c` with this store.
macro_rules! runner {
    ($three:expr, $spy:expr) => {
        Runner::quick(node("a", $three.a.f()).then(node("b", $three.b.f())).then(node("c", $three.c.f())))
            .with_policies(NEVER)
            .with_store($spy.clone())
            .build()
            .unwrap()
    };
}

#[tokio::test]
async fn a_finished_run_returns_its_result_and_runs_nothing() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        let done = runner.run_as(id(), 4).await.unwrap();
        assert_eq!((done.output, done.report.status, done.report.restored), (7, RunStatus::Completed, 0));
        assert_eq!((done.report.run_id, spy.kept("r")), (id(), ["", "a", "b", "c"].map(str::to_owned).to_vec()));
        spy.take_loads();
        for _ in 0..2 {
            let done = runner.run_as(id(), 4).await.unwrap();
            assert_eq!((done.output, done.report.status, done.report.restored), (7, RunStatus::Resumed, 3));
            assert_eq!(spy.take_loads(), ["c"]);
            assert!(done.trace.events().iter().all(|event| event.outcome == Outcome::Restored));
            assert_eq!(runner.resume(id()).await.unwrap().output, 7);
            assert_eq!(spy.take_loads(), ["c"]);
        }
        assert_eq!(three.calls(), [1, 1, 1]);
        assert_eq!(spy.inside().puts, ["", "a", "b", "c"]);
    }
}

#[tokio::test]
async fn another_input_is_refused() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        three.b.tell([bad()]);
        assert!(runner.run_as(id(), 4).await.is_err());
        let before = spy.bytes("r");
        let halted = runner.run_as(id(), 5).await.unwrap_err();
        assert_eq!((halted.cause.clone(), halted.class), (Cause::OtherInput, FailureClass::Terminal));
        assert_eq!((halted.node, halted.attempt, halted.report.status), (None, 0, RunStatus::Failed));
        assert!(halted.to_string().contains("a run of this id was begun with another input"), "{halted}");
        assert_eq!((spy.bytes("r"), three.calls()), (before, [1, 1, 0]));
        assert_eq!(runner.run_as(id(), 4).await.unwrap().output, 7);
        // Of a finished run as well.
        assert_eq!(runner.run_as(id(), 5).await.unwrap_err().cause, Cause::OtherInput);
        assert_eq!(runner.run_as(id(), 4).await.unwrap().output, 7);
    }
}

#[tokio::test]
async fn an_unknown_run_is_an_error_and_never_a_fresh_start() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        for halted in [runner.resume(id()).await.unwrap_err(), runner.resume_from(id(), "a").await.unwrap_err()] {
            let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
            assert_eq!(error.kind(), StoreErrorKind::UnknownRun);
            // Nothing can be gone on with, however long one waits.
            assert_eq!((halted.class, halted.report.status), (FailureClass::Terminal, RunStatus::Failed));
        }
        assert_eq!((three.calls(), spy.kept("r")), ([0, 0, 0], vec![]));
        assert_eq!(runner.run_as(id(), 4).await.unwrap().report.status, RunStatus::Completed);
    }
}

#[tokio::test]
async fn a_resume_goes_on_at_the_node_that_failed_and_loads_what_it_needs() {
    for spy in stores() {
        for (failing, calls, restored, loads) in
            [(0, [2, 1, 1], 0, vec![]), (1, [1, 2, 1], 1, vec!["a"]), (2, [1, 1, 2], 2, vec!["b"])]
        {
            for with_input in [false, true] {
                let three = Three::new(&Log::new());
                [&three.a, &three.b, &three.c][failing].tell([bad()]);
                let runner = runner!(three, spy);
                let halted = runner.run_as(id(), 4).await.unwrap_err();
                assert_eq!(halted.node, Some(["a", "b", "c"][failing]));
                spy.take_loads();
                let done = match with_input {
                    true => runner.run_as(id(), 4).await.unwrap(),
                    false => runner.resume(id()).await.unwrap(),
                };
                assert_eq!((done.output, done.report.status, done.report.restored), (7, RunStatus::Resumed, restored));
                assert_eq!(
                    (three.calls(), spy.take_loads()),
                    (calls, loads.iter().map(|id| (*id).to_owned()).collect())
                );
                assert!(runner.forget(id()).await.unwrap());
            }
        }
    }
}

#[tokio::test]
async fn statuses_say_what_a_resume_would_do() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    let runner = runner!(three, spy);
    // Retries used up: a resume may do it.
    for error in [Oops::Busy, Oops::Odd] {
        three.b.tell([Act::Fail(error)]);
        assert_eq!(runner.run_as(id(), 4).await.unwrap_err().report.status, RunStatus::Partial);
    }
    three.b.tell([bad()]);
    assert_eq!(runner.run_as(id(), 4).await.unwrap_err().report.status, RunStatus::Failed);
    assert_eq!(runner.run_as(id(), 4).await.unwrap().report.status, RunStatus::Resumed);
    assert_eq!(RunStatus::Partial.to_string() + " " + &RunStatus::Failed.to_string(), "PARTIAL FAILED");
}

#[tokio::test]
async fn a_node_that_skips_its_checkpoint_runs_again_unless_something_after_it_is_kept() {
    for spy in stores() {
        let log = Log::new();
        let three = Three::new(&log);
        let d = Scripted::new(&log, "d", [bad()]);
        three.c.tell([bad()]);
        let chain = node("a", three.a.f()).then(node("b", three.b.f()).skip_checkpoint());
        let chain = chain.then(node("c", three.c.f())).then(node("d", d.f()));
        let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
        assert!(runner.run_as(id(), 0).await.is_err());
        assert_eq!(spy.kept("r"), ["", "a"]);
        assert!(runner.resume(id()).await.is_err());
        assert_eq!(([three.calls()[0], three.calls()[1], three.calls()[2]], d.calls()), ([1, 2, 2], 1));
        // Now `c` is kept, so that `b` is not asked any more.
        assert_eq!(runner.resume(id()).await.unwrap().output, 4);
        assert_eq!((three.calls(), d.calls()), ([1, 2, 2], 2));
        assert_eq!(spy.kept("r"), ["", "a", "c", "d"]);
    }
}

#[tokio::test]
async fn what_was_kept_of_a_node_that_now_skips_its_checkpoint_is_not_said_to_be_restored() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    three.c.tell([bad()]);
    assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
    let chain = node("a", three.a.f()).then(node("b", three.b.f()).skip_checkpoint()).then(node("c", three.c.f()));
    let done = Runner::quick(chain).with_store(spy.clone()).build().unwrap().resume(id()).await.unwrap();
    // It runs once more, so it is not among what was not run.
    assert_eq!((three.calls(), done.output), ([1, 2, 2], 3));
    assert_eq!(done.report.restored, 1);
    assert_eq!(done.trace.events_for("b").count(), 1);
}

#[tokio::test]
async fn the_output_of_the_run_is_kept_even_of_a_last_node_that_skips_its_checkpoint() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let chain = node("a", three.a.f()).skip_checkpoint().then(node("b", three.b.f()).skip_checkpoint());
        let runner = Runner::quick(chain.map(|x| x * 10).map(|x| x + 1)).with_store(spy.clone()).build().unwrap();
        assert_eq!(runner.run_as(id(), 0).await.unwrap().output, 21);
        assert_eq!(spy.kept("r"), ["", "b"]);
        assert_eq!(runner.run_as(id(), 0).await.unwrap().output, 21);
        assert_eq!(three.calls(), [1, 1, 0]);
    }
}

#[tokio::test]
async fn plain_functions_are_called_again() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    let calls = Arc::new([const { AtomicU32::new(0) }; 3]);
    let (first, second, third) = (Arc::clone(&calls), Arc::clone(&calls), Arc::clone(&calls));
    let chain = node("a", three.a.f())
        .map(move |x| {
            first[0].fetch_add(1, Ordering::SeqCst);
            x * 10
        })
        .then(node("b", three.b.f()))
        .try_map(move |x| match second[1].fetch_add(1, Ordering::SeqCst) {
            0 => Err(Oops::Bad),
            _ => Ok(x),
        })
        .map(move |x| {
            third[2].fetch_add(1, Ordering::SeqCst);
            x + 5
        });
    let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
    let halted = runner.run_as(id(), 0).await.unwrap_err();
    // A plain function is not a node.
    assert_eq!((halted.node, halted.attempt, halted.cause), (None, 0, Cause::Error(Oops::Bad)));
    assert_eq!(halted.report.status, RunStatus::Failed);
    for _ in 0..2 {
        assert_eq!(runner.run_as(id(), 0).await.unwrap().output, 16);
    }
    assert_eq!(three.calls(), [1, 1, 0]);
    // The one before `b` once; those after it with each run that got there.
    assert_eq!([0, 1, 2].map(|at: usize| calls[at].load(Ordering::SeqCst)), [1, 3, 2]);
}

#[tokio::test]
async fn resume_from_forgets_the_node_and_what_depends_on_it() {
    for spy in stores() {
        for (from, calls) in [("a", [2, 2, 2]), ("b", [1, 2, 2]), ("c", [1, 1, 2])] {
            let three = Three::new(&Log::new());
            let runner = runner!(three, spy);
            runner.run_as(id(), 0).await.unwrap();
            let discards = spy.inside().discards;
            let done = runner.resume_from(id(), from).await.unwrap();
            assert_eq!((done.output, done.report.status, three.calls()), (3, RunStatus::Resumed, calls));
            assert_eq!(spy.inside().discards - discards, 1, "in one step");
            assert_eq!(runner.run_as(id(), 0).await.unwrap().report.restored, 3);
            assert!(runner.forget(id()).await.unwrap());
        }
    }
}

#[tokio::test]
async fn resume_from_within_a_branch_leaves_the_others() {
    let expected = [
        ("before", [2, 2, 2, 2, 2, 2]),
        ("a1", [1, 2, 2, 1, 1, 2]),
        ("a2", [1, 1, 2, 1, 1, 2]),
        ("b", [1, 1, 1, 2, 1, 2]),
        ("c", [1, 1, 1, 1, 2, 2]),
        ("after", [1, 1, 1, 1, 1, 2]),
    ];
    for (from, calls) in expected {
        let spy = Spy::new();
        let log = Log::new();
        let all = ["before", "a1", "a2", "b", "c", "after"].map(|id| Scripted::fine(&log, id));
        let [before, a1, a2, b, c, after] = &all;
        let branches = par!(node("a1", a1.f()).then(node("a2", a2.f())), node("b", b.f()), node("c", c.f()))
            .map(|(a, b, c)| a + b + c);
        let pipeline = node("before", before.f()).then(branches).then(node("after", after.f()));
        let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
        let output = runner.run_as(id(), 0).await.unwrap().output;
        assert_eq!(runner.resume_from(id(), from).await.unwrap().output, output);
        assert_eq!(all.each_ref().map(Scripted::calls), calls, "from {from}");
    }
}

#[tokio::test]
async fn resume_from_a_node_that_is_not_there_forgets_nothing() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        runner.run_as(id(), 0).await.unwrap();
        let before = spy.bytes("r");
        let halted = runner.resume_from(id(), "nobody").await.unwrap_err();
        let Cause::UnknownNode(name) = &halted.cause else { panic!("{halted}") };
        assert_eq!((name.to_string(), halted.report.status), ("nobody".to_owned(), RunStatus::Failed));
        assert!(halted.to_string().contains("no node `nobody`"), "{halted}");
        assert_eq!((spy.bytes("r"), three.calls(), spy.inside().discards), (before, [1, 1, 1], 0));
    }
}

#[tokio::test]
async fn a_store_that_cannot_discard_leaves_all_as_it_was() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        runner.run_as(id(), 0).await.unwrap();
        let before = spy.bytes("r");
        spy.inside().fail_discard = Some(StoreErrorKind::Unavailable);
        let halted = runner.resume_from(id(), "b").await.unwrap_err();
        assert!(matches!(halted.cause, Cause::Store(_)));
        assert_eq!((halted.report.status, spy.bytes("r"), three.calls()), (RunStatus::Partial, before, [1, 1, 1]));
    }
}

#[tokio::test]
async fn forget_forgets() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        assert_eq!(runner.forget(id()).await, Ok(false));
        runner.run_as(id(), 0).await.unwrap();
        assert_eq!(runner.forget(id()).await, Ok(true));
        assert_eq!(runner.forget(id()).await, Ok(false));
        assert_eq!(spy.kept("r"), [""; 0]);
        // So that the id is free, for another input too.
        assert_eq!(runner.run_as(id(), 5).await.unwrap().report.status, RunStatus::Completed);
        assert_eq!(three.calls(), [2, 2, 2]);
    }
}

#[tokio::test]
async fn one_of_two_goes_on_and_the_other_is_told_that_it_is_busy() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.b.tell([Act::Hang]);
        let runner = runner!(three, spy);
        {
            let mut first = pin!(runner.run_as(id(), 0));
            assert!(poll_until_idle(first.as_mut()).is_pending());
            for halted in [
                runner.run_as(id(), 0).await.unwrap_err(),
                runner.resume(id()).await.unwrap_err(),
                runner.resume_from(id(), "a").await.unwrap_err(),
            ] {
                let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
                assert!(matches!(error.kind(), StoreErrorKind::Busy { .. }), "{halted}");
                assert_eq!((halted.node, halted.report.status), (None, RunStatus::Partial));
            }
            assert!(matches!(runner.forget(id()).await.unwrap_err().kind(), StoreErrorKind::Busy { .. }));
            // Another run is another matter.
            assert!(runner.run_as(RunId::new("other").unwrap(), 0).await.is_ok());
        }
        assert_eq!(three.calls(), [2, 2, 1]);
        assert_eq!(runner.run_as(id(), 0).await.unwrap().output, 3);
        assert_eq!(three.calls(), [2, 3, 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tasks_on_one_run_exactly_one_goes_on() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let work = move |x: u32| {
        let calls = Arc::clone(&counted);
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, Oops>(x + 1)
        }
    };
    let runner = Arc::new(Runner::quick(node("a", work)).build().unwrap());
    for round in 0..50 {
        let id = RunId::from_u128(round);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let runner = Arc::clone(&runner);
                tokio::spawn(async move {
                    match runner.run_as(id, 0).await {
                        Ok(done) => Some(done.output),
                        Err(halted) => {
                            let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
                            assert!(matches!(error.kind(), StoreErrorKind::Busy { .. }));
                            None
                        }
                    }
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += u32::from(task.await.unwrap().is_some_and(|output| output == 1));
        }
        assert!(done > 0);
        assert_eq!(calls.swap(0, Ordering::SeqCst), 1, "once, whoever came");
    }
}

#[tokio::test]
async fn a_run_is_free_as_soon_as_it_is_over() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.b.tell([bad()]);
        let runner = runner!(three, spy);
        // The futures of ended runs are still there.
        let mut halts = pin!(runner.run_as(id(), 0));
        assert!(halts.as_mut().await.is_err());
        let mut ends = pin!(runner.resume(id()));
        assert!(ends.as_mut().await.is_ok());
        let mut refused = pin!(runner.run_as(id(), 9));
        assert_eq!(refused.as_mut().await.unwrap_err().cause, Cause::OtherInput);
        assert!(runner.run_as(id(), 0).await.is_ok());
        assert_eq!(runner.forget(id()).await, Ok(true));
    }
}

#[tokio::test]
async fn a_future_that_was_never_polled_holds_nothing() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    let runner = runner!(three, spy);
    let never = runner.run_as(id(), 0);
    assert!(runner.run_as(id(), 0).await.is_ok());
    drop(never);
    assert_eq!(spy.inside().opens, 1);
}

#[tokio::test]
async fn another_pipeline_is_refused_and_nothing_is_deleted() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.c.tell([bad()]);
        assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
        let before = spy.bytes("r");
        let n = |id: &'static str| node(id, three.a.f());
        macro_rules! refused {
            ($pipeline:expr) => {{
                let runner = Runner::quick($pipeline).with_store(spy.clone()).build().unwrap();
                for halted in [
                    runner.run_as(id(), 0).await.unwrap_err(),
                    runner.resume(id()).await.unwrap_err(),
                    runner.resume_from(id(), "a").await.unwrap_err(),
                ] {
                    let Cause::OtherPipeline { stored, now } = halted.cause else { panic!("{halted}") };
                    assert_ne!(stored, now);
                    let text = halted.to_string();
                    assert!(
                        text.contains(&format!("{stored:016x}")) && text.contains(&format!("{now:016x}")),
                        "{text}"
                    );
                    assert_eq!((halted.report.status, halted.node), (RunStatus::Failed, None));
                }
                assert_eq!(spy.bytes("r"), before);
            }};
        }
        // Added at the end, at the front and in the middle; removed; renamed; reordered; in branches.
        refused!(n("a").then(n("b")).then(n("c")).then(n("d")));
        refused!(n("z").then(n("a")).then(n("b")).then(n("c")));
        refused!(n("a").then(n("b")).then(n("b2")).then(n("c")));
        refused!(n("a").then(n("b")));
        refused!(n("b").then(n("c")).map(|x| x).then(n("a")));
        refused!(n("a").then(n("bee")).then(n("c")));
        refused!(n("b").then(n("a")).then(n("c")));
        refused!(n("a").then(par(n("b"), n("c"))).map(|(b, c)| b + c));
        assert_eq!(three.calls(), [1, 1, 1]);
        assert_eq!(runner!(three, spy).resume(id()).await.unwrap().output, 3);
    }
}

#[tokio::test]
async fn what_does_not_change_the_nodes_may_change() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    three.c.tell([bad()]);
    assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
    let inner = node("b", three.b.f()).then(node("c", three.c.f()).timeout(secs(9))).retry(again(1)).deadline(secs(99));
    let runner = Runner::quick(node("a", three.a.f()).then(inner).map(|x| x)).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    assert_eq!(three.calls(), [1, 1, 2]);
}

#[tokio::test]
async fn a_renamed_node_says_what_it_was() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.c.tell([bad()]);
        assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
        let renamed = || {
            let chain =
                node("a", three.a.f()).then(node("bee", three.b.f()).was("b")).then(node("sea", three.c.f()).was("c"));
            Runner::quick(chain).with_store(spy.clone()).build().unwrap()
        };
        spy.take_loads();
        let done = renamed().resume(id()).await.unwrap();
        assert_eq!((done.output, done.report.restored, three.calls()), (3, 2, [1, 1, 2]));
        assert_eq!(spy.take_loads(), ["b"]);
        // Kept under the first name, and found by either.
        assert_eq!(renamed().run_as(id(), 0).await.unwrap().output, 3);
        assert_eq!(spy.kept("r"), ["", "a", "b", "c"]);
        for (from, calls) in [("sea", [1, 1, 3]), ("b", [1, 2, 4]), ("bee", [1, 3, 5])] {
            assert_eq!(renamed().resume_from(id(), from).await.unwrap().output, 3);
            assert_eq!(three.calls(), calls);
        }
        assert_eq!(spy.kept("r"), ["", "a", "b", "c"]);
    }
}

#[tokio::test]
async fn a_program_of_before_the_renaming_goes_on_with_what_the_new_one_kept() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    let chain = node("a", three.a.f()).then(node("bee", three.b.f()).was("b")).then(node("c", three.c.f()));
    let new = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
    let done = new.run_as(id(), 0).await.unwrap();
    let before = spy.bytes("r");
    let old = runner!(three, spy);
    for again in [old.run_as(id(), 0).await.unwrap(), old.resume(id()).await.unwrap(), new.resume(id()).await.unwrap()]
    {
        assert_eq!((again.output, again.report.restored), (done.output, 3));
        assert_eq!(spy.bytes("r"), before);
    }
    assert_eq!(three.calls(), [1, 1, 1]);
    // Either name will do.
    for name in ["b", "bee"] {
        assert_eq!(new.resume_from(id(), name).await.unwrap().output, done.output);
    }
    assert_eq!(three.calls(), [1, 3, 3]);
}

#[tokio::test]
async fn a_renamed_node_is_found_by_a_retry_around_it() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    three.c.tell([bad(), Act::Fail(Oops::Busy)]);
    assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
    let chain =
        node("a", three.a.f()).then(node("bee", three.b.f()).was("b")).then(node("c", three.c.f()).retry(NEVER));
    let runner = Runner::quick(chain.retry(again(1))).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    assert_eq!(three.calls(), [1, 1, 3]);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, postcard_schema::Schema)]
struct Before {
    count: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, postcard_schema::Schema)]
struct After {
    count: u64,
}

#[tokio::test]
async fn a_checkpoint_of_another_schema_is_refused_with_both_keys() {
    for spy in stores() {
        let fails = async |_: Before| Err::<u32, _>(Oops::Bad);
        let old = node("make", async |x: u32| Ok(Before { count: x })).then(node("use", fails));
        let old = Runner::quick(old).with_store(spy.clone()).build().unwrap();
        assert!(old.run_as(id(), 7).await.is_err());
        let before = spy.bytes("r");
        let new = node("make", async |x: u32| Ok::<_, Oops>(After { count: x.into() }));
        let new = new.then(node("use", async |after: After| Ok::<_, Oops>(after.count)));
        let new = Runner::quick(new).with_store(spy.clone()).build().unwrap();
        for halted in [new.resume(id()).await.unwrap_err(), new.run_as(id(), 7).await.unwrap_err()] {
            let Cause::Checkpoint(error) = halted.cause else { panic!("{halted}") };
            let keys = (<Before as stroma::store::Payload>::SCHEMA_KEY, <After as stroma::store::Payload>::SCHEMA_KEY);
            assert_eq!(error.node, Some("make"));
            assert_eq!(error.fault, CheckpointFault::Schema { stored: keys.0, expected: keys.1 });
            assert_eq!((halted.report.status, spy.bytes("r")), (RunStatus::Failed, before.clone()));
            let texts = chain(&halted);
            assert!(texts[0].contains("nothing was deleted"), "{texts:?}");
            assert!(texts[1].contains("node `make`"), "{texts:?}");
            for key in [keys.0, keys.1] {
                assert!(texts[1].contains(&format!("{key:016x}")), "{texts:?}");
            }
        }
        // What it advises works.
        assert_eq!(new.resume_from(id(), "make").await.unwrap().output, 7);
    }
}

#[tokio::test]
async fn an_input_of_another_schema_is_refused() {
    for spy in stores() {
        let old = Runner::quick(node("a", async |_: Before| Err::<u32, _>(Oops::Bad))).with_store(spy.clone());
        assert!(old.build().unwrap().run_as(id(), Before { count: 1 }).await.is_err());
        let new =
            Runner::quick(node("a", async |_: After| Ok::<u32, Oops>(1))).with_store(spy.clone()).build().unwrap();
        for halted in [new.resume(id()).await.unwrap_err(), new.run_as(id(), After { count: 1 }).await.unwrap_err()] {
            let Cause::Checkpoint(error) = halted.cause else { panic!("{halted}") };
            assert_eq!(error.node, None);
            assert!(matches!(error.fault, CheckpointFault::Schema { .. }), "{error}");
        }
        assert_eq!(spy.kept("r"), [""]);
    }
}

#[tokio::test]
async fn damage_is_an_error_and_never_garbage() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.c.tell([bad()]);
        let runner = runner!(three, spy);
        assert!(runner.run_as(id(), 0).await.is_err());
        let whole = spy.bytes("r").into_iter().find(|(key, _)| key.0 == "b").unwrap().1;
        let set = |bytes: &[u8]| spy.tamper("r", "b", |kept| *kept = bytes.to_vec());
        let refused = async || {
            let halted = runner.resume(id()).await.unwrap_err();
            let Cause::Checkpoint(error) = halted.cause else { panic!("{halted}") };
            assert_eq!((error.node, halted.node, halted.report.status), (Some("b"), Some("b"), RunStatus::Failed));
            error.fault
        };
        // Every bit flipped.
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            set(&bytes);
            match refused().await {
                CheckpointFault::Damaged => assert!(bit >= 8),
                CheckpointFault::Version { found } => assert!(bit < 8 && found != FORMAT_VERSION),
                other => panic!("bit {bit}: {other}"),
            }
        }
        // Cut at every length, and too long.
        for len in 0..whole.len() {
            set(&whole[..len]);
            match refused().await {
                CheckpointFault::Truncated { len: said } => assert_eq!(said, len),
                CheckpointFault::Damaged => assert!(len >= 13),
                other => panic!("length {len}: {other}"),
            }
        }
        set(&[&whole[..], b"x"].concat());
        assert_eq!(refused().await, CheckpointFault::Damaged);
        assert_eq!((spy.kept("r"), three.calls()), (["", "a", "b"].map(str::to_owned).to_vec(), [1, 1, 1]));
        // Damage to what is not needed does no harm.
        set(&whole);
        spy.tamper("r", "a", |bytes| bytes.clear());
        assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    }
}

#[tokio::test]
async fn damage_to_the_input_is_an_error_too() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.a.tell([bad()]);
        let runner = runner!(three, spy);
        assert!(runner.run_as(id(), 300).await.is_err());
        let whole = spy.bytes("r")[0].1.clone();
        let set = |bytes: &[u8]| spy.tamper("r", "", |kept| *kept = bytes.to_vec());
        let refused = async |what: String| {
            for halted in [runner.resume(id()).await.unwrap_err(), runner.run_as(id(), 300).await.unwrap_err()] {
                let Cause::Checkpoint(error) = halted.cause else { panic!("{what}: {halted}") };
                assert_eq!((error.node, halted.node, halted.report.status), (None, None, RunStatus::Failed));
            }
        };
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            set(&bytes);
            refused(format!("bit {bit}")).await;
        }
        for len in 0..whole.len() {
            set(&whole[..len]);
            refused(format!("length {len}")).await;
        }
        assert_eq!(three.calls(), [1, 0, 0]);
        set(&whole);
        assert_eq!(runner.resume(id()).await.unwrap().output, 303);
    }
}

#[tokio::test]
async fn a_payload_larger_than_a_slot_names_both_sizes() {
    let big = async |x: u32| Ok::<_, Oops>(vec![7_u8; x as usize]);
    let length = async |bytes: Vec<u8>| Ok::<_, Oops>(bytes.len() as u32);
    let pipeline = || node("big", big).then(node("length", length));
    // 13 bytes around the payload, one for its length.
    let runner = Runner::quick(pipeline()).with_store(MemoryStore::<2, 3, 64>::new()).build().unwrap();
    assert_eq!(runner.run_as(id(), 50).await.unwrap().output, 50);
    let halted = runner.run_as(RunId::new("s").unwrap(), 51).await.unwrap_err();
    assert_eq!((halted.node, halted.attempt, halted.report.status), (Some("big"), 1, RunStatus::Partial));
    let texts = chain(&halted);
    let Cause::Store(error) = halted.cause else { panic!("{texts:?}") };
    assert_eq!(error.kind(), StoreErrorKind::TooLarge { len: 65, max: 64 });
    assert!(texts[1].contains("65 bytes") && texts[1].contains("64"), "{texts:?}");

    // The input is kept too.
    let runner = Runner::quick(node("length", length)).with_store(MemoryStore::<1, 2, 64>::new()).build().unwrap();
    let halted = runner.run_as(id(), vec![0; 64]).await.unwrap_err();
    let Cause::Store(error) = halted.cause else { panic!("{halted}") };
    assert_eq!((halted.node, error.kind()), (None, StoreErrorKind::TooLarge { len: 64 + 1 + 21, max: 64 }));
}

#[test]
fn too_few_slots_are_found_when_the_runner_is_built() {
    let three = Three::new(&Log::new());
    let chain = || node("a", three.a.f()).then(node("b", three.b.f())).then(node("c", three.c.f()));
    let error = Runner::quick(chain()).with_store(MemoryStore::<1, 3, 64>::new()).build().unwrap_err();
    assert_eq!(error, stroma::BuildError::TooFewSlots { slots: 3, needed: 4 });
    assert!(error.to_string().contains('4') && error.to_string().contains('3'), "{error}");
    assert!(Runner::quick(chain()).with_store(MemoryStore::<1, 4, 64>::new()).build().is_ok());
}

#[tokio::test]
async fn a_store_that_fails_halts_the_run_and_repeats_no_node() {
    let kind = StoreErrorKind::Unavailable;
    for spy in stores() {
        let three = Three::new(&Log::new());
        // Every retry there is: none of them is for the store.
        let chain = node("a", three.a.f()).then(node("b", three.b.f()).retry(again(9))).then(node("c", three.c.f()));
        let runner =
            Runner::quick(chain.retry(again(9))).with_policies(again(9)).with_store(spy.clone()).build().unwrap();
        let told = |halted: &stroma::Halted<Oops, stroma::Trace>| {
            let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
            assert_eq!((error.kind(), halted.report.status), (kind, RunStatus::Partial));
            assert_eq!(halted.class, FailureClass::Recoverable);
            (halted.node, halted.attempt)
        };
        // Opening.
        spy.inside().fail_open = Some(kind);
        assert_eq!(told(&runner.run_as(id(), 0).await.unwrap_err()), (None, 0));
        spy.inside().fail_open = None;
        // Writing the input.
        spy.inside().fail_put = Some(("", kind));
        assert_eq!(told(&runner.run_as(id(), 0).await.unwrap_err()), (None, 0));
        assert_eq!(three.calls(), [0, 0, 0]);
        // Writing an output.
        spy.inside().fail_put = Some(("b", kind));
        assert_eq!(told(&runner.run_as(id(), 0).await.unwrap_err()), (Some("b"), 1));
        assert_eq!((three.calls(), spy.kept("r")), ([1, 1, 0], ["", "a"].map(str::to_owned).to_vec()));
        spy.inside().fail_put = None;
        // Reading the input.
        spy.inside().fail_load = Some(("", kind));
        assert_eq!(told(&runner.resume(id()).await.unwrap_err()), (None, 0));
        // Reading an output.
        spy.inside().fail_load = Some(("a", kind));
        assert_eq!(told(&runner.resume(id()).await.unwrap_err()).0, Some("a"));
        assert_eq!(three.calls(), [1, 1, 0]);
        spy.inside().fail_load = None;
        assert_eq!(runner.resume(id()).await.unwrap().output, 3);
        assert_eq!(three.calls(), [1, 2, 1]);
    }
}

#[tokio::test]
async fn the_attempt_whose_output_could_not_be_saved_is_named() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.b.tell([Act::Fail(Oops::Busy), Act::Fail(Oops::Busy)]);
        spy.inside().fail_put = Some(("b", StoreErrorKind::Unavailable));
        let chain = node("a", three.a.f()).then(node("b", three.b.f()).retry(again(9)));
        let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
        let halted = runner.run_as(id(), 0).await.unwrap_err();
        assert_eq!((halted.node, halted.attempt), (Some("b"), 3));
    }
}

#[tokio::test]
async fn a_slot_that_the_store_lost_is_an_error() {
    let spy = Spy::slow(1);
    let three = Three::new(&Log::new());
    three.c.tell([bad()]);
    let runner = runner!(three, spy);
    assert!(runner.run_as(id(), 0).await.is_err());
    // Lost before it is opened, it is as if it had never been: the node runs again.
    spy.lose("r", "b");
    assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    assert_eq!(three.calls(), [1, 2, 2]);
    // Lost after that, it is an error.
    let mut running = pin!(runner.resume(id()));
    while spy.inside().opens < 3 {
        assert!(poll_once(running.as_mut()).is_pending());
    }
    // The input is read first; the output is on its way.
    while spy.inside().loads.last().is_none_or(|last| !last.is_empty()) {
        assert!(poll_once(running.as_mut()).is_pending());
    }
    spy.lose("r", "c");
    if let Poll::Ready(ended) = poll_until_idle(running.as_mut()) {
        let halted = ended.unwrap_err();
        assert!(matches!(&halted.cause, Cause::Store(error) if error.kind() == StoreErrorKind::Missing), "{halted}");
    } else {
        panic!("it waits");
    }
}

/// Polls a run so often, then drops it; the run's end if it came to it.
fn cut<F: Future>(running: F, polls: u32) -> Option<F::Output> {
    let mut running = pin!(running);
    for _ in 0..polls {
        if let Poll::Ready(ended) = poll_once(running.as_mut()) {
            return Some(ended);
        }
    }
    None
}

#[test]
fn a_run_dropped_at_any_await_point_loses_nothing_that_was_kept() {
    let clock = ManualClock::new();
    // Each operation of the store waits, each node waits, and one of them is tried again.
    let yields = |log: &Log, id: &'static str, fails: bool| {
        let (log, failed) = (log.clone(), AtomicU32::new(u32::from(fails)));
        move |x: u32| {
            log.add(id);
            let fail = failed.swap(0, Ordering::SeqCst) == 1;
            async move {
                yield_once().await;
                if fail { Err(Oops::Busy) } else { Ok(x + 1) }
            }
        }
    };
    let mut ended = false;
    let mut polls = 0;
    while !ended {
        polls += 1;
        let (log, spy) = (Log::new(), Spy::slow(2));
        let branches = par(
            node("b", yields(&log, "b", true)).retry(again(1)).then(node("b2", yields(&log, "b2", false))),
            node("c", yields(&log, "c", false)),
        );
        let pipeline = node("a", yields(&log, "a", false)).then(branches).map(|(b, c)| b + c);
        let pipeline = pipeline.then(node("d", yields(&log, "d", false)));
        let runner = Runner::quick(pipeline).with_clock(clock.clone()).with_store(spy.clone()).build().unwrap();
        // Cut again and again after so many polls; every part makes some way or comes to its end.
        let first = cut(runner.run_as(id(), 0), polls);
        ended = first.is_some();
        let kept = spy.kept("r");
        let ran = log.take();
        // What was kept is there, and is not run again by whoever goes on.
        let done = now_or_panic(runner.run_as(id(), 0)).unwrap();
        assert_eq!(done.output, 6, "after {polls} polls");
        let again = log.take();
        for node in &kept {
            assert!(!again.contains(node), "{node} ran again after {polls} polls: {ran:?}, then {again:?}");
        }
        assert_eq!(usize::from(done.report.restored), kept.iter().filter(|node| !node.is_empty()).count());
        assert_eq!(spy.kept("r"), ["", "a", "b", "b2", "c", "d"]);
        assert!(polls < 1_000);
    }
    assert!(polls > 15, "{polls}");
}

#[test]
fn a_resume_dropped_at_any_await_point_loses_nothing_either() {
    for from in [None, Some("b")] {
        let mut ended = false;
        let mut polls = 0;
        while !ended {
            polls += 1;
            let spy = Spy::new();
            let three = Three::new(&Log::new());
            three.c.tell([bad()]);
            let runner = runner!(three, spy);
            assert!(now_or_panic(runner.run_as(id(), 0)).is_err());
            let before = spy.kept("r");
            spy.inside().yields = Some(2);
            ended = match from {
                None => cut(runner.resume(id()), polls).is_some(),
                Some(node) => cut(runner.resume_from(id(), node), polls).is_some(),
            };
            // Of `resume_from` it is all or nothing.
            let kept = spy.kept("r");
            assert!(kept.starts_with(&before) || from.is_some() && kept[..2] == before[..2], "{kept:?}");
            assert_eq!(now_or_panic(runner.resume(id())).unwrap().output, 3);
            assert_eq!(three.calls()[0], 1);
        }
        assert!(polls > 8, "{polls}");
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|task| match std::mem::replace(&mut yielded, true) {
        true => Poll::Ready(()),
        false => {
            task.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn a_run_that_was_not_let_in_took_no_time() {
    let spy = Spy::new();
    let clock = ManualClock::new();
    clock.advance(secs(3_600));
    let three = Three::new(&Log::new());
    let runner =
        Runner::quick(node("a", three.a.f())).with_clock(clock.clone()).with_store(spy.clone()).build().unwrap();
    let halted = now_or_panic(runner.resume(id())).unwrap_err();
    assert_eq!(halted.report.spent.time, ms(0));
    // And what opening took counts.
    spy.inside().yields = Some(1);
    let mut running = pin!(runner.run_as(id(), 0));
    assert!(poll_once(running.as_mut()).is_pending());
    clock.advance(ms(30));
    let Poll::Ready(done) = poll_until_idle(running.as_mut()) else { panic!("it waits") };
    assert_eq!(done.unwrap().report.spent.time, ms(30));
}

#[tokio::test]
async fn the_trace_says_what_was_restored_and_what_ran() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    three.b.tell([bad()]);
    let runner = runner!(three, spy);
    let halted = runner.run_as(id(), 0).await.unwrap_err();
    fn seen(trace: &stroma::Trace) -> Vec<(&str, u32, &str)> {
        let kind = |outcome: &Outcome| match outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed { .. } => "failed",
            Outcome::Restored => "restored",
            _ => "?",
        };
        trace.events().iter().map(|event| (&*event.node, event.attempt, kind(&event.outcome))).collect()
    }
    assert_eq!(seen(&halted.trace), [("a", 1, "succeeded"), ("b", 1, "failed")]);
    let done = runner.resume(id()).await.unwrap();
    assert_eq!(seen(&done.trace), [("a", 0, "restored"), ("b", 1, "succeeded"), ("c", 1, "succeeded")]);
}

#[tokio::test]
async fn two_runners_share_a_store_by_reference() {
    static STORE: MemoryStore<4, 4, 64> = MemoryStore::new();
    let three = Three::new(&Log::new());
    three.b.tell([bad()]);
    let chain = || node("a", three.a.f()).then(node("b", three.b.f()));
    let first = Runner::quick(chain()).with_store(&STORE).build().unwrap();
    assert!(first.run_as(id(), 0).await.is_err());
    let second = Runner::quick(chain()).with_store(&STORE).build().unwrap();
    assert_eq!(second.resume(id()).await.unwrap().report.restored, 1);
    let shared = Arc::new(stroma::store::HeapStore::new());
    let first = Runner::quick(chain()).with_store(Arc::clone(&shared)).build().unwrap();
    assert!(first.run_as(id(), 0).await.is_ok());
    let second = Runner::quick(chain()).with_store(shared).build().unwrap();
    assert_eq!(second.resume(id()).await.unwrap().report.restored, 2);
}
