//! The program and the file of a `RedbStore`, also while another process executes a run in it.

mod support;

use std::fs;

use serde_json::json;
use stroma::{
    RunId, SlotKind,
    store::{Access, Begun, RedbStore, Session, Store},
};
use support::{Process, Raw, about, be_the_child, file, program, said, stroma, wait};
use tempfile::tempdir;

#[test]
fn child() {
    be_the_child();
}

/// Whatever time it is: a number before a unit is `N`.
fn timeless(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches([';', ',']);
            if ["ms", "s", "min"].contains(&unit) {
                words[at - 1] = "N";
                words[at] = if unit == words[at] { "T" } else { "T," };
            }
            if words[at].len() == 20 && words[at].ends_with('Z') {
                words[at] = "THEN";
            }
        }
        words.join(" ")
    };
    text.lines().map(line).collect()
}

#[test]
fn the_table_has_a_line_for_each_run() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("b done", ""), ("a stopped", "right"), ("invoice 2026/17", "end")]);
    let said = stroma(["list".as_ref(), path.as_os_str()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        timeless(&said.out),
        [
            "RUN STATE DONE NEXT TOKENS COST TIME AGE HOLDER",
            "a stopped halted 2/4 right 20 $0.00 N T N T none for N T",
            "b done finished 4/4 40 $0.00 N T N T none for N T",
            "invoice 2026/17 halted 3/4 end 30 $0.00 N T N T none for N T",
        ],
        "{}",
        said.out,
    );
    // Columns stand under their heads, and there are no colours where nobody sees them.
    let mut lines = said.out.lines();
    let head = lines.next().unwrap();
    for line in lines {
        for column in ["STATE", "DONE", "TOKENS", "COST", "TIME", "AGE", "HOLDER"] {
            let at = head.find(column).unwrap();
            assert_eq!((&line[at - 2..at], line[at..].starts_with(' ')), ("  ", false), "{column}\n{}", said.out);
        }
    }
    assert!(!said.out.contains('\u{1b}'));
    let halted = stroma(["list".as_ref(), path.as_os_str(), "--state".as_ref(), "halted".as_ref()]);
    assert_eq!(halted.out.lines().count(), 3, "{halted:?}");
}

#[test]
fn a_run_is_shown_and_exported_without_its_types() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "right")]);
    let place = path.to_str().unwrap();
    let shown = stroma(about("show", place, "r"));
    assert_eq!(
        timeless(&shown.out),
        [
            "run r",
            "state halted: it was given back before its end",
            "nodes 2 of 4 done: start -> (left | right) -> end",
            "next right",
            "spent 20 tokens, $0.00, N T, 20 of the tokens have no price",
            "age N T, since THEN",
            "holder none for N T",
            "values 3 of 50 B together",
            "to do see to why it halted, then run it again under this id: it goes on with the next node",
            "",
            "NODE KIND BYTES SCHEMA",
            "(the run) input 22 af63ce4c8601d4c2",
            "start output 14 af63ce4c8601d4c2",
            "left output 14 af63ce4c8601d4c2",
        ],
        "{shown:?}",
    );
    let short = stroma(["show", "--json", place, "r"]).json();
    let mut full = stroma(["export", place, "r"]).json();
    assert_eq!(short["slots"][1]["node"], "left");
    assert_eq!(short["slots"][1].get("hex"), None);
    for key in ["run", "state", "done", "nodes", "next", "shape", "pipeline", "values", "bytes"] {
        assert_eq!(short[key], full[key], "{key}");
    }
    assert_eq!(full["pipeline"]["nodes"][0], json!({ "id": "start", "kept": true }));
    let slot = full["slots"][2].take();
    assert_eq!((&slot["node"], &slot["kind"], &slot["intact"]), (&json!("start"), &json!("output"), &json!(true)));
    // What it is, and back again: the library reads what was exported.
    let hex = slot["hex"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    assert_eq!(stroma::store::decode::<u64>(&bytes), Ok(8));
}

#[test]
fn an_export_is_a_whole_file_or_none() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "right")]);
    let place = path.to_str().unwrap();
    let to = folder.path().join("report.json");
    let export = |run: &str, to: &std::path::Path| stroma(["export", place, run, "--output", to.to_str().unwrap()]);
    assert_eq!(export("x", &to).code, 3);
    assert!(!to.exists());
    let exported = export("r", &to);
    assert_eq!((exported.code, exported.out.as_str()), (0, ""), "{exported:?}");
    let saved = fs::read_to_string(&to).unwrap();
    let value: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!((&value["run"], value["slots"].as_array().map(Vec::len)), (&json!("r"), Some(3)));
    assert!(value["exported_by"].as_str().unwrap().starts_with("stroma ") && value["exported_at"].is_string());
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&to).unwrap().permissions()) & 0o777, 0o600);
    // What is there stays, whatever it is.
    for (there, words) in [(&*to, "is there already"), (folder.path(), "is there already")] {
        let refused = export("r", there);
        assert_eq!((refused.code, refused.err.contains(words)), (1, true), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(&to).unwrap(), saved);
    assert_eq!(export("r", &folder.path().join("none/report.json")).code, 1);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|name| ["runs.redb", "runs.redb.holders", "report.json"].iter().any(|it| name == it)),
        "{left:?}"
    );
}

#[test]
#[cfg(unix)]
fn what_an_export_left_that_was_killed_is_in_the_way_of_none() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "right")]);
    let to = folder.path().join("report.json");
    // As in a container, where a program has the same number each time.
    let script = r#"echo left > "$1.$$" && exec "$0" export "$2" r --output "$1""#;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_stroma")]).args([&to, &path]);
    let exported = said(shell.output().unwrap());
    assert_eq!((exported.code, exported.err.as_str()), (0, ""), "{exported:?}");
    assert!(to.exists());
}

#[test]
fn a_run_of_another_process_is_seen_and_not_disturbed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let place = path.to_str().unwrap();
    let mut other = Process::start("child", &path, "live", "end");
    other.wait_for("at end");
    // All but the last, which is in the journal of the other one by now, or on its way from there to the tables.
    let seen = stroma(["show", "--json", place, "live"]).json();
    assert_eq!(
        (&seen["state"], &seen["done"], &seen["next"], &seen["held"]),
        (&json!("running"), &json!(3), &json!(["end"]), &json!(true)),
        "{seen:#}",
    );
    assert_eq!(seen["spent"]["tokens"], 30);
    let listed = stroma(["list", "--json", place]).objects();
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &json!("running")));
    let refused = stroma(["forget", "--yes", place, "live"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("somebody executes run `live`"), "{refused:?}");
    assert_eq!(refused.out, "");
    // However often somebody looks, it is still the other one's.
    other.go_on();
    other.wait_for("done");
    assert_eq!(other.end(), Some(0));
    let seen = stroma(["show", "--json", place, "live"]).json();
    assert_eq!((&seen["state"], &seen["done"], &seen["next"]), (&json!("finished"), &json!(4), &json!([])));
    let forgotten = stroma(["forget", "--yes", place, "live"]);
    assert_eq!((forgotten.code, forgotten.out.as_str()), (0, "forgotten: live\n"), "{forgotten:?}");
    assert_eq!(stroma(["forget", "--yes", place, "live"]).code, 3);
    assert_eq!(stroma(["list", "--json", place]).objects(), [json!(null); 0]);
}

#[test]
fn a_run_of_a_process_that_was_killed_can_be_had() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let place = path.to_str().unwrap();
    let mut other = Process::start("child", &path, "dead", "left,right");
    other.wait_for("at left");
    other.kill();
    // What was saved is seen, though nobody brought it into the tables, and it is left where it is.
    for _ in 0..2 {
        let seen = stroma(["show", "--json", place, "dead"]).json();
        assert_eq!((&seen["state"], &seen["done"]), (&json!("abandoned"), &json!(1)), "{seen:#}");
        assert_eq!(seen["next"], json!(["left", "right"]));
        assert_eq!(seen["held"], false);
    }
    assert!(stroma(["list", place]).out.contains("gone"));
    assert_eq!(stroma(["forget", "--yes", place, "dead"]).code, 0);
    assert_eq!(stroma(["show", place, "dead"]).code, 3);
}

#[test]
fn who_waits_for_a_write_of_another_is_told_once() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let mut other = Process::start("child", &path, "dead", "left");
    other.wait_for("at left");
    other.kill();
    // As one that is stopped in the middle of a write.
    let mut builder = redb::Database::builder();
    builder.set_concurrency_mode(redb::ConcurrencyMode::MultiWriter);
    let database = builder.open(&path).unwrap();
    let write = database.begin_write().unwrap();
    let mut command = program();
    command.args(["follow", "--json", "--every", "10"]).args([path.to_str().unwrap(), "dead"]);
    let mut follows = Process::of_both(command);
    let told = follows.next_line();
    assert!(told.starts_with(r#"{"notice":"#) && told.contains("may be in the middle of a write"), "{told}");
    write.abort().unwrap();
    assert!(follows.next_line().contains(r#""state":"abandoned""#));
    let write = database.begin_write().unwrap();
    // Longer than it takes to be said.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    write.abort().unwrap();
    drop(database);
    assert_eq!(stroma(["forget".as_ref(), "--yes".as_ref(), path.as_os_str(), "dead".as_ref()]).code, 0);
    let last = follows.next_line();
    assert!(last.contains("is no longer there"), "{last}");
    assert_eq!(follows.end(), Some(3));
}

/// What `follow` draws on a terminal, by the program `script`, which is one; without it there is nothing to see.
#[test]
#[cfg(target_os = "linux")]
fn what_is_said_meanwhile_is_not_drawn_over() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let mut other = Process::start("child", &path, "dead", "left");
    other.wait_for("at left");
    other.kill();
    let mut builder = redb::Database::builder();
    builder.set_concurrency_mode(redb::ConcurrencyMode::MultiWriter);
    let database = builder.open(&path).unwrap();
    let follow = format!("'{}' follow --every 10 '{}' dead", env!("CARGO_BIN_EXE_stroma"), path.display());
    let mut script = std::process::Command::new("script");
    if script.arg("--version").output().is_err() {
        return;
    }
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &follow, "/dev/null"]).env("TERM", "xterm").stdin(std::process::Stdio::null());
    script.stdout(std::process::Stdio::piped());
    let mut follows = Process::of(script);
    while !follows.next_line().contains("▸ left") {}
    let write = database.begin_write().unwrap();
    // Whatever was drawn by then, and what is said.
    while !follows.next_line().contains("waiting for the file") {}
    write.abort().unwrap();
    let first = follows.next_line();
    assert!(first.contains("run     dead") && !first.contains("A"), "{first:?}");
    drop(database);
    assert_eq!(stroma(["forget".as_ref(), "--yes".as_ref(), path.as_os_str(), "dead".as_ref()]).code, 0);
    assert_eq!(follows.end(), Some(3));
}

#[test]
fn a_run_is_followed_to_its_end() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let place = path.to_str().unwrap();
    let mut other = Process::start("child", &path, "live", "left,right,end");
    other.wait_for("at left");
    let watch = |json: &[&str]| {
        let mut command = program();
        command.args(["follow", "--every", "10", place, "live"]).args(json).stdout(std::process::Stdio::piped());
        Process::of(command)
    };
    let (mut lines, mut objects) = (watch(&[]), watch(&["--json"]));
    let first = lines.next_line();
    assert!(first.starts_with("running: 1 of 4 done; 10 tokens"), "{first}");
    let first: serde_json::Value = serde_json::from_str(&objects.next_line()).unwrap();
    assert_eq!((&first["state"], &first["done"]), (&json!("running"), &json!(1)));
    other.go_on();
    let left = lines.next_line();
    assert!(left.starts_with("left: saved, 2 of 4 done"), "{left}");
    other.go_on();
    let right = lines.next_line();
    assert!(right.starts_with("right: saved, 3 of 4 done"), "{right}");
    other.go_on();
    let end = lines.next_line();
    assert!(end.starts_with("end: saved, 4 of 4 done"), "{end}");
    assert!(lines.next_line().starts_with("finished: 4 of 4 done; 40 tokens"));
    assert_eq!(lines.end(), Some(0));
    // Changes that come close together may be told as one; the last one is told.
    let last = std::iter::from_fn(|| Some(serde_json::from_str::<serde_json::Value>(&objects.next_line()).unwrap()))
        .find(|object| object["state"] == "finished");
    assert_eq!(last.unwrap()["done"], 4);
    assert_eq!(objects.end(), Some(0));
    other.wait_for("done");
}

#[test]
fn who_follows_a_run_that_is_forgotten_is_told() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "end")]);
    let place = path.to_str().unwrap();
    let mut command = program();
    command.args(["follow", "--every", "10", place, "r"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut follows = Process::of(command);
    assert!(follows.next_line().starts_with("halted: 3 of 4 done"));
    assert_eq!(stroma(["forget", "--yes", place, "r"]).code, 0);
    assert_eq!(follows.end(), Some(3));
}

#[test]
#[cfg(unix)]
fn who_stops_to_follow_is_told_apart_from_an_end() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "end")]);
    let mut command = program();
    command.args(["follow".as_ref(), path.as_os_str(), "r".as_ref()]).stdout(std::process::Stdio::piped());
    let mut follows = Process::of(command);
    assert!(follows.next_line().starts_with("halted: 3 of 4 done"));
    follows.interrupt();
    assert_eq!(follows.end(), Some(130));
}

#[test]
fn nobody_who_reads_what_is_followed_is_told_apart_from_an_end() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("r", "end")]);
    for args in [&["follow"][..], &["follow", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program();
        command.args(args).args([path.as_os_str(), "r".as_ref()]).stdout(writer);
        let ended = command.output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(141), &b""[..]), "{args:?}");
    }
}

#[test]
fn any_id_is_found_and_no_other() {
    let folder = tempdir().unwrap();
    let long = "é".repeat(32);
    let ids = ["*", "r", "r*", "-r", "--json", "a b", "'", "\"", "\\", "$(x)", "\u{202e}gnp", "日本語", &long];
    let runs: Vec<_> = ids.iter().map(|id| (*id, "end")).collect();
    let path = file(folder.path(), &runs);
    let place = path.to_str().unwrap();
    for id in ids {
        let shown = program().args(["show", "--json"]).args([place, "--", id]).output().unwrap();
        assert_eq!(said(shown).json()["run"], id);
    }
    // Nothing turns the line round.
    assert!(!stroma(["list", place]).out.contains('\u{202e}'));
    assert!(stroma(["list", place]).out.contains("\\u{202e}gnp"));
    assert!(!stroma(["list", "--json", place]).out.contains('\u{202e}'));
    assert_eq!(stroma(["forget", "--yes", place, "*"]).code, 0);
    assert_eq!(stroma(["list", "--json", place]).objects().len(), ids.len() - 1);
    for bad in ["", "two\nlines", "\u{1b}[2J", &"x".repeat(65)] {
        let refused = stroma(["show", place, bad]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(!refused.err.contains("\u{1b}[2J"), "{refused:?}");
    }
}

#[test]
fn what_is_no_store_is_said_and_left_as_it_is() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // Looking makes no file, and no folder.
    let absent = at("none/runs.redb");
    for command in ["list", "show", "follow", "export", "forget"] {
        let said = if command == "list" { stroma([command, &absent]) } else { stroma(about(command, &absent, "r")) };
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
        assert!(said.err.contains("is not there"), "{said:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::write(at("text"), "x".repeat(100_000)).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    for (name, words) in [("text", "is no redb database"), ("empty", ""), ("folder", "is a folder")] {
        let said = stroma(["list", &at(name)]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{name}: {said:?}");
        assert!(said.err.contains(words), "{name}: {said:?}");
    }
    assert_eq!(fs::read(at("text")).unwrap().len(), 100_000);
    assert_eq!(fs::read(at("empty")).unwrap().len(), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "no folder of holders came beside them");
}

#[test]
fn looking_leaves_a_file_as_it_is() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("a", ""), ("b", "end")]);
    let place = path.to_str().unwrap();
    let state = || (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    let mut before = state();
    // The store that wrote it may still be closing it, on a thread of its own.
    let settles = (0..100).any(|_| {
        stroma(["list", place]);
        let last = std::mem::replace(&mut before, state());
        last == before
    });
    assert!(settles);
    for args in [&["list"][..], &["list", "--json"], &["show", "b"], &["export", "a"], &["follow", "a"]] {
        assert_eq!(said(program().env("STROMA_STORE", place).args(args).output().unwrap()).code, 0, "{args:?}");
        assert!(state() == before, "{args:?}");
    }
}

#[test]
fn whatever_is_damaged_is_read_or_refused() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("a", ""), ("b", "end")]);
    let whole = fs::read(&path).unwrap();
    let broken = folder.path().join("broken.redb");
    for part in 1..32 {
        let mut bytes = whole.clone();
        let at = bytes.len() * part / 32;
        if part % 2 == 0 {
            bytes.truncate(at);
        } else {
            let end = (at + 3000).min(bytes.len());
            bytes[at..end].fill(0xa5);
        }
        fs::write(&broken, bytes).unwrap();
        let said = stroma(["list", "--json", broken.to_str().unwrap()]);
        assert!(said.code == 1 && !said.err.is_empty() || said.code == 0, "{part}: {said:?}");
    }
}

#[test]
fn a_page_that_is_damaged_is_said_in_one_line() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), &[("a", ""), ("b", "end")]);
    let whole = fs::read(&path).unwrap();
    let broken = folder.path().join("broken.redb");
    let mut refused = 0;
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        // No page is of this kind.
        bytes[page * 4096] = 0xff;
        fs::write(&broken, bytes).unwrap();
        let said = stroma(["list", broken.to_str().unwrap()]);
        if said.code != 0 {
            refused += 1;
            assert_eq!((said.code, said.err.lines().count()), (1, 1), "{page}: {said:?}");
            assert!(said.err.starts_with("stroma: `"), "{said:?}");
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_value_that_is_damaged_is_shown_as_such() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let store = RedbStore::open(&path).unwrap();
    let run = RunId::new("r").unwrap();
    wait(async {
        let Begun::Pending(opening) = store.open(&run, Access::Create) else { panic!("redb answers later") };
        let mut session = opening.await.unwrap();
        for (node, value) in [("a", &b"x"[..]), ("b", b"\x01 a value that is not whole"), ("\u{1b}[2J", b"")] {
            let slot = stroma::Slot { node, index: 0, instance: 3, kind: SlotKind::Output };
            let Begun::Pending(writing) = session.put(slot, Raw(value), b"no ledger") else { panic!("nor here") };
            writing.await.unwrap();
        }
    });
    drop(store);
    let place = path.to_str().unwrap();
    let shown = stroma(["show", place, "r"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(!shown.out.contains('\u{1b}'), "{shown:?}");
    assert!(shown.out.contains("a #3") && shown.out.contains("not readable"), "{shown:?}");
    assert!(shown.out.contains("spent   the stored ledger is of version"), "{shown:?}");
    assert!(shown.out.contains("the store was not told"), "{shown:?}");
    let exported = stroma(["export", place, "r"]).json();
    assert_eq!((&exported["state"], &exported["nodes"]), (&json!("idle"), &json!(null)));
    assert!(exported["slots"].as_array().unwrap().iter().all(|slot| slot["intact"] == false), "{exported:#}");
}
