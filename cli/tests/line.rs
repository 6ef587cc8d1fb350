//! The command line: where the store is, what makes no sense, completions, and no password anywhere.

mod support;

use stroma::store::RedbStore;
use support::{Told, execute, file, program, said, stroma, wait};
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
        &["list", "x", "--prefix", "of a server"],
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
        let help = stroma([command, "--help"]);
        assert_eq!(help.code, 0);
        assert_eq!(help.out.contains("Exit status:"), command != "completions", "{command}");
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

#[test]
#[cfg(unix)]
fn what_is_no_text_is_a_path_or_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let odd = OsStr::from_bytes(b"odd\xff.redb");
    let folder = tempdir().unwrap();
    let path = folder.path().join(odd);
    assert!(wait(execute(RedbStore::open(&path).unwrap(), "r", Told::to_fail(""))));
    assert_eq!(stroma(["list".as_ref(), "--json".as_ref(), path.as_os_str()]).json()["run"], "r");
    let by_name = said(program().env("STROMA_STORE", &path).args(["list", "--json"]).output().unwrap());
    assert_eq!(by_name.json()["run"], "r");
    for args in [&["show".as_ref(), path.as_os_str(), odd][..], &["list".as_ref(), odd], &[odd]] {
        let said = stroma(args);
        assert!(matches!(said.code, 1 | 2), "{said:?}");
        assert!(!said.err.is_empty() && !said.err.contains("panicked"), "{said:?}");
    }
}

#[test]
fn what_is_said_again_does_not_reach_the_terminal_as_it_is() {
    for args in [
        &["show", "x", "a\u{1b}[31mb\u{1b}]0;title\u{7}"][..],
        &["show", "x", "--a\u{1b}[2J\u{202e}"],
        &["\u{1b}[2Jlist"],
        &["list", "x\u{1b}[2J\u{9b}2J"],
        &["list", "--json", "--state", "\u{1b}[2J\u{202e}"],
    ] {
        // As on a terminal, where colours are wanted.
        let said = said(program().env("CLICOLOR_FORCE", "1").args(args).output().unwrap());
        assert!(matches!(said.code, 1 | 2), "{said:?}");
        let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.err.contains(odd), "{args:?}: {said:?}");
    }
}

#[test]
fn a_password_in_the_wrong_place_is_not_printed() {
    let (before, behind) = SECRET.split_at(3);
    for args in [
        &["follow", "x", "r", &format!("--every=redis://:{SECRET}@h")][..],
        &["list", "--state", &format!("redis://:{before},{behind}@h")],
        &["list", &format!("redis:user:{SECRET}@h")],
        &["list", &format!("redis:/user:{SECRET}@h")],
        &["list", &format!("user:{SECRET}@h:6379")],
        &["list", &format!("redis://user:{before}?{behind}@h")],
        // A path, as far as it goes.
        &["list", &format!("user:{before}/{behind}@h")],
        &["list", "x", &format!("user:{SECRET}@h")],
        &["list", "x", "--state", &format!("user:{before},{behind}@h")],
        &["list", &format!("redis://user:{SECRET}@h/database")],
        &["list", &format!("redis://h/?protocol={SECRET}")],
        // The run and the store in the wrong order.
        &["show", "--", &format!("redis://:{SECRET}@h"), &format!("redis://:{SECRET}@h")],
    ] {
        for json in [false, true] {
            let mut args = args.to_vec();
            if json {
                args.insert(1, "--json");
            }
            let said = stroma(&args);
            assert_ne!(said.code, 0, "{args:?}");
            for part in [SECRET, before, behind] {
                assert!(!format!("{said:?}").contains(part), "{args:?}: {said:?}");
            }
        }
    }
}

#[test]
fn the_id_of_a_run_is_said_whole() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "")]);
    let place = path.to_str().unwrap();
    for command in ["show", "follow", "export"] {
        let said = stroma([command, place, "user:42@eu"]);
        assert!(said.err.starts_with("stroma: there is no run `user:42@eu`: "), "{said:?}");
    }
    // Neither is it taken for a password where something else makes no sense, nor where it is what makes none.
    let said = stroma(["show", "--wide", place, "user:42@eu"]);
    assert!(said.err.contains("unexpected argument '--wide'"), "{said:?}");
    let long = format!("user:{}@eu", "4".repeat(64));
    let said = stroma(["show", place, &long]);
    assert!(said.code == 2 && said.err.contains(&long), "{said:?}");
}

#[test]
fn why_a_url_is_none_is_said() {
    for (url, why) in [
        ("redis://0.0.0.0/1", "wildcard address"),
        ("redis://host/database", "Invalid database number"),
        (&format!("redis://user:{SECRET}@host/database"), "(Invalid database number)"),
        ("rediss://host/#unsafe", "only #insecure is supported"),
    ] {
        let said = stroma(["list", url]);
        assert!(said.code == 2 && said.err.contains(why) && !said.err.contains(SECRET), "{said:?}");
    }
}

#[test]
fn an_error_is_json_too() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "")]);
    let place = path.to_str().unwrap();
    for (args, status, kind) in [
        (&["list", "/nowhere"][..], 1, "unavailable"),
        (&["list", folder.path().to_str().unwrap()], 1, "failed"),
        (&["list", "--state", "asleep"], 2, "usage"),
        (&["list"], 2, "usage"),
        (&["forget", place, "r"], 2, "usage"),
        (&["show", place, "x"], 3, "unknown-run"),
        (&["follow", place, "x"], 3, "unknown-run"),
        (&["export", place, "x"], 3, "unknown-run"),
        (&["forget", "--yes", place, "x"], 3, "unknown-run"),
    ] {
        let said = stroma([args, &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&said.err).unwrap();
        assert_eq!(
            (said.code, &error["error"]["status"], &error["error"]["kind"]),
            (status, &status.into(), &kind.into())
        );
        assert!(error["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{said:?}");
        assert_eq!(said.out, "");
    }
    // `--json` may be what a run is called.
    assert!(stroma(["show", place, "--", "--json"]).err.starts_with("stroma: there is no run `--json`"));
}

#[test]
fn several_runs_are_forgotten_or_none() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("a", ""), ("b", "end"), ("c", ""), ("d", "")]);
    let place = path.to_str().unwrap();
    let left = || stroma(["list", "--json", place]).objects().len();
    assert_eq!(stroma(["forget", "--yes", place, "a", "b", "x"]).code, 3);
    assert_eq!(stroma(["forget", place, "a", "b"]).code, 2);
    assert_eq!(left(), 4);
    let forgotten = stroma(["forget", "--yes", place, "b", "a", "b"]);
    assert_eq!((forgotten.code, forgotten.out.as_str()), (0, "forgotten: b\nforgotten: a\n"), "{forgotten:?}");
    assert_eq!(left(), 2);
    // The first of two is the store, whatever the environment says: nothing is forgotten by a slip.
    let slip = said(program().env("STROMA_STORE", place).args(["forget", "--yes", "c", "d"]).output().unwrap());
    assert_eq!(slip.code, 1, "{slip:?}");
    assert_eq!(left(), 2);
    assert_eq!(stroma(["forget", "--yes", "--json", place, "c", "d"]).objects().len(), 2);
    assert_eq!(left(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_who_listens_is_no_reason_to_panic() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "")]);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let list = |place: &str| {
        let mut command = program();
        command.args(["list", place]).stderr(full());
        command
    };
    assert_eq!(list("/nowhere").output().unwrap().status.code(), Some(1));
    assert_eq!(list(path.to_str().unwrap()).output().unwrap().status.code(), Some(0));
    let cannot = said(program().args(["list".as_ref(), path.as_os_str()]).stdout(full()).output().unwrap());
    assert_eq!(cannot.code, 1);
    assert!(cannot.err.contains("cannot write"), "{cannot:?}");
    // Who reads no further has all that was wanted.
    for args in [&["list"][..], &["export", "--", "r"], &["list", "--json"]] {
        let mut command = program();
        command
            .env("STROMA_STORE", &path)
            .args(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn bash_completes_by_its_script() {
    use std::process::Command;

    if Command::new("bash").arg("--version").output().is_err() {
        return;
    }
    let script = stroma(["completions", "bash"]).out;
    let completed = |words: &[&str]| {
        let (last, count) = (words[words.len() - 1], words.len() - 1);
        let ask = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={count}; _stroma stroma '{last}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words[count - 1],
        );
        said(Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap()).out
    };
    assert_eq!(completed(&["stroma", "fo"]), "follow forget\n");
    assert_eq!(completed(&["stroma", "list", "--st"]), "--state\n");
    assert_eq!(completed(&["stroma", "list", "--state", "h"]), "halted\n");
}
