//! What a server says when it cannot, and what that means for a run.

use alloc::string::{String, ToString};
use core::{fmt, time::Duration};

use ::redis::{ErrorKind, RedisError, ServerError};

use crate::store::{StoreError, StoreErrorKind};

/// What to do about an answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Asking again can do no good.
    Final(StoreError),
    /// The connection is no good, or leads to a server that is not the right one any more: make another.
    Reconnect(StoreError),
    /// The server is there, but cannot do it yet.
    Wait(StoreError),
    /// The server has lost its scripts: give them to it again.
    Scripts,
}

impl Trouble {
    /// Why, for whoever waited too long.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Final(error) | Self::Reconnect(error) | Self::Wait(error) => error,
            Self::Scripts => of(StoreErrorKind::Unavailable, "the server loses its scripts as soon as it has them"),
        }
    }
}

/// What an error in a reply means.
#[cold]
pub(super) fn refused(error: &ServerError) -> Trouble {
    let said = said(error.code(), error.details().unwrap_or_default());
    match said.code {
        "NOSCRIPT" => Trouble::Scripts,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Trouble::Final(of(StoreErrorKind::Denied, said)),
        "WRONGTYPE" => Trouble::Final(of(StoreErrorKind::Foreign, said)),
        "OOM" | "MISCONF" => Trouble::Wait(of(StoreErrorKind::Exhausted, said)),
        "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "NOREPLICAS" => {
            Trouble::Wait(of(StoreErrorKind::Unavailable, said))
        }
        // Of two servers of which one takes over from the other, the name may lead to the other by now.
        "READONLY" | "MASTERDOWN" | "UNBLOCKED" => Trouble::Reconnect(of(StoreErrorKind::Unavailable, said)),
        "MOVED" | "ASK" => Trouble::Final(of(
            StoreErrorKind::Unavailable,
            format_args!("{said}: a cluster is spoken to through a proxy; the keys of a run are of one slot"),
        )),
        _ => Trouble::Final(of(StoreErrorKind::Unavailable, said)),
    }
}

/// What a failure to connect, or to get an answer at all, means.
#[cold]
pub(super) fn lost(error: &RedisError) -> Trouble {
    match error.kind() {
        ErrorKind::AuthenticationFailed => Trouble::Final(of(StoreErrorKind::Denied, error)),
        ErrorKind::InvalidClientConfig => Trouble::Final(of(StoreErrorKind::Misconfigured, error)),
        ErrorKind::Server(_) | ErrorKind::Extension => {
            let code = error.code().unwrap_or("ERR");
            match refused_by(code, error.detail().unwrap_or_default()) {
                Trouble::Scripts => Trouble::Reconnect(of(StoreErrorKind::Unavailable, error)),
                // While nothing was asked yet, whatever can be waited for is waited for on a new connection.
                Trouble::Wait(error) => Trouble::Reconnect(error),
                other => other,
            }
        }
        ErrorKind::Parse => Trouble::Reconnect(of(
            StoreErrorKind::Unavailable,
            format_args!("what answers at this address does not speak the protocol of Redis: {error}"),
        )),
        _ => Trouble::Reconnect(of(StoreErrorKind::Unavailable, error)),
    }
}

fn refused_by(code: &str, detail: &str) -> Trouble {
    let said = said(code, detail);
    match said.code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Trouble::Final(of(StoreErrorKind::Denied, said)),
        _ => Trouble::Reconnect(of(StoreErrorKind::Unavailable, said)),
    }
}

/// No answer came for so long.
#[cold]
pub(super) fn silent(waited: Duration) -> StoreError {
    of(StoreErrorKind::Unavailable, format_args!("no answer for {waited:?}"))
}

#[cold]
pub(super) fn of(kind: StoreErrorKind, detail: impl fmt::Display) -> StoreError {
    StoreError::with_detail(kind, detail)
}

/// The code and the words of a refusal.
struct Said<'s> {
    code: &'s str,
    words: String,
}

/// Before Redis 7 an error inside of a script came as `ERR Error running script (..): .. OOM command not allowed ..`.
fn said<'s>(code: &'s str, words: &'s str) -> Said<'s> {
    const INSIDE: [&str; 7] = ["WRONGTYPE", "OOM", "MISCONF", "READONLY", "NOREPLICAS", "MASTERDOWN", "NOPERM"];
    let inside = (code == "ERR" && words.contains("script"))
        .then(|| {
            INSIDE
                .into_iter()
                .find(|inside| words.split_ascii_whitespace().any(|word| word.trim_start_matches('-') == *inside))
        })
        .flatten();
    // Which line of which script it was is of no use to the reader.
    let words = words.split(" script: ").next().unwrap_or(words);
    Said { code: inside.unwrap_or(code), words: words.to_string() }
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server says {}", self.code)?;
        if self.words.is_empty() { Ok(()) } else { write!(f, ": {}", self.words) }
    }
}
