//! What a run spends by.

use super::{
    fallback::{FallbackError, Fallbacks},
    limit::{Budget, EmptyBudget},
    model::ModelName,
    pricing::Pricing,
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
    pub(super) budget: Budget,
    pub(super) pricing: Pricing,
    pub(super) fallbacks: Fallbacks,
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
