//! What was spent before a crash.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_checkpointed_is_not_forgotten_by_a_crash() {
    for store in [Spy::new(), Spy::slow(2)] {
        let script = Script::new([
            ("a", vec![Record(600)]),
            ("b", vec![Left, Hang]),
            ("b", vec![Left, Or(401, Fail::Busy)]),
            ("b", vec![Reserve(400), Settle(399)]),
        ]);
        let pipeline = || node_with("a", act).then(node_with("b", act));
        let runner = runner!(pipeline(), script, store, tokens(1_000));
        {
            let mut run = pin!(runner.run_as(id(1), 1));
            assert!(poll_until_idle(run.as_mut()).is_pending());
        }
        let halted = runner.resume(id(1)).await.unwrap_err();
        assert_eq!(halted.cause, over_tokens(1_000, 1_001));
        assert_eq!(script.take(), ["b Some(400)", "b Some(400)"]);
        let done = runner.resume(id(1)).await.unwrap();
        assert_eq!((done.output, done.report.spent.tokens, script.calls("a")), (3, 999, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_tokens_money_and_time_of_all_parts_of_a_run() {
    let script = Script::new([
        ("a", vec![Sleep(ms(300)), RecordOf(Usage::of("m").input(3).output(2)), RecordOf(Usage::of("?").input(4))]),
        ("b", vec![Sleep(ms(200)), RecordOf(Usage::of("m").input(1)), Do::Fail(Fail::Bad)]),
        ("b", vec![Sleep(ms(100)), RecordOf(Usage::cost(Usd::picodollars(5)))]),
    ]);
    let store = Arc::new(HeapStore::new());
    let runner = runner!(node_with("a", act).then(node_with("b", act)), script, store, tokens(1_000));
    let told = |spent: Spent| (spent.tokens, spent.cost.as_picodollars(), spent.unpriced_tokens, spent.time);
    let halted = runner.run_as(id(1), 1).await.unwrap_err();
    assert_eq!(told(halted.report.spent), (10, 8, 4, ms(500)));
    tokio::time::advance(secs(100)).await;
    let done = runner.resume(id(1)).await.unwrap();
    assert_eq!(told(done.report.spent), (10, 13, 4, ms(600)));
    tokio::time::advance(secs(100)).await;
    // A finished run tells what it took, and is not charged for being asked.
    let again = runner.run_as(id(1), 1).await.unwrap();
    assert_eq!((again.report.spent, again.report.status), (done.report.spent, RunStatus::Resumed));
}

#[test]
fn a_ledger_that_is_none_halts_the_resume_and_nothing_is_deleted() {
    let script = Script::new([("a", vec![Record(600)])]);
    let store = Spy::new();
    let pipeline = || node_with("a", act).then(node_with("b", act));
    let runner = runner!(pipeline(), script, store, tokens(500));
    assert_eq!(now_or_panic(runner.run_as(id(1), 1)).unwrap_err().cause, over_tokens(500, 600));
    let good = store.ledger(&id(1));
    let longer = [&good[..], &[0]].concat();
    for (bytes, error) in [
        (good[..good.len() - 1].to_vec(), LedgerError::Truncated),
        (longer, LedgerError::Trailing { len: 1 }),
        (vec![0xff; 40], LedgerError::Version { found: 31 }),
        (vec![8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0], LedgerError::Overlong),
        // More tokens without a price than tokens.
        (vec![8, 1, 1, 0, 1, 2, 0], LedgerError::Contradiction),
    ] {
        store.set_ledger(&id(1), bytes.clone());
        for halted in [now_or_panic(runner.resume(id(1))), now_or_panic(runner.run_as(id(1), 1))] {
            let halted = halted.unwrap_err();
            assert_eq!((&halted.cause, halted.report.status), (&Cause::Ledger(error), RunStatus::Failed));
            assert!(halted.to_string().contains("nothing was deleted"), "{halted}");
        }
        assert_eq!(store.ledger(&id(1)), bytes);
    }
    assert_eq!((script.calls("a"), script.calls("b")), (1, 0));
    store.set_ledger(&id(1), good.clone());
    // A runner that keeps no account goes on with the run, and leaves the ledger as it is.
    let unmetered = Runner::new(pipeline()).with_store(store.clone()).with_context(script.clone()).build().unwrap();
    assert_eq!(now_or_panic(unmetered.resume(id(1))).unwrap().output, 3);
    assert_eq!(store.ledger(&id(1)), good);
    assert_eq!(now_or_panic(runner.run_as(id(1), 1)).unwrap().report.spent.tokens, 600);
}

#[test]
fn a_store_that_cannot_save_the_ledger_does_not_change_why_the_run_halted() {
    for pace in [None, Some(0), Some(3)] {
        let store = Spy::new();
        store.inside().yields = pace;
        store.inside().fail_put_ledger = Some(StoreErrorKind::Unavailable);
        let script = Script::new([("a", vec![Record(10)]), ("b", vec![Record(20), Do::Fail(Fail::Bad)])]);
        let runner = runner!(node_with("a", act).then(node_with("b", act)), script, store, tokens(500));
        let halted = now_or_panic(runner.run_as(id(1), 1)).unwrap_err();
        assert_eq!((halted.cause, halted.node, halted.report.spent.tokens), (Cause::Error(Fail::Bad), Some("b"), 30));
        // What was checkpointed is there.
        store.inside().fail_put_ledger = None;
        assert_eq!(now_or_panic(runner.resume(id(1))).unwrap().report.spent.tokens, 10);
    }
}
