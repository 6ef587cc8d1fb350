//! A store put to every clause of its contract.

mod bench;
mod of_ledger;
mod of_runs;
mod of_slots;
mod parties;
mod property;
mod subject;

use alloc::{boxed::Box, format, string::ToString};

use tokio::runtime::{Builder, Runtime};

use crate::store::{Session, Store};
use bench::{Bench, Held};

pub use property::{Breach, Property};
pub use subject::{Limits, Subject, Suite};

/// Puts a store to one clause.
///
/// It is what [`conformance!`](macro@crate::testing::conformance) does in each of its tests, and makes a tokio runtime of one thread for it.
/// The clause [`Threads`](Property::Threads) asks more of the store's types, see [`check_threads`].
///
/// ```
/// use stroma::store::HeapStore;
/// use stroma::testing::{Property, check};
///
/// check(Property::OneHolder, &HeapStore::new)?;
/// # Ok::<(), stroma::testing::Breach>(())
/// ```
///
/// # Errors
/// When it does not hold, with what the store did instead.
pub fn check(property: Property, subject: &impl Subject) -> Result<(), Breach> {
    judge(property, |runtime| {
        let place = subject.place();
        // On the heap from the start: a store without a heap is large, and so is whatever it is in.
        let held = Box::pin(async {
            match property {
                Property::Reopens => return parties::reopens(subject, &place).await,
                Property::Shared => return parties::shared(subject, &place).await,
                _ => {}
            }
            let store = Box::new(subject.open(&place).await);
            let bench = Bench { store: &*store, limits: subject.limits() };
            match property {
                Property::OneHolder => of_runs::one_holder(&bench).await,
                Property::GivenBack => of_runs::given_back(&bench).await,
                Property::OpeningDropped => of_runs::opening_dropped(&bench).await,
                Property::UnknownRun => of_runs::unknown_run(&bench).await,
                Property::Traceless => of_runs::no_trace(&bench).await,
                Property::PutIsThere => of_slots::put_is_there(&bench).await,
                Property::KeysApart => of_slots::keys_apart(&bench).await,
                Property::RunsApart => of_runs::runs_apart(&bench).await,
                Property::Missing => of_slots::missing(&bench).await,
                Property::LedgerKept => of_ledger::ledger_kept(&bench).await,
                Property::EmptyLedger => of_ledger::empty_ledger(&bench).await,
                Property::LastLedger => of_ledger::last_ledger(&bench).await,
                Property::PutDropped => of_slots::put_dropped(&bench).await,
                Property::PutFailed => of_slots::put_failed(&bench).await,
                Property::Discard => of_slots::discard(&bench).await,
                Property::DiscardDropped => of_slots::discard_dropped(&bench).await,
                Property::Forget => of_runs::forget(&bench).await,
                Property::Agrees => of_slots::agrees(&bench).await,
                Property::Sizes => of_slots::sizes(&bench).await,
                Property::Slots => of_slots::slots(&bench).await,
                Property::Runs => of_runs::runs(&bench).await,
                Property::Finished => of_runs::finished(&bench).await,
                // These have ended above, or are asked for with `check_threads`.
                Property::Reopens | Property::Shared | Property::Threads => {
                    Err("nothing: `check_threads` is what asks for this".to_string())
                }
            }
        });
        let limit = subject.limits().time;
        runtime.block_on(async {
            match tokio::time::timeout(limit, held).await {
                Ok(held) => held,
                Err(_) => Err(format!("left a future without an answer for {limit:?}")),
            }
        })
    })
}

/// Puts a store to the clause [`Threads`](Property::Threads). That its sessions and futures are `Send` the compiler checks.
///
/// ```
/// use stroma::store::HeapStore;
///
/// stroma::testing::check_threads(&HeapStore::new)?;
/// # Ok::<(), stroma::testing::Breach>(())
/// ```
///
/// # Errors
/// When it does not hold, with what the store did instead.
pub fn check_threads<T: Subject>(subject: &T) -> Result<(), Breach>
where
    T::Store: Send + Sync + 'static,
    for<'a> <T::Store as Store>::Session<'a>: Send + Session<Writing: Send, Reading: Send>,
    for<'a> <T::Store as Store>::Opening<'a>: Send,
    for<'a> <T::Store as Store>::Forgetting<'a>: Send,
{
    judge(Property::Threads, |runtime| {
        let place = subject.place();
        let store = Box::new(runtime.block_on(subject.open(&place)));
        parties::threads(&Bench { store: &*store, limits: subject.limits() }, runtime)
    })
}

fn judge(property: Property, ask: impl FnOnce(&Runtime) -> Held) -> Result<(), Breach> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("nothing: there is no runtime to ask it in: {error}"))
        .and_then(|runtime| ask(&runtime))
        .map_err(|did| Breach::new(property, did))
}

/// Puts stores to every clause of the contract of [`Store`], each in a `#[test]` of its own.
///
/// A module is made for each store. After `=` stands how a store is made: a closure, or a [`Suite`]. After
/// `:` stands what the store claims beyond the contract, parted by `+`:
///
/// - `threads`: its sessions and futures are `Send`, and work in several threads at once.
/// - `reopens`: what was saved outlives the store, and is there when one is opened in the same place.
/// - `shared`: several stores may be open in one place at the same time.
///
/// `reopens` and `shared` want a place that outlives the store, which a [`Suite`] has. Nothing else
/// is needed: no runtime, no attribute. All checks do the same each time, so whatever fails fails again.
///
/// ```
/// use stroma::store::HeapStore;
///
/// stroma::testing::conformance! {
///     mod heap: threads = || HeapStore::new();
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    ($(mod $name:ident $(: $first:ident $(+ $claim:ident)*)? = $subject:expr);+ $(;)?) => {
        $(
            mod $name {
                $crate::__conformance! { @tests $subject;
                    one_holder OneHolder, given_back GivenBack, opening_dropped OpeningDropped, unknown_run UnknownRun,
                    no_trace Traceless, put_is_there PutIsThere, keys_apart KeysApart, runs_apart RunsApart, missing Missing,
                    ledger_kept LedgerKept, empty_ledger EmptyLedger, last_ledger LastLedger, put_dropped PutDropped,
                    put_failed PutFailed, discard Discard, discard_dropped DiscardDropped, forget Forget, agrees Agrees,
                    sizes Sizes, slots Slots, runs Runs, finished Finished
                }
                $($crate::__conformance! { @$first $subject } $($crate::__conformance! { @$claim $subject })*)?
            }
        )+
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "`conformance!` wants, for each store, `mod name = how_it_is_made;` or `mod name: claim + claim = how_it_is_made;`, \
             where the claims are `threads`, `reopens` and `shared`"
        );
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! __conformance {
    (@tests $subject:expr; $($test:ident $property:ident),+) => {
        $(
            #[test]
            fn $test() -> ::core::result::Result<(), $crate::testing::Breach> {
                // In here, so that what is around the macro may have the names of the tests.
                #[allow(unused_imports, reason = "the closure may name nothing of what is around it")]
                use super::*;
                $crate::testing::check($crate::testing::Property::$property, &$subject)
            }
        )+
    };
    (@reopens $subject:expr) => {
        $crate::__conformance! { @tests $subject; reopens Reopens }
    };
    (@shared $subject:expr) => {
        $crate::__conformance! { @tests $subject; shared Shared }
    };
    (@threads $subject:expr) => {
        #[test]
        fn threads() -> ::core::result::Result<(), $crate::testing::Breach> {
            #[allow(unused_imports, reason = "the closure may name nothing of what is around it")]
            use super::*;
            $crate::testing::check_threads(&$subject)
        }
    };
    (@$claim:ident $subject:expr) => {
        ::core::compile_error!(::core::concat!(
            "`", ::core::stringify!($claim), "` is no claim of `conformance!`: these are `threads`, `reopens` and `shared`"
        ));
    };
}

#[doc(inline)]
pub use conformance;
