//! The stops that are no error of a node's own.

use core::{fmt, time::Duration};

use crate::{contract::Direction, failure::FailureClass};

/// Which node failed, in which attempt, and what that means.
#[derive(Debug, Clone, Copy, Default)]
pub struct Info {
    pub(crate) node: Option<&'static str>,
    pub(crate) attempt: u32,
    pub(crate) class: Option<FailureClass>,
}

/// A stop that is not a node's own error. Small, since every poll may return one.
#[derive(Debug, Clone, Copy)]
pub struct Halt {
    pub(crate) why: Why,
    pub(crate) info: Info,
}

impl Halt {
    pub(crate) fn new(why: Why) -> Self {
        Self { why, info: Info::default() }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::TimedOut { limit } => write!(f, "an attempt took longer than its time-out of {limit:?}"),
            Why::Deadline { limit } => write!(f, "it took longer than its deadline of {limit:?}"),
            Why::Cancelled => f.write_str("a spawned node was cancelled"),
            Why::Panicked => f.write_str("a spawned node panicked"),
            Why::BrokenInput => f.write_str("the input broke its contract"),
            Why::BrokenOutput => f.write_str("the output broke its contract"),
            Why::Store => f.write_str("the store failed"),
            Why::Budget => f.write_str("a limit of the budget is reached"),
            Why::Account => f.write_str("what was spent cannot be booked"),
        }
    }
}

/// The reasons of a [`Halt`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why {
    TimedOut {
        limit: Duration,
    },
    Deadline {
        limit: Duration,
    },
    /// Its runtime was shut down.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "only nodes on tokio's pool are cancelled"))]
    Cancelled,
    /// The run knows what it said.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "only nodes on tokio's pool catch panics"))]
    Panicked,
    /// An input did not pass a check. The run knows what is wrong with it. (Two reasons without fields, since one more with a
    /// field of its own would cost every poll some copying.)
    BrokenInput,
    /// An output did not.
    BrokenOutput,
    /// The session knows what went wrong.
    Store,
    /// The account knows which limit is reached.
    Budget,
    /// The account knows what cannot be booked.
    Account,
}

impl Why {
    /// The class of an attempt that failed so; a store that failed is no attempt.
    pub(crate) fn class(self) -> FailureClass {
        match self {
            Self::TimedOut { .. } | Self::Deadline { .. } | Self::Cancelled | Self::Store | Self::Budget => {
                FailureClass::Recoverable
            }
            Self::Panicked | Self::BrokenInput | Self::BrokenOutput | Self::Account => FailureClass::Terminal,
        }
    }

    /// Which side of a contract was broken, if one was.
    pub(crate) fn broken(self) -> Option<Direction> {
        match self {
            Self::BrokenInput => Some(Direction::Input),
            Self::BrokenOutput => Some(Direction::Output),
            _ => None,
        }
    }

    /// Whether it is a node's attempt that failed, so that another attempt can make sense.
    pub(crate) fn is_attempt(self) -> bool {
        !matches!(self, Self::Store | Self::Cancelled | Self::Budget | Self::Account)
    }
}
