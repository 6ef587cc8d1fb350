//! Running a pipeline: what a user holds.

#[cfg(feature = "std")]
mod any;
mod build;
mod builder;
mod caps;
mod outcome;
mod phase;
mod poll;
mod prepare;
mod replay;
mod run;

#[cfg(feature = "std")]
pub use any::{AnyRunner, RunResult};
pub use build::{Build, BuildError, NodeIdText};
pub use builder::Builder;
#[cfg(feature = "tokio")]
pub use caps::Quick;
pub use caps::{Caps, NoContext};
pub use outcome::{Cause, Completed, Halted, PanicMessage};
#[cfg(all(feature = "std", feature = "json"))]
pub use replay::{Replay, ReplayEnv, ReplayError, Replayed};
pub use run::{Resumable, Run, Runner};
