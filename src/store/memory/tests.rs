extern crate std;

use super::{
    super::{
        StoreErrorKind,
        codec::Value,
        raw::Raw,
        table::testing::{self, done, kind, open, output, read},
    },
    *,
};

#[test]
fn sessions_are_send_and_stores_are_sync() {
    fn is_send<T: Send>() {}
    fn is_send_sync<T: Send + Sync>() {}
    is_send::<MemorySession<'static, 4, 64>>();
    is_send_sync::<MemoryStore<2, 4, 64>>();
}

#[test]
fn what_is_put_is_there_in_the_next_session_too() {
    testing::what_is_put_is_there_in_the_next_session_too(&MemoryStore::<2, 4, 16>::new());
}

#[test]
fn one_holder_at_a_time() {
    testing::one_holder_at_a_time(&MemoryStore::<2, 4, 16>::new());
}

#[test]
fn what_is_finished_goes_first() {
    testing::what_is_finished_goes_first(&MemoryStore::<3, 2, 16>::new());
}

#[test]
fn a_finished_run_that_goes_on_is_finished_no_more() {
    testing::a_finished_run_that_goes_on_is_finished_no_more(&MemoryStore::<3, 2, 16>::new());
}

#[test]
fn a_failed_put_leaves_the_old_value() {
    testing::a_failed_put_leaves_the_old_value(&MemoryStore::<1, 4, 8>::new());
}

#[test]
fn behaves_as_a_map_does() {
    testing::behaves_as_a_map_does(&MemoryStore::<2, 7, 8>::new(), 7, Some(8));
    testing::behaves_as_a_map_does(&MemoryStore::<2, 90, 8>::new(), 90, Some(8));
}

#[test]
fn a_checkpoint_that_is_too_large_says_both_sizes_and_leaves_the_old_one() {
    let store = MemoryStore::<1, 4, 16>::new();
    let mut session = open(&store, 1).unwrap();
    let (slot, other) = (output("a", 1, 0), output("b", 2, 0));
    let too_large = Some(StoreErrorKind::TooLarge { len: 33, max: 16 });
    done(session.put(slot, Value { value: &7_u8, shape: None }, &[])).unwrap();
    let before = read(&mut session, slot);
    assert_eq!(before.as_deref().map(super::super::decode::<u8>), Some(Ok(7)));
    assert_eq!(kind(done(session.put(slot, Value { value: &[1_u8; 20], shape: None }, b"l"))), too_large);
    assert_eq!(kind(done(session.put(other, Value { value: &[1_u8; 20], shape: None }, b"l"))), too_large);
    assert_eq!(read(&mut session, slot), before);
    assert!(!session.holds(other) && session.ledger().is_empty());
}

#[test]
fn a_run_has_as_many_slots_as_the_type_says() {
    let store = MemoryStore::<1, 2, 16>::new();
    assert_eq!(store.slots_per_run(), Some(2));
    let mut session = open(&store, 1).unwrap();
    let full = Some(StoreErrorKind::Full { room: 2, of: "slots" });
    done(session.put(output("a", 1, 0), Raw(b"0"), &[])).unwrap();
    done(session.put(output("a", 1, 1), Raw(b"1"), &[])).unwrap();
    assert_eq!(kind(done(session.put(output("a", 1, 2), Raw(b"2"), &[]))), full);
    assert_eq!(kind(done(session.put(output("z", 9, 0), Raw(b"2"), &[]))), full);
    done(session.put(output("a", 1, 1), Raw(b"3"), &[])).unwrap();
    done(session.discard(|slot| slot.instance == 0)).unwrap();
    // Its own place is past the end, so it takes another.
    done(session.put(output("z", 9, 0), Raw(b"z"), &[])).unwrap();
    assert_eq!(read(&mut session, output("z", 9, 0)).as_deref(), Some(&b"z"[..]));
    assert_eq!(read(&mut session, output("a", 1, 1)).as_deref(), Some(&b"3"[..]));
}

#[test]
fn a_store_without_room_says_so() {
    let full = |room, of| Some(StoreErrorKind::Full { room, of });
    assert_eq!(kind(open(&MemoryStore::<0, 1, 1>::new(), 1)), full(0, "runs"));
    let slotless = MemoryStore::<1, 0, 1>::new();
    assert_eq!(kind(done(open(&slotless, 1).unwrap().put(Slot::INPUT, Raw(b""), &[]))), full(0, "slots"));
}

#[test]
fn only_one_of_many_threads_gets_a_run() {
    static STORE: MemoryStore<3, 2, 8> = MemoryStore::new();
    let entered = core::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let entered = &entered;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let Ok(mut session) = open(&STORE, u128::from(round % 5_u32)) else { continue };
                    done(session.put(Slot::INPUT, Raw(&[thread; 4]), &[])).unwrap();
                    assert_eq!(read(&mut session, Slot::INPUT), Some(std::vec![thread; 4]));
                    if round % 2 == 0 {
                        session.finished();
                    }
                    entered.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert!(entered.into_inner() > 0);
    // No run was lost on the way: all three can be held at once, and not a fourth.
    let all = [open(&STORE, 10).unwrap(), open(&STORE, 11).unwrap(), open(&STORE, 12).unwrap()];
    assert!(open(&STORE, 13).is_err());
    drop(all);
}
