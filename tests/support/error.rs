//! An error of each class, and what any error says.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{fmt, time::Duration};

use stroma::{Failure, FailureClass};

/// An error of each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oops {
    /// Recoverable.
    Busy,
    /// Ambiguous.
    Odd,
    /// Terminal.
    Bad,
    /// Recoverable, and asks to be left alone for so long.
    Later(Duration),
}

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the line is busy"),
            Self::Odd => f.write_str("something odd came back"),
            Self::Bad => f.write_str("the key is refused"),
            Self::Later(wait) => write!(f, "come back in {wait:?}"),
        }
    }
}

impl std::error::Error for Oops {}

impl Failure for Oops {
    fn class(&self) -> FailureClass {
        match self {
            Self::Busy | Self::Later(_) => FailureClass::Recoverable,
            Self::Odd => FailureClass::Ambiguous,
            Self::Bad => FailureClass::Terminal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Later(wait) => Some(*wait),
            _ => None,
        }
    }
}

/// An error that is its text. Recoverable, but for `never`, which is terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppError(pub(crate) &'static str);

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for AppError {}

impl Failure for AppError {
    fn class(&self) -> FailureClass {
        if self.0 == "never" { FailureClass::Terminal } else { FailureClass::Recoverable }
    }
}

/// The whole chain of an error's texts.
pub(crate) fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}
