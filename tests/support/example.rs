//! The program that an example is.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

/// The program of the example `name`, the same one in all of a test file. Cargo builds it, and says where it is: what lies in the
/// target folder may be of yesterday.
pub(crate) fn program(name: &str) -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--example", name, "--message-format", "json", "--manifest-path"]);
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        // What cargo tells a test of its package, the build script of `ring` would take for a change of its own: it would be built
        // anew here, and once more by the next command.
        for (variable, _) in std::env::vars_os() {
            let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
            if variable.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
                cargo.env_remove(variable);
            }
        }
        let built = cargo.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).unwrap();
        let executable = messages.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            (message["target"]["name"] == name).then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        executable.unwrap()
    })
}
