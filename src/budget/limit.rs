//! Limits, and what is said when one is reached.

use core::{fmt, time::Duration};

use super::{model::UnknownModel, usd::Usd};
use crate::failure::{Failure, FailureClass};

/// Of how many runs at once a runner keeps account: without a heap of two, since each account takes three quarters of a
/// kilobyte; with feature `alloc` of any number, beginning with room for this many.
pub const LEDGERS: usize = if cfg!(feature = "alloc") { 4 } else { 2 };

/// How much a run, or a part of a pipeline, may spend: tokens, money and wall time.
///
/// ```
/// use stroma::{Budget, Usd, secs};
///
/// const BUDGET: Budget = Budget::unlimited().tokens(100_000).cost(Usd::cents(50)).latency(secs(60));
/// assert_eq!(BUDGET.cost_limit(), Some(Usd::cents(50)));
/// assert!(BUDGET.check().is_ok());
/// assert!(BUDGET.tokens(0).check().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    tokens: Option<u64>,
    cost: Option<Usd>,
    latency: Option<Duration>,
}

impl Budget {
    /// No limit.
    pub const fn unlimited() -> Self {
        Self { tokens: None, cost: None, latency: None }
    }

    /// At most so many tokens, in and out together.
    #[must_use]
    pub const fn tokens(mut self, most: u64) -> Self {
        self.tokens = Some(most);
        self
    }

    /// At most so much money.
    #[must_use]
    pub const fn cost(mut self, most: Usd) -> Self {
        self.cost = Some(most);
        self
    }

    /// At most so much wall time by the runner's clock, waits included; the time while a run was down does not count. A wait before
    /// another attempt that it has no time for is not waited: the run stops at once.
    #[must_use]
    pub const fn latency(mut self, most: Duration) -> Self {
        self.latency = Some(most);
        self
    }

    /// The most tokens.
    pub const fn token_limit(&self) -> Option<u64> {
        self.tokens
    }

    /// The most money.
    pub const fn cost_limit(&self) -> Option<Usd> {
        self.cost
    }

    /// The most time.
    pub const fn time_limit(&self) -> Option<Duration> {
        self.latency
    }

    /// Whether anything is limited.
    pub const fn is_unlimited(&self) -> bool {
        matches!(self, Self { tokens: None, cost: None, latency: None })
    }

    /// Whether something can be spent at all; asked when a runner is built.
    ///
    /// # Errors
    /// Names the dimension whose limit is zero.
    pub const fn check(&self) -> Result<(), EmptyBudget> {
        let dimension = match self {
            Self { tokens: Some(0), .. } => Dimension::Tokens,
            Self { cost: Some(Usd::ZERO), .. } => Dimension::Cost,
            Self { latency: Some(Duration::ZERO), .. } => Dimension::Time,
            _ => return Ok(()),
        };
        Err(EmptyBudget { dimension })
    }
}

/// What a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Tokens, in and out together.
    Tokens,
    /// Money.
    Cost,
    /// Wall time.
    Time,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Time => "time",
        })
    }
}

/// A budget that allows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the budget's limit of {dimension} is zero, so no node could start: raise it, or leave it out for no limit")]
#[non_exhaustive]
pub struct EmptyBudget {
    /// Whose limit is zero.
    pub dimension: Dimension,
}

/// A limit that is reached. `actual` is what was booked or, where a reservation is refused, what it would have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetExceeded {
    /// Too many tokens.
    #[error("the budget of {limit} tokens is reached at {actual}")]
    Tokens {
        /// The most that is allowed.
        limit: u64,
        /// What it comes to.
        actual: u64,
    },
    /// Too much money.
    #[error("the budget of {limit} is reached at {actual}")]
    Cost {
        /// The most that is allowed.
        limit: Usd,
        /// What it comes to.
        actual: Usd,
    },
    /// Too much time.
    #[error("the time budget of {limit:?} is reached at {actual:?}")]
    Time {
        /// The most that is allowed.
        limit: Duration,
        /// What it comes to.
        actual: Duration,
    },
}

impl BudgetExceeded {
    /// Which limit it is.
    pub const fn dimension(&self) -> Dimension {
        match self {
            Self::Tokens { .. } => Dimension::Tokens,
            Self::Cost { .. } => Dimension::Cost,
            Self::Time { .. } => Dimension::Time,
        }
    }
}

#[diagnostic::do_not_recommend]
impl Failure for BudgetExceeded {
    /// Terminal: no retry makes a budget larger.
    fn class(&self) -> FailureClass {
        FailureClass::Terminal
    }
}

/// Why something could not be reserved, or was not booked as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpendError {
    /// It would cross a limit. Nothing was spent.
    #[error("{0}: raise it (`with_budget`, or `.budget` of a part), then `resume`")]
    Exceeded(BudgetExceeded),
    /// Its model has no price, and money is limited.
    #[error("{0}")]
    UnknownModel(UnknownModel),
    /// The tokens or the cost do not fit into 64 bits.
    #[error("a count of tokens or a cost is beyond 64 bits: check what the node reports as its usage")]
    Overflow,
    /// A reservation was to be stored before its call, by a node that nobody said so of. Nothing was spent.
    #[error("a node reserves ahead and is not one that does: put `.write_ahead()` on it")]
    NotAhead,
    /// The stored ledger has the limits of other parts than the pipeline has, and no room for all of them.
    #[error(
        "the parts of the pipeline that have a budget are others than those of the stored ledger, which has no room for them: \
         give fewer parts one, or resume with those that it was begun with"
    )]
    OtherParts,
    /// Without a heap there is room for the accounts of so many runs at once, and there are as many.
    #[error(
        "a runner without a heap keeps account of {LEDGERS} runs at once: wait until one ends, or switch on feature `alloc`"
    )]
    TooManyRuns,
}

impl From<BudgetExceeded> for SpendError {
    fn from(exceeded: BudgetExceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

#[diagnostic::do_not_recommend]
impl Failure for SpendError {
    /// Terminal: no retry makes a budget larger, or a price known. Only room for another run comes by itself.
    fn class(&self) -> FailureClass {
        match self {
            Self::TooManyRuns => FailureClass::Recoverable,
            _ => FailureClass::Terminal,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_budget_of_nothing_is_refused_by_its_dimension() {
        let one = Budget::unlimited().tokens(1).cost(Usd::picodollars(1)).latency(Duration::from_nanos(1));
        assert_eq!(one.check(), Ok(()));
        assert_eq!(Budget::unlimited().check(), Ok(()));
        for (budget, dimension) in [
            (one.tokens(0), Dimension::Tokens),
            (one.cost(Usd::ZERO), Dimension::Cost),
            (one.latency(Duration::ZERO), Dimension::Time),
        ] {
            assert_eq!(budget.check(), Err(EmptyBudget { dimension }));
        }
        let error = one.cost(Usd::ZERO).check().unwrap_err().to_string();
        assert!(error.contains("cost is zero"), "{error}");
    }

    #[test]
    fn a_limit_is_told_in_one_line_with_what_to_do() {
        for error in [
            BudgetExceeded::Tokens { limit: 1_000, actual: 1_200 },
            BudgetExceeded::Cost { limit: Usd::cents(5), actual: Usd::cents(7) },
            BudgetExceeded::Time { limit: Duration::from_secs(1), actual: Duration::from_millis(1_250) },
        ] {
            let text = SpendError::from(error).to_string();
            assert!(text.contains("`.budget` of a part), then `resume`") && !text.contains('\n'), "{text}");
            assert_eq!(error.class(), FailureClass::Terminal);
        }
        let text = BudgetExceeded::Cost { limit: Usd::cents(5), actual: Usd::cents(7) }.to_string();
        assert_eq!(text, "the budget of $0.05 is reached at $0.07");
    }

    #[test]
    fn an_unknown_model_is_named() {
        let text = SpendError::UnknownModel(UnknownModel::of(Some("gpt-9\n"))).to_string();
        assert!(text.starts_with("model `gpt-9\\n` has no price"), "{text}");
        let text = SpendError::UnknownModel(UnknownModel::of(None)).to_string();
        assert!(text.starts_with("a call names neither its model"), "{text}");
    }
}
