//! The text side of the digest: plain, synchronous functions, one for each node of the pipeline.
//!
//! A file is cut into [`Block`]s first (prose, headings, code, table rows), because each figure wants another part of
//! it: readability is defined for sentences and not for code, keywords should not come from a code sample in a manual,
//! and a passage worth quoting is a sentence. Everything is linear in the length of the text but for sorting, nothing
//! depends on the order of a hash map, and no input makes a function panic.

use std::collections::{HashMap, HashSet};

use postcard_schema::Schema;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
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

// ---- Blocks ---------------------------------------------------------------------------------------------------------

/// What a block of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Sentences.
    Prose,
    /// A heading, with its level.
    Heading(u8),
    /// Code, or the data of a data file.
    Code,
    /// A row of a table.
    Table,
}

/// A piece of a file of one role, without markup.
#[derive(Debug)]
struct Block {
    /// What it is.
    role: Role,
    /// What it says, with the line breaks of the file.
    text: String,
    /// From which offset in `text` on which line of the file is meant, ascending. Markup that is left out (a comment, a
    /// code span over two lines) makes counting line breaks in `text` wrong.
    marks: Vec<(usize, u32)>,
}

impl Block {
    /// An empty block.
    fn new(role: Role) -> Self {
        Self { role, text: String::new(), marks: Vec::new() }
    }

    /// Adds text that stands on `line` of the file, and on the lines below it.
    fn push(&mut self, text: &str, line: u32) {
        let mut line = line;
        for piece in text.split_inclusive('\n') {
            if self.marks.last().is_none_or(|(_, last)| *last != line) {
                self.marks.push((self.text.len(), line));
            }
            self.text.push_str(piece);
            line = line.saturating_add(1);
        }
    }

    /// The line of the file that the text at `offset` stands on.
    fn line_at(&self, offset: usize) -> u32 {
        let after = self.marks.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).and_then(|index| self.marks.get(index)).map_or(1, |(_, line)| *line)
    }

    /// The block as a line of an outline, if it is a heading that says something.
    fn heading(&self) -> Option<Heading> {
        let Role::Heading(level) = self.role else { return None };
        let text = one_line(&self.text, LONGEST_HEADING);
        (!text.is_empty()).then(|| Heading { level, line: self.line_at(0), text })
    }
}

/// Collects blocks; an empty one is dropped.
#[derive(Debug, Default)]
struct Blocks {
    /// The finished ones.
    done: Vec<Block>,
    /// The one that is being written.
    open: Option<Block>,
}

impl Blocks {
    /// Ends the open block.
    fn end(&mut self) {
        self.done.extend(self.open.take().filter(|block| !block.text.trim().is_empty()));
    }

    /// Begins a new block.
    fn begin(&mut self, role: Role) {
        self.end();
        self.open = Some(Block::new(role));
    }

    /// Adds text to the open block, or to a new one where none of this role is open.
    fn push_as(&mut self, role: Role, text: &str, line: u32) {
        if self.open.as_ref().is_none_or(|block| block.role != role) {
            self.begin(role);
        }
        self.push(text, line);
    }

    /// Adds text to whatever block is open, else to a new one of prose.
    fn push(&mut self, text: &str, line: u32) {
        self.open.get_or_insert_with(|| Block::new(Role::Prose)).push(text, line);
    }

    /// All blocks, the open one included.
    fn finish(mut self) -> Vec<Block> {
        self.end();
        self.done
    }
}

/// The kind of a file by its extension.
fn kind_of(path: &str) -> Kind {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd") => Kind::Markdown,
        Some("rs") => Kind::Rust,
        Some("toml") => Kind::Toml,
        _ => Kind::Plain,
    }
}

/// Takes a file apart.
fn blocks(document: &Document) -> Vec<Block> {
    match kind_of(&document.path) {
        Kind::Markdown => markdown_blocks(&document.text),
        Kind::Rust => source_blocks(&document.text, &["//!", "///", "//"], Some(("/*", "*/"))),
        Kind::Toml => source_blocks(&document.text, &["#"], None),
        Kind::Plain => plain_blocks(&document.text),
    }
}

/// The blocks of a Markdown file. HTML and front matter are left out.
fn markdown_blocks(text: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let starts: Vec<usize> = core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line_of = |offset: usize| narrow(starts.partition_point(|start| *start <= offset));

    let mut blocks = Blocks::default();
    let mut front_matter = false;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let line = line_of(range.start);
        match event {
            Event::Start(Tag::MetadataBlock(_)) => front_matter = true,
            Event::End(TagEnd::MetadataBlock(_)) => front_matter = false,
            Event::Start(Tag::Heading { level, .. }) => blocks.begin(Role::Heading(heading_level(level))),
            Event::Start(Tag::CodeBlock(_)) => blocks.begin(Role::Code),
            Event::Start(Tag::TableHead | Tag::TableRow) => blocks.begin(Role::Table),
            // Punctuation between the cells keeps a phrase from running over from one to the next.
            Event::End(TagEnd::TableCell) => blocks.push(" | ", line),
            Event::Start(Tag::Paragraph | Tag::Item | Tag::FootnoteDefinition(_)) => blocks.begin(Role::Prose),
            Event::End(
                TagEnd::Heading(_)
                | TagEnd::CodeBlock
                | TagEnd::TableHead
                | TagEnd::TableRow
                | TagEnd::Paragraph
                | TagEnd::Item
                | TagEnd::FootnoteDefinition,
            ) => blocks.end(),
            Event::Text(piece) | Event::Code(piece) if !front_matter => blocks.push(&piece, line),
            Event::SoftBreak | Event::HardBreak => blocks.push("\n", line),
            _ => {}
        }
    }
    blocks.finish()
}

/// The level of a heading as a number.
fn heading_level(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// The blocks of a source file: its comments are prose, all else is code. A comment is taken to hold Markdown, as
/// Rust's do, as far as fences, headings, list items and tables go.
fn source_blocks(text: &str, comments: &[&str], long: Option<(&str, &str)>) -> Vec<Block> {
    let mut blocks = Blocks::default();
    let mut inside = false;
    let mut fenced = false;
    for (index, raw) in text.lines().enumerate() {
        let line = narrow(index + 1);
        let trimmed = raw.trim();
        let mut comment = comments.iter().find_map(|mark| trimmed.strip_prefix(mark));
        if let Some((open, close)) = long {
            let opened = if inside { Some(trimmed) } else { trimmed.strip_prefix(open) };
            if let Some(rest) = opened {
                let (content, closed) = rest.split_once(close).map_or((rest, false), |(content, _)| (content, true));
                inside = !closed;
                comment = Some(content.trim_start_matches(['*', '!']));
            }
        }
        let Some(comment) = comment.map(str::trim) else {
            fenced = false;
            blocks.push_as(Role::Code, raw, line);
            blocks.push("\n", line);
            continue;
        };
        if comment.starts_with("```") {
            fenced = !fenced;
            blocks.end();
        } else if fenced {
            blocks.push_as(Role::Code, comment, line);
            blocks.push("\n", line);
        } else if comment.is_empty() {
            blocks.end();
        } else if let Some(heading) = comment.strip_prefix("# ") {
            blocks.begin(Role::Heading(1));
            blocks.push(heading, line);
            blocks.end();
        } else if comment.starts_with('|') {
            blocks.begin(Role::Table);
            blocks.push(comment, line);
            blocks.end();
        } else {
            let item = comment.strip_prefix("- ").or_else(|| comment.strip_prefix("* "));
            if item.is_some() {
                blocks.begin(Role::Prose);
            }
            blocks.push_as(Role::Prose, item.unwrap_or(comment), line);
            blocks.push("\n", line);
        }
    }
    blocks.finish()
}

/// The blocks of a plain file: its paragraphs, or its lines where a paragraph is too long to be one.
fn plain_blocks(text: &str) -> Vec<Block> {
    let mut done = Vec::new();
    let mut paragraph: Vec<(u32, &str)> = Vec::new();
    let numbered = text.lines().enumerate().map(|(index, line)| (narrow(index + 1), line.trim()));
    for (line, content) in numbered.chain(core::iter::once((0, ""))) {
        if !content.is_empty() {
            paragraph.push((line, content));
            continue;
        }
        let apart = paragraph.len() > LONGEST_PARAGRAPH;
        let mut blocks = Blocks::default();
        for (line, content) in paragraph.drain(..) {
            if apart {
                blocks.end();
            }
            blocks.push(content, line);
            blocks.push("\n", line);
        }
        done.extend(blocks.finish());
    }
    done
}

// ---- Words and sentences --------------------------------------------------------------------------------------------

/// A word that may be part of a keyword, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Token {
    /// Number of the word, from 1.
    id: u32,
    /// Index of its block.
    block: usize,
    /// Where it begins in the block.
    start: usize,
    /// Where it ends in the block.
    end: usize,
}

/// How often a phrase occurs, and where first.
#[derive(Debug, Clone, Copy)]
struct Gram {
    /// Occurrences.
    count: u32,
    /// Position in the stream of words where it first begins.
    first: usize,
}

/// The numbers of up to [`GRAM`] words, filled up with 0, which is no word's.
type Phrase = [u32; GRAM];

/// The phrase that these words are, or `None` where one of them ends every phrase.
fn phrase(tokens: &[Option<Token>]) -> Option<Phrase> {
    let mut phrase = [0; GRAM];
    for (slot, token) in phrase.iter_mut().zip(tokens) {
        *slot = (*token)?.id;
    }
    Some(phrase)
}

/// The keywords in a stream of words, by C-value. `None` in the stream ends a phrase.
fn keywords(stream: &[Option<Token>], blocks: &[Block]) -> Vec<Keyword> {
    let mut grams: HashMap<Phrase, Gram> = HashMap::new();
    for length in 1..=GRAM {
        for (first, window) in stream.windows(length).enumerate() {
            let Some(key) = phrase(window) else { continue };
            // A phrase is no more frequent than its parts, so what cannot occur twice is not even counted: without
            // this, a large file would hold nearly all its triples in memory.
            let parts = [window.get(..length - 1), window.get(1..)];
            let frequent = |part: &[Option<Token>]| {
                phrase(part).and_then(|part| grams.get(&part)).is_some_and(|gram| gram.count > 1)
            };
            if length == 1 || parts.into_iter().flatten().all(frequent) {
                let gram = grams.entry(key).or_insert(Gram { count: 0, first });
                gram.count = gram.count.saturating_add(1);
            }
        }
        // A pair that stands together once is chance; a single word may be all there is in a short text.
        grams.retain(|key, gram| gram.count > 1 || length_of(key) == 1);
    }

    // For each phrase: in how many longer ones it is contained, and how often these occur. Whole numbers, so that the
    // order of the map does not change the sum.
    let mut nested: HashMap<Phrase, (u64, u32)> = HashMap::new();
    for (key, gram) in &grams {
        let length = length_of(key);
        let mut inner: Vec<Phrase> = Vec::new();
        for size in 1..length {
            for window in key.get(..length).unwrap_or_default().windows(size) {
                let mut part = [0; GRAM];
                part.iter_mut().zip(window).for_each(|(slot, id)| *slot = *id);
                if !inner.contains(&part) {
                    inner.push(part);
                }
            }
        }
        for part in inner {
            let (sum, containing) = nested.entry(part).or_default();
            *sum = sum.saturating_add(u64::from(gram.count));
            *containing = containing.saturating_add(1);
        }
    }

    let mut scored: Vec<(f64, Gram, usize)> = grams
        .iter()
        .map(|(key, gram)| {
            let length = length_of(key);
            let owed = nested.get(key).map_or(0.0, |(sum, containing)| *sum as f64 / f64::from(*containing));
            let score = (1.0 + (length as f64).log2()) * (f64::from(gram.count) - owed);
            (score, *gram, length)
        })
        .filter(|(score, ..)| *score > 0.0)
        .collect();
    // Equal scores: what comes first in the text, then the longer phrase. Two phrases never agree in both.
    scored.sort_by(|(a, left, longer), (b, right, other)| {
        b.total_cmp(a).then(left.first.cmp(&right.first)).then(other.cmp(longer))
    });

    let mut chosen: Vec<Keyword> = Vec::new();
    for (score, gram, length) in scored {
        if chosen.len() == KEYWORDS {
            break;
        }
        let Some(term) = surface(stream, blocks, gram.first, length) else { continue };
        // One character says too little; in a script without spaces it is part of a phrase.
        if term.chars().nth(1).is_none() {
            continue;
        }
        // "node" and "nodes" side by side waste a place.
        let singular = term.strip_suffix('s').unwrap_or(&term);
        if chosen.iter().all(|other| other.term.strip_suffix('s').unwrap_or(&other.term) != singular) {
            chosen.push(Keyword { term, count: gram.count, score });
        }
    }
    chosen
}

/// The number of words in a phrase.
fn length_of(phrase: &Phrase) -> usize {
    phrase.iter().filter(|id| **id != 0).count()
}

/// A phrase as the text has it, in lower case.
fn surface(stream: &[Option<Token>], blocks: &[Block], first: usize, length: usize) -> Option<String> {
    let begin = (*stream.get(first)?)?;
    let end = (*stream.get(first.checked_add(length)?.checked_sub(1)?)?)?;
    let text = blocks.get(begin.block)?.text.get(begin.start..end.end)?;
    Some(one_line(&text.to_lowercase(), LONGEST_HEADING))
}

/// Words that carry no meaning of their own: the English and German lists of NLTK (after Snowball), and for Rust source
/// the words of the language.
fn stop_words(kind: Kind) -> HashSet<&'static str> {
    const RUST: &str = "\
        as async await bool break char const continue crate derive dyn else enum err extern f32 f64 \
        false fn for i16 i32 i64 i8 if impl in isize let loop match mod move mut none ok option pub ref result return \
        self some static str string struct super test trait true type u16 u32 u64 u8 unsafe use usize vec where while";
    let mut stop: HashSet<&'static str> = HashSet::new();
    for language in ["en", "de"] {
        stop.extend(stop_words::lookup(language).unwrap_or_default());
    }
    if kind == Kind::Rust {
        stop.extend(RUST.split_whitespace());
    }
    stop
}

/// Whether a word may be part of a keyword as far as its letters go.
fn is_term(word: &str) -> bool {
    let mut chars = word.chars();
    let fits = match (chars.next(), chars.next()) {
        // A single character is a word in scripts that write without spaces, and those take three bytes or more.
        (Some(only), None) => only.len_utf8() >= 3,
        _ => word.chars().nth(LONGEST_WORD).is_none(),
    };
    fits && word.chars().any(char::is_alphabetic)
}

/// Writes a word in lower case, with a straight apostrophe, as the stop words have it.
fn lower_case(word: &str, into: &mut String) {
    into.clear();
    into.extend(word.chars().flat_map(char::to_lowercase).map(|c| if c == '\u{2019}' { '\'' } else { c }));
}

/// The sentences of a text and where they begin.
///
/// Not the sentences of Unicode Standard Annex 29: its rule for a full stop before a small letter looks ahead from
/// every blank after it, which took unicode-segmentation 41 s for one full stop and 80,000 blanks, and it takes "Dr."
/// for the end of a sentence.
fn sentences(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, mark)) = chars.next() {
        let wide = matches!(mark, '。' | '！' | '？');
        if !wide && !matches!(mark, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = at + mark.len_utf8();
        while let Some((next, c)) = chars.next_if(|(_, c)| {
            matches!(
                c,
                '.' | '!' | '?' | '…' | '。' | '！' | '？' | ')' | ']' | '"' | '\'' | '”' | '’' | '“' | '»' | '」'
            )
        }) {
            end = next + c.len_utf8();
        }
        let rest = text.get(end..).unwrap_or_default();
        if !wide {
            let spaced = rest.chars().next().is_none_or(char::is_whitespace);
            // A small letter goes on with the sentence, and so does what only stands inside one: `{ a; .. }`.
            let inside = |c: char| c.is_lowercase() || matches!(c, ',' | ';' | ':' | ')' | ']' | '}');
            let goes_on = spaced && rest.trim_start().starts_with(inside);
            if !spaced || goes_on || mark == '.' && is_abbreviation(text.get(start..at).unwrap_or_default()) {
                continue;
            }
        }
        push_trimmed(&mut found, text, start, end);
        start = end;
    }
    push_trimmed(&mut found, text, start, text.len());
    found
}

/// Adds what stands between two offsets, without the blanks around it, unless nothing in it can be read.
fn push_trimmed<'t>(found: &mut Vec<(usize, &'t str)>, text: &'t str, start: usize, end: usize) {
    let Some(piece) = text.get(start..end) else { return };
    let trimmed = piece.trim_start();
    if trimmed.chars().any(char::is_alphanumeric) {
        found.push((start + (piece.len() - trimmed.len()), trimmed.trim_end()));
    }
}

/// Whether the full stop after `sentence` belongs to its last word: an initial, a shortened word, or the number of a
/// list.
fn is_abbreviation(sentence: &str) -> bool {
    const SHORT: &[&str] = &[
        "abb", "bzw", "ca", "cf", "dr", "evtl", "fig", "ggf", "inkl", "mr", "mrs", "ms", "nr", "prof", "sog", "st",
        "vgl", "vs",
    ];
    let last = sentence.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = last.trim_start_matches(|c: char| !c.is_alphanumeric());
    let listed = word.len() <= 4 && SHORT.contains(&word.to_ascii_lowercase().as_str());
    // "e.g", "z.B", "U.S" and a single letter: nothing but letters one by one. "I" ends a sentence now and then.
    let initials = word.len() <= 8 && word != "I" && !word.is_empty() && word.split('.').all(is_one_letter);
    let digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    // The blanks in front are looked at last: for each full stop, it would take quadratic time.
    let numbered = digits && last.len() == sentence.trim_start().len();
    listed || initials || numbered
}

/// Whether a text is one letter.
fn is_one_letter(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

/// The lines of a text that have something to read, and where they begin.
fn lines_of(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        push_trimmed(&mut found, text, start, start + line.len());
        start += line.len();
    }
    found
}

/// Estimates the syllables of a word: one for each run of vowels, less the silent `e` of English at the end (`make`,
/// `rates`, `walked`, but not `table`, `boxes`, `wanted`), and never none.
fn syllables(word: &str) -> u32 {
    let mut count: u32 = 0;
    let mut in_vowels = false;
    // The last letters in front of the present one, nearest first.
    let mut tail = ['\0'; 4];
    for c in word.chars().flat_map(char::to_lowercase) {
        let vowel = is_vowel(c);
        if vowel && !in_vowels {
            count = count.saturating_add(1);
        }
        in_vowels = vowel;
        let [a, b, c1, _] = tail;
        tail = [c, a, b, c1];
    }
    let silent = match tail {
        // "-le" and "-les" after a consonant are spoken.
        ['e', 'l', before, _] | ['s', 'e', 'l', before] => is_vowel(before) || before == '\0',
        ['e', before, ..] => !is_vowel(before),
        ['s', 'e', 'h', before] => !matches!(before, 'c' | 's'),
        ['s', 'e', before, _] => !is_vowel(before) && !matches!(before, 's' | 'x' | 'z' | 'c' | 'g'),
        ['d', 'e', before, _] => !is_vowel(before) && !matches!(before, 't' | 'd'),
        _ => false,
    };
    if silent { count.saturating_sub(1).max(1) } else { count.max(1) }
}

/// Whether a small letter is a vowel.
fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'à'..='æ' | 'è'..='ï' | 'ò'..='ö' | 'ø'..='ý' | 'ÿ' | 'œ')
}

/// Cuts a text to one line of at most `limit` characters, with single blanks and nothing that moves a cursor.
fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0_usize;
    for c in text.trim().chars() {
        let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
        if c == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if length == limit {
            line.truncate(line.trim_end().len());
            line.push('…');
            return line;
        }
        line.push(c);
        length += 1;
    }
    line.truncate(line.trim_end().len());
    line
}

/// A count as it is stored. A file with more than four thousand million of anything is reported as having that many.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

// ---- Passages -------------------------------------------------------------------------------------------------------

/// Finds keywords and the words of headings in a passage.
#[derive(Debug)]
struct Matcher {
    /// The words of each keyword, and its weight, from 0 to 1.
    keywords: Vec<(Vec<String>, f64)>,
    /// Which keywords begin with a word.
    by_first: HashMap<String, Vec<usize>>,
    /// Words that headings use.
    heading_words: HashSet<String>,
}

impl Matcher {
    /// Prepares for one file.
    fn new(words: &Words, outline: &Outline) -> Self {
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
    fn score(&self, passage: &str, average: f64, below_heading: bool) -> f64 {
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
fn lower_words(text: &str) -> Vec<String> {
    let mut lower = String::new();
    text.unicode_words()
        .map(|word| {
            lower_case(word, &mut lower);
            lower.clone()
        })
        .collect()
}

// ---- Outlines -------------------------------------------------------------------------------------------------------

/// The items of a Rust file. Of a test module only its name is given.
fn rust_items(text: &str) -> Vec<Heading> {
    let mut items = Vec::new();
    let mut in_tests = false;
    let mut in_comment = false;
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim();
        if in_comment || trimmed.starts_with("/*") {
            in_comment = !trimmed.contains("*/");
            continue;
        }
        if in_tests {
            // rustfmt puts the closing brace of a module at its own indent, and test modules stand at the left margin.
            in_tests = !raw.starts_with('}');
            continue;
        }
        let Some(item) = rust_item(trimmed) else { continue };
        in_tests = raw.starts_with("mod test") && !trimmed.ends_with([';', '}']);
        let indent: usize = raw.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum();
        let level = u8::try_from(indent / 4).unwrap_or(5).min(5) + 1;
        items.push(Heading { level, line: narrow(index + 1), text: item });
    }
    items
}

/// The item that a line of Rust begins: visibility, qualifiers, keyword and name, or the head of an `impl`.
fn rust_item(line: &str) -> Option<String> {
    let after_pub = line.strip_prefix("pub").filter(|rest| rest.starts_with([' ', '(']));
    let Some(rest) = after_pub else { return item_after("", line) };
    // `pub(crate)`, `pub(in path)`; a parenthesis further off belongs to something else.
    let scope = if rest.starts_with('(') { rest.find(')')? + 1 } else { 0 };
    if scope > LONGEST_WORD {
        return None;
    }
    let (visibility, declaration) = line.split_at_checked("pub".len() + scope)?;
    item_after(visibility, declaration.trim_start())
}

/// The item in a declaration whose visibility is cut off.
fn item_after(visibility: &str, declaration: &str) -> Option<String> {
    let mut rest = declaration;
    let mut qualifiers = String::new();
    loop {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let after = after.trim_start();
        let constant_item =
            word == "const" && !["fn ", "unsafe ", "async ", "extern "].iter().any(|q| after.starts_with(q));
        match word {
            "async" | "unsafe" | "default" | "const" if !constant_item => {
                qualifiers.push_str(word);
                qualifiers.push(' ');
                rest = after;
            }
            "extern" => {
                // The ABI is a string, and may be left out.
                rest = after
                    .strip_prefix('"')
                    .and_then(|abi| abi.split_once('"'))
                    .map_or(after, |(_, rest)| rest.trim_start());
                qualifiers.push_str("extern ");
            }
            "fn" | "mod" | "struct" | "enum" | "union" | "trait" => return named(visibility, &qualifiers, word, after),
            "macro_rules!" => return named(visibility, &qualifiers, word, after),
            "const" | "static" | "type" if !visibility.is_empty() => {
                return named(visibility, &qualifiers, word, after);
            }
            _ if word == "impl" || word.starts_with("impl<") => {
                let head = rest.split('{').next().unwrap_or_default();
                let head = head.split(" where").next().unwrap_or_default();
                return Some(one_line(&[&qualifiers, head].concat(), LONGEST_HEADING));
            }
            _ => return None,
        }
        // `async move { .. }` and the like run out of words here, and a line of nothing but qualifiers ends.
        if rest.is_empty() || qualifiers.len() > LONGEST_WORD {
            return None;
        }
    }
}

/// A heading of visibility, qualifiers, keyword and the name that `rest` begins with, if it begins with one.
fn named(visibility: &str, qualifiers: &str, keyword: &str, rest: &str) -> Option<String> {
    let rest = rest.strip_prefix("mut ").unwrap_or(rest);
    let name =
        rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '#').next().filter(|name| !name.is_empty())?;
    Some(one_line(&format!("{visibility} {qualifiers}{keyword} {name}"), LONGEST_HEADING))
}

/// The tables of a TOML file.
fn toml_tables(text: &str) -> Vec<Heading> {
    let tables = text.lines().enumerate().filter_map(|(index, line)| {
        // The name of a table stands at the margin; what is indented is the value of an array.
        let inner = line.strip_prefix("[[").or_else(|| line.strip_prefix('['))?;
        let (name, _) = inner.split_once(']')?;
        let text = one_line(name, LONGEST_HEADING);
        let level = u8::try_from(name.matches('.').count()).unwrap_or(5).min(5) + 1;
        (!text.is_empty()).then(|| Heading { level, line: narrow(index + 1), text })
    });
    tables.collect()
}

/// The first `name` or `title` of a TOML file: what its package, its project or its book is called.
fn toml_name(text: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.split('"').next()?;
        matches!(key.trim(), "name" | "title").then(|| one_line(value, LONGEST_HEADING))
    });
    values.find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document { path: path.to_owned(), text: text.to_owned() }
    }

    fn digest(document: &Document) -> Digest {
        let (words, readability, outline) = (words(document), readability(document), outline(document));
        let ranked = rank(&words, &readability, &outline, document);
        assemble(document.path.clone(), words, readability, outline, ranked)
    }

    fn close(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-9)
    }

    #[test]
    fn formulas_by_hand() {
        // 2 sentences, 10 words; syllables 1 1 1 1 1 1, 1 2 2 1: 12 in all.
        let read = readability(&document("a.txt", "The cat sat on the mat. We wanted table salt."));
        assert_eq!((read.sentences, read.words, read.syllables), (2, 10, 12));
        // 206.835 - 1.015 * 5 - 84.6 * 1.2 = 206.835 - 5.075 - 101.52
        assert!(close(read.flesch_reading_ease, 100.24), "{read:?}");
        // 0.39 * 5 + 11.8 * 1.2 - 15.59 = 1.95 + 14.16 - 15.59
        assert!(close(read.flesch_kincaid_grade, 0.52), "{read:?}");
        // 10 words at 238 a minute: 2.52 s.
        assert_eq!(read.reading_time_secs, 3);
    }

    #[test]
    fn nothing_to_read_has_no_grade() {
        for text in ["", " \r\n\t", "...", "\0"] {
            let read = readability(&document("a.txt", text));
            assert_eq!((read.flesch_reading_ease, read.flesch_kincaid_grade), (None, None), "{text:?}");
        }
        // Headings, tables and code are no prose.
        let read = readability(&document("a.md", "# One\n\n```\nlet x = 1;\n```\n\n| a | b |\n|---|---|\n| c | d |\n"));
        assert_eq!((read.sentences, read.words), (0, 0));
    }

    #[test]
    fn syllables_of_known_words() {
        let known = "the 1 make 1 rates 1 walked 1 table 2 apples 2 boxes 2 wanted 2 rule 1 rules 1 dishes 2 banana 3 \
                     readability 5 für 1 x 1 2024 1 水 1 be 1 free 1";
        let known: Vec<&str> = known.split(' ').collect();
        for pair in known.chunks(2) {
            let word = pair.first().copied().unwrap_or_default();
            assert_eq!(pair, [word, &syllables(word).to_string()]);
        }
        assert_eq!(syllables(""), 1);
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        let texts = |text| sentences(text).into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>();
        assert_eq!(
            texts("Ask Dr. Who, e.g. now. \"Stop!\" he said. Pay 3.50 at z.B. Aldi."),
            ["Ask Dr. Who, e.g. now.", "\"Stop!\" he said.", "Pay 3.50 at z.B. Aldi.",]
        );
        assert_eq!(texts("1. First. (Second.) Third"), ["1. First.", "(Second.)", "Third"]);
        assert_eq!(texts("水。火！"), ["水。", "火！"]);
        assert_eq!(sentences("  One.\r\n Two."), [(2, "One."), (9, "Two.")]);
    }

    #[test]
    fn c_value_by_hand() {
        // "blue sky" 3 times, "sky" 4 times. sky: 1 * (4 - 3/1) = 1, blue: 3 - 3 = 0, blue sky: (1 + log2 2) * 3 = 6.
        let found = words(&document("a.txt", "Blue sky. The blue sky, and a blue sky! Sky."));
        assert_eq!((found.total, found.distinct), (10, 5));
        assert_eq!(
            found.keywords,
            [
                Keyword { term: "blue sky".to_owned(), count: 3, score: 6.0 },
                Keyword { term: "sky".to_owned(), count: 4, score: 1.0 },
            ]
        );
    }

    #[test]
    fn keywords_leave_out_stop_words_numbers_and_sample_code() {
        let text = "Das ist der Speicher und die Speicher. 42 42 42\n\n```\nsample sample sample\n```\n";
        let terms: Vec<_> = words(&document("a.md", text)).keywords.into_iter().map(|keyword| keyword.term).collect();
        assert_eq!(terms, ["speicher"]);
        let text = "crash-safe store; crash-safe log";
        assert_eq!(
            words(&document("a.txt", text)).keywords.first().map(|k| k.term.clone()),
            Some("crash-safe".to_owned())
        );
        assert_eq!(words(&document("a.rs", "pub fn fn fn self self")).keywords, []);
    }

    #[test]
    fn outline_of_markdown() {
        let found = outline(&document("A.MD", "---\ntitle: x\n---\r\nText.\r\n\r\n## Two `b`\r\n\r\nOne\r\n===\r\n"));
        let heading = |level, line, text: &str| Heading { level, line, text: text.to_owned() };
        assert_eq!(found.headings, [heading(2, 6, "Two b"), heading(1, 8, "One")]);
        assert_eq!((found.title.as_deref(), found.kind), (Some("One"), Kind::Markdown));
        assert_eq!(outline(&document("a.md", "\n- just *text*\n")).title.as_deref(), Some("just text"));
    }

    #[test]
    fn outline_of_rust() {
        let text = "//! # A title\npub(crate) const unsafe fn a() {}\nimpl<T: Fn(u8)> X for Y<T> where T: Z {\n\
            \x20   pub async fn b();\n\
            const C: u8 = 1;\npub const D: u8 = 1;\n}\n/* fn no() */\nlet fn_ = 1;\nmod tests {\n\
            \x20   fn t() {}\n}\nextern \"C\" fn e() {}\npublic\n";
        let found = outline(&document("a.rs", text));
        let lines: Vec<_> = found.headings.iter().map(|h| (h.level, h.line, h.text.as_str())).collect();
        assert_eq!(
            lines,
            [
                (1, 2, "pub(crate) const unsafe fn a"),
                (1, 3, "impl<T: Fn(u8)> X for Y<T>"),
                (2, 4, "pub async fn b"),
                (1, 6, "pub const D"),
                (1, 10, "mod tests"),
                (1, 13, "extern fn e"),
            ]
        );
        assert_eq!((found.title.as_deref(), found.kind), (Some("A title"), Kind::Rust));
    }

    #[test]
    fn outline_of_toml_and_of_plain_text() {
        let found = outline(&document("a.toml", "[package]\nname = \"x\"\nlist = [\n  [1],\n]\n[a.b]\n[[bin]]\n"));
        let lines: Vec<_> = found.headings.iter().map(|h| (h.level, h.line, h.text.as_str())).collect();
        assert_eq!(lines, [(1, 1, "package"), (2, 6, "a.b"), (1, 7, "bin")]);
        assert_eq!(found.title.as_deref(), Some("x"));
        let found = outline(&document("LICENSE", "\n\n  The  licence \nmore"));
        assert_eq!((found.title.as_deref(), found.headings.len(), found.kind), (Some("The licence"), 0, Kind::Plain));
        assert_eq!(outline(&document("a", "")).title, None);
    }

    #[test]
    fn passages_know_their_line() {
        let text = "# Store\n\nIt rains today and all\nday long. The store keeps every\n\
            checkpoint of the store.\n\nA checkpoint is kept.\n";
        let passages = digest(&document("a.md", text)).passages;
        assert_eq!(
            passages.first().map(|p| (p.line, p.text.as_str())),
            Some((4, "The store keeps every checkpoint of the store."))
        );
        let source = "//! Nothing here.\n\nfn a() {}\n\n/// Opens the store for the run.\n\
            /// The store opens the run again.\nfn b() {}\n";
        let lines: Vec<_> = digest(&document("a.rs", source)).passages.iter().map(|p| p.line).collect();
        assert_eq!(lines, [5, 6]);
    }

    #[test]
    fn odd_input_gives_a_digest() {
        let few = [
            "",
            "\0\0\0",
            "\r\r\n\n\r",
            "\u{feff}# x",
            "pub(",
            "pub(x) ",
            "extern \"",
            "[[",
            "=\"",
            "/*",
            "```",
            "impl",
            "#",
        ];
        let many = ["e\u{301}", "👨‍👩‍👧‍👦", "unsafe ", "\u{202e}.\u{2028}", "İ ẞß ΣΣ. ", "水火", "a\u{300}. ", "- ", "> "];
        let odd = few.into_iter().map(str::to_owned).chain(many.into_iter().map(|unit| unit.repeat(1000)));
        for text in odd {
            for path in ["a.md", "a.rs", "a.toml", "a.txt", "", "."] {
                let document = document(path, &text);
                assert_eq!(digest(&document), digest(&document));
            }
        }
    }

    #[test]
    fn limits_hold_and_passages_are_ordered() {
        let text: String =
            (0..400).map(|n| format!("Word{n} meets topic{} and topic{} here.\n", n % 20, n % 7)).collect();
        let found = digest(&document("a.txt", &text));
        assert_eq!((found.words.keywords.len(), found.passages.len()), (KEYWORDS, PASSAGES));
        assert!(found.passages.is_sorted_by(|a, b| a.score >= b.score));
        let long = digest(&document("a.txt", &"x".repeat(10_000)));
        assert_eq!(long.outline.title.map(|title| title.chars().count()), Some(LONGEST_HEADING + 1));
        assert_eq!(long.words.keywords, []);
    }

    #[test]
    fn repeated_blanks_and_marks_give_no_more_than_was_there() {
        for unit in [" ", ")", "\n", "\u{300}", ". ", "'", "pub ", "[", "`", "*a_", "a.) "] {
            let text = ["A.", &unit.repeat(50_000), "b"].concat();
            for path in ["a.md", "a.rs", "a.txt"] {
                let document = document(path, &text);
                let blocks = blocks(&document);
                // A line break may be added at the end of each block, nothing else.
                let kept: usize = blocks.iter().map(|block| block.text.len()).sum();
                assert!(kept <= text.len() + blocks.len(), "{path} {unit:?}");
                let cut: usize = blocks.iter().flat_map(|block| sentences(&block.text)).map(|(_, one)| one.len()).sum();
                assert!(cut <= kept, "{path} {unit:?}");
                assert!(digest(&document).words.total <= 50_002, "{path} {unit:?}");
            }
        }
    }
}
