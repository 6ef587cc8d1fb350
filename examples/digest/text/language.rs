//! Words and sentences.

use std::collections::{HashMap, HashSet};

use super::blocks::Block;
use super::{GRAM, KEYWORDS, Keyword, Kind, LONGEST_HEADING, LONGEST_WORD};

/// A word that may be part of a keyword, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// Number of the word, from 1.
    pub(super) id: u32,
    /// Index of its block.
    pub(super) block: usize,
    /// Where it begins in the block.
    pub(super) start: usize,
    /// Where it ends in the block.
    pub(super) end: usize,
}

/// How often a phrase occurs, and where first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gram {
    /// Occurrences.
    pub(super) count: u32,
    /// Position in the stream of words where it first begins.
    pub(super) first: usize,
}

/// The numbers of up to [`GRAM`] words, filled up with 0, which is no word's.
pub(super) type Phrase = [u32; GRAM];

/// The phrase that these words are, or `None` where one of them ends every phrase.
pub(super) fn phrase(tokens: &[Option<Token>]) -> Option<Phrase> {
    let mut phrase = [0; GRAM];
    for (slot, token) in phrase.iter_mut().zip(tokens) {
        *slot = (*token)?.id;
    }
    Some(phrase)
}

/// The keywords in a stream of words, by C-value. `None` in the stream ends a phrase.
pub(super) fn keywords(stream: &[Option<Token>], blocks: &[Block]) -> Vec<Keyword> {
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
pub(super) fn length_of(phrase: &Phrase) -> usize {
    phrase.iter().filter(|id| **id != 0).count()
}

/// A phrase as the text has it, in lower case.
pub(super) fn surface(stream: &[Option<Token>], blocks: &[Block], first: usize, length: usize) -> Option<String> {
    let begin = (*stream.get(first)?)?;
    let end = (*stream.get(first.checked_add(length)?.checked_sub(1)?)?)?;
    let text = blocks.get(begin.block)?.text.get(begin.start..end.end)?;
    Some(one_line(&text.to_lowercase(), LONGEST_HEADING))
}

/// Words that carry no meaning of their own: the English and German lists of NLTK (after Snowball), and for Rust source
/// the words of the language.
pub(super) fn stop_words(kind: Kind) -> HashSet<&'static str> {
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
pub(super) fn is_term(word: &str) -> bool {
    let mut chars = word.chars();
    let fits = match (chars.next(), chars.next()) {
        // A single character is a word in scripts that write without spaces, and those take three bytes or more.
        (Some(only), None) => only.len_utf8() >= 3,
        _ => word.chars().nth(LONGEST_WORD).is_none(),
    };
    fits && word.chars().any(char::is_alphabetic)
}

/// Writes a word in lower case, with a straight apostrophe, as the stop words have it.
pub(super) fn lower_case(word: &str, into: &mut String) {
    into.clear();
    into.extend(word.chars().flat_map(char::to_lowercase).map(|c| if c == '\u{2019}' { '\'' } else { c }));
}

/// The sentences of a text and where they begin.
///
/// Not the sentences of Unicode Standard Annex 29: its rule for a full stop before a small letter looks ahead from
/// every blank after it, which took unicode-segmentation 41 s for one full stop and 80,000 blanks, and it takes "Dr."
/// for the end of a sentence.
pub(super) fn sentences(text: &str) -> Vec<(usize, &str)> {
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
pub(super) fn push_trimmed<'t>(found: &mut Vec<(usize, &'t str)>, text: &'t str, start: usize, end: usize) {
    let Some(piece) = text.get(start..end) else { return };
    let trimmed = piece.trim_start();
    if trimmed.chars().any(char::is_alphanumeric) {
        found.push((start + (piece.len() - trimmed.len()), trimmed.trim_end()));
    }
}

/// Whether the full stop after `sentence` belongs to its last word: an initial, a shortened word, or the number of a
/// list.
pub(super) fn is_abbreviation(sentence: &str) -> bool {
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
pub(super) fn is_one_letter(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

/// The lines of a text that have something to read, and where they begin.
pub(super) fn lines_of(text: &str) -> Vec<(usize, &str)> {
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
pub(super) fn syllables(word: &str) -> u32 {
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
pub(super) fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'à'..='æ' | 'è'..='ï' | 'ò'..='ö' | 'ø'..='ý' | 'ÿ' | 'œ')
}

/// Cuts a text to one line of at most `limit` characters, with single blanks and nothing that moves a cursor.
pub(super) fn one_line(text: &str, limit: usize) -> String {
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
pub(super) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
