//! A store that counts, fails, tampers and waits on command.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use stroma::{
    RunId, Slot,
    store::{Access, Begun, Encode, Session, Store, StoreError, StoreErrorKind},
};

use super::slots::{Key, encoded, key, slot};

/// What a [`Spy`] did and is to do.
#[derive(Default)]
pub(crate) struct Inside {
    runs: BTreeMap<String, Kept>,
    /// The runs opened, with success.
    pub(crate) opens: u32,
    /// The nodes whose output was written, in order; the input is ``.
    pub(crate) puts: Vec<String>,
    /// The nodes whose output was read, in order.
    pub(crate) loads: Vec<String>,
    /// How often slots were discarded.
    pub(crate) discards: u32,
    /// What opening says instead.
    pub(crate) fail_open: Option<StoreErrorKind>,
    /// What writing the output of this node says instead.
    pub(crate) fail_put: Option<(&'static str, StoreErrorKind)>,
    /// What reading the output of this node says instead.
    pub(crate) fail_load: Option<(&'static str, StoreErrorKind)>,
    /// What discarding says instead.
    pub(crate) fail_discard: Option<StoreErrorKind>,
    /// What saving the ledger alone says instead.
    pub(crate) fail_put_ledger: Option<StoreErrorKind>,
    /// How often every operation lets go of the task before it is done; `None` is done at once.
    pub(crate) yields: Option<u32>,
    /// Writes of this node wait until it is opened.
    pub(crate) gate: Option<&'static str>,
    /// Writes of the ledger alone wait until they are let through.
    pub(crate) gate_ledger: bool,
    waiting: Vec<Waker>,
    /// The most bytes of a slot.
    pub(crate) max: Option<usize>,
}

/// The gate of the ledger alone, which is no node's.
const LEDGER: &str = "the ledger";

impl Inside {
    fn is_closed(&self, gate: Option<&'static str>) -> bool {
        gate.is_some_and(|gate| self.gate == Some(gate) || gate == LEDGER && self.gate_ledger)
    }
}

#[derive(Default)]
struct Kept {
    held: bool,
    slots: BTreeMap<Key, Vec<u8>>,
    ledger: Vec<u8>,
}

/// A store in memory that counts, fails, tampers and waits on command. Its work is done by its futures: a write that is dropped
/// before it is done was never done. A clone is the same store.
#[derive(Clone, Default)]
pub(crate) struct Spy(Arc<Mutex<Inside>>);

impl Spy {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One whose every operation lets go of the task so often.
    pub(crate) fn slow(yields: u32) -> Self {
        let spy = Self::new();
        spy.inside().yields = Some(yields);
        spy
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// Opens the gate.
    pub(crate) fn release(&self) {
        let mut inside = self.inside();
        inside.gate = None;
        inside.gate_ledger = false;
        let waiting = std::mem::take(&mut inside.waiting);
        drop(inside);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The outputs that a run has, by node and in the order of their names; the input is ``.
    pub(crate) fn kept(&self, run: &str) -> Vec<String> {
        let inside = self.inside();
        inside.runs.get(run).map_or(Vec::new(), |kept| kept.slots.keys().map(|key| key.0.clone()).collect())
    }

    /// All bytes of a run.
    pub(crate) fn bytes(&self, run: &str) -> Vec<(Key, Vec<u8>)> {
        let inside = self.inside();
        inside.runs.get(run).map_or(Vec::new(), |kept| kept.slots.clone().into_iter().collect())
    }

    /// Changes the bytes of a node's output; the input is ``.
    pub(crate) fn tamper(&self, run: &str, node: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inside = self.inside();
        let slots = &mut inside.runs.get_mut(run).expect("the run").slots;
        change(slots.iter_mut().find(|(key, _)| key.0 == node).expect("the slot").1);
    }

    /// The stored ledger.
    pub(crate) fn ledger(&self, run: &RunId) -> Vec<u8> {
        self.inside().runs[&run.to_string()].ledger.clone()
    }

    /// Replaces the stored ledger.
    pub(crate) fn set_ledger(&self, run: &RunId, ledger: Vec<u8>) {
        self.inside().runs.get_mut(&run.to_string()).expect("the run").ledger = ledger;
    }

    /// Removes a node's output.
    pub(crate) fn lose(&self, run: &str, node: &str) {
        self.inside().runs.get_mut(run).expect("the run").slots.retain(|key, _| key.0 != node);
    }

    /// What was read since the last call, the input left out.
    pub(crate) fn take_loads(&self) -> Vec<String> {
        std::mem::take(&mut self.inside().loads).into_iter().filter(|node| !node.is_empty()).collect()
    }

    fn begun<T>(
        &self,
        gate: Option<&'static str>,
        job: impl FnOnce(&mut Inside) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Result<T, StoreError>, Op<T>> {
        let mut inside = self.inside();
        let closed = inside.is_closed(gate);
        match (inside.yields, closed) {
            (None, false) => Ok(job(&mut inside)),
            (yields, _) => Err(Op { store: self.clone(), left: yields.unwrap_or(0), gate, job: Some(Box::new(job)) }),
        }
    }
}

/// An operation of a [`Spy`] that is under way.
pub(crate) struct Op<T> {
    store: Spy,
    left: u32,
    gate: Option<&'static str>,
    job: Option<Job<T>>,
}

type Job<T> = Box<dyn FnOnce(&mut Inside) -> Result<T, StoreError> + Send>;

impl<T> Unpin for Op<T> {}

impl<T> Future for Op<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut inside = this.store.0.lock().unwrap();
        if inside.is_closed(this.gate) {
            inside.waiting.push(task.waker().clone());
            return Poll::Pending;
        }
        if this.left > 0 {
            this.left -= 1;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        let job = this.job.take().expect("polled again after its end");
        Poll::Ready(job(&mut inside))
    }
}

fn refused<T>(kind: Option<StoreErrorKind>) -> Option<Result<T, StoreError>> {
    kind.map(|kind| Err(StoreError::with_detail(kind, "the spy was told so")))
}

impl Store for Spy {
    type Session<'a> = SpySession;
    type Opening<'a> = Op<SpySession>;
    type Forgetting<'a> = Op<bool>;

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<SpySession, StoreError>, Op<SpySession>> {
        let (store, run) = (self.clone(), run.to_string());
        match self.begun(None, move |inside| {
            if let Some(refused) = refused(inside.fail_open) {
                return refused;
            }
            if access == Access::Existing && inside.runs.get(&run).is_none_or(|kept| kept.slots.is_empty()) {
                return Err(StoreError::new(StoreErrorKind::UnknownRun));
            }
            let kept = inside.runs.entry(run.clone()).or_default();
            if kept.held {
                return Err(StoreError::new(StoreErrorKind::Busy { until: None }));
            }
            kept.held = true;
            inside.opens += 1;
            let ledger = kept.ledger.clone();
            Ok(SpySession { store, run, ledger })
        }) {
            Ok(done) => Begun::Done(done),
            Err(op) => Begun::Pending(op),
        }
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, Op<bool>> {
        let run = run.to_string();
        match self.begun(None, move |inside| match inside.runs.get(&run) {
            Some(kept) if kept.held => Err(StoreError::new(StoreErrorKind::Busy { until: None })),
            _ => Ok(inside.runs.remove(&run).is_some_and(|kept| !kept.slots.is_empty())),
        }) {
            Ok(done) => Begun::Done(done),
            Err(op) => Begun::Pending(op),
        }
    }
}

/// One run of a [`Spy`].
pub(crate) struct SpySession {
    store: Spy,
    run: String,
    /// As opening found it.
    ledger: Vec<u8>,
}

impl Drop for SpySession {
    fn drop(&mut self) {
        if let Ok(mut inside) = self.store.0.lock()
            && let Some(kept) = inside.runs.get_mut(&self.run)
        {
            kept.held = false;
        }
    }
}

impl SpySession {
    fn slots<R>(&self, read: impl FnOnce(&BTreeMap<Key, Vec<u8>>) -> R) -> R {
        read(&self.store.inside().runs[&self.run].slots)
    }
}

impl Session for SpySession {
    type Writing = Op<()>;
    type Reading = Op<Vec<u8>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.slots(BTreeMap::is_empty)
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.slots(|slots| slots.contains_key(&key(slot)))
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        let keys: Vec<Key> = self.slots(|slots| slots.keys().cloned().collect());
        keys.iter().map(slot).for_each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let bytes = match encoded(&value) {
            Ok(bytes) => bytes,
            Err(error) => return Begun::Done(Err(error.into())),
        };
        let (run, ledger) = (self.run.clone(), ledger.to_vec());
        match self.store.begun(Some(slot.node), move |inside| {
            if let Some((node, kind)) = inside.fail_put
                && node == slot.node
            {
                return refused(Some(kind)).unwrap();
            }
            if let Some(max) = inside.max
                && bytes.len() > max
            {
                return Err(StoreError::new(StoreErrorKind::TooLarge { len: bytes.len(), max }));
            }
            inside.puts.push(slot.node.to_owned());
            let kept = inside.runs.get_mut(&run).expect("the run");
            kept.slots.insert(key(slot), bytes);
            if !ledger.is_empty() {
                kept.ledger = ledger;
            }
            Ok(())
        }) {
            Ok(done) => Begun::Done(done),
            Err(op) => Begun::Pending(op),
        }
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        let (run, wanted) = (self.run.clone(), key(slot));
        let job = move |inside: &mut Inside| {
            inside.loads.push(wanted.0.clone());
            if let Some((node, kind)) = inside.fail_load
                && node == wanted.0
            {
                return refused(Some(kind)).unwrap();
            }
            let slots = &inside.runs[&run].slots;
            slots.get(&wanted).cloned().ok_or(StoreError::new(StoreErrorKind::Missing))
        };
        match self.store.begun(None, job) {
            Ok(done) => Begun::Done(done.map(|bytes| read(&bytes))),
            Err(op) => Begun::Pending(op),
        }
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        let (run, ledger) = (self.run.clone(), ledger.to_vec());
        match self.store.begun(Some(LEDGER), move |inside| {
            if let Some(refused) = refused(inside.fail_put_ledger) {
                return refused;
            }
            inside.runs.get_mut(&run).expect("the run").ledger = ledger;
            Ok(())
        }) {
            Ok(done) => Begun::Done(done),
            Err(op) => Begun::Pending(op),
        }
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let mut keys = Vec::new();
        self.each_slot(|slot| {
            if doomed(slot) {
                keys.push(key(slot));
            }
        });
        let run = self.run.clone();
        match self.store.begun(None, move |inside| {
            if let Some(refused) = refused(inside.fail_discard) {
                return refused;
            }
            inside.discards += 1;
            inside.runs.get_mut(&run).expect("the run").slots.retain(|key, _| !keys.contains(key));
            Ok(())
        }) {
            Ok(done) => Begun::Done(done),
            Err(op) => Begun::Pending(op),
        }
    }
}
