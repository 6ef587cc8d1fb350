//! A store that takes its time.

use super::*;

/// How many polls an operation of the store takes, and at which of them what it writes is written: at 0 as it is asked for.
/// One that is dropped before that never happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) polls: u8,
    pub(crate) written_at: u8,
}

#[derive(Debug)]
pub(crate) struct Slow<S> {
    pub(crate) inner: S,
    pub(crate) world: World,
}

pub(crate) struct SlowSession<I> {
    pub(crate) inner: Rc<RefCell<I>>,
    pub(crate) seen: Seen,
    /// As opening found it.
    pub(crate) ledger: Vec<u8>,
    pub(crate) world: World,
}

pub(crate) enum Change {
    Put(Slot<'static>, Vec<u8>, Vec<u8>),
    Ledger(Vec<u8>),
    Discard(BTreeSet<Key>),
}

pub(crate) fn apply<I: Session>(inner: &Rc<RefCell<I>>, change: Change, world: &World) -> Result<(), StoreError> {
    match change {
        Change::Ledger(ledger) => done(inner.borrow_mut().put_ledger(&ledger))?,
        Change::Put(slot, bytes, ledger) => {
            done(inner.borrow_mut().put(slot, Raw(&bytes), &ledger))?;
            world.write(Entry::Committed { node: number(slot.node) });
        }
        Change::Discard(keys) => {
            done(inner.borrow_mut().discard(|slot| keys.contains(&key(slot))))?;
            for (node, ..) in keys {
                world.write(Entry::Discarded { node: number(&node).unwrap() });
            }
        }
    }
    Ok(())
}

/// Waits some polls, then does something.
pub(crate) struct After<F> {
    pub(crate) polls: u8,
    pub(crate) last: Option<F>,
}

impl<F> Unpin for After<F> {}

impl<T, F: FnOnce() -> T> Future for After<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<T> {
        if self.polls > 0 {
            self.polls -= 1;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.last.take().expect("polled after its end")())
    }
}

pub(crate) struct Writing<I> {
    pub(crate) pace: Pace,
    pub(crate) polled: u8,
    pub(crate) change: Option<Change>,
    pub(crate) inner: Rc<RefCell<I>>,
    pub(crate) world: World,
}

impl<I> Unpin for Writing<I> {}

impl<I: Session> Writing<I> {
    pub(crate) fn begin(session: &SlowSession<I>, change: Change) -> Begun<Result<(), StoreError>, Self> {
        let pace = session.world.pace();
        let mut writing = Writing {
            pace,
            polled: 0,
            change: Some(change),
            inner: session.inner.clone(),
            world: session.world.clone(),
        };
        if let Err(error) = writing.write() {
            return Begun::Done(Err(error));
        }
        if pace.polls == 0 { Begun::Done(Ok(())) } else { Begun::Pending(writing) }
    }

    pub(crate) fn write(&mut self) -> Result<(), StoreError> {
        match self.change.take_if(|_| self.polled >= self.pace.written_at.min(self.pace.polls)) {
            Some(change) => apply(&self.inner, change, &self.world),
            None => Ok(()),
        }
    }
}

impl<I: Session> Future for Writing<I> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.polled += 1;
        self.write()?;
        if self.polled > self.pace.polls {
            return Poll::Ready(Ok(()));
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I: Session> Session for SlowSession<I> {
    type Writing = Writing<I>;
    type Reading = After<Box<dyn FnOnce() -> Result<Vec<u8>, StoreError>>>;
    type Bytes = Vec<u8>;

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
        Writing::begin(self, Change::Put(slot, bytes, ledger.to_vec()))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Writing::begin(self, Change::Ledger(ledger.to_vec()))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        let pace = self.world.pace();
        if pace.polls == 0 {
            return Begun::Done(done(self.inner.borrow_mut().load(slot, read)));
        }
        let bytes = done(self.inner.borrow_mut().load(slot, <[u8]>::to_vec));
        Begun::Pending(After { polls: pace.polls, last: Some(Box::new(move || bytes)) })
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let keys = self.seen.discard(doomed);
        Writing::begin(self, Change::Discard(keys))
    }

    fn finished(&mut self) {
        self.inner.borrow_mut().finished();
    }
}

impl<S: Store> Slow<S> {
    pub(crate) fn session<'a>(&self, inner: S::Session<'a>) -> SlowSession<S::Session<'a>> {
        let seen = Seen::of(&inner);
        let ledger = inner.ledger().to_vec();
        SlowSession { inner: Rc::new(RefCell::new(inner)), seen, ledger, world: self.world.clone() }
    }
}

impl<S: Store> Store for Slow<S> {
    type Session<'a>
        = SlowSession<S::Session<'a>>
    where
        Self: 'a;
    type Opening<'a>
        = After<Box<dyn FnOnce() -> Result<Self::Session<'a>, StoreError> + 'a>>
    where
        Self: 'a;
    type Forgetting<'a>
        = S::Forgetting<'a>
    where
        Self: 'a;

    fn slots_per_run(&self) -> Option<usize> {
        self.inner.slots_per_run()
    }

    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        let pace = self.world.pace();
        let run = *run;
        if pace.polls == 0 {
            return Begun::Done(done(self.inner.open(&run, access)).map(|inner| self.session(inner)));
        }
        let open = move || done(self.inner.open(&run, access)).map(|inner| self.session(inner));
        Begun::Pending(After { polls: pace.polls, last: Some(Box::new(open)) })
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.inner.forget(run)
    }
}
