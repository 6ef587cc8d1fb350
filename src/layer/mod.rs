//! Nodes that wrap one other node.

mod budget;
mod checkpoint;
mod contract;
mod deadline;
mod retry;
mod step;
mod timeout;
mod write_ahead;

pub use budget::Budgeted;
pub use checkpoint::{Inner, Leaf, Skipped, Stored};
#[cfg(feature = "json")]
pub(crate) use contract::broken;
pub use contract::{Checking, Ensure, Require};
pub use deadline::Deadline;
pub use retry::{FromStart, Inherit, NoRetry, Once, Repeatable};
pub use step::{Policy, Step};
pub use timeout::{Unlimited, Within};
pub use write_ahead::WriteAhead;
