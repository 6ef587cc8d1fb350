//! What a call used.

use super::usd::Usd;

/// What a call used, or may use at most: tokens in and out, the model, and what it cost where the service says so itself.
///
/// ```
/// use stroma::{Usage, Usd};
///
/// let call = Usage::of("gpt-4o").input(1_200).output(300);
/// assert_eq!(call.total_tokens(), Some(1_500));
///
/// let search = Usage::cost(Usd::cents(1));
/// assert_eq!(search.reported_cost(), Some(Usd::cents(1)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Usage<'m> {
    model: Option<&'m str>,
    input: u64,
    output: u64,
    cost: Option<Usd>,
}

impl<'m> Usage<'m> {
    const NONE: Self = Self { model: None, input: 0, output: 0, cost: None };

    /// A call of this model, without tokens yet.
    pub const fn of(model: &'m str) -> Self {
        Self { model: Some(model), ..Self::NONE }
    }

    /// So many tokens of no model in particular. Under a money budget it needs [`with_cost`](Self::with_cost) too.
    pub const fn tokens(tokens: u64) -> Self {
        Self { input: tokens, ..Self::NONE }
    }

    /// A call that cost this much and used no tokens.
    pub const fn cost(cost: Usd) -> Self {
        Self { cost: Some(cost), ..Self::NONE }
    }

    /// The tokens that go in.
    #[must_use]
    pub const fn input(mut self, tokens: u64) -> Self {
        self.input = tokens;
        self
    }

    /// The tokens that come out.
    #[must_use]
    pub const fn output(mut self, tokens: u64) -> Self {
        self.output = tokens;
        self
    }

    /// What it costs as the service itself says; no price table is asked then.
    #[must_use]
    pub const fn with_cost(mut self, cost: Usd) -> Self {
        self.cost = Some(cost);
        self
    }

    /// The model.
    pub const fn model(&self) -> Option<&'m str> {
        self.model
    }

    /// The tokens that went in.
    pub const fn input_tokens(&self) -> u64 {
        self.input
    }

    /// The tokens that came out.
    pub const fn output_tokens(&self) -> u64 {
        self.output
    }

    /// What it cost as the service itself said.
    pub const fn reported_cost(&self) -> Option<Usd> {
        self.cost
    }

    /// The tokens in and out, or `None` where their sum does not fit.
    pub const fn total_tokens(&self) -> Option<u64> {
        self.input.checked_add(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_is_what_it_was_given() {
        const CALL: Usage<'static> = Usage::of("m").input(2).output(3).with_cost(Usd::cents(4));
        assert_eq!((CALL.model(), CALL.input_tokens(), CALL.output_tokens()), (Some("m"), 2, 3));
        assert_eq!((CALL.reported_cost(), CALL.total_tokens()), (Some(Usd::cents(4)), Some(5)));
        assert_eq!(Usage::tokens(7).total_tokens(), Some(7));
        assert_eq!(Usage::tokens(7).model(), None);
        assert_eq!(Usage::of("m").input(u64::MAX).output(1).total_tokens(), None);
        assert_eq!(Usage::default(), Usage::tokens(0));
    }
}
