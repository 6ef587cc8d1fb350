//! What the tests of the crate's promises share: errors of each class, nodes that do as they are told and write down what
//! happens to them, clocks that count, and a store that counts, fails, tampers and waits on command.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use stroma::{
    Clock, Failure, FailureClass, ManualClock, ManualSleep, Now, RunId, Slot, SlotKind,
    store::{Access, Begun, Encode, Session, Store, StoreError, StoreErrorKind},
};

/// An error of each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Oops {
    /// Recoverable.
    Busy,
    /// Ambiguous.
    Odd,
    /// Terminal.
    Bad,
    /// Recoverable, and asks to be left alone for so long.
    Later(Duration),
}

impl fmt::Display for Oops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the line is busy"),
            Self::Odd => f.write_str("something odd came back"),
            Self::Bad => f.write_str("the key is refused"),
            Self::Later(wait) => write!(f, "come back in {wait:?}"),
        }
    }
}

impl std::error::Error for Oops {}

impl Failure for Oops {
    fn class(&self) -> FailureClass {
        match self {
            Self::Busy | Self::Later(_) => FailureClass::Recoverable,
            Self::Odd => FailureClass::Ambiguous,
            Self::Bad => FailureClass::Terminal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Later(wait) => Some(*wait),
            _ => None,
        }
    }
}

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// All so far, and it begins anew.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Says that it was dropped, unless it was told that all went to its end.
pub(crate) struct Guard {
    log: Log,
    id: &'static str,
    over: bool,
}

impl Guard {
    pub(crate) fn begin(log: &Log, id: &'static str) -> Self {
        log.add(format!("{id} begins"));
        Self { log: log.clone(), id, over: false }
    }

    pub(crate) fn end(mut self, how: &str) {
        self.over = true;
        self.log.add(format!("{} {how}", self.id));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.over {
            self.log.add(format!("{} dropped", self.id));
        }
    }
}

/// What one call of a scripted node does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Yields the input plus one.
    Go,
    /// Fails at once.
    Fail(Oops),
    /// Waits on tokio's clock, then yields the input plus one.
    Slow(Duration),
    /// Waits on tokio's clock, then fails.
    SlowFail(Duration, Oops),
    /// Never ends.
    Hang,
    /// Panics.
    Panic(&'static str),
}

pub(crate) type Fut = Pin<Box<dyn Future<Output = Result<u32, Oops>> + Send>>;

/// A node that does as it is told, call by call; when nothing is left to be told it yields the input plus one.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    id: &'static str,
    log: Log,
    acts: Arc<Mutex<VecDeque<Act>>>,
    calls: Arc<AtomicU32>,
}

impl Scripted {
    pub(crate) fn new(log: &Log, id: &'static str, acts: impl IntoIterator<Item = Act>) -> Self {
        let acts = Arc::new(Mutex::new(acts.into_iter().collect()));
        Self { id, log: log.clone(), acts, calls: Arc::default() }
    }

    /// One that always succeeds.
    pub(crate) fn fine(log: &Log, id: &'static str) -> Self {
        Self::new(log, id, [])
    }

    /// One that always does the same.
    pub(crate) fn always(log: &Log, id: &'static str, act: Act) -> Self {
        Self::new(log, id, std::iter::repeat_n(act, 10_000))
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Tells it what to do from now on.
    pub(crate) fn tell(&self, acts: impl IntoIterator<Item = Act>) {
        *self.acts.lock().unwrap() = acts.into_iter().collect();
    }

    /// The function for `node(id, ..)`.
    pub(crate) fn f(&self) -> impl Fn(u32) -> Fut + Send + Sync + Clone + 'static + use<> {
        let this = self.clone();
        move |x| {
            this.calls.fetch_add(1, Ordering::SeqCst);
            let act = this.acts.lock().unwrap().pop_front().unwrap_or(Act::Go);
            let guard = Guard::begin(&this.log, this.id);
            Box::pin(async move {
                let ended = match act {
                    Act::Go => Ok(x + 1),
                    Act::Fail(error) => Err(error),
                    Act::Slow(time) => {
                        tokio::time::sleep(time).await;
                        Ok(x + 1)
                    }
                    Act::SlowFail(time, error) => {
                        tokio::time::sleep(time).await;
                        Err(error)
                    }
                    Act::Hang => std::future::pending().await,
                    Act::Panic(message) => std::panic::panic_any(message),
                };
                guard.end(if ended.is_ok() { "ends" } else { "fails" });
                ended
            })
        }
    }
}

/// A [`ManualClock`] that counts how often somebody asked it to wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct CountingClock {
    pub(crate) clock: ManualClock,
    sleeps: Arc<Mutex<Vec<Duration>>>,
}

impl CountingClock {
    /// What it was asked to wait so far.
    pub(crate) fn sleeps(&self) -> Vec<Duration> {
        self.sleeps.lock().unwrap().clone()
    }
}

impl Now for CountingClock {
    fn now(&self) -> Duration {
        self.clock.now()
    }
}

impl Clock for CountingClock {
    type Sleep<'a> = ManualSleep;

    fn sleep(&self, duration: Duration) -> ManualSleep {
        self.sleeps.lock().unwrap().push(duration);
        self.clock.sleep(duration)
    }
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls as long as the future wants to be polled again at once.
pub(crate) fn poll_until_idle<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flag = Arc::new(Flag(true.into()));
    let waker = Waker::from(Arc::clone(&flag));
    while flag.0.swap(false, Ordering::SeqCst) {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(out);
        }
    }
    Poll::Pending
}

/// Polls a future that has to be ready without waiting.
pub(crate) fn now_or_panic<F: Future>(future: F) -> F::Output {
    match poll_until_idle(std::pin::pin!(future)) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("it waits"),
    }
}

/// The whole chain of an error's texts.
pub(crate) fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}

type Key = (String, u32, SlotKind);

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
    /// How often every operation lets go of the task before it is done; `None` is done at once.
    pub(crate) yields: Option<u32>,
    /// Writes of this node wait until it is opened.
    pub(crate) gate: Option<&'static str>,
    waiting: Vec<Waker>,
    /// The most bytes of a slot.
    pub(crate) max: Option<usize>,
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
        let closed = gate.is_some() && inside.gate == gate;
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
        if this.gate.is_some() && inside.gate == this.gate {
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

fn key(slot: Slot<'_>) -> Key {
    (slot.node.to_owned(), slot.instance, slot.kind)
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

    fn each_slot(&self, mut visit: impl FnMut(Slot<'_>)) {
        let keys: Vec<Key> = self.slots(|slots| slots.keys().cloned().collect());
        for (node, instance, kind) in keys {
            visit(Slot { node: &node, index: 0, instance, kind });
        }
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let mut bytes = match value.encoded_len() {
            Ok(len) => vec![0; len],
            Err(error) => return Begun::Done(Err(error.into())),
        };
        if let Err(error) = value.encode(&mut bytes) {
            return Begun::Done(Err(error.into()));
        }
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
        match self.store.begun(None, move |inside| {
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
