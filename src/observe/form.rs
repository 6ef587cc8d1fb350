//! A trace as JSON, and back.
//!
//! What an attempt spent is written, read and compared here and nowhere else.
#![cfg(feature = "alloc")]

#[cfg(feature = "json")]
use alloc::string::String;
use alloc::{borrow::Cow, string::ToString as _, vec::Vec};
use core::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeStruct};

#[cfg(feature = "json")]
use super::trace::Values;
use super::trace::{Event, Outcome, Trace};
use crate::{budget::Usd, failure::FailureClass, report::Spent, run::RunId};
#[cfg(feature = "json")]
use crate::{
    text::OneLine,
    value::{NUMBER, Value},
};

/// The version of the form; it goes up when an older program could take a trace for what it is not.
const VERSION: u32 = 1;

/// An object with `version`, `run_id`, `dropped` and a list `events`; times in nanoseconds.
impl Serialize for Trace {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut trace = to.serialize_struct("Trace", 4)?;
        trace.serialize_field("version", &VERSION)?;
        trace.serialize_field("run_id", &self.run_id.map(Shown))?;
        trace.serialize_field("dropped", &self.dropped)?;
        trace.serialize_field("events", &self.events)?;
        trace.end()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        EventForm {
            node: Cow::Borrowed(&self.node),
            instance: self.instance,
            attempt: self.attempt,
            start_ns: Nanos(self.start),
            took_ns: Nanos(self.took),
            outcome: OutcomeForm::of(&self.outcome),
            spent: SpentForm::of(self.spent),
            #[cfg(feature = "json")]
            input: self.input().map(Cow::Borrowed),
            #[cfg(feature = "json")]
            output: self.output().map(Cow::Borrowed),
        }
        .serialize(to)
    }
}

#[derive(Serialize, Deserialize)]
struct EventForm<'e> {
    node: Cow<'e, str>,
    instance: u32,
    attempt: u32,
    start_ns: Nanos,
    took_ns: Nanos,
    outcome: OutcomeForm<'e>,
    #[serde(default)]
    spent: SpentForm,
    #[cfg(feature = "json")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    input: Option<Cow<'e, Value>>,
    #[cfg(feature = "json")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    output: Option<Cow<'e, Value>>,
}

/// A value that is there; `null` is one.
#[cfg(feature = "json")]
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'static, Value>>, D::Error> {
    Value::deserialize(from).map(|value| Some(Cow::Owned(value)))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
enum OutcomeForm<'e> {
    Succeeded,
    Failed { class: Class, message: Cow<'e, str> },
    CutShort,
    Restored,
    Replayed,
}

impl<'e> OutcomeForm<'e> {
    fn of(outcome: &'e Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed { class, message } => Self::Failed { class: Class(*class), message: message.into() },
            Outcome::CutShort => Self::CutShort,
            Outcome::Restored => Self::Restored,
            Outcome::Replayed => Self::Replayed,
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Succeeded => Outcome::Succeeded,
            Self::Failed { class, message } => Outcome::Failed { class: class.0, message: message.into_owned() },
            Self::CutShort => Outcome::CutShort,
            Self::Restored => Outcome::Restored,
            Self::Replayed => Outcome::Replayed,
        }
    }
}

/// What an attempt spent.
#[derive(Serialize, Deserialize)]
struct SpentForm {
    #[serde(default)]
    tokens: u64,
    /// As digits, since no float is to round it.
    #[serde(default)]
    cost: Usd,
    #[serde(default)]
    unpriced_tokens: u64,
    time_ns: Nanos,
}

impl Default for SpentForm {
    fn default() -> Self {
        Self::of(Spent::default())
    }
}

impl SpentForm {
    fn of(Spent { tokens, cost, unpriced_tokens, time }: Spent) -> Self {
        Self { tokens, cost, unpriced_tokens, time_ns: Nanos(time) }
    }

    fn spent(self) -> Spent {
        let Self { tokens, cost, unpriced_tokens, time_ns: Nanos(time) } = self;
        Spent { tokens, cost, unpriced_tokens, time }
    }
}

/// What an attempt spent that is the same each time it does the same, by name: not its time.
pub(super) fn counted(spent: Spent) -> [(&'static str, Cow<'static, str>); 3] {
    let Spent { tokens, cost, unpriced_tokens, time: _ } = spent;
    [
        ("tokens", tokens.to_string().into()),
        ("cost", cost.to_string().into()),
        ("unpriced_tokens", unpriced_tokens.to_string().into()),
    ]
}

#[derive(Clone, Copy)]
struct Class(FailureClass);

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let classes = [FailureClass::Recoverable, FailureClass::Ambiguous, FailureClass::Terminal];
        let class = classes.into_iter().find(|class| alloc::format!("{class}") == text);
        class.map(Self).ok_or_else(|| D::Error::unknown_variant(&text, &["recoverable", "ambiguous", "terminal"]))
    }
}

/// Something as the text that shows it.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Shown<RunId> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RunId::new(&Cow::<str>::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}

/// A number of nanoseconds: as text where it has more than 64 bits, which is after 584 years.
struct Nanos(Duration);

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(self.0.as_nanos()) {
            Ok(nanos) => to.serialize_u64(nanos),
            Err(_) => to.collect_str(&self.0.as_nanos()),
        }
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl<'de> serde::de::Visitor<'de> for Number {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of nanoseconds")
            }

            fn visit_u64<E>(self, nanos: u64) -> Result<Duration, E> {
                Ok(Duration::from_nanos(nanos))
            }

            // As serde_json hands over a number where some crate has switched its `arbitrary_precision` on.
            #[cfg(feature = "json")]
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut from: A) -> Result<Duration, A::Error> {
                let number = from.next_entry::<String, String>()?.filter(|(key, _)| key == NUMBER);
                let nanos = number.and_then(|(_, digits)| digits.parse::<u64>().ok());
                nanos.map(Duration::from_nanos).ok_or_else(|| A::Error::invalid_type(serde::de::Unexpected::Map, &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
                const SECOND: u128 = 1_000_000_000;
                let nanos = text.parse::<u128>().ok();
                let parts = nanos
                    .and_then(|nanos| Some((u64::try_from(nanos / SECOND).ok()?, u32::try_from(nanos % SECOND).ok()?)));
                let (seconds, nanos) =
                    parts.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
                Ok(Duration::new(seconds, nanos))
            }
        }
        from.deserialize_any(Number).map(Self)
    }
}

/// From the form that [`Serialize`] gives it; fields of later versions are left out.
impl<'de> Deserialize<'de> for Trace {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let form = TraceForm::deserialize(from)?;
        if form.version != VERSION {
            return Err(D::Error::custom(format_args!("version {} of a trace is not known here", form.version)));
        }
        Ok(Self {
            run_id: form.run_id.map(|Shown(id)| id),
            events: form.events.into_iter().map(EventForm::event).collect(),
            dropped: form.dropped,
        })
    }
}

#[derive(Deserialize)]
struct TraceForm<'e> {
    version: u32,
    run_id: Option<Shown<RunId>>,
    #[serde(default)]
    dropped: u64,
    #[serde(borrow)]
    events: Vec<EventForm<'e>>,
}

impl EventForm<'_> {
    fn event(self) -> Event {
        #[cfg(feature = "json")]
        let values = Values { input: self.input.map(Cow::into_owned), output: self.output.map(Cow::into_owned) };
        Event {
            node: Cow::Owned(self.node.into_owned()),
            instance: self.instance,
            attempt: self.attempt,
            start: self.start_ns.0,
            took: self.took_ns.0,
            outcome: self.outcome.outcome(),
            spent: self.spent.spent(),
            #[cfg(feature = "json")]
            values: (values != Values::default()).then(|| values.into()),
        }
    }
}

#[cfg(feature = "json")]
impl Trace {
    /// The trace as JSON: an object with `version`, `run_id`, `dropped` and a list `events`. Times are in nanoseconds; the
    /// form of inputs and outputs is that of [`Value`].
    ///
    /// # Errors
    /// None are known: every field has a JSON form.
    pub fn to_json(&self) -> Result<String, TraceError> {
        serde_json::to_string(self).map_err(|error| TraceError::Unwritten { words: error.to_string() })
    }

    /// The trace that [`to_json`](Self::to_json) wrote: equal to the one that was written.
    ///
    /// Fields that are not known are left out, so that a later version can add some; a form that would be misread has
    /// another `version` and is refused.
    ///
    /// # Errors
    /// When the text is not the JSON of a trace, with the path of what does not fit; values more than about a hundred levels
    /// deep are refused, too.
    pub fn from_json(text: &str) -> Result<Self, TraceError> {
        #[derive(Deserialize)]
        struct Head {
            version: u64,
        }
        let Head { version } = read(text)?;
        if version != u64::from(VERSION) {
            return Err(TraceError::Version { found: version });
        }
        read(text)
    }
}

#[cfg(feature = "json")]
fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, TraceError> {
    use alloc::string::ToString;
    let mut from = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| TraceError::Form { path: error.path().to_string(), words: error.inner().to_string() })?;
    from.end().map_err(|error| TraceError::Form { path: ".".to_string(), words: error.to_string() })?;
    Ok(read)
}

/// Why a text is not a trace. Shown as text it is one line.
#[cfg(feature = "json")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It is not JSON, or not that of a trace.
    #[error("this is no trace as `to_json` writes it: at `{}`: {}", OneLine(path), OneLine(words))]
    Form {
        /// Where it does not fit, as `events[3].took_ns`; `.` is the whole.
        path: String,
        /// What does not fit there, with line and column.
        words: String,
    },
    /// It was written in a form that this version of the library does not know.
    #[error("the trace has version {found} and this library reads version {VERSION}: use the one that wrote it")]
    Version {
        /// Its version.
        found: u64,
    },
    /// It cannot be written as JSON.
    #[error("this trace cannot be written as JSON: {}; `table()` shows it", OneLine(words))]
    Unwritten {
        /// What has no form.
        words: String,
    },
}
