//! How a holder learns that its runs may not be its own any more, and what it saved meanwhile.

use core::sync::atomic::{AtomicU32, Ordering};
use std::{format, fs, thread, time::Instant, vec::Vec};

use uuid::Uuid;

use super::{
    Raw, folder,
    hand::{Hand, TERM, result},
    journals::in_tables,
    open, output, put, until,
};
use crate::{
    slot::Slot,
    store::{
        Session, StoreErrorKind,
        redb::{
            RedbStore,
            journal::{beside, raise_fence},
            lease,
        },
    },
};

#[test]
fn a_raised_fence_sends_the_holder_to_the_tables_and_takes_nothing_from_it() {
    let (_folder, path) = folder();
    let now = Instant::now();
    let mut hand = Hand::new(&path);
    let mut session = hand.open("r", now).unwrap();
    let mut expected = 0;
    for round in 0..3 {
        let writing = session.put(output("a"), Raw(&[round]), b"");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
        raise_fence(&hand.driver.holder.folder, hand.id()).unwrap();
        assert_eq!(in_tables(&path), expected);
        let writing = session.put(Slot { instance: round.into(), ..output("b") }, Raw(&[round]), b"");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
        // Both are there by now, the first from the journal.
        expected = 2 + u64::from(round);
        assert_eq!(in_tables(&path), expected);
        assert!(hand.driver.holder.journal.is_done());
    }
    // Raised when the line is in the file already: whoever did may have read it or not.
    hand.driver.holder.journal.raise_in_between = true;
    let writing = session.put(Slot { instance: 9, ..output("b") }, Raw(b""), b"");
    assert_eq!(result(&mut hand, now, writing), Ok(()));
    expected += 1;
    assert_eq!(in_tables(&path), expected);
    // Where others see no fence, there is no more journal.
    fs::remove_file(beside(&hand.driver.holder.folder, hand.id())).unwrap();
    for instance in 10..13 {
        let writing = session.put(Slot { instance, ..output("b") }, Raw(b""), b"");
        assert_eq!(result(&mut hand, now, writing), Ok(()));
        expected += 1;
        assert_eq!(in_tables(&path), expected);
    }
}

#[test]
fn what_a_stopped_holder_saved_goes_with_its_run_and_stays_with_those_that_nobody_took() {
    let (_folder, path) = folder();
    let start = Instant::now();
    let (mut first, mut second) = (Hand::new(&path), Hand::new(&path));
    let mut taken = first.open("taken", start).unwrap();
    let mut kept = first.open("kept", start).unwrap();
    for session in [&mut taken, &mut kept] {
        let writing = session.put(output("a"), Raw(b"1"), b"");
        assert_eq!(result(&mut first, start, writing), Ok(()));
    }
    first.beat(TERM, 1);
    assert!(second.open("taken", start).is_err());
    let mut next = second.open("taken", start + TERM).unwrap();
    assert!(next.holds(output("a")));
    let writing = next.put(output("a"), Raw(b"of the second"), b"");
    assert_eq!(result(&mut second, start, writing), Ok(()));
    // The first one's journal has an older value of the same slot, and of its own run a newer one than the tables.
    let writing = kept.put(output("a"), Raw(b"2"), b"");
    assert_eq!(result(&mut first, start, writing), Ok(()));
    first.driver.serve(Vec::new(), start + TERM);
    let writing = kept.put(output("b"), Raw(b"3"), b"");
    assert_eq!(result(&mut first, start, writing), Ok(()));
    first.die();
    drop((taken, kept));
    let mut kept = second.open("kept", start).unwrap();
    let reading = kept.load(output("a"), <[u8]>::to_vec);
    assert_eq!(result(&mut second, start, reading).unwrap(), b"2");
    assert!(kept.holds(output("b")));
    let reading = next.load(output("a"), <[u8]>::to_vec);
    assert_eq!(result(&mut second, start, reading).unwrap(), b"of the second");
}

/// The race that the fence is for: the holder is not stopped at all, it only does not beat.
#[test]
fn what_was_reported_as_saved_is_in_the_run_however_close_to_its_loss() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut other = Hand::new(&path);
    let names = other.driver.holder.folder.clone();
    let id = other.driver.holder.others().unwrap().into_iter().next().unwrap();
    // A beat that stands still from the beginning.
    fs::write(lease::beside(&names, Uuid::from_u128(id)), [TERM.as_nanos() as u64, 1].map(u64::to_le_bytes).concat())
        .unwrap();
    let (start, mut reported) = (Instant::now(), 0);
    for round in 0..40 {
        let run = format!("run {round}");
        let mut session = open(&store, &run).unwrap();
        let saved = AtomicU32::new(0);
        let mut taken = thread::scope(|scope| {
            scope.spawn(|| {
                for instance in 0.. {
                    match put(&mut session, Slot { instance, ..output("n") }, b"value") {
                        Ok(()) => saved.store(instance + 1, Ordering::Release),
                        Err(error) => {
                            assert_eq!(error.kind(), StoreErrorKind::Fenced);
                            break;
                        }
                    }
                }
            });
            until(|| saved.load(Ordering::Acquire) > round % 5);
            let _ = other.open(&run, start);
            other.open(&run, start + TERM).unwrap()
        });
        let saved = saved.into_inner();
        for instance in 0..saved {
            assert!(taken.holds(Slot { instance, ..output("n") }), "{instance} of {saved} in round {round}");
        }
        // The last one was on its way when the run was lost, and may have been there in time.
        assert!(taken.outputs() <= 1 && !taken.holds(Slot { instance: saved + 1, ..output("n") }));
        let reading = taken.load(output("n"), <[u8]>::to_vec);
        assert_eq!(result(&mut other, start, reading).unwrap(), b"value");
        reported += saved;
    }
    assert!(reported >= 40);
}
