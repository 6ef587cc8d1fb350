//! The chain that `benches/compile/run` has written.
#![allow(missing_debug_implementations)]

#[cfg(feature = "chain")]
include!(env!("STROMA_CHAIN"));
