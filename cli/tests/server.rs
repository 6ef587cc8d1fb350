//! The program and a real Redis server.

#[path = "../../tests/support/redis.rs"]
mod redis;
mod support;

use std::{collections::BTreeSet, time::Duration};

use redis::{Server, is_installed};
use serde_json::json;
use stroma::{
    RunId, Slot, SlotKind,
    store::{Access, Begun, RedisStore, Session, Store},
};
use support::{Raw, Told, about, execute, program, said, stroma, wait};

const TTL: Duration = Duration::from_secs(3_600);

fn store(server: &Server) -> RedisStore {
    RedisStore::new(&server.url(), TTL).unwrap()
}

/// These runs, of which those that fail do it where it says.
fn runs(store: &RedisStore, runs: &[(&str, &'static str)]) {
    wait(async {
        for (run, fails) in runs {
            assert_eq!(execute(store.clone(), run, Told::to_fail(fails)).await, fails.is_empty());
        }
        store.flush().await;
    });
}

#[test]
fn runs_are_listed_and_shown() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    runs(&store(&server), &[("done", ""), ("stopped", "right")]);
    runs(&store(&server).with_prefix("other*"), &[("hidden", "")]);
    // What is not ours, or of another version, is nobody's run.
    server.ask::<()>(&["SET", "stroma:{text}", "x"]);
    server.ask::<()>(&["HSET", "stroma:{later}", "@format", "9"]);
    server.ask::<()>(&["HSET", "stroma:{two\nlines}", "@format", "1"]);
    server.ask::<()>(&[
        "HSET",
        "stroma:{odd}",
        "@format",
        "1",
        "@log",
        "x",
        "@until",
        "?",
        "@holder",
        "x",
        "@begun",
        "?",
    ]);
    server.ask::<()>(&["SET", "stroma:{odd}:x", "no log"]);
    server.ask::<()>(&["HSET", "stroma:{torn}", "@format", "1", "@log", "x"]);
    server.ask::<()>(&["RPUSH", "stroma:{torn}:x", "stroma 1", "no number", "", ""]);
    let lives: Vec<i64> = vec![server.ask(&["PTTL", "stroma:{done}"]), server.ask(&["PTTL", "stroma:{stopped}"])];

    let url = server.url();
    let mut listed = stroma(["list", "--json", &url]).objects();
    listed.sort_by_key(|run| run["run"].to_string());
    let short: Vec<_> = listed.iter().map(|run| [&run["run"], &run["state"], &run["done"], &run["nodes"]]).collect();
    assert_eq!(
        short,
        [
            [&json!("done"), &json!("finished"), &json!(4), &json!(4)],
            [&json!("stopped"), &json!("halted"), &json!(2), &json!(4)],
        ]
    );
    assert_eq!(stroma(["list", "--json", "--prefix", "other*", &url]).objects()[0]["run"], "hidden");
    assert_eq!(stroma(["list", "--json", "--prefix", "oth", &url]).objects().len(), 0);

    let shown = stroma(["show", "--json", &url, "stopped"]).json();
    assert_eq!(shown["next"], json!(["right"]));
    assert_eq!(shown["spent"]["tokens"], 20);
    assert_eq!(shown["pipeline"]["shown"], "start -> (left | right) -> end");
    assert_eq!((shown["held"].as_bool(), shown["slots"].as_array().unwrap().len()), (Some(false), 3));
    let exported = stroma(["export", &url, "stopped"]).json();
    assert!(exported["slots"].as_array().unwrap().iter().all(|slot| slot["intact"] == true), "{exported:#}");
    assert_eq!(exported["slots"][0]["kind"], "input");
    let foreign = stroma(["show", &url, "later"]);
    assert_eq!((foreign.code, foreign.err.contains("format 9")), (1, true), "{foreign:?}");
    let torn = stroma(["show", &url, "torn"]);
    assert_eq!((torn.code, torn.err.contains("no store wrote")), (1, true), "{torn:?}");
    for none in ["nobody", "odd"] {
        assert_eq!(stroma(["show", &url, none]).code, 3, "{none}");
    }

    // Nobody's life was made longer by it, and the server was never asked for all keys at once.
    let after: Vec<i64> = vec![server.ask(&["PTTL", "stroma:{done}"]), server.ask(&["PTTL", "stroma:{stopped}"])];
    assert!(after.iter().zip(&lives).all(|(after, before)| after <= before), "{lives:?} {after:?}");
    assert_eq!(server.calls("keys"), 0);
}

#[test]
fn every_run_of_many_is_listed_once() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let expected: BTreeSet<_> = (0..1_300).map(|at| format!("run {at}")).collect();
    let names: Vec<_> = expected.iter().map(|run| (run.as_str(), "start")).collect();
    runs(&store, &names);
    let listed = stroma(["list", "--json", &server.url()]).objects();
    assert_eq!(listed.len(), expected.len());
    let listed: BTreeSet<_> = listed.iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, expected);
}

#[test]
fn a_run_that_is_held_is_shown_with_its_lease_and_not_forgotten() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let url = server.url();
    runs(&store, &[("r", "end")]);
    wait(async {
        let Begun::Pending(opening) = store.open(&RunId::new("r").unwrap(), Access::Existing) else {
            panic!("a server answers later")
        };
        let session = opening.await.unwrap();
        let url = url.clone();
        let looks = tokio::task::spawn_blocking(move || {
            (stroma(["show", "--json", &url, "r"]), stroma(["forget", "--yes", &url, "r"]))
        });
        let (shown, refused) = looks.await.unwrap();
        let shown = shown.json();
        assert_eq!((&shown["state"], &shown["done"]), (&json!("running"), &json!(3)));
        let lease = shown["lease_seconds"].as_f64().unwrap();
        assert!(lease > 1.0 && lease <= 30.0, "{lease}");
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.err.contains("its lease runs"), "{refused:?}");
        drop(session);
        store.flush().await;
    });
    // A lease that ran out is one of somebody who fell silent.
    server.ask::<()>(&["HSET", "stroma:{r}", "@holder", "somebody", "@until", "1"]);
    assert_eq!(stroma(["show", "--json", &url, "r"]).json()["state"], "abandoned");
    let forgotten = stroma(["forget", "--yes", &url, "r"]);
    assert_eq!((forgotten.code, forgotten.out.as_str()), (0, "forgotten: r\n"), "{forgotten:?}");
    assert!(server.keys().is_empty(), "{:?}", server.keys());
}

#[test]
fn a_log_that_was_shortened_still_says_what_it_is_of() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let url = server.url();
    runs(&store, &[("r", "end")]);
    let before = stroma(["show", "--json", &url, "r"]).json();
    assert_eq!(before["done"], 3);
    let long: usize = wait(async {
        let Begun::Pending(opening) = store.open(&RunId::new("r").unwrap(), Access::Existing) else {
            panic!("a server answers later")
        };
        let mut session = opening.await.unwrap();
        for _ in 0..100 {
            let slot = Slot { node: "left", index: 0, instance: 0, kind: SlotKind::Output };
            let Begun::Pending(writing) = session.put(slot, Raw(b"14 bytes of it"), b"") else { panic!("nor here") };
            writing.await.unwrap();
        }
        drop(session);
        store.flush().await;
        let log = server.keys().into_iter().find(|key| !key.ends_with('}')).unwrap();
        let long = server.ask(&["LLEN", &log]);
        let Begun::Pending(opening) = store.open(&RunId::new("r").unwrap(), Access::Existing) else {
            panic!("a server answers later")
        };
        drop(opening.await.unwrap());
        store.flush().await;
        long
    });
    let log = server.keys().into_iter().find(|key| !key.ends_with('}')).unwrap();
    let short: usize = server.ask(&["LLEN", &log]);
    assert!(short < long / 10, "{long} {short}");
    let after = stroma(["show", "--json", &url, "r"]).json();
    for key in ["done", "next", "pipeline", "shape", "values", "spent"] {
        assert_eq!(before[key], after[key], "{key}");
    }
}

#[test]
fn any_id_is_found_and_no_other() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let long = "é".repeat(32);
    let ids = ["*", "r", "r:", "[r]", "r}", "{r", "{r}", "%7Br", "?", "\\", "a b", "'", "\"", "-r", &long];
    let names: Vec<_> = ids.iter().map(|id| (*id, "end")).collect();
    runs(&store(&server), &names);
    let url = server.url();
    for id in ids {
        let mut args = about("show", &url, id).to_vec();
        args.insert(1, "--json".to_owned());
        assert_eq!(stroma(args).json()["run"], id);
    }
    let listed: BTreeSet<_> =
        stroma(["list", "--json", &url]).objects().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ids.map(str::to_owned).into());
    assert_eq!(stroma(["forget", "--yes", &url, "*"]).code, 0);
    assert_eq!(stroma(["list", "--json", &url]).objects().len(), ids.len() - 1);
}

#[test]
fn a_run_is_followed_to_its_end() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    runs(&store, &[("r", "end")]);
    let mut command = program();
    command.args(["follow", "--every", "10", &server.url(), "r"]).stdout(std::process::Stdio::piped());
    let mut follows = support::Process::of(command);
    assert!(follows.next_line().starts_with("halted: 3 of 4 done; 30 tokens"));
    runs(&store, &[("r", "")]);
    // It may have been seen while it ran.
    while !follows.next_line().starts_with("finished: 4 of 4 done; 40 tokens") {}
    assert_eq!(follows.end(), Some(0));
}

#[test]
fn a_server_that_is_away_or_refuses_is_said_without_its_password() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--requirepass", "hunter2"]);
    server.come_in_by(format!("redis://:hunter2@127.0.0.1:{}/", server.port()));
    drop(server.connection());
    let good = format!("redis://:hunter2@127.0.0.1:{}/", server.port());
    let none = said(program().env("STROMA_STORE", &good).arg("list").output().unwrap());
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
    let bad = stroma(["list", &format!("redis://:hunter3@127.0.0.1:{}/", server.port())]);
    let locked_out = stroma(["list", &server.url()]);
    server.kill();
    let away = stroma(["list", &good]);
    for said in [none, bad, locked_out, away] {
        assert!(!format!("{said:?}").contains("hunter"), "{said:?}");
        assert!(said.err.contains(&server.port().to_string()), "{said:?}");
    }
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_followed_on() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    runs(&store(&server), &[("r", "end")]);
    let mut command = program();
    command.args(["follow", "--json", "--every", "10", &server.url(), "r"]);
    let mut follows = support::Process::of_both(command);
    assert!(follows.next_line().contains(r#""state":"halted""#));
    server.kill();
    let away = follows.next_line();
    assert!(away.starts_with(r#"{"notice":"#) && away.contains("it is waited for"), "{away}");
    server.start_again();
    assert_eq!(follows.next_line(), r#"{"notice":"it is there again"}"#);
    runs(&store(&server), &[("r", "")]);
    // It may have been seen while it ran.
    while !follows.next_line().contains(r#""state":"finished""#) {}
    assert_eq!(follows.end(), Some(0));
}
