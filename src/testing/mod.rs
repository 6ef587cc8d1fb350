//! What a program's own tests want of the library: the conformance suite for a store of one's own, and how to see that a value
//! comes back from its bytes.
//!
//! With feature `testing` there is [`conformance!`], which puts a store to every clause of the contract of
//! [`Store`](crate::store::Store) and [`Session`](crate::store::Session), each in a `#[test]` of its own:
//!
//! ```
//! use stroma::store::HeapStore;
//!
//! stroma::testing::conformance! {
//!     mod my_store = || HeapStore::new();
//! }
//! ```
//!
//! A test that fails says what the store did, what the contract asks, and what it would cost a run. What a store promises
//! beyond the contract is declared, see [`Suite`].

#[cfg(feature = "testing")]
mod conformance;
#[cfg(feature = "testing")]
mod parts;
#[cfg(feature = "testing")]
mod torture;

pub use crate::store::round_trip;
#[cfg(feature = "testing")]
pub use conformance::{Breach, Limits, Property, Subject, Suite, check, check_threads, conformance};
#[cfg(feature = "testing")]
pub use torture::{
    Answer, Broken, End, Life, Promise, Schedule, ScheduleError, Survived, TORTURED_RUN, Torture, Tortured,
    TorturedSession, Watch,
};
