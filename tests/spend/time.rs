//! How much time a run has.

use super::*;

fn over_time(limit: Duration, actual: Duration) -> Cause<Fail> {
    Cause::Budget(BudgetExceeded::Time { limit, actual })
}

#[tokio::test(start_paused = true)]
async fn time_is_looked_at_before_each_attempt_waits_included() {
    // A wait of 3 s between the attempts.
    let wait = PolicyMap::never().recoverable(9, Backoff::constant(secs(3)));
    let script = Script::new([
        ("a", vec![Sleep(secs(2))]),
        ("b", vec![TimeLeft, Do::Fail(Fail::Busy)]),
        ("b", vec![TimeLeft, Do::Fail(Fail::Busy)]),
        ("b", vec![TimeLeft, Do::Fail(Fail::Busy)]),
    ]);
    let pipeline = node_with("a", act).then(node_with("b", act).retry(wait));
    let runner = runner!(pipeline, script, Budget::unlimited().latency(secs(8)));
    let halted = runner.run(1).await.unwrap_err();
    // The second wait would end when the time is up: it is not waited.
    assert_eq!((halted.cause, halted.node, halted.attempt), (over_time(secs(8), secs(8)), Some("b"), 2));
    assert_eq!(script.take(), ["b Some(6s)", "b Some(3s)"]);
    assert_eq!((halted.report.status, halted.report.spent.time), (RunStatus::Partial, secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_budget_has_no_time_for_is_not_waited() {
    let patient = |wait| PolicyMap::never().recoverable(9, Backoff::constant(wait));
    let fails = || Script::new([("a", vec![Record(1), Do::Fail(Fail::Busy)])]);
    let retried = |wait| node_with("a", act).retry(patient(wait));
    // By the limit of the run, by that of a part, and where another limit is reached already.
    let start = tokio::time::Instant::now();
    let runner = runner!(retried(secs(3_600)), fails(), Budget::unlimited().latency(secs(60)));
    assert_eq!(runner.run(1).await.unwrap_err().cause, over_time(secs(60), secs(3_600)));
    let part = retried(secs(7)).budget(Budget::unlimited().latency(secs(5)));
    let runner = runner!(part, fails(), Budget::unlimited().latency(secs(60)));
    assert_eq!(runner.run(1).await.unwrap_err().cause, over_time(secs(5), secs(7)));
    let runner = runner!(retried(secs(3_600)), fails(), tokens(1));
    assert_eq!(runner.run(1).await.unwrap_err().cause, over_tokens(1, 1));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // One that it has time for is.
    let runner = runner!(retried(secs(59)), fails(), Budget::unlimited().latency(secs(60)));
    assert_eq!(runner.run(1).await.unwrap().report.spent.time, secs(59));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_keeps_its_output() {
    let script = Script::new([("a", vec![Sleep(secs(9))])]);
    let store = Spy::slow(1);
    let pipeline = || node_with("a", act).then(node_with("b", act));
    let runner = runner!(pipeline(), script, store, Budget::unlimited().latency(secs(8)));
    let halted = runner.run_as(id(1), 1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (over_time(secs(8), secs(9)), Some("a")));
    let runner = runner!(pipeline(), script, store, Budget::unlimited().latency(secs(10)));
    assert_eq!((runner.resume(id(1)).await.unwrap().output, script.calls("a")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn time_adds_up_over_resumes_without_the_time_between_them() {
    let fails = |time| vec![TimeLeft, Sleep(time), Do::Fail(Fail::Bad)];
    let script =
        Script::new([("a", fails(secs(4))), ("a", fails(secs(3))), ("a", fails(secs(3))), ("a", fails(secs(9)))]);
    let store = Arc::new(HeapStore::new());
    let pipeline = || node_with("a", act).budget(Budget::unlimited().latency(secs(9)));
    let runner = runner!(pipeline(), script, store, Budget::unlimited().latency(secs(100)));
    assert_eq!(runner.run_as(id(1), 1).await.unwrap_err().report.spent.time, secs(4));
    for (time, cause) in
        [(7, Cause::Error(Fail::Bad)), (10, Cause::Error(Fail::Bad)), (10, over_time(secs(9), secs(10)))]
    {
        tokio::time::advance(secs(1_000)).await;
        let halted = runner.resume(id(1)).await.unwrap_err();
        assert_eq!((halted.cause, halted.report.spent.time), (cause, secs(time)));
    }
    assert_eq!(script.take(), ["a Some(9s)", "a Some(5s)", "a Some(2s)"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_part_is_that_in_it() {
    let limit = Budget::unlimited().latency(secs(5));
    let sleeps = |time| vec![TimeLeft, Sleep(secs(time))];
    let script = Script::new([
        ("a", sleeps(2)),
        ("b", vec![Sleep(secs(60)), Do::Fail(Fail::Busy)]),
        ("a", sleeps(2)),
        ("b", vec![Sleep(secs(60))]),
        ("a", sleeps(0)),
    ]);
    let (a, three) = (node_with("a", act).budget(limit), PolicyMap::never().recoverable(3, Backoff::none()));
    let b = node_with("b", act).retry(PolicyMap::never());
    let store = Spy::slow(1);
    let runner = runner!(a.then(b).retry(three).from_start(), script, store, tokens(10));
    assert_eq!(runner.run_as(id(1), 1).await.unwrap().output, 3);
    assert_eq!(runner.resume_from(id(1), "a").await.unwrap().output, 3);
    assert_eq!(script.take(), ["a Some(5s)", "a Some(3s)", "a Some(1s)"]);

    // A part that is cut off is over as well.
    let script = Script::new([("a", vec![TimeLeft, Hang]), ("a", vec![TimeLeft])]);
    let b = Script::new([("b", vec![Sleep(secs(1)), Do::Fail(Fail::Busy)]), ("b", vec![])]);
    script.0.lock().unwrap().acts.append(&mut b.0.lock().unwrap().acts);
    let pair = par(node_with("a", act).budget(limit), node_with("b", act).retry(PolicyMap::never()));
    let wait = PolicyMap::never().recoverable(3, Backoff::constant(secs(60)));
    assert!(runner!(pair.retry(wait), script, tokens(10)).run(1).await.is_ok());
    assert_eq!(script.take(), ["a Some(5s)", "a Some(4s)"]);
}
