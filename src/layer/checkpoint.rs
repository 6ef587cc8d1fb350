//! Keeping the output of a node, so that it need not run again.

use core::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    exec::{Env, Local, ProofOf},
    never::Never,
    slot::Place,
    store::{Begun, Durability, Persist},
};

/// What a store can do wrong in `E`.
pub(super) type FaultOf<E> = <<E as Env>::Store as Durability>::Fault;

/// Whether a step is a node with an id, and whether its output is kept: [`Stored`], [`Skipped`] or [`Inner`].
pub trait Keep<Out, E: Env> {
    /// What a write waits for.
    type Writing<'a>
    where
        E: 'a;
    /// An output whose write is under way.
    type Saving<'a>
    where
        E: 'a;
    /// An output on its way out of the store.
    type Loading<'a>
    where
        E: 'a;
    /// Proof that the output is in the store.
    type Proof: Copy;

    /// Whether the store holds the output.
    fn held(id: &'static str, at: Place, local: &Local<'_, E>) -> Option<Self::Proof>;

    /// Says that the node is not run, since a trace answers for it.
    #[inline(always)]
    fn replayed(at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        let _ = (at, local);
        None
    }

    /// The output, where it is there already.
    #[inline(always)]
    fn loaded<'l, 'a>(loading: &'l Self::Loading<'a>) -> Option<&'l Out>
    where
        E: 'a,
    {
        let _ = loading;
        None
    }

    /// Saves an output, and the ledger with it.
    fn save<'a>(
        id: &'static str,
        at: Place,
        local: &mut Local<'a, E>,
        value: &Out,
        ledger: &[u8],
    ) -> Begun<Result<(), FaultOf<E>>, Self::Writing<'a>>;

    /// An output that waits for its write.
    fn saving<'a>(value: Out, write: Self::Writing<'a>) -> Self::Saving<'a>
    where
        E: 'a;

    /// Waits for the write.
    fn poll_save<'a>(
        saving: Pin<&mut Self::Saving<'a>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, FaultOf<E>>>
    where
        E: 'a;

    /// Begins to read the output.
    fn load<'a>(proof: Self::Proof, id: &'static str, at: Place, local: &mut Local<'a, E>) -> Self::Loading<'a>;

    /// Polls the read.
    fn poll_load<'a>(
        loading: Pin<&mut Self::Loading<'a>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, FaultOf<E>>>
    where
        E: 'a;
}

/// What a step is in its pipeline.
pub trait Role {
    /// How many nodes with an id it is itself.
    const NODES: u16;
    /// Whether its output is kept even where something comes after it.
    const STORED: bool;
}

/// A node with an id.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leaf<const STORED: bool>;

/// A node whose output is kept, in a runner with a store.
pub type Stored = Leaf<true>;

/// A node whose output is kept only where it is the run's own.
pub type Skipped = Leaf<false>;

/// A layer around other nodes: it has no id and keeps nothing itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inner;

impl<const STORED: bool> Role for Leaf<STORED> {
    const NODES: u16 = 1;
    const STORED: bool = STORED;
}

impl Role for Inner {
    const NODES: u16 = 0;
    const STORED: bool = false;
}

impl<Out, E, const STORED: bool> Keep<Out, E> for Leaf<STORED>
where
    E: Env,
    E::Store: Persist<Out>,
{
    type Writing<'a>
        = <E::Store as Durability>::Writing<'a>
    where
        E: 'a;
    type Saving<'a>
        = <E::Store as Durability>::Saving<'a, Out>
    where
        E: 'a;
    type Loading<'a>
        = <E::Store as Durability>::Loading<'a, Out>
    where
        E: 'a;
    type Proof = ProofOf<E>;

    #[inline(always)]
    fn held(id: &'static str, at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        if STORED || at.last { E::Store::holds(&local.session, at.output(id)) } else { None }
    }

    #[inline(always)]
    fn replayed(at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        E::Store::replayed(&local.session, at)
    }

    #[inline(always)]
    fn loaded<'l, 'a>(loading: &'l Self::Loading<'a>) -> Option<&'l Out>
    where
        E: 'a,
    {
        E::Store::loaded(loading)
    }

    #[inline(always)]
    fn save<'a>(
        id: &'static str,
        at: Place,
        local: &mut Local<'a, E>,
        value: &Out,
        ledger: &[u8],
    ) -> Begun<Result<(), FaultOf<E>>, Self::Writing<'a>> {
        if STORED || at.last {
            E::Store::save(&mut local.session, at.output(id), value, None, ledger)
        } else {
            Begun::Done(Ok(()))
        }
    }

    #[inline(always)]
    fn saving<'a>(value: Out, write: Self::Writing<'a>) -> Self::Saving<'a>
    where
        E: 'a,
    {
        E::Store::saving(value, write)
    }

    #[inline(always)]
    fn poll_save<'a>(
        saving: Pin<&mut Self::Saving<'a>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, FaultOf<E>>>
    where
        E: 'a,
    {
        E::Store::poll_save(saving, &mut local.session, task)
    }

    #[inline(always)]
    fn load<'a>(proof: Self::Proof, id: &'static str, at: Place, local: &mut Local<'a, E>) -> Self::Loading<'a> {
        E::Store::load_output(proof, &mut local.session, at.output(id))
    }

    #[inline(always)]
    fn poll_load<'a>(
        loading: Pin<&mut Self::Loading<'a>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, FaultOf<E>>>
    where
        E: 'a,
    {
        E::Store::poll_load(loading, &mut local.session, task)
    }
}

impl<Out, E: Env> Keep<Out, E> for Inner {
    type Writing<'a>
        = Never<()>
    where
        E: 'a;
    type Saving<'a>
        = Never<Out>
    where
        E: 'a;
    type Loading<'a>
        = Never<Out>
    where
        E: 'a;
    type Proof = core::convert::Infallible;

    #[inline(always)]
    fn held(_: &'static str, _: Place, _: &Local<'_, E>) -> Option<Self::Proof> {
        None
    }

    #[inline(always)]
    fn save<'a>(
        _: &'static str,
        _: Place,
        _: &mut Local<'a, E>,
        _: &Out,
        _: &[u8],
    ) -> Begun<Result<(), FaultOf<E>>, Never<()>> {
        Begun::Done(Ok(()))
    }

    #[inline(always)]
    fn saving<'a>(_: Out, write: Never<()>) -> Never<Out>
    where
        E: 'a,
    {
        write.absurd()
    }

    #[inline(always)]
    fn poll_save<'a>(
        saving: Pin<&mut Never<Out>>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Result<Out, FaultOf<E>>>
    where
        E: 'a,
    {
        saving.absurd()
    }

    #[inline(always)]
    fn load<'a>(proof: Self::Proof, _: &'static str, _: Place, _: &mut Local<'a, E>) -> Never<Out> {
        match proof {}
    }

    #[inline(always)]
    fn poll_load<'a>(
        loading: Pin<&mut Never<Out>>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Result<Out, FaultOf<E>>>
    where
        E: 'a,
    {
        loading.absurd()
    }
}
