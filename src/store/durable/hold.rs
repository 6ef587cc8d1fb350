//! Room for what only a store that waits can need.

use core::marker::PhantomData;

/// Room for a value that may have to wait, or no room at all.
#[allow(unreachable_pub, reason = "it bounds a type of a public trait, and nobody outside has to name it")]
pub trait Hold<T>: Default {
    /// Keeps the value.
    ///
    /// # Errors
    /// Gives it back where there is no room.
    fn keep(&mut self, value: T) -> Result<(), T>;

    /// Takes the value out.
    fn take(&mut self) -> Option<T>;

    /// Whether a value is kept.
    fn is_held(&self) -> bool;
}

impl<T> Hold<T> for Option<T> {
    fn keep(&mut self, value: T) -> Result<(), T> {
        *self = Some(value);
        Ok(())
    }

    fn take(&mut self) -> Option<T> {
        Option::take(self)
    }

    fn is_held(&self) -> bool {
        self.is_some()
    }
}

/// No room.
#[derive(Debug)]
pub struct Nothing<T>(PhantomData<fn() -> T>);

impl<T> Default for Nothing<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Hold<T> for Nothing<T> {
    #[inline(always)]
    fn keep(&mut self, value: T) -> Result<(), T> {
        Err(value)
    }

    #[inline(always)]
    fn take(&mut self) -> Option<T> {
        None
    }

    #[inline(always)]
    fn is_held(&self) -> bool {
        false
    }
}
