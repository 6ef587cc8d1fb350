//! A store that takes its time, and notes what it was given.

use super::*;

#[derive(Debug)]
pub(crate) struct Watch<S> {
    pub(crate) inner: S,
    pub(crate) world: World,
}

pub(crate) struct WatchSession<I> {
    pub(crate) inner: Rc<RefCell<I>>,
    pub(crate) seen: Seen,
    pub(crate) ledger: Vec<u8>,
    pub(crate) world: World,
}

pub(crate) enum Change {
    Put(Slot<'static>, Vec<u8>),
    Ledger,
    Discard(BTreeSet<Key>),
}

/// A write; one that is dropped before its end never happens.
pub(crate) struct Writing<I> {
    pub(crate) polls: u8,
    pub(crate) change: Option<Change>,
    pub(crate) ledger: Vec<u8>,
    /// What the ledger stands for, and as which it was asked for.
    pub(crate) stands_for: (Sum, Duration),
    pub(crate) number: u64,
    pub(crate) inner: Rc<RefCell<I>>,
    pub(crate) world: World,
}

impl<I> Unpin for Writing<I> {}

impl<I: Session> Writing<I> {
    pub(crate) fn begin(
        session: &WatchSession<I>,
        change: Change,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self> {
        let world = session.world.clone();
        let number = {
            let mut inside = world.0.borrow_mut();
            inside.asked += 1;
            inside.asked
        };
        let mut writing = Self {
            polls: world.pace(),
            change: Some(change),
            ledger: ledger.to_vec(),
            stands_for: world.stored(),
            number,
            inner: Rc::clone(&session.inner),
            world,
        };
        if writing.polls == 0 { Begun::Done(writing.apply()) } else { Begun::Pending(writing) }
    }

    pub(crate) fn apply(&mut self) -> Result<(), StoreError> {
        let mut inner = self.inner.borrow_mut();
        let mut inside = self.world.0.borrow_mut();
        // Of several the ledger of that which was asked for last stays.
        let newest = !self.ledger.is_empty() && self.number > inside.written;
        if newest {
            inside.written = self.number;
            inside.committed = self.stands_for;
        }
        let ledger: &[u8] = if newest { &self.ledger } else { &[] };
        match self.change.take().expect("a write ends once") {
            Change::Put(slot, bytes) => done(inner.put(slot, Raw(&bytes), ledger)),
            Change::Ledger if newest => done(inner.put_ledger(ledger)),
            Change::Ledger => Ok(()),
            Change::Discard(keys) => done(inner.discard(|slot| keys.contains(&key(slot)))),
        }
    }
}

impl<I: Session> Future for Writing<I> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.apply())
    }
}

impl<I: Session> Session for WatchSession<I> {
    type Writing = Writing<I>;
    type Reading = I::Reading;
    type Bytes = I::Bytes;

    fn is_new(&self) -> bool {
        self.seen.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.seen.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.seen.each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let bytes = encoded(&value).unwrap();
        self.seen.put(slot);
        Writing::begin(self, Change::Put(slot, bytes), ledger)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Writing::begin(self, Change::Ledger, ledger)
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        self.inner.borrow_mut().load(slot, read)
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let keys = self.seen.discard(doomed);
        Writing::begin(self, Change::Discard(keys), &[])
    }

    fn finished(&mut self) {
        self.inner.borrow_mut().finished();
    }
}

impl<S: Store> Store for Watch<S> {
    type Session<'a>
        = WatchSession<S::Session<'a>>
    where
        Self: 'a;
    type Opening<'a>
        = core::future::Pending<Result<Self::Session<'a>, StoreError>>
    where
        Self: 'a;
    type Forgetting<'a>
        = S::Forgetting<'a>
    where
        Self: 'a;

    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        let opened = done(self.inner.open(run, access)).map(|inner| {
            let seen = Seen::of(&inner);
            let ledger = inner.ledger().to_vec();
            WatchSession { inner: Rc::new(RefCell::new(inner)), seen, ledger, world: self.world.clone() }
        });
        Begun::Done(opened)
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.inner.forget(run)
    }
}
