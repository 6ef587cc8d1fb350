//! What a program's own tests want of the library: the conformance suite for a store of one's own, the torture kit for a pipeline
//! of one's own, and how to see that a value comes back from its bytes.
//!
//! # A store
//! With feature `testing` there is `conformance!`, which puts a store to every clause of the contract of
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
//! beyond the contract is declared, see `Suite`.
//!
//! # A pipeline
//! With feature `testing` there is `Torture`, which kills a run and lets its store fail at every boundary, and compares what comes of
//! it with the undisturbed run:
//!
//! ```
//! use stroma::{prelude::*, store::HeapStore, testing::{Broken, Torture}};
//! # async fn fetch(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
//! # async fn parse(x: u32) -> Result<u32, std::io::Error> { Ok(x + 1) }
//!
//! fn my_pipeline_bears_anything() -> Result<(), Broken> {
//!     Torture::on(HeapStore::new).run(async |life| {
//!         let pipeline = node("fetch", fetch).then(node("parse", parse));
//!         let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
//!         life.run(&runner, 3).await
//!     })?;
//!     Ok(())
//! }
//! # my_pipeline_bears_anything().unwrap();
//! ```
//!
//! A test that returns a `Broken` prints the shortest schedule of faults that breaks a promise, and how to see it again:
//!
//! ```text
//! the promise `same_output` does not hold
//!   what happened: its output is 3, and undisturbed it is 2
//!   it is asked that the output is that of the undisturbed run; a node may run again until its output is saved, so what it does
//!                    outside of the pipeline has to bear that
//!   shortest schedule, of 43 that were tried: op 4 die-before
//!   again: STROMA_TORTURE="op 4 die-before", or .replay("op 4 die-before", ..)
//!   as it was found: STROMA_TORTURE="op 4 die-before"
//! ```

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
