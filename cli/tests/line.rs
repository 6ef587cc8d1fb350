//! The command line: where the store is, what makes no sense, completions, and no password anywhere.

mod support;

use support::{file, program, said, stroma};
use tempfile::tempdir;

const SECRET: &str = "hunter2";

#[test]
fn the_store_may_be_said_by_the_environment() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "")]);
    let place = path.to_str().unwrap();
    for args in [&["show", "--json", "r"][..], &["list", "--json"], &["export", "r"]] {
        let said = said(program().env("STROMA_STORE", place).args(args).output().unwrap());
        assert_eq!(said.json()["run"], "r", "{args:?}");
    }
    // What is said counts more.
    let said = said(program().env("STROMA_STORE", "/nowhere").args(["show", "--json", place, "r"]).output().unwrap());
    assert_eq!(said.json()["run"], "r");
}

#[test]
fn what_makes_no_sense_ends_with_two() {
    for args in [
        &["list"][..],
        &["show", "r"],
        &["show"],
        &["list", "http:/x", "y", "z"],
        &["list", "redis://["],
        &["list", "x", "--state", "asleep"],
        &["follow", "x", "r", "--every", "1"],
        &["nonsense"],
    ] {
        let said = stroma(args);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{args:?}: {said:?}");
        assert!(!said.err.is_empty());
    }
}

#[test]
fn forgetting_asks_first() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "")]);
    let place = path.to_str().unwrap();
    let said = stroma(["forget", place, "r"]);
    assert_eq!((said.code, said.err.contains("--yes")), (2, true), "{said:?}");
    assert_eq!(stroma(["show", place, "r"]).code, 0);
    assert_eq!(stroma(["forget", "--yes", "--json", place, "r"]).json()["forgotten"], true);
}

#[test]
fn no_password_is_printed() {
    let url = format!("redis://somebody:{SECRET}@127.0.0.1:1/0");
    let socket = format!("unix:///nowhere/redis.sock?user=somebody&pass={SECRET}");
    for place in [&url, &socket] {
        for args in [
            &["list", place][..],
            &["show", place, "r"],
            &["export", place, "r"],
            &["follow", place, "r"],
            &["forget", "--yes", place, "r"],
            &["list", "x", place],
            &["show", "a", "b", place],
            &["list", &format!("--stat={place}")],
            &["list", &format!("redis://:{SECRET}@[")],
        ] {
            let said = stroma(args);
            assert_ne!(said.code, 0, "{args:?}");
            assert!(!format!("{said:?}").contains(SECRET), "{args:?}: {said:?}");
        }
        for args in [&["--help"][..], &["list", "--help"], &["list"], &["show", "r"], &["list", "--what"]] {
            let said = said(program().env("STROMA_STORE", place).args(args).output().unwrap());
            assert!(!format!("{said:?}").contains(SECRET), "{args:?}: {said:?}");
        }
    }
}

#[test]
fn help_says_what_it_ends_with() {
    let help = stroma(["--help"]);
    assert_eq!(help.code, 0);
    for words in ["Exit status:", "there is no such run", "somebody has the run", "STROMA_STORE"] {
        assert!(help.out.contains(words), "{words}\n{}", help.out);
    }
    for command in ["list", "show", "follow", "export", "forget", "completions"] {
        assert!(help.out.contains(command));
        assert_eq!(stroma([command, "--help"]).code, 0);
    }
}

#[test]
fn each_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stroma(["completions", shell]);
        assert_eq!((script.code, script.err.as_str()), (0, ""));
        for word in ["follow", "forget", "prefix"] {
            assert!(script.out.contains(word), "{shell} knows no {word}");
        }
    }
}

#[test]
fn colours_are_for_who_asks_for_them() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "")]);
    let list = |name: &str, value: &str| {
        said(program().env(name, value).args(["list".as_ref(), path.as_os_str()]).output().unwrap()).out
    };
    assert!(list("CLICOLOR_FORCE", "1").contains("\u{1b}[32mfinished\u{1b}[0m"));
    assert!(!list("NO_COLOR", "1").contains('\u{1b}'));
}
