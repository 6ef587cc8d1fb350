//! The price table that comes with the crate.

use core::cmp::Ordering;

use super::price::Price;

/// The day of the snapshot that the table was taken from.
pub(super) const AS_OF: &str = "2026-08-21";

/// Where it was taken from.
pub(super) const SOURCE: &str = "https://github.com/pydantic/genai-prices";

/// List prices in dollars for a million tokens of text, in and out, in the [order of names](by_name).
///
/// From the source's revision 47df840a of that day, checked against <https://github.com/simonw/llm-prices>,
/// revision 723ef0bd of 2026-08-05. Left out is what has no single price: models that charge more for long prompts, or by a date to
/// come. Of a price that depends on the time of day it is the higher one.
pub(super) const TABLE: &[(&str, Price)] = &[
    ("o1", usd(15_000, 60_000)),
    ("o3", usd(2_000, 8_000)),
    ("gpt-5", usd(1_250, 10_000)),
    ("gpt-4o", usd(2_500, 10_000)),
    ("grok-3", usd(3_000, 15_000)),
    ("gpt-4.1", usd(2_000, 8_000)),
    ("gpt-5.1", usd(1_250, 10_000)),
    ("gpt-5.2", usd(1_750, 14_000)),
    ("o3-mini", usd(1_100, 4_400)),
    ("o4-mini", usd(1_100, 4_400)),
    ("command-a", usd(2_500, 10_000)),
    ("command-r", usd(150, 600)),
    ("gpt-5-pro", usd(15_000, 120_000)),
    ("gpt-5-mini", usd(250, 2_000)),
    ("gpt-5-nano", usd(50, 400)),
    ("gpt-4o-mini", usd(150, 600)),
    ("gpt-5.2-pro", usd(21_000, 168_000)),
    ("grok-3-mini", usd(300, 500)),
    ("gpt-4.1-mini", usd(400, 1_600)),
    ("gpt-4.1-nano", usd(100, 400)),
    ("gpt-5.4-mini", usd(750, 4_500)),
    ("gpt-5.4-nano", usd(200, 1_250)),
    ("claude-opus-5", usd(5_000, 25_000)),
    ("deepseek-chat", usd(270, 1_100)),
    ("claude-3-haiku", usd(250, 1_250)),
    ("claude-fable-5", usd(10_000, 50_000)),
    ("command-r-plus", usd(2_500, 10_000)),
    ("claude-opus-4-1", usd(15_000, 75_000)),
    ("claude-opus-4-5", usd(5_000, 25_000)),
    ("claude-opus-4-6", usd(5_000, 25_000)),
    ("claude-opus-4-7", usd(5_000, 25_000)),
    ("claude-opus-4-8", usd(5_000, 25_000)),
    ("claude-3-5-haiku", usd(800, 4_000)),
    ("claude-haiku-4-5", usd(1_000, 5_000)),
    ("codestral-latest", usd(300, 900)),
    ("gemini-2.0-flash", usd(100, 400)),
    ("gemini-2.5-flash", usd(300, 2_500)),
    ("gemini-3.5-flash", usd(1_500, 9_000)),
    ("gemini-3.6-flash", usd(1_500, 7_500)),
    ("grok-code-fast-1", usd(200, 1_500)),
    ("claude-3-7-sonnet", usd(3_000, 15_000)),
    ("claude-sonnet-4-6", usd(3_000, 15_000)),
    ("deepseek-reasoner", usd(550, 2_190)),
    ("deepseek-v4-flash", usd(140, 280)),
    // The source has it at the price of its successors; the lists that tell them apart have the first one dearer.
    ("gpt-4o-2024-05-13", usd(5_000, 15_000)),
    ("mistral-medium-2505", usd(400, 2_000)),
    ("mistral-large-latest", usd(2_000, 6_000)),
    ("mistral-small-latest", usd(100, 300)),
    ("gemini-2.0-flash-lite", usd(75, 300)),
    ("gemini-2.5-flash-lite", usd(100, 400)),
    ("gemini-3.5-flash-lite", usd(300, 2_500)),
];

/// The order of names in a table: by length, then by bytes. So a look-up compares lengths and hardly ever text.
#[inline]
pub(super) fn by_name(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The longest name in the table.
const LONGEST: usize = match TABLE.last() {
    Some((name, _)) => name.len(),
    None => 0,
};

/// Where in the table the names of each length begin, and in the last place where it ends.
const STARTS: [usize; LONGEST + 2] = {
    let mut starts = [0; LONGEST + 2];
    let mut rest = TABLE;
    let mut at = 0;
    while let [(name, _), others @ ..] = rest {
        at += 1;
        // All places behind this name's: the names are in the order of their lengths.
        let (_, mut behind) = starts.split_at_mut(name.len() + 1);
        while let [start, further @ ..] = behind {
            *start = at;
            behind = further;
        }
        rest = others;
    }
    starts
};

/// The price of a model in the table. A call is priced twice, and this is most of what that takes.
#[inline]
pub(super) fn price_of(model: &str) -> Option<&'static Price> {
    let (from, to) = (*STARTS.get(model.len())?, *STARTS.get(model.len() + 1)?);
    let last = model.as_bytes().last();
    // Names of one length mostly differ in the last byte.
    let same = |name: &str| name.as_bytes().last() == last && name == model;
    TABLE.get(from..to)?.iter().find(|(name, _)| same(name)).map(|(_, price)| price)
}

/// So many thousandths of a dollar for a million tokens, in and out.
const fn usd(input: u64, output: u64) -> Price {
    // A thousandth of a dollar is 10⁹ picodollars, for a million tokens 10³ each.
    Price::of(input * 1_000, output * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_without_duplicates_and_nothing_in_it_is_free() {
        assert!(TABLE.is_sorted_by(|(a, _), (b, _)| by_name(a, b).is_lt()));
        for (model, price) in TABLE {
            assert!(!model.is_empty() && *price != Price::free(), "{model}");
            assert_eq!(price_of(model), Some(price));
            // Every one of them asks more for what comes out, and less than a thousand dollars for a million.
            assert!(price.input() < price.output() && price.output().as_picodollars() < 1_000_000_000, "{model}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_not_found() {
        for model in ["", "o", "o2", "gpt-4p", "gpt-4o-2024-08-06", "a name that is longer than any in the table"] {
            assert_eq!(price_of(model), None, "{model}");
        }
    }
}
