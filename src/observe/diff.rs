//! In what two traces differ.
#![cfg(feature = "alloc")]

use alloc::{
    borrow::Cow,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::{
    form::counted,
    trace::{Event, Outcome, Trace},
};
#[cfg(feature = "json")]
use crate::value::Value;

impl Trace {
    /// In what another trace differs from this one, field by field, in the order of this one's events.
    ///
    /// Run ids and times make no difference, nor does the order in which branches finished. Events are compared with those of
    /// the same node, iteration and attempt; where there are several, in a retry around a chain, the first with the first. A
    /// recorded output that was replayed is as one that was yielded.
    pub fn diff(&self, other: &Self) -> Vec<Difference> {
        let attempt = |event: &Event| event.attempt;
        differences(self.iter(), other.iter(), attempt)
    }
}

/// One thing in which two traces differ. Shown as text it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The node's id.
    pub node: String,
    /// The iteration or element; 0 outside of loops and collections.
    pub instance: u32,
    /// The attempt.
    pub attempt: u32,
    /// Which of several such events it is, from 1.
    pub occurrence: u32,
    /// What differs.
    pub field: Field,
    /// What it is in the first trace; `None` where it is missing there.
    pub left: Option<String>,
    /// What it is in the second trace; `None` where it is missing there.
    pub right: Option<String>,
}

/// In what an event differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// It is in one trace only.
    Event,
    /// How it ended.
    Outcome,
    /// What the failure means.
    Class,
    /// What the failure says.
    Message,
    /// What it spent of this: `tokens` or `cost`.
    Spent(&'static str),
    /// What it was given, at this JSON pointer; an empty one is the whole.
    Input(String),
    /// What it yielded, at this JSON pointer; an empty one is the whole.
    Output(String),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event => f.write_str("event"),
            Self::Outcome => f.write_str("outcome"),
            Self::Class => f.write_str("class"),
            Self::Message => f.write_str("message"),
            Self::Spent(what) => f.write_str(what),
            Self::Input(pointer) => write!(f, "input{pointer}"),
            Self::Output(pointer) => write!(f, "output{pointer}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| -> String {
            text.chars().map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }).collect()
        };
        write!(f, "`{}`", line(&self.node))?;
        if self.instance != 0 {
            write!(f, " #{}", self.instance)?;
        }
        write!(f, ", attempt {}", self.attempt)?;
        if self.occurrence != 1 {
            write!(f, " (the {}. such)", self.occurrence)?;
        }
        let side = |side: &Option<String>| side.as_deref().map_or_else(|| "nothing".to_string(), line);
        write!(f, ", {}: {} | {}", line(&self.field.to_string()), side(&self.left), side(&self.right))
    }
}

/// Node, iteration, attempt, and which of several such.
type Key<'e> = (&'e str, u32, u32, u32);

/// Compares events in pairs of one node, iteration and `attempt`.
pub(super) fn differences<'e>(
    left: impl Iterator<Item = &'e Event>,
    right: impl Iterator<Item = &'e Event>,
    attempt: impl Fn(&Event) -> u32,
) -> Vec<Difference> {
    fn keyed<'e>(
        events: impl Iterator<Item = &'e Event>,
        attempt: impl Fn(&Event) -> u32,
    ) -> Vec<(Key<'e>, &'e Event)> {
        let mut seen = BTreeMap::<_, u32>::new();
        let key = |event: &'e Event| {
            let (node, instance, attempt) = (&*event.node, event.instance, attempt(event));
            let occurrence = seen.entry((node, instance, attempt)).or_default();
            *occurrence = occurrence.saturating_add(1);
            ((node, instance, attempt, *occurrence), event)
        };
        events.map(key).collect()
    }
    let (left, right) = (keyed(left, &attempt), keyed(right, &attempt));
    let lefts: BTreeMap<_, _> = left.iter().copied().collect();
    let rights: BTreeMap<_, _> = right.iter().copied().collect();
    let mut found = Vec::new();
    for (key, event) in &left {
        let mut at = At { key: *key, found: &mut found };
        match rights.get(key) {
            Some(other) => at.events(event, other),
            None => at.add(Field::Event, Some(outcome(event).to_string()), None),
        }
    }
    for (key, event) in right.iter().filter(|(key, _)| !lefts.contains_key(key)) {
        At { key: *key, found: &mut found }.add(Field::Event, None, Some(outcome(event).to_string()));
    }
    found
}

/// How an event ended, in a word.
fn outcome(event: &Event) -> &'static str {
    match event.outcome {
        Outcome::Succeeded | Outcome::Replayed => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::CutShort => "cut short",
        Outcome::Restored => "restored",
    }
}

/// A pair of events, and what was found so far.
struct At<'e, 'f> {
    key: Key<'e>,
    found: &'f mut Vec<Difference>,
}

impl At<'_, '_> {
    fn add(&mut self, field: Field, left: Option<String>, right: Option<String>) {
        let (node, instance, attempt, occurrence) = self.key;
        self.found.push(Difference { node: node.to_string(), instance, attempt, occurrence, field, left, right });
    }

    fn texts<'t>(&mut self, field: Field, left: impl Into<Cow<'t, str>>, right: impl Into<Cow<'t, str>>) {
        let (left, right) = (left.into(), right.into());
        if left != right {
            self.add(field, Some(left.into_owned()), Some(right.into_owned()));
        }
    }

    fn events(&mut self, left: &Event, right: &Event) {
        #[cfg(feature = "json")]
        self.values(Field::Input, left.input(), right.input());
        self.texts(Field::Outcome, outcome(left), outcome(right));
        if let Outcome::Failed { class, message } = &left.outcome
            && let Outcome::Failed { class: other, message: says } = &right.outcome
        {
            self.texts(Field::Class, format!("{class}"), format!("{other}"));
            self.texts(Field::Message, message, says);
        }
        // What is answered for by a trace spends nothing.
        if right.outcome != Outcome::Replayed && left.outcome != Outcome::Replayed {
            for ((what, left), (_, right)) in counted(left.spent).into_iter().zip(counted(right.spent)) {
                self.texts(Field::Spent(what), left, right);
            }
        }
        #[cfg(feature = "json")]
        self.values(Field::Output, left.output(), right.output());
    }

    #[cfg(feature = "json")]
    fn values(&mut self, field: impl Fn(String) -> Field, left: Option<&Value>, right: Option<&Value>) {
        Value::differences(left, right, &mut |pointer, (left, right)| {
            let shown = |value: Option<&Value>| value.map(ToString::to_string);
            self.add(field(pointer.to_string()), shown(left), shown(right));
        });
    }
}
