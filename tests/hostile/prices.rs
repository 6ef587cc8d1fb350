//! Price tables and amounts of money: any text.

use stroma::{Price, Pricing, PricingErrorKind, Usage, Usd, UsdError};

use super::{is_one_line, within};

/// The text as an amount, as a price, as a table, and as a table read into the one that comes with the crate.
pub(crate) fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    amount(text);
    price(text);
    table(text);
}

fn amount(text: &str) {
    let usd: Usd = match within(text.len(), 0, 0, || text.parse()) {
        Ok(usd) => usd,
        Err(error) => {
            is_one_line(error);
            assert_eq!(serde_json::from_value::<Usd>(text.into()).ok(), None);
            return;
        }
    };
    returns(usd);
    // Not further from what a float has than a float is from the truth.
    let plain: String = text.trim().replace('$', "");
    let float: f64 = plain.parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
    let exact = usd.as_picodollars() as f64 / 1e12;
    assert!((float - exact).abs() <= exact * 1e-12, "{text:?} is {usd}");
}

/// An amount is what it is shown as.
fn returns(usd: Usd) {
    for shown in
        [format!("{usd}"), format!("{usd:.0}"), format!("{usd:.5}"), format!("{usd:.40}"), format!("{usd:>30}")]
    {
        assert_eq!(shown.parse(), Ok(usd), "{shown}");
    }
    let json = serde_json::to_string(&usd).unwrap();
    assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), usd);
    let mut bytes = [0; 16];
    let bytes = postcard::to_slice(&usd, &mut bytes).unwrap();
    assert_eq!(postcard::from_bytes(bytes), Ok(usd));
    assert_eq!(usd.checked_sub(usd), Some(Usd::ZERO));
}

fn price(text: &str) {
    match Price::parse_per_million(text, text) {
        Ok(price) => {
            assert_eq!(price.input(), price.output());
            assert_eq!(Price::per_token(price.input(), price.output()), price);
            costs(&price);
        }
        Err(error) => {
            assert!(matches!(error.kind(), PricingErrorKind::Amount(_)), "{error:?}");
            is_one_line(error);
        }
    }
}

/// A cost is exact, or there is none.
fn costs(price: &Price) {
    let each = |usd: Usd, tokens: u64| u128::from(usd.as_picodollars()) * u128::from(tokens);
    for (input, output) in [(0, 0), (1, 1), (1_200, 300), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
        // No sum of the two has more than 128 bits, but for the largest of both.
        let exact = each(price.input(), input).checked_add(each(price.output(), output));
        let exact = exact.and_then(|sum| u64::try_from(sum).ok()).map(Usd::picodollars);
        assert_eq!(price.cost(input, output), exact);
    }
}

/// Of a byte of the text: `"":{},` is the shortest entry there may be. It becomes a name and a piece of the text, in a list that
/// grows twofold.
const TABLE_PER_BYTE: usize = 64;

fn table(text: &str) {
    let table = match within(text.len(), TABLE_PER_BYTE, 1_024, || Pricing::from_json(text)) {
        Ok(table) => table,
        Err(error) => {
            is_one_line(&error);
            let (line, column) = error.position().unwrap();
            let found = text.split('\n').nth(line - 1);
            // What is missing at the end of the text is missing behind it.
            assert!(found.is_some_and(|found| (1..=found.len() + 1).contains(&column)), "{error} in {text:?}");
            if let PricingErrorKind::Amount(UsdError::NotANumber) = error.kind() {
                assert!(error.model_name().is_some() && error.field().is_some());
            }
            return;
        }
    };
    let json = table.to_json().unwrap();
    let again = Pricing::from_json(&json).unwrap();
    assert_eq!(again, table);
    assert_eq!(again.to_json().unwrap(), json);
    let merged = Pricing::known().merge_json(text).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (model, price) in table.iter() {
        assert!(!model.is_empty() && names.insert(model), "{model:?}");
        assert_eq!((table.price_of(model), merged.price_of(model)), (Some(price), Some(price)));
        let dated = format!("{model}-2024-08-06");
        assert!(table.price_of(&dated).is_some());
        for usd in [price.input(), price.output()] {
            returns(usd);
        }
        costs(&price);
        let usage = Usage::of(model).input(7).output(9);
        match table.cost(&usage) {
            Ok(cost) => assert_eq!(cost, price.cost(7, 9)),
            Err(_) => assert_eq!(price.cost(7, 9), None),
        }
    }
    for (model, price) in Pricing::known().iter().filter(|(model, _)| !names.contains(model)) {
        assert_eq!(merged.price_of(model), Some(price));
    }
    assert_eq!(
        merged.iter().count(),
        names.len() + Pricing::known().iter().filter(|(m, _)| !names.contains(m)).count()
    );
    assert_eq!(Pricing::from_json(&merged.to_json().unwrap()).unwrap().iter().count(), merged.iter().count());
}
