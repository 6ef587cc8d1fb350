//! Where a resumed run goes on, and what it says of itself.

use super::*;

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
