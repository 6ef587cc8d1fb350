//! Sentences and words.

use unicode_segmentation::UnicodeSegmentation;

/// The sentences of a text, paragraph by paragraph, each on one line with single blanks.
///
/// Paragraphs are what blank lines separate. A line that ends within one is no end of a sentence, though Unicode's rules
/// (Standard Annex 29) would have it so.
pub(crate) fn paragraphs(text: &str) -> Vec<Vec<String>> {
    let mut paragraphs = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().chain([""]) {
        if !line.trim().is_empty() {
            lines.push(line);
            continue;
        }
        let paragraph = one_line(&lines.join(" "));
        lines.clear();
        let sentences: Vec<String> = paragraph.unicode_sentences().map(|sentence| sentence.trim().to_owned()).collect();
        if !sentences.is_empty() {
            paragraphs.push(sentences);
        }
    }
    paragraphs
}

/// The text with single blanks in place of all white space, and without control characters: on a terminal those could move the
/// cursor.
pub(crate) fn one_line(text: &str) -> String {
    let line: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    line.join(" ")
}

/// How many words a text has.
pub(crate) fn words(text: &str) -> usize {
    text.unicode_words().count()
}
