//! Checkpoints in a flash whose power fails at every single word and page, in every way that a chip has.
#![cfg(feature = "flash")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

#[path = "support/chip.rs"]
mod chip;
#[path = "support/slots.rs"]
mod slots;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Waker},
};

use chip::{Chip, Driver, TEARS, Tear, leaked, polling::Bell, start, wait};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use slots::{Key, Raw, key, slot};
use stroma::{
    Budget, Cause, Failure, NodeCx, RunId, RunStatus, Runner, Slot, SlotKind, Usage, node_with, par,
    store::{Access, Begun, FlashError, FlashRoom, FlashStore, Session, Store, StoreError, StoreErrorKind},
};

type Small = FlashStore<Driver, 3, 4, 160>;
type Room = FlashRoom<3, 4, 160>;
type SmallChip = Chip<512, 4>;

fn done<T, F: Future<Output = Result<T, StoreError>>>(begun: Begun<Result<T, StoreError>, F>) -> Result<T, StoreError> {
    match begun {
        Begun::Done(done) => done,
        Begun::Pending(future) => wait(future),
    }
}

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

fn output(node: &'static str, instance: u32) -> Slot<'static> {
    Slot { node, index: 1, instance, kind: SlotKind::Output }
}

fn read<S: Session>(session: &mut S, slot: Slot<'_>) -> Result<Vec<u8>, StoreError> {
    match session.load(slot, <[u8]>::to_vec) {
        Begun::Done(done) => done,
        Begun::Pending(reading) => wait(reading).map(|bytes| bytes.as_ref().to_vec()),
    }
}

/// A run as it is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    slots: BTreeMap<Key, Vec<u8>>,
    ledger: Vec<u8>,
}

/// A run as the flash has it.
fn look<'s, S: Store>(store: &'s S, run: u128) -> Result<Option<Model>, StoreError> {
    let mut session: S::Session<'s> = match done(store.open(&RunId::from_u128(run), Access::Existing)) {
        Err(error) if error.kind() == StoreErrorKind::UnknownRun => return Ok(None),
        opened => opened?,
    };
    look_in(&mut session).map(Some)
}

fn look_in<S: Session>(session: &mut S) -> Result<Model, StoreError> {
    let mut model = Model { ledger: session.ledger().to_vec(), ..Model::default() };
    let mut keys = Vec::new();
    session.each_slot(|slot| keys.push(key(slot)));
    for key in keys {
        let value = read(session, slot(&key))?;
        assert!(model.slots.insert(key, value).is_none(), "a slot is there twice");
    }
    assert_eq!(session.is_new(), model.slots.is_empty());
    Ok(model)
}

#[test]
fn what_is_put_is_there_after_a_reset() {
    let chip = SmallChip::new(8);
    {
        let room = leaked(Room::new());
        let store = start(room, &chip);
        assert_eq!(look(&store, 1), Ok(None));
        let mut session = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
        assert!(session.is_new() && session.ledger().is_empty());
        done(session.put(Slot::INPUT, Raw(b"input"), b"one")).unwrap();
        done(session.put(output("a", 0), Raw(b""), &[])).unwrap();
        done(session.put(output("a", 1), Raw(b"a1"), b"two")).unwrap();
        assert!(session.holds(output("a", 1)) && !session.holds(output("a", 2)) && !session.is_new());
        done(session.put(output("a", 1), Raw(b"again"), &[])).unwrap();
        assert_eq!(
            kind(done(store.open(&RunId::from_u128(1), Access::Create))),
            Some(StoreErrorKind::Busy { until: None })
        );
        assert_eq!(kind(done(store.forget(&RunId::from_u128(1)))), Some(StoreErrorKind::Busy { until: None }));
    }
    for _ in 0..2 {
        let room = leaked(Room::new());
        let store = start(room, &chip);
        let model = look(&store, 1).unwrap().unwrap();
        let expected = [(Slot::INPUT, &b"input"[..]), (output("a", 0), b""), (output("a", 1), b"again")];
        let expected = expected.map(|(slot, value)| ((slot.node.to_owned(), slot.instance, slot.kind), value.to_vec()));
        assert_eq!(model, Model { slots: expected.into(), ledger: b"two".to_vec() });
    }
}

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

const PAGES: usize = 5;

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

// ---- Pipelines ----

#[derive(Debug, PartialEq, Eq)]
struct Oops;

impl Failure for Oops {}

/// Counts the calls of each node.
#[derive(Default)]
struct Calls([AtomicU32; 5]);

impl Calls {
    fn of(&self, node: &str) -> u32 {
        STEPS.iter().position(|step| *step == node).map_or(0, |at| self.0[at].load(Ordering::SeqCst))
    }
}

const STEPS: [&str; 5] = ["start", "left", "right", "mid", "end"];

async fn step(x: u32, cx: NodeCx<'_, Arc<Calls>>) -> Result<u32, Oops> {
    let at = STEPS.iter().position(|step| *step == cx.node()).ok_or(Oops)?;
    cx.context().0[at].fetch_add(1, Ordering::SeqCst);
    chip::Waits(1 + at as u32 % 2).await;
    cx.record(Usage::tokens(10)).map_err(|_| Oops)?;
    Ok(x + 1)
}

/// Five nodes, two of them side by side, one of which keeps nothing, with a budget.
macro_rules! runner {
    ($store:expr, $calls:expr) => {{
        let branches = par(node_with("left", step), node_with("right", step)).map(|(a, b)| a * b);
        let rest = node_with("mid", step).skip_checkpoint().then(node_with("end", step));
        Runner::new(node_with("start", step).then(branches).then(rest))
            .with_store($store)
            .with_context(Arc::clone($calls))
            .with_budget(Budget::unlimited().tokens(1_000))
            .build()
            .unwrap()
    }};
}

type Wide = FlashRoom<3, 6, 256>;

fn saved<S: Store>(store: &S, run: u128) -> Vec<String> {
    let slots = look(store, run).unwrap().unwrap_or_default().slots;
    slots.into_keys().map(|(node, ..)| node).filter(|node| !node.is_empty()).collect()
}

#[test]
fn a_pipeline_goes_on_after_a_power_cut_at_every_step() {
    let mut erased = 0;
    for (waits, before) in [(0, 10), (2, 11), (0, 12), (0, 13)] {
        // Earlier runs came to their end, and the pages are in use.
        let used = Chip::<1024, 4>::waiting(5, waits);
        let calls = Arc::new(Calls::default());
        {
            let room = leaked(Wide::new());
            let runner = runner!(start(room, &used), &calls);
            for run in 100..100 + before {
                wait(runner.run_as(RunId::from_u128(run), 1)).unwrap();
            }
        }
        let image = used.state().bytes.clone();
        let mut step = 0;
        let mut resumed = 0;
        loop {
            let chip = Chip::<1024, 4>::waiting(5, waits);
            chip.state().bytes.clone_from(&image);
            let calls = Arc::new(Calls::default());
            let run = RunId::from_u128(1);
            let first = {
                let room = leaked(Wide::new());
                let runner = runner!(start(room, &chip), &calls);
                chip.cut(step, TEARS[step as usize % TEARS.len()]);
                wait(runner.run_as(run, 1))
            };
            let cut = chip.state().off;
            chip.on();
            let room = leaked(Wide::new());
            let store = start(room, &chip);
            let saved = saved(&store, 1);
            match &first {
                Ok(done) => assert_eq!(done.output, 11),
                Err(halted) => {
                    assert!(matches!(halted.cause, Cause::Store(_)), "step {step}: {halted}");
                    assert_eq!(halted.report.status, RunStatus::Partial);
                }
            }
            let done = wait(runner!(&store, &calls).run_as(run, 1)).unwrap();
            assert_eq!(done.output, 11, "step {step}");
            resumed += u32::from(done.report.status == RunStatus::Resumed && first.is_err());
            for node in STEPS {
                let (count, kept) = (calls.of(node), saved.iter().any(|saved| saved == node));
                assert!(count == 1 || (count == 2 && !kept), "step {step}: {node} ran {count} times, kept: {kept}");
            }
            let all: u32 = STEPS.iter().map(|node| calls.of(node)).sum();
            let spent = done.report.spent.tokens;
            assert!((50..=u64::from(all) * 10).contains(&spent), "step {step}: {spent} spent in {all} calls");
            if !cut {
                assert!(first.is_ok() && step > 50, "{step}");
                erased += chip.state().erased_at.len();
                break;
            }
            step += 1;
        }
        println!("{step} steps, {resumed} times gone on with");
        assert!(resumed > 50);
    }
    assert!(erased > 0, "in one of them a page was full");
}

#[test]
fn a_run_that_is_dropped_at_any_point_is_gone_on_with_by_the_same_store() {
    let mut polls = 0;
    loop {
        let chip = Chip::<1024, 4>::waiting(5, 3);
        let calls = Arc::new(Calls::default());
        let room = leaked(Wide::new());
        let store = start(room, &chip);
        let runner = runner!(&store, &calls);
        let run = RunId::from_u128(1);
        {
            let mut first = pin!(runner.run_as(run, 1));
            let waker = Waker::from(Arc::new(Bell::default()));
            let mut task = Context::from_waker(&waker);
            if (0..polls).any(|_| first.as_mut().poll(&mut task).is_ready()) {
                assert!(polls > 50);
                break;
            }
        }
        let saved = saved(&store, 1);
        assert_eq!(wait(runner.run_as(run, 1)).unwrap().output, 11);
        for node in STEPS {
            let (count, kept) = (calls.of(node), saved.iter().any(|saved| saved == node));
            assert!(count == 1 || (count == 2 && !kept), "{polls} polls: {node} ran {count} times, kept: {kept}");
        }
        polls += 1;
    }
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_one_flash_are_spawned() {
    static ROOM: FlashRoom<8, 6, 256> = FlashRoom::new();
    let chip = Chip::<1024, 4>::waiting(16, 1);
    let store = FlashStore::new(&ROOM, Box::pin(ROOM.driver(chip, 0..16 * 1024).unwrap()));
    let calls = Arc::new(Calls::default());
    let runner = Arc::new(runner!(store, &calls));
    for round in 0..4 {
        let tasks: Vec<_> = (0..8)
            .map(|run| {
                let runner = Arc::clone(&runner);
                tokio::spawn(async move { runner.run_as(RunId::from_u128(round * 8 + run), 1).await.unwrap().output })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 11);
        }
    }
    assert!(STEPS.iter().all(|node| calls.of(node) == 32));
}

// ---- What is refused, and what is counted ----

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
