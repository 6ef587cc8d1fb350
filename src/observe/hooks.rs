//! Functions of the user's that see every attempt.

use core::{fmt, time::Duration};

use super::{Attempt, Ended, Reason, Record, Tracer};
use crate::{
    failure::FailureClass,
    report::{Report, Spent},
    text::Text,
};

/// What a user wants to be told of each attempt at a node that takes an `In`, yields an `Out` and fails with an `Er`.
///
/// One implementation is generic over the types that it does not look at, and has bounds on those that it does. Several hooks
/// are a tuple; they are called in order. A hook is lent what it sees and returns nothing, so it cannot change the run; one that
/// panics is left out for that once, where the program unwinds (feature `std`).
///
/// A hook is called on the run's own task: what takes long belongs elsewhere, as `EventStream` (feature `tokio`) does it.
///
/// ```
/// use std::{fmt::Display, sync::atomic::{AtomicU32, Ordering}};
/// use stroma::{Attempt, Failed, Hooks, Runner, node};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
///
/// #[derive(Default)]
/// struct Count {
///     attempts: AtomicU32,
/// }
///
/// impl<In, Out, Er: Display> Hooks<In, Out, Er> for &Count {
///     fn on_start(&self, _: Attempt<'_>, _: Option<&In>) {
///         self.attempts.fetch_add(1, Ordering::Relaxed);
///     }
///
///     fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
///         eprintln!("{}, attempt {}: {failed}", at.node, at.attempt);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let count = Count::default();
/// let runner = Runner::quick(node("double", double)).with_hooks(&count).build()?;
/// runner.run(3).await.unwrap();
/// assert_eq!(count.attempts.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no hook for a node that takes `{In}`, yields `{Out}` and fails with `{Er}`",
    label = "the hooks of this runner see every one of its nodes",
    note = "`impl<In, Out, Er> stroma::Hooks<In, Out, Er> for {Self}` sees all; a bound in it, such as `Out: Debug`, has to hold for \
            all nodes"
)]
pub trait Hooks<In, Out, Er> {
    /// An attempt begins. There is no input where a node of one's own kind goes on from what the store holds.
    fn on_start(&self, at: Attempt<'_>, input: Option<&In>) {
        let _ = (at, input);
    }

    /// An attempt succeeded; its output is about to be checkpointed.
    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        let _ = (at, succeeded);
    }

    /// An attempt failed; whether there will be another one is decided after this.
    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        let _ = (at, failed);
    }

    /// An attempt was cut short, because a sibling failed or the time of something around it was over.
    fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
        let _ = (at, spent);
    }

    /// Whether a panic is caught within it already, as that of one of several is.
    #[doc(hidden)]
    const GUARDED: bool = false;
}

/// What a hook is told of an attempt that succeeded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Succeeded<'a, Out> {
    /// What it yielded.
    pub output: &'a Out,
    /// What it spent, its time included.
    pub spent: Spent,
}

impl<Out> Clone for Succeeded<'_, Out> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Out> Copy for Succeeded<'_, Out> {}

/// What a hook is told of an attempt that failed. Shown as text it says why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failed<'a, Er> {
    /// What the failure means.
    pub class: FailureClass,
    /// The node's own error, or `None` where it failed for another reason, such as a time-out.
    pub error: Option<&'a Er>,
    /// What it spent, its time included.
    pub spent: Spent,
    reason: &'a str,
}

impl<Er> Clone for Failed<'_, Er> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Er> Copy for Failed<'_, Er> {}

impl<Er: fmt::Display> fmt::Display for Failed<'_, Er> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            Some(error) => error.fmt(f),
            None => f.write_str(self.reason),
        }
    }
}

impl<Er> Failed<'_, Er> {
    /// Why the attempt failed, where it was not the node's own error; else nothing.
    pub fn reason(&self) -> &str {
        self.reason
    }
}

macro_rules! tuples {
    ($($name:ident $at:tt),+) => {
        #[diagnostic::do_not_recommend]
        impl<In, Out, Er, $($name: Hooks<In, Out, Er>),+> Hooks<In, Out, Er> for ($($name,)+) {
            const GUARDED: bool = true;

            #[inline]
            fn on_start(&self, at: Attempt<'_>, input: Option<&In>) {
                $(call::<In, Out, Er, $name>(|| self.$at.on_start(at, input));)+
            }

            #[inline]
            fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
                $(call::<In, Out, Er, $name>(|| self.$at.on_success(at, succeeded));)+
            }

            #[inline]
            fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
                $(call::<In, Out, Er, $name>(|| self.$at.on_failure(at, failed));)+
            }

            #[inline]
            fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
                $(call::<In, Out, Er, $name>(|| self.$at.on_cut_short(at, spent));)+
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, F 4);
tuples!(A 0, B 1, C 2, D 3, F 4, G 5);
tuples!(A 0, B 1, C 2, D 3, F 4, G 5, H 6);
tuples!(A 0, B 1, C 2, D 3, F 4, G 5, H 6, I 7);

/// Calls a hook, guarded unless what is in it is.
#[inline(always)]
fn call<In, Out, Er, H: Hooks<In, Out, Er>>(hook: impl FnOnce()) {
    if H::GUARDED { hook() } else { guarded(hook) }
}

/// Calls a hook; one that panics does not take the run with it.
#[cfg(feature = "std")]
#[inline(always)]
fn guarded(hook: impl FnOnce()) {
    // What a hook keeps is its own; whether it is whole after a panic is asked by its own locks.
    let _ = std::panic::catch_unwind(core::panic::AssertUnwindSafe(hook));
}

/// Calls a hook; without `std` a panic is the end of the program.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn guarded(hook: impl FnOnce()) {
    hook();
}

/// Hooks as an observer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hooked<H>(pub(crate) H);

/// When an attempt began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Since(Duration);

impl Since {
    /// What an attempt spent, with the time that it took.
    #[inline(always)]
    fn spent(self, ended: &Ended<'_>) -> Spent {
        Spent { time: ended.now.saturating_sub(self.0), ..ended.spent }
    }
}

impl<H> Tracer for Hooked<H> {
    type Log = ();
    type Visit = ();
    type Mark = Since;
    type Finished = ();

    const ENABLED: bool = true;
    const TIMED: bool = true;

    #[inline(always)]
    fn finish(&self, (): (), _: Option<&Report>, _: Duration) {}
}

impl<In, Out, Er, H: Hooks<In, Out, Er>> Record<In, Out, Er> for Hooked<H> {
    #[inline(always)]
    fn started(&self, (): &mut (), at: Attempt<'_>, (): &(), now: Duration, input: Option<&In>) -> Since {
        call::<In, Out, Er, H>(|| self.0.on_start(at, input));
        Since(now)
    }

    #[inline(always)]
    fn succeeded(&self, (): &mut (), ended: Ended<'_>, mark: &mut Since, output: &Out) {
        let succeeded = Succeeded { output, spent: mark.spent(&ended) };
        call::<In, Out, Er, H>(|| self.0.on_success(ended.at, succeeded));
    }

    fn failed<W: fmt::Display>(
        &self,
        (): &mut (),
        ended: Ended<'_>,
        mark: &mut Since,
        class: FailureClass,
        why: Reason<'_, Er, W>,
    ) {
        let (error, reason) = match why {
            Reason::Error(error) => (Some(error), Text::empty()),
            Reason::Halt(halt) => (None, Text::<96>::of(halt)),
        };
        let failed = Failed { class, error, spent: mark.spent(&ended), reason: reason.as_str() };
        call::<In, Out, Er, H>(|| self.0.on_failure(ended.at, failed));
    }

    #[inline(always)]
    fn cut_short(&self, (): &mut (), ended: Ended<'_>, mark: &mut Since) {
        call::<In, Out, Er, H>(|| self.0.on_cut_short(ended.at, mark.spent(&ended)));
    }
}
