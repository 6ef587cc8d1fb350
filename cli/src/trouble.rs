//! Why it did not work, and what the program exits with.

use std::io;

use stroma::{
    RunId,
    store::{StoreError, StoreErrorKind},
};

use crate::text::{plain, span};

/// Why it did not work.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) code: u8,
    pub(crate) text: String,
}

impl Trouble {
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    pub(crate) fn unknown(run: &RunId) -> Self {
        let run = run.to_string();
        Self { code: 3, text: format!("there is no run `{}`: `stroma list` shows which there are", plain(&run)) }
    }

    pub(crate) fn held(run: &RunId, until: Option<std::time::Duration>) -> Self {
        let until = until.map_or_else(String::new, |until| format!(" (its lease runs {})", span(until)));
        let run = run.to_string();
        let text = format!("somebody executes run `{}`{until}: wait until it ends, or end that program", plain(&run));
        Self { code: 4, text }
    }

    /// What a store says, about the store of this name.
    pub(crate) fn store(place: &str, error: &StoreError) -> Self {
        let detail = error.detail();
        let text = match error.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Foreign if !detail.is_empty() => format!("{place}: {detail}"),
            kind if detail.is_empty() => format!("{place}: {kind}"),
            kind => format!("{place}: {kind} ({detail})"),
        };
        Self::failed(plain(&text))
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        // Whoever reads no further has all that was wanted: `stroma list | head`.
        let code = if error.kind() == io::ErrorKind::BrokenPipe { 0 } else { 1 };
        Self { code, text: format!("cannot write: {error}") }
    }
}
