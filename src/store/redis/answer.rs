//! What the server's answers mean.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::time::Duration;

use ::redis::Value;

use super::{error, log, script, settings::Settings};
use crate::{
    run::RunId,
    store::{
        StoreError, StoreErrorKind,
        inspect::{Holding, RunView},
        owned::Present,
    },
};

/// What opening a run came to.
pub(super) enum Answered {
    Open { present: Present<Option<usize>>, order: u64, ledger: Box<[u8]> },
    Busy(Duration),
}

impl Answered {
    pub(super) fn of(value: Value, settings: &Settings) -> Result<Self, StoreError> {
        let Value::Array(parts) = value else { return Err(odd()) };
        let mut parts = parts.into_iter();
        match (text(parts.next()).as_deref(), parts.next(), parts.next()) {
            (Some("open"), Some(Value::BulkString(ledger)), Some(Value::Array(heads))) => {
                let heads =
                    heads.into_iter().map(|head| if let Value::BulkString(head) = head { head } else { Vec::new() });
                let (present, order) = log::present(heads).ok_or_else(odd)?;
                Ok(Self::Open { present, order, ledger: ledger.into() })
            }
            (Some("busy"), Some(left), _) => Ok(Self::Busy(busy_for(&left)?)),
            (Some("unknown"), ..) => Err(unknown(settings)),
            (Some("foreign"), format, _) => Err(foreign(format)),
            _ => Err(odd()),
        }
    }
}

/// What forgetting a run came to.
pub(super) enum Forgotten {
    Done(bool),
    Busy(Duration),
}

impl Forgotten {
    pub(super) fn of(value: Value) -> Result<Self, StoreError> {
        let Value::Array(parts) = value else { return Err(odd()) };
        let mut parts = parts.into_iter();
        match (text(parts.next()).as_deref(), parts.next()) {
            (Some("forgotten"), Some(Value::Int(slots))) => Ok(Self::Done(slots > 0)),
            (Some("busy"), Some(left)) => Ok(Self::Busy(busy_for(&left)?)),
            (Some("foreign"), format) => Err(foreign(format)),
            _ => Err(odd()),
        }
    }
}

/// Some of the runs that there are, and where to go on; from zero on, there are no more.
pub(super) fn scanned(value: Value, settings: &Settings) -> Result<(u64, Vec<RunId>), StoreError> {
    let Value::Array(parts) = value else { return Err(odd()) };
    let mut parts = parts.into_iter();
    let cursor = text(parts.next()).and_then(|cursor| cursor.parse().ok());
    let (Some(cursor), Some(Value::Array(keys))) = (cursor, parts.next()) else { return Err(odd()) };
    let runs = keys.iter().filter_map(|key| match key {
        Value::BulkString(key) => script::run_of(&settings.prefix, key),
        _ => None,
    });
    Ok((cursor, runs.collect()))
}

/// What a look at a run showed. What is no run, or one of which nothing was saved and that nobody has, is none.
pub(super) fn looked(run: RunId, values: bool, value: Value) -> Result<Option<RunView>, StoreError> {
    let Value::Array(parts) = value else { return Err(odd()) };
    let mut parts = parts.into_iter();
    match text(parts.next()).as_deref() {
        Some("unknown") => return Ok(None),
        Some("foreign") => return Err(foreign(parts.next())),
        Some("run") => {}
        _ => return Err(odd()),
    }
    let mut time = || match parts.next() {
        Some(Value::Int(millis)) => Ok(u64::try_from(millis).ok().map(Duration::from_millis)),
        _ => Err(odd()),
    };
    let (until, age, idle) = (time()?, time()?, time()?);
    let (Some(Value::BulkString(ledger)), Some(Value::Array(writes))) = (parts.next(), parts.next()) else {
        return Err(odd());
    };
    let holding = match until {
        None => Holding::Free,
        Some(Duration::ZERO) => Holding::Abandoned,
        until => Holding::Held { until },
    };
    let mut found = Vec::with_capacity(writes.len() / 3);
    let mut writes = writes.into_iter();
    while let (Some(head), Some(len), Some(rest)) = (writes.next(), writes.next(), writes.next()) {
        match (head, len, rest) {
            (Value::BulkString(head), Value::Int(len), Value::BulkString(rest)) => {
                found.push((head, usize::try_from(len).unwrap_or_default(), rest));
            }
            _ => return Err(odd()),
        }
    }
    let mut view = log::looked(run, holding, found, values).ok_or_else(damaged)?;
    (view.age, view.ledger) = (age, ledger);
    view.idle = idle.filter(|_| holding == Holding::Free);
    Ok(Some(view).filter(|view| !view.slots.is_empty() || matches!(holding, Holding::Held { .. })))
}

/// Why the log of a session is no more, from who holds the run now.
#[cold]
pub(super) fn why_lost(holder: &Value, token: &str) -> StoreError {
    let Value::Array(about) = holder else { return odd() };
    StoreError::new(match about.as_slice() {
        [Value::BulkString(_), Value::BulkString(holder)] if holder == token.as_bytes() => StoreErrorKind::Gone,
        [Value::BulkString(_), _] => StoreErrorKind::Fenced,
        _ => StoreErrorKind::Gone,
    })
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::BulkString(bytes)) => String::from_utf8(bytes).ok(),
        Some(Value::SimpleString(text)) => Some(text),
        _ => None,
    }
}

fn busy_for(left: &Value) -> Result<Duration, StoreError> {
    match left {
        Value::Int(left) => Ok(Duration::from_millis(u64::try_from(*left).unwrap_or_default())),
        _ => Err(odd()),
    }
}

#[cold]
fn foreign(format: Option<Value>) -> StoreError {
    match text(format).filter(|format| !format.is_empty()) {
        Some(format) => error::of(
            StoreErrorKind::Foreign,
            format_args!("the run has format {format}, not {}: use the program that wrote it", script::FORMAT),
        ),
        None => {
            error::of(StoreErrorKind::Foreign, "another program has a hash under the run's key: choose another prefix")
        }
    }
}

#[cold]
fn damaged() -> StoreError {
    error::of(StoreErrorKind::Foreign, "the log of the run has something in it that no store wrote")
}

#[cold]
pub(super) fn odd() -> StoreError {
    error::of(StoreErrorKind::Unavailable, "the server's answer is none that it could give")
}

#[cold]
pub(super) fn unknown(settings: &Settings) -> StoreError {
    let detail = format_args!(
        "never begun, or expired: the server keeps a run for {:?} after its last checkpoint",
        settings.ttl
    );
    error::of(StoreErrorKind::UnknownRun, detail)
}
