//! A recorded run once more, without calling anything.
#![cfg(all(feature = "std", feature = "json"))]

use alloc::{borrow::ToOwned, collections::BTreeSet, string::String, vec::Vec};
use core::{future::poll_fn, pin::pin};

use serde::de::DeserializeOwned;

use super::{
    outcome::{Completed, Halted},
    poll::end,
    run::Runner,
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Full, Local, Node, RunInfo, Stop, Stops},
    meter::Meter,
    observe::{Difference, Field, Outcome, Replaying, Trace, Tracer, Valued},
    run::RunId,
    slot::Place,
    store::{Access, Durability},
    value::DecodeError,
};

impl<N: Node, E: Env<Detail = Full>> Runner<N, E> {
    /// Runs the pipeline on what was recorded: each node answers with its recorded output, and only those that are named
    /// [`live`](Replay::live) are called.
    ///
    /// The pipeline may be another one than was recorded, with nodes replaced, added or left out; the trace may come from
    /// JSON. Attempts that failed and were tried again are not repeated. Nothing is stored, and nothing that was stored is used;
    /// the run has an id of its own, so that a live node's idempotency key is another one than it was.
    ///
    /// It is for tests and tools: its future is awaited where it is, or in a local task, since the compiler cannot tell that it
    /// may move between threads.
    ///
    /// ```
    /// # use stroma::{ListTrace, Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl stroma::Failure for AppError {}
    /// # async fn fetch(id: u32) -> Result<String, AppError> { Ok(format!("text {id}")) }
    /// # async fn shorten(text: String) -> Result<String, AppError> { Ok(text[..4].to_owned()) }
    /// # async fn count(text: String) -> Result<u32, AppError> { Ok(text.len() as u32) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pipeline = node("fetch", fetch).then(node("shorten", shorten)).then(node("count", count));
    /// let runner = Runner::quick(pipeline).with_trace(ListTrace::new().with_values()).build()?;
    /// let recorded = runner.run(7).await.unwrap().trace;
    ///
    /// // The same with another `shorten`; neither `fetch` nor `count` is called.
    /// let pipeline = node("fetch", fetch).then(node("shorten", async |text: String| Ok(text))).then(node("count", count));
    /// let changed = Runner::quick(pipeline).with_trace(ListTrace::new().with_values()).build()?;
    /// let replayed = changed.replay(&recorded).live(["shorten"]).run().await?;
    /// let lines: Vec<_> = replayed.differences.iter().map(ToString::to_string).collect();
    /// assert_eq!(lines, [
    ///     r#"`shorten`, output: "text" | "text 7""#,
    ///     r#"`count`, input: "text" | "text 7""#,
    /// ]);
    /// assert_eq!(replayed.diverged().map(|at| at.node.as_str()), Some("count"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn replay<'r>(&'r self, trace: &'r Trace) -> Replay<'r, N, E>
    where
        E::Trace: Valued,
    {
        Replay { runner: self, trace, live: BTreeSet::new(), input: None }
    }
}

/// A replay that is yet to run; made by [`Runner::replay`].
#[must_use = "a replay does nothing until `.run()`"]
pub struct Replay<'r, N: Node, E> {
    runner: &'r Runner<N, E>,
    trace: &'r Trace,
    live: BTreeSet<String>,
    input: Option<N::In>,
}

impl<N: Node, E> core::fmt::Debug for Replay<'_, N, E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replay").field("live", &self.live).finish_non_exhaustive()
    }
}

impl<'r, N, E> Replay<'r, N, E>
where
    N: Node,
    E: Env<Detail = Full, Trace: Valued>,
    Full: Stops<<E::Budget as Meter>::Over>,
{
    /// Calls these nodes, with what they are given now; further names add to those before.
    pub fn live<S: AsRef<str>>(mut self, nodes: impl IntoIterator<Item = S>) -> Self {
        self.live.extend(nodes.into_iter().map(|node| node.as_ref().to_owned()));
        self
    }

    /// Begins with this input in place of the recorded one.
    pub fn with_input(mut self, input: N::In) -> Self {
        self.input = Some(input);
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it cannot begin. How the run itself ended is in [`Replayed::ended`]: it halts with
    /// [`Cause::Replay`](crate::Cause::Replay) at a node that is not live and has no recorded output, which then was not called.
    ///
    /// # Cancel safety
    /// The future may be dropped at any await point; nothing was stored.
    pub async fn run(self) -> Result<Replayed<N::Out, N::Error>, ReplayError>
    where
        N: Exec<ReplayEnv<'r, E>>,
        N::In: DeserializeOwned,
    {
        let mut unknown: BTreeSet<&str> = self.live.iter().map(String::as_str).collect();
        self.runner.describe().nodes(|node| unknown.retain(|name| !node.is(name)));
        if let Some(name) = unknown.pop_first() {
            return Err(ReplayError::UnknownNode { name: name.to_owned() });
        }
        let input = match self.input {
            Some(input) => input,
            None => recorded_input(self.trace)?,
        };
        let env = ReplayEnv { env: &self.runner.env, store: Replaying::new(self.trace, self.live) };
        let ended = go(&self.runner.node.node, input, &env).await;
        let trace = match &ended {
            Ok(completed) => &completed.trace,
            Err(halted) => &halted.trace,
        };
        let differences = env.store.differences(trace);
        Ok(Replayed { ended, differences })
    }
}

/// What the run was begun with: the input of whatever ended first, since nothing was before that.
fn recorded_input<T: DeserializeOwned>(trace: &Trace) -> Result<T, ReplayError> {
    let whole = trace.dropped() == 0 && trace.iter().all(|event| event.outcome != Outcome::Restored);
    let input = trace.events().first().filter(|_| whole).and_then(|event| event.input());
    input.ok_or(ReplayError::NoInput)?.decode().map_err(ReplayError::Input)
}

/// Polls the nodes to their end.
async fn go<'r, N, E>(
    node: &N,
    input: N::In,
    env: &ReplayEnv<'r, E>,
) -> Result<Completed<N::Out, Trace>, Halted<N::Error, Trace>>
where
    E: Env<Detail = Full, Trace: Valued>,
    Full: Stops<<E::Budget as Meter>::Over>,
    N: Exec<ReplayEnv<'r, E>>,
{
    let cx = Cx { env };
    let run = RunInfo::new(RunId::fresh());
    let mut local: Local<'_, ReplayEnv<'r, E>> =
        Local { session: Default::default(), run, log: Default::default(), book: Default::default() };
    let now = cx.now();
    Full::begin(&mut local.run, now);
    env.trace().begin(&mut local.log, Some(&local.run.report.run_id), now);
    // The nodes that are live have the whole budget.
    if let Some(over) = env.budget().begin(&mut local.book, now) {
        return end::<N, ReplayEnv<'r, E>>(Err(Stop::Halt(Full::stop(over, Place::FIRST))), &mut local, cx);
    }
    let _ = env.store.open(&mut local.session, Some(&local.run.report.run_id), Access::Create);
    let ended = {
        let mut state = pin!(node.start(input, Place::FIRST, cx, &mut local));
        poll_fn(|task| node.poll(state.as_mut(), Place::FIRST, cx, &mut local, task)).await
    };
    end::<N, ReplayEnv<'r, E>>(ended, &mut local, cx)
}

/// The environment of a replay: the runner's own, but for the store.
#[derive(Debug)]
pub struct ReplayEnv<'r, E> {
    env: &'r E,
    store: Replaying<'r>,
}

impl<'r, E> Env for ReplayEnv<'r, E>
where
    E: Env<Detail = Full>,
    Full: Stops<<E::Budget as Meter>::Over>,
{
    type Store = Replaying<'r>;
    type Policy = E::Policy;
    type Classifier = E::Classifier;
    type Clock = E::Clock;
    type Trace = E::Trace;
    type Context = E::Context;
    type Detail = Full;
    type Budget = E::Budget;

    fn store(&self) -> &Replaying<'r> {
        &self.store
    }

    fn policy(&self) -> &E::Policy {
        self.env.policy()
    }

    fn classifier(&self) -> &E::Classifier {
        self.env.classifier()
    }

    fn clock(&self) -> &E::Clock {
        self.env.clock()
    }

    fn context(&self) -> &E::Context {
        self.env.context()
    }

    fn trace(&self) -> &E::Trace {
        self.env.trace()
    }

    fn budget(&self) -> &E::Budget {
        self.env.budget()
    }
}

/// How a replay ended, and in what it differs from what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed<Out, Er> {
    /// How the run ended, with its own report and trace.
    pub ended: Result<Completed<Out, Trace>, Halted<Er, Trace>>,
    /// In what the new trace differs from the recorded one, in the order of the recording. Attempts that failed and were tried
    /// again are not compared.
    pub differences: Vec<Difference>,
}

impl<Out, Er> Replayed<Out, Er> {
    /// The trace of the replay.
    pub fn trace(&self) -> &Trace {
        match &self.ended {
            Ok(completed) => &completed.trace,
            Err(halted) => &halted.trace,
        }
    }

    /// Where it left the recording: the difference at the first node that was given something else.
    pub fn diverged(&self) -> Option<&Difference> {
        self.differences.iter().find(|difference| matches!(difference.field, Field::Input(_)))
    }
}

/// Why a replay cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A node that is to be live is not in the pipeline.
    #[error("the pipeline has no node `{name}` that could be live: `describe()` lists the ids")]
    UnknownNode {
        /// The name.
        name: String,
    },
    /// The trace does not say what the run was begun with.
    #[error(
        "the trace has no input of the run: record it from the run's beginning `with_values()`, or give the input with \
         `.with_input(..)`"
    )]
    NoInput,
    /// The recorded input is not what the pipeline takes.
    #[error("the recorded input is not what the pipeline takes; `.with_input(..)` gives another")]
    Input(#[source] DecodeError),
}
