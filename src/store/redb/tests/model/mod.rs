//! Stores on one file that do whatever comes, die and stand still wherever it hurts, against what the contract says.
#![allow(clippy::needless_range_loop, reason = "an index is the name of a run or a node here")]

mod asks;
mod expected;
mod steps;

use core::time::Duration;
use std::{
    cell::Cell,
    collections::BTreeMap,
    format, fs,
    path::{Path, PathBuf},
    time::Instant,
    vec,
};

use proptest::{collection::vec as many, prelude::*, test_runner::TestCaseError};
use tempfile::TempDir;
use uuid::Uuid;

use self::{
    expected::{Maybe, Run, set},
    steps::{Ask, NODES, RUNS, STORES, Step, step},
};
use super::{
    hand::{Hand, TERM},
    kind, load, output,
};
use crate::{
    slot::Slot,
    store::{
        Session, StoreErrorKind,
        inspect::SlotView,
        redb::{
            RedbSession, RedbStore, RedbView,
            journal::{beside, raise_fence},
            session::Put,
        },
    },
};

struct World {
    _folder: TempDir,
    path: PathBuf,
    now: Instant,
    beats: Cell<u64>,
    stores: [Option<Hand>; STORES],
    sessions: BTreeMap<(usize, usize), RedbSession>,
    runs: [Run; RUNS.len()],
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
