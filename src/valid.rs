//! Types that know their own rules.

use garde::Validate;

use crate::contract::{Check, Violation};

/// A type with rules of its own: every `garde::Validate` whose context is `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no rules of its own: `.validated()` needs `garde::Validate`",
    label = "`{Self}` does not implement `garde::Validate` with the context `()`",
    note = "`#[derive(garde::Validate)]` on `{Self}`, with a rule or `#[garde(skip)]` on each field",
    note = "for a rule written by hand use `.ensure(|value: &{Self}| ..)`"
)]
pub trait Valid {
    /// What its rules are given. While it is not known that there are rules, this is not known either, nor is the type of what
    /// depends on it, so that there is one error.
    type Context;

    /// The first rule that is broken, and how many more are.
    ///
    /// # Errors
    /// With that.
    fn valid(&self) -> Result<(), Violation>;
}

#[diagnostic::do_not_recommend]
impl<T: Validate<Context = ()>> Valid for T {
    type Context = T::Context;

    fn valid(&self) -> Result<(), Violation> {
        let Err(report) = self.validate() else { return Ok(()) };
        let mut broken = report.iter();
        let Some((path, first)) = broken.next() else { return Ok(()) };
        let violation = match broken.count() {
            0 => Violation::new(first),
            more => Violation::new(format_args!("{first} (and {more} more)")),
        };
        Err(violation.at(path))
    }
}

/// The check of [`Pipeline::validated`](crate::Pipeline::validated).
#[derive(Debug, Clone, Copy, Default)]
pub struct Validated;

impl<T: Valid> Check<T> for Validated {
    #[inline]
    fn check(&self, value: &T) -> Result<(), Violation> {
        value.valid()
    }
}
