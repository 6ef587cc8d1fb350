//! The macros of `stroma`. Use them through that crate, with its feature `derive`: their documentation, with examples, is there.
//!
//! Each expands to what one would write by hand, and names nothing that the program has not depended on by `stroma` already.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod failure;
mod state;

use proc_macro::TokenStream;

// The documentation is where these are shown to users: `src/failure/derive.rs` and `src/state.rs` of `stroma`.
#[allow(missing_docs)]
#[proc_macro_derive(Failure, attributes(failure))]
pub fn derive_failure(input: TokenStream) -> TokenStream {
    failure::expand(input.into()).into()
}

#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn state(words: TokenStream, item: TokenStream) -> TokenStream {
    state::expand(words.into(), item.into()).into()
}
