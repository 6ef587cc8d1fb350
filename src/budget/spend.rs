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

impl Drop for Reservation<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((ledger, _)) = self.spender.books {
            // Where the sum does not fit, the ledger has noted it.
            let _ = ledger.settle(self.spender.scope, self.reserved, self.reserved, self.unpriced);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{limit::BudgetExceeded, price::Price};

    const CENT: Budget = Budget::unlimited().cost(Usd::cents(1));

    /// A dollar for a thousand tokens, in or out.
    fn pricing() -> Pricing {
        let price = Price::per_token(Usd::picodollars(1_000_000_000), Usd::picodollars(1_000_000_000));
        Pricing::empty().with("m", price).unwrap()
    }

    fn unknown(model: Option<&str>) -> SpendError {
        SpendError::UnknownModel(UnknownModel::of(model))
    }

    const fn amount(tokens: u64, cost: u64) -> Amount {
        Amount { tokens, cost: Usd::picodollars(cost * 1_000_000_000) }
    }

    #[test]
    fn without_a_ledger_nothing_is_limited_or_counted() {
        let spender = Spender::none();
        let reservation = spender.reserve(Usage::of("m").input(u64::MAX).output(u64::MAX)).unwrap();
        assert_eq!(reservation.amount(), Amount::ZERO);
        assert_eq!(reservation.settle(Usage::of("m").input(7).with_cost(Usd::cents(2))), Ok(Usd::cents(2)));
        assert_eq!(spender.record(Usage::of("m").input(7)), Ok(Usd::ZERO));
        assert_eq!((spender.spent(), spender.model("m")), (Amount::ZERO, "m"));
        assert_eq!(spender.remaining(Duration::ZERO), Remaining::default());
    }

    #[test]
    fn a_reservation_is_settled_at_the_price_of_the_model_that_is_reported() {
        let accounts = Accounts::new(CENT).pricing(pricing().with("free", Price::free()).unwrap());
        let ledger = Ledger::new(accounts.budget());
        let spender = Spender::over(&ledger, &accounts);
        let one = spender.reserve(Usage::of("m").input(4).output(2)).unwrap();
        assert_eq!(one.amount(), amount(6, 6));
        // Both together would be eleven thousandths.
        let error = BudgetExceeded::Cost { limit: Usd::cents(1), actual: amount(0, 11).cost };
        assert_eq!(spender.reserve(Usage::of("m").input(5)).unwrap_err(), error.into());
        assert_eq!(one.settle(Usage::of("free").input(4).output(1)), Ok(Usd::ZERO));
        assert_eq!(spender.spent(), amount(5, 0));
        let two = spender.reserve(Usage::of("m").input(10)).unwrap();
        assert_eq!(two.settle(Usage::of("m-2024-08-06").input(3)), Ok(amount(0, 3).cost));
        assert_eq!(spender.spent(), amount(8, 3));
        assert_eq!(spender.remaining(Duration::ZERO).cost, Some(amount(0, 7).cost));
    }

    #[test]
    fn a_reservation_that_is_dropped_is_booked() {
        let accounts = Accounts::new(CENT).pricing(pricing());
        let ledger = Ledger::new(accounts.budget());
        let spender = Spender::over(&ledger, &accounts);
        drop(spender.reserve(Usage::of("m").input(4)).unwrap());
        assert_eq!((spender.spent(), ledger.unpriced()), (amount(4, 4), 0));
        assert_eq!(ledger.take_recent().spent, amount(4, 4));
        // One that is refused is not.
        assert!(spender.reserve(Usage::of("m").input(7)).is_err());
        assert_eq!(spender.spent(), amount(4, 4));
        let unlimited = Accounts::new(Budget::unlimited());
        let ledger = Ledger::new(unlimited.budget());
        drop(Spender::over(&ledger, &unlimited).reserve(Usage::of("?").input(4)).unwrap());
        assert_eq!((ledger.spent(Scope::RUN), ledger.unpriced()), (amount(4, 0), 4));
    }

    #[test]
    fn a_model_without_a_price_is_an_error_only_where_money_is_limited() {
        let accounts = Accounts::new(Budget::unlimited().tokens(1_000)).pricing(pricing());
        let ledger = Ledger::new(accounts.budget());
        let spender = Spender::over(&ledger, &accounts);
        assert_eq!(spender.record(Usage::of("?").input(3)), Ok(Usd::ZERO));
        assert_eq!(spender.record(Usage::tokens(2)), Ok(Usd::ZERO));
        assert_eq!(spender.reserve(Usage::tokens(9)).unwrap().settle(Usage::of("?").output(1)), Ok(Usd::ZERO));
        let recent = ledger.take_recent();
        assert_eq!((recent.spent, recent.unpriced_tokens, recent.fault), (amount(6, 0), 6, None));

        // A limit of money anywhere around, here that of a part.
        let part = ledger.enter(Scope::RUN, 1, &CENT, Duration::ZERO).unwrap();
        let inner = ledger.enter(part, 1, &Budget::unlimited(), Duration::ZERO).unwrap();
        let spender = Spender::new(&ledger, &accounts, inner);
        assert_eq!(spender.reserve(Usage::of("?").input(3)).unwrap_err(), unknown(Some("?")));
        assert_eq!(ledger.take_recent().refused, Some(unknown(Some("?"))));
        assert_eq!(spender.record(Usage::tokens(2)), Err(unknown(None)));
        let recent = ledger.take_recent();
        assert_eq!((recent.spent, recent.refused, recent.fault), (amount(2, 0), None, Some(unknown(None))));
        // With a cost of its own, or without anything, no price is needed.
        assert_eq!(spender.record(Usage::of("?").input(1).with_cost(amount(0, 1).cost)), Ok(amount(0, 1).cost));
        assert_eq!(spender.record(Usage::default()), Ok(Usd::ZERO));
        assert_eq!(ledger.take_recent().fault, None);
        // What was set aside for it is what it cost, as far as anybody knows.
        let reservation = spender.reserve(Usage::of("m").input(5)).unwrap();
        assert_eq!(reservation.settle(Usage::of("?").input(4)), Err(unknown(Some("?"))));
        let recent = ledger.take_recent();
        assert_eq!((recent.spent, recent.fault), (amount(4, 5), Some(unknown(Some("?")))));
        assert_eq!(ledger.remaining(part, Duration::ZERO).cost, Some(amount(0, 4).cost));
    }

    #[test]
    fn counts_that_do_not_fit_are_errors_and_as_much_as_can_be() {
        let accounts = Accounts::new(Budget::unlimited().tokens(1_000)).pricing(pricing());
        for usage in [Usage::tokens(u64::MAX).output(1), Usage::of("m").input(u64::MAX).output(u64::MAX)] {
            let ledger = Ledger::new(accounts.budget());
            let spender = Spender::over(&ledger, &accounts);
            assert_eq!(spender.reserve(usage).unwrap_err(), SpendError::Overflow);
            assert_eq!((spender.spent(), ledger.take_recent().refused), (Amount::ZERO, Some(SpendError::Overflow)));
            assert_eq!(spender.record(usage), Err(SpendError::Overflow));
            assert_eq!(spender.spent().tokens, u64::MAX);
            assert_eq!(ledger.take_recent().fault, Some(SpendError::Overflow));
            let over = BudgetExceeded::Tokens { limit: 1_000, actual: u64::MAX };
            assert_eq!(ledger.overrun(Scope::RUN, Duration::ZERO), Some(over));
        }
        // The tokens fit, what they cost does not.
        let ledger = Ledger::new(accounts.budget());
        let spender = Spender::over(&ledger, &accounts);
        let reservation = spender.reserve(Usage::of("m").input(9)).unwrap();
        assert_eq!(reservation.settle(Usage::of("m").input(1 << 60)), Err(SpendError::Overflow));
        assert_eq!(spender.spent(), Amount { tokens: 1 << 60, cost: Usd::MAX });
        assert_eq!(ledger.take_recent().fault, Some(SpendError::Overflow));
    }

    #[test]
    fn the_model_follows_the_limit_that_is_nearest_to_used_up() {
        let rules = Fallbacks::none().with("big", "small", 0.8).unwrap();
        let accounts = Accounts::new(CENT).pricing(pricing()).fallbacks(rules);
        let ledger = Ledger::new(accounts.budget());
        let run = Spender::over(&ledger, &accounts);
        let part = ledger.enter(Scope::RUN, 1, &Budget::unlimited().cost(amount(0, 5).cost), Duration::ZERO).unwrap();
        let part = Spender::new(&ledger, &accounts, part);
        assert_eq!((run.model("big"), part.model("big")), ("big", "big"));
        let _held = run.reserve(Usage::of("m").input(5)).unwrap();
        part.record(Usage::of("m").input(4)).unwrap();
        assert_eq!((run.model("big"), part.model("big")), ("big", "small"));
        run.record(Usage::of("m").input(4)).unwrap();
        assert_eq!((run.model("big"), part.model("big"), run.model("other")), ("small", "small", "other"));
        // One run's spend is no other's.
        let other = Ledger::new(accounts.budget());
        assert_eq!(Spender::over(&other, &accounts).model("big"), "big");
    }
}
