//! A store as a capability of a run, and its absence.
//!
//! Without a store there is no proof that anything is held, no fault, and no future: those types have no value, so that
//! whatever would need one is not compiled in.

use core::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::{
    Access, Begun, CheckpointError, Payload, Session, Store, StoreError, StoreErrorKind, Value, check_input,
    decode_input, decode_value,
};
use crate::{
    budget::LedgerError,
    never::Never,
    run::RunId,
    slot::{Place, Slot},
    text::Words,
};

/// Whether and where a run keeps its checkpoints: [`NoStore`] or [`Durable`].
///
/// What went wrong is written into the session, so that a fault itself is small and a run carries its words only once.
pub trait Durability {
    /// The run's hold on the store; closed at first.
    type Session<'a>: Default
    where
        Self: 'a;

    /// Says that a store is there and holds what is asked for.
    type Proof: Copy;

    /// Says that something went wrong with the store.
    type Fault;

    /// What opening waits for.
    type Opening<'a>
    where
        Self: 'a;

    /// What a write waits for.
    type Writing<'a>
    where
        Self: 'a;

    /// What a read waits for.
    type Reading<'a>
    where
        Self: 'a;

    /// A value and the write that has to end before the value goes on.
    type Saving<'a, T>
    where
        Self: 'a;

    /// A value on its way out of the store.
    type Loading<'a, T>
    where
        Self: 'a;

    /// Room for something that only a store that waits can need.
    type Hold<T>: Hold<T>;

    /// Whether there is a store.
    const DURABLE: bool;

    /// Whether nodes are answered for by a trace, in place of being run.
    const REPLAYS: bool = false;

    /// As [`Store::slots_per_run`].
    fn slots_per_run(&self) -> Option<usize>;

    /// As [`Store::introduce`].
    fn introduce(&self, shape: u64, outline: impl core::fmt::Display) {
        let _ = (shape, outline);
    }

    /// As [`Store::open`].
    fn open<'a>(
        &'a self,
        session: &mut Self::Session<'a>,
        run: Option<&RunId>,
        access: Access,
    ) -> Begun<Result<(), Self::Fault>, Self::Opening<'a>>;

    /// Waits for opening.
    fn poll_open<'a>(
        opening: Pin<&mut Self::Opening<'a>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Fault>>;

    /// Whether the run has a slot already, with a proof of it.
    fn existing(session: &Self::Session<'_>) -> Option<Self::Proof>;

    /// As [`Session::holds`], with a proof of it.
    fn holds(session: &Self::Session<'_>, slot: Slot<'static>) -> Option<Self::Proof>;

    /// Says that the node at this place is not run, since a trace answers for it.
    #[inline(always)]
    fn replayed(session: &Self::Session<'_>, at: Place) -> Option<Self::Proof> {
        let _ = (session, at);
        None
    }

    /// As [`Session::outputs`].
    fn outputs(session: &Self::Session<'_>) -> usize;

    /// As [`Session::ledger`].
    fn ledger<'s>(proof: Self::Proof, session: &'s Self::Session<'_>) -> &'s [u8];

    /// As [`Session::put_ledger`], where a run is open.
    fn put_ledger<'a>(
        session: &mut Self::Session<'a>,
        ledger: &[u8],
    ) -> Begun<Result<(), Self::Fault>, Self::Writing<'a>>;

    /// Waits for a write.
    fn poll_write<'a>(
        writing: Pin<&mut Self::Writing<'a>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Fault>>;

    /// A value that waits for a write.
    fn saving<'a, T>(value: T, write: Self::Writing<'a>) -> Self::Saving<'a, T>
    where
        Self: 'a;

    /// Waits for the write and gives the value back. Stays pending when it is polled again after that.
    fn poll_save<'a, T>(
        saving: Pin<&mut Self::Saving<'a, T>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<T, Self::Fault>>;

    /// As [`Session::load`].
    fn load<'a, R>(
        proof: Self::Proof,
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        read: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Begun<Result<R, Self::Fault>, Self::Reading<'a>>;

    /// Waits for a read, and reads.
    fn poll_read<'a, R>(
        reading: Pin<&mut Self::Reading<'a>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
        read: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Poll<Result<R, Self::Fault>>;

    /// As [`Session::discard`].
    fn discard<'a>(
        proof: Self::Proof,
        session: &mut Self::Session<'a>,
        doomed: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), Self::Fault>, Self::Writing<'a>>;

    /// As [`Session::hurry`].
    #[inline(always)]
    fn hurry(session: &mut Self::Session<'_>) {
        let _ = session;
    }

    /// As [`Session::finished`].
    fn finished(session: &mut Self::Session<'_>);

    /// Notes what went wrong.
    fn fault(proof: Self::Proof, session: &mut Self::Session<'_>, fault: StoreFault) -> Self::Fault;

    /// What went wrong first, if anything did.
    fn take_fault(session: &mut Self::Session<'_>) -> Option<StoreFault>;
}

/// What a runner's store must be able to keep: everything for [`NoStore`], a [`Payload`] for [`Durable`].
pub trait Persist<T>: Durability {
    /// Saves the output of a node, or with a `shape` the input of a run for a pipeline of that shape, and the ledger with it;
    /// an empty one leaves the stored ledger as it is.
    fn save<'a>(
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        value: &T,
        shape: Option<NonZeroU64>,
        ledger: &[u8],
    ) -> Begun<Result<(), Self::Fault>, Self::Writing<'a>>;

    /// Begins to read the output of a node.
    fn load_output<'a>(
        proof: Self::Proof,
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
    ) -> Self::Loading<'a, T>
    where
        Self: 'a;

    /// The output, where it is there already.
    #[inline(always)]
    fn loaded<'l, 'a>(loading: &'l Self::Loading<'a, T>) -> Option<&'l T>
    where
        Self: 'a,
    {
        let _ = loading;
        None
    }

    /// Waits for the read. Stays pending when it is polled again after its end.
    fn poll_load<'a>(
        loading: Pin<&mut Self::Loading<'a, T>>,
        session: &mut Self::Session<'a>,
        task: &mut Context<'_>,
    ) -> Poll<Result<T, Self::Fault>>
    where
        Self: 'a;

    /// The input of a run from its stored bytes.
    ///
    /// # Errors
    /// When they are not the stored input of a pipeline that takes a `T`.
    fn decode_input(proof: Self::Proof, bytes: &[u8]) -> Result<T, StoreFault>;

    /// Whether stored bytes are this input.
    ///
    /// # Errors
    /// When they are not the stored input of a pipeline that takes a `T`.
    fn same_input(proof: Self::Proof, bytes: &[u8], value: &T) -> Result<bool, StoreFault>;
}

/// What can go wrong between a run and its store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// The store failed.
    Store(StoreError),
    /// A checkpoint is not what it should be.
    Checkpoint(CheckpointError),
    /// The stored ledger cannot be taken over.
    Ledger(LedgerError),
    /// The run was started with another input.
    OtherInput,
    /// The run was started with a pipeline of other nodes.
    OtherPipeline {
        /// The fingerprint of its nodes.
        stored: u64,
        /// The fingerprint of the nodes at hand.
        now: u64,
    },
    /// The pipeline has no node of the name that was asked for.
    UnknownNode(NodeName),
    /// A trace cannot answer for a node.
    #[cfg(feature = "json")]
    Replay(ReplayFault),
}

/// Why a trace that is replayed cannot answer for a node.
#[cfg(feature = "json")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayFault {
    /// It has no output of that node.
    #[error("the trace has no output of this node")]
    NotRecorded,
    /// The node failed when it was recorded.
    #[error("the node failed when it was recorded: {message}")]
    Failed {
        /// What the failure said.
        message: alloc::string::String,
    },
    /// The recorded output is not of the type that the node yields now.
    #[error("the recorded output is of another type than this node yields")]
    OtherType(#[source] crate::value::DecodeError),
}

/// The id of a node that is not in the program. Without a heap it is cut to 40 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName(Words);

impl NodeName {
    pub(crate) fn of(id: &str) -> Self {
        Self(Words::of(id))
    }
}

impl core::fmt::Display for NodeName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl From<StoreError> for StoreFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CheckpointError> for StoreFault {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

/// Room for a value that may have to wait, or no room at all.
pub trait Hold<T>: Default {
    /// Keeps the value.
    ///
    /// # Errors
    /// Gives it back where there is no room.
    fn keep(&mut self, value: T) -> Result<(), T>;

    /// Takes the value out.
    fn take(&mut self) -> Option<T>;

    /// Whether a value is kept.
    fn is_held(&self) -> bool;
}

impl<T> Hold<T> for Option<T> {
    fn keep(&mut self, value: T) -> Result<(), T> {
        *self = Some(value);
        Ok(())
    }

    fn take(&mut self) -> Option<T> {
        Option::take(self)
    }

    fn is_held(&self) -> bool {
        self.is_some()
    }
}

/// No room.
#[derive(Debug)]
pub struct Nothing<T>(PhantomData<fn() -> T>);

impl<T> Default for Nothing<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Hold<T> for Nothing<T> {
    #[inline(always)]
    fn keep(&mut self, value: T) -> Result<(), T> {
        Err(value)
    }

    #[inline(always)]
    fn take(&mut self) -> Option<T> {
        None
    }

    #[inline(always)]
    fn is_held(&self) -> bool {
        false
    }
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

/// No store: nothing is kept, and nothing is asked of a type.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStore;

impl Durability for NoStore {
    type Session<'a> = ();
    type Proof = Infallible;
    type Fault = Infallible;
    type Opening<'a> = Never<()>;
    type Writing<'a> = Never<()>;
    type Reading<'a> = Never<()>;
    type Saving<'a, T> = Never<T>;
    type Loading<'a, T> = Never<T>;
    type Hold<T> = Nothing<T>;

    const DURABLE: bool = false;

    fn slots_per_run(&self) -> Option<usize> {
        None
    }

    #[inline(always)]
    fn open<'a>(
        &'a self,
        _: &mut Self::Session<'a>,
        _: Option<&RunId>,
        _: Access,
    ) -> Begun<Result<(), Infallible>, Never<()>> {
        Begun::Done(Ok(()))
    }

    #[inline(always)]
    fn poll_open<'a>(
        opening: Pin<&mut Never<()>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Infallible>> {
        opening.absurd()
    }

    #[inline(always)]
    fn existing((): &()) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn holds((): &(), _: Slot<'static>) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn outputs((): &()) -> usize {
        0
    }

    #[inline(always)]
    fn ledger(proof: Infallible, (): &()) -> &[u8] {
        match proof {}
    }

    #[inline(always)]
    fn put_ledger<'a>(_: &mut Self::Session<'a>, _: &[u8]) -> Begun<Result<(), Infallible>, Self::Writing<'a>> {
        Begun::Done(Ok(()))
    }

    #[inline(always)]
    fn poll_write<'a>(
        writing: Pin<&mut Never<()>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Infallible>> {
        writing.absurd()
    }

    #[inline(always)]
    fn saving<'a, T>(_: T, write: Self::Writing<'a>) -> Self::Saving<'a, T>
    where
        Self: 'a,
    {
        write.absurd()
    }

    #[inline(always)]
    fn poll_save<'a, T>(
        saving: Pin<&mut Never<T>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<T, Infallible>> {
        saving.absurd()
    }

    #[inline(always)]
    fn load<'a, R>(
        proof: Infallible,
        _: &mut Self::Session<'a>,
        _: Slot<'static>,
        _: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Begun<Result<R, Infallible>, Self::Reading<'a>> {
        match proof {}
    }

    #[inline(always)]
    fn poll_read<'a, R>(
        reading: Pin<&mut Never<()>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
        _: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Poll<Result<R, Infallible>> {
        reading.absurd()
    }

    #[inline(always)]
    fn discard<'a>(
        proof: Infallible,
        _: &mut Self::Session<'a>,
        _: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), Infallible>, Self::Writing<'a>> {
        match proof {}
    }

    #[inline(always)]
    fn finished((): &mut ()) {}

    #[inline(always)]
    fn fault(proof: Infallible, (): &mut (), _: StoreFault) -> Infallible {
        proof
    }

    #[inline(always)]
    fn take_fault((): &mut ()) -> Option<StoreFault> {
        None
    }
}

impl<T> Persist<T> for NoStore {
    #[inline(always)]
    fn save<'a>(
        _: &mut Self::Session<'a>,
        _: Slot<'static>,
        _: &T,
        _: Option<NonZeroU64>,
        _: &[u8],
    ) -> Begun<Result<(), Infallible>, Self::Writing<'a>> {
        Begun::Done(Ok(()))
    }

    #[inline(always)]
    fn load_output<'a>(proof: Infallible, _: &mut Self::Session<'a>, _: Slot<'static>) -> Never<T>
    where
        Self: 'a,
    {
        match proof {}
    }

    #[inline(always)]
    fn poll_load<'a>(
        loading: Pin<&mut Never<T>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<T, Infallible>>
    where
        Self: 'a,
    {
        loading.absurd()
    }

    #[inline(always)]
    fn decode_input(proof: Infallible, _: &[u8]) -> Result<T, StoreFault> {
        match proof {}
    }

    #[inline(always)]
    fn same_input(proof: Infallible, _: &[u8], _: &T) -> Result<bool, StoreFault> {
        match proof {}
    }
}

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
