//! Price tables as JSON.

use alloc::{borrow::Cow, collections::BTreeSet, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    model::{Label, ModelName},
    price::{INPUT, OUTPUT, PER_MILLION, Price, PricingError, PricingErrorKind},
    pricing::Pricing,
    usd::{Decimal, UsdError, scaled},
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

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::ToString};

    use super::*;
    use crate::budget::{Usd, price::PricingErrorKind as Kind};

    /// The kind, model, field and position of the error in a table with these models.
    fn error(models: &str) -> (Kind, Option<String>, Option<&'static str>, Option<(usize, usize)>) {
        let error = Pricing::from_json(&format!("{{\n \"models\": {{{models}}}\n}}")).unwrap_err();
        (error.kind(), error.model_name().map(String::from), error.field(), error.position())
    }

    #[test]
    fn numbers_are_read_from_their_text() {
        let table = Pricing::from_json(
            r#"{"models": {
                "a": {"input_per_million": 0.1, "output_per_million": 0.3},
                "b": {"input_per_million": 1.5e-1, "output_per_million": "$1e1"},
                "c": {"input_per_million": 0.000001, "output_per_million": 18446744073709.551615},
                "d\u00e9\"": {"output_per_million": 1.000000000000000000000000000000, "input_per_million": 0}
            }}"#,
        )
        .unwrap();
        for (model, input, output) in
            [("a", 100_000, 300_000), ("b", 150_000, 10_000_000), ("c", 1, u64::MAX), ("dé\"", 0, 1_000_000)]
        {
            let price = Price::per_token(Usd::picodollars(input), Usd::picodollars(output));
            assert_eq!(table.price_of(model), Some(price), "{model}");
        }
        assert_eq!((table.as_of(), table.source()), (None, None));
    }

    #[test]
    fn a_price_that_is_none_is_named_with_its_place() {
        use UsdError::{Empty, Negative, NotANumber, NotFinite, TooFine, TooLarge};
        for (price, reason) in [
            ("-1", Negative),
            ("-0.5e3", Negative),
            ("\"-1\"", Negative),
            ("\"NaN\"", NotFinite),
            ("\"-Infinity\"", NotFinite),
            ("0.0000001", TooFine),
            ("1e-99999999999999999999", TooFine),
            ("1e400", TooLarge),
            ("18446744073709.551616", TooLarge),
            ("\"\"", Empty),
            ("\"2,5\"", NotANumber),
            ("null", NotANumber),
            ("true", NotANumber),
            ("[1]", NotANumber),
            ("{}", NotANumber),
        ] {
            let found =
                error(&format!("\n  \"m\": {{\n    \"output_per_million\": {price}, \"input_per_million\": 1}}"));
            assert_eq!(found, (Kind::Amount(reason), Some("m".to_string()), Some(OUTPUT), Some((4, 27))), "{price}");
        }
    }

    #[test]
    fn a_model_is_there_once() {
        let price = r#"{"input_per_million": 1, "output_per_million": 1}"#;
        // The same name in another spelling.
        let found = error(&format!("\n\"gpt\": {price},\n\"other\": {price},\n\"\\u0067pt\": {price}"));
        assert_eq!(found, (Kind::Duplicate, Some("gpt".to_string()), None, Some((5, 13))));
        let found = error(&format!("\n\"\": {price}"));
        assert_eq!(found, (Kind::EmptyModel, None, None, Some((3, 5))));
    }

    #[test]
    fn what_is_no_price_table_is_refused_where_it_is_none() {
        for (text, said, place) in [
            ("", "EOF while parsing a value", (1, 1)),
            (" [null, null, {}]", "this is an array: a price table is an object with `models`", (1, 2)),
            ("7", "invalid type: integer `7`, expected a price table: an object with `models`", (1, 1)),
            ("{}", "missing field `models`", (1, 2)),
            ("{\"models\": 3}", "invalid type: integer `3`, expected an object of prices by model", (1, 12)),
            ("{\n\"model\": {}}", "unknown field `model`, expected one of `as_of`, `source`, `models`", (2, 7)),
            ("{\"models\": {}, \"models\": {}}", "duplicate field `models`", (1, 23)),
            ("{\"models\": {}} x", "trailing characters", (1, 16)),
            ("{\"models\": {\"m\": NaN}}", "expected value", (1, 18)),
        ] {
            let error = Pricing::from_json(text).unwrap_err();
            assert_eq!((error.kind(), error.position()), (Kind::Json, Some(place)), "{text}: {error}");
            let whole = format!("prices, line {}, column {}: {said}", place.0, place.1);
            assert_eq!(error.to_string(), whole, "{text}");
        }
        for (price, said, place) in [
            ("7", "invalid type: integer `7`, expected a price: an object with", (3, 9)),
            ("[1, 2]", "this is an array: a price is an object with", (3, 9)),
            ("{\"input_per_million\": 1}", "missing field `output_per_million`", (3, 32)),
            (
                "{\"input_per_million\": 1,\n\"input_per_million\": 1, \"output_per_million\": 1}",
                "duplicate field `input_per_million`",
                (4, 19),
            ),
            (
                "{\"input_per_million\": 1,\n\"cached\": 1, \"output_per_million\": 1}",
                "unknown field `cached`, expected `input_per_million` or `output_per_million`",
                (4, 8),
            ),
        ] {
            let text = format!("{{\n \"models\": {{\n  \"m\" : {price}}}\n}}");
            let error = Pricing::from_json(&text).unwrap_err();
            assert_eq!((error.kind(), error.model_name()), (Kind::Json, Some("m")), "{error}");
            assert_eq!(error.position(), Some(place), "{text}: {error}");
            assert!(error.to_string().contains(&format!("model `m`: {said}")), "{error}");
        }
    }

    #[test]
    fn a_table_comes_back_from_its_json() {
        let known = Pricing::known();
        let read = Pricing::from_json(&known.to_json().unwrap()).unwrap();
        assert!(read.iter().eq(known.iter()));
        assert_eq!((read.as_of(), read.source()), (known.as_of(), known.source()));
        let odd = Pricing::empty().with("x \"\n", Price::per_token(Usd::picodollars(1), Usd::MAX)).unwrap();
        assert_eq!(Pricing::from_json(&odd.to_json().unwrap()), Ok(odd));
    }

    #[test]
    fn what_is_read_wins_over_what_was_there() {
        let text = r#"{"as_of": "2031-01-01", "models": {
            "gpt-4o": {"input_per_million": 1, "output_per_million": 2},
            "new": {"input_per_million": 3, "output_per_million": 4}}}"#;
        let merged = Pricing::known().merge_json(text).unwrap();
        assert_eq!(merged.price_of("gpt-4o"), Price::parse_per_million("1", "2").ok());
        assert_eq!(merged.price_of("new"), Price::parse_per_million("3", "4").ok());
        assert_eq!(merged.price_of("o3"), Pricing::known().price_of("o3"));
        assert_eq!((merged.as_of(), merged.source()), (Some("2031-01-01"), Some(Pricing::KNOWN_SOURCE)));
    }
}
