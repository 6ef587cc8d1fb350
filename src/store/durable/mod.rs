//! A store as a capability of a run, and its absence.
//!
//! Without a store there is no proof that anything is held, no fault, and no future: those types have no value, so that
//! whatever would need one is not compiled in.

mod fault;
mod hold;
mod no_store;
mod with_store;

use core::{
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(feature = "json")]
pub use fault::ReplayFault;
pub use fault::{NodeName, StoreFault};
pub(crate) use hold::Hold;
pub use hold::Nothing;
pub use no_store::NoStore;
pub use with_store::{Durable, Faulted, Held, LoadUnderWay, Open, SaveUnderWay};

use super::{Access, Begun};
#[cfg(doc)]
use super::{Payload, Session, Store};
use crate::{
    run::RunId,
    slot::{Place, Slot},
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
