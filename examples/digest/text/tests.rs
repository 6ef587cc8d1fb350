use super::blocks::blocks;
use super::language::{sentences, syllables};
use super::{
    Digest, Document, Heading, KEYWORDS, Keyword, Kind, LONGEST_HEADING, PASSAGES, assemble, outline, rank,
    readability, words,
};

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
    assert_eq!(words(&document("a.txt", text)).keywords.first().map(|k| k.term.clone()), Some("crash-safe".to_owned()));
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
    let text: String = (0..400).map(|n| format!("Word{n} meets topic{} and topic{} here.\n", n % 20, n % 7)).collect();
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
