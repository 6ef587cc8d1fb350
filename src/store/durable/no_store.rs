//! No store: what would need one cannot be said.

use core::{
    convert::Infallible,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    super::{Access, Begun},
    Durability, Persist,
    fault::StoreFault,
    hold::Nothing,
};
use crate::{never::Never, run::RunId, slot::Slot};

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
