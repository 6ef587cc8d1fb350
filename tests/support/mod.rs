//! What the tests of the crate's promises share.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod polling;
pub(crate) mod scripted;
pub(crate) mod slots;
pub(crate) mod slow;
pub(crate) mod spy;
