//! A store: the proofs and the faults of a run that has one, and what it waits for.

use core::{
    future::Future,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::{
    super::{
        Access, Begun, Payload, Session, Store, StoreError, StoreErrorKind, Value, check_input, decode_input,
        decode_value,
    },
    Durability, Persist,
    fault::StoreFault,
};
use crate::{run::RunId, slot::Slot};

/// Says that a store holds what is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Held(());

/// Says that something went wrong; the session knows what.
#[derive(Debug)]
pub struct Faulted(());

impl Faulted {
    /// What went wrong is noted in the session.
    #[cfg(all(feature = "std", feature = "json"))]
    pub(crate) fn noted() -> Self {
        Self(())
    }
}

/// A store, as the capability of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Durable<S>(pub(crate) S);

impl<S> Durable<S> {
    /// A run of this store is to be gone on with; whether the store knows it shows when it is opened.
    pub(crate) const PROOF: Held = Held(());
}

/// A value whose write is under way.
#[pin_project]
#[derive(Debug)]
pub struct SaveUnderWay<T, W> {
    value: Option<T>,
    #[pin]
    write: W,
}

/// A value that was read, or whose read is under way.
#[pin_project(project = LoadProj)]
#[derive(Debug)]
pub enum LoadUnderWay<T, R> {
    /// It was at hand; or it could not be read, and the session knows why.
    Loaded(Option<T>),
    /// It was taken.
    Over,
    /// It has to be waited for.
    Reading {
        /// What is waited for.
        #[pin]
        read: R,
        /// The node whose output it is.
        node: &'static str,
    },
}

/// A session once it is open, and what went wrong in it.
#[derive(Debug)]
pub struct Open<S> {
    session: Option<S>,
    fault: Option<StoreFault>,
}

impl<S> Default for Open<S> {
    #[inline(always)]
    fn default() -> Self {
        Self { session: None, fault: None }
    }
}

impl<S> Open<S> {
    /// Notes what went wrong; what went wrong first is the cause.
    #[cold]
    fn fault(&mut self, fault: StoreFault) -> Faulted {
        self.fault.get_or_insert(fault);
        Faulted(())
    }

    #[inline(always)]
    fn check<T, F>(&mut self, begun: Begun<Result<T, StoreError>, F>) -> Begun<Result<T, Faulted>, F> {
        match begun {
            Begun::Done(Ok(value)) => Begun::Done(Ok(value)),
            Begun::Done(Err(error)) => Begun::Done(Err(self.fault(StoreFault::Store(error)))),
            Begun::Pending(future) => Begun::Pending(future),
        }
    }

    #[cold]
    fn closed(&mut self) -> Faulted {
        self.fault(StoreFault::Store(StoreError::new(StoreErrorKind::UnknownRun)))
    }
}

impl<S: Store> Durability for Durable<S> {
    type Session<'a>
        = Open<S::Session<'a>>
    where
        S: 'a;
    type Proof = Held;
    type Fault = Faulted;
    type Opening<'a>
        = S::Opening<'a>
    where
        S: 'a;
    type Writing<'a>
        = <S::Session<'a> as Session>::Writing
    where
        S: 'a;
    type Reading<'a>
        = <S::Session<'a> as Session>::Reading
    where
        S: 'a;
    type Saving<'a, T>
        = SaveUnderWay<T, Self::Writing<'a>>
    where
        S: 'a;
    type Loading<'a, T>
        = LoadUnderWay<T, Self::Reading<'a>>
    where
        S: 'a;
    type Hold<T> = Option<T>;

    const DURABLE: bool = true;

    fn slots_per_run(&self) -> Option<usize> {
        self.0.slots_per_run()
    }

    fn introduce(&self, shape: u64, outline: impl core::fmt::Display) {
        self.0.introduce(shape, outline);
    }

    #[inline]
    fn open<'a>(
        &'a self,
        session: &mut Self::Session<'a>,
        run: Option<&RunId>,
        access: Access,
    ) -> Begun<Result<(), Faulted>, Self::Opening<'a>> {
        let Some(run) = run else { return Begun::Done(Err(session.closed())) };
        match self.0.open(run, access) {
            Begun::Done(Ok(opened)) => {
                session.session = Some(opened);
                Begun::Done(Ok(()))
            }
            Begun::Done(Err(error)) => Begun::Done(Err(session.fault(StoreFault::Store(error)))),
            Begun::Pending(opening) => Begun::Pending(opening),
        }
    }

    fn poll_open<'a>(
        opening: Pin<&mut Self::Opening<'a>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Faulted>> {
        Poll::Ready(match ready!(opening.poll(task)) {
            Ok(opened) => {
                session.session = Some(opened);
                Ok(())
            }
            Err(error) => Err(session.fault(StoreFault::Store(error))),
        })
    }

    #[inline(always)]
    fn existing(session: &Self::Session<'_>) -> Option<Held> {
        match &session.session {
            Some(session) if !session.is_new() => Some(Held(())),
            _ => None,
        }
    }

    #[inline(always)]
    fn holds(session: &Self::Session<'_>, slot: Slot<'static>) -> Option<Held> {
        match &session.session {
            Some(session) if session.holds(slot) => Some(Held(())),
            _ => None,
        }
    }

    #[inline(always)]
    fn outputs(session: &Self::Session<'_>) -> usize {
        session.session.as_ref().map_or(0, Session::outputs)
    }

    fn ledger<'s>(Held(()): Held, session: &'s Self::Session<'_>) -> &'s [u8] {
        session.session.as_ref().map_or(&[], Session::ledger)
    }

    fn put_ledger<'a>(session: &mut Self::Session<'a>, ledger: &[u8]) -> Begun<Result<(), Faulted>, Self::Writing<'a>> {
        let Some(open) = &mut session.session else { return Begun::Done(Ok(())) };
        let begun = open.put_ledger(ledger);
        session.check(begun)
    }

    fn poll_write<'a>(
        writing: Pin<&mut Self::Writing<'a>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Faulted>> {
        writing.poll(task).map_err(|error| session.fault(StoreFault::Store(error)))
    }

    fn saving<'a, T>(value: T, write: Self::Writing<'a>) -> Self::Saving<'a, T>
    where
        Self: 'a,
    {
        SaveUnderWay { value: Some(value), write }
    }

    fn poll_save<'a, T>(
        saving: Pin<&mut Self::Saving<'a, T>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<T, Faulted>> {
        let saving = saving.project();
        if saving.value.is_none() {
            return Poll::Pending;
        }
        let ended = ready!(Self::poll_write(saving.write, session, task));
        match saving.value.take() {
            Some(value) => Poll::Ready(ended.map(|()| value)),
            None => Poll::Pending,
        }
    }

    #[inline]
    fn load<'a, R>(
        Held(()): Held,
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        read: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Begun<Result<R, Faulted>, Self::Reading<'a>> {
        let Some(open) = &mut session.session else { return Begun::Done(Err(session.closed())) };
        match open.load(slot, read) {
            Begun::Done(Ok(Ok(value))) => Begun::Done(Ok(value)),
            Begun::Done(Ok(Err(fault))) => Begun::Done(Err(session.fault(fault))),
            Begun::Done(Err(error)) => Begun::Done(Err(session.fault(StoreFault::Store(error)))),
            Begun::Pending(reading) => Begun::Pending(reading),
        }
    }

    fn poll_read<'a, R>(
        reading: Pin<&mut Self::Reading<'a>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
        read: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Poll<Result<R, Faulted>> {
        let bytes = ready!(reading.poll(task)).map_err(StoreFault::Store);
        Poll::Ready(bytes.and_then(|bytes| read(bytes.as_ref())).map_err(|fault| session.fault(fault)))
    }

    fn discard<'a>(
        Held(()): Held,
        session: &mut Self::Session<'a>,
        doomed: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), Faulted>, Self::Writing<'a>> {
        let Some(open) = &mut session.session else { return Begun::Done(Err(session.closed())) };
        let begun = open.discard(doomed);
        session.check(begun)
    }

    fn hurry(session: &mut Self::Session<'_>) {
        if let Some(session) = &mut session.session {
            session.hurry();
        }
    }

    #[inline(always)]
    fn finished(session: &mut Self::Session<'_>) {
        if let Some(session) = &mut session.session {
            session.finished();
        }
    }

    fn fault(Held(()): Held, session: &mut Self::Session<'_>, fault: StoreFault) -> Faulted {
        session.fault(fault)
    }

    fn take_fault(session: &mut Self::Session<'_>) -> Option<StoreFault> {
        session.fault.take()
    }
}

impl<S: Store, T: Payload> Persist<T> for Durable<S> {
    #[inline(always)]
    fn save<'a>(
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        value: &T,
        shape: Option<NonZeroU64>,
        ledger: &[u8],
    ) -> Begun<Result<(), Faulted>, Self::Writing<'a>> {
        let Some(open) = &mut session.session else { return Begun::Done(Err(session.closed())) };
        let begun = open.put(slot, Value { value, shape }, ledger);
        session.check(begun)
    }

    #[inline]
    fn load_output<'a>(proof: Held, session: &mut Self::Session<'a>, slot: Slot<'static>) -> Self::Loading<'a, T>
    where
        Self: 'a,
    {
        let node = slot.node;
        match Self::load(proof, session, slot, |bytes| Ok(decode_value(bytes, node)?)) {
            Begun::Done(loaded) => LoadUnderWay::Loaded(loaded.ok()),
            Begun::Pending(read) => LoadUnderWay::Reading { read, node },
        }
    }

    #[inline]
    fn poll_load<'a>(
        mut loading: Pin<&mut Self::Loading<'a, T>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<T, Faulted>>
    where
        Self: 'a,
    {
        let loaded = match loading.as_mut().project() {
            LoadProj::Over => return Poll::Pending,
            LoadProj::Loaded(loaded) => loaded.take().ok_or(Faulted(())),
            LoadProj::Reading { read, node } => {
                ready!(Self::poll_read(read, session, task, |bytes| Ok(decode_value(bytes, node)?)))
            }
        };
        loading.set(LoadUnderWay::Over);
        Poll::Ready(loaded)
    }

    fn decode_input(Held(()): Held, bytes: &[u8]) -> Result<T, StoreFault> {
        Ok(decode_input(bytes)?)
    }

    fn same_input(Held(()): Held, bytes: &[u8], value: &T) -> Result<bool, StoreFault> {
        Ok(check_input(bytes, value)?)
    }
}
