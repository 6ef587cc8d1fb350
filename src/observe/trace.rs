//! The list of every attempt of a run.
#![cfg(feature = "alloc")]

#[cfg(feature = "json")]
use alloc::boxed::Box;
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::{fmt, time::Duration};

use super::{Attempt, Ended, Reason, Record, Told, Tracer};
#[cfg(feature = "json")]
use crate::value::Value;
use crate::{
    failure::FailureClass,
    report::{Report, Spent},
    run::RunId,
};

/// Writes every attempt into a list that grows with the run.
///
/// With [`with_values`](Self::with_values) (feature `json`) it also keeps what each node was given and yielded.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListTrace;

impl ListTrace {
    /// A trace without values.
    pub const fn new() -> Self {
        Self
    }
}

/// Every attempt of a run, in the order in which the attempts ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    pub(super) run_id: Option<RunId>,
    pub(super) events: Vec<Event>,
    pub(super) dropped: u64,
}

impl Trace {
    /// The run, or `None` where the trace does not say.
    pub fn run_id(&self) -> Option<RunId> {
        self.run_id
    }

    /// All events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many events there were before these that a bounded trace had no room for; a list has room for all.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All events, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Event> {
        self.events.iter()
    }

    /// The events of one node.
    pub fn events_for<'t>(&'t self, node: &'t str) -> impl Iterator<Item = &'t Event> {
        self.events.iter().filter(move |event| event.node == node)
    }

    /// The attempts that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| matches!(event.outcome, Outcome::Failed { .. }))
    }
}

impl<'t> IntoIterator for &'t Trace {
    type Item = &'t Event;
    type IntoIter = core::slice::Iter<'t, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

/// One attempt of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The node's id.
    pub node: Cow<'static, str>,
    /// The iteration or element that it was of; 0 outside of loops and collections.
    pub instance: u32,
    /// Which attempt it was, from 1; 0 for a node that was not run again.
    pub attempt: u32,
    /// When it began, since the run was opened.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What it spent, its time included.
    pub spent: Spent,
    /// Most traces have none: one word for that.
    #[cfg(feature = "json")]
    pub(super) values: Option<Box<Values>>,
}

/// What a node was given and yielded.
#[cfg(feature = "json")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Values {
    pub(super) input: Option<Value>,
    pub(super) output: Option<Value>,
}

#[cfg(feature = "json")]
impl Event {
    /// What the node was given, where the trace was made [`with_values`](ListTrace::with_values).
    pub fn input(&self) -> Option<&Value> {
        self.values.as_ref()?.input.as_ref()
    }

    /// What the node yielded, where the trace was made [`with_values`](ListTrace::with_values).
    pub fn output(&self) -> Option<&Value> {
        self.values.as_ref()?.output.as_ref()
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// With an output.
    Succeeded,
    /// With a failure.
    Failed {
        /// What the failure means.
        class: FailureClass,
        /// What it says.
        message: String,
    },
    /// With neither: it was cut short, because a sibling failed or the time of something around it was over.
    CutShort,
    /// It was not run: its output was in the store.
    Restored,
    /// It was not run: its output was in the trace that was replayed.
    Replayed,
}

/// A trace while it is written.
#[derive(Debug, Default)]
pub struct Log {
    run_id: Option<RunId>,
    started: Duration,
    events: Vec<Event>,
}

/// How many events a list has room for before it grows.
const ROOM: usize = 8;

impl Log {
    pub(super) fn begin(&mut self, run: Option<&RunId>, now: Duration) {
        self.run_id = run.copied();
        self.started = now;
    }

    /// Adds an attempt that ended.
    #[inline(always)]
    pub(super) fn add(&mut self, ended: Ended<'_>, began: Duration, outcome: Outcome) -> Option<&mut Event> {
        let took = ended.now.saturating_sub(began);
        if self.events.is_empty() {
            self.events.reserve(ROOM);
        }
        self.events.push(Event {
            node: Cow::Borrowed(ended.at.node),
            instance: ended.at.instance,
            attempt: ended.at.attempt,
            start: began.saturating_sub(self.started),
            took,
            outcome,
            spent: Spent { time: took, ..ended.spent },
            #[cfg(feature = "json")]
            values: None,
        });
        self.events.last_mut()
    }

    pub(super) fn restored(&mut self, at: Attempt<'_>) {
        self.add(Ended::new(at, self.started, Spent::default()), self.started, Outcome::Restored);
    }

    pub(super) fn finish(&mut self) -> Trace {
        Trace { run_id: self.run_id, events: core::mem::take(&mut self.events), dropped: 0 }
    }
}

/// What a failure says.
pub(super) fn message<Er: fmt::Display, H: fmt::Display>(why: Reason<'_, Er, H>) -> String {
    match why {
        Reason::Error(error) => format!("{error}"),
        Reason::Halt(halt) => format!("{halt}"),
    }
}

impl Tracer for ListTrace {
    type Log = Log;
    type Visit = ();
    type Mark = Duration;
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

impl<In, Out, Er: Told> Record<In, Out, Er> for ListTrace {
    #[inline(always)]
    fn started(&self, _: &mut Log, _: Attempt<'_>, (): &(), now: Duration, _: Option<&In>) -> Duration {
        now
    }

    #[inline(always)]
    fn succeeded(&self, log: &mut Log, ended: Ended<'_>, mark: &mut Duration, _: &Out) {
        log.add(ended, *mark, Outcome::Succeeded);
    }

    fn failed<H: fmt::Display>(
        &self,
        log: &mut Log,
        ended: Ended<'_>,
        mark: &mut Duration,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    ) {
        log.add(ended, *mark, Outcome::Failed { class, message: message(why) });
    }

    fn cut_short(&self, log: &mut Log, ended: Ended<'_>, mark: &mut Duration) {
        log.add(ended, *mark, Outcome::CutShort);
    }

    fn replayed(&self, log: &mut Log, ended: Ended<'_>, _: Option<&In>, _: &Out) {
        log.add(ended, ended.now, Outcome::Replayed);
    }
}
