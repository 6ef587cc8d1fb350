//! The example `digest` as its users meet it: the built program, real files, and a real SIGKILL.
#![cfg(all(unix, feature = "redb", feature = "tokio", feature = "json"))]
// It is the user of a program, and has the standard library.
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

#[path = "support/example.rs"]
mod example;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use stroma::{
    RunId,
    store::{Access, Begun, RedbStore, Store},
};
use tempfile::TempDir;

use crate::example::program;

/// A folder with texts, and another one for what the program keeps.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.write(
            "a.md",
            "# Storing\n\nThe store keeps each checkpoint. A checkpoint is small.\n\n## Again\n\nIt goes on.\n",
        );
        desk.write(
            "b.rs",
            "//! Counts.\n\n/// Counts the words of a text.\npub fn count(text: &str) -> usize {\n    0\n}\n",
        );
        desk.write("sub/c.txt", "One line of the text.\nAnother line of the text.\n");
        desk.write("sub/picture.png", "no text");
        desk
    }

    fn texts(&self) -> PathBuf {
        // As the program sees it: the temporary folder of macOS is behind a link.
        self.folder.path().canonicalize().unwrap().join("texts")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("texts").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.texts().join(name)
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("digest.redb")
    }

    /// Runs the program on `what`, with checkpoints of this `name`.
    fn run(&self, name: &str, what: &[&Path], options: &[&str]) -> Ran {
        let mut command = Command::new(program("digest"));
        command.args(options).arg("--state").arg(self.state(name)).args(what).current_dir(self.folder.path());
        command.into()
    }

    /// Runs the program on the folder.
    fn digest(&self, name: &str, options: &[&str]) -> Ran {
        self.run(name, &[&self.texts()], options)
    }

    /// All the JSON that a run has written, by the name of the file.
    fn json(&self, name: &str) -> BTreeMap<String, String> {
        let Ok(folder) = fs::read_dir(self.state(name).with_extension("")) else { return BTreeMap::new() };
        let files = folder.map(|file| {
            let path = file.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        });
        // The draft of a writer that was killed is nobody's.
        files.filter(|(name, _)| !name.starts_with('.')).collect()
    }

    fn report(&self, name: &str) -> Value {
        serde_json::from_str(&self.json(name)["report.json"]).unwrap()
    }
}

struct Ran {
    code: Option<i32>,
    signal: Option<i32>,
    out: String,
    err: String,
}

impl From<Command> for Ran {
    fn from(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), signal: status.signal(), out: text(stdout), err: text(stderr) }
    }
}

impl Ran {
    #[track_caller]
    fn says(&self, what: &str) -> &Self {
        // Where a line is broken depends on how long the times in it are.
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat(&self.out).contains(what) || flat(&self.err).contains(what),
            "{what}\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    fn ends_with(&self, code: i32) -> &Self {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}\n{}", self.out, self.err);
        self
    }
}

fn paths(report: &Value) -> Vec<&str> {
    report["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect()
}

#[test]
fn a_folder_is_digested_and_what_is_finished_is_not_done_again() {
    let desk = Desk::new();
    let first = desk.digest("state", &[]);
    first.ends_with(0).says("3 files").says("3 digested").says("Storing").says("checkpoint");
    first.says("read -> (words | readability | outline) -> rank -> assemble -> write").says("report.json");
    assert!(first.err.is_empty() && !first.out.contains('\x1b'), "{}", first.err);

    let report = desk.report("state");
    assert_eq!(paths(&report), ["a.md", "b.rs", "sub/c.txt"].map(|name| desk.texts().join(name).display().to_string()));
    assert_eq!(report["files"][0]["outline"]["title"], "Storing");
    assert_eq!(report["files"][0]["words"]["total"], 14);
    let json = desk.json("state");
    assert_eq!(json.len(), 4, "{:?}", json.keys());

    desk.digest("state", &[])
        .ends_with(0)
        .says("3 unchanged")
        .says("21 of 21 steps were checkpointed and not run again");
    assert_eq!(desk.json("state"), json);
}

#[test]
fn killed_after_any_node_the_same_command_goes_on() {
    let desk = Desk::new();
    desk.digest("undisturbed", &[]).ends_with(0);
    let undisturbed = desk.json("undisturbed");

    let refused = desk.digest("refused", &["--kill-after", "nobody"]);
    refused.ends_with(2);
    let (_, nodes) = refused.err.lines().next().unwrap().split_once("the nodes are ").unwrap();
    let nodes: Vec<&str> = nodes.split(", ").collect();
    assert_eq!(nodes.len(), 7, "{nodes:?}");
    assert!(!desk.state("refused").exists());

    for node in nodes {
        let options = ["--jobs", "2", "--kill-after", node];
        let killed = desk.digest(node, &options);
        assert_eq!(killed.signal, Some(9), "{node}: {}\n{}", killed.out, killed.err);
        assert!(!desk.json(node).contains_key("report.json"), "{node}");

        let again = desk.digest(node, &options);
        again.ends_with(0).says("not run again");
        // What was checkpointed is named, with its count.
        let line = again.out.split_once("steps were checkpointed and not run again: ").unwrap().1;
        let line = line.split_once("\nJSON").unwrap().0.replace(char::is_whitespace, "");
        assert!(line.contains(&format!("{node}1")) || line.contains(&format!("{node}2")), "{node}: {}", again.out);
        assert_eq!(desk.json(node), undisturbed, "{node}");

        // Now there is nothing left to be killed after.
        desk.digest(node, &options).ends_with(0).says("nothing was killed");
    }
}

#[test]
fn each_kill_leaves_less_to_do() {
    let desk = Desk::new();
    // `--fresh` is not what the note of the last kill is for, so each of these dies.
    let fresh = ["--fresh", "--jobs", "1", "--kill-after", "assemble"];
    assert_eq!(desk.digest("state", &fresh).signal, Some(9));
    assert_eq!(desk.digest("state", &fresh).signal, Some(9));
    // Another node is another command.
    assert_eq!(desk.digest("state", &["--jobs", "1", "--kill-after", "write"]).signal, Some(9));
    desk.digest("state", &["--jobs", "1"]).ends_with(0).says("2 digested, 1 unchanged");
}

#[test]
fn what_cannot_be_digested_does_not_stop_the_others() {
    let desk = Desk::new();
    desk.write("empty.txt", "");
    desk.write("blank.md", " \n\t\n");
    desk.write("latin.txt", b"caf\xe9");
    let (one, two) = (desk.texts().join("one"), desk.texts().join("two"));
    std::os::unix::fs::symlink(&one, &two).unwrap();
    std::os::unix::fs::symlink(&two, &one).unwrap();
    let through_a_file = desk.texts().join("a.md/b");
    let ran = desk.run("state", &[&desk.texts(), &desk.texts().join("missing.md"), &one, &through_a_file], &[]);

    ran.ends_with(1).says("9 files").says("3 digested, 6 failed");
    let failed: Vec<&str> = ran.err.lines().collect();
    assert_eq!(failed.len(), 6, "{failed:?}");
    for (name, why) in [
        ("blank.md", "it is empty"),
        ("empty.txt", "it is empty"),
        ("latin.txt", "it is not UTF-8: "),
        ("missing.md", "it cannot be read: No such file"),
        ("one", "it cannot be read: "),
        ("a.md/b", "it cannot be read: Not a directory"),
    ] {
        let line = failed.iter().find(|line| line.contains(&format!("/{name}: "))).unwrap();
        assert!(line.starts_with("failed ") && line.contains(why) && line.contains("node `read`"), "{line}");
    }
    let report = desk.report("state");
    assert_eq!(paths(&report).len(), 3);
    assert_eq!(report["problems"].as_array().unwrap().len(), 6);

    // Once it is mended, it is digested; nothing else is done again.
    desk.write("latin.txt", "café");
    desk.run("state", &[&desk.texts().join("latin.txt"), &desk.texts().join("a.md")], &[])
        .ends_with(0)
        .says("1 begun anew")
        .says("1 unchanged");
}

#[test]
fn a_file_that_may_not_be_read_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let secret = desk.write("secret.txt", "Nobody may read this.");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&secret).is_ok() {
        // Root may read everything.
        return;
    }
    desk.digest("state", &[]).ends_with(1).says("it cannot be read: Permission denied").says("3 digested, 1 failed");
}

#[test]
fn only_what_has_changed_is_done_again() {
    let desk = Desk::new();
    desk.digest("state", &[]).ends_with(0);
    let before = desk.json("state");

    desk.write("b.rs", "//! Counts much better now.\n");
    desk.digest("state", &[]).ends_with(0).says("1 begun anew").says("2 unchanged");
    assert_eq!(desk.report("state")["files"][1]["outline"]["title"], "Counts much better now.");

    // A finished run has an effect outside the store, and sees to it that it is still there.
    let lost = before.keys().find(|name| name.starts_with("a.md-")).unwrap();
    fs::remove_file(desk.state("state").with_extension("").join(lost)).unwrap();
    desk.digest("state", &[])
        .ends_with(0)
        .says("2 unchanged")
        .says("1 taken from the checkpoints and their JSON written again");
    assert_eq!(desk.json("state")[lost], before[lost]);

    desk.digest("state", &["--fresh"]).ends_with(0).says("3 digested");
    let elsewhere = desk.folder.path().join("elsewhere");
    desk.digest("state", &["--json", elsewhere.to_str().unwrap()]).ends_with(0).says("3 taken from the checkpoints");
    assert_eq!(fs::read_to_string(elsewhere.join(lost)).unwrap(), before[lost]);
}

#[test]
fn a_file_that_another_process_has_is_left_to_it() {
    let desk = Desk::new();
    let path = desk.texts().join("a.md");
    let id =
        RunId::from(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("file://{}", path.display()).as_bytes()));
    let store = RedbStore::open(desk.state("state")).unwrap();
    let pool = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let session = match store.open(&id, Access::Create) {
        Begun::Done(session) => session,
        Begun::Pending(opening) => pool.block_on(opening),
    };
    let session = session.unwrap();
    for options in [&[][..], &["--fresh"]] {
        let ran = desk.digest("state", options);
        ran.ends_with(1).says("1 left to another process").says("busy texts/a.md: another process is digesting it");
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
    drop(session);
    desk.digest("state", &[]).ends_with(0).says("1 digested, 2 unchanged");
}

#[test]
fn everything_has_a_place_of_its_own_when_nothing_is_said() {
    let desk = Desk::new();
    let state = desk.folder.path().join("state");
    let run = |options: &[&str]| {
        let mut command = Command::new(program("digest"));
        // The repository: what cargo says it is.
        command.env("CARGO_MANIFEST_DIR", desk.texts()).env("XDG_STATE_HOME", &state).args(options);
        Ran::from(command)
    };
    run(&["--long"]).ends_with(0).says("── a.md ──").says("3 digested");
    assert!(state.join("stroma/digest.redb").is_file() && state.join("stroma/digest/report.json").is_file());
    let quiet = run(&["--quiet"]);
    quiet.ends_with(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    run(&["--jobs", "0"]).ends_with(2);
    // A folder is no file for checkpoints.
    let texts = desk.texts();
    run(&["--state", texts.to_str().unwrap()]).ends_with(1).says("is a folder: name a file in it");
    run(&["--help"]).ends_with(0).says("--kill-after <NODE>");
}
