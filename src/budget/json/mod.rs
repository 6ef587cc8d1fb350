//! Price tables as JSON.

#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, collections::BTreeSet, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    decimal::{Decimal, UsdError, scaled},
    model::{Label, ModelName},
    price::{INPUT, OUTPUT, PER_MILLION, Price, PricingError, PricingErrorKind},
    pricing::Pricing,
};
use crate::text::Words;

impl Pricing {
    /// Reads a price table.
    ///
    /// Prices are in dollars for a million tokens, as numbers or as text; both are read exactly, digit by digit. `as_of` and
    /// `source` may be left out, nothing may be added.
    ///
    /// ```
    /// use stroma::{Price, Pricing};
    ///
    /// let pricing = Pricing::from_json(
    ///     r#"{
    ///         "as_of": "2026-08-21",
    ///         "source": "https://example.org/prices",
    ///         "models": { "house-model": { "input_per_million": 2.5, "output_per_million": "10" } }
    ///     }"#,
    /// )?;
    /// assert_eq!(pricing.price_of("house-model"), Some(Price::parse_per_million("2.5", "10")?));
    /// assert_eq!(pricing.as_of(), Some("2026-08-21"));
    /// # Ok::<(), stroma::PricingError>(())
    /// ```
    ///
    /// # Errors
    /// With line and column, the model and the field: what is no price table, a price that is none, a model that is there twice.
    pub fn from_json(text: &str) -> Result<Self, PricingError> {
        Self::empty().merge_json(text)
    }

    /// Reads a price table into this one. Where both have a model, the one read wins.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn merge_json(mut self, text: &str) -> Result<Self, PricingError> {
        // To serde an array is as good as an object.
        if text.trim_start().starts_with('[') {
            let words = Words::of("this is an array: a price table is an object with `models`");
            return Err(PricingError::of(PricingErrorKind::Json).words(words).at(position(text, text.trim_start())));
        }
        let table: TableIn<'_> = serde_json::from_str(text).map_err(|error| refused(&error, (1, 1)))?;
        let mut seen = BTreeSet::new();
        for (model, price) in &table.models.0 {
            // Where it is takes a look at all before it, so only an error asks.
            let place = || position(text, price.get());
            let name = &**model;
            let model = || ModelName::from(String::from(name));
            if !seen.insert(name) {
                return Err(PricingError::of(PricingErrorKind::Duplicate).model(model()).at(place()));
            }
            if price.get().starts_with('[') {
                let words = Words::of(
                    "this is an array: a price is an object with `input_per_million` and `output_per_million`",
                );
                return Err(PricingError::of(PricingErrorKind::Json).words(words).model(model()).at(place()));
            }
            let read: PriceIn<'_> =
                serde_json::from_str(price.get()).map_err(|error| refused(&error, place()).model(model()))?;
            let amount = |field, raw: &RawValue| {
                amount(raw)
                    .map_err(|error| PricingError::amount(field, error).model(model()).at(position(text, raw.get())))
            };
            let price = Price::of(amount(INPUT, read.input_per_million)?, amount(OUTPUT, read.output_per_million)?);
            self.set(model(), price).map_err(|error| error.at(place()))?;
        }
        self.dated(table.as_of.map(owned), table.source.map(owned));
        Ok(self)
    }

    /// The table as JSON, in the form that [`from_json`](Self::from_json) reads; prices as text, exactly.
    ///
    /// # Errors
    /// None are known: every field has a JSON form.
    pub fn to_json(&self) -> Result<String, PricingError> {
        serde_json::to_string_pretty(&TableOut { as_of: self.as_of(), source: self.source(), models: ModelsOut(self) })
            .map_err(|error| PricingError::of(PricingErrorKind::Json).words(Words::of(error)))
    }
}

fn owned(text: Cow<'_, str>) -> Label {
    Label(Cow::Owned(text.into_owned()))
}

/// Dollars for a million tokens as picodollars for each.
fn amount(raw: &RawValue) -> Result<u64, UsdError> {
    let raw = raw.get();
    match raw.bytes().next() {
        Some(b'"') => {
            let text: Cow<'_, str> = serde_json::from_str(raw).map_err(|_| UsdError::NotANumber)?;
            scaled(&text, PER_MILLION)
        }
        _ => scaled(raw, PER_MILLION),
    }
}

/// Line and column, from 1, of a part of `text`.
fn position(text: &str, part: &str) -> (usize, usize) {
    // The part was read without being copied, so it lies in the text.
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = text.get(..offset).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().len() + 1;
    (line, column)
}

/// What serde_json says of a part that begins at `start`.
#[cold]
fn refused(error: &serde_json::Error, start: (usize, usize)) -> PricingError {
    let words = Words::of(error);
    // It ends in the position, which is that in the part.
    let said = words.as_str();
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    let (line, column) = (error.line().max(1), error.column().max(1));
    let place = match line {
        1 => (start.0, start.1 + column - 1),
        _ => (start.0 + line - 1, column),
    };
    PricingError::of(PricingErrorKind::Json).words(Words::of(said)).at(place)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a price table: an object with `models`")]
struct TableIn<'t> {
    #[serde(borrow, default)]
    as_of: Option<Cow<'t, str>>,
    #[serde(borrow, default)]
    source: Option<Cow<'t, str>>,
    #[serde(borrow)]
    models: ModelsIn<'t>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a price: an object with `input_per_million` and `output_per_million`")]
struct PriceIn<'t> {
    #[serde(borrow)]
    input_per_million: &'t RawValue,
    #[serde(borrow)]
    output_per_million: &'t RawValue,
}

/// The models in the order of the text, a name that is there twice too.
struct ModelsIn<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for ModelsIn<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of prices by model")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut models = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    models.push(entry);
                }
                Ok(models)
            }
        }

        from.deserialize_map(Visitor).map(Self)
    }
}

#[derive(Serialize)]
struct TableOut<'t> {
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'t str>,
    models: ModelsOut<'t>,
}

struct ModelsOut<'t>(&'t Pricing);

impl Serialize for ModelsOut<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for (model, price) in self.0.iter() {
            let [input_per_million, output_per_million] = [price.input(), price.output()].map(|each| {
                PerMillion(Decimal { units: each.as_picodollars(), decimals: PER_MILLION as usize, least: 0 })
            });
            map.serialize_entry(model, &PriceOut { input_per_million, output_per_million })?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct PriceOut {
    input_per_million: PerMillion,
    output_per_million: PerMillion,
}

struct PerMillion(Decimal);

impl Serialize for PerMillion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}
