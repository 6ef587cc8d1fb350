//! What a run has, and who has the run.

use std::{format, sync::Barrier, thread, vec::Vec};

use super::{BUSY, Raw, ended, existing, folder, holders, id, kind, load, open, output, put, until};
use crate::{
    slot::Slot,
    store::{Access, Session, Store, StoreErrorKind, redb::RedbStore},
};

#[test]
fn what_was_put_is_there_until_it_is_discarded_or_forgotten() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(kind(existing(&store, "r")), Some(StoreErrorKind::UnknownRun));
    let mut session = open(&store, "r").unwrap();
    assert!(session.is_new() && session.ledger().is_empty());
    assert_eq!(kind(load(&mut session, output("a"))), Some(StoreErrorKind::Missing));
    ended(session.put(Slot::INPUT, Raw(b"in"), b"ledger")).unwrap();
    put(&mut session, output("a"), b"one").unwrap();
    put(&mut session, output("a"), b"two").unwrap();
    put(&mut session, Slot { instance: 7, ..output("a") }, b"").unwrap();
    put(&mut session, output("b"), &[9; 100_000]).unwrap();
    assert!(!session.is_new());
    assert_eq!(load(&mut session, output("a")).unwrap(), b"two");
    drop(session);
    drop(store);

    let store = RedbStore::open(&path).unwrap();
    // The thread of the first store may still be on its way out.
    let mut opened = None;
    until(|| {
        opened = existing(&store, "r").ok();
        opened.is_some()
    });
    let mut session = opened.unwrap();
    assert_eq!(session.ledger(), b"ledger");
    let mut seen = 0;
    session.each_slot(|_| seen += 1);
    assert_eq!(seen, 4);
    assert!(session.holds(Slot { index: 3, ..output("a") }));
    assert_eq!(load(&mut session, Slot::INPUT).unwrap(), b"in");
    assert_eq!(load(&mut session, output("b")).unwrap(), [9; 100_000]);
    assert_eq!(load(&mut session, Slot { instance: 7, ..output("a") }).unwrap(), b"");
    ended(session.discard(|slot| slot.node == "a")).unwrap();
    ended(session.discard(|slot| slot.node == "a")).unwrap();
    assert!(!session.holds(output("a")) && session.holds(output("b")));
    assert_eq!(kind(ended(store.forget(&id("r")))), BUSY);
    drop(session);
    let mut session = existing(&store, "r").unwrap();
    assert!(!session.holds(output("a")));
    assert_eq!(load(&mut session, output("b")).unwrap(), [9; 100_000]);
    drop(session);
    assert_eq!(ended(store.forget(&id("r"))), Ok(true));
    assert_eq!(ended(store.forget(&id("r"))), Ok(false));
    assert_eq!(kind(existing(&store, "r")), Some(StoreErrorKind::UnknownRun));
}

#[test]
fn a_run_without_a_checkpoint_leaves_no_trace() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    drop(open(&store, "r").unwrap());
    assert_eq!(kind(existing(&store, "r")), Some(StoreErrorKind::UnknownRun));
    let mut session = open(&store, "r").unwrap();
    put(&mut session, output("a"), b"1").unwrap();
    ended(session.discard(|_| true)).unwrap();
    assert!(session.is_new());
    drop(session);
    assert_eq!(ended(store.forget(&id("r"))), Ok(false));
    // A future that is dropped before its answer gives the run back too.
    for _ in 0..100 {
        drop(store.open(&id("r"), Access::Create));
    }
    assert!(open(&store, "r").is_ok());
}

#[test]
fn no_id_reaches_into_another_run() {
    const NODES: [&str; 8] = ["", "n", "n:schema", ":", "*", "n[", "\u{10ffff}", "\0n"];
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let long = "x".repeat(64);
    let runs = ["a", "a:b", "a:", "*", "[", "a*", "?", "ä\u{1f600}", "%", "..", "a/b", &long, &long[..63]];
    for run in runs {
        let mut session = open(&store, run).unwrap();
        assert!(session.is_new(), "{run}");
        for node in NODES {
            put(&mut session, output(node), format!("{run}\n{node}").as_bytes()).unwrap();
        }
    }
    for (at, run) in runs.into_iter().enumerate() {
        let mut session = existing(&store, run).unwrap();
        for node in NODES {
            assert_eq!(load(&mut session, output(node)).unwrap(), format!("{run}\n{node}").as_bytes());
        }
        ended(session.discard(|slot| slot.node == "n")).unwrap();
        assert!(session.holds(output("n:schema")));
        drop(session);
        assert_eq!(ended(store.forget(&id(run))), Ok(true));
        for rest in &runs[at + 1..] {
            let session = existing(&store, rest).unwrap();
            assert!(NODES.iter().all(|node| session.holds(output(node))), "{run} reached into {rest}");
        }
    }
}

#[test]
fn of_two_that_race_for_a_run_one_has_it() {
    let (_folder, path) = folder();
    let stores = [RedbStore::open(&path).unwrap(), RedbStore::open(&path).unwrap()];
    for round in 0..20 {
        let run = format!("race {round}");
        let barrier = Barrier::new(2);
        let opened = thread::scope(|scope| {
            let racers = stores.each_ref().map(|store| {
                scope.spawn(|| {
                    barrier.wait();
                    open(store, &run)
                })
            });
            racers.map(|racer| racer.join().unwrap())
        });
        assert_eq!(opened.iter().filter(|session| session.is_ok()).count(), 1);
        assert!(opened.iter().any(|session| matches!(session, Err(error) if Some(error.kind()) == BUSY)));
        assert_eq!(kind(open(&stores[0], &run)), BUSY);
        assert_eq!(kind(open(&stores[1], &run)), BUSY);
        assert_eq!(kind(ended(stores[1].forget(&id(&run)))), BUSY);
        drop(opened);
        // The other store sees the release as soon as it is committed.
        until(|| open(&stores[round % 2], &run).is_ok());
    }
}

#[test]

fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..5 {
        let (_folder, path) = folder();
        let barrier = Barrier::new(6);
        thread::scope(|scope| {
            for number in 0..6 {
                let (path, barrier) = (&path, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let store = RedbStore::open(path).unwrap();
                    put(&mut open(&store, &format!("{number}")).unwrap(), output("a"), b"1").unwrap();
                });
            }
        });
        let store = RedbStore::open(&path).unwrap();
        until(|| (0..6).all(|number| existing(&store, &format!("{number}")).is_ok()));
    }
}

/// Not a test of its own: what the next one starts, and kills. Without the variable there is nothing for it to do.

#[test]
fn writes_in_flight_at_once_all_become_durable() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut sessions: Vec<_> = (0..8).map(|run| open(&store, &format!("run {run}")).unwrap()).collect();
    let mut writes = Vec::new();
    for instance in 0..8 {
        for session in &mut sessions {
            writes.push(session.put(Slot { instance, ..output("n") }, Raw(&instance.to_le_bytes()), b"l"));
        }
    }
    // Half of them are never waited for: they happen all the same.
    writes.truncate(32);
    for write in writes {
        ended(write).unwrap();
    }
    // A read comes after the writes that were asked for before it.
    for session in &mut sessions {
        assert_eq!(load(session, Slot { instance: 7, ..output("n") }).unwrap(), 7_u32.to_le_bytes());
    }
    drop((sessions, store));
    let store = RedbStore::open(&path).unwrap();
    for run in 0..8 {
        let run = format!("run {run}");
        until(|| kind(existing(&store, &run)) != BUSY);
        let mut session = existing(&store, &run).unwrap();
        for instance in 0..8_u32 {
            assert_eq!(load(&mut session, Slot { instance, ..output("n") }).unwrap(), instance.to_le_bytes());
        }
    }
}

#[test]
fn a_session_outlives_its_store_and_ends_its_thread() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut session = open(&store.clone(), "r").unwrap();
    drop(store);
    put(&mut session, output("a"), b"1").unwrap();
    drop(session);
    until(|| holders(&path) == 0);
}
