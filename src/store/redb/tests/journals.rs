//! What is in a journal and not in the tables yet, and how it gets there whoever lives or dies.

use core::{sync::atomic::Ordering, time::Duration};
use std::{format, fs, sync::Arc, thread, time::Instant, vec::Vec};

use ::redb::{ReadableDatabase, ReadableTableMetadata};
use tokio::task::yield_now;
use uuid::Uuid;

use super::{
    BUSY, Raw, ended, existing, folder,
    hand::{Hand, TERM, came, result},
    holders, kind, load, open, output, put, until,
};
use crate::{
    slot::Slot,
    store::{
        Access, Begun, Session, Store,
        redb::{
            RedbStore,
            file::{JOURNALS, SLOTS, builder},
            holder::Holder,
            journal::{self, beside, frames},
        },
    },
};

/// How many slots are in the tables, whatever is in journals.
pub(super) fn in_tables(path: &std::path::Path) -> u64 {
    builder().open(path).unwrap().begin_read().unwrap().open_table(SLOTS).unwrap().len().unwrap()
}

#[test]
fn a_checkpoint_is_one_sync_and_is_read_back_before_it_is_in_the_tables() {
    let (_folder, path) = folder();
    let mut hand = Hand::new(&path);
    let now = Instant::now();
    let mut session = hand.open("r", now).unwrap();
    let before = hand.syncs();
    for value in [&b"1"[..], b"2", b"3"] {
        let writing = session.put(output("a"), Raw(value), b"ledger");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
        let reading = session.load(output("a"), <[u8]>::to_vec);
        assert_eq!(result(&mut hand, now, reading).unwrap(), value);
    }
    assert_eq!((hand.syncs() - before, in_tables(&path)), (3, 0));
    // At rest, all is in the one file, and a second rest costs nothing.
    let rest = hand.driver.rest.unwrap();
    hand.driver.serve(Vec::new(), rest);
    assert_eq!((hand.syncs() - before, in_tables(&path)), (4, 1));
    assert!(hand.driver.holder.journal.is_done() && hand.driver.rest.is_none());
    hand.driver.serve(Vec::new(), rest + TERM);
    assert_eq!(hand.syncs() - before, 4);
    let reading = session.load(output("a"), <[u8]>::to_vec);
    assert_eq!(result(&mut hand, now, reading).unwrap(), b"3");
}

#[test]
fn what_comes_in_together_is_one_sync() {
    let (_folder, path) = folder();
    let mut hand = Hand::new(&path);
    let now = Instant::now();
    let mut sessions: Vec<_> = (0..64).map(|run| hand.open(&format!("run {run}"), now).unwrap()).collect();
    let syncs = Arc::clone(&hand.driver.syncs);
    let before = syncs.load(Ordering::Relaxed);
    let writes: Vec<_> = sessions.iter_mut().map(|session| session.put(output("a"), Raw(b"1"), b"ledger")).collect();
    // The thread as it is in a store; it ends with the last session.
    let Hand { driver, jobs, inbox } = hand;
    drop(jobs);
    let thread = thread::spawn(move || driver.drive(&inbox));
    for write in writes {
        assert_eq!(ended(write), Ok(()));
    }
    assert_eq!(syncs.load(Ordering::Relaxed) - before, 1);
    drop(sessions);
    thread.join().unwrap();
    assert_eq!((in_tables(&path), holders(&path)), (64, 0));
}

#[test]
fn what_a_holder_saved_before_it_died_is_in_the_run_and_nothing_else() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let mut hand = Hand::new(&path);
    let mut session = hand.open("r", now).unwrap();
    for instance in 0..5 {
        let writing = session.put(Slot { instance, ..output("discarded") }, Raw(b"1"), b"first");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
    }
    // From here on the journal is written from its beginning again, over the lines from before.
    let writing = session.discard(|_| true);
    assert_eq!(result(&mut hand, now, writing), Ok(()));
    let writing = session.put(output("a"), Raw(b"2"), b"second");
    assert_eq!(result(&mut hand, now, writing), Ok(()));
    assert_eq!(in_tables(&path), 0);
    hand.die();
    drop(session);
    assert_eq!(holders(&path), 1);

    let mut hand = Hand::new(&path);
    // Who opens the file clears up.
    assert_eq!((holders(&path), in_tables(&path)), (1, 1));
    let mut session = hand.open("r", now).unwrap();
    assert_eq!((session.ledger(), session.outputs()), (&b"second"[..], 1));
    let reading = session.load(output("a"), <[u8]>::to_vec);
    assert_eq!(result(&mut hand, now, reading).unwrap(), b"2");
    // Of the one that is gone there is no trace in the tables either, once somebody else comes.
    drop((session, hand));
    let _hand = Hand::new(&path);
    let tables = builder().open(&path).unwrap().begin_read().unwrap();
    assert_eq!(tables.open_table(JOURNALS).unwrap().len().unwrap(), 0);
}

#[test]
fn lines_that_are_in_the_tables_already_are_not_taken_over_again() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let mut hand = Hand::new(&path);
    let mut session = hand.open("r", now).unwrap();
    for instance in 0..2 {
        let writing = session.put(Slot { instance, ..output("a") }, Raw(b"1"), b"ledger");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
    }
    let writing = session.discard(|slot| slot.instance == 0);
    assert_eq!(result(&mut hand, now, writing), Ok(()));
    // Killed here, it would have left the journal with all its lines.
    let journal = beside(&hand.driver.holder.folder, hand.id());
    let left = fs::read(&journal).unwrap();
    drop((session, hand));
    fs::write(&journal, left).unwrap();
    let mut hand = Hand::new(&path);
    assert_eq!(in_tables(&path), 1);
    assert!(!journal.exists());
    let session = hand.open("r", now).unwrap();
    assert!(session.holds(Slot { instance: 1, ..output("a") }) && session.ledger() == b"ledger");
}

#[test]
fn a_holder_that_dies_under_the_eyes_of_another_leaves_it_all_it_saved() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let mut session = first.open("r", now).unwrap();
    let writing = session.put(output("a"), Raw(b"1"), b"");
    assert_eq!(result(&mut first, now, writing), Ok(()));
    assert_eq!(kind(second.open("r", now)), BUSY);
    let id = first.id();
    let names = first.driver.holder.folder.clone();
    first.die();
    drop(session);
    // Even if somebody took away the file by which it was found.
    fs::remove_file(names.join(format!("{id}"))).unwrap();
    let taken = second.open("r", now).unwrap();
    assert!(taken.holds(output("a")));
    assert!(!beside(&names, id).exists());
}

#[test]
fn many_runs_of_one_holder_are_had_with_one_look_at_its_journal() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let runs: Vec<_> = (0..100).map(|run| format!("run {run}")).collect();
    let mut sessions: Vec<_> = runs.iter().map(|run| first.open(run, now).unwrap()).collect();
    let writes: Vec<_> = sessions.iter_mut().map(|session| session.put(output("a"), Raw(b"1"), b"")).collect();
    first.work(now);
    assert!(writes.into_iter().all(|write| ended(write).is_ok()));
    first.die();
    drop(sessions);
    let (jobs, answers): (Vec<_>, Vec<_>) = runs.iter().map(|run| second.asked(run, Duration::ZERO)).unzip();
    let before = second.driver.holder.reads.get();
    second.driver.serve(jobs, now);
    assert_eq!(second.driver.holder.reads.get() - before, 1);
    for answer in answers {
        assert!(came(answer).unwrap().unwrap().holds(output("a")));
    }
}

#[test]
fn a_line_that_got_into_the_tables_although_that_was_said_to_have_failed_does_not_come_back() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let mut hand = Hand::new(&path);
    let mut session = hand.open("r", now).unwrap();
    for (instance, noted) in [(0, 1), (1, 1)] {
        let writing = session.put(Slot { instance, ..output("a") }, Raw(b"1"), b"");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
        // The line was taken over, and what it wrote was discarded in the same transaction.
        let database = builder().open(&path).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(JOURNALS).unwrap().insert(hand.driver.holder.id, noted).unwrap();
        write.commit().unwrap();
    }
    hand.driver.serve(Vec::new(), now + TERM);
    assert_eq!(in_tables(&path), 1);
    assert_eq!(hand.open("another", now).unwrap().outputs(), 0);
}

#[test]
fn a_journal_that_cannot_be_brought_into_the_tables_waits_for_who_can() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let mut hand = Hand::new(&path);
    let mut session = hand.open("r", now).unwrap();
    let writing = session.put(output("a"), Raw(b"1"), b"");
    assert_eq!(result(&mut hand, now, writing), Ok(()));
    let away = path.with_file_name("away");
    hand.driver.database = None;
    fs::rename(&path, &away).unwrap();
    let rest = hand.driver.rest.unwrap();
    hand.driver.serve(Vec::new(), rest);
    assert!(hand.driver.rest.unwrap() > rest);
    // It needs no tables to go on for a while.
    let writing = session.put(output("b"), Raw(b"2"), b"");
    assert_eq!(result(&mut hand, now, writing), Ok(()));
    let Hand { driver, jobs, inbox } = hand;
    drop((jobs, session));
    driver.drive(&inbox);
    fs::rename(&away, &path).unwrap();
    let mut hand = Hand::new(&path);
    let session = hand.open("r", now).unwrap();
    assert_eq!(session.outputs(), 2);
}

#[test]
fn a_journal_that_is_full_and_a_value_too_long_for_it_go_to_the_tables() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut session = open(&store, "r").unwrap();
    let value = |instance: u32| [instance.to_le_bytes()[0]; 30_000];
    // More than one journal full.
    for instance in 0..40 {
        put(&mut session, Slot { instance, ..output("n") }, &value(instance)).unwrap();
    }
    put(&mut session, output("long"), &[7; 100_000]).unwrap();
    put(&mut session, output("last"), b"8").unwrap();
    for instance in 0..40 {
        assert_eq!(load(&mut session, Slot { instance, ..output("n") }).unwrap(), value(instance));
    }
    drop((session, store));
    until(|| holders(&path) == 0);
    let store = RedbStore::open(&path).unwrap();
    let mut session = existing(&store, "r").unwrap();
    assert_eq!(session.outputs(), 3);
    assert_eq!(load(&mut session, output("long")).unwrap(), [7; 100_000]);
    assert_eq!(load(&mut session, output("last")).unwrap(), b"8");
    assert_eq!(load(&mut session, Slot { instance: 39, ..output("n") }).unwrap(), value(39));
}

#[test]
fn of_a_torn_or_damaged_journal_the_whole_lines_before_the_damage_count() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let mut hand = Hand::new(&path);
    let mut session = hand.open("r", now).unwrap();
    for instance in 0..3 {
        let writing = session.put(Slot { instance, ..output("n") }, Raw(b"value"), b"ledger");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
    }
    let id = hand.id();
    let whole = journal::read(&hand.driver.holder.folder, id).unwrap();
    let all: Vec<(u64, Vec<u8>)> = frames(&whole, id).map(|(number, body)| (number, body.to_vec())).collect();
    assert_eq!(all.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    let len: usize = all.iter().map(|(_, body)| body.len() + 16).sum();
    let start = 4096;
    let count = |bytes: &[u8]| {
        let found: Vec<_> = frames(bytes, id).map(|(number, body)| (number, body.to_vec())).collect();
        assert!(all.starts_with(&found));
        found.len()
    };
    let each = len / 3;
    for at in 0..len {
        assert_eq!(count(&whole[..start + at]), at / each);
        for bit in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[start + at] ^= bit;
            assert_eq!(count(&bytes), at / each, "{at}");
        }
    }
    assert_eq!(count(&whole), 3);
    assert_eq!(frames(&whole, Uuid::from_u128(1)).count(), 0);
    assert_eq!((count(&[]), count(&[0; 10_000]), count(&[0xff; 10_000])), (0, 0, 0));
}

#[test]
fn a_file_of_the_first_format_is_taken_over() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    put(&mut open(&store, "r").unwrap(), output("a"), b"1").unwrap();
    drop(store);
    until(|| holders(&path) == 0);
    let database = builder().open(&path).unwrap();
    let write = database.begin_write().unwrap();
    assert!(write.delete_table(JOURNALS).unwrap());
    write.open_table(crate::store::redb::file::META).unwrap().insert("format", 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let store = RedbStore::open(&path).unwrap();
    let mut session = existing(&store, "r").unwrap();
    put(&mut session, output("b"), b"2").unwrap();
    assert_eq!(load(&mut session, output("a")).unwrap(), b"1");
}

#[test]
fn the_callers_thread_goes_on_while_the_file_is_somebody_elses() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio.block_on(async {
        let Begun::Pending(opening) = store.open(&super::id("r"), Access::Create) else { panic!("it has to wait") };
        let mut session = opening.await.unwrap();
        // As another process does in the middle of a write.
        let other = builder().open(&path).unwrap();
        let write = other.begin_write().unwrap();
        // A checkpoint need not wait for it.
        let Begun::Pending(writing) = session.put(output("a"), Raw(b"1"), b"") else { panic!("it has to wait") };
        writing.await.unwrap();
        // What has to, waits, and nobody with it.
        let Begun::Pending(opening) = store.open(&super::id("another"), Access::Create) else {
            panic!("it has to wait")
        };
        let opening = tokio::spawn(opening);
        for _ in 0..10_000 {
            yield_now().await;
        }
        assert!(!opening.is_finished());
        drop(write);
        assert!(opening.await.unwrap().is_ok());
    });
    drop(store);
    until(|| holders(&path) == 0);
    assert_eq!(fs::read_dir(Holder::folder(&path.canonicalize().unwrap())).unwrap().count(), 0);
}
