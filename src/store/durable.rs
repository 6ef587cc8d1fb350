//! A store as a capability of a run, and its absence.
//!
//! Without a store there is no proof that anything is held, no fault, and no future: those types have no value, so that
//! whatever would need one is not compiled in.

use core::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::{
    Access, Begun, CheckpointError, InputValue, Payload, Session, Store, StoreError, StoreErrorKind, Value,
    check_input, decode_input, decode_value,
};
use crate::{never::Never, run::RunId, slot::Slot, text::Text};

/// Whether and where a run keeps its checkpoints: [`NoStore`] or [`Durable`].
pub trait Durability {
    /// The run's hold on the store.
    type Session<'a>
    where
        Self: 'a;

    /// Says that a store is there and holds what is asked for.
    type Proof: Copy;

    /// What can go wrong with the store.
    type Fault;

    /// What opening waits for.
    type Opening<'a>: Future<Output = Result<Self::Session<'a>, Self::Fault>>
    where
        Self: 'a;

    /// What a write waits for.
    type Writing<'a>: Future<Output = Result<(), Self::Fault>>
    where
        Self: 'a;

    /// What a read waits for.
    type Reading<'a>: Future<Output = Result<Self::Bytes<'a>, Self::Fault>>
    where
        Self: 'a;

    /// What a read yields.
    type Bytes<'a>: AsRef<[u8]>
    where
        Self: 'a;

    /// A value and the write that has to end before the value goes on.
    type Saving<'a, T>: Saving<T, Self::Writing<'a>, Self::Fault>
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

    /// As [`Store::slots_per_run`].
    fn slots_per_run(&self) -> Option<usize>;

    /// As [`Store::open`].
    fn open<'a>(
        &'a self,
        run: Option<&RunId>,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, Self::Fault>, Self::Opening<'a>>;

    /// Whether the run has a slot already, with a proof of it.
    fn existing(session: &Self::Session<'_>) -> Option<Self::Proof>;

    /// As [`Session::holds`], with a proof of it.
    fn holds(session: &Self::Session<'_>, slot: Slot<'static>) -> Option<Self::Proof>;

    /// As [`Session::each_slot`].
    fn each_slot(session: &Self::Session<'_>, visit: impl FnMut(Slot<'_>));

    /// As [`Session::load`].
    fn load<'a, R>(
        proof: Self::Proof,
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, Self::Fault>, Self::Reading<'a>>;

    /// As [`Session::discard`].
    fn discard<'a>(
        proof: Self::Proof,
        session: &mut Self::Session<'a>,
        doomed: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), Self::Fault>, Self::Writing<'a>>;

    /// As [`Session::finished`].
    fn finished(session: &mut Self::Session<'_>);

    /// A fault that the run found in what the store holds.
    fn fault(proof: Self::Proof, fault: StoreFault) -> Self::Fault;
}

/// What a runner's store must be able to keep: everything for [`NoStore`], a [`Payload`] for [`Durable`].
pub trait Persist<T>: Durability {
    /// Saves the output of a node.
    fn save<'a>(
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        value: &T,
    ) -> Begun<Result<(), Self::Fault>, Self::Writing<'a>>;

    /// Saves the input of a run, for a pipeline of this shape.
    fn save_input<'a>(
        session: &mut Self::Session<'a>,
        value: &T,
        shape: u64,
    ) -> Begun<Result<(), Self::Fault>, Self::Writing<'a>>;

    /// Begins to read the output of a node.
    fn load_output<'a>(
        proof: Self::Proof,
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
    ) -> Self::Loading<'a, T>
    where
        Self: 'a;

    /// Polls a read; stays pending when it is polled again after its end.
    fn poll_load<'a>(loading: Pin<&mut Self::Loading<'a, T>>, task: &mut Context<'_>) -> Poll<Result<T, Self::Fault>>
    where
        Self: 'a;

    /// The input of a run from its stored bytes.
    ///
    /// # Errors
    /// When they are not the stored input of a pipeline that takes a `T`.
    fn decode_input(proof: Self::Proof, bytes: &[u8]) -> Result<T, Self::Fault>;

    /// Whether stored bytes are this input.
    ///
    /// # Errors
    /// When they are not the stored input of a pipeline that takes a `T`.
    fn same_input(proof: Self::Proof, bytes: &[u8], value: &T) -> Result<bool, Self::Fault>;
}

/// What can go wrong between a run and its store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// The store failed.
    Store(StoreError),
    /// A checkpoint is not what it should be.
    Checkpoint(CheckpointError),
    /// The run was started with another input.
    OtherInput,
    /// The run was started with a pipeline of other nodes.
    OtherPipeline {
        /// The fingerprint of its nodes.
        stored: u64,
        /// The fingerprint of the nodes at hand.
        now: u64,
    },
    /// The run has a checkpoint of a node that the pipeline does not have.
    StrayNode(NodeName),
    /// The pipeline has no node of the name that was asked for.
    UnknownNode(NodeName),
}

/// The id of a node that is not in the program, cut to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName(Text<64>);

impl NodeName {
    pub(crate) fn of(id: &str) -> Self {
        Self(Text::line(id))
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

/// A value that waits for a write to end.
pub trait Saving<T, W, F> {
    /// Waits for `write`.
    fn new(value: T, write: W) -> Self;

    /// Polls the write; once it ended, gives the value back or says what went wrong.
    ///
    /// Stays pending when it is polled again after that.
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<T, F>>;
}

impl<T, W, F> Saving<T, Never<W>, F> for Never<T> {
    #[inline(always)]
    fn new(_: T, write: Never<W>) -> Self {
        write.absurd()
    }

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<T, F>> {
        self.absurd()
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

impl<T, W: Future<Output = Result<(), F>>, F> Saving<T, W, F> for SaveUnderWay<T, W> {
    fn new(value: T, write: W) -> Self {
        Self { value: Some(value), write }
    }

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<T, F>> {
        let this = self.project();
        if this.value.is_none() {
            return Poll::Pending;
        }
        let ended = ready!(this.write.poll(task));
        match this.value.take() {
            Some(value) => Poll::Ready(ended.map(|()| value)),
            None => Poll::Pending,
        }
    }
}

/// A value that was read, or whose read is under way.
#[pin_project(project = LoadProj)]
#[derive(Debug)]
pub enum LoadUnderWay<T, R> {
    /// It was at hand.
    Loaded(Option<Result<T, StoreFault>>),
    /// It has to be waited for.
    Reading {
        /// What is waited for.
        #[pin]
        read: R,
        /// The node whose output it is.
        node: &'static str,
        /// Whether the read ended.
        over: bool,
    },
}

/// The future of a store, whose error is a [`StoreFault`] to the run.
#[pin_project]
#[derive(Debug)]
pub struct OrFault<F>(#[pin] F);

impl<T, F: Future<Output = Result<T, StoreError>>> Future for OrFault<F> {
    type Output = Result<T, StoreFault>;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(task).map_err(StoreFault::Store)
    }
}

impl<T, F> Begun<Result<T, StoreError>, F> {
    #[inline(always)]
    fn or_fault(self) -> Begun<Result<T, StoreFault>, OrFault<F>> {
        match self {
            Self::Done(result) => Begun::Done(result.map_err(StoreFault::Store)),
            Self::Pending(future) => Begun::Pending(OrFault(future)),
        }
    }
}

/// No store: nothing is kept, and nothing is asked of a type.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoStore;

impl Durability for NoStore {
    type Session<'a> = ();
    type Proof = Infallible;
    type Fault = Infallible;
    type Opening<'a> = Never<Result<(), Infallible>>;
    type Writing<'a> = Never<Result<(), Infallible>>;
    type Reading<'a> = Never<Result<[u8; 0], Infallible>>;
    type Bytes<'a> = [u8; 0];
    type Saving<'a, T> = Never<T>;
    type Loading<'a, T> = Never<T>;
    type Hold<T> = Nothing<T>;

    const DURABLE: bool = false;

    fn slots_per_run(&self) -> Option<usize> {
        None
    }

    #[inline(always)]
    fn open<'a>(&'a self, _: Option<&RunId>, _: Access) -> Begun<Result<(), Infallible>, Self::Opening<'a>> {
        Begun::Done(Ok(()))
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
    fn each_slot((): &(), _: impl FnMut(Slot<'_>)) {}

    #[inline(always)]
    fn load<'a, R>(
        proof: Infallible,
        (): &mut (),
        _: Slot<'static>,
        _: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, Infallible>, Self::Reading<'a>> {
        match proof {}
    }

    #[inline(always)]
    fn discard<'a>(
        proof: Infallible,
        (): &mut (),
        _: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), Infallible>, Self::Writing<'a>> {
        match proof {}
    }

    #[inline(always)]
    fn finished((): &mut ()) {}

    #[inline(always)]
    fn fault(proof: Infallible, _: StoreFault) -> Infallible {
        proof
    }
}

impl<T> Persist<T> for NoStore {
    #[inline(always)]
    fn save<'a>((): &mut (), _: Slot<'static>, _: &T) -> Begun<Result<(), Infallible>, Self::Writing<'a>> {
        Begun::Done(Ok(()))
    }

    #[inline(always)]
    fn save_input<'a>((): &mut (), _: &T, _: u64) -> Begun<Result<(), Infallible>, Self::Writing<'a>> {
        Begun::Done(Ok(()))
    }

    #[inline(always)]
    fn load_output<'a>(proof: Infallible, (): &mut (), _: Slot<'static>) -> Never<T>
    where
        Self: 'a,
    {
        match proof {}
    }

    #[inline(always)]
    fn poll_load<'a>(loading: Pin<&mut Never<T>>, _: &mut Context<'_>) -> Poll<Result<T, Infallible>>
    where
        Self: 'a,
    {
        loading.absurd()
    }

    #[inline(always)]
    fn decode_input(proof: Infallible, _: &[u8]) -> Result<T, Infallible> {
        match proof {}
    }

    #[inline(always)]
    fn same_input(proof: Infallible, _: &[u8], _: &T) -> Result<bool, Infallible> {
        match proof {}
    }
}

/// Says that a store holds what is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Held(());

/// A store, as the capability of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Durable<S>(pub(crate) S);

impl<S> Durable<S> {
    /// A run of this store is to be gone on with; whether the store knows it shows when it is opened.
    pub(crate) const PROOF: Held = Held(());
}

impl<S: Store> Durability for Durable<S> {
    type Session<'a>
        = S::Session<'a>
    where
        S: 'a;
    type Proof = Held;
    type Fault = StoreFault;
    type Opening<'a>
        = OrFault<S::Opening<'a>>
    where
        S: 'a;
    type Writing<'a>
        = OrFault<<S::Session<'a> as Session>::Writing>
    where
        S: 'a;
    type Reading<'a>
        = OrFault<<S::Session<'a> as Session>::Reading>
    where
        S: 'a;
    type Bytes<'a>
        = <S::Session<'a> as Session>::Bytes
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

    #[inline]
    fn open<'a>(
        &'a self,
        run: Option<&RunId>,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreFault>, Self::Opening<'a>> {
        match run {
            Some(run) => self.0.open(run, access).or_fault(),
            None => Begun::Done(Err(StoreFault::Store(StoreError::new(StoreErrorKind::UnknownRun)))),
        }
    }

    #[inline(always)]
    fn existing(session: &Self::Session<'_>) -> Option<Held> {
        (!session.is_new()).then_some(Held(()))
    }

    #[inline(always)]
    fn holds(session: &Self::Session<'_>, slot: Slot<'static>) -> Option<Held> {
        session.holds(slot).then_some(Held(()))
    }

    fn each_slot(session: &Self::Session<'_>, visit: impl FnMut(Slot<'_>)) {
        session.each_slot(visit);
    }

    #[inline]
    fn load<'a, R>(
        Held(()): Held,
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreFault>, Self::Reading<'a>> {
        session.load(slot, read).or_fault()
    }

    fn discard<'a>(
        Held(()): Held,
        session: &mut Self::Session<'a>,
        doomed: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), StoreFault>, Self::Writing<'a>> {
        session.discard(doomed).or_fault()
    }

    #[inline(always)]
    fn finished(session: &mut Self::Session<'_>) {
        session.finished();
    }

    fn fault(Held(()): Held, fault: StoreFault) -> StoreFault {
        fault
    }
}

impl<S: Store, T: Payload> Persist<T> for Durable<S> {
    #[inline(always)]
    fn save<'a>(
        session: &mut Self::Session<'a>,
        slot: Slot<'static>,
        value: &T,
    ) -> Begun<Result<(), StoreFault>, Self::Writing<'a>> {
        session.put(slot, Value(value), &[]).or_fault()
    }

    #[inline(always)]
    fn save_input<'a>(
        session: &mut Self::Session<'a>,
        value: &T,
        shape: u64,
    ) -> Begun<Result<(), StoreFault>, Self::Writing<'a>> {
        session.put(Slot::INPUT, InputValue { value, shape }, &[]).or_fault()
    }

    #[inline]
    fn load_output<'a>(Held(()): Held, session: &mut Self::Session<'a>, slot: Slot<'static>) -> Self::Loading<'a, T>
    where
        Self: 'a,
    {
        match session.load(slot, |bytes| decode_value(bytes, slot.node)) {
            Begun::Done(Ok(decoded)) => LoadUnderWay::Loaded(Some(decoded.map_err(StoreFault::Checkpoint))),
            Begun::Done(Err(error)) => LoadUnderWay::Loaded(Some(Err(StoreFault::Store(error)))),
            Begun::Pending(read) => LoadUnderWay::Reading { read: OrFault(read), node: slot.node, over: false },
        }
    }

    #[inline]
    fn poll_load<'a>(loading: Pin<&mut Self::Loading<'a, T>>, task: &mut Context<'_>) -> Poll<Result<T, StoreFault>>
    where
        Self: 'a,
    {
        match loading.project() {
            LoadProj::Loaded(loaded) => loaded.take().map_or(Poll::Pending, Poll::Ready),
            LoadProj::Reading { over: true, .. } => Poll::Pending,
            LoadProj::Reading { read, node, over } => {
                let bytes = ready!(read.poll(task));
                *over = true;
                Poll::Ready(bytes.and_then(|bytes| decode_value(bytes.as_ref(), node).map_err(StoreFault::Checkpoint)))
            }
        }
    }

    fn decode_input(Held(()): Held, bytes: &[u8]) -> Result<T, StoreFault> {
        Ok(decode_input(bytes)?)
    }

    fn same_input(Held(()): Held, bytes: &[u8], value: &T) -> Result<bool, StoreFault> {
        Ok(check_input(bytes, value)?)
    }
}
