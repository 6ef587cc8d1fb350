//! What a check of a value says, and what is told of a value that did not pass.

use core::{error::Error, fmt};

use crate::text::Words;

/// What is wrong with a value, and where in it.
///
/// A check returns it where a message alone does not say enough:
///
/// ```
/// use stroma::Violation;
///
/// fn positive(prices: &Vec<i64>) -> Result<(), Violation> {
///     match prices.iter().position(|price| *price <= 0) {
///         Some(at) => Err(Violation::new("must be positive").at(format_args!("prices[{at}]"))),
///         None => Ok(()),
///     }
/// }
///
/// let violation = positive(&vec![3, -1]).unwrap_err();
/// assert_eq!((violation.path(), violation.message()), ("prices[1]", "must be positive"));
/// assert_eq!(violation.to_string(), "at `prices[1]`: must be positive");
/// ```
///
/// Its texts are on one line: control characters are escaped. Without `alloc` each is cut at 40 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    path: Words,
    message: Words,
}

impl Violation {
    /// What is wrong with the value as a whole.
    #[cold]
    pub fn new(message: impl fmt::Display) -> Self {
        Self { path: Words::none(), message: Words::of(message) }
    }

    /// Says where in the value it is, such as `items[2].price`.
    #[must_use]
    pub fn at(mut self, path: impl fmt::Display) -> Self {
        self.path = Words::of(path);
        self
    }

    /// Where in the value it is; empty for the value as a whole.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        self.message.as_str()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            "" => f.write_str(self.message()),
            path => write!(f, "at `{path}`: {}", self.message()),
        }
    }
}

impl Error for Violation {}

/// Which side of a node a value was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What it takes.
    Input,
    /// What it yields.
    Output,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// A value that did not pass a check: what is in [`Cause::Contract`](crate::Cause::Contract).
///
/// Which node it was is in [`Halted::node`](crate::Halted::node).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContractViolation {
    /// Whether it was the input or the output.
    pub direction: Direction,
    /// What is wrong with it.
    pub violation: Violation,
}

impl ContractViolation {
    pub(crate) const fn new(direction: Direction, violation: Violation) -> Self {
        Self { direction, violation }
    }
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, violation } = self;
        match violation.path() {
            "" => write!(f, "the {direction} broke its contract: {violation}"),
            _ => write!(f, "the {direction} broke its contract {violation}"),
        }
    }
}

/// What a check returns: `bool`, or a `Result` that says what is wrong: in a `&'static str`, with `alloc` in a `String`, or in a
/// [`Violation`], which also says where.
#[diagnostic::on_unimplemented(
    message = "a check says whether a value is as it has to be, and `{Self}` does not say that",
    label = "the check returns `{Self}`",
    note = "a check returns `bool`, or what is wrong: `Result<(), &'static str>`, `Result<(), String>`, or `Result<(), Violation>` \
            with where it is"
)]
pub trait Verdict {
    /// An `X`. While it is not known that this is a verdict, neither is the type of what depends on it, so that the one error is
    /// at the check.
    type Is<X>;

    /// Says so.
    #[doc(hidden)]
    fn is<X>(it: X) -> Self::Is<X>;

    /// What is wrong, if anything is.
    ///
    /// # Errors
    /// With what is wrong.
    fn told(self) -> Result<(), Violation>;
}

macro_rules! verdicts {
    ($($verdict:ty: $this:ident => $told:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl Verdict for $verdict {
            type Is<X> = X;

            #[inline(always)]
            fn is<X>(it: X) -> X {
                it
            }

            #[inline(always)]
            fn told(self) -> Result<(), Violation> {
                let $this = self;
                $told
            }
        }
    )*};
}

verdicts! {
    bool: this => if this { Ok(()) } else { Err(Violation::new("it did not pass its check")) };
    Result<(), &'static str>: this => this.map_err(Violation::new);
    Result<(), Violation>: this => this;
}

#[cfg(feature = "alloc")]
verdicts! {
    Result<(), alloc::string::String>: this => this.map_err(Violation::new);
}

/// A check of a `T`: every `Fn(&T)` whose result is a [`Verdict`].
pub trait Check<T> {
    /// What is wrong with the value, if anything is.
    ///
    /// # Errors
    /// With what is wrong.
    fn check(&self, value: &T) -> Result<(), Violation>;
}

#[diagnostic::do_not_recommend]
impl<T, F, V> Check<T> for F
where
    F: Fn(&T) -> V,
    V: Verdict,
{
    #[inline(always)]
    fn check(&self, value: &T) -> Result<(), Violation> {
        self(value).told()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_violation_is_one_line_that_says_where_and_what() {
        let violation = Violation::new("must be\npositive").at("items[2].price");
        let broken = ContractViolation::new(Direction::Output, violation.clone());
        assert_eq!(broken.to_string(), "the output broke its contract at `items[2].price`: must be\\npositive");
        assert_eq!(violation.to_string(), "at `items[2].price`: must be\\npositive");
        let whole = ContractViolation::new(Direction::Input, Violation::new("it is empty"));
        assert_eq!(whole.to_string(), "the input broke its contract: it is empty");
        assert_eq!(std::format!("{:>8}|", Direction::Input), "   input|");
    }

    #[test]
    fn every_form_of_a_verdict_is_understood() {
        let small = |x: &u32| *x < 10;
        let even = |x: &u32| if x.is_multiple_of(2) { Ok(()) } else { Err("it is odd") };
        let placed = |x: &u32| if *x == 4 { Ok(()) } else { Err(Violation::new("it is not 4").at("x")) };
        assert_eq!((small.check(&4), even.check(&4), placed.check(&4)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(small.check(&11), Err(Violation::new("it did not pass its check")));
        assert_eq!(even.check(&11), Err(Violation::new("it is odd")));
        assert_eq!(placed.check(&11).map_err(|violation| violation.path().to_string()), Err("x".to_string()));
    }
}
