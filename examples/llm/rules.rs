//! The "model" of the loopback server: a few rules that find facts in a text.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::text;

/// What the model finds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Facts {
    pub(crate) people: Vec<Fact>,
    pub(crate) places: Vec<Fact>,
    pub(crate) dates: Vec<Fact>,
    pub(crate) numbers: Vec<Number>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) sentence: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) of: String,
    pub(crate) sentence: String,
}

/// What stands before a place.
pub(crate) const BEFORE_PLACES: &[&str] = &["in", "at", "near", "from"];

pub(crate) fn is_before_place(word: &str) -> bool {
    BEFORE_PLACES.iter().any(|before| before.eq_ignore_ascii_case(word))
}

/// Whether a word is one that names do not begin with.
pub(crate) fn is_little(word: &str) -> bool {
    is_before_place(word)
        || ["a", "an", "the", "on", "by", "for", "to"].iter().any(|little| little.eq_ignore_ascii_case(word))
}

pub(crate) const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Facts {
    /// Finds names by their capitals, places by the word before, dates by months and years, and other numbers.
    pub(crate) fn find(text: &str) -> Self {
        let sentences: Vec<String> = text::paragraphs(text).into_iter().flatten().collect();
        let mut facts = Self::default();
        let mut named: Vec<(String, bool, &str)> = Vec::new();
        for sentence in &sentences {
            let words: Vec<&str> = sentence.split(' ').collect();
            let mut at = 0;
            while at < words.len() {
                let rest = words.get(at..).unwrap_or_default();
                let before = at.checked_sub(1).and_then(|before| words.get(before)).copied().unwrap_or_default();
                at += if let Some((date, length)) = date(rest) {
                    facts.dates.push(Fact { name: date, sentence: sentence.clone() });
                    length
                } else if let Some(value) = rest.first().and_then(|word| number(word)) {
                    let of = rest.get(1).map(|word| bare(word).to_owned()).unwrap_or_default();
                    facts.numbers.push(Number { value, of, sentence: sentence.clone() });
                    1
                } else {
                    let name = name(rest);
                    // A capital at the beginning of a sentence says nothing, unless another one follows.
                    let name =
                        if at == 0 && name.first().is_some_and(|word| is_little(word)) { Vec::new() } else { name };
                    if name.len() > usize::from(at == 0) {
                        named.push((name.join(" "), is_before_place(before), sentence));
                    }
                    name.len().max(1)
                };
            }
        }
        let places: BTreeSet<String> =
            named.iter().filter(|(_, place, _)| *place).map(|(name, _, _)| name.clone()).collect();
        for (name, _, sentence) in named {
            let kind = if places.contains(&name) { &mut facts.places } else { &mut facts.people };
            if !kind.iter().any(|fact| fact.name == name) {
                kind.push(Fact { name, sentence: sentence.to_owned() });
            }
        }
        facts
    }
}

/// A word without the marks around it.
pub(crate) fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

pub(crate) fn is_year(word: &str) -> bool {
    let word = bare(word);
    word.len() == 4 && word.parse().is_ok_and(|year: u32| (1000..2100).contains(&year))
}

/// A date at the beginning of `words`, and how many of them it has: `16 March 1750`, `March 1781`, `1828`.
pub(crate) fn date(words: &[&str]) -> Option<(String, usize)> {
    let is_day = |word: &str| word.parse().is_ok_and(|day: u32| (1..=31).contains(&day));
    let length = match words {
        [day, month, year, ..] if is_day(day) && MONTHS.contains(month) && is_year(year) => 3,
        [month, year, ..] if MONTHS.contains(month) && is_year(year) => 2,
        [year, ..] if is_year(year) => 1,
        _ => return None,
    };
    let words: Vec<&str> = words.iter().take(length).map(|word| bare(word)).collect();
    Some((words.join(" "), length))
}

pub(crate) fn number(word: &str) -> Option<f64> {
    let word = bare(word);
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.replace(',', "").parse().ok())?
}

/// The words of a name at the beginning of `words`: those with a capital, up to the first mark.
pub(crate) fn name<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut name = Vec::new();
    for word in words {
        let inside = bare(word);
        let capital = inside.chars().next().is_some_and(char::is_uppercase) && inside.chars().count() > 1;
        if !capital || MONTHS.contains(&inside) {
            break;
        }
        name.push(inside);
        if !word.ends_with(inside) {
            break;
        }
    }
    name
}
