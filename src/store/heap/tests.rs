extern crate std;
use std::vec::Vec;

use super::{
    super::{
        StoreErrorKind,
        raw::Raw,
        table::testing::{self, begin, done, existing, forget, kind, open, output, read},
    },
    *,
};

#[test]
fn sessions_are_send_and_stores_are_sync() {
    fn is_send<T: Send>() {}
    fn is_send_sync<T: Send + Sync>() {}
    is_send::<HeapSession<'static>>();
    is_send_sync::<HeapStore>();
}

#[test]
fn what_is_put_is_there_in_the_next_session_too() {
    testing::what_is_put_is_there_in_the_next_session_too(&HeapStore::new());
}

#[test]
fn one_holder_at_a_time() {
    testing::one_holder_at_a_time(&HeapStore::with_capacity(2));
}

#[test]
fn what_is_finished_goes_first() {
    testing::what_is_finished_goes_first(&HeapStore::with_capacity(3));
}

#[test]
fn a_finished_run_that_goes_on_is_finished_no_more() {
    testing::a_finished_run_that_goes_on_is_finished_no_more(&HeapStore::with_capacity(3));
}

#[test]
fn a_failed_put_leaves_the_old_value() {
    testing::a_failed_put_leaves_the_old_value(&HeapStore::new());
}

#[test]
fn behaves_as_a_map_does() {
    testing::behaves_as_a_map_does(&HeapStore::new(), usize::MAX, None);
    testing::behaves_as_a_map_does(&HeapStore::with_capacity(1), usize::MAX, None);
}

#[test]
fn there_is_room_for_one_run_at_least() {
    let store = HeapStore::with_capacity(0);
    let session = open(&store, 1).unwrap();
    assert_eq!(kind(open(&store, 2)), Some(StoreErrorKind::Full { room: 1, of: "runs" }));
    drop(session);
    assert!(open(&store, 2).is_ok());
    assert_eq!(store.slots_per_run(), None);
}

#[test]
fn any_number_of_slots_of_any_size() {
    let store = HeapStore::new();
    let mut session = open(&store, 1).unwrap();
    let long = std::vec![7; 100_000];
    for instance in 0..500 {
        let len = instance as usize * 200;
        done(session.put(output("a", 3, instance), Raw(&long[..len]), &[])).unwrap();
    }
    for instance in 0..500 {
        assert_eq!(
            read(&mut session, output("a", 3, instance)).map(|bytes| bytes.len()),
            Some(instance as usize * 200)
        );
    }
}

/// Where the memory of a store is and how much: changes with every allocation that lasts.
fn memory(store: &HeapStore) -> Vec<(usize, usize)> {
    let index = store.index.lock();
    let mut all = std::vec![
        (index.records.as_ptr() as usize, index.records.capacity()),
        (index.buckets.as_ptr() as usize, index.buckets.capacity())
    ];
    for table in index.records.iter().filter_map(|record| record.table.as_ref()) {
        all.extend(table.cells().iter().map(|cell| cell.buffer().as_ptr() as usize).map(|at| (at, 0)));
        all.push((table.cells().as_ptr() as usize, table.cells().capacity()));
    }
    all.sort_unstable();
    all
}

#[test]
fn in_the_steady_state_nothing_is_allocated() {
    let store = HeapStore::with_capacity(4);
    let one_run = |id: u128| {
        let mut session = open(&store, id).unwrap();
        done(session.put(Slot::INPUT, Raw(&[1; 30]), &[])).unwrap();
        for instance in 0..4 {
            done(session.put(output("a", 1, instance), Raw(&[2; 300]), b"ledger")).unwrap();
        }
        done(session.put(output("a", 1, 0), Raw(&[3; 300]), b"ledger")).unwrap();
        session.finished();
    };
    (0..40).for_each(one_run);
    let before = memory(&store);
    (40..400).for_each(one_run);
    assert_eq!(memory(&store), before);
}

#[test]
fn many_runs_come_and_go_and_each_is_found() {
    let store = HeapStore::with_capacity(300);
    for id in 0..1_000 {
        begin(&store, id, true);
        if id % 7 == 3 {
            assert_eq!(forget(&store, id), Ok(true));
        }
    }
    // The forgotten ones left their room to others, so 300 of the rest are there: the last 300.
    let kept = (0..1_000).filter(|id| existing(&store, *id).is_ok()).collect::<Vec<_>>();
    let last = (0..1_000).filter(|id| id % 7 != 3).rev().take(300).collect::<Vec<_>>();
    assert_eq!(kept.len(), 300);
    assert!(last.iter().rev().eq(kept.iter()));
}

#[test]
fn threads_share_a_store() {
    let store = HeapStore::with_capacity(8);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..2_000_u32 {
                    let Ok(mut session) = open(store, u128::from(round % 13)) else { continue };
                    done(session.put(Slot::INPUT, Raw(&[thread; 4]), &[])).unwrap();
                    assert_eq!(read(&mut session, Slot::INPUT), Some(std::vec![thread; 4]));
                    if round % 2 == 0 {
                        session.finished();
                    }
                }
            });
        }
    });
    let all = (100..108).map(|id| open(&store, id).unwrap()).collect::<Vec<_>>();
    assert!(open(&store, 108).is_err());
    drop(all);
}
