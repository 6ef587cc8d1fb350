//! Holders that stand still, and those who wait. The time is made up, except for where a thread beats.

use core::time::Duration;
use std::{fs, path::PathBuf, sync::Arc, time::Instant, vec, vec::Vec};

use tempfile::TempDir;
use uuid::Uuid;

use super::{
    BUSY, ended, existing, folder,
    hand::{Hand, TERM, came, result},
    holders, id, kind, load, open, output, put, until, wait,
};
use crate::store::{
    Access, Begun, Session, Store, StoreErrorKind,
    redb::{
        RedbSession, RedbStore,
        answer::Answer,
        holder::Holder,
        lease::{TERM_MIN, beside},
        patience::Wait,
        session::{Asked, Forget, Job},
    },
};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn busy(until: Duration) -> Option<StoreErrorKind> {
    Some(StoreErrorKind::Busy { until: Some(until) })
}

#[test]
fn a_holder_that_stood_still_for_its_term_has_lost_the_run_that_another_asks_for() {
    let (_folder, path) = folder();
    let mut first = Hand::new(&path);
    let mut second = Hand::new(&path);
    let start = Instant::now();
    let mut taken = first.open("taken", start).unwrap();
    let mut kept = first.open("kept", start).unwrap();
    let put_first = taken.put(output("a"), super::Raw(b"1"), b"ledger");
    assert_eq!(result(&mut first, start, put_first), Ok(()));
    let put_first = kept.put(output("a"), super::Raw(b"1"), b"");
    assert_eq!(result(&mut first, start, put_first), Ok(()));

    // Without a lease it may stand still for ever.
    assert_eq!(kind(second.open("taken", start + 1_000_000 * TERM)), BUSY);

    // The term is what its holder says, and begins when this beat was first seen, whenever it was made.
    first.beat(TERM, 7);
    let seen = start + 2 * TERM;
    assert_eq!(kind(second.open("taken", seen)), busy(TERM));
    assert_eq!(kind(second.open("taken", seen + TERM / 3)), busy(TERM - TERM / 3));
    first.beat(TERM, 8);
    let seen = seen + TERM - ms(1);
    assert_eq!(kind(second.open("taken", seen)), busy(TERM));
    assert_eq!(kind(second.open("taken", seen + TERM - ms(1))), busy(ms(1)));
    let mut next = second.open("taken", seen + TERM).unwrap();
    assert!(next.hold.token > taken.hold.token);
    assert_eq!(next.ledger(), b"ledger");

    // It goes on, and is refused whatever it asks for.
    first.beat(TERM, 9);
    let now = seen + TERM;
    let writes = [
        taken.put(output("a"), super::Raw(b"2"), b"x"),
        taken.put(output("b"), super::Raw(b"2"), b"x"),
        taken.put_ledger(b"x"),
        taken.discard(|_| true),
    ];
    let read = taken.load(output("b"), <[u8]>::to_vec);
    first.work(now);
    assert_eq!(writes.map(ended).map(kind), [Some(StoreErrorKind::Fenced); 4]);
    // Discarded in its own eyes, so it did not get as far as the file.
    assert_eq!(kind(ended(read)), Some(StoreErrorKind::Missing));
    let mut late = first.open("kept", now);
    assert_eq!(kind(late), BUSY);
    let written = kept.put(output("b"), super::Raw(b"2"), b"");
    assert_eq!(result(&mut first, now, written), Ok(()));
    assert_eq!(kind(first.open("taken", now)), BUSY);

    // Neither its session's end nor its own is the end of what the other one has.
    drop(taken);
    first.work(now);
    let written = next.put(output("c"), super::Raw(b"3"), b"");
    assert_eq!(result(&mut second, now, written), Ok(()));
    let read = next.load(output("a"), <[u8]>::to_vec);
    assert_eq!(result(&mut second, now, read).unwrap(), b"1");
    assert!(!next.holds(output("b")));
    drop(kept);
    first.work(now);
    // It is a run like any other by then.
    late = second.open("kept", now);
    assert!(late.unwrap().holds(output("b")));
    drop(first);
    assert_eq!(holders(&path), 1);
    assert!(!fs::read_dir(Holder::folder(&path.canonicalize().unwrap())).unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().ends_with(".beat")
    }));
}

#[test]
fn a_read_under_a_lost_token_is_refused() {
    let (_folder, path) = folder();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let now = Instant::now();
    let mut lost = first.open("r", now).unwrap();
    let written = lost.put(output("a"), super::Raw(b"1"), b"");
    assert_eq!(result(&mut first, now, written), Ok(()));
    first.beat(TERM, 1);
    assert_eq!(kind(second.open("r", now)), busy(TERM));
    let session = second.open("r", now + TERM).unwrap();
    let read = lost.load(output("a"), <[u8]>::to_vec);
    assert_eq!(kind(result(&mut first, now + TERM, read)), Some(StoreErrorKind::Fenced));
    // The same within a transaction that writes.
    let written = lost.put_ledger(b"x");
    let read = lost.load(output("a"), <[u8]>::to_vec);
    first.work(now + TERM);
    assert_eq!(kind(ended(written)), Some(StoreErrorKind::Fenced));
    assert_eq!(kind(ended(read)), Some(StoreErrorKind::Fenced));
    drop(session);
}

#[test]
fn a_stopped_holders_run_can_be_forgotten_and_begun_anew() {
    let (_folder, path) = folder();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let now = Instant::now();
    let mut lost = first.open("r", now).unwrap();
    let written = lost.put(output("a"), super::Raw(b"1"), b"");
    assert_eq!(result(&mut first, now, written), Ok(()));
    first.beat(TERM, 1);
    let mut forget = |now| {
        let (job, answer) =
            Asked::new(Forget { run: Arc::from("r"), _jobs: second.jobs.clone(), wait: Wait::new(Duration::ZERO) });
        second.driver.serve(vec![Job::Forget(job)], now);
        came(answer).unwrap()
    };
    assert_eq!(kind(forget(now)), busy(TERM));
    assert_eq!(forget(now + TERM), Ok(true));
    let written = lost.put(output("b"), super::Raw(b"1"), b"");
    assert_eq!(kind(result(&mut first, now, written)), Some(StoreErrorKind::Fenced));
    assert!(second.open("r", now + TERM).unwrap().is_new());
}

#[test]
fn a_lease_beats_until_its_store_ends_and_counts_on_when_its_term_changes() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap().with_lease(Duration::ZERO).unwrap();
    let names = Holder::folder(&path.canonicalize().unwrap());
    let beat_file: Vec<PathBuf> = fs::read_dir(&names)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "beat"))
        .collect();
    let read = || {
        let bytes = fs::read(&beat_file[0]).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        (Duration::from_nanos(word(0)), word(8))
    };
    assert_eq!(read().0, TERM_MIN);
    until(|| read().1 >= 3);
    let session = open(&store, "r").unwrap();
    let store = store.with_lease(ms(200)).unwrap();
    let (term, count) = read();
    assert_eq!(term, ms(200));
    assert!(count > 3);
    drop(store);
    // A session is enough to keep it.
    until(|| read().1 > count + 2);
    drop(session);
    until(|| fs::read_dir(&names).unwrap().count() == 0);
}

/// A device that takes nothing is there on Linux.
#[test]
#[cfg(target_os = "linux")]
fn a_lease_that_cannot_begin_takes_no_run_from_its_store() {
    let (_folder, path) = folder();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let now = Instant::now();
    let _session = first.open("r", now).unwrap();
    first.driver.holder.set_lease(TERM).unwrap();
    let beat = beside(&first.driver.holder.folder, Uuid::from_u128(first.driver.holder.id));
    fs::remove_file(&beat).unwrap();
    std::os::unix::fs::symlink("/dev/full", &beat).unwrap();
    assert_eq!(kind(first.driver.holder.set_lease(TERM)), Some(StoreErrorKind::Exhausted));
    assert!(fs::symlink_metadata(&beat).is_err());
    assert_eq!(kind(second.open("r", now)), BUSY);
}

/// When the jobs that wait are looked at, in milliseconds from `start`, until there is an answer.
fn looks(hand: &mut Hand, start: Instant, answer: &mut Answer<RedbSession>) -> (Vec<u128>, StoreErrorKind) {
    let mut at = Vec::new();
    loop {
        if let Ok(result) = answer.0.try_recv() {
            return (at, result.unwrap_err().kind());
        }
        let next = hand.driver.waiting.next().unwrap();
        at.push(next.duration_since(start).as_millis());
        hand.driver.serve(Vec::new(), next);
    }
}

#[test]
fn who_waits_looks_again_ever_more_seldom_and_is_told_in_the_end() {
    let (_folder, path) = folder();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let start = Instant::now();
    let _session = first.open("r", start).unwrap();
    let (job, mut answer) = second.asked("r", ms(1000));
    second.driver.serve(vec![job], start);
    let (at, kind) = looks(&mut second, start, &mut answer);
    assert_eq!(at, [10, 30, 70, 150, 310, 560, 810, 1000]);
    assert_eq!(Some(kind), BUSY);

    // A lease that runs out is seen when it does.
    first.beat(TERM, 1);
    let (job, mut answer) = second.asked("r", TERM - ms(5));
    second.driver.serve(vec![job], start);
    let (at, kind) = looks(&mut second, start, &mut answer);
    assert_eq!(at.last(), Some(&(TERM - ms(5)).as_millis()));
    assert_eq!(Some(kind), busy(ms(5)));
    let (job, mut answer) = second.asked("r", Duration::MAX);
    second.driver.serve(vec![job], start + TERM - ms(3));
    let next = second.driver.waiting.next().unwrap();
    assert_eq!(next, start + TERM);
    second.driver.serve(Vec::new(), next);
    assert!(answer.0.try_recv().unwrap().is_ok());
}

#[test]
fn who_waits_has_a_run_of_its_own_store_as_soon_as_it_is_given_back() {
    let (_folder, path) = folder();
    let mut hand = Hand::new(&path);
    let now = Instant::now();
    let session = hand.open("r", now).unwrap();
    let (waits, mut first) = hand.asked("r", TERM);
    let (waits_too, mut second) = hand.asked("r", TERM);
    hand.driver.serve(vec![waits, waits_too], now);
    drop(session);
    // Even before one that asks in the same moment.
    let (late, third) = hand.asked("r", Duration::ZERO);
    let mut jobs: Vec<Job> = hand.inbox.try_iter().collect();
    jobs.push(late);
    hand.driver.serve(jobs, now);
    let session = first.0.try_recv().unwrap().unwrap();
    assert!(second.0.try_recv().is_err());
    assert_eq!(kind(came(third).unwrap()), BUSY);
    drop(session);
    hand.work(now);
    assert!(second.0.try_recv().unwrap().is_ok());
    assert_eq!(hand.driver.waiting.next(), None);
}

#[test]
fn who_no_longer_waits_gets_nothing() {
    let (_folder, path) = folder();
    let mut hand = Hand::new(&path);
    let now = Instant::now();
    let session = hand.open("r", now).unwrap();
    let (job, answer) = hand.asked("r", TERM);
    hand.driver.serve(vec![job], now);
    let next = hand.driver.waiting.next().unwrap();
    drop(answer);
    hand.driver.serve(Vec::new(), next);
    assert_eq!(hand.driver.waiting.next(), None);
    drop(session);
    hand.work(now);
    assert!(hand.open("r", now).is_ok());
}

#[test]
fn others_are_served_while_somebody_waits() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let patient = store.clone().wait_for(Duration::from_secs(3600));
    let held = open(&store, "r").unwrap();
    let Begun::Pending(opening) = patient.open(&id("r"), Access::Create) else { panic!("it has to wait") };
    let Begun::Pending(forgetting) = patient.forget(&id("r")) else { panic!("it has to wait") };
    // The setting is the clone's.
    assert_eq!(kind(open(&store, "r")), BUSY);
    let mut other = open(&patient, "another").unwrap();
    put(&mut other, output("a"), b"1").unwrap();
    assert_eq!(load(&mut other, output("a")).unwrap(), b"1");
    drop((store, patient));
    drop(held);
    let mut session = wait(opening).unwrap();
    put(&mut session, output("a"), b"1").unwrap();
    drop(session);
    assert_eq!(wait(forgetting), Ok(true));
    drop(other);
    until(|| holders(&path) == 0);
    let store = RedbStore::open(&path).unwrap();
    assert!(existing(&store, "another").is_ok());
}

/// Two stores of one process that share nothing but the file.
#[test]
fn a_run_of_another_store_is_had_when_it_is_given_back() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs.redb");
    let first = RedbStore::open(&path).unwrap();
    let second = RedbStore::open(&path).unwrap().wait_for(Duration::from_secs(3600));
    let held = open(&first, "r").unwrap();
    let Begun::Pending(opening) = second.open(&id("r"), Access::Create) else { panic!("it has to wait") };
    drop(held);
    assert!(wait(opening).is_ok());
    // Dropped in the middle of the wait, it leaves nothing behind.
    let mut held = None;
    until(|| {
        held = open(&first, "r").ok();
        held.is_some()
    });
    drop(second.open(&id("r"), Access::Create));
    drop(second);
    until(|| holders(&path) == 1);
    drop(held);
}
