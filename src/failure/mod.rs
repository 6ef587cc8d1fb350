//! What a failure means for the run: is it worth another try?

use core::time::Duration;

#[cfg(feature = "derive")]
mod derive;
#[cfg(feature = "alloc")]
mod heap;
#[cfg(feature = "std")]
mod io;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "derive")]
pub use derive::{Failure, RetryAfter, retry_after};

/// How a failure is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureClass {
    /// Likely to pass: a busy server, a lost connection, a time-out.
    Recoverable,
    /// Nobody knows; the default for errors that do not say.
    Ambiguous,
    /// The same again would fail again: bad input, a refused key, a broken contract.
    Terminal,
}

impl core::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Recoverable => "recoverable",
            Self::Ambiguous => "ambiguous",
            Self::Terminal => "terminal",
        })
    }
}

/// What an error says about itself.
///
/// Both methods have a default, so that `impl Failure for AppError {}` is a beginning: everything is ambiguous then. With feature
/// `derive`, `#[derive(Failure)]` writes an `impl` such as this from a word on each variant:
///
/// ```
/// use core::time::Duration;
/// use stroma::{Failure, FailureClass};
///
/// #[derive(Debug)]
/// enum AppError {
///     Throttled { wait: Duration },
///     BadKey,
///     Other,
/// }
///
/// impl Failure for AppError {
///     fn class(&self) -> FailureClass {
///         match self {
///             Self::Throttled { .. } => FailureClass::Recoverable,
///             Self::BadKey => FailureClass::Terminal,
///             Self::Other => FailureClass::Ambiguous,
///         }
///     }
///
///     fn retry_after(&self) -> Option<Duration> {
///         match self {
///             Self::Throttled { wait } => Some(*wait),
///             _ => None,
///         }
///     }
/// }
/// # assert_eq!(AppError::Other.class(), FailureClass::Ambiguous);
/// # assert_eq!(AppError::BadKey.retry_after(), None);
/// ```
///
/// # Errors of others
/// `std::io::Error` says it by itself (feature `std`), and so do `serde_json::Error` (`json`), `reqwest::Error` (`reqwest`),
/// `redis::RedisError` (`redis`), tokio's `Elapsed` and `JoinError` (`tokio`): what each says is below, at its `impl`. An error in a
/// `Box` or an `Arc` says what it says outside of it. A runner's classifiers are asked before any of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what its failures mean",
    label = "a runner that retries or reports asks every error for its class",
    note = "`impl stroma::Failure for {Self} {{}}` makes all of them ambiguous; its method `class` tells them apart, and \
            `#[derive(stroma::Failure)]` of feature `derive` writes it",
    note = "what is not a type of yours, such as `String` or `Box<dyn Error>`, goes into one that is"
)]
pub trait Failure {
    /// The class of this failure; ambiguous unless it says otherwise.
    fn class(&self) -> FailureClass {
        FailureClass::Ambiguous
    }

    /// How long the other side asked to be left alone, such as HTTP's `Retry-After`. It wins over a computed back-off.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl Failure for core::convert::Infallible {}

/// Where a failure happened: what a classifier sees beside the error.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FailedAttempt<'a> {
    /// The node's id.
    pub node: &'static str,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// The run.
    pub run_id: &'a crate::run::RunId,
}

impl<'a> FailedAttempt<'a> {
    pub(crate) const fn new(node: &'static str, attempt: u32, run_id: &'a crate::run::RunId) -> Self {
        Self { node, attempt, run_id }
    }
}

/// Something that classifies errors before they are asked themselves.
///
/// A closure `Fn(&E, &FailedAttempt<'_>) -> Option<FailureClass>` is one; `None` leaves it to the next.
#[diagnostic::on_unimplemented(
    message = "a classifier of this runner is not for `{E}`, with which its nodes fail",
    label = "its classifiers are asked about every `{E}`",
    note = "a classifier is a closure `|error: &{E}, at: &FailedAttempt<'_>| -> Option<FailureClass>`"
)]
pub trait Classifier<E> {
    /// The class of `error`, or `None` for no opinion.
    fn classify(&self, error: &E, at: &FailedAttempt<'_>) -> Option<FailureClass>;
}

impl<E, F> Classifier<E> for F
where
    F: Fn(&E, &FailedAttempt<'_>) -> Option<FailureClass>,
{
    fn classify(&self, error: &E, at: &FailedAttempt<'_>) -> Option<FailureClass> {
        self(error, at)
    }
}

/// The classifier of a runner that was given none: it leaves every error to its own [`Failure`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ByFailure;

impl<E> Classifier<E> for ByFailure {
    #[inline(always)]
    fn classify(&self, _: &E, _: &FailedAttempt<'_>) -> Option<FailureClass> {
        None
    }
}

/// Two classifiers, asked in order.
#[derive(Debug, Clone, Copy)]
pub struct FirstOf<A, B>(pub(crate) A, pub(crate) B);

impl<E, A: Classifier<E>, B: Classifier<E>> Classifier<E> for FirstOf<A, B> {
    fn classify(&self, error: &E, at: &FailedAttempt<'_>) -> Option<FailureClass> {
        self.0.classify(error, at).or_else(|| self.1.classify(error, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunId;

    #[test]
    fn classifiers_are_asked_in_order() {
        let id = RunId::from_u128(1);
        let at = FailedAttempt::new("n", 2, &id);
        let first = |e: &u8, _: &FailedAttempt<'_>| (*e == 1).then_some(FailureClass::Terminal);
        let second = |_: &u8, at: &FailedAttempt<'_>| (at.attempt == 2).then_some(FailureClass::Recoverable);
        let both = FirstOf(first, second);
        assert_eq!(both.classify(&1, &at), Some(FailureClass::Terminal));
        assert_eq!(both.classify(&2, &at), Some(FailureClass::Recoverable));
        assert_eq!(both.classify(&2, &FailedAttempt::new("n", 1, &id)), None);
        assert_eq!(Classifier::<u8>::classify(&ByFailure, &2, &at), None);
    }
}
