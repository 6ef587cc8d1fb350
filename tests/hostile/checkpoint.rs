//! Stored bytes: checkpoints of types of many kinds, and what a run reads of a store.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    future::{Ready, ready},
    net::IpAddr,
    path::PathBuf,
    sync::Mutex,
    time::Duration,
};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Budget, Cause, Failure, RunId, RunStatus, Runner, Slot, SlotKind, SpendError, Usd, node, par,
    store::{
        Access, Begun, CheckpointFault, Encode, EncodeError, FORMAT_VERSION, LEDGER_MAX, Payload, Session, Store,
        StoreError, StoreErrorKind, decode, encode, encoded_len,
    },
    testing::round_trip,
};

use super::{
    Pieces, done, is_one_line, now,
    slots::{Key, encoded, key, slot},
    within,
};

/// One byte that says what the others are: in its upper two bits whether they are a payload, a whole checkpoint or a run, in the
/// lower ones of which type.
pub(crate) fn check(data: &[u8]) {
    let mut pieces = Pieces(data);
    let first = pieces.byte();
    match first >> 6 {
        3 => run(first, pieces),
        framed => of_a_type(first & 0x3f, framed < 2, pieces.0),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
enum Shape {
    Nothing,
    One(Option<Box<Point>>),
    Two(char, Option<Option<bool>>),
    Named { name: String, points: Vec<Point> },
    Large([u64; 24]),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Point {
    x: f64,
    y: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Wide {
    whole: ((u8, i8, u16, i16), (u32, i32, u64, i64), (u128, i128)),
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, Vec<(u8, i64)>>,
    result: Result<String, Unit>,
    path: PathBuf,
    text: Cow<'static, str>,
    took: Duration,
    address: IpAddr,
    cost: Usd,
}

type Nested = Vec<Vec<Option<String>>>;
type Maps = Vec<BTreeMap<u8, String>>;
type Tables = HashMap<String, HashMap<u8, Vec<u32>>>;

// How many bytes of heap a byte of the payload may take. A list that claims more than there is grows twofold, so at one moment it
// takes thrice what is in it; an entry of a map takes a node of eleven.
const LIST: usize = 3;
const NODE: usize = 12;

fn of_a_type(kind: u8, framed: bool, bytes: &[u8]) {
    match kind % 14 {
        0 => ordered::<()>(0, framed, bytes),
        1 => ordered::<u64>(0, framed, bytes),
        2 => ordered::<Vec<u8>>(LIST, framed, bytes),
        3 => ordered::<String>(1, framed, bytes),
        4 => ordered::<Vec<String>>(LIST * size_of::<String>(), framed, bytes),
        5 => ordered::<Nested>(LIST * size_of::<String>(), framed, bytes),
        6 => ordered::<Vec<Shape>>(LIST * size_of::<Shape>(), framed, bytes),
        // A map of one entry has three bytes at least.
        7 => ordered::<Maps>(LIST * size_of::<String>() + NODE * size_of::<(u8, String)>() / 2, framed, bytes),
        8 => ordered::<BTreeSet<(u16, Option<bool>)>>(NODE * size_of::<(u16, Option<bool>)>(), framed, bytes),
        9 => ordered::<Wide>(LIST * size_of::<Shape>(), framed, bytes),
        10 => ordered::<Option<(f32, f64, char, Usd)>>(0, framed, bytes),
        11 => unordered::<HashMap<u64, u64>>(4 * LIST * size_of::<(u64, u64)>(), framed, bytes),
        12 => unordered::<Tables>(4 * LIST * size_of::<(String, Tables)>(), framed, bytes),
        _ => unordered::<HashSet<[u16; 3]>>(4 * LIST * size_of::<[u16; 3]>(), framed, bytes),
    }
}

/// The checkpoint of a `T` with this payload, whatever that is.
fn frame<T: Payload>(shape: Option<[u8; 8]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![FORMAT_VERSION];
    bytes.extend(T::SCHEMA_KEY.to_le_bytes());
    bytes.extend(shape.into_iter().flatten());
    bytes.extend(payload);
    bytes.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes).to_le_bytes());
    bytes
}

/// A decoded value, if it is one: at what cost, and what is not one says so.
fn read<T: Payload>(per_byte: usize, framed: bool, bytes: &[u8]) -> Option<T> {
    let whole = if framed { Cow::Owned(frame::<T>(None, bytes)) } else { Cow::Borrowed(bytes) };
    let decoded = within(whole.len(), per_byte, 0, || decode::<T>(&whole));
    if framed {
        assert!(matches!(decoded, Ok(_) | Err(CheckpointFault::Undecodable)));
        // The same bytes are no value of another type, nor is what was cut or changed on the way.
        let found = decode::<Stranger>(&whole).unwrap_err();
        assert_eq!(found, CheckpointFault::Schema { stored: T::SCHEMA_KEY, expected: Stranger::SCHEMA_KEY });
        assert!(decode::<T>(&whole[1..]).is_err() && decode::<T>(&whole[..whole.len() - 1]).is_err());
        let mut flipped = whole.to_vec();
        let at = bytes.iter().fold(bytes.len(), |sum, byte| sum + usize::from(*byte)) % (8 * whole.len());
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(decode::<T>(&flipped).is_err());
    }
    decoded.map_err(is_one_line).ok()
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Stranger(u8, u16);

fn bytes_of<T: Payload>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; encoded_len(value)?];
    let len = encode(value, &mut bytes)?;
    assert_eq!(len, bytes.len());
    Ok(bytes)
}

/// What was decoded is encoded to bytes that decode to it, and to no others.
fn ordered<T: Payload>(per_byte: usize, framed: bool, bytes: &[u8]) {
    let Some(value) = read::<T>(per_byte, framed, bytes) else { return };
    let written = bytes_of(&value).unwrap();
    // By their bytes, since a float that is no number is not equal to itself.
    let again = decode::<T>(&written).unwrap();
    assert_eq!(bytes_of(&again).unwrap(), written);
    assert_eq!(round_trip(&value), Ok(()));
}

/// As above, for types whose bytes are in any order: what is encoded is equal, not its bytes.
fn unordered<T: Payload + PartialEq + fmt::Debug>(per_byte: usize, framed: bool, bytes: &[u8]) {
    let Some(value) = read::<T>(per_byte, framed, bytes) else { return };
    let mut written = vec![0; 13 + postcard::experimental::serialized_size(&value).unwrap()];
    match encode(&value, &mut written) {
        Ok(len) => {
            assert_eq!(len, written.len());
            assert_eq!(decode::<T>(&written).as_ref(), Ok(&value));
        }
        // A debug build wants the same bytes.
        Err(error) => assert!(cfg!(debug_assertions) && error == EncodeError::NotFaithful, "{error}"),
    }
}

/// A store in which somebody has put something.
#[derive(Debug, Default)]
struct Planted(Mutex<Kept>);

#[derive(Debug, Default, Clone, PartialEq)]
struct Kept {
    slots: BTreeMap<Key, Vec<u8>>,
    ledger: Vec<u8>,
}

struct PlantedSession<'a> {
    store: &'a Planted,
    ledger: Vec<u8>,
}

impl Store for Planted {
    type Session<'a> = PlantedSession<'a>;
    type Opening<'a> = Ready<Result<PlantedSession<'a>, StoreError>>;
    type Forgetting<'a> = Ready<Result<bool, StoreError>>;

    fn open<'a>(
        &'a self,
        _: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        let kept = self.0.lock().unwrap();
        Begun::Done(match access {
            Access::Existing if kept.slots.is_empty() => Err(StoreError::new(StoreErrorKind::UnknownRun)),
            _ => Ok(PlantedSession { store: self, ledger: kept.ledger.clone() }),
        })
    }

    fn forget<'a>(&'a self, _: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        Begun::Done(Ok(!std::mem::take(&mut *self.0.lock().unwrap()).slots.is_empty()))
    }
}

impl Session for PlantedSession<'_> {
    type Writing = Ready<Result<(), StoreError>>;
    type Reading = Ready<Result<Vec<u8>, StoreError>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.store.0.lock().unwrap().slots.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.store.0.lock().unwrap().slots.contains_key(&key(slot))
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.store.0.lock().unwrap().slots.keys().map(slot).for_each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        self.store.0.lock().unwrap().slots.insert(key(slot), encoded(&value).unwrap());
        self.put_ledger(ledger)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        assert!(ledger.len() <= LEDGER_MAX);
        if !ledger.is_empty() {
            self.store.0.lock().unwrap().ledger = ledger.to_vec();
        }
        Begun::Done(Ok(()))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        let kept = self.store.0.lock().unwrap();
        Begun::Done(kept.slots.get(&key(slot)).map(|bytes| read(bytes)).ok_or(StoreError::new(StoreErrorKind::Missing)))
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        self.store.0.lock().unwrap().slots.retain(|key, _| !doomed(slot(key)));
        Begun::Done(Ok(()))
    }
}

#[derive(Debug)]
struct Fails;

impl fmt::Display for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("never")
    }
}

impl Failure for Fails {}

type Words = Vec<String>;
type Counts = BTreeMap<String, u32>;

fn split(text: String) -> Ready<Result<Words, Fails>> {
    ready(Ok(text.split(' ').map(str::to_owned).collect()))
}

fn count(words: Words) -> Ready<Result<Counts, Fails>> {
    let mut counts = Counts::new();
    words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    ready(Ok(counts))
}

fn longest(words: Words) -> Ready<Result<Option<String>, Fails>> {
    ready(Ok(words.into_iter().max_by_key(String::len)))
}

/// What a ledger says was spent: tokens, picodollars, and tokens without a price. None is taken over that has no one form, or in
/// which a part has more than the whole.
fn consistent(ledger: &[u8]) -> [u64; 3] {
    fn number(from: &mut &[u8]) -> u64 {
        let (len, rest) = from.split_first().unwrap();
        let (digits, rest) = rest.split_at(usize::from(*len));
        *from = rest;
        assert!(digits.len() <= 8 && digits.last() != Some(&0), "{digits:?}");
        digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit))
    }
    let mut from = &ledger[1..];
    let run = [(); 3].map(|()| number(&mut from));
    let _time = number(&mut from);
    assert!(run[2] <= run[0]);
    let mut left = vec![[run[0], run[1]]];
    let mut keys = BTreeSet::new();
    for _ in 0..ledger[0] & 7 {
        let key;
        (key, from) = from.split_at(5);
        assert!(keys.insert(key));
        let spent = [(); 2].map(|()| number(&mut from));
        let _time = number(&mut from);
        let around = &mut left[usize::from(key[0])];
        *around = [0, 1].map(|at| around[at].checked_sub(spent[at]).unwrap());
        left.push(spent);
    }
    assert!(from.is_empty() && ledger[0] >> 3 == 1);
    run
}

/// What a run may take beside what is stored: its own futures, and the text of what is wrong.
const RUN: usize = 8 * 1024;

/// A run that somebody else has put into the store is gone on with, or refused for a reason, and then nothing was touched.
///
/// The bits of `first` say what somebody else has put there: the input, and each output. Those of the byte after it say which of
/// these are not even framed. What is left is the ledger.
fn run(first: u8, mut pieces: Pieces<'_>) {
    let has = |bit: u8| first >> bit & 1 == 1;
    let raw = pieces.byte();
    let pipeline = || {
        node("split", split)
            .then(par(node("count", count), node("longest", longest)).budget(Budget::unlimited().tokens(1_000)))
    };
    let id = RunId::from_u128(1);

    // The shape of the pipeline, from an input that it wrote itself.
    let store = Planted::default();
    let runner =
        Runner::new(pipeline()).with_store(&store).with_budget(Budget::unlimited().tokens(u64::MAX)).build().unwrap();
    let fresh = now(runner.run_as(id, "a b a".to_owned())).unwrap();
    assert_eq!(fresh.report.status, RunStatus::Completed);
    let input = store.0.lock().unwrap().slots[&key(Slot::INPUT)].clone();
    let shape = *input[9..].first_chunk::<8>().unwrap();

    let mut planted = Kept::default();
    let mut plant = |node: &str, kind, bytes| planted.slots.insert((node.to_owned(), 0, kind), bytes);
    if has(0) {
        let bytes = pieces.piece();
        plant("", SlotKind::Input, if raw & 1 == 0 { frame::<String>(Some(shape), bytes) } else { bytes.to_vec() });
    } else {
        plant("", SlotKind::Input, input);
    }
    if has(1) {
        let bytes = pieces.piece();
        plant("split", SlotKind::Output, if raw & 2 == 0 { frame::<Words>(None, bytes) } else { bytes.to_vec() });
    }
    if has(2) {
        let bytes = pieces.piece();
        plant("count", SlotKind::Output, if raw & 4 == 0 { frame::<Counts>(None, bytes) } else { bytes.to_vec() });
    }
    if has(3) {
        let bytes = pieces.piece();
        let bytes = if raw & 8 == 0 { frame::<Option<String>>(None, bytes) } else { bytes.to_vec() };
        plant("longest", SlotKind::Output, bytes);
    }
    planted.ledger = pieces.0.to_vec();
    let len = planted.slots.values().map(Vec::len).sum::<usize>() + planted.ledger.len();
    *store.0.lock().unwrap() = planted.clone();

    // Twice over: in the store, and in the values.
    let per_byte = 4 * NODE * size_of::<(String, u32)>();
    let ended = within(len, per_byte, RUN, || now(runner.resume(id)));
    if !planted.ledger.is_empty() && !matches!(&ended, Err(halted) if matches!(halted.cause, Cause::Ledger(_))) {
        let spent = ended.as_ref().map_or_else(|halted| halted.report.spent, |completed| completed.report.spent);
        let booked = [spent.tokens, spent.cost.as_picodollars(), spent.unpriced_tokens];
        assert_eq!(booked, consistent(&planted.ledger));
        assert_eq!(booked, consistent(&store.0.lock().unwrap().ledger));
    }
    match ended {
        Ok(completed) => {
            assert_eq!(completed.report.status, RunStatus::Resumed);
            // Once more, from what the run itself has stored.
            let again = now(runner.resume(id)).unwrap();
            assert_eq!((again.output, again.report.spent), (completed.output, completed.report.spent));
            // A node that nothing after it needs is not run, so its output may be missing.
            let outputs = store.0.lock().unwrap().slots.len() - 1;
            assert_eq!(usize::from(again.report.restored), outputs);
        }
        Err(halted) => {
            is_one_line(&halted);
            match halted.cause {
                Cause::Checkpoint(_) | Cause::Ledger(_) | Cause::OtherPipeline { .. } | Cause::Budget(_) => {}
                // Seven parts with a budget, and the pipeline's own is none of them.
                Cause::Account(SpendError::OtherParts) => assert_eq!(planted.ledger[0] & 7, 7),
                ref other => panic!("{other:?}"),
            }
            let kept = store.0.lock().unwrap().clone();
            for (slot, bytes) in &planted.slots {
                assert_eq!(kept.slots.get(slot), Some(bytes));
            }
            if let Cause::Ledger(_) | Cause::OtherPipeline { .. } = halted.cause {
                assert_eq!(kept, planted);
            }
        }
    }
    // From a node on: what is refused is refused before anything is forgotten.
    *store.0.lock().unwrap() = planted.clone();
    if let Err(halted) = now(runner.resume_from(id, "longest")) {
        is_one_line(&halted);
        // That there is no room for a part shows only where the part begins.
        if halted.node.is_none() && !matches!(halted.cause, Cause::Account(SpendError::OtherParts)) {
            assert_eq!(*store.0.lock().unwrap(), planted, "{halted}");
        }
    }
    assert!(done(store.forget(&id)).unwrap());
}
