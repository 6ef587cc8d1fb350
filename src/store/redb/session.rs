//! A run in somebody's hands, and what the store's thread is asked to do.

use alloc::{borrow::Cow, boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::{
    super::{
        Access, Begun, Encode, Session, StoreError, StoreErrorKind,
        error::missing,
        owned::{self, OwnedKey, Present},
    },
    answer::{Answer, RedbReading, RedbWriting, opaque_future},
    error::gone,
    patience::Wait,
};
use crate::slot::Slot;

/// The longest value that redb takes.
pub(super) const VALUE_MAX: usize = 3 << 30;

/// Exclusive access to one run of a [`RedbStore`](crate::store::RedbStore); it does not borrow the store.
///
/// Dropping it gives the run back, without waiting for that. A run that has no checkpoint by then leaves no trace.
///
/// ```
/// fn on_any_thread<T: Send + 'static>() {}
/// on_any_thread::<stroma::store::RedbSession>();
/// ```
pub struct RedbSession {
    pub(super) jobs: Sender<Job>,
    pub(super) hold: Hold,
    pub(super) present: Present<()>,
    pub(super) ledger: Box<[u8]>,
}

impl RedbSession {
    fn ask(&self, job: Job) {
        // As in `RedbStore::ask`.
        let _ = self.jobs.send(job);
    }

    fn write(&self, slot: Option<(OwnedKey, Vec<u8>)>, ledger: &[u8]) -> RedbWriting {
        let (job, answer) = Asked::new(Put { hold: self.hold.clone(), slot, ledger: ledger.into() });
        self.ask(Job::Put(job));
        RedbWriting(answer)
    }
}

impl fmt::Debug for RedbSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSession")
            .field("run", &self.hold.run)
            .field("present", &self.present)
            .finish_non_exhaustive()
    }
}

impl Drop for RedbSession {
    fn drop(&mut self) {
        self.ask(Job::Release(self.hold.clone()));
    }
}

impl Session for RedbSession {
    type Writing = RedbWriting;
    type Reading = RedbReading;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.present.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.present.get(slot).is_some()
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.present.each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, RedbWriting> {
        let bytes = match encoded(&value) {
            Ok(bytes) => bytes,
            Err(error) => return Begun::Done(Err(error)),
        };
        let key = (Cow::Borrowed(slot.node), slot.instance, slot.kind);
        let writing = self.write(Some((key.clone(), bytes)), ledger);
        // A write that fails ends the run, so what was asked for counts as there.
        self.present.insert(key, ());
        Begun::Pending(writing)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, RedbWriting> {
        Begun::Pending(self.write(None, ledger))
    }

    fn load<R>(&mut self, slot: Slot<'_>, _read: impl FnOnce(&[u8]) -> R) -> Begun<Result<R, StoreError>, RedbReading> {
        if !self.holds(slot) {
            return Begun::Done(Err(missing()));
        }
        let key = (Cow::Owned(slot.node.into()), slot.instance, slot.kind);
        let (job, answer) = Asked::new(Load { hold: self.hold.clone(), key });
        self.ask(Job::Load(job));
        Begun::Pending(RedbReading(answer))
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, RedbWriting> {
        let keys = self.present.take(doomed);
        if keys.is_empty() {
            return Begun::Done(Ok(()));
        }
        let (job, answer) = Asked::new(Discard { hold: self.hold.clone(), keys });
        self.ask(Job::Discard(job));
        Begun::Pending(RedbWriting(answer))
    }
}

fn encoded(value: &impl Encode) -> Result<Vec<u8>, StoreError> {
    let len = owned::encoded_len(value, VALUE_MAX)?;
    let mut bytes = Vec::new();
    owned::append(&mut bytes, len, value)?;
    Ok(bytes)
}

opaque_future! {
    /// What [`RedbStore`](crate::store::RedbStore) does to open a run.
    ///
    /// ```no_run
    /// # use stroma::store::{Access, Begun, RedbSession, RedbStore, Store, StoreError};
    /// # async fn f(store: &RedbStore, run: &stroma::RunId) -> Result<RedbSession, StoreError> {
    /// match store.open(run, Access::Create) {
    ///     Begun::Done(opened) => opened,
    ///     Begun::Pending(opening) => opening.await,
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is done, it gives the run back.
    RedbOpening, RedbSession
}

/// What a session goes by. The holder is the store's, so it is not repeated here.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) run: Arc<str>,
    pub(super) token: u64,
}

pub(super) struct Open {
    pub(super) run: Arc<str>,
    pub(super) access: Access,
    pub(super) jobs: Sender<Job>,
    pub(super) wait: Wait,
}

pub(super) struct Put {
    pub(super) hold: Hold,
    pub(super) slot: Option<(OwnedKey, Vec<u8>)>,
    pub(super) ledger: Box<[u8]>,
}

pub(super) struct Discard {
    pub(super) hold: Hold,
    pub(super) keys: Vec<OwnedKey>,
}

pub(super) struct Load {
    pub(super) hold: Hold,
    pub(super) key: OwnedKey,
}

pub(super) struct Forget {
    pub(super) run: Arc<str>,
    /// Keeps the thread at work until there is an answer.
    pub(super) _jobs: Sender<Job>,
    pub(super) wait: Wait,
}

pub(super) enum Job {
    Open(Asked<Open, RedbSession>),
    Put(Asked<Put, ()>),
    Discard(Asked<Discard, ()>),
    Load(Asked<Load, Vec<u8>>),
    Forget(Asked<Forget, bool>),
    Release(Hold),
    Lease(Term),
    /// The outline of a pipeline, for who looks on; nobody waits.
    Introduce(u64, String),
}

impl Job {
    /// The run that it would have, where it waits for one.
    pub(super) fn wants(&self) -> Option<&str> {
        match self {
            Self::Open(asked) => Some(&asked.work.run),
            Self::Forget(asked) => Some(&asked.work.run),
            _ => None,
        }
    }

    /// Where the run was taken, for how long at most, and the patience of whom it was for; its answer is then still to
    /// be found.
    pub(super) fn busy(&mut self) -> Option<(Option<Duration>, &mut Wait)> {
        fn taken<T>(result: &Option<Result<T, StoreError>>) -> Option<Option<Duration>> {
            match result.as_ref()?.as_ref().err()?.kind() {
                StoreErrorKind::Busy { until } => Some(until),
                _ => None,
            }
        }
        match self {
            Self::Open(asked) => Some((taken(&asked.result)?, &mut asked.work.wait)),
            Self::Forget(asked) => Some((taken(&asked.result)?, &mut asked.work.wait)),
            _ => None,
        }
    }

    /// Says how it went; what is still to be given back goes to `unreleased`.
    pub(super) fn end(self, failed: Option<&StoreError>, unreleased: &mut Vec<Hold>) {
        match self {
            Self::Open(asked) => {
                let hold =
                    asked.result.as_ref().and_then(|opened| opened.as_ref().ok()).map(|session| session.hold.clone());
                // A session that did not arrive gives its run back as it is dropped, but behind what is queued already;
                // what is queued may be the next try of whom it was for.
                if !asked.end(failed) {
                    unreleased.extend(hold);
                }
            }
            Self::Put(asked) => {
                asked.end(failed);
            }
            Self::Discard(asked) => {
                asked.end(failed);
            }
            Self::Load(asked) => {
                asked.end(failed);
            }
            Self::Forget(asked) => {
                asked.end(failed);
            }
            Self::Lease(term) => term.end(failed),
            Self::Release(hold) if failed.is_some() => unreleased.push(hold),
            Self::Release(_) | Self::Introduce(..) => {}
        }
    }
}

/// A term for the store's lease, for whoever waits on a thread.
pub(super) struct Term {
    pub(super) term: Duration,
    pub(super) result: Option<Result<(), StoreError>>,
    pub(super) answer: Sender<Result<(), StoreError>>,
}

impl Term {
    fn end(self, failed: Option<&StoreError>) {
        let result = failed.cloned().map_or(self.result, |error| Some(Err(error)));
        // Whoever asked is waiting.
        let _ = self.answer.send(result.unwrap_or_else(|| Err(gone())));
    }
}

/// Work for the driver, with its result from the time that it was done until its transaction is committed.
pub(super) struct Asked<W, T> {
    pub(super) work: W,
    pub(super) result: Option<Result<T, StoreError>>,
    pub(super) answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Asked<W, T> {
    pub(super) fn new(work: W) -> (Self, Answer<T>) {
        let (answer, receiver) = oneshot::channel();
        (Self { work, result: None, answer }, Answer(receiver))
    }

    /// Answers; whether the result arrived, which it does not after a failure.
    pub(super) fn end(self, failed: Option<&StoreError>) -> bool {
        let result = match failed {
            Some(error) => Err(error.clone()),
            None => self.result.unwrap_or_else(|| Err(gone())),
        };
        self.answer.send(result).is_ok() && failed.is_none()
    }
}
