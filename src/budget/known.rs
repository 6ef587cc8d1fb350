//! The price table that comes with the crate.

use super::price::Price;

/// The day of the snapshot that the table was taken from.
pub(super) const AS_OF: &str = "2026-08-21";

/// Where it was taken from.
pub(super) const SOURCE: &str = "https://github.com/pydantic/genai-prices";

/// List prices in dollars for a million tokens of text, in and out, by name in the order of bytes.
///
/// From the source's revision 47df840a of that day, checked against https://github.com/simonw/llm-prices, revision 723ef0bd
/// of 2026-08-05. Left out is what has no single price: models that charge more for long prompts, or by a date to come. Of a
/// price that depends on the time of day it is the higher one.
pub(super) const TABLE: &[(&str, Price)] = &[
    ("claude-3-5-haiku", usd(800, 4_000)),
    ("claude-3-7-sonnet", usd(3_000, 15_000)),
    ("claude-3-haiku", usd(250, 1_250)),
    ("claude-fable-5", usd(10_000, 50_000)),
    ("claude-haiku-4-5", usd(1_000, 5_000)),
    ("claude-opus-4-1", usd(15_000, 75_000)),
    ("claude-opus-4-5", usd(5_000, 25_000)),
    ("claude-opus-4-6", usd(5_000, 25_000)),
    ("claude-opus-4-7", usd(5_000, 25_000)),
    ("claude-opus-4-8", usd(5_000, 25_000)),
    ("claude-opus-5", usd(5_000, 25_000)),
    ("claude-sonnet-4-6", usd(3_000, 15_000)),
    ("codestral-latest", usd(300, 900)),
    ("command-a", usd(2_500, 10_000)),
    ("command-r", usd(150, 600)),
    ("command-r-plus", usd(2_500, 10_000)),
    ("deepseek-chat", usd(270, 1_100)),
    ("deepseek-reasoner", usd(550, 2_190)),
    ("deepseek-v4-flash", usd(140, 280)),
    ("gemini-2.0-flash", usd(100, 400)),
    ("gemini-2.0-flash-lite", usd(75, 300)),
    ("gemini-2.5-flash", usd(300, 2_500)),
    ("gemini-2.5-flash-lite", usd(100, 400)),
    ("gemini-3.5-flash", usd(1_500, 9_000)),
    ("gemini-3.5-flash-lite", usd(300, 2_500)),
    ("gemini-3.6-flash", usd(1_500, 7_500)),
    ("gpt-4.1", usd(2_000, 8_000)),
    ("gpt-4.1-mini", usd(400, 1_600)),
    ("gpt-4.1-nano", usd(100, 400)),
    ("gpt-4o", usd(2_500, 10_000)),
    // The source has it at the price of its successors; the lists that tell them apart have the first one dearer.
    ("gpt-4o-2024-05-13", usd(5_000, 15_000)),
    ("gpt-4o-mini", usd(150, 600)),
    ("gpt-5", usd(1_250, 10_000)),
    ("gpt-5-mini", usd(250, 2_000)),
    ("gpt-5-nano", usd(50, 400)),
    ("gpt-5-pro", usd(15_000, 120_000)),
    ("gpt-5.1", usd(1_250, 10_000)),
    ("gpt-5.2", usd(1_750, 14_000)),
    ("gpt-5.2-pro", usd(21_000, 168_000)),
    ("gpt-5.4-mini", usd(750, 4_500)),
    ("gpt-5.4-nano", usd(200, 1_250)),
    ("grok-3", usd(3_000, 15_000)),
    ("grok-3-mini", usd(300, 500)),
    ("grok-code-fast-1", usd(200, 1_500)),
    ("mistral-large-latest", usd(2_000, 6_000)),
    ("mistral-medium-2505", usd(400, 2_000)),
    ("mistral-small-latest", usd(100, 300)),
    ("o1", usd(15_000, 60_000)),
    ("o3", usd(2_000, 8_000)),
    ("o3-mini", usd(1_100, 4_400)),
    ("o4-mini", usd(1_100, 4_400)),
];

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
        assert!(TABLE.is_sorted_by(|(a, _), (b, _)| a < b));
        for (model, price) in TABLE {
            assert!(!model.is_empty() && *price != Price::free(), "{model}");
            // Every one of them asks more for what comes out, and less than a thousand dollars for a million.
            assert!(price.input() < price.output() && price.output().as_picodollars() < 1_000_000_000, "{model}");
        }
    }
}
