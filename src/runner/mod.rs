//! Running a pipeline: what a user holds.

mod builder;
mod caps;
mod outcome;
mod run;

pub use builder::{Build, BuildError, Builder};
#[cfg(feature = "tokio")]
pub use caps::Quick;
pub use caps::{Caps, NoContext};
pub use outcome::{Cause, Completed, Halted};
pub use run::{Resumable, Run, Runner};
