//! Whether a run keeps account of what it spends: the capability, and its absence.
//!
//! What nodes hold while they wait is the ledger of their run, so it is the one part of a run that is shared: the runner lends it
//! to the run. A run without an account has none, and is as large as if there were no such thing.

use core::{convert::Infallible, time::Duration};

use crate::{
    budget::{
        Accounts, AccountsError, Amount, Budget, LEDGER_MAX, Ledger, LedgerError, Ledgers, Lent, Scope, SpendError,
        Spender,
    },
    report::Spent,
    store::{Hold, Nothing},
};

/// Whether runs keep account of what they spend: [`NoBudget`] or [`Metering`].
pub trait Meter: Sized {
    /// The account of one run; closed at first.
    type Book<'a>: Default
    where
        Self: 'a;

    /// What one attempt has come to so far.
    type Tab: Default;

    /// Says that a run has to stop for what it spent.
    type Over: Copy;

    /// Says that the future of an attempt is gone, so that all it held is booked.
    type Gone;

    /// Room for something that only such a run can need.
    type Hold<T>: Hold<T>;

    /// The bytes of a ledger on the way to the store.
    type Bytes: AsRef<[u8]>;

    /// Whether runs keep account.
    const METERED: bool;

    /// Whether the limits make sense.
    ///
    /// # Errors
    /// When nothing could be spent, or a rule makes no sense.
    fn check(&self) -> Result<(), AccountsError>;

    /// Whether time is limited.
    fn is_timed(&self) -> bool;

    /// The run begins: it is lent a ledger. Or it cannot, since there is no room for another.
    fn begin<'a>(&'a self, book: &mut Self::Book<'a>, now: Duration) -> Option<Self::Over>;

    /// Takes over what an earlier part of the run spent.
    ///
    /// # Errors
    /// When the bytes are not those of a ledger.
    fn restore(book: &mut Self::Book<'_>, ledger: &[u8]) -> Result<(), LedgerError>;

    /// What a node spends with.
    fn spender<'a>(book: &Self::Book<'a>, scope: Scope) -> Spender<'a>;

    /// When the attempt that is about to begin was asked for with [`before`](Self::before).
    fn seen(book: &Self::Book<'_>) -> Duration;

    /// Whether an attempt may begin.
    fn before(book: &mut Self::Book<'_>, scope: Scope, now: Duration) -> Option<Self::Over>;

    /// An attempt was polled, or its future was dropped: what it did in between goes on its tab.
    fn polled(book: &mut Self::Book<'_>, tab: &mut Self::Tab);

    /// Says that the future of an attempt is gone, where that makes a difference.
    fn gone() -> Option<Self::Gone>;

    /// Whether the run has to stop after an attempt that succeeded.
    fn succeeded(book: &mut Self::Book<'_>, tab: &mut Self::Tab, scope: Scope, now: Duration) -> Option<Self::Over>;

    /// Whether an attempt that failed was refused what it wanted to spend.
    fn failed(book: &mut Self::Book<'_>, tab: &mut Self::Tab) -> Option<Self::Over>;

    /// What an attempt spent; its time is not in it.
    fn tab(tab: &Self::Tab) -> Spent;

    /// What the run spent, this part of it having taken `took`.
    fn spent(book: &Self::Book<'_>, now: Duration, took: Duration) -> Spent;

    /// The ledger as it is stored.
    fn bytes(book: &Self::Book<'_>, now: Duration) -> Self::Bytes;

    /// Why the run has to stop.
    fn take_fault(book: &mut Self::Book<'_>) -> Option<SpendError>;
}

/// A [`Meter`] that keeps account, so that a part of a pipeline can have a limit of its own.
#[diagnostic::on_unimplemented(
    message = "a budget of a part needs a runner that keeps account of what is spent, and this one does not",
    label = "no account in this runner",
    note = "`.with_budget(Budget::unlimited())` on the builder counts without a limit for the whole; `Runner::quick(..)` counts, too"
)]
pub trait Metered: Meter {
    /// Comes to a part with a limit of its own.
    ///
    /// # Errors
    /// When there are more limits than a ledger has room for.
    fn enter(
        book: &mut Self::Book<'_>,
        within: Scope,
        key: u32,
        budget: &Budget,
        now: Duration,
    ) -> Result<Scope, Self::Over>;
}

/// No account: nothing is counted and nothing limited.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBudget;

/// No bytes: nothing is stored.
#[derive(Debug, Clone, Copy)]
pub struct NoBytes;

impl AsRef<[u8]> for NoBytes {
    #[inline(always)]
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl Meter for NoBudget {
    type Book<'a> = ();
    type Tab = ();
    type Over = Infallible;
    type Gone = Infallible;
    type Hold<T> = Nothing<T>;
    type Bytes = NoBytes;

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
    fn polled((): &mut (), (): &mut ()) {}

    #[inline(always)]
    fn gone() -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn succeeded((): &mut (), (): &mut (), _: Scope, _: Duration) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn failed((): &mut (), (): &mut ()) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn tab((): &()) -> Spent {
        Spent::default()
    }

    #[inline(always)]
    fn spent((): &(), _: Duration, took: Duration) -> Spent {
        Spent { time: took, ..Spent::default() }
    }

    #[inline(always)]
    fn bytes((): &(), _: Duration) -> NoBytes {
        NoBytes
    }

    #[inline(always)]
    fn take_fault((): &mut ()) -> Option<SpendError> {
        None
    }
}

/// Accounts, and the ledgers of all runs that there are at once.
#[derive(Debug, Default)]
pub struct Metering {
    accounts: Accounts,
    ledgers: Ledgers,
}

impl Metering {
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self { accounts, ledgers: Ledgers::default() }
    }

    pub(crate) fn into_accounts(self) -> Accounts {
        self.accounts
    }
}

/// The account of a run.
#[derive(Debug, Default)]
pub struct Book<'a> {
    /// Where it is kept, once the run has begun.
    open: Option<(Lent<'a>, &'a Accounts)>,
    /// When an attempt was about to begin last.
    seen: Duration,
    /// Why the run has to stop; what came first is the cause.
    fault: Option<SpendError>,
}

impl<'a> Book<'a> {
    #[inline(always)]
    fn ledger(&self) -> Option<&'a Ledger> {
        self.open.as_ref().map(|(lent, _)| lent.ledger())
    }

    #[cold]
    fn fault(&mut self, fault: SpendError) -> Overspent {
        let over = match fault {
            SpendError::Exceeded(_) => Overspent::Limit,
            _ => Overspent::Account,
        };
        self.fault.get_or_insert(fault);
        over
    }
}

/// Says that a run has to stop for what it spent; its account knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overspent {
    /// A limit is reached.
    Limit,
    /// Something cannot be booked as it should be.
    Account,
}

/// What an attempt has come to so far.
#[derive(Debug, Default)]
pub struct Tab {
    spent: Amount,
    unpriced: u64,
    refused: Option<SpendError>,
    fault: Option<SpendError>,
}

/// A ledger on the way to the store.
pub struct LedgerBytes {
    buffer: [u8; LEDGER_MAX],
    len: usize,
}

impl core::fmt::Debug for LedgerBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl AsRef<[u8]> for LedgerBytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Meter for Metering {
    type Book<'a> = Book<'a>;
    type Tab = Tab;
    type Over = Overspent;
    type Gone = ();
    type Hold<T> = Option<T>;
    type Bytes = LedgerBytes;

    const METERED: bool = true;

    fn check(&self) -> Result<(), AccountsError> {
        self.accounts.check()
    }

    fn is_timed(&self) -> bool {
        self.accounts.budget().time_limit().is_some()
    }

    #[inline]
    fn begin<'a>(&'a self, book: &mut Self::Book<'a>, now: Duration) -> Option<Overspent> {
        let Some(lent) = self.ledgers.lend(self.accounts.budget()) else {
            return Some(book.fault(SpendError::TooManyRuns));
        };
        lent.ledger().begin(now);
        book.open = Some((lent, &self.accounts));
        None
    }

    fn restore(book: &mut Book<'_>, ledger: &[u8]) -> Result<(), LedgerError> {
        // A run that was begun without an account has none to take over.
        match book.ledger() {
            Some(open) if !ledger.is_empty() => open.restore(ledger),
            _ => Ok(()),
        }
    }

    #[inline]
    fn spender<'a>(book: &Self::Book<'a>, scope: Scope) -> Spender<'a>
    where
        Self: 'a,
    {
        match &book.open {
            Some((lent, accounts)) => Spender::new(lent.ledger(), accounts, scope),
            None => Spender::none(),
        }
    }

    #[inline]
    fn seen(book: &Book<'_>) -> Duration {
        book.seen
    }

    #[inline]
    fn before(book: &mut Book<'_>, scope: Scope, now: Duration) -> Option<Overspent> {
        book.seen = now;
        let exceeded = book.ledger()?.exhausted(scope, now)?;
        Some(book.fault(SpendError::Exceeded(exceeded)))
    }

    #[inline]
    fn polled(book: &mut Book<'_>, tab: &mut Tab) {
        if let Some(ledger) = book.ledger()
            && ledger.has_recent()
        {
            let recent = ledger.take_recent();
            tab.spent = tab.spent.saturating_add(recent.spent);
            tab.unpriced = tab.unpriced.saturating_add(recent.unpriced_tokens);
            tab.refused = tab.refused.take().or(recent.refused);
            tab.fault = tab.fault.take().or(recent.fault);
        }
    }

    #[inline(always)]
    fn gone() -> Option<()> {
        Some(())
    }

    #[inline]
    fn succeeded(book: &mut Book<'_>, tab: &mut Tab, scope: Scope, now: Duration) -> Option<Overspent> {
        if let Some(fault) = tab.fault.take() {
            return Some(book.fault(fault));
        }
        let exceeded = book.ledger()?.overrun(scope, now)?;
        Some(book.fault(SpendError::Exceeded(exceeded)))
    }

    fn failed(book: &mut Book<'_>, tab: &mut Tab) -> Option<Overspent> {
        let why = tab.refused.take().or_else(|| tab.fault.take())?;
        Some(book.fault(why))
    }

    #[inline]
    fn tab(tab: &Tab) -> Spent {
        Spent { tokens: tab.spent.tokens, cost: tab.spent.cost, unpriced_tokens: tab.unpriced, ..Spent::default() }
    }

    fn spent(book: &Book<'_>, now: Duration, took: Duration) -> Spent {
        let Some(ledger) = book.ledger() else { return Spent { time: took, ..Spent::default() } };
        let Amount { tokens, cost } = ledger.spent(Scope::RUN);
        let unpriced_tokens = ledger.unpriced();
        Spent { tokens, cost, unpriced_tokens, time: ledger.time(Scope::RUN, now) }
    }

    #[inline]
    fn bytes(book: &Book<'_>, now: Duration) -> LedgerBytes {
        let mut buffer = [0; LEDGER_MAX];
        let len = book.ledger().map_or(0, |ledger| ledger.encode(now, false, &mut buffer).len());
        LedgerBytes { buffer, len }
    }

    fn take_fault(book: &mut Book<'_>) -> Option<SpendError> {
        book.fault.take()
    }
}

impl Metered for Metering {
    fn enter(book: &mut Book<'_>, within: Scope, key: u32, budget: &Budget, now: Duration) -> Result<Scope, Overspent> {
        match book.ledger().and_then(|ledger| ledger.enter(within, key, budget, now)) {
            Some(scope) => Ok(scope),
            // More than there is room for are refused when the runner is built.
            None => Err(book.fault(SpendError::Overflow)),
        }
    }
}
