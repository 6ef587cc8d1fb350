//! A store in memory that takes its time to say that an output is saved.

use std::{
    future::{Future, Ready},
    pin::Pin,
    time::Duration,
};

use stroma::{
    RunId, Slot,
    store::{Access, Begun, Encode, HeapSession, HeapStore, Session, Store, StoreError},
};

/// Saves an output at once, and says so later, by tokio's clock; the input it has at once.
pub(crate) struct Slow {
    inner: HeapStore,
    takes: Duration,
}

impl Slow {
    pub(crate) fn new(takes: Duration) -> Self {
        Self { inner: HeapStore::new(), takes }
    }
}

/// What the store inside says, which never waits.
fn at_once<T, F>(begun: Begun<T, F>) -> T {
    match begun {
        Begun::Done(done) => done,
        Begun::Pending(_) => unreachable!("it never waits"),
    }
}

impl Store for Slow {
    type Session<'a> = SlowSession<'a>;
    type Opening<'a> = Ready<Result<SlowSession<'a>, StoreError>>;
    type Forgetting<'a> = Ready<Result<bool, StoreError>>;

    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<SlowSession<'a>, StoreError>, Self::Opening<'a>> {
        Begun::Done(at_once(self.inner.open(run, access)).map(|inner| SlowSession { inner, takes: self.takes }))
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        Begun::Done(at_once(self.inner.forget(run)))
    }
}

pub(crate) struct SlowSession<'a> {
    inner: HeapSession<'a>,
    takes: Duration,
}

type Work<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

impl Session for SlowSession<'_> {
    type Writing = Work<()>;
    type Reading = Work<Vec<u8>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.inner.is_new()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.inner.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.inner.each_slot(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Work<()>> {
        let saved = at_once(self.inner.put(slot, value, ledger));
        let takes = self.takes;
        if slot.node.is_empty() || takes.is_zero() {
            return Begun::Done(saved);
        }
        Begun::Pending(Box::pin(async move {
            tokio::time::sleep(takes).await;
            saved
        }))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Work<Vec<u8>>> {
        Begun::Done(at_once(self.inner.load(slot, read)))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Work<()>> {
        Begun::Done(at_once(self.inner.put_ledger(ledger)))
    }

    fn ledger(&self) -> &[u8] {
        self.inner.ledger()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Work<()>> {
        Begun::Done(at_once(self.inner.discard(doomed)))
    }
}
