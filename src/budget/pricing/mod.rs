//! Price tables.

#[cfg(test)]
mod tests;

use super::{
    known,
    limit::SpendError,
    model::{Label, ModelName},
    price::{Price, PricingError, PricingErrorKind},
    usage::Usage,
    usd::Usd,
};

/// How many prices of its own a [`Pricing`] holds without feature `alloc`.
pub const OWN_PRICES_MAX: usize = 8;

#[cfg(feature = "alloc")]
type Own = alloc::vec::Vec<(ModelName, Price)>;
#[cfg(not(feature = "alloc"))]
type Own = heapless::Vec<(ModelName, Price), OWN_PRICES_MAX>;

/// A price table: what the calls of each model cost.
///
/// ```
/// use stroma::{Price, Pricing, Usage, Usd};
///
/// let pricing = Pricing::known()
///     .with("house-model", Price::free())?
///     .replace("gpt-4o", Price::parse_per_million("2", "8")?)?;
/// assert_eq!(pricing.cost(&Usage::of("gpt-4o-2024-08-06").input(1_000)), Ok(Some(Usd::picodollars(2_000_000_000))));
/// assert_eq!(pricing.price_of("gpt-9"), None);
/// # Ok::<(), stroma::PricingError>(())
/// ```
///
/// # Names
/// A name is looked up as it is. If there is none like it and it ends in a date (`-2024-08-06`, `-20240806`, `-08-2024`, `-0806`
/// or `-2408`), then without that date. Nothing else of a name is ever left out: `gpt-4o-mini` is never taken for `gpt-4o`,
/// and a provider before the name (`openai/gpt-4o`) makes it another one.
///
/// # Prices of your own
/// Without feature `alloc` there is room for [`OWN_PRICES_MAX`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pricing {
    known: bool,
    /// In the order of names; they come before the known ones.
    own: Own,
    as_of: Option<Label>,
    source: Option<Label>,
}

impl Pricing {
    /// The day of the table that comes with the crate, [`known`](Self::known).
    pub const KNOWN_AS_OF: &'static str = known::AS_OF;

    /// Where the table that comes with the crate is from.
    pub const KNOWN_SOURCE: &'static str = known::SOURCE;

    /// A table without prices.
    pub const fn empty() -> Self {
        Self { known: false, own: Own::new(), as_of: None, source: None }
    }

    /// The table that comes with the crate: list prices of well-known models for text, as of
    /// [`KNOWN_AS_OF`](Self::KNOWN_AS_OF), from [`KNOWN_SOURCE`](Self::KNOWN_SOURCE).
    ///
    /// Prices change. Whoever has to rely on them brings a table of their own. What charges more for long prompts is not in it, and
    /// no discount is: what a provider's cache saves, for example.
    pub const fn known() -> Self {
        Self { known: true, own: Own::new(), as_of: None, source: None }
    }

    /// Adds a model.
    ///
    /// # Errors
    /// When it has a price already, when its name is empty, or when there is no room.
    pub fn with(self, model: impl Into<ModelName>, price: Price) -> Result<Self, PricingError> {
        let model = model.into();
        if self.exact(model.as_str()).is_some() {
            return Err(PricingError::of(PricingErrorKind::Duplicate).model(model));
        }
        self.replace(model, price)
    }

    /// Sets the price of a model, whether it had one or not.
    ///
    /// # Errors
    /// When its name is empty, or when there is no room.
    pub fn replace(mut self, model: impl Into<ModelName>, price: Price) -> Result<Self, PricingError> {
        self.set(model.into(), price)?;
        Ok(self)
    }

    pub(super) fn set(&mut self, model: ModelName, price: Price) -> Result<(), PricingError> {
        if model.as_str().is_empty() {
            return Err(PricingError::of(PricingErrorKind::EmptyModel));
        }
        match self.find(model.as_str()) {
            Ok(at) => {
                if let Some((_, old)) = self.own.get_mut(at) {
                    *old = price;
                }
            }
            #[cfg(feature = "alloc")]
            Err(at) => self.own.insert(at, (model, price)),
            #[cfg(not(feature = "alloc"))]
            Err(at) => {
                if let Err((model, _)) = self.own.insert(at, (model, price)) {
                    return Err(PricingError::of(PricingErrorKind::Full { max: OWN_PRICES_MAX }).model(model));
                }
            }
        }
        Ok(())
    }

    /// The price of a model, or `None` where it has none.
    pub fn price_of(&self, model: &str) -> Option<Price> {
        self.find_price(model).copied()
    }

    /// What a call costs, or `None` where its model has no price. What the service itself said comes first.
    ///
    /// # Errors
    /// [`Overflow`](SpendError::Overflow) when the cost is more than [`Usd::MAX`].
    pub fn cost(&self, usage: &Usage<'_>) -> Result<Option<Usd>, SpendError> {
        if let Some(cost) = usage.reported_cost() {
            return Ok(Some(cost));
        }
        let Some(price) = usage.model().and_then(|model| self.price_of(model)) else { return Ok(None) };
        match price.cost(usage.input_tokens(), usage.output_tokens()) {
            Some(cost) => Ok(Some(cost)),
            None => Err(SpendError::Overflow),
        }
    }

    /// All prices: first those of your own, then the others, the shortest names first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Price)> {
        let known = if self.known { known::TABLE } else { &[] };
        let others = known.iter().filter(|(model, _)| self.find(model).is_err());
        let own = self.own.iter().map(|(model, price)| (model.as_str(), *price));
        own.chain(others.map(|(model, price)| (*model, *price)))
    }

    /// The day that the prices are of, where it is known: that of the table read last.
    pub fn as_of(&self) -> Option<&str> {
        self.as_of.as_ref().map(Label::as_str).or(self.known.then_some(Self::KNOWN_AS_OF))
    }

    /// Where the prices are from, where that is known: the source of the table read last.
    pub fn source(&self) -> Option<&str> {
        self.source.as_ref().map(Label::as_str).or(self.known.then_some(Self::KNOWN_SOURCE))
    }

    /// Of which day and from where a table is that was read into this one.
    #[cfg(feature = "json")]
    pub(super) fn dated(&mut self, as_of: Option<Label>, source: Option<Label>) {
        self.as_of = as_of.or(self.as_of.take());
        self.source = source.or(self.source.take());
    }

    fn find(&self, model: &str) -> Result<usize, usize> {
        self.own.binary_search_by(|(name, _)| known::by_name(name.as_str(), model))
    }

    /// A reference: copied on the way, it would be the slowest part of the look-up.
    #[inline(always)]
    pub(super) fn find_price(&self, model: &str) -> Option<&Price> {
        match self.exact(model) {
            None => self.undated(model),
            found => found,
        }
    }

    #[inline]
    fn exact(&self, model: &str) -> Option<&Price> {
        let own = if self.own.is_empty() { None } else { self.own(model) };
        match own {
            None if self.known => known::price_of(model),
            own => own,
        }
    }

    fn own(&self, model: &str) -> Option<&Price> {
        self.own.get(self.find(model).ok()?).map(|(_, price)| price)
    }

    #[cold]
    fn undated(&self, model: &str) -> Option<&Price> {
        // By length of the date, the shortest first: so it is the longest name that matches.
        ["-0806".len(), "-08-2024".len(), "-20240806".len(), "-2024-08-06".len()].into_iter().find_map(|len| {
            let (name, date) = model.split_at_checked(model.len().checked_sub(len)?)?;
            if is_date(date) { self.exact(name) } else { None }
        })
    }
}

/// Whether it is a dash and a date.
fn is_date(text: &str) -> bool {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        if digits { text.parse::<u32>().ok() } else { None }
    };
    let part = |from: usize, to: usize| text.get(from..to).and_then(number);
    let dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
    let month = |month: Option<u32>| month.is_some_and(|month| (1..=12).contains(&month));
    let day = |day: Option<u32>| day.is_some_and(|day| (1..=31).contains(&day));
    let year = |year: Option<u32>| year.is_some_and(|year| (2000..2100).contains(&year));
    let year_short = |year: Option<u32>| year.is_some_and(|year| (20..40).contains(&year));
    dash(0)
        && match text.len() {
            5 => month(part(1, 3)) && day(part(3, 5)) || year_short(part(1, 3)) && month(part(3, 5)),
            8 => month(part(1, 3)) && dash(3) && year(part(4, 8)),
            9 => year(part(1, 5)) && month(part(5, 7)) && day(part(7, 9)),
            11 => year(part(1, 5)) && dash(5) && month(part(6, 8)) && dash(8) && day(part(9, 11)),
            _ => false,
        }
}
