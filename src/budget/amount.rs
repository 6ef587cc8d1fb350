//! Tokens and money together.

use core::time::Duration;

use super::usd::Usd;

/// Tokens and money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount {
    /// Tokens, in and out together.
    pub tokens: u64,
    /// Money.
    pub cost: Usd,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { tokens: 0, cost: Usd::ZERO };

    pub(super) fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self { tokens: self.tokens.checked_add(other.tokens)?, cost: self.cost.checked_add(other.cost)? })
    }

    pub(crate) fn saturating_add(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), cost: self.cost.saturating_add(other.cost) }
    }

    pub(super) fn saturating_sub(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_sub(other.tokens), cost: self.cost.saturating_sub(other.cost) }
    }

    /// What is left of a whole without a part; a whole that was cut at the most that there can be has all parts.
    pub(super) fn minus_part(self, part: Self) -> Option<Self> {
        let tokens = if self.tokens == u64::MAX { Some(u64::MAX) } else { self.tokens.checked_sub(part.tokens) };
        let cost = if self.cost == Usd::MAX { Some(Usd::MAX) } else { self.cost.checked_sub(part.cost) };
        Some(Self { tokens: tokens?, cost: cost? })
    }
}

/// What is still left of a budget; `None` where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Remaining {
    /// Tokens that can still be reserved.
    pub tokens: Option<u64>,
    /// Money that can still be reserved.
    pub cost: Option<Usd>,
    /// Time.
    pub time: Option<Duration>,
}
