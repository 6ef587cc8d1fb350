//! The text side of the digest: plain, synchronous functions, one for each node of the pipeline.
//!
//! A file is cut into [`Block`]s first (prose, headings, code, table rows), because each figure wants another part of
//! it: readability is defined for sentences and not for code, keywords should not come from a code sample in a manual,
//! and a passage worth quoting is a sentence. Everything is linear in the length of the text but for sorting, nothing
//! depends on the order of a hash map, and no input makes a function panic.

mod blocks;
mod language;
mod outlines;
mod passages;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use blocks::{Block, Role, blocks, kind_of, markdown_blocks};
use language::{Token, is_term, keywords, lines_of, lower_case, narrow, one_line, sentences, stop_words, syllables};
use outlines::{rust_items, toml_name, toml_tables};
use passages::Matcher;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// Keywords kept per file.
const KEYWORDS: usize = 12;
/// Passages kept per file.
const PASSAGES: usize = 5;
/// Words in the longest keyword.
const GRAM: usize = 3;
/// Longest word taken for a keyword, in characters. What is longer is a hash or encoded data.
const LONGEST_WORD: usize = 40;
/// Longest heading or title kept, in characters, so that a file without line breaks does not become its own title.
const LONGEST_HEADING: usize = 200;
/// Longest passage kept, in characters.
const LONGEST_PASSAGE: usize = 300;
/// A paragraph of plain text with more lines than this is a list or a log, and each line of it stands alone.
const LONGEST_PARAGRAPH: usize = 50;
/// Silent reading of English non-fiction, words a minute: Brysbaert, "How many words do we read per minute?", Journal
/// of Memory and Language 109, 2019.
const WORDS_PER_MINUTE: u64 = 238;

/// One file as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Document {
    /// Where it was read from. Its extension decides how the text is taken apart.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

/// How many words a file has, and which of them it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Words {
    /// Words in the whole file, code included.
    pub(crate) total: u32,
    /// Different words among them, capitals aside.
    pub(crate) distinct: u32,
    /// At most twelve keywords, the best first.
    pub(crate) keywords: Vec<Keyword>,
}

/// A word or a phrase of up to three words that a file is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Keyword {
    /// The phrase in lower case, joined as where it first occurs (`crash-safe`, `checkpoint store`).
    pub(crate) term: String,
    /// How often it occurs.
    pub(crate) count: u32,
    /// Its C-value, see [`words`].
    pub(crate) score: f64,
}

/// How hard the prose of a file is to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Readability {
    /// Sentences of prose. Headings, tables and code have none.
    pub(crate) sentences: u32,
    /// Words in these sentences.
    pub(crate) words: u32,
    /// Syllables in these words, estimated.
    pub(crate) syllables: u32,
    /// Reading ease, about 0 (very difficult) to 100 (very easy). `None` without a sentence.
    pub(crate) flesch_reading_ease: Option<f64>,
    /// The American school grade that can follow. `None` without a sentence.
    pub(crate) flesch_kincaid_grade: Option<f64>,
    /// Time to read the prose, in whole seconds, rounded up.
    pub(crate) reading_time_secs: u32,
}

/// What a file is, as far as its outline goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub(crate) enum Kind {
    /// CommonMark with tables, foot-notes and front matter.
    Markdown,
    /// Rust source.
    Rust,
    /// A TOML file.
    Toml,
    /// Anything else.
    Plain,
}

/// The skeleton of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Outline {
    /// What the file calls itself.
    pub(crate) title: Option<String>,
    /// Its headings, or the items of a source file, in the order of the file.
    pub(crate) headings: Vec<Heading>,
    /// How the text was taken apart.
    pub(crate) kind: Kind,
}

/// One line of an outline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Heading {
    /// Depth, from 1.
    pub(crate) level: u8,
    /// Line in the file, from 1.
    pub(crate) line: u32,
    /// The heading without its markup.
    pub(crate) text: String,
}

/// The passages that say most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Ranked {
    /// At most five, the best first.
    pub(crate) passages: Vec<Passage>,
}

/// A sentence (or a line, in a file without sentences) worth quoting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Passage {
    /// Line in the file where it begins, from 1.
    pub(crate) line: u32,
    /// See [`rank`]. Comparable within one file only.
    pub(crate) score: f64,
    /// The passage on one line.
    pub(crate) text: String,
}

/// All that is reported of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Digest {
    /// Where the file was read from.
    pub(crate) path: String,
    /// Its words and keywords.
    pub(crate) words: Words,
    /// How hard it is to read.
    pub(crate) readability: Readability,
    /// Its skeleton.
    pub(crate) outline: Outline,
    /// What it says, in its own words.
    pub(crate) passages: Vec<Passage>,
}

/// Counts the words of a file and finds its keywords.
///
/// Words are those of Unicode Standard Annex 29. Keywords are found with the C-value of Frantzi, Ananiadou and Mima,
/// "Automatic recognition of multi-word terms", International Journal on Digital Libraries 3(2), 2000: a phrase that
/// occurs often scores high, less what it owes to longer phrases that contain it, and a longer phrase scores higher
/// than a shorter one. The paper's factor `log2(length)` is 0 for a single word; `1 + log2(length)` is the extension to
/// single words by Barrón-Cedeño et al., "An improved automatic term recognition method for Spanish", CICLing 2009. It
/// needs no other texts to compare with, so each file can be digested alone. A phrase never runs over a stop word
/// (English and German), punctuation, a number or the end of a block.
pub(crate) fn words(document: &Document) -> Words {
    let kind = kind_of(&document.path);
    let blocks = blocks(document);
    let stop = stop_words(kind);

    let mut ids: HashMap<String, u32> = HashMap::new();
    // By the number of the word, from 1.
    let mut usable: Vec<bool> = vec![false];
    let mut stream: Vec<Option<Token>> = Vec::new();
    let mut total: u32 = 0;
    let mut lower = String::new();
    for (index, block) in blocks.iter().enumerate() {
        // Code in a manual is a sample; in a source file it is the matter.
        let search = kind != Kind::Markdown || block.role != Role::Code;
        let mut end = 0;
        for (start, word) in block.text.unicode_word_indices() {
            total = total.saturating_add(1);
            lower_case(word, &mut lower);
            let id = match ids.get(lower.as_str()) {
                Some(id) => *id,
                None => {
                    let id = narrow(usable.len());
                    usable.push(is_term(&lower) && !stop.contains(lower.as_str()));
                    ids.insert(lower.clone(), id);
                    id
                }
            };
            if !search {
                continue;
            }
            let gap = block.text.get(end..start).unwrap_or_default();
            if gap != "-" && !gap.chars().all(char::is_whitespace) {
                stream.push(None);
            }
            end = start.saturating_add(word.len());
            let usable = usable.get(id as usize).copied().unwrap_or_default();
            stream.push(usable.then_some(Token { id, block: index, start, end }));
        }
        stream.push(None);
    }
    Words { total, distinct: narrow(ids.len()), keywords: keywords(&stream, &blocks) }
}

/// Measures how hard the prose of a file is to read.
///
/// Reading ease is that of Flesch, "A new readability yardstick", Journal of Applied Psychology 32(3), 1948; the grade
/// is that of Kincaid, Fishburne, Rogers and Chissom, "Derivation of new readability formulas for Navy enlisted
/// personnel", Research Branch Report 8-75, 1975. Both were fitted to English; for another language they only compare
/// texts with one another.
pub(crate) fn readability(document: &Document) -> Readability {
    let (mut sentence_count, mut word_count, mut syllable_count) = (0_u32, 0_u32, 0_u32);
    for block in blocks(document).iter().filter(|block| block.role == Role::Prose) {
        for (_, sentence) in sentences(&block.text) {
            let before = word_count;
            for word in sentence.unicode_words() {
                word_count = word_count.saturating_add(1);
                syllable_count = syllable_count.saturating_add(syllables(word));
            }
            if word_count > before {
                sentence_count = sentence_count.saturating_add(1);
            }
        }
    }
    let figures = (sentence_count > 0).then(|| {
        let per_sentence = f64::from(word_count) / f64::from(sentence_count);
        let per_word = f64::from(syllable_count) / f64::from(word_count);
        (206.835 - 1.015 * per_sentence - 84.6 * per_word, 0.39 * per_sentence + 11.8 * per_word - 15.59)
    });
    let seconds = (u64::from(word_count) * 60).div_ceil(WORDS_PER_MINUTE);
    Readability {
        sentences: sentence_count,
        words: word_count,
        syllables: syllable_count,
        flesch_reading_ease: figures.map(|(ease, _)| ease),
        flesch_kincaid_grade: figures.map(|(_, grade)| grade),
        reading_time_secs: u32::try_from(seconds).unwrap_or(u32::MAX),
    }
}

/// Finds the title and the headings of a file.
///
/// Markdown is parsed. Rust and TOML are scanned line by line, which is enough for a table of contents and does not
/// stop at a file that does not compile; an item inside a raw string is taken for an item.
pub(crate) fn outline(document: &Document) -> Outline {
    let kind = kind_of(&document.path);
    let text = document.text.as_str();
    let first_line = || text.lines().map(|line| one_line(line, LONGEST_HEADING)).find(|line| !line.is_empty());
    let (title, headings) = match kind {
        Kind::Markdown => {
            let blocks = markdown_blocks(text);
            let headings: Vec<Heading> = blocks.iter().filter_map(Block::heading).collect();
            let top = headings.iter().find(|heading| heading.level == 1).or(headings.first());
            let title = top.map(|heading| heading.text.clone()).or_else(|| {
                blocks.iter().map(|block| one_line(&block.text, LONGEST_HEADING)).find(|line| !line.is_empty())
            });
            (title, headings)
        }
        Kind::Rust => {
            let docs = text.lines().filter_map(|line| line.trim_start().strip_prefix("//!"));
            let title = docs.map(|line| one_line(line.trim_start_matches([' ', '#']), LONGEST_HEADING));
            (title.into_iter().find(|line| !line.is_empty()), rust_items(text))
        }
        Kind::Toml => (toml_name(text).or_else(first_line), toml_tables(text)),
        Kind::Plain => (first_line(), Vec::new()),
    };
    Outline { title, headings, kind }
}

/// Picks the passages that say most.
///
/// A passage scores the weights of the different keywords in it over its length. The length is the mean of its own and
/// of the file's average sentence: by its own length alone, a fragment of three words would always win. That is pivoted
/// normalisation with slope 0.5, after Singhal, Buckley and Mitra, "Pivoted document length normalization", SIGIR 1996.
/// Words that a heading uses as well, and standing first below a heading, raise the score: the title and location
/// methods of Edmundson, "New methods in automatic extracting", Journal of the ACM 16(2), 1969. They multiply, so that
/// a sentence without a keyword gains nothing.
pub(crate) fn rank(words: &Words, readability: &Readability, outline: &Outline, document: &Document) -> Ranked {
    let blocks = blocks(document);
    let matcher = Matcher::new(words, outline);
    let average = match readability.sentences {
        0 => 20.0,
        sentences => (f64::from(readability.words) / f64::from(sentences)).clamp(8.0, 40.0),
    };

    let mut found: Vec<(f64, u32, &str)> = Vec::new();
    let mut below_heading = false;
    for block in &blocks {
        match block.role {
            Role::Heading(_) => below_heading = true,
            Role::Prose => {
                for (offset, sentence) in sentences(&block.text) {
                    let score = matcher.score(sentence, average, below_heading);
                    found.push((score, block.line_at(offset), sentence));
                    below_heading = false;
                }
            }
            Role::Code | Role::Table => {}
        }
    }
    if !found.iter().any(|(score, ..)| *score > 0.0) {
        // A file without prose: its lines have to do.
        for block in blocks.iter().filter(|block| block.role != Role::Prose) {
            for (offset, line) in lines_of(&block.text) {
                found.push((matcher.score(line, average, false), block.line_at(offset), line));
            }
        }
    }
    found.retain(|(score, ..)| *score > 0.0);
    found.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));

    let mut passages: Vec<Passage> = Vec::new();
    let mut seen = HashSet::new();
    for (score, line, text) in found {
        if passages.len() == PASSAGES {
            break;
        }
        let text = one_line(text, LONGEST_PASSAGE);
        if seen.insert(text.to_lowercase()) {
            passages.push(Passage { line, score, text });
        }
    }
    Ranked { passages }
}

/// Puts the parts together.
pub(crate) fn assemble(
    path: String,
    words: Words,
    readability: Readability,
    outline: Outline,
    ranked: Ranked,
) -> Digest {
    Digest { path, words, readability, outline, passages: ranked.passages }
}
