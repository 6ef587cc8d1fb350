//! Run ids: any text.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use stroma::{
    RUN_ID_MAX, RunId, RunIdError, Slot, SlotKind, Trace,
    store::{Access, Begun, HeapStore, MemoryStore, Session, Store, StoreErrorKind},
};

use super::{Pieces, done, is_one_line, slots::Raw, within};

/// Two ids in one input: the first byte says how long the first is.
pub(crate) fn check(data: &[u8]) {
    let Some((one, other)) = both(data) else { return };
    let same = one.to_string() == other.to_string();
    assert_eq!(one == other, same);
    if same {
        assert_eq!(hash(&one), hash(&other));
        assert_eq!(one.jitter_seed("node", 0, 1), other.jitter_seed("node", 0, 1));
        return;
    }
    kept_apart(&MemoryStore::<2, 2, 16>::new(), one, other);
    kept_apart(&HeapStore::new(), one, other);
}

/// The two ids of an input, where they are ids.
pub(crate) fn both(data: &[u8]) -> Option<(RunId, RunId)> {
    let mut pieces = Pieces(data);
    let (one, other) = (String::from_utf8_lossy(pieces.piece()), String::from_utf8_lossy(pieces.0));
    read(&one).zip(read(&other))
}

fn hash(id: &RunId) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// A text is a run id by the rules, or is refused by them; an id comes back as it was written.
fn read(text: &str) -> Option<RunId> {
    let control = text.chars().position(char::is_control);
    let id = match within(text.len(), 0, 0, || RunId::new(text)) {
        Ok(id) => id,
        Err(error) => {
            match error {
                RunIdError::Empty => assert!(text.is_empty()),
                RunIdError::Control { at } => assert_eq!(control, Some(at)),
                RunIdError::TooLong { len } => assert!(len == text.len() && len > RUN_ID_MAX && control.is_none()),
                other => panic!("{other:?}"),
            }
            is_one_line(error);
            return None;
        }
    };
    assert!(!text.is_empty() && text.len() <= RUN_ID_MAX && control.is_none());
    assert_eq!(id.to_string(), text);
    assert_eq!(id.with_str(str::to_owned), text);
    assert_eq!(format!("{id:?}"), format!("RunId({text})"));
    assert_eq!(text.parse(), Ok(id));
    let padded = format!("{id:>70}");
    assert!(padded.ends_with(text) && padded.chars().count() == 70);
    let json = format!(r#"{{"version":1,"run_id":{},"events":[]}}"#, serde_json::to_string(text).unwrap());
    let trace = Trace::from_json(&json).unwrap();
    assert_eq!(trace.run_id(), Some(id));
    assert_eq!(Trace::from_json(&trace.to_json().unwrap()), Ok(trace));
    Some(id)
}

const SLOT: Slot<'static> = Slot { node: "node", index: 1, instance: 0, kind: SlotKind::Output };

/// Nothing that is done with one run is seen in the other.
pub(crate) fn kept_apart<S: Store>(store: &S, one: RunId, other: RunId) {
    let refused = |id: &RunId| match done(store.open(id, Access::Existing)) {
        Ok(_) => panic!("{id} is there"),
        Err(error) => error.kind(),
    };
    {
        let mut session = done(store.open(&one, Access::Create)).unwrap();
        assert!(session.is_new());
        done(session.put(SLOT, Raw(b"one"), b"ledger")).unwrap();
        // The one is held, the other is not known.
        assert!(matches!(refused(&one), StoreErrorKind::Busy { .. }));
        assert_eq!(refused(&other), StoreErrorKind::UnknownRun);
        let mut second = done(store.open(&other, Access::Create)).unwrap();
        assert!(second.is_new() && !second.holds(SLOT) && second.ledger().is_empty());
        done(second.put(SLOT, Raw(b"the other"), &[])).unwrap();
    }
    assert_eq!(kept(store, &one), (b"one".to_vec(), b"ledger".to_vec()));
    assert_eq!(kept(store, &other), (b"the other".to_vec(), Vec::new()));
    assert!(done(store.forget(&one)).unwrap());
    assert_eq!(refused(&one), StoreErrorKind::UnknownRun);
    assert_eq!(kept(store, &other).0, b"the other");
    assert!(!done(store.forget(&one)).unwrap());
    assert!(done(store.forget(&other)).unwrap());
}

/// The bytes of the slot of a run, and its ledger.
fn kept<S: Store>(store: &S, id: &RunId) -> (Vec<u8>, Vec<u8>) {
    let mut session = done(store.open(id, Access::Existing)).unwrap();
    let bytes = match session.load(SLOT, <[u8]>::to_vec) {
        Begun::Done(bytes) => bytes.unwrap(),
        Begun::Pending(reading) => super::wait(reading).unwrap().as_ref().to_vec(),
    };
    (bytes, session.ledger().to_vec())
}
