//! What is spent and reserved under one limit.

use core::time::Duration;

use crate::budget::{
    amount::Amount,
    limit::{Budget, BudgetExceeded},
    usd::Usd,
};

/// In place of a limit, and of the start of what has not begun.
pub(super) const NONE: u64 = u64::MAX;

/// Which limit of a run: its own, or that of a part of its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope(pub(super) u8);

impl Scope {
    /// The run's own.
    pub(crate) const RUN: Self = Self(0);
}

/// What is spent and reserved under one limit. What is in an inner one is in all around it too.
#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) spent: Amount,
    pub(super) reserved: Amount,
    /// What of the reserved is stored as if it were spent.
    pub(super) ahead: Amount,
    /// At most so much.
    pub(super) limit: Amount,
    /// In nanoseconds: at most so long, when it began, and how long it had taken before that.
    pub(super) time_limit: u64,
    pub(super) started: u64,
    pub(super) before: u64,
    pub(super) key: u32,
    /// How many are in it at present: its time is that while there is anybody.
    pub(super) inside: u16,
    /// The one around it, which always comes before it.
    pub(super) parent: Scope,
}

impl Account {
    pub(super) const VACANT: Self = Self {
        spent: Amount::ZERO,
        reserved: Amount::ZERO,
        ahead: Amount::ZERO,
        limit: Amount { tokens: NONE, cost: Usd::MAX },
        time_limit: NONE,
        started: NONE,
        before: 0,
        key: 0,
        inside: 0,
        parent: Scope::RUN,
    };

    pub(super) const fn limited(mut self, budget: &Budget) -> Self {
        self.limit.tokens = match budget.token_limit() {
            Some(most) => most,
            None => NONE,
        };
        self.limit.cost = match budget.cost_limit() {
            Some(most) => most,
            None => Usd::MAX,
        };
        self.time_limit = match budget.time_limit() {
            Some(most) => nanos(most),
            None => NONE,
        };
        self
    }

    /// How long it has taken. What has not begun takes no time: `now` is never after its start.
    #[inline(always)]
    pub(super) const fn time(&self, now: u64) -> u64 {
        self.before.saturating_add(now.saturating_sub(self.started))
    }

    /// What of `total` is over the limit, or at it; nothing where there is none.
    #[cold]
    pub(super) fn reached(&self, total: Amount, time: u64, over: impl Fn(u64, u64) -> bool) -> Option<BudgetExceeded> {
        let limit = self.limit;
        let over = |actual, limit| limit != NONE && over(actual, limit);
        if over(total.tokens, limit.tokens) {
            Some(BudgetExceeded::Tokens { limit: limit.tokens, actual: total.tokens })
        } else if over(total.cost.as_picodollars(), limit.cost.as_picodollars()) {
            Some(BudgetExceeded::Cost { limit: limit.cost, actual: total.cost })
        } else if over(time, self.time_limit) {
            let (limit, actual) = (Duration::from_nanos(self.time_limit), Duration::from_nanos(time));
            Some(BudgetExceeded::Time { limit, actual })
        } else {
            None
        }
    }
}

/// A duration in nanoseconds, at most 584 years.
#[inline(always)]
pub(super) const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}
