//! Which passages say most.

use std::collections::{HashMap, HashSet};

use unicode_segmentation::UnicodeSegmentation;

use super::language::{is_term, lower_case, stop_words};
use super::{Outline, Words};

/// Finds keywords and the words of headings in a passage.
#[derive(Debug)]
pub(super) struct Matcher {
    /// The words of each keyword, and its weight, from 0 to 1.
    pub(super) keywords: Vec<(Vec<String>, f64)>,
    /// Which keywords begin with a word.
    pub(super) by_first: HashMap<String, Vec<usize>>,
    /// Words that headings use.
    pub(super) heading_words: HashSet<String>,
}

impl Matcher {
    /// Prepares for one file.
    pub(super) fn new(words: &Words, outline: &Outline) -> Self {
        let best = words.keywords.iter().map(|keyword| keyword.score).fold(0.0, f64::max);
        let mut keywords = Vec::new();
        let mut by_first: HashMap<String, Vec<usize>> = HashMap::new();
        for keyword in &words.keywords {
            let parts = lower_words(&keyword.term);
            // The words came from a checkpoint perhaps: a score is not trusted to be a number above zero.
            if let Some(first) = parts.first().filter(|_| keyword.score > 0.0) {
                by_first.entry(first.clone()).or_default().push(keywords.len());
                keywords.push((parts, keyword.score / best));
            }
        }
        let stop = stop_words(outline.kind);
        let texts = outline.headings.iter().map(|heading| &heading.text).chain(&outline.title);
        let mut heading_words: HashSet<String> = texts.flat_map(|text| lower_words(text)).collect();
        heading_words.retain(|word| is_term(word) && !stop.contains(word.as_str()));
        Self { keywords, by_first, heading_words }
    }

    /// Scores a passage, see [`rank`].
    pub(super) fn score(&self, passage: &str, average: f64, below_heading: bool) -> f64 {
        let words = lower_words(passage);
        // Less than four words are a label, not a statement.
        if words.len() < 4 {
            return 0.0;
        }
        let mut hits = vec![false; self.keywords.len()];
        let mut shared: HashSet<&str> = HashSet::new();
        for (at, word) in words.iter().enumerate() {
            if let Some(shared_word) = self.heading_words.get(word) {
                shared.insert(shared_word);
            }
            for index in self.by_first.get(word).into_iter().flatten() {
                let Some((parts, _)) = self.keywords.get(*index) else { continue };
                if words.get(at..).is_some_and(|rest| rest.starts_with(parts))
                    && let Some(hit) = hits.get_mut(*index)
                {
                    *hit = true;
                }
            }
        }
        // In the order of the keywords, so that the same passage always gives the same last digit.
        let weights = self.keywords.iter().zip(&hits).filter(|(_, hit)| **hit).map(|((_, weight), _)| *weight);
        let length = (average + words.len() as f64) / 2.0;
        let bonus = 0.1 * shared.len().min(5) as f64 + if below_heading { 0.25 } else { 0.0 };
        weights.sum::<f64>() / length * (1.0 + bonus)
    }
}

/// The words of a text in lower case.
pub(super) fn lower_words(text: &str) -> Vec<String> {
    let mut lower = String::new();
    text.unicode_words()
        .map(|word| {
            lower_case(word, &mut lower);
            lower.clone()
        })
        .collect()
}
