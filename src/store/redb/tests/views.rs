//! A look from outside.

use alloc::{format, string::ToString, vec::Vec};
use core::time::Duration;
use std::{fs, path::Path};

use ::redb::{Database, ReadableDatabase, TableDefinition};
use uuid::Uuid;

use super::{
    super::{
        RedbStore, RedbView,
        file::{FORMAT_KEY, META, PIPELINES, TIMES, builder},
        holder::{Holder, all},
        journal,
    },
    Raw, ended, existing, folder, holders, id, open, output, put, until,
};
use crate::{
    slot::Slot,
    store::{
        Access, Session, Store, StoreErrorKind,
        inspect::{Holding, RunView},
    },
};

const SHAPE: u64 = 0x0102_0304_0506_0708;

fn runs(view: &mut RedbView) -> Vec<RunView> {
    let (mut runs, mut all) = (view.runs(), Vec::new());
    while let Some(page) = runs.next_page().unwrap() {
        all.extend(page);
    }
    all
}

/// As much of an input as says which pipeline it is for.
fn input() -> [u8; 21] {
    let mut bytes = [0; 21];
    bytes[0] = 1;
    bytes[9..17].copy_from_slice(&SHAPE.to_le_bytes());
    bytes
}

#[test]
fn what_is_saved_is_seen_wherever_it_is_and_stays_there() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut view = RedbView::open(&path).unwrap();
    assert!(runs(&mut view).is_empty());
    store.introduce(SHAPE, "=a\n=b\n");
    let mut session = open(&store, "r").unwrap();
    let seen = view.look(&id("r")).unwrap().unwrap();
    assert_eq!((seen.holding, seen.slots.len()), (Holding::Held { until: None }, 0));
    put(&mut session, Slot::INPUT, &input()).unwrap();
    ended(session.put(output("a"), Raw(b"first"), b"ledger")).unwrap();
    ended(session.put(output("a"), Raw(b"second"), b"")).unwrap();
    // It is in the journal, of which a look takes nothing and in which it writes nothing.
    for round in 0..3 {
        let seen = view.export(&id("r")).unwrap().unwrap();
        assert_eq!(seen.slots.iter().map(|slot| &*slot.node).collect::<Vec<_>>(), ["", "a"], "{round}");
        assert_eq!(seen.slots[1].bytes.as_deref(), Some(&b"second"[..]));
        assert_eq!((&*seen.ledger, seen.shape), (&b"ledger"[..], Some(SHAPE)));
        let progress = seen.progress().unwrap();
        assert_eq!((progress.done, progress.nodes, progress.next), (1, 2, ["b"].to_vec()));
        assert!(seen.age.is_some() && seen.idle.is_none());
        if round == 0 {
            // From here on it is in the tables.
            drop(open(&store, "other").unwrap());
        }
    }
    put(&mut session, output("b"), b"third").unwrap();
    drop(session);
    until(|| view.look(&id("r")).unwrap().unwrap().holding == Holding::Free);
    let seen = view.look(&id("r")).unwrap().unwrap();
    assert!(seen.progress().unwrap().is_finished() && seen.idle.is_some());
    assert_eq!(seen.slots[1].bytes, None);
    let listed = runs(&mut view);
    assert_eq!((listed.len(), &listed[0].slots, listed[0].holding), (1, &seen.slots, seen.holding));
    assert_eq!(view.look(&id("nobody")), Ok(None));
}

#[test]
fn who_died_left_what_it_saved() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut session = open(&store, "r").unwrap();
    put(&mut session, output("a"), b"saved").unwrap();
    // Its lock goes, its files and its record stay: as with a process that was killed.
    let beside = Holder::folder(&path.canonicalize().unwrap());
    let copy = path.with_file_name("copy.redb");
    fs::copy(&path, &copy).unwrap();
    let copied = Holder::folder(&copy.canonicalize().unwrap());
    fs::create_dir(&copied).unwrap();
    for entry in fs::read_dir(&beside).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copied.join(entry.file_name())).unwrap();
    }
    let mut view = RedbView::open(&copy).unwrap();
    for _ in 0..2 {
        let seen = view.export(&id("r")).unwrap().unwrap();
        assert_eq!((seen.holding, seen.slots.len()), (Holding::Abandoned, 1));
        assert_eq!(seen.slots[0].bytes.as_deref(), Some(&b"saved"[..]));
    }
    drop(view);
    // It is still there to be had.
    let second = RedbStore::open(&copy).unwrap();
    assert!(existing(&second, "r").unwrap().holds(output("a")));
}

#[test]
fn a_lease_is_told_as_far_as_it_was_seen_to_run() {
    let (_folder, path) = folder();
    let term = Duration::from_secs(3_600);
    let store = RedbStore::open(&path).unwrap().with_lease(term).unwrap();
    let _session = open(&store, "r").unwrap();
    let mut view = RedbView::open(&path).unwrap();
    assert_eq!(view.look(&id("r")).unwrap().unwrap().holding, Holding::Held { until: Some(term) });
}

#[test]
fn a_look_raises_no_fence() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut session = open(&store, "r").unwrap();
    put(&mut session, output("a"), b"1").unwrap();
    let beside = Holder::folder(&path.canonicalize().unwrap());
    let journals = || -> Vec<_> {
        let ids = all(&beside).unwrap();
        ids.into_iter().map(|id| journal::read(&beside, Uuid::from_u128(id)).unwrap()[..8].to_vec()).collect()
    };
    let before = journals();
    let mut view = RedbView::open(&path).unwrap();
    view.look(&id("r")).unwrap().unwrap();
    assert_eq!(runs(&mut view).len(), 1);
    assert_eq!(journals(), before);
    assert_eq!(before.len(), 1, "who looks is no holder");
}

fn set_format(path: &Path, format: u64) {
    let database = builder().open(path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert(FORMAT_KEY, format).unwrap();
    write.commit().unwrap();
}

/// What a program of before these tables wrote.
fn of_before(path: &Path, format: u64) {
    let database = builder().open(path).unwrap();
    let write = database.begin_write().unwrap();
    write.delete_table(TIMES).unwrap();
    write.delete_table(PIPELINES).unwrap();
    if format == 1 {
        write.delete_table(TableDefinition::<u128, u64>::new("stroma.journals")).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    set_format(path, format);
}

#[test]
fn a_file_of_before_is_seen_and_gone_on_with() {
    for format in [1, 2] {
        let (_folder, path) = folder();
        let store = RedbStore::open(&path).unwrap();
        store.introduce(SHAPE, "=a\n");
        put(&mut open(&store, "old").unwrap(), Slot::INPUT, &input()).unwrap();
        drop(open(&store, "old").unwrap());
        drop(store);
        until(|| holders(&path) == 0);
        of_before(&path, format);
        let mut view = RedbView::open(&path).unwrap();
        let old = view.look(&id("old")).unwrap().unwrap();
        assert_eq!((old.holding, old.age, old.idle, old.slots.len()), (Holding::Free, None, None, 1));
        assert_eq!((old.shape, old.outline), (Some(SHAPE), None));
        drop(view);

        // The tables come with the next run, whatever it is of; of the old one it is known since when it rests.
        let store = RedbStore::open(&path).unwrap();
        store.introduce(SHAPE, "=a\n");
        put(&mut open(&store, "new").unwrap(), Slot::INPUT, &input()).unwrap();
        drop(existing(&store, "old").unwrap());
        ended(store.forget(&id("none"))).unwrap();
        let mut view = RedbView::open(&path).unwrap();
        let (old, new) = (view.look(&id("old")).unwrap().unwrap(), view.look(&id("new")).unwrap().unwrap());
        assert!(old.age.is_none() && old.idle.is_some() && new.age.is_some());
        for run in [&old, &new] {
            assert_eq!(run.outline.as_ref().map(ToString::to_string).as_deref(), Some("a"), "format {format}");
        }
        // And they go with their run.
        assert_eq!(ended(store.forget(&id("new"))), Ok(true));
        drop(store);
        let database = builder().open(&path).unwrap();
        let times = database.begin_read().unwrap().open_table(TIMES).unwrap();
        assert!(times.get("new").unwrap().is_none() && times.get("old").unwrap().is_some());
    }
}

#[test]
fn what_is_no_store_stays_what_it_is() {
    let (_folder, path) = folder();
    assert_eq!(RedbView::open(&path).unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert!(!path.exists() && !path.parent().unwrap().exists());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(builder().create(&path).unwrap());
    let error = RedbView::open(&path).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Foreign);
    assert!(error.detail().contains("has no runs of stroma in it"), "{error}");
    drop(RedbStore::open(&path).unwrap());
    until(|| holders(&path) == 0);
    set_format(&path, 3);
    let error = RedbView::open(&path).unwrap_err();
    assert!(error.detail().contains("has format 3, not 2"), "{error}");
}

#[test]
fn a_page_begins_where_the_one_before_ended() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let ids: Vec<_> = (0..600).map(|at| id(&format!("run {at:03}"))).collect();
    let opening: Vec<_> = ids.iter().map(|run| store.open(run, Access::Create)).collect();
    let mut sessions: Vec<_> = opening.into_iter().map(|opening| ended(opening).unwrap()).collect();
    let writing: Vec<_> = sessions.iter_mut().map(|session| session.put(output("a"), Raw(b"1"), b"")).collect();
    writing.into_iter().for_each(|writing| ended(writing).unwrap());
    let mut view = RedbView::open(&path).unwrap();
    let (mut runs, mut pages) = (view.runs(), Vec::new());
    while let Some(page) = runs.next_page().unwrap() {
        pages.push(page);
    }
    assert!(pages.len() > 2, "{} pages", pages.len());
    let seen: Vec<_> = pages.iter().flatten().map(|run| (run.run, run.slots.len())).collect();
    assert_eq!(seen, ids.into_iter().map(|run| (run, 1)).collect::<Vec<_>>());
}

#[test]
fn a_look_at_runs_that_were_given_back_writes_nothing() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    for run in ["a", "b"] {
        put(&mut open(&store, run).unwrap(), output("a"), b"1").unwrap();
        drop(existing(&store, run).unwrap());
    }
    drop(store);
    // It is closed on a thread of its own, and open to one alone only then.
    until(|| Database::open(&path).is_ok());
    let before = fs::read(&path).unwrap();
    let mut view = RedbView::open(&path).unwrap();
    assert_eq!(runs(&mut view).len(), 2);
    assert_eq!(view.export(&id("a")).unwrap().unwrap().holding, Holding::Free);
    drop(view);
    assert!(fs::read(&path).unwrap() == before);

    // Open to be read alone, it follows what others do.
    let mut view = RedbView::open(&path).unwrap();
    let store = RedbStore::open(&path).unwrap();
    put(&mut open(&store, "c").unwrap(), output("a"), b"1").unwrap();
    drop(existing(&store, "c").unwrap());
    ended(store.forget(&id("a"))).unwrap();
    let seen: Vec<_> = runs(&mut view).into_iter().map(|run| run.run).collect();
    assert_eq!(seen, [id("b"), id("c")]);
    assert_eq!(view.look(&id("a")), Ok(None));
}
