//! Reservations that are stored before the call.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_reservation_ahead_is_spent_when_the_process_dies_in_the_call() {
    for store in [Spy::new(), Spy::slow(0), Spy::slow(3)] {
        let calls = || {
            Script::new([
                ("a", vec![Record(100)]),
                // The call is under way when the process dies.
                ("b", vec![Ahead(400), Twice(50, 60), SettleAhead(1), Hang]),
                ("b", vec![Left, Ahead(300), SettleAhead(7)]),
            ])
        };
        let script = calls();
        let pipeline = || node_with("a", act).then(node_with("b", act).write_ahead()).then(node_with("c", act));
        let runner = runner!(pipeline(), script, store, tokens(1_000));
        {
            let mut run = pin!(runner.run_as(id(1), 1));
            assert!(poll_until_idle(run.as_mut()).is_pending());
        }
        let done = runner.resume(id(1)).await.unwrap();
        // What was settled after the write is not stored yet: it counts as it was reserved.
        assert_eq!(script.take(), ["b Some(390)"]);
        assert_eq!((done.output, done.report.spent.tokens), (4, 617));
        // In one life it is as with any other reservation.
        let script = calls();
        script.0.lock().unwrap().acts.get_mut("b").unwrap().pop_front();
        let runner = runner!(pipeline(), script, store, tokens(1_000));
        assert_eq!(runner.run_as(id(2), 1).await.unwrap().report.spent.tokens, 107);
        assert_eq!(runner.run_as(id(2), 1).await.unwrap().report.spent.tokens, 107);
        script.take();
    }
    // Without, it is forgotten.
    let store = Spy::new();
    let script = Script::new([("b", vec![Reserve(400), Hang]), ("b", vec![Left])]);
    let runner = runner!(node_with("b", act).write_ahead(), script, store, tokens(1_000));
    assert!(poll_until_idle(pin!(runner.run_as(id(1), 1))).is_pending());
    assert!(runner.resume(id(1)).await.is_ok());
    assert_eq!(script.take(), ["b Some(1000)"]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_another_branch_keeps_it_and_so_does_a_part() {
    for store in [Spy::new(), Spy::slow(2)] {
        let script = Script::new([
            ("a", vec![Ahead(400), Hang]),
            ("b", vec![Pause, Pause, Pause, Pause, Pause, Pause, Record(10)]),
            ("c", vec![Reserve(1_000), Hang]),
            ("a", vec![Left]),
            ("c", vec![Left]),
        ]);
        let a = || node_with("a", act).write_ahead().budget(tokens(500));
        let branches = || par!(a(), node_with("b", act), node_with("c", act));
        let runner = runner!(branches(), script, store, tokens(10_000));
        assert!(poll_until_idle(pin!(runner.run_as(id(1), 1))).is_pending());
        assert_eq!(store.kept(&id(1).to_string()), ["", "b"]);
        assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.tokens, 410);
        assert_eq!(script.take(), ["a Some(100)", "c Some(9590)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_before_the_call_is_taken_back() {
    // A time-out while the write is under way, and one in the call.
    let store = Spy::new();
    let script = Script::new([("a", vec![Ahead(400), Hang]), ("a", vec![Left, Ahead(400), Hang]), ("a", vec![Left])]);
    let sum = Sum::default();
    let runner = runner!(node_with("a", act).write_ahead().timeout(secs(1)), script, store, tokens(1_000), sum);
    let mut run = pin!(runner.run_as(id(1), 1));
    store.inside().gate_ledger = true;
    assert!(poll_until_idle(run.as_mut()).is_pending());
    tokio::time::advance(secs(1)).await;
    assert!(poll_until_idle(run.as_mut()).is_pending());
    store.release();
    tokio::time::advance(secs(1)).await;
    assert_eq!(run.await.unwrap().report.spent.tokens, 400);
    assert_eq!(script.take(), ["a Some(1000)", "a Some(600)"]);
    assert_eq!(sum.take(), ["a 1 failed 0", "a 2 failed 400", "a 3 succeeded 0"]);

    // A store that cannot.
    for store in [Spy::new(), Spy::slow(2)] {
        store.inside().fail_put_ledger = Some(StoreErrorKind::Unavailable);
        let script = Script::new([("a", vec![Ahead(400), Do::Fail(Fail::Bad)]), ("a", vec![Left])]);
        let runner = runner!(node_with("a", act).write_ahead(), script, store, tokens(1_000));
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        let Cause::Store(error) = halted.cause else { panic!("{:?}", halted.cause) };
        assert_eq!((error.kind(), halted.node, script.calls("a")), (StoreErrorKind::Unavailable, Some("a"), 1));
        assert_eq!(halted.report.spent.tokens, 0);
        store.inside().fail_put_ledger = None;
        assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.tokens, 0);
    }

    // A refusal is one.
    let script = Script::new([("a", vec![Ahead(400)])]);
    let halted = runner!(node_with("a", act).write_ahead(), script, tokens(300)).run(1).await.unwrap_err();
    assert_eq!(halted.cause, over_tokens(300, 400));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reserves_ahead_has_to_be_one_that_does() {
    let script = Script::new([("b", vec![Ahead(400)])]);
    // Another one that does is no help.
    let branches = par(node_with("a", act).write_ahead(), node_with("b", act));
    let halted = runner!(branches, script, tokens(1_000)).run(1).await.unwrap_err();
    assert_eq!((halted.cause.clone(), halted.node), (Cause::Account(SpendError::NotAhead), Some("b")));
    assert_eq!((halted.report.spent.tokens, halted.report.status), (0, RunStatus::Failed));
    let error: &dyn std::error::Error = &halted;
    assert!(error.source().unwrap().to_string().contains("`.write_ahead()`"));

    // Where there is nothing to write to, there is nothing to wait for.
    let acts = || Script::new([("a", vec![Ahead(400), SettleAhead(300), Twice(1, 2)])]);
    let pipeline = || node_with("a", act).write_ahead();
    let metered = Runner::new(pipeline()).with_context(acts()).with_budget(tokens(1_000)).build().unwrap();
    assert_eq!(now_or_panic(metered.run_as(id(1), 1)).unwrap().report.spent.tokens, 303);
    let bare = Runner::new(pipeline()).with_context(acts()).build().unwrap();
    assert_eq!(now_or_panic(bare.run(1)).unwrap(), 2);
    let stored = Runner::new(pipeline()).with_context(acts()).with_store(Spy::slow(1)).build().unwrap();
    assert_eq!(now_or_panic(stored.run_as(id(1), 1)).unwrap().output, 2);
}
