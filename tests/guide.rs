//! The guide in `docs/src`: its links lead somewhere, its examples are compiled, and the compile errors that it shows are those that
//! the compiler prints.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The chapter that shows compile errors.
const ERRORS: &str = "compile.md";

/// The folders whose every case that chapter has.
const SHOWN: &[&str] = &["tests/ui", "tests/ui/derive", "tests/ui/garde"];

/// How many lines an error may have to fit on a screen.
const SCREEN: usize = 40;

/// What a block may be marked as. One without a mark would be taken for Rust.
const MARKS: &[&str] = &["rust", "rust,no_run", "text", "toml"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files of a folder whose names end so, by their paths from the root, without those in folders of it.
fn files(folder: &str, end: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(end)).map(|name| format!("{folder}/{name}")).collect()
}

/// What matters here of a chapter.
#[derive(Default)]
struct Chapter {
    /// The names by which its headings are linked to.
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// The marks of its blocks of code.
    marks: Vec<String>,
}

impl Chapter {
    fn of(markdown: &str) -> Self {
        let mut chapter = Self::default();
        let mut heading = None;
        for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => chapter.anchors.extend(heading.take().map(|words| anchor(&words))),
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    chapter.links.push(dest_url.into_string())
                }
                Event::Start(Tag::CodeBlock(kind)) => chapter.marks.push(match kind {
                    CodeBlockKind::Fenced(mark) => mark.into_string(),
                    CodeBlockKind::Indented => "no fence".to_owned(),
                }),
                _ => {}
            }
        }
        chapter
    }
}

/// As mdBook and GitHub make one of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// All chapters by the names of their files.
fn chapters() -> BTreeMap<String, Chapter> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    files("docs/src", ".md").iter().map(|path| (name(path), Chapter::of(&text(path)))).collect()
}

#[test]
fn the_summary_has_every_chapter_once() {
    let mut chapters = chapters();
    let summary = chapters.remove("SUMMARY.md").expect("the book has a summary");
    let named: BTreeSet<_> = summary.links.iter().cloned().collect();
    assert_eq!(named.len(), summary.links.len(), "a chapter is named twice");
    assert_eq!(named, chapters.into_keys().collect());
}

#[test]
fn links_lead_to_a_chapter_and_a_heading_or_to_a_picture() {
    let chapters = chapters();
    let mut dead = Vec::new();
    for (name, chapter) in &chapters {
        for link in chapter.links.iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { name } else { file };
            let there = match chapters.get(file) {
                Some(there) => heading.is_empty() || there.anchors.contains(heading),
                None => file.starts_with("pictures/") && root().join("docs/src").join(file).is_file(),
            };
            if !there {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "\n{}", dead.join("\n"));
}

#[test]
fn every_block_of_rust_is_compiled() {
    let lib = text("src/lib.rs");
    let mut wrong = Vec::new();
    for (name, chapter) in chapters() {
        let odd = chapter.marks.iter().filter(|mark| !MARKS.contains(&mark.as_str()));
        wrong.extend(odd.map(|mark| format!("{name}: a block is marked `{mark}`")));
        let is_rust = chapter.marks.iter().any(|mark| mark.starts_with("rust"));
        if is_rust && !lib.contains(&format!("#[doc = include_str!(\"../docs/src/{name}\")]")) {
            wrong.push(format!("{name}: its examples are in no `mod guide` of src/lib.rs"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A compile error as the guide shows it.
struct Shown<'p> {
    /// The file that it is from.
    file: &'p str,
    lines: Vec<&'p str>,
}

/// The errors that a page shows, each under a comment with its file, and the files of others that belong to them.
fn shown(page: &str) -> (Vec<Shown<'_>>, BTreeSet<&str>) {
    let (mut shown, mut also, mut file) = (Vec::new(), BTreeSet::new(), None);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let comment = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        match comment {
            Some(comment) => match comment.strip_prefix("also: ") {
                Some(other) => assert!(also.insert(other), "{other} is named twice"),
                None => file = Some(comment),
            },
            None if line == "```text" => {
                let lines = lines.by_ref().take_while(|line| *line != "```").collect();
                shown.push(Shown { file: file.take().expect("a comment above says where the text is from"), lines });
            }
            None => {}
        }
    }
    (shown, also)
}

/// Whether `lines` are in `whole` in this order. Where `...` is between two of them, others may be in the original.
fn is_in(lines: &[&str], whole: &str) -> Result<(), String> {
    let mut left = whole.lines().map(str::trim_end).peekable();
    let mut gap = false;
    for line in lines {
        // The compiler leaves lines out, too, and says so in this way.
        if *line == "..." && left.peek() != Some(line) {
            gap = true;
            continue;
        }
        let found = if gap { left.any(|there| there == *line) } else { left.next() == Some(*line) };
        if !found {
            return Err(format!("this line is not there, or not in this place: {line}"));
        }
        gap = false;
    }
    Ok(())
}

#[test]
fn compile_errors_are_shown_as_they_are_printed() {
    let page = text(Path::new("docs/src").join(ERRORS));
    let (shown, also) = shown(&page);
    let mut wrong = Vec::new();
    let mut seen = also.clone();
    for Shown { file, lines } in &shown {
        if let Some(source) = file.strip_prefix("rustc on ") {
            // What a missing feature looks like cannot be compiled beside all features; its lines of the source can be looked up.
            let source = text(source);
            let quoted = lines.iter().filter_map(|line| line.strip_prefix("  | ")).map(str::trim);
            let quoted: Vec<_> = quoted.filter(|line| line.starts_with("#[cfg") || line.starts_with("pub ")).collect();
            if quoted.is_empty() || !source.contains(&quoted.join("\n")) {
                wrong.push(format!("{file}: the source has no {quoted:?}"));
            }
            continue;
        }
        if !seen.insert(file) {
            wrong.push(format!("{file} is on the page twice"));
        }
        if let Err(why) = is_in(lines, &text(file)) {
            wrong.push(format!("{file}: {why}"));
        }
    }
    let all: BTreeSet<_> = SHOWN.iter().flat_map(|folder| files(folder, ".stderr")).collect();
    let missing = all.iter().filter(|file| !seen.contains(file.as_str()));
    wrong.extend(missing.map(|file| format!("{file} is not in docs/src/{ERRORS}")));
    let gone = also.iter().filter(|file| !all.contains(**file));
    wrong.extend(gone.map(|file| format!("{file} is on the page and does not exist")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_compile_error_fits_on_a_screen() {
    let mut folders = vec![PathBuf::from("tests/ui")];
    let mut long = Vec::new();
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "stderr") {
                count += 1;
                let lines = text(&path).lines().count();
                if lines > SCREEN {
                    long.push(format!("{}: {lines} lines", path.display()));
                }
            }
        }
    }
    assert!(count > 0);
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

/// rustdoc finds an alias of an item that is re-exported from a private module only if it stands at the `pub use`.
#[test]
fn aliases_stand_where_the_documentation_finds_them() {
    let public = ["src/lib.rs", "src/json.rs", "src/store/mod.rs", "src/testing/mod.rs"].map(|path| root().join(path));
    let mut folders = vec![root().join("src")];
    let (mut lost, mut found) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // Those of methods are found wherever they stand.
            let count = text(&path).lines().filter(|line| line.starts_with("#[doc(alias")).count();
            found += count;
            if count != 0 && !public.contains(&path) {
                lost.push(path);
            }
        }
    }
    assert!(found > 0);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn what_is_not_in_an_error_is_noticed() {
    let whole = "error: no\n  |\n1 | f()\n  = note: why\n  = note: required\n";
    assert!(is_in(&["error: no", "  |", "...", "  = note: why", "..."], whole).is_ok());
    assert!(is_in(&["error: no", "1 | f()"], whole).is_err());
    assert!(is_in(&["error: no", "...", "  = note: how"], whole).is_err());
    assert!(is_in(&["error: no", "...", "  = note: why", "  |"], whole).is_err());
    assert_eq!(anchor("What goes into `Cargo.toml`?"), "what-goes-into-cargotoml");
    let chapter = Chapter::of("# A *b*\n\n[x](y.md#z)\n\n```rust,no_run\nf();\n```\n\n    indented\n");
    assert_eq!(chapter.anchors.into_iter().collect::<Vec<_>>(), ["a-b"]);
    assert_eq!(
        (chapter.links, chapter.marks),
        (vec!["y.md#z".to_owned()], vec!["rust,no_run".to_owned(), "no fence".to_owned()])
    );
}
