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
        let found = error(&format!("\n  \"m\": {{\n    \"output_per_million\": {price}, \"input_per_million\": 1}}"));
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
