//! An error that is kept on the heap means what it means outside of it.

use alloc::boxed::Box;
#[cfg(target_has_atomic = "ptr")]
use alloc::sync::Arc;
use core::time::Duration;

use super::{Failure, FailureClass};

#[diagnostic::do_not_recommend]
impl<E: Failure + ?Sized> Failure for Box<E> {
    fn class(&self) -> FailureClass {
        E::class(self)
    }

    fn retry_after(&self) -> Option<Duration> {
        E::retry_after(self)
    }
}

#[cfg(target_has_atomic = "ptr")]
#[diagnostic::do_not_recommend]
impl<E: Failure + ?Sized> Failure for Arc<E> {
    fn class(&self) -> FailureClass {
        E::class(self)
    }

    fn retry_after(&self) -> Option<Duration> {
        E::retry_after(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Throttled;

    impl Failure for Throttled {
        fn class(&self) -> FailureClass {
            FailureClass::Recoverable
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(7))
        }
    }

    #[test]
    fn a_boxed_error_says_what_it_says_by_itself() {
        fn said(error: impl Failure) -> (FailureClass, Option<Duration>) {
            (error.class(), error.retry_after())
        }
        let plain = said(Throttled);
        assert_eq!(plain, (FailureClass::Recoverable, Some(Duration::from_secs(7))));
        assert_eq!(said(Box::new(Throttled)), plain);
        assert_eq!(said(Box::new(Throttled) as Box<dyn Failure>), plain);
        #[cfg(target_has_atomic = "ptr")]
        assert_eq!(said(Arc::new(Box::new(Throttled))), plain);
    }
}
