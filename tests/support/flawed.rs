//! A store in memory that keeps its word, and can be told which one to break.
#![allow(dead_code, reason = "every test file uses a part of it")]

#[path = "slots.rs"]
mod slots;

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use slots::{Key, encoded, key, slot};
use stroma::{
    RunId, Slot, SlotKind,
    store::{Access, Begun, Encode, Session, Store, StoreError, StoreErrorKind},
};

/// What a store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    Nothing,
    SharesHeldRuns,
    NeverGivesBack,
    LocksWhileItOpens,
    BeginsUnknownRuns,
    LeavesTraces,
    AcksBeforeSaving,
    MixesNodeAndInstance,
    ForgetsByPrefix,
    EmptyForMissing,
    CutsLedgers,
    EmptyLedgerClears,
    OlderLedgerWins,
    ValueBeforeLedger,
    FailedPutClears,
    DiscardTakesLedger,
    DiscardsOneByOne,
    ForgetLeavesLedger,
    CountsAllOutputs,
    CutsValues,
    RefusesWithoutAType,
    TakesHeldRuns,
    FinishedIsGone,
    LocksOfItsOwn,
    WritesToTheLastOpened,
    NeverAnswers,
    LosesLedgers,
}

/// The most bytes of a slot.
pub(crate) const SLOT_MAX: usize = 70_000;
pub(crate) const SLOTS: usize = 80;
pub(crate) const RUNS: usize = 40;

#[derive(Default)]
pub(crate) struct Inside {
    runs: BTreeMap<String, Kept>,
    last_opened: String,
}

#[derive(Default)]
struct Kept {
    /// The store whose session has it.
    holder: Option<usize>,
    slots: BTreeMap<Key, Vec<u8>>,
    ledger: Vec<u8>,
    /// The number of the write that the ledger is of, and of the last one that was asked for.
    ledger_of: u64,
    asked: u64,
    finished: bool,
}

/// Where it keeps things; several stores may be open in one.
pub(crate) type Medium = Arc<Mutex<Inside>>;

/// A store whose every operation but `put` with [`Flaw::AcksBeforeSaving`] takes a few polls.
pub(crate) struct Flawed {
    medium: Medium,
    flaw: Flaw,
    number: usize,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self::at(&Medium::default(), flaw)
    }

    pub(crate) fn at(medium: &Medium, flaw: Flaw) -> Self {
        let number = Arc::strong_count(medium);
        Self { medium: Arc::clone(medium), flaw, number }
    }

    fn op<T>(&self, job: impl FnMut(&mut Inside, u32) -> Option<Result<T, StoreError>> + Send + 'static) -> Op<T> {
        Op { medium: Arc::clone(&self.medium), polls: 0, job: Box::new(job) }
    }
}

/// An operation that is under way. It is asked at every poll whether it has ended.
pub(crate) struct Op<T> {
    medium: Medium,
    polls: u32,
    job: Box<dyn FnMut(&mut Inside, u32) -> Option<Result<T, StoreError>> + Send>,
}

impl<T> Future for Op<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.polls += 1;
        match (this.job)(&mut this.medium.lock().unwrap(), this.polls) {
            Some(done) => Poll::Ready(done),
            None => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

fn error<T>(kind: StoreErrorKind) -> Result<T, StoreError> {
    Err(StoreError::new(kind))
}

impl Store for Flawed {
    type Session<'a> = FlawedSession;
    type Opening<'a> = Op<FlawedSession>;
    type Forgetting<'a> = Op<bool>;

    fn slots_per_run(&self) -> Option<usize> {
        Some(SLOTS)
    }

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<FlawedSession, StoreError>, Op<FlawedSession>> {
        let (medium, run, flaw, number) = (Arc::clone(&self.medium), run.to_string(), self.flaw, self.number);
        let mut opened = false;
        Begun::Pending(self.op(move |inside, polls| {
            let early = flaw == Flaw::LocksWhileItOpens && polls == 1;
            if polls < 2 && !early {
                return None;
            }
            if !opened {
                let known = inside
                    .runs
                    .get(&run)
                    .is_some_and(|kept| !kept.slots.is_empty() || flaw == Flaw::LeavesTraces && kept.holder.is_none());
                if access == Access::Existing && !known && flaw != Flaw::BeginsUnknownRuns {
                    return Some(error(StoreErrorKind::UnknownRun));
                }
                if !inside.runs.contains_key(&run) && inside.runs.len() >= RUNS {
                    let Some(gone) = inside
                        .runs
                        .iter()
                        .find(|(_, kept)| kept.holder.is_none() || flaw == Flaw::TakesHeldRuns)
                        .map(|(gone, _)| gone.clone())
                    else {
                        return Some(error(StoreErrorKind::Full { room: RUNS, of: "runs" }));
                    };
                    inside.runs.remove(&gone);
                }
                let kept = inside.runs.entry(run.clone()).or_default();
                let held = match flaw {
                    Flaw::SharesHeldRuns => false,
                    Flaw::LocksOfItsOwn => kept.holder == Some(number),
                    _ => kept.holder.is_some(),
                };
                if held {
                    return Some(error(StoreErrorKind::Busy { until: None }));
                }
                kept.holder = Some(number);
                inside.last_opened = run.clone();
                opened = true;
                if early {
                    return None;
                }
            }
            let ledger = inside.runs.get(&run).map_or(Vec::new(), |kept| kept.ledger.clone());
            let store = Flawed { medium: Arc::clone(&medium), flaw, number };
            Some(Ok(FlawedSession { store, run: run.clone(), ledger, late: Mutex::new(None) }))
        }))
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, Op<bool>> {
        let (run, flaw) = (run.to_string(), self.flaw);
        Begun::Pending(self.op(move |inside, polls| {
            if polls < 2 {
                return None;
            }
            if inside.runs.get(&run).is_some_and(|kept| kept.holder.is_some() && flaw != Flaw::SharesHeldRuns) {
                return Some(error(StoreErrorKind::Busy { until: None }));
            }
            let was = inside.runs.get(&run).is_some_and(|kept| !kept.slots.is_empty());
            match flaw {
                Flaw::ForgetsByPrefix => inside.runs.retain(|id, _| !id.starts_with(&run)),
                Flaw::ForgetLeavesLedger => {
                    if let Some(kept) = inside.runs.get_mut(&run) {
                        kept.slots.clear();
                    }
                }
                _ => {
                    inside.runs.remove(&run);
                }
            }
            Some(Ok(was))
        }))
    }
}

/// A write that has been acknowledged and not been made.
type Late = Box<dyn FnOnce(&mut Kept) + Send>;

pub(crate) struct FlawedSession {
    store: Flawed,
    run: String,
    /// As opening found it.
    ledger: Vec<u8>,
    late: Mutex<Option<Late>>,
}

impl fmt::Debug for FlawedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlawedSession").finish_non_exhaustive()
    }
}

impl Drop for FlawedSession {
    fn drop(&mut self) {
        let Ok(mut inside) = self.store.medium.lock() else { return };
        let Some(kept) = inside.runs.get_mut(&self.run) else { return };
        if self.store.flaw != Flaw::NeverGivesBack {
            kept.holder = None;
        }
        let gone = match self.store.flaw {
            Flaw::LeavesTraces | Flaw::NeverGivesBack => false,
            Flaw::ForgetLeavesLedger => kept.slots.is_empty() && kept.ledger.is_empty(),
            Flaw::FinishedIsGone => kept.finished || kept.slots.is_empty(),
            _ => kept.slots.is_empty(),
        };
        if gone {
            inside.runs.remove(&self.run);
        }
    }
}

impl FlawedSession {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        let mut inside = self.store.medium.lock().unwrap();
        if let Some(late) = self.late.lock().unwrap().take() {
            late(inside.runs.entry(self.run.clone()).or_default());
        }
        inside
    }

    fn key(&self, slot: Slot<'_>) -> Key {
        if self.store.flaw == Flaw::MixesNodeAndInstance && slot.kind == SlotKind::Output {
            return (format!("{}{}", slot.node, slot.instance), 0, slot.kind);
        }
        key(slot)
    }

    fn keys(&self) -> Vec<Key> {
        self.inside().runs.get(&self.run).map_or(Vec::new(), |kept| kept.slots.keys().cloned().collect())
    }

    fn write(&self, value: Option<(Key, Vec<u8>)>, ledger: &[u8]) -> Begun<Result<(), StoreError>, Op<()>> {
        let flaw = self.store.flaw;
        let mut ledger = ledger.to_vec();
        match flaw {
            Flaw::CutsLedgers => ledger.truncate(200),
            Flaw::LosesLedgers => ledger.clear(),
            _ => {}
        }
        let mut inside = self.inside();
        let run = if flaw == Flaw::WritesToTheLastOpened { inside.last_opened.clone() } else { self.run.clone() };
        let kept = inside.runs.entry(run.clone()).or_default();
        kept.asked += 1;
        let number = kept.asked;
        drop(inside);
        let save_value = move |kept: &mut Kept| {
            let Some((key, mut bytes)) = value.clone() else { return Ok(()) };
            if bytes.len() > SLOT_MAX {
                if flaw != Flaw::CutsValues {
                    return error(StoreErrorKind::TooLarge { len: bytes.len(), max: SLOT_MAX });
                }
                bytes.truncate(SLOT_MAX);
            }
            if !kept.slots.contains_key(&key) && kept.slots.len() >= SLOTS {
                let full = StoreErrorKind::Full { room: SLOTS, of: "slots" };
                return error(if flaw == Flaw::RefusesWithoutAType { StoreErrorKind::Unavailable } else { full });
            }
            kept.slots.insert(key, bytes);
            kept.finished = false;
            Ok(())
        };
        let save_ledger = move |kept: &mut Kept| {
            let newer = number > kept.ledger_of || flaw == Flaw::OlderLedgerWins;
            if newer && (!ledger.is_empty() || flaw == Flaw::EmptyLedgerClears) {
                kept.ledger = ledger.clone();
                kept.ledger_of = number;
            }
        };
        if flaw == Flaw::AcksBeforeSaving {
            *self.late.lock().unwrap() = Some(Box::new(move |kept| {
                if save_value(kept).is_ok() {
                    save_ledger(kept);
                }
            }));
            return Begun::Done(Ok(()));
        }
        Begun::Pending(self.store.op(move |inside, polls| {
            let two = flaw == Flaw::ValueBeforeLedger;
            let Some(kept) = inside.runs.get_mut(&run) else { return Some(error(StoreErrorKind::Gone)) };
            if flaw == Flaw::NeverAnswers || polls < 2 {
                return None;
            }
            if polls == 2
                && let Err(error) = save_value(kept)
            {
                return Some(Err(error));
            }
            if two && polls == 2 {
                return None;
            }
            save_ledger(kept);
            Some(Ok(()))
        }))
    }
}

impl Session for FlawedSession {
    type Writing = Op<()>;
    type Reading = Op<Vec<u8>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.keys().is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.keys().contains(&self.key(slot))
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.keys().iter().map(slot).for_each(visit);
    }

    fn outputs(&self) -> usize {
        let all = self.store.flaw == Flaw::CountsAllOutputs;
        self.keys().iter().filter(|key| key.2 == SlotKind::Output && (all || key.1 == 0)).count()
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let key = self.key(slot);
        match encoded(&value) {
            Ok(bytes) => self.write(Some((key, bytes)), ledger),
            Err(error) => {
                if self.store.flaw == Flaw::FailedPutClears
                    && let Some(kept) = self.inside().runs.get_mut(&self.run)
                {
                    kept.slots.insert(key, Vec::new());
                }
                Begun::Done(Err(error.into()))
            }
        }
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        self.write(None, ledger)
    }

    fn load<R>(&mut self, slot: Slot<'_>, _: impl FnOnce(&[u8]) -> R) -> Begun<Result<R, StoreError>, Self::Reading> {
        drop(self.inside());
        let (run, key, flaw) = (self.run.clone(), self.key(slot), self.store.flaw);
        Begun::Pending(self.store.op(move |inside, polls| {
            if polls < 2 {
                return None;
            }
            let value = inside.runs.get(&run).and_then(|kept| kept.slots.get(&key)).cloned();
            Some(match value {
                None if flaw == Flaw::EmptyForMissing => Ok(Vec::new()),
                None => error(StoreErrorKind::Missing),
                Some(bytes) => Ok(bytes),
            })
        }))
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let mut keys = Vec::new();
        self.each_slot(|slot| {
            if doomed(slot) {
                keys.push(self.key(slot));
            }
        });
        let (run, flaw) = (self.run.clone(), self.store.flaw);
        Begun::Pending(self.store.op(move |inside, polls| {
            let Some(kept) = inside.runs.get_mut(&run) else { return Some(error(StoreErrorKind::Gone)) };
            if polls < 2 {
                return None;
            }
            if flaw == Flaw::DiscardTakesLedger {
                kept.ledger.clear();
            }
            if flaw == Flaw::DiscardsOneByOne {
                return match keys.pop() {
                    Some(key) => {
                        kept.slots.remove(&key);
                        None
                    }
                    None => Some(Ok(())),
                };
            }
            kept.slots.retain(|key, _| !keys.contains(key));
            Some(Ok(()))
        }))
    }

    fn finished(&mut self) {
        if let Some(kept) = self.inside().runs.get_mut(&self.run) {
            kept.finished = true;
        }
    }
}
