//! Checkpoints in a flash whose power fails at every single word and page, in every way that a chip has.
#![cfg(feature = "flash")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

#[path = "support/chip.rs"]
mod chip;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
};

use chip::{Chip, TEARS, Tear, wait};
use proptest::prelude::*;
use stroma::{
    RunId, Slot, SlotKind,
    store::{
        Access, Begun, Encode, EncodeError, FlashRoom, FlashStore, Session, Store, StoreError,
        StoreErrorKind,
    },
};

/// The driver of a chip, in a box.
type Driver<'r> = Pin<Box<dyn Future<Output = Infallible> + Send + 'r>>;
type Small<'r> = FlashStore<'r, Driver<'r>, 3, 4, 160>;
type Room = FlashRoom<3, 4, 160>;
type SmallChip = Chip<512, 4>;

/// The store of a chip, as it is after a reset.
fn start<'r>(room: &'r Room, chip: &SmallChip) -> Small<'r> {
    let end = chip.state().bytes.len() as u32;
    FlashStore::new(room, Box::pin(room.driver(chip.clone(), 0..end).unwrap()))
}

fn done<T, F: Future<Output = Result<T, StoreError>>>(begun: Begun<Result<T, StoreError>, F>) -> Result<T, StoreError> {
    match begun {
        Begun::Done(done) => done,
        Begun::Pending(future) => wait(future),
    }
}

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

/// A value that is its own bytes.
struct Raw<'b>(&'b [u8]);

impl Encode for Raw<'_> {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.0.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer.get_mut(..self.0.len()).ok_or(EncodeError::NoRoom)?.copy_from_slice(self.0);
        Ok(self.0.len())
    }
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

type Key = (String, u32, SlotKind);

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
    session.each_slot(|slot| keys.push((slot.node.to_owned(), slot.instance, slot.kind)));
    for (node, instance, kind) in keys {
        let value = read(session, Slot { node: &node, index: 0, instance, kind })?;
        assert!(model.slots.insert((node, instance, kind), value).is_none(), "a slot is there twice");
    }
    assert_eq!(session.is_new(), model.slots.is_empty());
    Ok(model)
}

#[test]
fn what_is_put_is_there_after_a_reset() {
    let chip = SmallChip::new(8);
    {
        let room = Room::new();
        let store = start(&room, &chip);
        assert_eq!(look(&store, 1), Ok(None));
        let mut session = done(store.open(&RunId::from_u128(1), Access::Create)).unwrap();
        assert!(session.is_new() && session.ledger().is_empty());
        done(session.put(Slot::INPUT, Raw(b"input"), b"one")).unwrap();
        done(session.put(output("a", 0), Raw(b""), &[])).unwrap();
        done(session.put(output("a", 1), Raw(b"a1"), b"two")).unwrap();
        assert!(session.holds(output("a", 1)) && !session.holds(output("a", 2)) && !session.is_new());
        done(session.put(output("a", 1), Raw(b"again"), &[])).unwrap();
        assert_eq!(kind(done(store.open(&RunId::from_u128(1), Access::Create))), Some(StoreErrorKind::Busy { until: None }));
        assert_eq!(kind(done(store.forget(&RunId::from_u128(1)))), Some(StoreErrorKind::Busy { until: None }));
    }
    for _ in 0..2 {
        let room = Room::new();
        let store = start(&room, &chip);
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
    fn play(&mut self, store: &Small<'_>, ops: &[Op]) -> Result<(), StoreError> {
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
                    model.slots.retain(|(node, instance, _), _| !doomed(node, *instance));
                    self.begin(here, Some(model));
                    done(session.discard(|slot| doomed(slot.node, slot.instance)))?;
                    self.finished.retain(|finished| *finished != here);
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
    fn check(&mut self, store: &Small<'_>, what: &dyn std::fmt::Debug) {
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
    // A flash that has been in use for a while, so that every page is taken.
    let used = SmallChip::new(PAGES);
    let mut before = World { careful: true, ..World::default() };
    {
        let room = Room::new();
        let store = start(&room, &used);
        before.play(&store, SCRIPT).unwrap();
        before.play(&store, SCRIPT).unwrap();
    }
    let image = used.state().bytes.clone();
    let first = used.state().steps;
    {
        let room = Room::new();
        before.play(&start(&room, &used), SCRIPT).unwrap();
    }
    let steps = used.state().steps - first;
    let erases: Vec<u64> = used.state().erased_at.iter().filter_map(|at| at.checked_sub(first)).collect();
    assert!(erases.len() > PAGES, "every page has its turn: {}", erases.len());
    println!("{steps} steps, {} of them erases", erases.len());
    let mut cuts = 0;
    for step in 0..steps {
        let tears: &[Tear] = match erases.contains(&step) {
            true => &TEARS,
            false if step % 2 == 0 => &[Tear::Front],
            false => &[Tear::Some(step % 3)],
        };
        for &tear in tears {
            let what = (step, tear);
            let chip = SmallChip::new(PAGES);
            chip.state().bytes.clone_from(&image);
            let mut world = World::default();
            {
                let room = Room::new();
                let store = start(&room, &chip);
                world.check_first(&store);
                chip.cut(step, tear);
                if world.play(&store, SCRIPT).is_err() {
                    cuts += 1;
                }
                assert!(chip.state().off, "{what:?}: the power did not fail");
            }
            chip.on();
            let room = Room::new();
            let store = start(&room, &chip);
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
    assert!(cuts >= steps);
}

impl World {
    /// What is there is what is to be there.
    fn check_first(&mut self, store: &Small<'_>) {
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
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

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
                let room = Room::new();
                let store = start(&room, &chip);
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
                let room = Room::new();
                let store = start(&room, &chip);
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
            let room = Room::new();
            world.check(&start(&room, &chip), &"afterwards");
        }
    }
}
