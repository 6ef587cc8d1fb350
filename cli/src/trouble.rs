//! Why it did not work, and what the program exits with.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde_json::json;
use stroma::{
    RunId,
    store::{StoreError, StoreErrorKind},
};

use crate::{
    place::run_id,
    text::{Json, plain, span},
};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The reader wants no more: no failure.
    Closed,
    /// The reader wants no more, though the run that is followed goes on.
    CutOff,
    /// The store cannot be read, or something else failed.
    Failed,
    /// The store is not there, or not now.
    Unavailable,
    /// The command line makes no sense.
    Usage,
    /// There is no such run.
    UnknownRun,
    /// Somebody has the run.
    Held,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// What the program exits with.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Failed | Self::Unavailable => 1,
            Self::Usage => 2,
            Self::UnknownRun => 3,
            Self::Held => 4,
            // As a shell says it of Ctrl-C and of a closed pipe.
            Self::Interrupted => 130,
            Self::CutOff => 141,
        }
    }

    /// What it is called in JSON; `None` where there is nothing to say.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Closed | Self::CutOff | Self::Interrupted => None,
            Self::Failed => Some("failed"),
            Self::Unavailable => Some("unavailable"),
            Self::Usage => Some("usage"),
            Self::UnknownRun => Some("unknown-run"),
            Self::Held => Some("held"),
        }
    }
}

/// Why it did not work.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl Trouble {
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, text: text.into() }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, text: text.into() }
    }

    pub(crate) fn unknown(run: &RunId) -> Self {
        let text = format!("there is no run `{}`: `stroma list` shows which there are", run_id(&run.to_string()));
        Self { kind: Kind::UnknownRun, text }
    }

    /// It was there a moment ago.
    pub(crate) fn forgotten(run: &RunId) -> Self {
        let text = format!("run `{}` is no longer there: it was forgotten, or it expired", run_id(&run.to_string()));
        Self { kind: Kind::UnknownRun, text }
    }

    pub(crate) fn held(run: &RunId, until: Option<Duration>) -> Self {
        let until = until.map_or_else(String::new, |until| format!(" (its lease runs {})", span(until)));
        let run = run.to_string();
        let text = format!("somebody executes run `{}`{until}: wait until it ends, or end that program", run_id(&run));
        Self { kind: Kind::Held, text }
    }

    pub(crate) const fn interrupted() -> Self {
        Self { kind: Kind::Interrupted, text: String::new() }
    }

    /// What a store says, about the store of this name.
    pub(crate) fn store(place: &str, error: &StoreError) -> Self {
        let detail = error.detail();
        let what = match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Foreign | StoreErrorKind::Denied if !detail.is_empty() => {
                detail.to_string()
            }
            kind if detail.is_empty() => kind.to_string(),
            kind => format!("{kind} ({detail})"),
        };
        // What is said of a file names it already, with all that is in its path.
        let text = match what.rsplit_once("` ") {
            Some((file, what)) if file.starts_with('`') && place.starts_with("..@") => format!("`{place}` {what}"),
            _ if what.starts_with('`') => what,
            _ => format!("{place}: {what}"),
        };
        let kind = match error.kind() {
            StoreErrorKind::Unavailable => Kind::Unavailable,
            _ => Kind::Failed,
        };
        Self { kind, text: plain(&text).into_owned() }
    }

    /// Says it on standard error. Where nobody hears it there is nobody else to tell.
    pub(crate) fn say(&self, json: bool) {
        let Some(kind) = self.kind.name() else { return };
        let mut to = io::stderr().lock();
        let _ = if json {
            let error = json!({ "kind": kind, "message": self.text, "status": self.kind.status() });
            writeln!(to, "{}", Json(&json!({ "error": error })))
        } else {
            writeln!(to, "stroma: {}", self.text)
        };
    }
}

/// Says on standard error what is no failure. Where nobody hears it, it goes on all the same.
pub(crate) fn notice(json: bool, text: &str) {
    let mut to = io::stderr().lock();
    let _ = if json { writeln!(to, "{}", Json(&json!({ "notice": text }))) } else { writeln!(to, "stroma: {text}") };
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        // Whoever reads no further has all that was wanted: `stroma list | head`.
        let kind = if error.kind() == io::ErrorKind::BrokenPipe { Kind::Closed } else { Kind::Failed };
        Self { kind, text: format!("cannot write: {error}") }
    }
}
