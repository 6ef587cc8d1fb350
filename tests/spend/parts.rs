//! Parts of a pipeline with limits of their own.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_part_has_a_limit_inside_of_that_of_the_run() {
    // By reservation, by record, and at what is there already.
    for (acts, calls, cause) in [
        (vec![Or(61, Fail::Busy)], (1, 0), over_tokens(60, 61)),
        (vec![Record(61)], (1, 0), over_tokens(60, 61)),
        (vec![Record(60)], (1, 0), over_tokens(60, 60)),
        (vec![Record(50), Try(11), Left], (1, 1), over_tokens(60, 60)),
    ] {
        let script = Script::new([("a", vec![Record(30)]), ("b", acts), ("c", vec![Record(10)])]);
        let part = node_with("b", act).then(node_with("c", act)).then(node_with("d", act)).budget(tokens(60));
        let runner = runner!(node_with("a", act).then(part).then(node_with("e", act)), script, tokens(100));
        let halted = runner.run(1).await.unwrap_err();
        assert_eq!((halted.cause, halted.report.status), (cause, RunStatus::Partial));
        assert_eq!((script.calls("b"), script.calls("c"), script.calls("e")), (calls.0, calls.1, 0));
    }
    // The run's own limit is around it, and what is after it has the run's limit alone.
    let script = Script::new([("a", vec![Record(50)]), ("b", vec![Or(51, Fail::Busy)])]);
    let pipeline = || node_with("a", act).then(node_with("b", act).budget(tokens(60))).then(node_with("c", act));
    let halted = runner!(pipeline(), script, tokens(100)).run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (over_tokens(100, 101), Some("b")));
    let script = Script::new([("b", vec![Record(60)]), ("c", vec![Left, Reserve(40)])]);
    let done = runner!(pipeline(), script, tokens(100)).run(1).await.unwrap();
    assert_eq!((done.report.spent.tokens, script.take()), (100, vec!["c Some(40)".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn the_innermost_limit_that_is_reached_is_told_in_both_orders() {
    for (outer, inner, told) in [(50, 20, 20), (20, 50, 20), (20, 20, 20)] {
        let script = Script::new([("a", vec![Or(51, Fail::Bad)]), ("a", vec![Record(20), Left])]);
        let pipeline = || node_with("a", act).budget(tokens(inner)).budget(tokens(outer)).then(node_with("b", act));
        let runner = runner!(pipeline(), script, tokens(100));
        // That of the inner one, since it is asked first.
        assert_eq!(runner.run(1).await.unwrap_err().cause, over_tokens(inner, 51));
        assert_eq!(runner.run(1).await.unwrap().output, 3);
        assert_eq!(script.take(), [format!("a Some({})", inner.min(outer) - 20)]);
        assert_eq!(told, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_part_spent_is_known_after_a_resume() {
    for store in [Spy::new(), Spy::slow(1)] {
        let script = Script::new([
            ("a", vec![Record(5)]),
            ("b", vec![Record(30)]),
            ("c", vec![Reserve(7), Do::Fail(Fail::Bad)]),
            ("c", vec![Left, Or(24, Fail::Bad)]),
            ("c", vec![Reserve(23)]),
            ("d", vec![Left]),
        ]);
        let inner = || node_with("c", act).budget(tokens(45));
        let part = || node_with("b", act).then(inner()).budget(tokens(60));
        let runner = runner!(node_with("a", act).then(part()).then(node_with("d", act)), script, store, tokens(100));
        assert_eq!(runner.run_as(id(1), 1).await.unwrap_err().cause, Cause::Error(Fail::Bad));
        assert_eq!(runner.resume(id(1)).await.unwrap_err().cause, over_tokens(60, 61));
        assert_eq!(script.take(), ["c Some(23)"]);
        // Reached, and the part is over: what follows has what is left of the run's.
        assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.tokens, 65);
        assert_eq!(script.take(), ["d Some(35)"]);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_are_branches_have_retries_around_them_and_inside() {
    let fails = |tokens| vec![Record(tokens), Do::Fail(Fail::Busy)];
    let three = PolicyMap::never().recoverable(3, Backoff::none());
    // Inside: all attempts share it. Around: so they do, since it is the part's and not the attempt's.
    for around in [false, true] {
        let script =
            Script::new([("a", fails(10)), ("a", fails(10)), ("a", vec![Or(11, Fail::Bad)]), ("b", vec![Record(90)])]);
        let a = node_with("a", act).retry(PolicyMap::never());
        let halted = if around {
            let part = a.budget(tokens(30)).retry(three);
            runner!(par(part, node_with("b", act)).settle(), script, tokens(1_000)).run(1).await.unwrap_err()
        } else {
            let part = a.retry(three).budget(tokens(30));
            runner!(par(part, node_with("b", act)).settle(), script, tokens(1_000)).run(1).await.unwrap_err()
        };
        assert_eq!((halted.cause, halted.node, script.calls("a")), (over_tokens(30, 31), Some("a"), 3));
        assert_eq!(halted.report.spent.tokens, 110);
    }
}

/// A branch of its own limit overruns, and is being saved as its sibling fails.
#[tokio::test(start_paused = true)]
async fn an_overrun_is_not_forgotten_for_the_failure_of_a_sibling() {
    for yields in [None, Some(4)] {
        let store = Spy::new();
        store.inside().yields = yields;
        let script =
            Script::new([("a", vec![Record(20)]), ("b", vec![Pause, Do::Fail(Fail::Busy)]), ("c", vec![Record(1)])]);
        let b = node_with("b", act).retry(PolicyMap::never());
        let pair = par(node_with("a", act).budget(tokens(10)), b).map(|(a, b)| a + b);
        let three = PolicyMap::never().recoverable(3, Backoff::none());
        let runner = runner!(pair.retry(three).then(node_with("c", act)), script, store, tokens(1_000));
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node), (over_tokens(10, 20), Some("a")), "{yields:?}");
        assert_eq!(script.calls("c"), 0);
        // It is paid for.
        assert!(store.kept(&id(1).to_string()).contains(&"a".to_owned()));
    }
}

#[test]
fn limits_that_make_no_sense_are_refused_when_the_runner_is_built() {
    let a = || node_with("a", act);
    let build = |budget| Runner::quick(a()).with_context(Script::default()).with_budget(budget).build().err();
    let empty = |dimension| {
        let mut empty = Budget::unlimited().tokens(0).check().unwrap_err();
        empty.dimension = dimension;
        Some(BuildError::Accounts(AccountsError::Empty(empty)))
    };
    assert_eq!(build(tokens(0)), empty(Dimension::Tokens));
    assert_eq!(build(pico(0)), empty(Dimension::Cost));
    assert_eq!(build(Budget::unlimited().latency(Duration::ZERO)), empty(Dimension::Time));
    let part = Runner::quick(a().budget(pico(0))).with_context(Script::default()).build().err();
    assert_eq!(part, empty(Dimension::Cost));

    let quick = || Runner::quick(a()).with_context(Script::default()).with_budget(pico(5));
    let refused = |error| Some(BuildError::Accounts(AccountsError::Fallback(error)));
    let itself = FallbackError::Itself { model: "big".into() };
    assert_eq!(quick().with_model_fallback("big", "big", 0.5).build().err(), refused(itself));
    for share in [f64::NAN, -0.1, 80.0, f64::INFINITY] {
        // The first that is wrong is told, whatever follows.
        let built = quick().with_model_fallback("big", "small", share).with_model_fallback("big", "small", 0.5).build();
        assert!(matches!(built.err(), Some(BuildError::Accounts(AccountsError::Fallback(FallbackError::Share(_))))));
    }

    let seven = || {
        let b = |id, most| node_with(id, act).budget(tokens(most));
        b("a", 1).then(b("b", 2)).then(b("c", 3)).then(b("d", 4)).then(b("e", 5)).then(b("f", 6)).then(b("g", 7))
    };
    assert!(Runner::quick(seven()).with_context(Script::default()).build().is_ok());
    let eight = Runner::quick(seven().budget(tokens(9))).with_context(Script::default()).build().err();
    assert_eq!(eight, Some(BuildError::TooManyBudgets { count: 8 }));

    let timed = Budget::unlimited().latency(secs(1));
    let bare = || Runner::new(a()).with_context(Script::default());
    assert_eq!(bare().with_budget(timed).build().err(), Some(BuildError::NoClock));
    assert!(bare().with_budget(timed).with_clock(ManualClock::new()).build().is_ok());
    let part = Runner::new(a().budget(timed)).with_context(Script::default()).with_budget(Budget::unlimited()).build();
    assert_eq!(part.err(), Some(BuildError::NoClock));
}

#[tokio::test(start_paused = true)]
async fn seven_parts_work_whichever_they_are() {
    let script = Script::default();
    for id in ["a", "b", "c", "d", "e", "f", "g"] {
        script.0.lock().unwrap().acts.insert(id, [vec![Left, Record(1)]].into());
    }
    let b = |id, most| node_with(id, act).budget(tokens(most));
    let pipeline = b("a", 11).then(b("b", 12)).then(b("c", 13)).then(par(b("d", 14), b("e", 15))).map(|(d, _)| d);
    let runner = runner!(pipeline.then(b("f", 16)).then(b("g", 17)), script, tokens(100));
    assert_eq!(runner.run(1).await.unwrap().report.spent.tokens, 7);
    let left = ["a Some(11)", "b Some(12)", "c Some(13)", "d Some(14)", "e Some(15)", "f Some(16)", "g Some(17)"];
    assert_eq!(script.take(), left);
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_others_than_those_of_the_ledger_are_told_so() {
    let script = Script::new([("h", vec![Do::Fail(Fail::Bad)])]);
    let store = Spy::new();
    let b = |id| node_with(id, act).budget(tokens(10));
    let runner = runner!(
        b("a").then(b("b")).then(b("c")).then(b("d")).then(b("e")).then(b("f")).then(b("g")).then(node_with("h", act)),
        script,
        store,
        tokens(100)
    );
    assert_eq!(runner.run_as(id(1), 1).await.unwrap_err().cause, Cause::Error(Fail::Bad));
    let n = |id| node_with(id, act);
    let others = || n("a").then(n("b")).then(n("c")).then(n("d")).then(n("e")).then(n("f")).then(n("g")).then(b("h"));
    let halted = runner!(others(), script, store, tokens(100)).resume(id(1)).await.unwrap_err();
    assert_eq!((halted.cause, script.calls("h")), (Cause::Account(SpendError::OtherParts), 1));
    assert_eq!(runner.resume(id(1)).await.unwrap().output, 9);
}
