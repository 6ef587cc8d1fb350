//! Spending: reserve before a call, settle after it.

#[cfg(test)]
mod tests;

use core::time::Duration;

use super::{
    accounts::Accounts,
    amount::{Amount, Remaining},
    fallback,
    ledger::{AheadAsked, Ledger, Scope},
    limit::SpendError,
    model::UnknownModel,
    usage::Usage,
    usd::Usd,
};

/// What spends from a ledger. A node has one through its context; [`over`](Self::over) makes one for a test.
///
/// ```
/// use stroma::{Accounts, Budget, Ledger, Pricing, Spender, Usage, Usd};
///
/// let accounts = Accounts::new(Budget::unlimited().cost(Usd::cents(1))).pricing(Pricing::known());
/// let ledger = Ledger::new(accounts.budget());
/// let spender = Spender::over(&ledger, &accounts);
///
/// // At most 1.75 cents: refused, before anything is spent.
/// assert!(spender.reserve(Usage::of("gpt-4o").input(3_000).output(1_000)).is_err());
///
/// let reservation = spender.reserve(Usage::of("gpt-4o").input(400).output(900))?;
/// // .. the call ..
/// let cost = reservation.settle(Usage::of("gpt-4o-2024-08-06").input(400).output(120))?;
/// assert_eq!(cost.to_string(), "$0.0022");
/// assert_eq!(spender.spent().tokens, 520);
/// # Ok::<(), stroma::SpendError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Spender<'a> {
    books: Option<(&'a Ledger, &'a Accounts)>,
    scope: Scope,
}

/// What a usage comes to.
struct Bill {
    amount: Amount,
    /// How many of its tokens have no price.
    unpriced: u64,
    /// What is wrong with it.
    fault: Option<SpendError>,
}

impl<'a> Spender<'a> {
    /// One without a ledger: nothing is limited, nothing is counted.
    pub const fn none() -> Self {
        Self { books: None, scope: Scope::RUN }
    }

    /// One that spends from this ledger, which should be of the same budget.
    pub const fn over(ledger: &'a Ledger, accounts: &'a Accounts) -> Self {
        Self::new(ledger, accounts, Scope::RUN)
    }

    pub(crate) const fn new(ledger: &'a Ledger, accounts: &'a Accounts, scope: Scope) -> Self {
        Self { books: Some((ledger, accounts)), scope }
    }

    /// Sets aside what a call may use at most. However many reservations there are at once, together with what is booked they
    /// never cross a limit.
    ///
    /// # Errors
    /// When it would cross a limit, when its model has no price and money is limited, or when a count does not fit. Nothing is
    /// spent then.
    #[inline]
    pub fn reserve(&self, most: Usage<'_>) -> Result<Reservation<'a>, SpendError> {
        let Some((ledger, accounts)) = self.books else {
            return Ok(Reservation { spender: *self, reserved: Amount::ZERO, unpriced: 0 });
        };
        match self.plain(accounts, &most) {
            Some((amount, unpriced)) => {
                ledger.reserve(self.scope, amount)?;
                Ok(Reservation { spender: *self, reserved: amount, unpriced })
            }
            None => self.reserve_odd((ledger, accounts), &most),
        }
    }

    /// Books what a call used that was not reserved, and says what it cost. It is booked whatever the limits are; the run halts
    /// after the attempt when one is crossed.
    ///
    /// Tokens without a price cost nothing where money is not limited.
    ///
    /// # Errors
    /// When the model has no price and money is limited, or when a count or a sum does not fit. The tokens are booked all the
    /// same, and the run halts after the attempt.
    #[inline]
    pub fn record(&self, used: Usage<'_>) -> Result<Usd, SpendError> {
        let Some((ledger, accounts)) = self.books else { return Ok(used.reported_cost().unwrap_or_default()) };
        match self.plain(accounts, &used) {
            Some((amount, unpriced)) => ledger.book(self.scope, amount, unpriced).map(|()| amount.cost),
            None => self.settle_odd((ledger, accounts), Amount::ZERO, &used),
        }
    }

    /// What can still be reserved, and the time that is left at `now`.
    pub(crate) fn remaining(&self, now: Duration) -> Remaining {
        self.books.map_or_else(Remaining::default, |(ledger, _)| ledger.remaining(self.scope, now))
    }

    /// What the run has booked.
    pub fn spent(&self) -> Amount {
        self.books.map_or(Amount::ZERO, |(ledger, _)| ledger.spent(Scope::RUN))
    }

    /// The model to use in place of `wanted` now: by the [`Fallbacks`](crate::Fallbacks), for the limit of money around that is
    /// nearest to used up.
    pub fn model<'m>(&self, wanted: &'m str) -> &'m str
    where
        'a: 'm,
    {
        match self.books {
            Some((ledger, accounts)) if !accounts.fallbacks.is_empty() => {
                accounts.fallbacks.at(wanted, ledger.money(self.scope, fallback::share))
            }
            _ => wanted,
        }
    }

    /// What a usage comes to, and how many of its tokens have no price, where nothing is odd about it: it fits, and it has a
    /// price or money is certainly not limited.
    #[inline(always)]
    fn plain(&self, accounts: &Accounts, usage: &Usage<'_>) -> Option<(Amount, u64)> {
        let tokens = usage.total_tokens()?;
        let cost = match (usage.reported_cost(), usage.model()) {
            (Some(cost), _) => Some(cost),
            (None, None) => None,
            (None, Some(model)) => match accounts.pricing.find_price(model) {
                Some(price) => Some(price.cost(usage.input_tokens(), usage.output_tokens())?),
                None => None,
            },
        };
        match cost {
            Some(cost) => Some((Amount { tokens, cost }, 0)),
            None if self.scope == Scope::RUN && accounts.budget.cost_limit().is_none() => {
                Some((Amount { tokens, cost: Usd::ZERO }, tokens))
            }
            None => None,
        }
    }

    /// Reserves what has no price, or does not fit.
    #[cold]
    fn reserve_odd(
        &self,
        (ledger, accounts): (&Ledger, &Accounts),
        most: &Usage<'_>,
    ) -> Result<Reservation<'a>, SpendError> {
        let Bill { amount, unpriced, fault } = self.bill(ledger, accounts, most);
        if let Some(fault) = fault {
            ledger.note_refused(fault.clone());
            return Err(fault);
        }
        ledger.reserve(self.scope, amount)?;
        Ok(Reservation { spender: *self, reserved: amount, unpriced })
    }

    /// Books what has no price, or does not fit.
    #[cold]
    fn settle_odd(
        &self,
        (ledger, accounts): (&Ledger, &Accounts),
        reserved: Amount,
        used: &Usage<'_>,
    ) -> Result<Usd, SpendError> {
        let Bill { mut amount, unpriced, fault } = self.bill(ledger, accounts, used);
        if matches!(fault, Some(SpendError::UnknownModel(_))) {
            amount.cost = reserved.cost;
        }
        let booked = ledger.settle(self.scope, reserved, amount, unpriced);
        match fault {
            None => booked.map(|()| amount.cost),
            Some(fault) => {
                ledger.note_fault(fault.clone());
                Err(fault)
            }
        }
    }

    /// What does not fit is as much as can be.
    fn bill(&self, ledger: &Ledger, accounts: &Accounts, usage: &Usage<'_>) -> Bill {
        let (tokens, cost) = (usage.total_tokens(), accounts.pricing.cost(usage));
        let fits = tokens.is_some() && cost.is_ok();
        let cost = cost.unwrap_or(Some(Usd::MAX));
        let amount = Amount { tokens: tokens.unwrap_or(u64::MAX), cost: cost.unwrap_or_default() };
        // No tokens of no model cost nothing.
        let unpriced = if cost.is_none() { amount.tokens } else { 0 };
        let unknown = unpriced > 0 || cost.is_none() && usage.model().is_some();
        let fault = if !fits {
            Some(SpendError::Overflow)
        } else if unknown && ledger.money(self.scope, |_, _| ()).is_some() {
            Some(SpendError::UnknownModel(UnknownModel::of(usage.model())))
        } else {
            None
        };
        Bill { amount, unpriced, fault }
    }
}

/// What is set aside for a call that is under way.
///
/// Dropped without a settlement, when the call failed, ran out of time or was cancelled, it books all of the reservation: the other
/// side may have charged for it.
#[derive(Debug)]
#[must_use = "a reservation that is dropped books all that it set aside: keep it until the call is over, then `settle` it"]
pub struct Reservation<'a> {
    spender: Spender<'a>,
    reserved: Amount,
    /// How many of its tokens have no price.
    unpriced: u64,
}

impl Reservation<'_> {
    /// What is set aside.
    pub const fn amount(&self) -> Amount {
        self.reserved
    }

    /// Books what the call used in place of the reservation, at the price of the model that it names, and says what it cost.
    ///
    /// # Errors
    /// When the model has no price and money is limited: the tokens that were used are booked then, at the cost that was
    /// reserved. When a count or a sum does not fit. The run halts after the attempt in either case.
    #[inline]
    pub fn settle(self, used: Usage<'_>) -> Result<Usd, SpendError> {
        let (spender, reserved) = (self.spender, self.reserved);
        // It has nothing but references and numbers; what its `Drop` would book is booked here.
        core::mem::forget(self);
        let Some((ledger, accounts)) = spender.books else { return Ok(used.reported_cost().unwrap_or_default()) };
        match spender.plain(accounts, &used) {
            Some((amount, unpriced)) => ledger.settle(spender.scope, reserved, amount, unpriced).map(|()| amount.cost),
            None => spender.settle_odd((ledger, accounts), reserved, &used),
        }
    }
}

/// What a reservation does that is to be stored before its call.
impl Reservation<'_> {
    /// Asks for it to be stored.
    pub(super) fn ask_ahead(&self) -> AheadAsked {
        let Some((ledger, _)) = self.spender.books else { return AheadAsked::AtOnce };
        let asked = ledger.ask_ahead(self.spender.scope, self.reserved);
        if asked == AheadAsked::Refused {
            ledger.note_refused(SpendError::NotAhead);
        }
        asked
    }

    /// Whether the ledger was stored since there were so many writes.
    pub(super) fn is_written(&self, since: u32) -> bool {
        self.spender.books.is_none_or(|(ledger, _)| ledger.is_written(since))
    }

    /// It need not be stored any more.
    pub(super) fn take_back(&self) {
        if let Some((ledger, _)) = self.spender.books {
            ledger.take_back(self.spender.scope, self.reserved);
        }
    }

    /// Books nothing of it: there was no call.
    pub(super) fn release(self) {
        let (spender, reserved) = (self.spender, self.reserved);
        core::mem::forget(self);
        if let Some((ledger, _)) = spender.books {
            // Nothing always fits.
            let _ = ledger.settle(spender.scope, reserved, Amount::ZERO, 0);
        }
    }
}

impl Drop for Reservation<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((ledger, _)) = self.spender.books {
            // Where the sum does not fit, the ledger has noted it.
            let _ = ledger.settle(self.spender.scope, self.reserved, self.reserved, self.unpriced);
        }
    }
}
