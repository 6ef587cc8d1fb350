//! Puts the map of the memory where the linker looks for it.

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed=build.rs");
    let none = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none");
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if none {
        println!("cargo::rustc-link-search={here}");
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
}
