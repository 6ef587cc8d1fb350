//! How one execution of a pipeline ended, and what it took.

use core::{fmt, time::Duration};

use crate::{budget::Usd, run::RunId};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunStatus {
    /// To its end, in one go.
    Completed,
    /// To its end, with something taken over from an earlier attempt at the same run.
    Resumed,
    /// Stopped short: a resume goes on from there once the cause is gone.
    Partial,
    /// A terminal failure: the same run would fail again.
    Failed,
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completed => "COMPLETED",
            Self::Resumed => "RESUMED",
            Self::Partial => "PARTIAL",
            Self::Failed => "FAILED",
        })
    }
}

/// What a run spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Spent {
    /// Tokens, in and out together; zero for a runner without an account.
    pub tokens: u64,
    /// Money; zero for a runner without an account.
    pub cost: Usd,
    /// How many of the tokens have no price, since their model has none: `cost` is without them.
    pub unpriced_tokens: u64,
    /// Wall time by the runner's clock, waits included; zero for a runner without a clock. Where account is kept, it is that of
    /// all parts of a resumed run together, without the time while it was down.
    pub time: Duration,
}

impl Spent {
    /// Nothing.
    pub(crate) const NONE: Self = Self { tokens: 0, cost: Usd::ZERO, unpriced_tokens: 0, time: Duration::ZERO };
}

/// What is known of a run when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The run's id: with it the run can be resumed.
    pub run_id: RunId,
    /// How it ended.
    pub status: RunStatus,
    /// What it spent.
    pub spent: Spent,
    /// How many nodes were not run because their output was in the store.
    pub restored: u16,
}
