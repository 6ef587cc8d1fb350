//! What is set aside before it is spent, and what is booked after it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_run_whatever_error_the_node_made_of_it() {
    for fail in [Or(1_200, Fail::Busy), Or(1_200, Fail::Bad), Reserve(1_200)] {
        let script = Script::new([("b", vec![Record(100), fail])]);
        let sum = Sum::default();
        let store = Spy::new();
        let pipeline = || node_with("a", act).then(node_with("b", act)).then(node_with("c", act));
        let runner = runner!(pipeline(), script, store, tokens(1_000), sum);
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!(halted.cause, over_tokens(1_000, 1_300));
        assert_eq!((halted.node, halted.attempt, halted.report.status), (Some("b"), 1, RunStatus::Partial));
        assert_eq!((halted.class, script.calls("b"), script.calls("c")), (FailureClass::Recoverable, 1, 0));
        assert_eq!(halted.report.spent.tokens, 100);
        assert!(sum.is(halted.report.spent));
        let told = halted.to_string();
        assert!(
            told.contains("node `b`, attempt 1: the budget of 1000 tokens is reached at") && told.contains("resume"),
            "{told}"
        );
        assert_eq!(halted.trace.failures().count(), 1);
        // With a larger one it goes on.
        let runner = runner!(pipeline(), script, store, tokens(1_400));
        let done = runner.resume(id(1)).await.unwrap();
        assert_eq!((done.output, done.report.spent.tokens, script.calls("a")), (4, 100, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_node_can_do_without_is_none_of_the_runs_business() {
    let script = Script::new([("a", vec![Try(1_200), Try(900), Settle(10)]), ("b", vec![Left])]);
    let runner = runner!(node_with("a", act).then(node_with("b", act)), script, tokens(1_000));
    let done = runner.run(1).await.unwrap();
    assert_eq!((done.output, done.report.status, done.report.spent.tokens), (3, RunStatus::Completed, 10));
    let refused = "a: the budget of 1000 tokens is reached at 1200: raise it (`with_budget`, or `.budget` of a part), then `resume`";
    assert_eq!(script.take(), [refused, "b Some(990)"]);
    // Nor is it blamed for what goes wrong in another attempt.
    let script = Script::new([
        ("a", vec![Try(1_200), Record(1)]),
        ("b", vec![Pause, Do::Fail(Fail::Busy)]),
        ("b", vec![Do::Fail(Fail::Bad)]),
    ]);
    let runner = runner!(par(node_with("a", act), node_with("b", act)), script, tokens(1_000));
    assert_eq!(runner.run(1).await.unwrap_err().cause, Cause::Error(Fail::Bad));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_too_where_the_attempt_runs_out_of_time_afterwards() {
    let script = Script::new([("a", vec![Try(11), Hang])]);
    let runner = runner!(node_with("a", act).timeout(secs(1)), script, tokens(10));
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.attempt, script.calls("a")), (over_tokens(10, 11), 1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_retry_around_it_tries_a_refusal_again() {
    let patient = PolicyMap::never().recoverable(9, Backoff::none()).ambiguous(9, Backoff::none());
    let script = Script::new([("b", vec![Or(11, Fail::Busy)]), ("c", vec![Record(1)])]);
    let chain = || node_with("b", act).then(node_with("x", act));
    let pipeline =
        node_with("a", act).then(par(chain().retry(patient), node_with("c", act)).settle()).map(|(b, c)| b + c);
    let runner = runner!(pipeline.retry(patient).from_start(), script, tokens(10));
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node, halted.attempt), (over_tokens(10, 11), Some("b"), 1));
    // The other branch was let finish.
    assert_eq!((script.calls("a"), script.calls("b"), script.calls("c")), (1, 1, 1));
    assert_eq!(halted.report.spent.tokens, 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_overruns_is_called_once_keeps_its_output_and_halts_the_run() {
    let script = Script::new([("a", vec![Record(500)])]);
    let (store, sum) = (Spy::new(), Sum::default());
    let pipeline = || node_with("a", act).then(node_with("b", act));
    let runner = runner!(pipeline(), script, store, tokens(100), sum);
    let halted = runner.run_as(id(1), 1).await.unwrap_err();
    assert_eq!((halted.cause.clone(), halted.node, halted.attempt), (over_tokens(100, 500), Some("a"), 1));
    assert_eq!((halted.report.status, script.calls("a"), script.calls("b")), (RunStatus::Partial, 1, 0));
    assert_eq!(sum.take(), ["a 1 succeeded 500"]);
    assert_eq!(store.kept(&id(1).to_string()), ["", "a"]);
    // The same budget again: nothing is run. A larger one: it goes on from its output.
    let halted = runner.resume(id(1)).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (over_tokens(100, 500), Some("b")));
    let runner = runner!(pipeline(), script, store, tokens(501));
    let done = runner.resume(id(1)).await.unwrap();
    assert_eq!((done.output, done.report.status, done.report.spent.tokens), (3, RunStatus::Resumed, 500));
    assert_eq!((script.calls("a"), script.calls("b"), done.report.restored), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_node_may_overrun_too() {
    for store in [Spy::new(), Spy::slow(2)] {
        let script = Script::new([("b", vec![RecordOf(Usage::of("m").input(8).output(2))])]);
        let pipeline = || node_with("a", act).then(node_with("b", act).skip_checkpoint());
        let runner = runner!(pipeline(), script, store, pico(11));
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node), (over_cost(11, 12), Some("b")));
        // It is paid for, and there is nothing left to start: it is handed out.
        let done = runner.resume(id(1)).await.unwrap();
        assert_eq!((done.output, done.report.spent.cost), (3, Usd::picodollars(12)));
        let done = runner!(pipeline(), script, store, pico(100)).run_as(id(1), 1).await.unwrap();
        assert_eq!((done.output, done.report.spent.cost, script.calls("b")), (3, Usd::picodollars(12), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_limit_is_not_over_it_but_nothing_starts_there() {
    // By reservation and by record; tokens and money.
    let by_tokens = vec![Reserve(10), Settle(10)];
    let by_cost = vec![RecordOf(Usage::of("m").output(5))];
    for (acts, budget, cause) in [(by_tokens, tokens(10), over_tokens(10, 10)), (by_cost, pico(10), over_cost(10, 10))]
    {
        let script = Script::new([("b", acts.clone()), ("b", acts)]);
        // As the last node: that is all right.
        let pipeline = || node_with("a", act).then(node_with("b", act));
        let done = runner!(pipeline(), script, budget).run(1).await.unwrap();
        assert_eq!(done.output, 3);
        // As any other: the next one does not start, nor does a sibling of its that has yet to.
        let next = par(node_with("c", act), node_with("d", act)).map(|(c, _)| c);
        let halted = runner!(pipeline().then(next), script, budget).run(1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node, halted.attempt), (cause, Some("c"), 1));
        assert_eq!((script.calls("c"), script.calls("d")), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempts_spend_counts_and_stops_the_next_attempt() {
    let fails = || vec![Record(40), Do::Fail(Fail::Busy)];
    let script = Script::new([("a", fails()), ("a", fails()), ("a", fails()), ("a", fails())]);
    let sum = Sum::default();
    let runner = runner!(node_with("a", act), script, Spy::new(), tokens(100), sum);
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.attempt, halted.report.spent.tokens), (over_tokens(100, 120), 4, 120));
    assert_eq!(script.calls("a"), 3);
    assert_eq!(sum.take(), ["a 1 failed 40", "a 2 failed 40", "a 3 failed 40"]);
}
