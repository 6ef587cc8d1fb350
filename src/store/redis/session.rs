//! A run in hand, and the futures of what is asked for it.

use alloc::{sync::Arc, vec::Vec};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use std::sync::PoisonError;

use tokio::sync::oneshot;

use super::{
    error,
    log::{self, Record},
    work::{Asking, Opened, Work},
};
use crate::{
    slot::{Slot, SlotKind},
    store::{Begun, Encode, Session, StoreError, StoreErrorKind, error::missing},
};

/// Exclusive access to one run of a [`RedisStore`](super::RedisStore); it does not borrow the store.
///
/// Dropping it gives the run back, without waiting for that: [`RedisStore::flush`](super::RedisStore::flush) waits. A run
/// that has no checkpoint by then leaves no trace.
///
/// ```
/// fn on_any_thread<T: Send + 'static>() {}
/// on_any_thread::<stroma::store::RedisSession>();
/// ```
pub struct RedisSession(Opened);

impl RedisSession {
    fn next(&mut self) -> u64 {
        self.0.order = self.0.order.saturating_add(1);
        self.0.order
    }

    /// An input says which pipeline it is for; what is known of that goes with it.
    fn told(&mut self, mut record: Record) -> Record {
        let outlines = Arc::clone(&self.0.outlines);
        let outlines = outlines.lock().unwrap_or_else(PoisonError::into_inner);
        record.tell(&outlines, || self.next());
        record
    }

    fn write(&self, record: Record) -> RedisWriting {
        let (answer, writing) = oneshot::channel();
        self.0.grip.ask(Work::Write { hold: Arc::clone(&self.0.grip.hold), record, answer });
        RedisWriting(writing)
    }
}

impl fmt::Debug for RedisSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSession")
            .field("hold", &self.0.grip.hold)
            .field("present", &self.0.present)
            .finish_non_exhaustive()
    }
}

impl Session for RedisSession {
    type Writing = RedisWriting;
    type Reading = RedisReading;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.0.present.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.0.present.get(slot).is_some()
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.0.present.each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, RedisWriting> {
        let record = match Record::put(self.next(), slot, ledger, &value) {
            Ok(record) if slot.kind == SlotKind::Input => self.told(record),
            Ok(record) => record,
            Err(error) => return Begun::Done(Err(error)),
        };
        // A write that fails ends the run, so what was asked for counts as there.
        self.0.present.insert((slot.node.into(), slot.instance, slot.kind), None);
        self.0.grip.empty = false;
        Begun::Pending(self.write(record))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, RedisWriting> {
        let record = Record::spent(self.next(), ledger);
        Begun::Pending(self.write(record))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        _read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, RedisReading> {
        let Some(at) = self.0.present.get(slot) else {
            return Begun::Done(Err(missing()));
        };
        let (answer, reading) = oneshot::channel();
        let name = log::slot_name(slot.node, slot.instance, slot.kind);
        self.0.grip.ask(Work::Load { hold: Arc::clone(&self.0.grip.hold), at: *at, name, answer });
        Begun::Pending(RedisReading(reading))
    }

    fn ledger(&self) -> &[u8] {
        &self.0.ledger
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, RedisWriting> {
        let taken = self.0.present.take(doomed);
        if taken.is_empty() {
            return Begun::Done(Ok(()));
        }
        self.0.grip.empty = self.0.present.is_empty();
        let names = taken.iter().map(|(node, instance, kind)| log::slot_name(node, *instance, *kind));
        let record = Record::discard(self.next(), names);
        Begun::Pending(self.write(record))
    }

    fn hurry(&mut self) {
        self.0.grip.hold.hurried.store(true, Ordering::Relaxed);
    }
}

fn heard<T>(
    answer: &mut oneshot::Receiver<Result<T, StoreError>>,
    task: &mut Context<'_>,
) -> Poll<Result<T, StoreError>> {
    Pin::new(answer).poll(task).map(|answer| answer.unwrap_or_else(|_| Err(ended())))
}

#[cold]
pub(super) fn ended() -> StoreError {
    error::of(
        StoreErrorKind::Unavailable,
        "the store needs a tokio runtime: there is none here, or that of its connection has ended",
    )
}

/// What a [`RedisSession`] does to save a slot or to discard some.
///
/// ```no_run
/// # use stroma::store::{Begun, RedisSession, Session, StoreError};
/// # async fn f(session: &mut RedisSession) -> Result<(), StoreError> {
/// match session.discard(|slot| slot.node == "summarize") {
///     Begun::Done(discarded) => discarded,
///     Begun::Pending(writing) => writing.await,
/// }
/// # }
/// ```
///
/// # Cancel safety
/// Dropped before it is done, it is done all the same, wholly; only nobody hears how it went.
#[must_use = "the operation was begun, but only its future says how it went"]
#[derive(Debug)]
pub struct RedisWriting(oneshot::Receiver<Result<(), StoreError>>);

impl Future for RedisWriting {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        heard(&mut self.0, task)
    }
}

/// What a [`RedisSession`] does to read a slot.
///
/// ```no_run
/// # use stroma::store::{Begun, Session, StoreError};
/// # async fn f<S: Session>(begun: Begun<Result<Vec<u8>, StoreError>, S::Reading>) -> Result<Vec<u8>, StoreError> {
/// // begun = session.load(slot, <[u8]>::to_vec)
/// match begun {
///     Begun::Done(read) => read,
///     Begun::Pending(reading) => Ok(reading.await?.as_ref().to_vec()),
/// }
/// # }
/// ```
///
/// # Cancel safety
/// It may be dropped at any time.
#[must_use = "the operation was begun, but only its future says how it went"]
#[derive(Debug)]
pub struct RedisReading(oneshot::Receiver<Result<Vec<u8>, StoreError>>);

impl Future for RedisReading {
    type Output = Result<Vec<u8>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        heard(&mut self.0, task)
    }
}

/// What a [`RedisStore`](super::RedisStore) does to open a run.
///
/// ```no_run
/// # use stroma::store::{Access, Begun, RedisSession, RedisStore, Store, StoreError};
/// # async fn f(store: &RedisStore, run: &stroma::RunId) -> Result<RedisSession, StoreError> {
/// match store.open(run, Access::Create) {
///     Begun::Done(opened) => opened,
///     Begun::Pending(opening) => opening.await,
/// }
/// # }
/// ```
///
/// # Cancel safety
/// Dropped before it is done, it gives the run back.
#[must_use = "the operation was begun, but only its future says how it went"]
#[derive(Debug)]
pub struct RedisOpening(
    pub(super) oneshot::Receiver<Result<Opened, StoreError>>,
    #[expect(dead_code, reason = "the task goes on as long as it is there")] pub(super) Asking,
);

impl Future for RedisOpening {
    type Output = Result<RedisSession, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        heard(&mut self.0, task).map_ok(RedisSession)
    }
}

/// What a [`RedisStore`](super::RedisStore) does to forget a run. Where the answer was lost and it was said again, there was no
/// run the second time.
///
/// ```no_run
/// # use stroma::store::{Begun, RedisStore, Store, StoreError};
/// # async fn f(store: &RedisStore, run: &stroma::RunId) -> Result<bool, StoreError> {
/// match store.forget(run) {
///     Begun::Done(forgotten) => forgotten,
///     Begun::Pending(forgetting) => forgetting.await,
/// }
/// # }
/// ```
///
/// # Cancel safety
/// Dropped before it was sent it does nothing, else it is done all the same, wholly.
#[must_use = "the operation was begun, but only its future says how it went"]
#[derive(Debug)]
pub struct RedisForgetting(
    pub(super) oneshot::Receiver<Result<bool, StoreError>>,
    #[expect(dead_code, reason = "the task goes on as long as it is there")] pub(super) Asking,
);

impl Future for RedisForgetting {
    type Output = Result<bool, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        heard(&mut self.0, task)
    }
}
