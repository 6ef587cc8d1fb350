//! The list of every attempt of a run, with what each node was given and yielded.
#![cfg(feature = "json")]

use alloc::{boxed::Box, string::String};
use core::{fmt, time::Duration};

use super::{
    Attempt, Ended, Reason, Record, Recordable, Told, Tracer,
    trace::{ListTrace, Log, Outcome, Trace, Values, message},
};
use crate::{failure::FailureClass, report::Report, run::RunId, value::Value};

impl ListTrace {
    /// Also keeps what each node was given and yielded, which asks `Serialize` of those types.
    ///
    /// ```
    /// # use stroma::{ListTrace, Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl stroma::Failure for AppError {}
    /// # async fn greet(name: String) -> Result<String, AppError> { Ok(format!("Hello, {name}")) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let trace = ListTrace::new().with_values().redact(|at, value| {
    ///     if at.node == "greet" {
    ///         value.blank("");
    ///     }
    /// });
    /// let runner = Runner::quick(node("greet", greet).then(node("again", greet))).with_trace(trace).build()?;
    /// let done = runner.run("Ada".to_owned()).await.unwrap();
    /// let outputs: Vec<_> = done.trace.iter().filter_map(|event| event.output()).map(ToString::to_string).collect();
    /// assert_eq!(outputs, ["null", "\"Hello, Hello, Ada\""]);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn with_values(self) -> ValueTrace {
        ValueTrace { values: AsIs, messages: AsIs }
    }
}

/// A [`ListTrace`] with values, made by [`ListTrace::with_values`].
///
/// `R` and `M` are what is called on values and on messages before they are kept.
#[derive(Clone, Copy)]
pub struct ValueTrace<R = AsIs, M = AsIs> {
    values: R,
    messages: M,
}

impl<R, M> fmt::Debug for ValueTrace<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueTrace").finish_non_exhaustive()
    }
}

impl<R, M> ValueTrace<R, M> {
    /// Calls `redact` on every input and every output before it is kept, in place of what was called before:
    /// [`Value::blank`] takes out a part. What is taken out cannot be replayed. What a failure says is not shown to it, and may
    /// quote a value, as that of a broken contract does: [`redact_messages`](Self::redact_messages) is for that.
    pub fn redact<F>(self, redact: F) -> ValueTrace<F, M>
    where
        F: Fn(Attempt<'_>, &mut Value),
    {
        ValueTrace { values: redact, messages: self.messages }
    }

    /// Calls `redact` on what every failure says before it is kept, in place of what was called before.
    pub fn redact_messages<F>(self, redact: F) -> ValueTrace<R, F>
    where
        F: Fn(Attempt<'_>, &mut String),
    {
        ValueTrace { values: self.values, messages: redact }
    }
}

/// Nothing is redacted.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsIs;

/// What is called on a `T` before a trace keeps it: [`AsIs`], or a closure.
pub trait Redact<T> {
    /// Takes out what is not to be kept.
    fn redact(&self, at: Attempt<'_>, kept: &mut T);
}

impl<T> Redact<T> for AsIs {
    fn redact(&self, _: Attempt<'_>, _: &mut T) {}
}

impl<T, F: Fn(Attempt<'_>, &mut T)> Redact<T> for F {
    fn redact(&self, at: Attempt<'_>, kept: &mut T) {
        self(at, kept);
    }
}

/// When an attempt began, and what it was given.
#[derive(Debug, Default)]
pub struct Given {
    began: Duration,
    input: Option<Value>,
}

impl<R: Redact<Value>, M> ValueTrace<R, M> {
    fn kept(&self, at: Attempt<'_>, value: &impl Recordable) -> Value {
        let mut value = Value::of(value);
        self.values.redact(at, &mut value);
        value
    }
}

fn add(log: &mut Log, ended: Ended<'_>, given: &mut Given, output: Option<Value>, outcome: Outcome) {
    let input = given.input.take();
    if let Some(event) = log.add(ended, given.began, outcome)
        && (input.is_some() || output.is_some())
    {
        event.values = Some(Box::new(Values { input, output }));
    }
}

impl<R, M> Tracer for ValueTrace<R, M> {
    type Log = Log;
    type Visit = ();
    type Mark = Given;
    type Finished = Trace;

    const ENABLED: bool = true;
    const TIMED: bool = true;

    fn begin(&self, log: &mut Log, run: Option<&RunId>, now: Duration) {
        log.begin(run, now);
    }

    fn restored(&self, log: &mut Log, at: Attempt<'_>) {
        log.restored(at);
    }

    fn finish(&self, mut log: Log, _: Option<&Report>, _: Duration) -> Trace {
        log.finish()
    }
}

impl<In, Out, Er, R, M> Record<In, Out, Er> for ValueTrace<R, M>
where
    In: Recordable,
    Out: Recordable,
    Er: Told,
    R: Redact<Value>,
    M: Redact<String>,
{
    fn started(&self, _: &mut Log, at: Attempt<'_>, (): &(), now: Duration, input: Option<&In>) -> Given {
        Given { began: now, input: input.map(|input| self.kept(at, input)) }
    }

    fn succeeded(&self, log: &mut Log, ended: Ended<'_>, mark: &mut Given, output: &Out) {
        let output = self.kept(ended.at, output);
        add(log, ended, mark, Some(output), Outcome::Succeeded);
    }

    fn failed<H: fmt::Display>(
        &self,
        log: &mut Log,
        ended: Ended<'_>,
        mark: &mut Given,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    ) {
        let mut message = message(why);
        self.messages.redact(ended.at, &mut message);
        add(log, ended, mark, None, Outcome::Failed { class, message });
    }

    fn cut_short(&self, log: &mut Log, ended: Ended<'_>, mark: &mut Given) {
        add(log, ended, mark, None, Outcome::CutShort);
    }

    fn replayed(&self, log: &mut Log, ended: Ended<'_>, input: Option<&In>, output: &Out) {
        let mut given = Given { began: ended.now, input: input.map(|input| self.kept(ended.at, input)) };
        let output = self.kept(ended.at, output);
        add(log, ended, &mut given, Some(output), Outcome::Replayed);
    }
}
