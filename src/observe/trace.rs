//! The list of every attempt of a run.
#![cfg(feature = "alloc")]

use alloc::{format, string::String, vec::Vec};
use core::{fmt, time::Duration};

use serde::Serialize;

use super::{Attempt, Ended, Reason, Record, Tracer};
use crate::{failure::FailureClass, report::Report, run::RunId};

/// Writes every attempt into a list that grows with the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListTrace;

/// Every attempt of a run, in the order in which the attempts ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Trace {
    events: Vec<Event>,
}

impl Trace {
    /// All events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events of one node.
    pub fn events_for<'t>(&'t self, node: &'t str) -> impl Iterator<Item = &'t Event> {
        self.events.iter().filter(move |event| event.node == node)
    }

    /// The attempts that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| matches!(event.outcome, Outcome::Failed { .. }))
    }

    /// The trace as JSON: an object with a list `events`, times in microseconds.
    ///
    /// # Errors
    /// None are known: every field has a JSON form.
    #[cfg(feature = "json")]
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The node's id.
    pub node: &'static str,
    /// The iteration or element that it was of; 0 outside of loops and collections.
    pub instance: u32,
    /// Which attempt it was, from 1; 0 for a node that was not run again.
    pub attempt: u32,
    /// When it began, since the run was opened.
    #[serde(rename = "start_us", serialize_with = "micros")]
    pub start: Duration,
    /// How long it took.
    #[serde(rename = "took_us", serialize_with = "micros")]
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
#[non_exhaustive]
pub enum Outcome {
    /// With an output.
    Succeeded,
    /// With a failure.
    Failed {
        /// What the failure means.
        #[serde(serialize_with = "shown")]
        class: FailureClass,
        /// What it says.
        message: String,
    },
    /// With neither: it was cut short, because a sibling failed or the time of something around it was over.
    CutShort,
    /// It was not run: its output was in the store.
    Restored,
}

fn micros<S: serde::Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

fn shown<S: serde::Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// A trace while it is written.
#[derive(Debug, Default)]
pub struct Log {
    started: Duration,
    events: Vec<Event>,
}

impl Log {
    fn add(&mut self, ended: Ended<'_>, mark: Duration, outcome: Outcome) {
        self.events.push(Event {
            node: ended.at.node,
            instance: ended.at.instance,
            attempt: ended.at.attempt,
            start: mark.saturating_sub(self.started),
            took: ended.now.saturating_sub(mark),
            outcome,
        });
    }
}

impl Tracer for ListTrace {
    type Log = Log;
    type Visit = ();
    type Mark = Duration;
    type Finished = Trace;

    const ENABLED: bool = true;
    const TIMED: bool = true;

    fn begin(&self, log: &mut Log, _: Option<&RunId>, now: Duration) {
        log.started = now;
    }

    fn restored(&self, log: &mut Log, at: Attempt<'_>) {
        let none = Duration::ZERO;
        log.events.push(Event {
            node: at.node,
            instance: at.instance,
            attempt: 0,
            start: none,
            took: none,
            outcome: Outcome::Restored,
        });
    }

    fn visit(&self, _: &mut Log, _: Attempt<'_>) {}

    fn finish(&self, log: Log, _: Option<&Report>, _: Duration) -> Trace {
        Trace { events: log.events }
    }
}

#[diagnostic::do_not_recommend]
impl<In, Out, Er: fmt::Display> Record<In, Out, Er> for ListTrace {
    fn started(&self, _: &mut Log, _: Attempt<'_>, (): &(), now: Duration, _: Option<&In>) -> Duration {
        now
    }

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
        let message = match why {
            Reason::Error(error) => format!("{error}"),
            Reason::Halt(halt) => format!("{halt}"),
        };
        log.add(ended, *mark, Outcome::Failed { class, message });
    }

    fn cut_short(&self, log: &mut Log, ended: Ended<'_>, mark: &mut Duration) {
        log.add(ended, *mark, Outcome::CutShort);
    }
}
