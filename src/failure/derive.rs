//! `#[derive(Failure)]`, and what it calls.

use core::time::Duration;

/// Writes [`Failure`](trait@crate::Failure) for a struct or an enum, by a word on it or on each variant. Feature `derive`.
///
/// | `#[failure(..)]` | |
/// |---|---|
/// | `recoverable`, `ambiguous`, `terminal` | the class; on an enum that of the variants that say nothing themselves. Without any it is ambiguous, as everywhere |
/// | `transparent` | class and wait are those of the error in the only field |
/// | `transparent = source` | those of the error in this field, where there are several |
/// | `retry_after = wait` | how long to wait is in this field, a `Duration` or an `Option<Duration>`. A field without a name goes by its number |
/// | `crate = path` | on the type: where this crate is, if not at `::stroma` |
///
/// `transparent` asks what it has inside through the same trait, so that wrapping an error of [those that have
/// it](trait@crate::Failure#errors-of-others) is one line. It has nothing to do with `#[error(transparent)]`, which is about the text;
/// both may stand on one variant.
///
/// ```
/// use core::time::Duration;
/// use stroma::{Failure, FailureClass};
///
/// #[derive(Debug, thiserror::Error, Failure)]
/// #[failure(terminal)]
/// enum AppError {
///     #[error("too many requests")]
///     #[failure(recoverable, retry_after = wait)]
///     Throttled { wait: Option<Duration> },
///     #[error("`{path}` cannot be read")]
///     #[failure(transparent = source)]
///     File { path: String, source: std::io::Error },
///     #[error("the key is refused")]
///     BadKey,
///     #[error("the answer makes no sense")]
///     #[failure(ambiguous)]
///     Odd,
/// }
///
/// let throttled = AppError::Throttled { wait: Some(Duration::from_secs(3)) };
/// assert_eq!(throttled.class(), FailureClass::Recoverable);
/// assert_eq!(throttled.retry_after(), Some(Duration::from_secs(3)));
///
/// let source = std::io::ErrorKind::TimedOut.into();
/// assert_eq!(AppError::File { path: "notes".into(), source }.class(), FailureClass::Recoverable);
/// assert_eq!(AppError::BadKey.class(), FailureClass::Terminal);
/// assert_eq!(AppError::Odd.class(), FailureClass::Ambiguous);
/// ```
///
/// # Expansion
/// What one would write. For the type above:
///
/// ```
/// # use core::time::Duration;
/// # use stroma::{Failure, FailureClass};
/// # enum AppError { Throttled { wait: Option<Duration> }, File { path: String, source: std::io::Error }, BadKey, Odd }
/// impl Failure for AppError {
///     fn class(&self) -> FailureClass {
///         match self {
///             Self::Throttled { .. } => FailureClass::Recoverable,
///             Self::File { source, .. } => source.class(),
///             Self::BadKey => FailureClass::Terminal,
///             Self::Odd => FailureClass::Ambiguous,
///         }
///     }
///
///     fn retry_after(&self) -> Option<Duration> {
///         match self {
///             Self::Throttled { wait } => *wait,
///             Self::File { source, .. } => source.retry_after(),
///             _ => None,
///         }
///     }
/// }
/// ```
///
/// A type parameter gets a bound only where it is asked: `#[failure(transparent)] struct Named<E>(E)` has `where E: Failure`.
pub use stroma_macros::Failure;

/// A field that says how long to wait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how long to wait",
    label = "named by `retry_after`, and neither a `Duration` nor an `Option<Duration>`",
    note = "make the field a `core::time::Duration`, or an `Option` of one where it may be unknown"
)]
pub trait RetryAfter {
    /// The time, where it is known.
    fn time(&self) -> Option<Duration>;
}

#[diagnostic::do_not_recommend]
impl RetryAfter for Duration {
    fn time(&self) -> Option<Duration> {
        Some(*self)
    }
}

#[diagnostic::do_not_recommend]
impl RetryAfter for Option<Duration> {
    fn time(&self) -> Option<Duration> {
        *self
    }
}

/// What the field says; a function, so that a field of another type is an error about that field.
pub fn retry_after<T: RetryAfter>(field: &T) -> Option<Duration> {
    field.time()
}
