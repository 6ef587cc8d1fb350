//! The power fails: at every step, again while that is mended, and wherever a generated case has it.

use super::*;

/// What a program does with a store.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// Takes hold of a run, and lets go of the one that it had.
    Open(u128),
    /// Node, instance, and how many bytes of value and ledger.
    Put(usize, u32, usize, usize),
    Ledger(usize),
    /// Of these nodes, all instances from this one on.
    Discard(u8, u32),
    Finish,
    Forget(u128),
}

use Op::{Discard, Finish, Forget, Ledger, Open, Put};

const NODES: [&str; 4] = ["", "a", "a node with a long name", "b"];
const RUNS: u128 = 5;

/// What is to be in the flash, and what may be there instead since it was under way.
#[derive(Default)]
struct World {
    runs: BTreeMap<u128, Model>,
    /// Runs that came to their end, which the store may let go of.
    finished: Vec<u128>,
    under_way: Option<(u128, Option<Model>)>,
    writes: u8,
    /// Whether all is looked at after each step.
    careful: bool,
}

impl World {
    /// Does one thing after the other until the power fails or the last is done; whether it was.
    fn play(&mut self, store: &Small, ops: &[Op]) -> Result<(), StoreError> {
        let mut session = None;
        let mut here = 0;
        for op in ops {
            self.writes = self.writes.wrapping_add(1);
            let byte = self.writes;
            let mut model = self.runs.get(&here).cloned().unwrap_or_default();
            match *op {
                Open(run) => {
                    drop(session.take());
                    here = run;
                    let opened = done(store.open(&RunId::from_u128(run), Access::Create))?;
                    let model = self.runs.entry(run).or_default();
                    if opened.is_new() {
                        assert!(model.slots.is_empty() || self.finished.contains(&run), "run {run} is lost");
                        *model = Model::default();
                        self.finished.retain(|finished| *finished != run);
                    }
                    assert_eq!(opened.ledger(), model.ledger);
                    session = Some(opened);
                }
                Put(node, instance, len, ledger_len) => {
                    let Some(session) = &mut session else { continue };
                    let slot = Slot { node: NODES[node], index: node as u16, instance, kind: SlotKind::Output };
                    let (value, ledger) = (vec![byte; len], vec![byte; ledger_len]);
                    model.slots.insert((NODES[node].to_owned(), instance, SlotKind::Output), value.clone());
                    if ledger_len > 0 {
                        model.ledger.clone_from(&ledger);
                    }
                    if model.slots.len() > 4 {
                        let result = kind(done(session.put(slot, Raw(&value), &ledger)));
                        assert_eq!(result, Some(StoreErrorKind::Full { room: 4, of: "slots" }));
                        continue;
                    }
                    self.begin(here, Some(model));
                    done(session.put(slot, Raw(&value), &ledger))?;
                    self.finished.retain(|finished| *finished != here);
                }
                Ledger(len) => {
                    let Some(session) = &mut session else { continue };
                    model.ledger = vec![byte; len];
                    self.begin(here, Some(model.clone()));
                    done(session.put_ledger(&model.ledger))?;
                    self.finished.retain(|finished| *finished != here);
                }
                Discard(nodes, from) => {
                    let Some(session) = &mut session else { continue };
                    let doomed = |node: &str, instance: u32| {
                        let node = NODES.iter().position(|known| *known == node).unwrap();
                        nodes >> node & 1 == 1 && instance >= from
                    };
                    let before = model.slots.len();
                    model.slots.retain(|(node, instance, _), _| !doomed(node, *instance));
                    let any = model.slots.len() < before;
                    self.begin(here, Some(model));
                    done(session.discard(|slot| doomed(slot.node, slot.instance)))?;
                    if any {
                        self.finished.retain(|finished| *finished != here);
                    }
                }
                Finish => {
                    let Some(session) = &mut session else { continue };
                    session.finished();
                    if !model.slots.is_empty() && !self.finished.contains(&here) {
                        self.finished.push(here);
                    }
                    done(Begun::Pending(store.flush()))?;
                }
                Forget(run) => {
                    if run == here {
                        drop(session.take());
                    }
                    self.begin(run, None);
                    let known = done(store.forget(&RunId::from_u128(run)))?;
                    let kept = self.runs.get(&run).is_some_and(|model| !model.slots.is_empty());
                    assert!(known == kept || (kept && self.finished.contains(&run)));
                }
            }
            if let Some((run, after)) = self.under_way.take() {
                match after {
                    Some(after) => self.runs.insert(run, after),
                    None => self.runs.remove(&run),
                };
            }
            if let (Some(session), true) = (&mut session, self.careful) {
                assert_eq!(look_in(session)?, self.runs.get(&here).cloned().unwrap_or_default(), "after {op:?}");
            }
        }
        Ok(())
    }

    fn begin(&mut self, run: u128, after: Option<Model>) {
        self.under_way = Some((run, after));
    }

    /// Compares all that there is with what is to be there, and goes on with what is.
    fn check(&mut self, store: &Small, what: &dyn std::fmt::Debug) {
        let under_way = self.under_way.take();
        for run in 0..RUNS {
            let found = look(store, run).unwrap_or_else(|error| panic!("{what:?}: run {run}: {error}"));
            // A run without slots is none.
            let is = |model: Option<&Model>| match model.filter(|model| !model.slots.is_empty()) {
                Some(model) => found.as_ref() == Some(model) || (found.is_none() && self.finished.contains(&run)),
                None => found.is_none(),
            };
            let before = self.runs.get(&run);
            let after = under_way.as_ref().filter(|(at, _)| *at == run).map(|(_, after)| after.as_ref());
            assert!(
                is(before) || after.is_some_and(is),
                "{what:?}: run {run} is {found:?}, was {before:?}, and was about to be {after:?}"
            );
            if found.is_none() || Some(found.as_ref()) != Some(before) {
                self.finished.retain(|finished| *finished != run);
            }
            match found {
                Some(found) => self.runs.insert(run, found),
                None => self.runs.remove(&run),
            };
        }
    }
}

/// Several runs with all that a store is asked for, again and again, so that every page has its turn.
const SCRIPT: &[Op] = &[
    Open(0),
    Put(0, 0, 30, 0),
    Put(1, 0, 10, 20),
    Put(2, 0, 0, 21),
    Open(1),
    Put(0, 0, 8, 9),
    Put(1, 1, 40, 0),
    Ledger(30),
    Discard(0b0010, 0),
    Put(3, 0, 11, 0),
    Open(0),
    Put(1, 0, 50, 0),
    Discard(0b1110, 0),
    Put(3, 0, 60, 0),
    Finish,
    Open(2),
    Put(0, 0, 3, 0),
    Put(1, 0, 31, 12),
    Put(1, 1, 31, 13),
    Put(1, 2, 31, 14),
    Put(1, 3, 31, 15),
    Discard(0b0010, 1),
    Put(2, 0, 15, 0),
    Forget(1),
    Open(3),
    Put(0, 0, 17, 40),
    Ledger(41),
    Put(0, 0, 18, 0),
    Finish,
    Open(4),
    Put(0, 0, 5, 5),
    Finish,
    Open(2),
    Discard(0b1111, 0),
    Put(0, 0, 9, 0),
    Forget(2),
];

#[test]
fn the_power_fails_at_every_step() {
    fail_at_every_step::<512, 4, 1>(1);
}

#[test]
fn the_power_fails_in_flashes_of_other_words() {
    fail_at_every_step::<512, 1, 1>(17);
    fail_at_every_step::<1024, 8, 4>(3);
    fail_at_every_step::<2048, 32, 32>(1);
}

/// Or at every so many steps, and whenever a page is erased.
fn fail_at_every_step<const PAGE: usize, const WORD: usize, const READ: usize>(every: u64) {
    // A flash that has been in use for a while, so that every page is taken.
    let used = Chip::<PAGE, WORD, READ>::new(PAGES);
    let mut before = World { careful: true, ..World::default() };
    {
        let room = leaked(Room::new());
        let store = start(room, &used);
        while used.state().erases.contains(&0) {
            before.play(&store, SCRIPT).unwrap();
        }
    }
    let image = used.state().bytes.clone();
    let first = used.state().steps;
    {
        let room = leaked(Room::new());
        before.play(&start(room, &used), SCRIPT).unwrap();
    }
    let steps = used.state().steps - first;
    let erases: Vec<u64> = used.state().erased_at.iter().filter_map(|at| at.checked_sub(first)).collect();
    assert!(!erases.is_empty());
    println!("{steps} steps, {} of them erases", erases.len());
    let mut cuts = 0;
    for step in (0..steps).filter(|step| step % every == 0 || erases.contains(step)) {
        let tears: &[Tear] = match erases.contains(&step) {
            true => &TEARS,
            false if step % 2 == 0 => &[Tear::Front],
            false => &[Tear::Some(step % 3)],
        };
        for &tear in tears {
            let what = (step, tear);
            let chip = Chip::<PAGE, WORD, READ>::new(PAGES);
            chip.state().bytes.clone_from(&image);
            let mut world = World::default();
            {
                let room = leaked(Room::new());
                let store = start(room, &chip);
                world.check_first(&store);
                chip.cut(step, tear);
                if world.play(&store, SCRIPT).is_err() {
                    cuts += 1;
                }
                assert!(chip.state().off, "{what:?}: the power did not fail");
            }
            chip.on();
            let room = leaked(Room::new());
            let store = start(room, &chip);
            world.check(&store, &what);
            // The store is as good as new.
            if erases.contains(&step) || step % 5 == 0 {
                let forget: Vec<Op> = (0..RUNS).map(Forget).collect();
                for ops in [&forget, SCRIPT] {
                    world.play(&store, ops).unwrap_or_else(|error| panic!("{what:?}: afterwards: {error}"));
                }
                world.check(&store, &what);
            }
        }
    }
    assert!(cuts >= steps / every);
}

#[test]
fn the_power_fails_again_while_the_first_failure_is_mended() {
    let used = SmallChip::new(PAGES);
    let store = start(leaked(Room::new()), &used);
    let mut world = World::default();
    while used.state().erases.contains(&0) {
        world.play(&store, SCRIPT).unwrap();
    }
    drop(store);
    let image = used.state().bytes.clone();
    let first = used.state().steps;
    world.play(&start(leaked(Room::new()), &used), SCRIPT).unwrap();
    let erases: Vec<u64> = used.state().erased_at.iter().filter_map(|at| at.checked_sub(first)).collect();
    let mut mended = 0;
    // Copies of what counts of a page are written just before it is erased.
    for (step, again) in erases
        .iter()
        .flat_map(|&at| (at.saturating_sub(30)..=at).step_by(6))
        .flat_map(|step| (0..3).map(move |again| (step, again)))
    {
        for tear in TEARS {
            let what = (step, again, tear);
            let chip = SmallChip::new(PAGES);
            chip.state().bytes.clone_from(&image);
            let mut world = World::default();
            let store = start(leaked(Room::new()), &chip);
            world.check_first(&store);
            chip.cut(step, Tear::Front);
            assert!(world.play(&store, SCRIPT).is_err());
            drop(store);
            chip.on();
            world.check(&start(leaked(Room::new()), &chip), &what);
            let before = chip.state().erased_at.len();
            chip.cut(again, tear);
            let store = start(leaked(Room::new()), &chip);
            let known = world.runs.keys().next().copied();
            assert!(
                world.play(&store, &[Forget(known.unwrap_or_default()), Open(1), Put(1, 0, 9, 9)]).is_err(),
                "{what:?}"
            );
            mended += chip.state().erased_at.len() - before;
            drop(store);
            chip.on();
            let store = start(leaked(Room::new()), &chip);
            world.check(&store, &what);
            world.play(&store, &[Forget(0), Forget(1), Forget(2), Forget(3), Forget(4)]).unwrap();
            world.play(&store, SCRIPT).unwrap();
            world.check(&store, &what);
        }
    }
    assert!(mended > 0);
}

#[test]
fn the_power_fails_when_a_blank_flash_is_used_for_the_first_time() {
    for (step, tear) in (0..60).flat_map(|step| TEARS.map(|tear| (step, tear))) {
        let chip = SmallChip::new(PAGES);
        let mut world = World::default();
        chip.cut(step, tear);
        assert!(world.play(&start(leaked(Room::new()), &chip), SCRIPT).is_err());
        chip.on();
        let store = start(leaked(Room::new()), &chip);
        world.check(&store, &(step, tear));
        world.play(&store, &SCRIPT[..8]).unwrap();
        world.check(&store, &(step, tear));
    }
}

#[test]
fn the_power_fails_three_times_when_a_blank_flash_is_used_for_the_first_time() {
    let cuts = |steps| (0..steps).flat_map(|step| TEARS.map(|tear| (step, tear)));
    for first in cuts(5) {
        for second in cuts(2) {
            for third in TEARS {
                let chip = SmallChip::new(PAGES);
                let mut world = World::default();
                for (step, tear) in [first, second, (0, third)] {
                    chip.on();
                    chip.cut(step, tear);
                    world.play(&start(leaked(Room::new()), &chip), &SCRIPT[..2]).unwrap_err();
                }
                chip.on();
                let store = start(leaked(Room::new()), &chip);
                world.check(&store, &(first, second, third));
                world.play(&store, &SCRIPT[..8]).unwrap();
                world.check(&store, &(first, second, third));
            }
        }
    }
}

#[test]
fn a_flash_that_fails_once_is_gone_on_with_by_the_same_store() {
    for step in 0..80 {
        for tear in [Tear::Untouched, Tear::Done, Tear::Front] {
            let chip = SmallChip::new(PAGES);
            let store = start(leaked(Room::new()), &chip);
            let mut world = World::default();
            chip.cut(step, tear);
            let refused = world.play(&store, SCRIPT).unwrap_err();
            assert_eq!((refused.kind(), refused.detail()), (StoreErrorKind::Unavailable, "Off"));
            chip.on();
            world.check(&store, &(step, tear));
            world.play(&store, &[Forget(0), Forget(1), Forget(2)]).unwrap();
            world.play(&store, SCRIPT).unwrap();
            world.check(&store, &(step, tear));
        }
    }
}

impl World {
    /// What is there is what is to be there.
    fn check_first(&mut self, store: &Small) {
        for run in 0..RUNS {
            if let Some(found) = look(store, run).unwrap() {
                self.finished.push(run);
                self.runs.insert(run, found);
            }
        }
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..RUNS).prop_map(Open),
        8 => (0..4_usize, 0..2_u32, 0..50_usize, prop_oneof![Just(0), 1..40_usize]).prop_map(|(a, b, c, d)| Put(a, b, c, d)),
        2 => (1..60_usize).prop_map(Ledger),
        2 => (any::<u8>(), 0..2_u32).prop_map(|(nodes, from)| Discard(nodes, from)),
        2 => Just(Finish),
        1 => (0..RUNS).prop_map(Forget),
    ]
}

fn any_tear() -> impl Strategy<Value = Tear> {
    prop::sample::select(&TEARS[..])
}

proptest! {
    // `PROPTEST_CASES` says how many; a case that failed is kept beside this file.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_schedule_of_anything_and_power_cuts(
        boots in prop::collection::vec(
            (prop::collection::vec(any_op(), 1..40), 0..250_u64, any_tear(), prop::option::of((0..6_u64, any_tear()))),
            1..12,
        ),
    ) {
        let chip = SmallChip::new(PAGES);
        let mut world = World::default();
        for (ops, step, tear, again) in boots {
            {
                let room = leaked(Room::new());
                let store = start(room, &chip);
                chip.cut(step, tear);
                if let Err(error) = world.play(&store, &ops) {
                    // Three runs that are not finished leave no room for another.
                    let full = StoreErrorKind::Full { room: 3, of: "runs" };
                    prop_assert!(chip.state().off || error.kind() == full, "{error}");
                    if error.kind() == full {
                        world.under_way = None;
                    }
                }
            }
            // It fails again while the first failure is mended.
            if let Some((step, tear)) = again {
                chip.on();
                chip.cut(step, tear);
                let room = leaked(Room::new());
                let store = start(room, &chip);
                for run in 0..RUNS {
                    let _ = look(&store, run);
                }
                // Something is to be written, or nothing would be.
                if let Some(run) = (0..RUNS).find(|run| world.under_way.as_ref().is_none_or(|(at, _)| at != run)) {
                    let known = world.runs.get(&run).is_some_and(|model| !model.slots.is_empty());
                    if known && let Ok(mut session) = done(store.open(&RunId::from_u128(run), Access::Existing)) {
                        let ledger = session.ledger().to_vec();
                        if !ledger.is_empty() {
                            let _ = done(session.put_ledger(&ledger));
                        }
                    }
                }
            }
            chip.on();
            let room = leaked(Room::new());
            world.check(&start(room, &chip), &"afterwards");
        }
    }
}
