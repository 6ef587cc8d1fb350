//! A recorded run once more: nothing but the live nodes is called, and where it diverges is said.
#![cfg(all(feature = "tokio", feature = "json"))]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/error.rs"]
mod error;

use std::{
    error::Error as _,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use calls::Calls;
use error::AppError;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, Cause, Env, Exec, ListTrace, Node, Outcome, Pipeline, Place, PolicyMap, ReplayError, Runner, Trace, Value,
    ms, node, node_with, par,
    parts::{Cx, Local, Piece, StopOf, Walk},
    store::ReplayFault,
};

type Answer<T> = std::future::Ready<Result<T, AppError>>;

/// A node's function that counts its calls; it fails as often as is said.
fn counted<In, Out, F: Fn(In) -> Out>(
    calls: &Calls,
    node: &'static str,
    failures: u32,
    f: F,
) -> impl Fn(In) -> Answer<Out> + use<In, Out, F> {
    let calls = calls.clone();
    move |input| {
        let failed = calls.add(node) <= failures;
        std::future::ready(if failed { Err(AppError("busy")) } else { Ok(f(input)) })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Text {
    words: Vec<String>,
}

fn words(text: String) -> Text {
    Text { words: text.split(' ').map(str::to_owned).collect() }
}

/// `split -> (count | longest) -> report`, where `count` fails once before it succeeds.
macro_rules! example {
    ($calls:expr, $split:expr, $report:literal) => {{
        let policy = PolicyMap::never().recoverable(3, Backoff::constant(ms(10)));
        let calls = $calls;
        node("split", counted(calls, "split", 0, $split))
            .then(par(
                node("count", counted(calls, "count", 1, |text: Text| text.words.len() as u32)).retry(policy),
                node(
                    "longest",
                    counted(calls, "longest", 0, |text: Text| {
                        text.words.into_iter().max_by_key(String::len).unwrap_or_default()
                    }),
                )
                .skip_checkpoint(),
            ))
            .map(|(count, longest)| (longest, count))
            .then(node(
                $report,
                counted(calls, $report, 0, |(longest, count): (String, u32)| format!("{count} {longest}")),
            ))
    }};
}

macro_rules! traced {
    ($pipeline:expr) => {
        Runner::quick($pipeline).with_trace(ListTrace::new().with_values()).build().unwrap()
    };
}

#[tokio::test(start_paused = true)]
async fn the_same_pipeline_calls_nothing_and_has_no_difference() {
    let calls = Calls::default();
    let runner = traced!(example!(&calls, words, "report"));
    let done = runner.run("one three".to_owned()).await.unwrap();
    assert_eq!(calls.take(), [("count", 2), ("longest", 1), ("report", 1), ("split", 1)]);

    let again = Trace::from_json(&done.trace.to_json().unwrap()).unwrap();
    for trace in [&done.trace, &again] {
        let replayed = runner.replay(trace).run().await.unwrap();
        assert_eq!(calls.take(), []);
        assert_eq!(replayed.differences, []);
        assert_eq!(replayed.diverged(), None);
        assert_eq!(replayed.ended.as_ref().unwrap().output, "2 three");
        assert_ne!(replayed.trace().run_id(), done.trace.run_id());
        assert!(replayed.trace().iter().all(|event| event.outcome == Outcome::Replayed));
        assert_eq!(replayed.trace().events_for("report").count(), 1);
        // A replay is a trace like any other: it can be replayed.
        let twice = runner.replay(replayed.trace()).run().await.unwrap();
        assert_eq!((twice.differences, calls.take()), (vec![], vec![]));
    }
    // The runner is as it was.
    assert_eq!(runner.run("one three".to_owned()).await.unwrap().output, "2 three");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_node_is_the_only_one_called_and_the_divergence_is_downstream() {
    let calls = Calls::default();
    let recorded = traced!(example!(&calls, words, "report")).run("one three".to_owned()).await.unwrap().trace;
    calls.take();
    let letters = |text: String| Text { words: text.chars().map(String::from).collect() };
    let changed = traced!(example!(&calls, letters, "report"));
    let replayed = changed.replay(&recorded).live(["split"]).run().await.unwrap();
    assert_eq!(calls.take(), [("split", 1)]);
    // What is not live answers as it was recorded, whatever it is given.
    assert_eq!(replayed.ended.as_ref().unwrap().output, "2 three");
    let diverged = replayed.diverged().unwrap();
    // `count` had to be tried again, so it ended after `longest`.
    assert_eq!((diverged.node.as_str(), diverged.field.to_string().as_str()), ("longest", "input/words/0"));
    assert_eq!((diverged.left.as_deref(), diverged.right.as_deref()), (Some("\"one\""), Some("\"o\"")));
    let nodes: Vec<_> = replayed.differences.iter().map(|difference| difference.node.as_str()).collect();
    assert!(nodes.contains(&"count") && !nodes.contains(&"report"), "{nodes:?}");

    // With all of them live it is the changed run itself.
    let replayed =
        changed.replay(&recorded).live(["split", "count"]).live(vec!["longest".to_owned(), "report".to_owned()]);
    let replayed = replayed.run().await.unwrap();
    assert_eq!(calls.take(), [("count", 2), ("longest", 1), ("report", 1), ("split", 1)]);
    assert_eq!(replayed.ended.unwrap().output, "9 e");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_recorded_output_halts_and_is_not_called() {
    let calls = Calls::default();
    let recorded = traced!(example!(&calls, words, "report")).run("one three".to_owned()).await.unwrap().trace;
    calls.take();
    let changed = traced!(example!(&calls, words, "summary"));
    let halted = changed.replay(&recorded).run().await.unwrap();
    assert_eq!(calls.take(), []);
    assert_eq!(halted.differences.len(), 1, "{:?}", halted.differences);
    assert_eq!(halted.differences[0].to_string(), "`report`, event: succeeded | nothing");
    let halted = halted.ended.unwrap_err();
    assert_eq!((halted.node, &halted.cause), (Some("summary"), &Cause::Replay(ReplayFault::NotRecorded)));
    let line = halted.to_string();
    assert!(line.contains("`summary`") && line.contains(".live(["), "{line}");
    assert!(halted.source().unwrap().to_string().contains("no output"), "{line}");
    // Named live it is called, with what it is given now.
    let replayed = changed.replay(&recorded).live(["summary"]).run().await.unwrap();
    assert_eq!((calls.take(), replayed.ended.unwrap().output.as_str()), (vec![("summary", 1)], "2 three"));
}

#[tokio::test(start_paused = true)]
async fn bad_calls_are_typed_errors() {
    let calls = Calls::default();
    let pipeline = || node("a", counted(&calls, "a", 0, |x: u32| x + 1));
    let runner = traced!(pipeline());
    let recorded = runner.run(1).await.unwrap().trace;
    calls.take();
    let unknown = runner.replay(&recorded).live(["a", "nobody"]).run().await.unwrap_err();
    assert_eq!(unknown, ReplayError::UnknownNode { name: "nobody".to_owned() });
    assert!(unknown.to_string().contains("`nobody`"));
    // A trace without values, and one of a run that went on from a store, do not say what the run was given.
    let bare = Runner::quick(pipeline()).build().unwrap().run(1).await.unwrap().trace;
    calls.take();
    assert_eq!(runner.replay(&bare).run().await.unwrap_err(), ReplayError::NoInput);
    let id = stroma::RunId::new("twice").unwrap();
    runner.run_as(id, 1).await.unwrap();
    let restored = runner.run_as(id, 1).await.unwrap().trace;
    calls.take();
    assert_eq!(runner.replay(&restored).run().await.unwrap_err(), ReplayError::NoInput);
    let halted = runner.replay(&restored).with_input(1).run().await.unwrap().ended.unwrap_err();
    assert_eq!(halted.cause, Cause::Replay(ReplayFault::NotRecorded));
    assert_eq!(runner.replay(&restored).with_input(5).live(["a"]).run().await.unwrap().ended.unwrap().output, 6);
    assert_eq!(calls.take(), [("a", 1)]);
    // Another type than was recorded, as input and as output.
    let text = traced!(node("a", counted(&calls, "a", 0, |x: String| x)));
    let error = text.replay(&recorded).run().await.unwrap_err();
    assert!(matches!(error, ReplayError::Input(_)), "{error}");
    let halted = text.replay(&recorded).with_input(String::new()).run().await.unwrap().ended.unwrap_err();
    assert!(matches!(halted.cause, Cause::Replay(ReplayFault::OtherType(_))), "{halted}");
    assert_eq!(calls.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_recorded_failure_halts_at_its_node_unless_it_is_live() {
    let calls = Calls::default();
    let pipeline = |failures| {
        let last = node("last", counted(&calls, "last", failures, |x: u32| x * 2));
        node("first", counted(&calls, "first", 0, |x: u32| x + 1)).then(last.retry(PolicyMap::never()))
    };
    let runner = traced!(pipeline(u32::MAX));
    let recorded = runner.run(1).await.unwrap_err().trace;
    calls.take();
    let replayed = runner.replay(&recorded).run().await.unwrap();
    assert_eq!((calls.take(), &replayed.differences), (vec![], &vec![]));
    let halted = replayed.ended.unwrap_err();
    assert_eq!(
        (halted.node, halted.cause),
        (Some("last"), Cause::Replay(ReplayFault::Failed { message: "busy".to_owned() }))
    );
    // The bug is mended: only the node that had failed is called.
    let mended = traced!(pipeline(0));
    let replayed = mended.replay(&recorded).live(["last"]).run().await.unwrap();
    assert_eq!((calls.take(), replayed.ended.as_ref().unwrap().output), (vec![("last", 1)], 4));
    let lines: Vec<_> = replayed.differences.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["`last`, outcome: failed | succeeded", "`last`, output: nothing | 4"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_retry_around_a_chain_threw_away_is_not_an_answer() {
    let calls = Calls::default();
    // Each time `first` yields another number; the third one is gone on with.
    let numbers = calls.clone();
    let first = move |x: u32| std::future::ready(Ok(x + numbers.add("first")));
    let chain = node("first", first)
        .then(node("second", counted(&calls, "second", 2, |x: u32| x * 10)).retry(PolicyMap::never()));
    let runner = traced!(chain.retry(PolicyMap::never().recoverable(5, Backoff::none())).from_start());
    let done = runner.run(1).await.unwrap();
    assert_eq!((done.output, done.trace.events_for("first").count()), (40, 3));
    calls.take();
    let replayed = runner.replay(&done.trace).run().await.unwrap();
    assert_eq!((calls.take(), &replayed.differences), (vec![], &vec![]));
    assert_eq!(replayed.ended.as_ref().unwrap().output, 40);
    assert_eq!(replayed.trace().events_for("first").count(), 1);
}

/// Runs `N` three times, each time on what came of the time before, and counts the iterations as `instance`.
struct Thrice<N>(N);

impl<N: Node<Out = <N as Node>::In>> Node for Thrice<N> {
    type In = N::In;
    type Out = N::Out;
    type Error = N::Error;

    const NODES: u16 = N::NODES;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.0.walk(walk);
    }
}

impl<E: Env, N: Exec<E> + Node<Out = <N as Node>::In>> Exec<E> for Thrice<N> {
    type State<'a>
        = (u32, Pin<Box<N::State<'a>>>)
    where
        Self: 'a,
        E: 'a;
    type Proof = std::convert::Infallible;

    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Self::Proof> {
        None
    }

    fn start<'a>(&'a self, input: N::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        (1, Box::pin(self.0.start(input, at.with_instance(1), cx, local)))
    }

    fn resume<'a>(&'a self, proof: Self::Proof, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {}
    }

    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<N::Out, StopOf<Self, E>>> {
        loop {
            let here = at.with_instance(state.0);
            let out = ready!(self.0.poll(state.1.as_mut(), here, cx, local, task))?;
            if state.0 == 3 {
                return Poll::Ready(Ok(out));
            }
            state.0 += 1;
            let next = at.with_instance(state.0);
            state.1 = Box::pin(self.0.start(out, next, cx, local));
        }
    }

    fn drain<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        let at = at.with_instance(state.0);
        self.0.drain(state.1.as_mut(), at, cx, local, task)
    }
}

#[tokio::test(start_paused = true)]
async fn iterations_of_a_loop_answer_each_for_itself() {
    let calls = Calls::default();
    let pipeline = |factor: u32| {
        let body = node("grow", counted(&calls, "grow", 0, move |x: u32| x * factor))
            .then(node("add", counted(&calls, "add", 0, |x: u32| x + 1)));
        node("begin", counted(&calls, "begin", 0, |x: u32| x)).then(Pipeline::custom(Thrice(body.into_piece())))
    };
    let runner = traced!(pipeline(2));
    let done = runner.run(1).await.unwrap();
    assert_eq!(done.output, 15);
    let instances: Vec<_> = done.trace.events_for("grow").map(|event| event.instance).collect();
    assert_eq!(instances, [1, 2, 3]);
    calls.take();
    let replayed = runner.replay(&done.trace).run().await.unwrap();
    assert_eq!((calls.take(), replayed.ended.unwrap().output, replayed.differences), (vec![], 15, vec![]));
    let changed = traced!(pipeline(3));
    let replayed = changed.replay(&done.trace).live(["grow"]).run().await.unwrap();
    assert_eq!(calls.take(), [("grow", 3)]);
    let lines: Vec<_> = replayed.differences.iter().map(ToString::to_string).collect();
    assert_eq!(lines[..2], ["`grow` #1, output: 2 | 3", "`add` #1, input: 2 | 3"]);
    // `add` answers as before, so each iteration begins as it was recorded.
    let diverged: Vec<_> = lines.iter().filter(|line| line.contains("input")).collect();
    assert_eq!(diverged.len(), 3, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn live_nodes_have_the_runners_context_retries_and_a_new_run_id() {
    let calls = Calls::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let pipeline = || {
        let (calls, seen) = (calls.clone(), Arc::clone(&seen));
        node("first", counted(&calls, "first", 0, |x: u32| x)).then(
            node_with("live", move |x: u32, cx: stroma::NodeCx<'_, u32>| {
                seen.lock().unwrap().push((cx.run_id(), cx.attempt()));
                let failed = calls.add("live") % 2 == 1;
                std::future::ready(if failed { Err(AppError("busy")) } else { Ok(x + *cx.context()) })
            })
            .retry(PolicyMap::never().recoverable(1, Backoff::none())),
        )
    };
    let runner =
        Runner::quick(pipeline()).with_context(40_u32).with_trace(ListTrace::new().with_values()).build().unwrap();
    let done = runner.run(2).await.unwrap();
    let replayed = runner.replay(&done.trace).live(["live"]).run().await.unwrap();
    assert_eq!(replayed.ended.as_ref().unwrap().output, 42);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(), [1, 2, 1, 2]);
    assert_eq!(seen[0].0, Some(done.report.run_id));
    assert_ne!(seen[2].0, seen[0].0);
    assert_eq!(seen[2].0, replayed.trace().run_id());
    // The attempt that failed is in the new trace and makes no difference.
    assert_eq!((replayed.trace().failures().count(), replayed.differences), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_renamed_node_answers_with_what_it_was() {
    let calls = Calls::default();
    let recorded = traced!(node("old", counted(&calls, "old", 0, |x: u32| x + 1))).run(1).await.unwrap().trace;
    calls.take();
    let renamed = traced!(node("new", counted(&calls, "new", 0, |x: u32| x + 1)).was("old"));
    let replayed = renamed.replay(&recorded).run().await.unwrap();
    assert_eq!((replayed.ended.unwrap().output, calls.take()), (2, vec![]));
    assert_eq!(renamed.replay(&recorded).live(["old"]).run().await.unwrap().ended.unwrap().output, 2);
    assert_eq!(calls.take(), [("new", 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_redacted_says_so_when_it_is_asked_for() {
    let calls = Calls::default();
    let pipeline = || node("a", counted(&calls, "a", 0, |x: u32| x + 1));
    let blank = |_: stroma::Attempt<'_>, value: &mut Value| assert!(value.blank(""));
    let runner = Runner::quick(pipeline()).with_trace(ListTrace::new().with_values().redact(blank)).build().unwrap();
    let recorded = runner.run(1).await.unwrap().trace;
    let error = runner.replay(&recorded).run().await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("unit value"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_runs_in_a_local_task() {
    let pipeline = node("a", async |x: u32| Ok::<_, AppError>(x + 1));
    let runner = Arc::new(traced!(pipeline));
    let recorded = runner.run(1).await.unwrap().trace;
    let replay = async move { runner.replay(&recorded).run().await.unwrap().ended.unwrap().output };
    let tasks = tokio::task::LocalSet::new();
    let output = tasks.spawn_local(replay);
    tasks.await;
    assert_eq!(output.await.unwrap(), 2);
}
