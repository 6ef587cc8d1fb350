//! Every compile error that is promised: one error each, in our words where the compiler lets us.
//!
//! Their texts are those of the compiler in `rust-toolchain.toml`. After a change, `TRYBUILD=overwrite cargo test --test ui` writes
//! them anew; read the difference.
#![cfg(feature = "tokio")]

#[test]
fn what_does_not_fit_is_one_error_that_names_the_cause() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
    #[cfg(feature = "derive")]
    cases.compile_fail("tests/ui/derive/*.rs");
    #[cfg(feature = "garde")]
    cases.compile_fail("tests/ui/garde/*.rs");
}
