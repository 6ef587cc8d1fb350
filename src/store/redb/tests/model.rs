//! Stores on one file that do whatever comes, die and stand still wherever it hurts, against what the contract says.
#![allow(clippy::needless_range_loop, reason = "an index is the name of a run or a node here")]

use core::time::Duration;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    format, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
    vec,
    vec::Vec,
};

use proptest::{collection::vec as many, prelude::*, test_runner::TestCaseError};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Raw, ended,
    hand::{Hand, TERM},
    kind, load, output,
};
use crate::{
    slot::Slot,
    store::{
        Access, Begun, Session, StoreErrorKind,
        inspect::SlotView,
        redb::{
            RedbSession, RedbStore, RedbView,
            answer::{Answer, RedbReading, RedbWriting},
            journal::{beside, raise_fence},
            patience::Wait,
            session::{Asked, Forget, Job, Open, Put},
        },
    },
};

const STORES: usize = 3;
const RUNS: [&str; 3] = ["a", "b", "c"];
const NODES: [&str; 2] = ["n", "m"];

/// A value is told by its byte and its length.
type Value = (u8, usize);
/// What may be there: more than one thing after a write that failed.
type Maybe = Vec<Option<Value>>;

/// What one session is asked for, or one run.
#[derive(Debug, Clone)]
enum Ask {
    Put { run: usize, node: usize, instance: u32, value: Value },
    Ledger { run: usize, byte: u8 },
    Discard { run: usize, instance: u32 },
    Load { run: usize, node: usize, instance: u32 },
    Release { run: usize },
    Open { run: usize, create: bool },
    Forget { run: usize },
}

impl Ask {
    fn of_session(&self) -> Option<usize> {
        match self {
            Self::Put { run, .. }
            | Self::Ledger { run, .. }
            | Self::Discard { run, .. }
            | Self::Load { run, .. }
            | Self::Release { run } => Some(*run),
            Self::Open { .. } | Self::Forget { .. } => None,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// All of it is in one batch.
    Batch {
        store: usize,
        asks: Vec<Ask>,
    },
    /// The same while the tables cannot be had.
    Broken {
        store: usize,
        asks: Vec<Ask>,
    },
    Rest {
        store: usize,
    },
    /// Whoever takes a run dies after the first step.
    Fence {
        store: usize,
    },
    /// It is taken from whoever stands still.
    Take {
        store: usize,
        run: usize,
    },
    /// It dies, also in the middle of a write: so many of a hundred parts of the frame are there.
    Kill {
        store: usize,
        write: Option<(Ask, usize)>,
    },
    /// It ends as a store does that is dropped.
    End {
        store: usize,
    },
    /// Somebody looks on, by whom nothing changes.
    Look,
}

fn value() -> impl Strategy<Value = Value> {
    (1_u8.., prop_oneof![8 => Just(1_usize), 4 => Just(50), 2 => Just(30_000), 1 => Just(40_000)])
}

fn ask(all: bool) -> BoxedStrategy<Ask> {
    let (run, node, instance) = (0..RUNS.len(), 0..NODES.len(), 0..3_u32);
    let put = (run.clone(), node.clone(), instance.clone(), value())
        .prop_map(|(run, node, instance, value)| Ask::Put { run, node, instance, value });
    let ledger = (run.clone(), 1_u8..).prop_map(|(run, byte)| Ask::Ledger { run, byte });
    let read =
        (run.clone(), node, instance.clone()).prop_map(|(run, node, instance)| Ask::Load { run, node, instance });
    let discard = (run.clone(), instance).prop_map(|(run, instance)| Ask::Discard { run, instance });
    if !all {
        return prop_oneof![8 => put, 2 => ledger, 1 => read, 1 => discard].boxed();
    }
    let release = run.clone().prop_map(|run| Ask::Release { run });
    let open = (run.clone(), any::<bool>()).prop_map(|(run, create)| Ask::Open { run, create });
    let forget = run.prop_map(|run| Ask::Forget { run });
    prop_oneof![20 => put, 4 => ledger, 3 => read, 2 => discard, 3 => release, 6 => open, 2 => forget].boxed()
}

fn step() -> impl Strategy<Value = Step> {
    let store = 0..STORES;
    let quick = (store.clone(), many(ask(false), 1..5)).prop_map(|(store, asks)| Step::Batch { store, asks });
    let batch = (store.clone(), many(ask(true), 1..6)).prop_map(|(store, asks)| Step::Batch { store, asks });
    let broken = (store.clone(), many(ask(false), 1..4)).prop_map(|(store, asks)| Step::Broken { store, asks });
    let kill = (store.clone(), proptest::option::of((ask(false), 0..=100_usize)))
        .prop_map(|(store, write)| Step::Kill { store, write });
    prop_oneof![
        8 => quick,
        10 => batch,
        1 => broken,
        1 => store.clone().prop_map(|store| Step::Rest { store }),
        2 => store.clone().prop_map(|store| Step::Fence { store }),
        3 => (store.clone(), 0..RUNS.len()).prop_map(|(store, run)| Step::Take { store, run }),
        3 => kill,
        1 => store.prop_map(|store| Step::End { store }),
        3 => Just(Step::Look),
    ]
}

/// What the contract says that a run has.
#[derive(Debug, Default, Clone)]
struct Run {
    slots: BTreeMap<(usize, u32), Maybe>,
    ledger: Maybe,
    /// Who has it, and by which token.
    holder: Option<(usize, u64)>,
}

impl Run {
    fn slot(&mut self, node: usize, instance: u32) -> &mut Maybe {
        self.slots.entry((node, instance)).or_insert_with(|| vec![None])
    }

    fn is_surely_empty(&self) -> bool {
        self.slots.values().all(|maybe| maybe.iter().all(Option::is_none))
    }

    fn surely_has_something(&self) -> bool {
        self.slots.values().any(|maybe| maybe.iter().all(Option::is_some))
    }
}

/// Writes into a model: certain, or only possible.
fn set(maybe: &mut Maybe, value: Option<Value>, certain: bool) {
    if certain {
        maybe.clear();
    } else if maybe.is_empty() {
        maybe.push(None);
    }
    if !maybe.contains(&value) {
        maybe.push(value);
    }
}

struct World {
    _folder: TempDir,
    path: PathBuf,
    now: Instant,
    beats: Cell<u64>,
    stores: [Option<Hand>; STORES],
    sessions: BTreeMap<(usize, usize), RedbSession>,
    runs: [Run; RUNS.len()],
}

/// What was asked and is still to be answered.
enum Asking {
    Write(Ask, RedbWriting, Vec<(usize, u32)>, u64),
    Read(Ask, RedbReading, u64),
    Open(usize, bool, Answer<RedbSession>),
    Forget(usize, Answer<bool>),
    Release(usize, u64),
}

type Outcome = Result<(), TestCaseError>;

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("runs.redb");
        Self {
            _folder: folder,
            path,
            now: Instant::now(),
            beats: Cell::new(0),
            stores: [const { None }; STORES],
            sessions: BTreeMap::new(),
            runs: Default::default(),
        }
    }

    /// Everybody who is there is seen to be alive.
    fn beat(&mut self) {
        for hand in self.stores.iter().flatten() {
            self.beats.set(self.beats.get() + 1);
            hand.beat(TERM, self.beats.get());
        }
    }

    fn hand(&mut self, store: usize) -> &mut Hand {
        let path = self.path.clone();
        self.stores[store].get_or_insert_with(|| Hand::new(&path))
    }

    fn serve(&mut self, store: usize) {
        let now = self.now;
        let hand = self.hand(store);
        let jobs = hand.inbox.try_iter().collect();
        hand.driver.serve(jobs, now);
    }

    fn ask(&mut self, store: usize, ask: &Ask) -> Option<Asking> {
        self.hand(store);
        let jobs = self.stores[store].as_ref().unwrap().jobs.clone();
        // A session that has lost its run is asked too, also where its store has the run again.
        let token = ask.of_session().and_then(|run| Some(self.sessions.get(&(store, run))?.hold.token));

        Some(match ask {
            Ask::Put { run, node, instance, value } => {
                let bytes = vec![value.0; value.1];
                let slot = Slot { instance: *instance, ..output(NODES[*node]) };
                let Begun::Pending(writing) = self.sessions.get_mut(&(store, *run))?.put(slot, Raw(&bytes), &[value.0])
                else {
                    return None;
                };
                Asking::Write(ask.clone(), writing, vec![(*node, *instance)], token?)
            }
            Ask::Ledger { run, byte } => {
                let Begun::Pending(writing) = self.sessions.get_mut(&(store, *run))?.put_ledger(&[*byte]) else {
                    return None;
                };
                Asking::Write(ask.clone(), writing, Vec::new(), token?)
            }
            Ask::Discard { run, instance } => {
                let mut keys = Vec::new();
                let doomed = |slot: Slot<'_>| {
                    let goes = slot.instance == *instance;
                    if goes {
                        keys.push((NODES.iter().position(|node| *node == slot.node).unwrap(), slot.instance));
                    }
                    goes
                };
                let Begun::Pending(writing) = self.sessions.get_mut(&(store, *run))?.discard(doomed) else {
                    return None;
                };
                Asking::Write(ask.clone(), writing, keys, token?)
            }
            Ask::Load { run, node, instance } => {
                let slot = Slot { instance: *instance, ..output(NODES[*node]) };
                let Begun::Pending(reading) = self.sessions.get_mut(&(store, *run))?.load(slot, <[u8]>::to_vec) else {
                    return None;
                };
                Asking::Read(ask.clone(), reading, token?)
            }
            Ask::Release { run } => {
                drop(self.sessions.remove(&(store, *run))?);
                Asking::Release(*run, token?)
            }
            Ask::Open { run, create } => {
                let access = if *create { Access::Create } else { Access::Existing };
                let wait = Wait::new(Duration::ZERO);
                let (job, answer) = Asked::new(Open { run: Arc::from(RUNS[*run]), access, jobs: jobs.clone(), wait });
                jobs.send(Job::Open(job)).unwrap();
                Asking::Open(*run, *create, answer)
            }
            Ask::Forget { run } => {
                let wait = Wait::new(Duration::ZERO);
                let (job, answer) = Asked::new(Forget { run: Arc::from(RUNS[*run]), _jobs: jobs.clone(), wait });
                jobs.send(Job::Forget(job)).unwrap();
                Asking::Forget(*run, answer)
            }
        })
    }

    /// What happened to a run of this store's.
    fn wrote(&mut self, by: (usize, u64), ask: &Ask, keys: &[(usize, u32)], result: Option<StoreErrorKind>) -> Outcome {
        let (Ask::Put { run, .. } | Ask::Ledger { run, .. } | Ask::Discard { run, .. }) = ask else { return Ok(()) };
        let state = &mut self.runs[*run];
        let own = state.holder == Some(by);
        match result {
            None => prop_assert!(own, "written without the run"),
            Some(StoreErrorKind::Fenced) => prop_assert!(!own, "lost what nobody took"),
            other => prop_assert_eq!(other, Some(StoreErrorKind::Unavailable)),
        }
        if !own {
            return Ok(());
        }
        let certain = result.is_none();
        match ask {
            Ask::Put { value, .. } => {
                set(state.slot(keys[0].0, keys[0].1), Some(*value), certain);
                set(&mut state.ledger, Some((value.0, 1)), certain);
            }
            Ask::Ledger { byte, .. } => set(&mut state.ledger, Some((*byte, 1)), certain),
            _ => {
                for (node, instance) in keys {
                    set(state.slot(*node, *instance), None, certain);
                }
            }
        }
        Ok(())
    }

    fn released(&mut self, by: (usize, u64), run: usize) {
        let state = &mut self.runs[run];
        if state.holder == Some(by) {
            state.holder = None;
            if state.is_surely_empty() {
                *state = Run::default();
            }
        }
    }

    /// A run that was just opened is as the model says, which is certain about it from now on.
    fn opened(&mut self, store: usize, run: usize, session: RedbSession) -> Outcome {
        let state = &mut self.runs[run];
        for node in 0..NODES.len() {
            for instance in 0..3 {
                let there = session.holds(Slot { instance, ..output(NODES[node]) });
                let maybe = state.slot(node, instance);
                maybe.retain(|value| value.is_some() == there);
                prop_assert!(!maybe.is_empty(), "{} {} {}: there {}", RUNS[run], NODES[node], instance, there);
            }
        }
        let ledger = session.ledger().first().map(|byte| (*byte, 1));
        let known = state.ledger.is_empty() && ledger.is_none() || state.ledger.contains(&ledger);
        // Without a slot there is no run that the ledger would be of.
        prop_assert!(known || state.is_surely_empty(), "ledger {:?} of {:?}", ledger, state.ledger);
        state.ledger = vec![ledger];
        state.holder = Some((store, session.hold.token));
        self.sessions.insert((store, run), session);
        Ok(())
    }

    fn check(maybe: &mut Maybe, bytes: &[u8]) -> Outcome {
        let found = Some((bytes.first().copied().unwrap_or_default(), bytes.len()));
        prop_assert!(maybe.contains(&found), "{:?} is not {:?}", found, maybe);
        *maybe = vec![found];
        Ok(())
    }

    fn batch(&mut self, store: usize, asks: &[Ask], fails: bool) -> Outcome {
        // By whom others are first seen as it is opened, in a time that is not ours.
        self.hand(store);
        self.beat();
        let asked: Vec<Asking> = asks.iter().filter_map(|ask| self.ask(store, ask)).collect();
        let away = self.path.with_extension("away");
        if fails {
            self.hand(store).driver.database = None;
            fs::rename(&self.path, &away).unwrap();
        }
        self.serve(store);
        if fails {
            fs::rename(&away, &self.path).unwrap();
        }
        // Reads may come after writes that were asked for later, but not before those that were asked for earlier.
        let mut reads = Vec::new();
        let mut failed = BTreeSet::new();
        for asking in asked {
            match asking {
                Asking::Write(ask, writing, keys, token) => {
                    let result = kind(ended(Begun::Pending(writing)));
                    if let (Some(_), Ask::Put { run, .. } | Ask::Ledger { run, .. } | Ask::Discard { run, .. }) =
                        (result, &ask)
                    {
                        failed.insert((*run, token));
                    }
                    let before: Vec<_> =
                        reads.iter().map(|(_, run, key, _): &(_, usize, (usize, u32), Maybe)| (*run, *key)).collect();
                    self.wrote((store, token), &ask, &keys, result)?;
                    for ((_, _, _, allowed), (run, key)) in reads.iter_mut().zip(before) {
                        allowed.extend(self.runs[run].slot(key.0, key.1).clone());
                    }
                }
                Asking::Read(ask, reading, token) => {
                    let Ask::Load { run, node, instance } = ask else { continue };
                    let allowed = self.runs[run].slot(node, instance).clone();
                    reads.push((
                        (reading, self.runs[run].holder == Some((store, token))),
                        run,
                        (node, instance),
                        allowed,
                    ));
                }
                Asking::Open(run, create, answer) => {
                    let state = &self.runs[run];
                    let result = ended(Begun::Pending(poll(answer)));
                    match result {
                        Ok(session) => {
                            prop_assert!(state.holder.is_none(), "{} is somebody's", RUNS[run]);
                            prop_assert!(create || !state.is_surely_empty());
                            self.opened(store, run, session)?;
                        }
                        Err(error) => match error.kind() {
                            StoreErrorKind::Busy { .. } => prop_assert!(
                                state.holder.is_some() || self.sessions.contains_key(&(store, run)),
                                "{} is nobody's",
                                RUNS[run]
                            ),
                            StoreErrorKind::UnknownRun => {
                                prop_assert!(!create && state.holder.is_none() && !state.surely_has_something());
                                self.runs[run] = Run::default();
                            }
                            other => prop_assert!(false, "{other:?}"),
                        },
                    }
                }
                Asking::Forget(run, answer) => {
                    let state = &self.runs[run];
                    match ended(Begun::Pending(poll(answer))) {
                        Ok(there) => {
                            prop_assert!(state.holder.is_none());
                            let wrong = if there { state.is_surely_empty() } else { state.surely_has_something() };
                            prop_assert!(!wrong, "{there}");
                            self.runs[run] = Run::default();
                        }
                        Err(error) => {
                            prop_assert!(matches!(error.kind(), StoreErrorKind::Busy { .. }), "{error:?}");
                            prop_assert!(state.holder.is_some() || self.sessions.contains_key(&(store, run)));
                        }
                    }
                }
                Asking::Release(run, token) => self.released((store, token), run),
            }
        }
        for ((reading, own), run, (node, instance), allowed) in reads {
            match ended(Begun::Pending(reading)) {
                Ok(bytes) => {
                    prop_assert!(own);
                    let found = Some((bytes.first().copied().unwrap_or_default(), bytes.len()));
                    prop_assert!(allowed.contains(&found), "{found:?} is not {allowed:?}");
                }
                Err(error) => match error.kind() {
                    StoreErrorKind::Fenced => prop_assert!(!own, "{} {} {} was lost", RUNS[run], node, instance),
                    StoreErrorKind::Missing => prop_assert!(allowed.contains(&None)),
                    other => prop_assert!(fails && other == StoreErrorKind::Unavailable, "{other:?}"),
                },
            }
        }
        // A write that fails ends the run.
        for (run, token) in failed {
            if self.sessions.get(&(store, run)).is_some_and(|session| session.hold.token == token) {
                self.sessions.remove(&(store, run));
                self.serve(store);
                self.released((store, token), run);
            }
        }
        Ok(())
    }

    fn kill(&mut self, store: usize, write: Option<&(Ask, usize)>) -> Outcome {
        let Some(mut hand) = self.stores[store].take() else { return Ok(()) };
        let (folder, id) = (hand.driver.holder.folder.clone(), Uuid::from_u128(hand.driver.holder.id));
        let journal = beside(&folder, id);
        if let Some((Ask::Put { run, node, instance, value }, parts)) = write
            && let Some(session) = self.sessions.get(&(store, *run))
            && hand.driver.claims.has(&session.hold)
        {
            let slot = (NODES[*node].into(), *instance, crate::slot::SlotKind::Output);
            let put = Put {
                hold: session.hold.clone(),
                slot: Some((slot, vec![value.0; value.1])),
                ledger: [value.0].as_slice().into(),
            };
            if hand.driver.holder.journal.has_room([&put].into_iter()) {
                let before = fs::read(&journal).unwrap();
                let _ = hand.driver.holder.journal.append([&put].into_iter());
                let mut after = fs::read(&journal).unwrap();
                let frame = hand.driver.holder.journal.frames_len();
                let at = hand.driver.holder.journal.place() - frame;
                // Page by page or sector by sector, in whatever order: the front or the back of it is there.
                let cut = at + frame * parts / 100;
                for byte in cut..at + frame {
                    after[byte] = before.get(byte).copied().unwrap_or_default();
                }
                fs::write(&journal, after).unwrap();
                let state = &mut self.runs[*run];
                if state.holder == Some((store, session.hold.token)) {
                    // As if it were over before it was reported; a part of it is nothing, unless what is missing was there.
                    let certain = *parts == 100;
                    set(state.slot(*node, *instance), Some(*value), certain);
                    set(&mut state.ledger, Some((value.0, 1)), certain);
                }
            }
        }
        let left = fs::read(&journal).unwrap();
        hand.driver.database = None;
        drop(hand);
        // What is left of a process has no lock.
        fs::write(&journal, left).unwrap();
        fs::write(folder.join(format!("{id}")), b"").unwrap();
        self.gone(store);
        Ok(())
    }

    fn look(&mut self) -> Outcome {
        if !self.path.exists() {
            return Ok(());
        }
        let mut view = RedbView::open(&self.path).unwrap();
        for run in 0..RUNS.len() {
            let seen = view.export(&super::id(RUNS[run])).unwrap();
            for node in 0..NODES.len() {
                for instance in 0..3 {
                    let is_it = |slot: &&SlotView| slot.node == NODES[node] && slot.instance == instance;
                    let slot = seen.as_ref().and_then(|seen| seen.slots.iter().find(is_it));
                    let bytes = slot.map(|slot| slot.bytes.as_deref().unwrap());
                    let found = bytes.map(|bytes| (bytes.first().copied().unwrap_or_default(), bytes.len()));
                    let maybe = self.runs[run].slot(node, instance);
                    prop_assert!(maybe.contains(&found), "{} {node} {instance}: {found:?} is not {maybe:?}", RUNS[run]);
                }
            }
        }
        Ok(())
    }

    fn gone(&mut self, store: usize) {
        self.sessions.retain(|(of, _), _| *of != store);
        for run in 0..RUNS.len() {
            if self.runs[run].holder.is_some_and(|(of, _)| of == store) {
                self.runs[run].holder = None;
            }
        }
    }

    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Batch { store, asks } => self.batch(*store, asks, false)?,
            Step::Broken { store, asks } => self.batch(*store, asks, true)?,
            Step::Rest { store } => {
                if self.stores[*store].is_some() {
                    self.now += Duration::from_secs(2);
                    self.serve(*store);
                }
            }
            Step::Fence { store } => {
                if let Some(hand) = &self.stores[*store] {
                    raise_fence(&hand.driver.holder.folder, Uuid::from_u128(hand.driver.holder.id)).unwrap();
                }
            }
            Step::Take { store, run } => {
                if self.sessions.contains_key(&(*store, *run)) {
                    return Ok(());
                }
                // By whom it is first seen as it is opened, in a time that is not ours.
                self.hand(*store);
                self.beat();
                let now = self.now;
                let mut taken = self.hand(*store).open(RUNS[*run], now);
                if self.runs[*run].holder.is_some() {
                    prop_assert_eq!(kind(taken), Some(StoreErrorKind::Busy { until: Some(TERM) }));
                    self.now += TERM;
                    let now = self.now;
                    taken = self.hand(*store).open(RUNS[*run], now);
                }
                match taken {
                    Ok(session) => self.opened(*store, *run, session)?,
                    Err(error) => prop_assert!(false, "{error:?}"),
                }
            }
            Step::Kill { store, write } => self.kill(*store, write.as_ref())?,
            Step::Look => self.look()?,
            Step::End { store } => {
                if let Some(Hand { driver, jobs, inbox }) = self.stores[*store].take() {
                    for run in 0..RUNS.len() {
                        if let Some(session) = self.sessions.remove(&(*store, run)) {
                            self.released((*store, session.hold.token), run);
                        }
                    }
                    drop(jobs);
                    driver.drive(&inbox);
                }
            }
        }
        Ok(())
    }
}

fn poll<T>(mut answer: Answer<T>) -> impl Future<Output = Result<T, crate::store::StoreError>> {
    core::future::poll_fn(move |task| answer.poll(task))
}

fn run_all(steps: &[Step]) -> Outcome {
    let mut world = World::new();
    for step in steps {
        world.step(step)?;
    }
    for store in 0..STORES {
        world.kill(store, None)?;
    }
    // What all of them left is in the one file.
    let store = RedbStore::open(&world.path).unwrap();
    for run in 0..RUNS.len() {
        let session = super::open(&store, RUNS[run]).unwrap();
        world.opened(0, run, session)?;
        let mut session = world.sessions.remove(&(0, run)).unwrap();
        for node in 0..NODES.len() {
            for instance in 0..3 {
                let slot = Slot { instance, ..output(NODES[node]) };
                if session.holds(slot) {
                    World::check(world.runs[run].slot(node, instance), &load(&mut session, slot).unwrap())?;
                }
            }
        }
    }
    only_own_files(&world.path)
}

fn only_own_files(path: &Path) -> Outcome {
    prop_assert_eq!(super::holders(path), 1);
    Ok(())
}

/// More by hand, with a folder for temporary files in memory.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn whatever_stores_do_on_one_file_and_wherever_they_die(steps in many(step(), 1..25)) {
        run_all(&steps)?;
    }
}
