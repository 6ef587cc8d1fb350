//! Spending: reserve before a call, settle after it.

use core::time::Duration;

use super::{
    fallback::{self, FallbackError, Fallbacks},
    ledger::{Amount, Ledger, Remaining, Scope},
    limit::{Budget, EmptyBudget, SpendError},
    model::{ModelName, UnknownModel},
    pricing::Pricing,
    usage::Usage,
    usd::Usd,
};

/// What a run spends by: its budget, its prices and its fallback rules.
///
/// ```
/// use stroma::{Accounts, Budget, Fallbacks, Pricing, Usd};
///
/// let accounts = Accounts::new(Budget::unlimited().cost(Usd::cents(50)))
///     .pricing(Pricing::known())
///     .fallbacks(Fallbacks::none().with("gpt-4o", "gpt-4o-mini", 0.8)?);
/// assert_eq!(accounts.budget().cost_limit(), Some(Usd::cents(50)));
/// # Ok::<(), stroma::FallbackError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    budget: Budget,
    pricing: Pricing,
    fallbacks: Fallbacks,
    /// Why a fallback rule was not taken.
    refused: Option<FallbackError>,
}

impl Accounts {
    /// A budget, without prices and without fallback rules.
    pub const fn new(budget: Budget) -> Self {
        Self { budget, pricing: Pricing::empty(), fallbacks: Fallbacks::none(), refused: None }
    }

    /// With these prices.
    #[must_use]
    pub fn pricing(mut self, pricing: Pricing) -> Self {
        self.pricing = pricing;
        self
    }

    /// With these fallback rules.
    #[must_use]
    pub fn fallbacks(mut self, fallbacks: Fallbacks) -> Self {
        self.fallbacks = fallbacks;
        self
    }

    /// The budget.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Adds a fallback rule; one that makes no sense is kept for [`check`](Self::check) to tell.
    pub(crate) fn fall_back(&mut self, from: ModelName, to: ModelName, at: f64) {
        match core::mem::take(&mut self.fallbacks).with(from, to, at) {
            Ok(rules) => self.fallbacks = rules,
            Err(error) => self.refused = self.refused.take().or(Some(error)),
        }
    }

    /// Whether a run can spend by it.
    ///
    /// # Errors
    /// When a limit is zero, or when a fallback rule was refused.
    pub fn check(&self) -> Result<(), AccountsError> {
        match &self.refused {
            Some(error) => Err(AccountsError::Fallback(error.clone())),
            None => Ok(self.budget.check()?),
        }
    }

    pub(crate) fn set_pricing(&mut self, pricing: Pricing) {
        self.pricing = pricing;
    }
}

/// Why a run cannot spend by its accounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The budget allows nothing.
    #[error(transparent)]
    Empty(#[from] EmptyBudget),
    /// A fallback rule makes no sense.
    #[error(transparent)]
    Fallback(#[from] FallbackError),
}

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
            return Ok(Reservation { spender: Self::none(), reserved: Amount::ZERO, unpriced: 0 });
        };
        let Bill { amount, unpriced, fault } = self.bill(ledger, accounts, &most);
        if let Some(fault) = fault {
            ledger.note_refused(fault.clone());
            return Err(fault);
        }
        ledger.reserve(self.scope, amount)?;
        Ok(Reservation { spender: *self, reserved: amount, unpriced })
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
        let bill = self.bill(ledger, accounts, &used);
        let booked = ledger.book(self.scope, bill.amount, bill.unpriced);
        match bill.fault {
            None => booked.map(|()| bill.amount.cost),
            Some(fault) => {
                ledger.note_fault(fault.clone());
                Err(fault)
            }
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

    /// The model to use in place of `wanted` now: by the [`Fallbacks`], for the limit of money around that is nearest to used up.
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

    #[inline]
    fn bill(&self, ledger: &Ledger, accounts: &Accounts, usage: &Usage<'_>) -> Bill {
        let tokens = usage.total_tokens();
        let cost = accounts.pricing.cost(usage);
        match (tokens, cost) {
            (Some(tokens), Ok(Some(cost))) => Bill { amount: Amount { tokens, cost }, unpriced: 0, fault: None },
            (Some(tokens), Ok(None)) => self.unpriced(ledger, usage, tokens),
            (tokens, cost) => Self::overflow(tokens, cost.unwrap_or(Some(Usd::MAX))),
        }
    }

    #[cold]
    fn unpriced(&self, ledger: &Ledger, usage: &Usage<'_>, tokens: u64) -> Bill {
        let amount = Amount { tokens, cost: Usd::ZERO };
        // No tokens of no model cost nothing.
        if tokens == 0 && usage.model().is_none() {
            return Bill { amount, unpriced: 0, fault: None };
        }
        let limited = ledger.money(self.scope, |_, _| ()).is_some();
        let fault = limited.then(|| SpendError::UnknownModel(UnknownModel::of(usage.model())));
        Bill { amount, unpriced: tokens, fault }
    }

    /// What does not fit is as much as can be.
    #[cold]
    fn overflow(tokens: Option<u64>, cost: Option<Usd>) -> Bill {
        let amount = Amount { tokens: tokens.unwrap_or(u64::MAX), cost: cost.unwrap_or_default() };
        let unpriced = if cost.is_none() { amount.tokens } else { 0 };
        Bill { amount, unpriced, fault: Some(SpendError::Overflow) }
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
    pub fn settle(mut self, used: Usage<'_>) -> Result<Usd, SpendError> {
        let spender = core::mem::replace(&mut self.spender, Spender::none());
        let Some((ledger, accounts)) = spender.books else { return Ok(used.reported_cost().unwrap_or_default()) };
        let mut bill = spender.bill(ledger, accounts, &used);
        if matches!(bill.fault, Some(SpendError::UnknownModel(_))) {
            bill.amount.cost = self.reserved.cost;
        }
        let booked = ledger.settle(spender.scope, self.reserved, bill.amount, bill.unpriced);
        match bill.fault {
            None => booked.map(|()| bill.amount.cost),
            Some(fault) => {
                ledger.note_fault(fault.clone());
                Err(fault)
            }
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
