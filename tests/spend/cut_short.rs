//! What is spent by attempts that come to no end.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_time_out_drops_is_booked_on_its_attempt() {
    let hangs = || vec![Record(1), Reserve(30), Reserve(4), Settle(2), Hang];
    let script = Script::new([("a", hangs()), ("a", hangs()), ("b", hangs())]);
    let sum = Sum::default();
    let pipeline = node_with("a", act).timeout(secs(1)).then(node_with("b", act)).deadline(secs(9));
    let runner = runner!(pipeline, script, Spy::new(), tokens(1_000), sum);
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (Cause::Deadline { limit: secs(9) }, None));
    assert_eq!(halted.report.spent.tokens, 99);
    assert!(sum.is(halted.report.spent));
    assert_eq!(sum.take(), ["a 1 failed 33", "a 2 failed 33", "a 3 succeeded 0", "b 1 cut short 33"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_branch_held_when_its_sibling_failed_is_booked_on_it() {
    for store in [Spy::new(), Spy::slow(3)] {
        let script = Script::new([
            ("a", vec![Record(1), Reserve(10), Pause, Hang]),
            ("b", vec![Reserve(100), Pause, Pause, Do::Fail(Fail::Bad)]),
            ("c", vec![Reserve(1_000), Pause]),
        ]);
        let sum = Sum::default();
        let pipeline = par!(node_with("a", act), node_with("b", act), node_with("c", act).then(node_with("d", act)));
        let runner = runner!(pipeline, script, store, tokens(100_000), sum);
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert_eq!(halted.cause, Cause::Error(Fail::Bad));
        assert_eq!(halted.report.spent.tokens, 1_111);
        assert!(sum.is(halted.report.spent), "{:?}", sum.take());
        // What it spent since its last checkpoint is in the store: the next part of the run knows of it.
        let script = Script::new([("a", vec![Left])]);
        let pipeline = par!(node_with("a", act), node_with("b", act), node_with("c", act).then(node_with("d", act)));
        let done = runner!(pipeline, script, store, tokens(100_000)).resume(id(1)).await.unwrap();
        assert_eq!((done.report.spent.tokens, script.take()), (1_111, vec!["a Some(98889)".to_owned()]));
    }
}

/// Reserves before its future is polled, and holds the reservation until that is dropped.
fn keeps_to_the_end(x: u32, cx: NodeCx<'_, Script>) -> impl Future<Output = Result<u32, Fail>> + use<'_> {
    let guard = cx.reserve(Usage::tokens(7));
    let mut pauses = 2;
    poll_fn(move |task| {
        pauses -= 1;
        if pauses > 0 {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        let _held = &guard;
        Poll::Ready(Ok(x + 1))
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_before_the_first_poll_and_after_the_last_is_the_attempts_own() {
    for store in [Spy::new(), Spy::slow(1)] {
        let script = Script::new([("a", vec![Record(1), Pause, Record(1)]), ("c", vec![Pause, Pause, Record(100)])]);
        let sum = Sum::default();
        let branches = par!(node_with("a", act), node_with("b", keeps_to_the_end), node_with("c", act));
        let runner = runner!(branches.map(|(a, b, c)| a + b + c), script, store, tokens(1_000), sum);
        assert_eq!(runner.run_as(id(1), 1).await.unwrap().report.spent.tokens, 109);
        let mut told = sum.take();
        told.sort();
        assert_eq!(told, ["a 1 succeeded 2", "b 1 succeeded 7", "c 1 succeeded 100"]);
    }
    // It is with the checkpoint too, so that a finished run knows of it; and a limit that it crosses is crossed.
    let store = Spy::new();
    let pipeline = || node_with("b", keeps_to_the_end);
    let runner = runner!(pipeline(), Script::default(), store, tokens(1_000));
    for _ in 0..2 {
        assert_eq!(runner.run_as(id(1), 1).await.unwrap().report.spent.tokens, 7);
    }
    // What is refused there is not its sibling's refusal.
    let script = Script::new([("a", vec![Pause, Do::Fail(Fail::Bad)])]);
    let b = async |x, _: NodeCx<'_, Script>| Ok(x);
    let refused = |x: u32, cx: NodeCx<'_, Script>| {
        assert!(cx.reserve(Usage::tokens(1_001)).is_err());
        std::future::ready(Ok::<_, Fail>(x))
    };
    let branches = par!(node_with("a", act), node_with("b", b), node_with("c", refused));
    let halted = runner!(branches, script, tokens(1_000)).run(1).await.unwrap_err();
    assert_eq!((halted.cause, halted.node), (Cause::Error(Fail::Bad), Some("a")));
}
