//! Contracts: values that are checked where they go in and come out, and text from outside.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

#[cfg(feature = "json")]
mod json_text;
#[path = "../support/mod.rs"]
mod support;

use std::{error::Error, time::Duration};

use stroma::{
    Backoff, Cause, ContractViolation, Direction, FailedAttempt, FailureClass, Halted, NodeCx, Outcome, PolicyMap,
    RunId, RunStatus, Runner, Trace, Violation, ms, node, node_with, par,
};
use support::{
    error::Oops,
    scripted::{Act, Log, Scripted},
    spy::Spy,
};

/// Everything is tried again, at once and often.
const OFTEN: PolicyMap = PolicyMap::never().recoverable(50, Backoff::none()).ambiguous(50, Backoff::none());

fn id() -> RunId {
    RunId::new("r").unwrap()
}

fn below<const MAX: u32>(x: &u32) -> Result<(), Violation> {
    match *x < MAX {
        true => Ok(()),
        false => Err(Violation::new(format_args!("{x} is not below {MAX}")).at("x")),
    }
}

/// Whatever the failure, it says that another attempt could help.
fn optimist(_: &Oops, _: &FailedAttempt<'_>) -> Option<FailureClass> {
    Some(FailureClass::Recoverable)
}

/// The contract that was broken.
#[track_caller]
fn broken<T>(halted: &Halted<Oops, T>) -> &ContractViolation {
    let Cause::Contract(broken) = &halted.cause else { panic!("{:?}", halted.cause) };
    assert_eq!((halted.class, halted.report.status), (FailureClass::Terminal, RunStatus::Failed));
    broken
}

/// What the trace has, in order: node, attempt and message of a failure.
fn events(trace: &Trace) -> Vec<(&str, u32, Option<&str>)> {
    fn message(outcome: &Outcome) -> Option<&str> {
        match outcome {
            Outcome::Failed { message, class: FailureClass::Terminal } => Some(message),
            _ => None,
        }
    }
    trace.events().iter().map(|event| (&*event.node, event.attempt, message(&event.outcome))).collect()
}

/// Python's runner raises out of `run` on bad input, with no result and no trace. Here it is a stop like any other.
#[tokio::test(start_paused = true)]
async fn bad_input_is_a_halted_like_any_other() {
    let log = Log::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"));
    let pipeline = node("a", a.f()).then(node("b", b.f()).require(below::<5>));
    let spy = Spy::new();
    let runner = Runner::quick(pipeline).with_store(spy.clone()).with_policies(OFTEN).with_classifier(optimist);
    let runner = runner.build().unwrap();
    assert_eq!(runner.run(3).await.unwrap().output, 5);
    let (a_before, b_before) = (a.calls(), b.calls());
    let halted = runner.run_as(id(), 4).await.unwrap_err();

    let broken = broken(&halted);
    assert_eq!(broken.direction, Direction::Input);
    assert_eq!((broken.violation.path(), broken.violation.message()), ("x", "5 is not below 5"));
    assert_eq!((halted.node, halted.attempt), (Some("b"), 1));
    assert_eq!(halted.report.run_id, id());
    let message = "the input broke its contract at `x`: 5 is not below 5";
    assert_eq!(events(&halted.trace), [("a", 1, None), ("b", 1, Some(message))]);
    assert_eq!(halted.trace.failures().count(), 1);
    // `b` was never called, and what was done before is kept.
    assert_eq!((a.calls() - a_before, b.calls() - b_before), (1, 0));
    assert_eq!(spy.kept("r"), ["", "a"]);
    // One line, with what to do; nothing underneath.
    assert_eq!(
        halted.to_string(),
        format!(
            "run r stopped at node `b`, attempt 1: {message} (terminal); mend what made it and `resume_from` that node, or \
             mend the check and `resume`; another input wants another id"
        )
    );
    assert!(halted.source().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_output_is_neither_kept_nor_tried_again() {
    for yields in [None, Some(2)] {
        let log = Log::new();
        let a = Scripted::new(&log, "a", [Act::Slow(ms(5))]);
        let spy = Spy::new();
        spy.inside().yields = yields;
        // The order of the calls does not matter on a single node, and its own policy is no help either.
        let checked = node("a", a.f()).ensure(below::<5>).retry(OFTEN).timeout(ms(100));
        let pipeline = checked.then(node("b", Scripted::fine(&log, "b").f()));
        let runner = Runner::quick(pipeline).with_store(spy.clone()).with_classifier(optimist).build().unwrap();
        let halted = runner.run_as(id(), 4).await.unwrap_err();
        let broken = broken(&halted);
        assert_eq!(broken.direction, Direction::Output);
        assert_eq!((halted.node, halted.attempt, a.calls()), (Some("a"), 1, 1));
        let message = "the output broke its contract at `x`: 5 is not below 5";
        assert_eq!(events(&halted.trace), [("a", 1, Some(message))]);
        assert!(halted.to_string().contains("mend the node and `resume_from` it"), "{halted}");
        assert_eq!(spy.kept("r"), [""]);
        assert_eq!(log.take(), ["a begins", "a ends"]);
        // The cause is still there, so the same happens again: nothing was taken over.
        a.tell([Act::Go]);
        assert!(matches!(runner.resume(id()).await.unwrap_err().cause, Cause::Contract(_)));
        assert_eq!(a.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempt_that_broke_it_is_named() {
    let log = Log::new();
    // Two failures that are tried again, and then an output that is not.
    let a = Scripted::new(&log, "a", [Act::Fail(Oops::Busy), Act::SlowFail(ms(1), Oops::Odd), Act::Slow(ms(1))]);
    let runner = Runner::quick(node("a", a.f()).ensure(below::<5>).retry(OFTEN)).build().unwrap();
    let halted = runner.run(9).await.unwrap_err();
    assert_eq!((broken(&halted).direction, halted.node, halted.attempt), (Direction::Output, Some("a"), 3));
    assert_eq!(a.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_retry_around_a_chain_helps() {
    let log = Log::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::fine(&log, "b"));
    let chain = || node("a", a.f()).then(node("b", b.f()).ensure(below::<5>));
    for from_start in [false, true] {
        let spy = Spy::new();
        let halted = if from_start {
            let runner = Runner::quick(chain().retry(OFTEN).from_start()).with_store(spy.clone());
            runner.with_classifier(optimist).build().unwrap().run_as(id(), 9).await.unwrap_err()
        } else {
            // Around the check of a chain too.
            let chain = chain().retry(OFTEN).ensure(below::<5>).retry(OFTEN).timeout(ms(50)).deadline(ms(90));
            let runner = Runner::quick(chain).with_store(spy.clone());
            runner.with_classifier(optimist).build().unwrap().run_as(id(), 9).await.unwrap_err()
        };
        assert_eq!((broken(&halted).direction, halted.node), (Direction::Output, Some("b")));
        assert_eq!(spy.kept("r"), ["", "a"]);
        assert_eq!(spy.inside().discards, 0);
    }
    assert_eq!((a.calls(), b.calls()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn of_several_checks_the_first_that_was_written_is_told() {
    let log = Log::new();
    let a = Scripted::fine(&log, "a");
    let says = |log: &Log, what: &'static str| {
        let log = log.clone();
        move |_: &u32| {
            log.add(what);
            true
        }
    };
    let pipeline = node("a", a.f())
        .ensure(says(&log, "out one"))
        .require(says(&log, "in one"))
        .require(says(&log, "in two"))
        .ensure(says(&log, "out two"))
        .require(|x: &u32| match *x {
            7 => Err("seven".to_owned()),
            _ => Ok(()),
        })
        .require(|x: &u32| *x < 5)
        .ensure(|x: &u32| if *x == 4 { Err("four") } else { Ok(()) })
        .ensure(below::<3>);
    let runner = Runner::quick(pipeline).build().unwrap();
    assert_eq!(runner.run(1).await.unwrap().output, 2);
    assert_eq!(log.take(), ["in one", "in two", "a begins", "a ends", "out one", "out two"]);
    for (input, message) in [
        (9, "the input broke its contract: it did not pass its check"),
        (7, "the input broke its contract: seven"),
        (3, "the output broke its contract: four"),
        (2, "the output broke its contract at `x`: 3 is not below 3"),
    ] {
        let halted = runner.run(input).await.unwrap_err();
        broken(&halted);
        assert_eq!(halted.cause.to_string(), message);
    }
    assert_eq!(a.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_chain_names_its_first_and_its_last_node() {
    let log = Log::new();
    let [a, b, c] = ["a", "b", "c"].map(|id| Scripted::fine(&log, id));
    let chain = node("a", a.f()).then(node("b", b.f())).then(node("c", c.f())).map(|x| x);
    let chain = chain.require(below::<10>).require(|x: &u32| *x != 42).ensure(below::<10>);
    let spy = Spy::new();
    let runner = Runner::quick(node("first", async |x: u32| Ok(x)).then(chain)).with_store(spy.clone());
    let runner = runner.build().unwrap();
    assert_eq!(runner.run(1).await.unwrap().output, 4);
    log.take();

    // No attempt at a node was made, and none is in the trace.
    let halted = runner.run_as(id(), 10).await.unwrap_err();
    assert_eq!((broken(&halted).direction, halted.node, halted.attempt), (Direction::Input, Some("a"), 1));
    assert_eq!(events(&halted.trace), [("first", 1, None)]);
    assert!(log.take().is_empty());
    // Around a chain the later one is outside.
    let halted = runner.run(42).await.unwrap_err();
    assert_eq!(broken(&halted).violation.message(), "it did not pass its check");

    let other = RunId::new("other").unwrap();
    let halted = runner.run_as(other, 8).await.unwrap_err();
    assert_eq!((broken(&halted).direction, halted.node), (Direction::Output, Some("c")));
    assert_eq!(broken(&halted).violation.message(), "11 is not below 10");
    assert_eq!(events(&halted.trace).len(), 4);
    // The nodes did their part, which is kept; a resume asks the check again, without them.
    assert_eq!(spy.kept("other"), ["", "a", "b", "c", "first"]);
    log.take();
    let halted = runner.resume(other).await.unwrap_err();
    assert_eq!((broken(&halted).direction, halted.node), (Direction::Output, Some("c")));
    assert_eq!(broken(&halted).violation.message(), "11 is not below 10");
    assert!(log.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_once_the_cause_is_mended() {
    let log = Log::new();
    let [a, b, c] = ["a", "b", "c"].map(|id| Scripted::fine(&log, id));
    let spy = Spy::new();
    // `b` yields what it should not.
    let first = node("a", a.f()).then(node("b", b.f()).ensure(below::<5>)).then(node("c", c.f()));
    let runner = Runner::quick(first).with_store(spy.clone()).build().unwrap();
    let halted = runner.run_as(id(), 4).await.unwrap_err();
    assert_eq!((halted.node, broken(&halted).direction), (Some("b"), Direction::Output));
    // The node is mended: the next version of the program goes on at `b`. A check more or less is no other pipeline.
    let mended = async |x: u32| Ok::<_, Oops>(x - 3);
    let second = node("a", a.f())
        .require(below::<9>)
        .then(node("b", mended).ensure(below::<5>))
        .then(node("c", c.f()).require(below::<5>));
    let runner = Runner::quick(second).with_store(spy.clone()).build().unwrap();
    let done = runner.resume(id()).await.unwrap();
    assert_eq!((done.output, done.report.status, done.report.restored), (3, RunStatus::Resumed, 1));
    assert_eq!((a.calls(), b.calls(), c.calls()), (1, 1, 1));

    // Where the output was kept, the node has to run again: `resume_from`.
    let chain = |f| node("a", a.f()).then(node("b", f)).ensure(below::<5>);
    let other = RunId::new("other").unwrap();
    let runner = Runner::quick(chain(b.f())).with_store(spy.clone()).build().unwrap();
    assert_eq!(broken(&runner.run_as(other, 9).await.unwrap_err()).direction, Direction::Output);
    b.tell([]);
    let runner = Runner::quick(node("a", a.f()).then(node("b", async |x: u32| Ok(x - 9))).ensure(below::<5>));
    let runner = runner.with_store(spy).build().unwrap();
    assert_eq!(broken(&runner.resume(other).await.unwrap_err()).direction, Direction::Output);
    assert_eq!(runner.resume_from(other, "b").await.unwrap().output, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_store_gives_back_is_not_checked_at_its_node() {
    let log = Log::new();
    let (a, b) = (Scripted::fine(&log, "a"), Scripted::new(&log, "b", [Act::Fail(Oops::Bad)]));
    let spy = Spy::new();
    let runner = |asked: Log| {
        let check = move |_: &u32| {
            asked.add("asked");
            true
        };
        let pipeline = node("a", a.f()).require(check.clone()).ensure(check).then(node("b", b.f()));
        Runner::quick(pipeline).with_store(spy.clone()).build().unwrap()
    };
    let asked = Log::new();
    assert!(runner(asked.clone()).run_as(id(), 1).await.is_err());
    assert_eq!(asked.take().len(), 2);
    assert_eq!(runner(asked.clone()).resume(id()).await.unwrap().output, 3);
    assert_eq!((asked.take().len(), a.calls()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_broken_contract_of_a_branch_is_told_before_a_lighter_failure() {
    let log = Log::new();
    // The other branch fails first, in the same moment, and later; with and without settling.
    for settle in [false, true] {
        for (left, right) in [(ms(1), ms(1)), (ms(1), ms(9)), (ms(9), ms(1))] {
            let a = Scripted::new(&log, "a", [Act::SlowFail(left, Oops::Busy)]);
            let b = Scripted::new(&log, "b", [Act::Slow(right)]);
            let once = PolicyMap::never();
            let branches = par(node("a", a.f()).retry(once), node("b", b.f()).retry(once).ensure(below::<5>));
            let halted = if settle {
                Runner::quick(branches.settle().retry(OFTEN)).build().unwrap().run(9).await.unwrap_err()
            } else {
                // Where `a` fails first, `b` is dropped, and comes to its end at the next attempt.
                Runner::quick(branches.retry(OFTEN)).build().unwrap().run(9).await.unwrap_err()
            };
            assert_eq!((broken(&halted).direction, halted.node), (Direction::Output, Some("b")));
            assert_eq!(broken(&halted).violation.message(), "10 is not below 5");
            let calls = if settle || right < left { 1 } else { 2 };
            assert_eq!((a.calls(), b.calls()), (calls, calls));
        }
    }
    // An input that does not pass is told too, though the branch before it failed before it was asked.
    let a = Scripted::always(&log, "a", Act::Fail(Oops::Busy));
    let b = Scripted::fine(&log, "b");
    let once = PolicyMap::never();
    let branches = par(node("a", a.f()).retry(once), node("b", b.f()).require(below::<5>));
    let runner = Runner::quick(branches.retry(OFTEN)).build().unwrap();
    let halted = runner.run(9).await.unwrap_err();
    assert_eq!((broken(&halted).direction, halted.node), (Direction::Input, Some("b")));
    assert_eq!((a.calls(), b.calls()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn each_branch_has_its_own_words() {
    let log = Log::new();
    // `a` breaks its contract first, but waits for `c` to be saved; meanwhile `b` breaks its own, and that is told.
    let a = Scripted::new(&log, "a", [Act::Slow(ms(2))]);
    let b = Scripted::new(&log, "b", [Act::Slow(ms(3))]);
    let c = Scripted::new(&log, "c", [Act::Slow(ms(1))]);
    let spy = Spy::new();
    spy.inside().gate = Some("c");
    let inner = par(node("a", a.f()).ensure(below::<2>), node("c", c.f()));
    let branches = par(inner, node("b", b.f()).ensure(below::<3>)).settle().map(|((a, _), b)| a + b);
    let runner = Runner::quick(branches).with_store(spy.clone()).build().unwrap();
    let opens = async {
        tokio::time::sleep(ms(9)).await;
        spy.release();
    };
    let halted = tokio::join!(runner.run_as(id(), 9), opens).0.unwrap_err();
    assert_eq!((halted.node, broken(&halted).violation.message()), (Some("b"), "10 is not below 3"));
    assert_eq!(halted.trace.failures().map(|event| &*event.node).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(spy.kept("r"), ["", "c"]);
    // A node that panicked beside one that broke its contract has its own words too.
    let panics = async |_: u32| -> Result<u32, Oops> { panic!("out of luck") };
    let spawned = node("p", panics).require(below::<99>).spawned().ensure(below::<99>);
    let branches = par(spawned, node("b", Scripted::fine(&log, "b").f()).ensure(below::<3>));
    let runner = Runner::quick(branches.settle()).build().unwrap();
    let halted = runner.run(9).await.unwrap_err();
    match halted.node {
        Some("p") => assert_eq!(halted.cause.to_string(), "the node panicked on tokio's pool: out of luck"),
        _ => assert_eq!(broken(&halted).violation.message(), "10 is not below 3"),
    }
}

#[tokio::test(start_paused = true)]
async fn checks_go_with_every_kind_of_node() {
    async fn add(x: u32, cx: NodeCx<'_, u32>) -> Result<u32, Oops> {
        Ok(x + cx.context())
    }
    let spawned = node("s", async |x: u32| Ok::<_, Oops>(x + 1)).require(below::<9>).ensure(below::<9>).spawned();
    let with = node_with("w", add).require(below::<9>).ensure(below::<9>).skip_checkpoint().was("v");
    let runner = Runner::quick(spawned.then(with)).with_context(1_u32).build().unwrap();
    // In a task, as any other run.
    let runner = std::sync::Arc::new(runner);
    let ran = std::sync::Arc::clone(&runner);
    let done = tokio::spawn(async move { ran.run(1).await.map(|done| done.output) }).await.unwrap();
    assert_eq!(done.unwrap(), 3);
    for (input, node, direction) in
        [(9, "s", Direction::Input), (8, "s", Direction::Output), (7, "w", Direction::Output)]
    {
        let halted = runner.run(input).await.unwrap_err();
        assert_eq!((halted.node, broken(&halted).direction), (Some(node), direction));
    }
}

#[tokio::test]
async fn a_runner_without_store_clock_or_trace_says_as_much() {
    let runner = Runner::new(node("a", async |x: u32| Ok::<_, Oops>(x)).ensure(below::<5>)).with_report();
    let halted = runner.build().unwrap().run_as(id(), 5).await.unwrap_err();
    assert_eq!(
        halted.to_string(),
        "run r stopped at node `a`, attempt 1: the output broke its contract at `x`: 5 is not below 5 (terminal); the same run \
         would fail again: mend the cause first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_is_no_way_out_of_a_time_out() {
    let log = Log::new();
    // What ran out of time has no output to be checked.
    let a = Scripted::always(&log, "a", Act::Hang);
    let pipeline =
        node("a", a.f()).ensure(|_: &u32| -> bool { unreachable!() }).timeout(ms(10)).retry(PolicyMap::never());
    let halted = Runner::quick(pipeline).build().unwrap().run(0).await.unwrap_err();
    assert_eq!(halted.cause, Cause::TimedOut { limit: ms(10) });
    assert_eq!(halted.report.spent.time, Duration::from_millis(10));
}

#[test]
fn contracts_are_listed() {
    let f = async |x: u32| Ok::<u32, Oops>(x);
    let text = async |x: u32| Ok::<String, Oops>(x.to_string());
    let inner = node("c", f).then(node("d", f).require(below::<5>)).require(below::<5>).ensure(below::<5>);
    let branches = par(node("e", f), node("f", f).then(node("g", f))).map(|(a, b)| a + b);
    let pipeline = node("a", f)
        .then(node("b", f).ensure(below::<5>).require(below::<5>).spawned())
        .then(inner)
        .then(branches.require(below::<5>).ensure(below::<5>))
        .then(node("h", text))
        .retry(OFTEN);
    let runner = Runner::quick(pipeline).build().unwrap();
    let lines = [
        "a: u32 -> u32",
        "b: u32 -> u32 (input and output checked)",
        "c: u32 -> u32 (input checked)",
        "d: u32 -> u32 (input and output checked)",
        "e: u32 -> u32 (input checked)",
        "f: u32 -> u32",
        "g: u32 -> u32 (output checked)",
        "h: u32 -> String",
    ];
    assert_eq!(runner.contracts().to_string(), lines.join("\n"));
    let listed = runner.contracts().to_vec();
    assert_eq!(listed.len(), lines.len());
    let last = listed[7];
    assert_eq!((last.id, last.input, last.output), ("h", "u32", "alloc::string::String"));
    assert_eq!(listed.iter().map(|node| (node.required, node.ensured)).filter(|both| both.0 || both.1).count(), 5);
    // The shape is the same with and without.
    assert_eq!(runner.describe().to_string(), "a -> b -> c -> d -> (e | f -> g) -> h");
}
