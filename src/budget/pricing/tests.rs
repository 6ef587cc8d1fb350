extern crate std;
use std::{string::ToString, vec::Vec};

use super::*;

fn price(input: &str, output: &str) -> Price {
    Price::parse_per_million(input, output).unwrap()
}

#[test]
fn prices_are_exact() {
    let four_o = Pricing::known().price_of("gpt-4o").unwrap();
    assert_eq!((four_o.input().as_picodollars(), four_o.output().as_picodollars()), (2_500_000, 10_000_000));
    assert_eq!(four_o, price("2.5", "$10"));
    assert_eq!(Price::per_million(Usd::cents(250), Usd::dollars(10)), Ok(four_o));
    assert_eq!(price("0.000001", "0"), Price::per_token(Usd::picodollars(1), Usd::ZERO));
    // In floats it is 0.12345600000000001 dollars.
    let usage = Usage::of("gpt-4o").input(41_152).output(2_057);
    assert_eq!(Pricing::known().cost(&usage), Ok(Some(Usd::picodollars(123_450_000_000))));
}

#[test]
fn a_dated_name_is_that_of_its_model() {
    let pricing = Pricing::known();
    let (big, small) = (price("2.5", "10"), price("0.15", "0.6"));
    for (name, found) in [
        ("gpt-4o", Some(big)),
        ("gpt-4o-2024-08-06", Some(big)),
        ("gpt-4o-20240806", Some(big)),
        ("gpt-4o-0806", Some(big)),
        ("gpt-4o-2408", Some(big)),
        ("gpt-4o-08-2024", Some(big)),
        // It has a price of its own.
        ("gpt-4o-2024-05-13", Some(price("5", "15"))),
        ("gpt-4o-mini", Some(small)),
        ("gpt-4o-mini-2024-07-18", Some(small)),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o-audio-preview-2024-10-01", None),
        ("gpt-4o-2024-13-01", None),
        ("gpt-4o-2024-08-00", None),
        ("gpt-4o-8192", None),
        ("gpt-4o-1", None),
        ("gpt-4o-", None),
        ("gpt-4o2024-08-06", None),
        ("gpt-4o-+806", None),
        ("gpt-4ö-0806", None),
        ("GPT-4o", None),
        ("openai/gpt-4o", None),
        ("-0806", None),
        ("ö0806", None),
        ("", None),
    ] {
        assert_eq!(pricing.price_of(name), found, "{name}");
    }
    let own = Pricing::empty().with("x", big).unwrap().with("x-0806", small).unwrap();
    assert_eq!(own.price_of("x-0806-2024-08-06"), Some(small));
    assert_eq!(own.price_of("x-0807"), Some(big));
}

#[test]
fn prices_of_ones_own_come_first_and_never_twice() {
    let error = Pricing::known().with("gpt-4o", Price::free()).unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (PricingErrorKind::Duplicate, Some("gpt-4o")));
    assert!(error.to_string().contains("model `gpt-4o`: the model has a price already"), "{error}");
    let mine = Pricing::known().replace("gpt-4o", Price::free()).unwrap();
    assert_eq!(mine.price_of("gpt-4o"), Some(Price::free()));
    assert_eq!(mine.price_of("gpt-4o-2024-08-06"), Some(Price::free()));
    assert_eq!(mine.iter().count(), Pricing::known().iter().count());
    assert_eq!(mine.iter().filter(|(model, _)| *model == "gpt-4o").count(), 1);
    let again = mine.with("gpt-4o", price("1", "1")).unwrap_err();
    assert_eq!(again.kind(), PricingErrorKind::Duplicate);
    assert_eq!(Pricing::empty().with("", Price::free()).unwrap_err().kind(), PricingErrorKind::EmptyModel);
}

#[test]
fn what_has_no_price_costs_none_and_what_is_too_much_is_an_error() {
    let pricing = Pricing::empty().with("m", Price::per_token(Usd::dollars(1), Usd::dollars(1))).unwrap();
    assert_eq!(pricing.cost(&Usage::of("n").input(1)), Ok(None));
    assert_eq!(pricing.cost(&Usage::tokens(1)), Ok(None));
    assert_eq!(pricing.cost(&Usage::of("n").input(1).with_cost(Usd::cents(3))), Ok(Some(Usd::cents(3))));
    // What the service says wins over the table.
    assert_eq!(pricing.cost(&Usage::of("m").input(1).with_cost(Usd::cents(3))), Ok(Some(Usd::cents(3))));
    for usage in [
        Usage::of("m").input(u64::MAX),
        Usage::of("m").output(u64::MAX),
        Usage::of("m").input(10_000_000).output(10_000_000),
    ] {
        assert_eq!(pricing.cost(&usage), Err(SpendError::Overflow));
    }
}

#[test]
fn names_are_found_whatever_the_order_they_came_in() {
    let mut pricing = Pricing::empty();
    for name in ["d", "aa", "c", "b"] {
        pricing = pricing.with(name, Price::free()).unwrap();
    }
    assert_eq!(pricing.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "c", "d", "aa"]);
    assert_eq!((pricing.as_of(), pricing.source()), (None, None));
    assert_eq!(Pricing::known().as_of(), Some(Pricing::KNOWN_AS_OF));
    assert_eq!(Pricing::known().source(), Some(Pricing::KNOWN_SOURCE));
    for (name, price) in Pricing::known().iter() {
        assert_eq!(Pricing::known().price_of(name), Some(price));
    }
}

#[cfg(not(feature = "alloc"))]
#[test]
fn without_a_heap_there_is_room_for_eight() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let full = names.into_iter().try_fold(Pricing::known(), |table, name| table.with(name, Price::free())).unwrap();
    let error = full.clone().with("i", Price::free()).unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (PricingErrorKind::Full { max: 8 }, Some("i")));
    assert_eq!(full.replace("a", price("1", "1")).unwrap().price_of("a"), Some(price("1", "1")));
}
