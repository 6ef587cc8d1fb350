//! What both stores are tested with.

extern crate std;
use std::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use super::super::{
    Access, Begun, LEDGER_MAX, Session, Store, StoreError, StoreErrorKind,
    raw::{Faithless, Raw},
};
use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
};

pub(in super::super) fn done<T, F>(begun: Begun<T, F>) -> T {
    match begun {
        Begun::Done(value) => value,
        Begun::Pending(_) => panic!("a store in memory answers at once"),
    }
}

pub(in super::super) fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

pub(in super::super) fn open<S: Store>(store: &S, id: u128) -> Result<S::Session<'_>, StoreError> {
    done(store.open(&RunId::from_u128(id), Access::Create))
}

pub(in super::super) fn existing<S: Store>(store: &S, id: u128) -> Result<S::Session<'_>, StoreError> {
    done(store.open(&RunId::from_u128(id), Access::Existing))
}

pub(in super::super) fn forget<S: Store>(store: &S, id: u128) -> Result<bool, StoreError> {
    done(store.forget(&RunId::from_u128(id)))
}

pub(in super::super) const fn output(node: &'static str, index: u16, instance: u32) -> Slot<'static> {
    Slot { node, index, instance, kind: SlotKind::Output }
}

pub(in super::super) fn read<S: Session>(session: &mut S, slot: Slot<'_>) -> Option<Vec<u8>> {
    done(session.load(slot, <[u8]>::to_vec)).ok()
}

/// Begins a run, gives it its input and ends the session.
pub(in super::super) fn begin<S: Store>(store: &S, id: u128, finished: bool) {
    let mut session = open(store, id).unwrap();
    done(session.put(Slot::INPUT, Raw(b"in"), &[])).unwrap();
    if finished {
        session.finished();
    }
}

pub(in super::super) fn what_is_put_is_there_in_the_next_session_too(store: &impl Store) {
    let mut session = open(store, 1).unwrap();
    assert!(session.is_new() && !session.holds(Slot::INPUT) && session.ledger().is_empty());
    done(session.put(Slot::INPUT, Raw(b"in"), &[])).unwrap();
    done(session.put(output("a", 1, 0), Raw(b"one"), b"spent 3")).unwrap();
    done(session.put(output("b", 2, 0), Raw(b""), &[])).unwrap();
    for _ in 0..2 {
        assert!(!session.is_new() && session.holds(output("a", 1, 0)) && !session.holds(output("c", 3, 0)));
        assert_eq!(read(&mut session, output("a", 1, 0)).as_deref(), Some(&b"one"[..]));
        assert_eq!(read(&mut session, output("b", 2, 0)).as_deref(), Some(&b""[..]));
        assert_eq!(kind(done(session.load(output("c", 3, 0), |_| ()))), Some(StoreErrorKind::Missing));
        assert_eq!(session.ledger(), b"spent 3");
        drop(session);
        session = existing(store, 1).unwrap();
    }
    done(session.put(output("a", 1, 0), Raw(b"two"), &[])).unwrap();
    let mut seen = Vec::new();
    session.each_slot(|slot| seen.push((String::from(slot.node), slot.instance, slot.kind)));
    seen.sort();
    assert_eq!(
        seen,
        [
            (String::new(), 0, SlotKind::Input),
            (String::from("a"), 0, SlotKind::Output),
            (String::from("b"), 0, SlotKind::Output)
        ]
    );
    assert_eq!(read(&mut session, output("a", 1, 0)).as_deref(), Some(&b"two"[..]));
}

pub(in super::super) fn one_holder_at_a_time(store: &impl Store) {
    let busy = Some(StoreErrorKind::Busy { until: None });
    let mut session = open(store, 1).unwrap();
    assert_eq!(kind(open(store, 1)), busy);
    assert_eq!(kind(existing(store, 1)), busy);
    assert_eq!(kind(forget(store, 1)), busy);
    done(session.put(Slot::INPUT, Raw(b"in"), &[])).unwrap();
    let other = open(store, 2).unwrap();
    assert!(other.is_new());
    drop(session);
    assert!(!open(store, 1).unwrap().is_new());
    drop(other);
    // A run that never got a slot was never there.
    assert_eq!(kind(existing(store, 2)), Some(StoreErrorKind::UnknownRun));
    assert_eq!(kind(existing(store, 3)), Some(StoreErrorKind::UnknownRun));
    assert_eq!(forget(store, 1), Ok(true));
    assert_eq!(forget(store, 1), Ok(false));
    assert_eq!(kind(existing(store, 1)), Some(StoreErrorKind::UnknownRun));
    assert!(open(store, 1).unwrap().is_new());
}

/// The store has room for three runs.
pub(in super::super) fn what_is_finished_goes_first(store: &impl Store) {
    let known = |id| existing(store, id).is_ok();
    begin(store, 1, false);
    begin(store, 2, true);
    begin(store, 3, true);
    begin(store, 4, false);
    assert!(known(1) && !known(2) && known(3) && known(4));
    // Looked at again, 3 is still finished; and 1 is now the one that was used longest ago, save 3.
    drop(open(store, 4).unwrap());
    begin(store, 5, false);
    assert!(known(5) && known(4) && known(1) && !known(3));
    drop((open(store, 4), open(store, 5), open(store, 1)));
    let held = open(store, 4).unwrap();
    begin(store, 6, false);
    assert!(kind(open(store, 4)).is_some() && !known(5) && known(1) && known(6));
    let (one, six) = (open(store, 1).unwrap(), open(store, 6).unwrap());
    assert_eq!(kind(open(store, 7)), Some(StoreErrorKind::Full { room: 3, of: "runs" }));
    assert_eq!(kind(existing(store, 7)), Some(StoreErrorKind::UnknownRun));
    drop((one, held));
    // A freed run's room is taken before anybody has to go.
    assert_eq!(forget(store, 1), Ok(true));
    assert!(open(store, 7).unwrap().is_new());
    begin(store, 8, true);
    drop(six);
    assert!(known(4) && known(6) && known(8));
}

pub(in super::super) fn a_finished_run_that_goes_on_is_finished_no_more(store: &impl Store) {
    for id in [1, 2, 3] {
        begin(store, id, true);
    }
    // 1 goes on with another node, 2 goes back and then another way.
    done(open(store, 1).unwrap().put(output("a", 1, 0), Raw(b"a"), &[])).unwrap();
    let mut two = open(store, 2).unwrap();
    done(two.put(output("a", 1, 0), Raw(b"a"), &[])).unwrap();
    two.finished();
    done(two.discard(|slot| slot.node == "a")).unwrap();
    // As many slots as when it finished, and still not finished.
    done(two.put(output("b", 1, 0), Raw(b"b"), &[])).unwrap();
    drop(two);
    drop(open(store, 3));
    begin(store, 4, false);
    assert!(existing(store, 1).is_ok() && existing(store, 2).is_ok() && existing(store, 3).is_err());
}

pub(in super::super) fn a_failed_put_leaves_the_old_value(store: &impl Store) {
    let mut session = open(store, 1).unwrap();
    let slot = output("a", 1, 0);
    assert_eq!(kind(done(session.put(slot, Faithless, b"x"))), Some(StoreErrorKind::Unserialisable));
    assert!(!session.holds(slot) && session.is_new() && session.ledger().is_empty());
    done(session.put(slot, Raw(b"old"), b"1")).unwrap();
    assert_eq!(kind(done(session.put(slot, Faithless, b"2"))), Some(StoreErrorKind::Unserialisable));
    let long = [0; LEDGER_MAX + 1];
    assert_eq!(
        kind(done(session.put(slot, Raw(b"new"), &long))),
        Some(StoreErrorKind::TooLarge { len: LEDGER_MAX + 1, max: LEDGER_MAX })
    );
    assert_eq!(read(&mut session, slot).as_deref(), Some(&b"old"[..]));
    assert_eq!(session.ledger(), b"1");
    done(session.put(slot, Raw(b"newer"), &long[..LEDGER_MAX])).unwrap();
    assert_eq!(read(&mut session, slot).as_deref(), Some(&b"newer"[..]));
    assert_eq!(session.ledger(), &long[..LEDGER_MAX]);
    // A shorter ledger replaces all of the longer one.
    done(session.put(slot, Raw(b"n"), b"3")).unwrap();
    assert_eq!(session.ledger(), b"3");
}

/// Marsaglia's xorshift with the shifts 13, 7 and 17.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// The store has `slots` slots for a run, each of 8 bytes where `bytes` says so.
pub(in super::super) fn behaves_as_a_map_does(store: &impl Store, slots: usize, bytes: Option<usize>) {
    const NODES: [&str; 5] = ["", "a", "b", "ab", "c"];
    const KINDS: [SlotKind; 3] = [SlotKind::Input, SlotKind::Output, SlotKind::Signal];
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    for round in 0..60 {
        let mut model = BTreeMap::<(&str, u32, SlotKind), Vec<u8>>::new();
        let mut session = open(store, round).unwrap();
        // Some rounds have no loops and so nothing astray, and each numbers its nodes in its own way.
        let instances = [1, 2, 6][random.below(3) as usize];
        let shift = random.below(4) as u16;
        for _ in 0..300 {
            let at = random.below(NODES.len() as u64) as usize;
            let slot = Slot {
                node: NODES[at],
                index: at as u16 + shift,
                instance: random.below(instances) as u32,
                kind: KINDS[random.below(3) as usize],
            };
            let key = (slot.node, slot.instance, slot.kind);
            match random.below(12) {
                0..6 => {
                    let value = std::vec![random.below(256) as u8; random.below(12) as usize];
                    let result = kind(done(session.put(slot, Raw(&value), &value)));
                    match bytes {
                        _ if !model.contains_key(&key) && model.len() == slots => {
                            assert_eq!(result, Some(StoreErrorKind::Full { room: slots, of: "slots" }));
                        }
                        Some(max) if value.len() > max => {
                            assert_eq!(result, Some(StoreErrorKind::TooLarge { len: value.len(), max }));
                        }
                        _ => {
                            assert_eq!(result, None);
                            assert!(value.is_empty() || session.ledger() == value);
                            model.insert(key, value);
                        }
                    }
                }
                6..8 => assert_eq!(session.holds(slot), model.contains_key(&key)),
                8..10 => assert_eq!(read(&mut session, slot).as_ref(), model.get(&key)),
                10 => {
                    let node = NODES[random.below(5) as usize];
                    let instance = random.below(instances) as u32;
                    done(session.discard(|slot| slot.node == node || slot.instance > instance)).unwrap();
                    model.retain(|key, _| key.0 != node && key.1 <= instance);
                }
                // A new session of the same run.
                _ => {
                    drop(session);
                    session = open(store, round).unwrap();
                }
            }
            assert_eq!(session.is_new(), model.is_empty());
            let mut seen = BTreeSet::new();
            session.each_slot(|slot| {
                let node = NODES.into_iter().find(|node| *node == slot.node);
                assert!(seen.insert((node.unwrap(), slot.instance, slot.kind)));
            });
            assert!(seen.iter().eq(model.keys()));
        }
    }
}
