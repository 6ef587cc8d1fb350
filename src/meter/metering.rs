//! An account, and what a run keeps of it.

use core::time::Duration;

use super::{Meter, Metered};
use crate::{
    budget::{
        Accounts, AccountsError, AheadHere, Amount, Budget, LEDGER_MAX, Ledger, LedgerError, Ledgers, Lent, SHORT,
        Scope, SpendError, Spender,
    },
    report::Spent,
    slot::Place,
};

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

    /// What was noted of an attempt that succeeded: only what went wrong with what it spent matters, and its limits, and what it was
    /// refused and did without does not.
    #[cold]
    fn noted(ledger: &Ledger, at: Place, tab: &Tab, now: Duration) -> Option<Overspent> {
        if tab.fault {
            // What it was stays noted until it is told.
            return Some(Overspent::Account);
        }
        ledger.forget_notes(spot(at));
        ledger.overrun(at.scope, now).map(|_| Overspent::Limit)
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

/// What tells a node of a run from the others.
#[inline(always)]
const fn spot(at: Place) -> (u16, u32) {
    (at.node, at.instance)
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
    /// Whether it was refused something; the ledger knows why.
    refused: bool,
    /// Whether something went wrong with what it spent; the ledger knows what.
    fault: bool,
    /// Whether its future may hold a reservation.
    holding: bool,
}

/// Room for a ledger: for one without limits but the run's own, and for any.
#[derive(Debug)]
pub struct Room {
    short: [u8; SHORT],
    long: Option<[u8; LEDGER_MAX]>,
}

impl Default for Room {
    #[inline(always)]
    fn default() -> Self {
        Self { short: [0; SHORT], long: None }
    }
}

impl Meter for Metering {
    type Book<'a> = Book<'a>;
    type Tab = Tab;
    type Over = Overspent;
    type Gone = ();
    type Hold<T> = Option<T>;
    type Room = Room;
    type Ledger<'a> = Option<&'a Ledger>;

    const METERED: bool = true;

    fn check(&self) -> Result<(), AccountsError> {
        self.accounts.check()
    }

    fn is_timed(&self) -> bool {
        self.accounts.budget().time_limit().is_some()
    }

    #[inline]
    fn begin<'a>(&'a self, book: &mut Self::Book<'a>, now: Duration) -> Option<Overspent> {
        let Some(lent) = self.ledgers.lend(self.accounts.budget(), now) else {
            return Some(book.fault(SpendError::TooManyRuns));
        };
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

    #[inline(always)]
    fn before(book: &mut Book<'_>, scope: Scope, now: Duration) -> Option<Overspent> {
        book.seen = now;
        // Nothing is noted yet: a sibling may stop the run before this is told, and for another limit.
        book.ledger()?.exhausted(scope, now).map(|_| Overspent::Limit)
    }

    #[cold]
    fn refused(book: &mut Book<'_>, scope: Scope, now: Duration) {
        // What is used up stays so.
        if let Some(exceeded) = book.ledger().and_then(|ledger| ledger.exhausted(scope, now.max(book.seen))) {
            book.fault(SpendError::Exceeded(exceeded));
        }
    }

    fn used_up_at(book: &Book<'_>, scope: Scope, then: Duration) -> bool {
        book.ledger().is_some_and(|ledger| ledger.exhausted(scope, then).is_some())
    }

    #[cold]
    fn refused_at(book: &mut Book<'_>, scope: Scope, then: Duration) -> Option<Overspent> {
        let exceeded = book.ledger()?.exhausted(scope, then)?;
        Some(book.fault(SpendError::Exceeded(exceeded)))
    }

    #[inline(always)]
    fn polled(book: &mut Book<'_>, at: Place, tab: &mut Tab) {
        if let Some(ledger) = book.ledger()
            && ledger.has_recent()
        {
            let recent = ledger.take_recent(spot(at));
            tab.spent = tab.spent.saturating_add(recent.spent);
            tab.unpriced = tab.unpriced.saturating_add(recent.unpriced_tokens);
            tab.refused |= recent.refused;
            tab.fault |= recent.fault;
            tab.holding |= recent.holding;
        }
    }

    #[inline(always)]
    fn gone() -> Option<()> {
        Some(())
    }

    #[inline(always)]
    fn gone_holding(tab: &Tab) -> Option<()> {
        tab.holding.then_some(())
    }

    #[inline(always)]
    fn succeeded(book: &mut Book<'_>, tab: &mut Tab, at: Place, now: Duration) -> Option<Overspent> {
        let ledger = book.ledger()?;
        if tab.refused | tab.fault {
            return Book::noted(ledger, at, tab, now);
        }
        ledger.overrun(at.scope, now).map(|_| Overspent::Limit)
    }

    #[cold]
    fn overspent(book: &mut Book<'_>, over: Overspent, at: Place, now: Duration) {
        let Some(ledger) = book.ledger() else { return };
        let why = match over {
            Overspent::Account => ledger.take_note(spot(at), false),
            // What is over a limit stays so.
            Overspent::Limit => ledger.overrun(at.scope, now.max(book.seen)).map(SpendError::Exceeded),
        };
        if let Some(why) = why {
            book.fault(why);
        }
    }

    fn failed(book: &mut Book<'_>, at: Place, tab: &mut Tab) -> Option<Overspent> {
        let ledger = book.ledger()?;
        if !(tab.refused | tab.fault) {
            return None;
        }
        let refused = tab.refused.then(|| ledger.take_note(spot(at), true)).flatten();
        let fault = tab.fault.then(|| ledger.take_note(spot(at), false)).flatten();
        Some(book.fault(refused.or(fault)?))
    }

    fn cut_short(book: &mut Book<'_>, at: Place, tab: &Tab) {
        if (tab.refused | tab.fault)
            && let Some(ledger) = book.ledger()
        {
            // Else the next attempt that is refused something would be told of this one's.
            ledger.forget_notes(spot(at));
        }
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
    fn ledger<'a>(book: &Self::Book<'a>) -> Option<&'a Ledger>
    where
        Self: 'a,
    {
        book.ledger()
    }

    #[inline(always)]
    fn bytes<'r>(ledger: Option<&Ledger>, now: Duration, room: &'r mut Room) -> &'r [u8] {
        match ledger {
            Some(ledger) => ledger.encode_in(now, &mut room.short, &mut room.long),
            None => &[],
        }
    }

    fn ahead(book: &Book<'_>, durable: bool) {
        if let Some(ledger) = book.ledger() {
            ledger.ahead_here(if durable { AheadHere::Written } else { AheadHere::Nowhere });
        }
    }

    fn asked_ahead(book: &Book<'_>) -> bool {
        book.ledger().is_some_and(|ledger| ledger.ahead_here(AheadHere::Not))
    }

    fn written_ahead(book: &Book<'_>) {
        if let Some(ledger) = book.ledger() {
            ledger.ahead_written();
        }
    }

    fn take_fault(book: &mut Book<'_>) -> Option<SpendError> {
        book.fault.take()
    }
}

impl Metered for Metering {
    fn enter(book: &mut Book<'_>, within: Scope, key: u32, budget: &Budget, now: Duration) -> Result<Scope, Overspent> {
        let scope = book.ledger().and_then(|ledger| ledger.enter(within, key, budget, now));
        scope.ok_or(Overspent::Account)
    }

    #[cold]
    fn no_room(book: &mut Book<'_>) {
        // More than there is room for are refused when the runner is built, so some are in the stored ledger alone.
        book.fault(SpendError::OtherParts);
    }

    fn leave(book: &Book<'_>, scope: Scope, now: Duration) {
        if let Some(ledger) = book.ledger() {
            ledger.leave(scope, now);
        }
    }
}
