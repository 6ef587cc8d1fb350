//! What others do between the parts of a look.

use alloc::{format, vec::Vec};
use std::fs;

use super::{
    super::{
        RedbSession, RedbStore,
        holder::Holder,
        tests::{ended, existing, folder, id, open, output, put},
    },
    PAGE, RedbView, Stretch,
};
use crate::store::{Access, Session, Store, inspect::Holding, raw::Raw};

/// A run that was given back with something in it.
fn at_rest(store: &RedbStore, run: &str) {
    put(&mut open(store, run).unwrap(), output("a"), b"1").unwrap();
    drop(existing(store, run).unwrap());
}

/// A run that is held, with something in the journal.
fn held(store: &RedbStore, run: &str) -> RedbSession {
    let mut session = open(store, run).unwrap();
    put(&mut session, output("a"), b"1").unwrap();
    session
}

#[test]
fn a_run_that_is_forgotten_in_between_hides_nothing_of_another() {
    let (_folder, path) = folder();
    let (store, other) = (RedbStore::open(&path).unwrap(), RedbStore::open(&path).unwrap());
    let ids: Vec<_> = (0..PAGE).map(|at| id(&format!("{at:03}"))).collect();
    let opening: Vec<_> = ids.iter().map(|run| store.open(run, Access::Create)).collect();
    let mut sessions: Vec<_> = opening.into_iter().map(|opening| ended(opening).unwrap()).collect();
    let writing: Vec<_> = sessions.iter_mut().map(|session| session.put(output("a"), Raw(b"1"), b"")).collect();
    writing.into_iter().for_each(|writing| ended(writing).unwrap());
    drop(sessions);
    let last = format!("{PAGE:03}");
    let _session = held(&other, &last);
    let mut view = RedbView::open(&path).unwrap();
    let (scene, stretch) = view.survey(|tables| Stretch::of(tables, None)).unwrap();
    assert_eq!(ended(store.forget(&id("000"))), Ok(true));
    let (mut page, after) = view.read(None, &scene, stretch).unwrap();
    page.extend(view.page(after.as_deref()).unwrap().0);
    let seen: Vec<_> = page.iter().map(|run| (run.run, run.slots.len())).collect();
    assert_eq!(seen, (1..=PAGE).map(|at| (id(&format!("{at:03}")), 1)).collect::<Vec<_>>());
    assert_eq!(page.last().unwrap().holding, Holding::Held { until: None });
}

#[test]
#[cfg(unix)]
fn whose_files_cannot_be_looked_for_is_not_called_gone() {
    let (_folder, path) = folder();
    let (store, other) = (RedbStore::open(&path).unwrap(), RedbStore::open(&path).unwrap());
    at_rest(&store, "r");
    let mut view = RedbView::open(&path).unwrap();
    let (scene, stretch) = view.survey(|tables| Stretch::of(tables, None)).unwrap();
    let _session = held(&other, "r");
    // As where it may not be searched, which holds for no superuser.
    let beside = Holder::folder(&path.canonicalize().unwrap());
    fs::rename(&beside, path.with_file_name("moved")).unwrap();
    fs::write(&beside, "").unwrap();
    let refused = view.read(None, &scene, stretch).unwrap_err();
    assert!(refused.detail().contains("leads through a file"), "{refused}");
    fs::remove_file(&beside).unwrap();
    fs::rename(path.with_file_name("moved"), &beside).unwrap();
}

#[test]
#[cfg(unix)]
fn a_file_that_was_put_in_the_place_of_another_is_seen_whole() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let _before = held(&store, "r");
    let mut view = RedbView::open(&path).unwrap();
    fs::rename(&path, path.with_file_name("moved")).unwrap();
    let other = RedbStore::open(&path).unwrap();
    let mut session = held(&other, "r");
    put(&mut session, output("b"), b"2").unwrap();
    let seen = view.look(&id("r")).unwrap().unwrap();
    assert_eq!((seen.holding, seen.slots.len()), (Holding::Held { until: None }, 2));
}
