//! Who is alive, and who has lost a run.

use core::time::Duration;
use std::{
    env, format, fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    string::ToString,
    sync::{Arc, mpsc},
    time::Instant,
    vec,
};

use ::redb::ReadableTable;
use uuid::Uuid;

use super::{BUSY, Raw, ended, existing, folder, holders, id, kind, load, open, output, put, until, wait};
use crate::store::{
    Access, Session, Store, StoreErrorKind,
    redb::{
        RedbStore,
        driver::Driver,
        file::{RUNS, builder},
        holder::Holder,
        journal::raise_fence,
        patience::Wait,
        session::{Asked, Job, Open},
    },
};

#[test]
fn child_that_is_killed() {
    let Ok(path) = env::var("STROMA_TEST_REDB") else { return };
    let store = RedbStore::open(path).unwrap();
    let mut session = open(&store, "r").unwrap();
    ended(session.put(output("a"), Raw(b"paid for"), b"ledger")).unwrap();
    let _empty = open(&store, "empty").unwrap();
    std::println!("\nready");
    io::stdout().flush().unwrap();
    // Ends when the parent does, so that nothing is left behind in any case.
    let _ = io::stdin().read(&mut [0]);
}

#[test]
fn a_process_that_is_killed_gives_up_its_runs_at_once() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let name = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{name}::child_that_is_killed"), "--nocapture"])
        .env("STROMA_TEST_REDB", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    assert_eq!(holders(&path), 2);
    assert_eq!(kind(open(&store, "r")), BUSY);
    assert_eq!(kind(ended(store.forget(&id("r")))), BUSY);
    child.kill().unwrap();
    child.wait().unwrap();

    let mut session = existing(&store, "r").unwrap();
    assert_eq!(session.ledger(), b"ledger");
    assert_eq!(load(&mut session, output("a")).unwrap(), b"paid for");
    put(&mut session, output("b"), b"goes on").unwrap();
    assert_eq!(holders(&path), 1);
    assert_eq!(kind(existing(&store, "empty")), Some(StoreErrorKind::UnknownRun));
}

#[test]
fn a_dead_holder_without_a_run_is_swept_away_by_the_next_to_open() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let names = Holder::folder(&path.canonicalize().unwrap());
    fs::write(names.join(Uuid::now_v7().to_string()), b"").unwrap();
    fs::write(names.join("notes"), b"of somebody else").unwrap();
    let second = RedbStore::open(&path).unwrap();
    assert_eq!(holders(&path), 2);
    assert!(names.join("notes").exists());
    drop((store, second));
    until(|| holders(&path) == 0);
}

#[test]
fn what_is_left_of_a_holder_that_died_as_it_came_keeps_nobody_out() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let names = Holder::folder(&path.canonicalize().unwrap());
    // Killed between making the journal and writing to it, out of room there, or what a power cut left of both.
    for len in 0..8 {
        let id = Uuid::now_v7().to_string();
        fs::write(names.join(&id), b"").unwrap();
        fs::write(names.join(id + ".journal"), vec![0; len]).unwrap();
        let _second = RedbStore::open(&path).unwrap();
        assert_eq!(holders(&path), 2);
    }
    drop(store);
}

/// What a takeover does to the record, with the holder still alive.
fn rewrite(path: &Path, run: &str, change: impl FnOnce(u128, u64) -> (u128, u64)) {
    let database = builder().open(path).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut runs = write.open_table(RUNS).unwrap();
        let (holder, token, _) = runs.get(run).unwrap().unwrap().value();
        let (holder, token) = change(holder, token);
        runs.insert(run, (holder, token, &b""[..])).unwrap();
    }
    for entry in fs::read_dir(Holder::folder(&path.canonicalize().unwrap())).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(id) = Uuid::try_parse(path.file_stem().unwrap().to_str().unwrap()) {
            raise_fence(path.parent().unwrap(), id).unwrap();
        }
    }
    write.commit().unwrap();
}

#[test]
fn a_session_that_lost_its_run_writes_nothing_and_spoils_nothing() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    for change in [(|_, token| (1, token)) as fn(u128, u64) -> (u128, u64), |holder, token| (holder, token + 1)] {
        let mut lost = open(&store, "lost").unwrap();
        put(&mut lost, output("a"), b"before").unwrap();
        let mut kept = open(&store, "kept").unwrap();
        rewrite(&path, "lost", change);
        let writes = [
            lost.put(output("a"), Raw(b"after"), b"x"),
            kept.put(output("a"), Raw(b"after"), b"x"),
            lost.put(output("b"), Raw(b"after"), b"x"),
            kept.put(output("b"), Raw(b"after"), b"x"),
            lost.discard(|_| true),
        ];
        let ends = writes.map(ended);
        assert_eq!(
            ends.map(kind),
            [Some(StoreErrorKind::Fenced), None, Some(StoreErrorKind::Fenced), None, Some(StoreErrorKind::Fenced),]
        );
        drop(lost);
        // Nobody lives under the id 1, and the session that is gone had not this token: the run is free.
        let mut next = existing(&store, "lost").unwrap();
        assert_eq!(load(&mut next, output("a")).unwrap(), b"before");
        assert!(!next.holds(output("b")) && next.ledger().is_empty());
    }
}

#[test]
fn a_holder_whose_file_was_taken_away_is_fenced() {
    let (_folder, path) = folder();
    let first = RedbStore::open(&path).unwrap();
    let mut session = open(&first, "r").unwrap();
    put(&mut session, output("a"), b"1").unwrap();
    // What is in the folder only is lost with it, so that is to be nothing.
    drop(open(&first, "another").unwrap());
    fs::remove_dir_all(Holder::folder(&path.canonicalize().unwrap())).unwrap();
    let second = RedbStore::open(&path).unwrap();
    let mut taken = existing(&second, "r").unwrap();
    assert_eq!(kind(put(&mut session, output("a"), b"2")), Some(StoreErrorKind::Fenced));
    // The first one's release is not the second one's.
    drop(session);
    assert_eq!(kind(open(&first, "r")), BUSY);
    put(&mut taken, output("a"), b"3").unwrap();
}

#[test]
fn after_a_failure_the_file_is_opened_again_and_what_was_given_back_is_free() {
    let (_folder, path) = folder();
    let (jobs, _inbox) = mpsc::channel();
    let mut driver = Driver::start(&path).unwrap();
    let serve = |driver: &mut Driver| {
        let (job, answer) = Asked::new(Open {
            run: Arc::from("r"),
            access: Access::Create,
            jobs: jobs.clone(),
            wait: Wait::new(Duration::ZERO),
        });
        driver.serve(vec![Job::Open(job)], Instant::now());
        wait(core::future::poll_fn({
            let mut answer = answer;
            move |task| answer.poll(task)
        }))
    };
    let first = serve(&mut driver).unwrap();
    assert_eq!(kind(serve(&mut driver)), BUSY);
    let away = path.with_file_name("away");
    driver.database = None;
    fs::rename(&path, &away).unwrap();
    driver.serve(vec![Job::Release(first.hold.clone())], Instant::now());
    assert_eq!(driver.unreleased.len(), 1);
    assert_eq!(kind(serve(&mut driver)), Some(StoreErrorKind::Unavailable));
    fs::rename(&away, &path).unwrap();
    let second = serve(&mut driver).unwrap();
    assert!(second.hold.token > first.hold.token);
    assert!(driver.unreleased.is_empty());
    // A release of the first that comes late does not take the run from the second.
    driver.serve(vec![Job::Release(first.hold.clone())], Instant::now());
    assert_eq!(kind(serve(&mut driver)), BUSY);
}
