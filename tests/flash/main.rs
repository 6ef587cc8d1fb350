//! Checkpoints in a flash whose power fails at every single word and page, in every way that a chip has.
#![cfg(feature = "flash")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

#[path = "../support/chip.rs"]
mod chip;
#[path = "../support/slots.rs"]
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

/// How many pages it has where nothing else is said.
const PAGES: usize = 5;

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

mod limits;
mod pipelines;
mod power;
