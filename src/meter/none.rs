//! No account.

use core::{convert::Infallible, time::Duration};

use super::Meter;
use crate::{
    budget::{AccountsError, LedgerError, Scope, SpendError, Spender},
    report::Spent,
    slot::Place,
    store::Nothing,
};

/// No account: nothing is counted and nothing limited.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBudget;

impl Meter for NoBudget {
    type Book<'a> = ();
    type Tab = ();
    type Over = Infallible;
    type Gone = Infallible;
    type Hold<T> = Nothing<T>;
    type Room = ();
    type Ledger<'a> = ();

    const METERED: bool = false;

    fn check(&self) -> Result<(), AccountsError> {
        Ok(())
    }

    fn is_timed(&self) -> bool {
        false
    }

    #[inline(always)]
    fn begin<'a>(&'a self, _: &mut Self::Book<'a>, _: Duration) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn restore((): &mut (), _: &[u8]) -> Result<(), LedgerError> {
        Ok(())
    }

    #[inline(always)]
    fn spender<'a>((): &(), _: Scope) -> Spender<'a> {
        Spender::none()
    }

    #[inline(always)]
    fn seen((): &()) -> Duration {
        Duration::ZERO
    }

    #[inline(always)]
    fn before((): &mut (), _: Scope, _: Duration) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn refused((): &mut (), _: Scope, _: Duration) {}

    #[inline(always)]
    fn used_up_at((): &(), _: Scope, _: Duration) -> bool {
        false
    }

    #[inline(always)]
    fn refused_at((): &mut (), _: Scope, _: Duration) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn polled((): &mut (), _: Place, (): &mut ()) {}

    #[inline(always)]
    fn gone() -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn gone_holding((): &()) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn succeeded((): &mut (), (): &mut (), _: Place, _: Duration) -> Option<Infallible> {
        None
    }

    fn overspent((): &mut (), over: Infallible, _: Place, _: Duration) {
        match over {}
    }

    #[inline(always)]
    fn failed((): &mut (), _: Place, (): &mut ()) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn cut_short((): &mut (), _: Place, (): &()) {}

    #[inline(always)]
    fn tab((): &()) -> Spent {
        Spent::default()
    }

    #[inline(always)]
    fn spent((): &(), _: Duration, took: Duration) -> Spent {
        Spent { time: took, ..Spent::default() }
    }

    #[inline(always)]
    fn ledger<'a>(_: &Self::Book<'a>) -> Self::Ledger<'a> {}

    #[inline(always)]
    fn bytes((): (), _: Duration, (): &mut ()) -> &[u8] {
        &[]
    }

    #[inline(always)]
    fn ahead((): &(), _: bool) {}

    #[inline(always)]
    fn asked_ahead((): &()) -> bool {
        false
    }

    #[inline(always)]
    fn written_ahead((): &()) {}

    #[inline(always)]
    fn take_fault((): &mut ()) -> Option<SpendError> {
        None
    }
}
