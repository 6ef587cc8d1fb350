//! What is refused, what there is room for, and what is counted.

use super::*;

#[test]
fn several_writes_of_a_run_are_under_way_at_once() {
    let chip = SmallChip::waiting(PAGES, 2);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let run = RunId::from_u128(1);
    let mut session = done(store.open(&run, Access::Create)).unwrap();
    let pending = |begun| match begun {
        Begun::Pending(writing) => Box::pin(writing),
        Begun::Done(done) => panic!("{done:?}"),
    };
    let first = pending(session.put(output("a", 0), Raw(b"a"), b"first"));
    let second = pending(session.put(output("b", 0), Raw(b"b"), b"second"));
    let third = pending(session.put(output("a", 0), Raw(b"A"), &[]));
    let fourth = pending(session.put(output("c", 0), Raw(b"c"), &[]));
    assert!(session.is_new() && !session.holds(output("a", 0)));
    // In another order than they were asked for, one of them dropped before it began.
    drop(fourth);
    for writing in [third, second, first] {
        wait(writing).unwrap();
    }
    let model = look_in(&mut session).unwrap();
    let slots = [("a", &b"A"[..]), ("b", b"b")];
    assert!(model.slots.into_iter().eq(slots.map(|(node, v)| ((node.to_owned(), 0, SlotKind::Output), v.to_vec()))));
    drop(session);
    drop(store);
    let room = leaked(Room::new());
    assert_eq!(look(&start(room, &chip), 1).unwrap().unwrap().ledger, b"second");
}

#[test]
fn a_ledger_stays_when_the_checkpoint_it_came_with_goes() {
    let chip = SmallChip::new(PAGES);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let mut session = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
    done(session.put(Slot::INPUT, Raw(b"i"), &[])).unwrap();
    done(session.put(output("a", 0), Raw(b"a"), b"ledger")).unwrap();
    done(session.discard(|slot| slot.node == "a")).unwrap();
    // Another checkpoint takes the place in flash.
    for node in ["b", "c", "d"] {
        done(session.put(output(node, 0), Raw(b"x"), &[])).unwrap();
    }
    drop(session);
    drop(store);
    let room = leaked(Room::new());
    let found = look(&start(room, &chip), 1).unwrap().unwrap();
    assert_eq!((found.ledger, found.slots.len()), (b"ledger".to_vec(), 4));
}

#[test]
fn a_write_of_an_earlier_session_is_refused() {
    let chip = SmallChip::new(PAGES);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let run = RunId::from_u128(1);
    let mut session = done(store.open(&run, Access::Create)).unwrap();
    done(session.put(Slot::INPUT, Raw(b"i"), &[])).unwrap();
    let Begun::Pending(late) = session.put(output("a", 0), Raw(b"a"), &[]) else { panic!("it is not asked yet") };
    drop(session);
    let session = done(store.open(&run, Access::Existing)).unwrap();
    assert_eq!(kind(wait(late)), Some(StoreErrorKind::Fenced));
    assert!(!session.holds(output("a", 0)));
}

#[test]
fn whoever_is_dropped_leaves_nobody_waiting() {
    let chip = SmallChip::waiting(PAGES, 3);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let mut one = Box::pin(async { done_async(store.open(&RunId::from_u128(1), Access::Create)).await.map(drop) });
    let mut two = Box::pin(async { done_async(store.open(&RunId::from_u128(2), Access::Create)).await.map(drop) });
    let bells = [(); 2].map(|()| Arc::new(Bell::default()));
    let [one_waker, two_waker] = bells.clone().map(Waker::from);
    assert!(one.as_mut().poll(&mut Context::from_waker(&one_waker)).is_pending());
    // The flash now wakes the second alone.
    assert!(two.as_mut().poll(&mut Context::from_waker(&two_waker)).is_pending());
    while bells[0].rang() {}
    drop(two);
    assert!(bells[0].rang());
    wait(one).unwrap();
    // One who gave up while it was at work has taken nothing.
    let mut three = Box::pin(async { done_async(store.open(&RunId::from_u128(3), Access::Create)).await.map(drop) });
    for _ in 0..5 {
        assert!(three.as_mut().poll(&mut Context::from_waker(&one_waker)).is_pending());
    }
    drop(three);
    assert!(done(store.open(&RunId::from_u128(3), Access::Create)).is_ok_and(|session| session.is_new()));
}

async fn done_async<T, F>(begun: Begun<Result<T, StoreError>, F>) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    match begun {
        Begun::Done(done) => done,
        Begun::Pending(future) => future.await,
    }
}

#[test]
fn what_is_finished_makes_room_after_a_reset_too() {
    let chip = SmallChip::waiting(PAGES, 1);
    for run in 0..9_u128 {
        let room = leaked(Room::new());
        let store = start(room, &chip);
        let mut session = done(store.open(&RunId::from_u128(run), Access::Create)).unwrap();
        done(session.put(Slot::INPUT, Raw(&[run as u8]), &[])).unwrap();
        session.finished();
        drop(session);
        wait(store.flush()).unwrap();
    }
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let kept: Vec<bool> = (0..9).map(|run| look(&store, run).unwrap().is_some()).collect();
    assert_eq!(kept, [false, false, false, false, false, false, true, true, true]);
    // Those that are not finished stay.
    for run in 10..13_u128 {
        let mut session = done(store.open(&RunId::from_u128(run), Access::Create)).unwrap();
        done(session.put(Slot::INPUT, Raw(b"i"), &[])).unwrap();
    }
    let full = Some(StoreErrorKind::Full { room: 3, of: "runs" });
    assert_eq!(kind(done(store.open(&RunId::from_u128(13), Access::Create))), full);
    assert_eq!(done(store.forget(&RunId::from_u128(11))), Ok(true));
    assert_eq!(done(store.forget(&RunId::from_u128(11))), Ok(false));
    assert!(done(store.open(&RunId::from_u128(13), Access::Create)).is_ok());
    assert_eq!(kind(done(store.open(&RunId::from_u128(11), Access::Existing))), Some(StoreErrorKind::UnknownRun));
}

#[test]
fn a_flash_that_is_full_says_so_and_takes_more_when_a_run_is_forgotten() {
    // Three pages are room for one run of long checkpoints.
    let chip = SmallChip::new(3);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let mut one = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
    let mut two = done(store.open(&RunId::from_u128(2), Access::Create)).unwrap();
    let value = [7; 120];
    for node in ["a", "b", "c"] {
        done(one.put(output(node, 0), Raw(&value), &[])).unwrap();
    }
    let refused = done(two.put(output("a", 0), Raw(&value), &[])).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Exhausted);
    assert!(refused.detail().contains(" of 696 bytes are taken"), "{refused}");
    assert!(two.is_new());
    // Again and again, with no page worn out over it.
    let erases = store.wear().erases_since_start;
    for _ in 0..50 {
        assert_eq!(kind(done(two.put(output("a", 0), Raw(&value), &[]))), Some(StoreErrorKind::Exhausted));
    }
    assert_eq!(store.wear().erases_since_start, erases);
    drop(one);
    assert_eq!(done(store.forget(&RunId::from_u128(1))), Ok(true));
    done(two.put(output("a", 0), Raw(&value), &[])).unwrap();
    assert_eq!(read(&mut two, output("a", 0)).unwrap(), value);
    // What is finished goes by itself.
    drop(two);
    let mut two = done(store.open(&RunId::from_u128(2), Access::Existing)).unwrap();
    two.finished();
    drop(two);
    let mut three = done(store.open(&RunId::from_u128(3), Access::Create)).unwrap();
    for node in ["a", "b", "c"] {
        done(three.put(output(node, 0), Raw(&value), &[])).unwrap();
    }
    assert_eq!(look(&store, 2), Ok(None));
}

#[test]
fn sizes_are_named_where_something_does_not_fit() {
    let chip = SmallChip::new(PAGES);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let mut session = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
    let max = 160 - 4 - 22 - 1;
    let too_large = Some(StoreErrorKind::TooLarge { len: max + 1, max });
    assert_eq!(kind(done(session.put(output("a", 0), Raw(&[1; 134]), b""))), too_large);
    assert!(!session.holds(output("a", 0)));
    done(session.put(output("a", 0), Raw(&[1; 133]), b"")).unwrap();
    let ledger_max = 160 - 4 - 18 - 1;
    let too_large = Some(StoreErrorKind::TooLarge { len: 138, max: ledger_max });
    assert_eq!(kind(done(session.put_ledger(&[2; 138]))), too_large);
    assert_eq!(kind(done(session.put(output("a", 0), Raw(b""), &[2; 138]))), too_large);
    assert_eq!(session.ledger(), b"");
    done(session.put_ledger(&[2; 137])).unwrap();
    let long: &'static str = "a name of a node that is longer than the sixty-four bytes of the most";
    let too_large = Some(StoreErrorKind::TooLarge { len: long.len(), max: 64 });
    assert_eq!(kind(done(session.put(output(long, 0), Raw(b""), b""))), too_large);
    assert_eq!(kind(read(&mut session, output("b", 0))), Some(StoreErrorKind::Missing));
    for instance in 1..4 {
        done(session.put(output("a", instance), Raw(b""), b"")).unwrap();
    }
    let full = Some(StoreErrorKind::Full { room: 4, of: "slots" });
    assert_eq!(kind(done(session.put(output("a", 4), Raw(b""), b"l"))), full);
    assert_eq!((store.slots_per_run(), session.ledger()), (Some(4), &[2; 137][..]));
}

#[test]
fn a_range_that_cannot_be_a_store_is_refused() {
    let room = leaked(Room::new());
    let refused = |range| room.driver(SmallChip::new(8), range).err();
    let range = FlashError::Range { page: 512, capacity: 4096 };
    assert_eq!(refused(0..4608), Some(range));
    assert_eq!(refused(100..4096), Some(range));
    assert_eq!(refused(0..4000), Some(range));
    assert_eq!(refused(1024..2048), Some(FlashError::Pages));
    let short = leaked(FlashRoom::<1, 1, 64>::new());
    let bytes = FlashError::Bytes { bytes: 60, min: 73 };
    assert_eq!(short.driver(SmallChip::new(8), 0..4096).err(), Some(bytes));
    let driver = room.driver(SmallChip::new(8), 512..4096);
    assert!(driver.is_ok());
    assert_eq!(refused(0..4096), Some(FlashError::InUse));
    drop(driver);
    assert_eq!(refused(0..4096), None);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let foreign = |chip: &SmallChip| {
        let before = chip.state().bytes.clone();
        let room = leaked(Room::new());
        let store = start(room, chip);
        for _ in 0..2 {
            let opened = kind(done(store.open(&RunId::from_u128(1), Access::Create)));
            assert_eq!(opened, Some(StoreErrorKind::Foreign));
        }
        assert!(chip.state().bytes == before, "it was touched");
    };
    // Anything.
    let chip = SmallChip::new(PAGES);
    let mut random = chip::Xorshift(7);
    chip.state().bytes.iter_mut().for_each(|byte| *byte = random.next() as u8);
    foreign(&chip);
    // A word in the middle of nothing.
    let chip = SmallChip::new(PAGES);
    chip.state().bytes[1000] = 0;
    foreign(&chip);
    // Another map of the same crate.
    let chip = SmallChip::new(PAGES);
    wait(async {
        use sequential_storage::{
            cache::Cache,
            map::{MapConfig, MapStorage},
        };
        let config = MapConfig::new(0..(PAGES * 512) as u32);
        let mut map = MapStorage::<u32, _, _>::new(chip.clone(), config, Cache::new_uncached());
        map.store_item(&mut [0; 64], &7, &[1_u8, 2, 3].as_slice()).await.unwrap();
    });
    foreign(&chip);
    // A store of more runs than there is room for.
    let chip = SmallChip::new(8);
    {
        let room = leaked(FlashRoom::<4, 4, 160>::new());
        let store = FlashStore::new(room, Box::pin(room.driver(chip.clone(), 0..4096).unwrap()));
        for run in 0..4_u128 {
            let mut session = done(store.open(&RunId::from_u128(run), Access::Create)).unwrap();
            done(session.put(Slot::INPUT, Raw(b"i"), &[])).unwrap();
        }
    }
    foreign(&chip);
    // Not even pinned to the right room.
    let (room, other) = (leaked(Room::new()), leaked(Room::new()));
    let store = FlashStore::new(room, Box::pin(other.driver(SmallChip::new(8), 0..4096).unwrap()));
    let refused = done(store.open(&RunId::from_u128(1), Access::Create)).err().unwrap();
    assert_eq!((refused.kind(), refused.detail()), (StoreErrorKind::Unavailable, "the driver is that of another room"));
}

#[test]
fn ids_of_any_bytes_reach_nobody_elses_data() {
    let room = leaked(FlashRoom::<8, 8, 256>::new());
    let chip = SmallChip::new(24);
    let store = FlashStore::new(room, Box::pin(room.driver(chip, 0..24 * 512).unwrap()));
    let long = "ä".repeat(32);
    let uuid = RunId::from_u128(7).to_string();
    let ids = ["a", "a*", "a:b", "[a]", " a", &long, &long[..62], &uuid];
    let nodes: [&'static str; 7] = ["", "a", "a:b", "[", "\n", "ää", "aa"];
    for (at, id) in (0..).zip(ids) {
        let mut session = done(store.open(&RunId::new(id).unwrap(), Access::Create)).unwrap();
        assert!(session.is_new());
        for (node, number) in nodes.into_iter().zip(0..) {
            done(session.put(output(node, 0), Raw(&[at, number]), &[])).unwrap();
        }
    }
    for (at, id) in (0..).zip(ids) {
        let mut session = done(store.open(&RunId::new(id).unwrap(), Access::Existing)).unwrap();
        for (node, number) in nodes.into_iter().zip(0..) {
            assert_eq!(read(&mut session, output(node, 0)).unwrap(), [at, number]);
        }
        session.finished();
    }
    assert_eq!(done(store.forget(&RunId::new("a*").unwrap())), Ok(true));
    assert!(done(store.open(&RunId::new("a").unwrap(), Access::Existing)).is_ok());
}

#[test]
fn a_checkpoint_is_one_item_and_wear_is_counted() {
    let chip = SmallChip::new(8);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    let mut session = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
    done(session.put(Slot::INPUT, Raw(b"input"), &[])).unwrap();
    let before = store.wear();
    done(session.put(output("node", 0), Raw(&[1; 21]), &[])).unwrap();
    let after = store.wear();
    // The front of the item and, in one piece, what is in it.
    let bytes = 8 + (4 + 22 + 4 + 21_u64).next_multiple_of(4);
    println!("a checkpoint of 21 bytes at a node with 4 writes {} bytes", after.bytes_written - before.bytes_written);
    assert_eq!(after.bytes_written - before.bytes_written, bytes);
    assert!(after.writes - before.writes <= 3);
    for round in 0..600_u32 {
        done(session.put(output("node", 0), Raw(&round.to_le_bytes()), &[])).unwrap();
    }
    let wear = store.wear();
    assert_eq!(wear.bytes_written, chip.state().written);
    let erases = chip.state().erases.clone();
    assert_eq!(wear.erases_since_start, erases.iter().sum::<u32>());
    assert_eq!(wear.erases_per_page(), (*erases.iter().min().unwrap(), *erases.iter().max().unwrap()));
    assert_eq!((wear.pages, wear.erases), (8, wear.erases_since_start));
    assert!(wear.erases > 50);
    println!("600 checkpoints of {} bytes erased a page {} times", 8 + 36, wear.erases);
    drop(session);
    // It is known after a reset, too, from the run that began last.
    drop(done(store.open(&RunId::from_u128(2), Access::Create)));
    drop(store);
    let room = leaked(Room::new());
    let store = start(room, &chip);
    look(&store, 1).unwrap().unwrap();
    assert_eq!((store.wear().erases, store.wear().erases_since_start), (wear.erases, 0));
}

#[test]
fn the_memory_is_what_the_docs_say() {
    let room = size_of::<FlashRoom<4, 12, 256>>();
    println!("a room of 4 runs, 12 slots and 256 bytes: {room}");
    assert!(room < 4 * (150 + 12 * 96) + 256 + 400, "{room}");
    let room = leaked(Room::new());
    let driver = room.driver(SmallChip::new(8), 0..4096).unwrap();
    let long = leaked(FlashRoom::<1, 4, 480>::new());
    let long_driver = long.driver(SmallChip::new(8), 0..4096).unwrap();
    println!("a driver for 160 bytes: {}, for 480: {}", size_of_val(&driver), size_of_val(&long_driver));
    assert!(size_of_val(&driver) < 3 * 160 + 2_700 && size_of_val(&long_driver) < 3 * 480 + 2_700);
    drop(driver);
    let chip = SmallChip::new(8);
    let store = start(room, &chip);
    let mut session = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
    assert!(size_of_val(&session) < 320, "{}", size_of_val(&session));
    let Begun::Pending(writing) = session.put(Slot::INPUT, Raw(b"i"), &[]) else { panic!("it is not asked yet") };
    assert!(size_of_val(&writing) < 160 + 220, "{}", size_of_val(&writing));
}
