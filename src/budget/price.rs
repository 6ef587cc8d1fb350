//! What a model costs.

use core::fmt;

use super::{
    decimal::{UsdError, scaled},
    model::ModelName,
    usd::Usd,
};
#[cfg(feature = "alloc")]
use crate::text::Words;

/// How many decimals a dollar for a million tokens has, so that each token costs whole picodollars.
pub(super) const PER_MILLION: u32 = 6;
const MILLION: u64 = 10_u64.pow(PER_MILLION);

/// What a model costs: so much for each token in, so much for each token out.
///
/// ```
/// use stroma::{Price, Usd};
///
/// let price = Price::per_million(Usd::cents(250), Usd::dollars(10))?;
/// assert_eq!(price, Price::parse_per_million("2.5", "10")?);
/// assert_eq!(price.input(), Usd::picodollars(2_500_000));
/// assert_eq!(price.cost(1_200, 300), Some(Usd::picodollars(6_000_000_000)));
/// # Ok::<(), stroma::PricingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Price {
    input: Usd,
    output: Usd,
}

impl Price {
    /// So many picodollars for each token.
    pub(super) const fn of(input: u64, output: u64) -> Self {
        Self { input: Usd::picodollars(input), output: Usd::picodollars(output) }
    }

    /// So much for each token.
    pub const fn per_token(input: Usd, output: Usd) -> Self {
        Self { input, output }
    }

    /// So much for a million tokens, as price lists have it.
    ///
    /// # Errors
    /// When a token would cost a fraction of a picodollar: no price list is as fine as that.
    pub const fn per_million(input: Usd, output: Usd) -> Result<Self, PricingError> {
        match (whole(input), whole(output)) {
            (Some(input), Some(output)) => Ok(Self::of(input, output)),
            (None, _) => Err(PricingError::amount(INPUT, UsdError::TooFine)),
            (_, None) => Err(PricingError::amount(OUTPUT, UsdError::TooFine)),
        }
    }

    /// So much for a million tokens, each a decimal number of dollars that is read exactly.
    ///
    /// # Errors
    /// When a text is not an amount of dollars, or a token would cost a fraction of a picodollar.
    pub fn parse_per_million(input: &str, output: &str) -> Result<Self, PricingError> {
        let read = |field, text| scaled(text, PER_MILLION).map_err(|error| PricingError::amount(field, error));
        Ok(Self::of(read(INPUT, input)?, read(OUTPUT, output)?))
    }

    /// Nothing: a model of one's own, or one that is paid for otherwise.
    pub const fn free() -> Self {
        Self::of(0, 0)
    }

    /// The price of a token that goes in.
    pub const fn input(&self) -> Usd {
        self.input
    }

    /// The price of a token that comes out.
    pub const fn output(&self) -> Usd {
        self.output
    }

    /// What so many tokens cost, or `None` where that does not fit.
    pub const fn cost(&self, input: u64, output: u64) -> Option<Usd> {
        match (self.input.checked_mul(input), self.output.checked_mul(output)) {
            (Some(input), Some(output)) => input.checked_add(output),
            _ => None,
        }
    }
}

const fn whole(per_million: Usd) -> Option<u64> {
    let picodollars = per_million.as_picodollars();
    if picodollars.is_multiple_of(MILLION) { Some(picodollars / MILLION) } else { None }
}

/// The name of a price in errors and in JSON.
pub(super) const INPUT: &str = "input_per_million";
pub(super) const OUTPUT: &str = "output_per_million";

/// Why a price or a price table is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricingError {
    kind: PricingErrorKind,
    model: Option<ModelName>,
    field: Option<&'static str>,
    /// From 1; zero where there is no text.
    line: usize,
    column: usize,
    /// What serde_json has to say.
    #[cfg(feature = "alloc")]
    words: Words,
}

/// What is wrong with a price or a price table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PricingErrorKind {
    /// A model without a name.
    EmptyModel,
    /// A model that has a price already.
    Duplicate,
    /// There is no room for another price.
    Full {
        /// How many there may be.
        max: usize,
    },
    /// A price is not one.
    Amount(UsdError),
    /// The text is not a price table in JSON, or a table has no such form.
    Json,
}

impl PricingError {
    pub(super) const fn of(kind: PricingErrorKind) -> Self {
        Self {
            kind,
            model: None,
            field: None,
            line: 0,
            column: 0,
            #[cfg(feature = "alloc")]
            words: Words::none(),
        }
    }

    pub(super) const fn amount(field: &'static str, error: UsdError) -> Self {
        let mut new = Self::of(PricingErrorKind::Amount(error));
        new.field = Some(field);
        new
    }

    pub(super) fn model(mut self, model: ModelName) -> Self {
        self.model = Some(model);
        self
    }

    #[cfg(feature = "json")]
    pub(super) fn at(mut self, (line, column): (usize, usize)) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    #[cfg(feature = "json")]
    pub(super) fn words(mut self, words: Words) -> Self {
        self.words = words;
        self
    }

    /// What is wrong.
    pub const fn kind(&self) -> PricingErrorKind {
        self.kind
    }

    /// The model whose price it is about.
    pub fn model_name(&self) -> Option<&str> {
        self.model.as_ref().map(ModelName::as_str)
    }

    /// Which of its prices: `input_per_million` or `output_per_million`.
    pub const fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// Line and column, both from 1, where it was read from JSON.
    pub const fn position(&self) -> Option<(usize, usize)> {
        if self.line == 0 { None } else { Some((self.line, self.column)) }
    }
}

impl fmt::Display for PricingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prices")?;
        if let Some((line, column)) = self.position() {
            write!(f, ", line {line}, column {column}")?;
        }
        if let Some(model) = &self.model {
            write!(f, ", model `{}`", model.as_str().escape_debug())?;
        }
        if let Some(field) = self.field {
            write!(f, ", {field}")?;
        }
        f.write_str(": ")?;
        match self.kind {
            PricingErrorKind::EmptyModel => f.write_str("a model has no name: give it the one that its calls report"),
            PricingErrorKind::Duplicate => {
                f.write_str("the model has a price already: leave one out, or use `replace` for the later one to win")
            }
            PricingErrorKind::Full { max } => {
                write!(f, "there is room for {max} prices of your own: leave some out, or use feature `alloc`")
            }
            PricingErrorKind::Amount(UsdError::TooFine) => f.write_str(
                "a token would cost a fraction of a picodollar: give at most six decimals for a million tokens",
            ),
            PricingErrorKind::Amount(error) => error.fmt(f),
            #[cfg(feature = "alloc")]
            PricingErrorKind::Json => f.write_str(self.words.as_str()),
            #[cfg(not(feature = "alloc"))]
            PricingErrorKind::Json => f.write_str("this is not a price table"),
        }
    }
}

impl core::error::Error for PricingError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_price_that_is_none_is_refused_by_its_field() {
        let odd = Usd::picodollars(1_500_000);
        let error = Price::per_million(odd, Usd::ZERO).unwrap_err();
        assert_eq!((error.kind(), error.field()), (PricingErrorKind::Amount(UsdError::TooFine), Some(INPUT)));
        let error = Price::per_million(Usd::ZERO, odd).unwrap_err();
        assert_eq!((error.kind(), error.field()), (PricingErrorKind::Amount(UsdError::TooFine), Some(OUTPUT)));
        for (text, kind) in [
            ("-1", UsdError::Negative),
            ("NaN", UsdError::NotFinite),
            ("inf", UsdError::NotFinite),
            ("0.0000001", UsdError::TooFine),
            ("1e20", UsdError::TooLarge),
            ("", UsdError::Empty),
            ("free", UsdError::NotANumber),
        ] {
            let error = Price::parse_per_million("1", text).unwrap_err();
            assert_eq!((error.kind(), error.field()), (PricingErrorKind::Amount(kind), Some(OUTPUT)), "{text}");
            assert!(error.to_string().starts_with("prices, output_per_million: "), "{error}");
        }
    }
}
