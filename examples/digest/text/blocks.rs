//! The pieces that a text is made of.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::language::{narrow, one_line};
use super::{Document, Heading, Kind, LONGEST_HEADING, LONGEST_PARAGRAPH};

/// What a block of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
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
pub(super) struct Block {
    /// What it is.
    pub(super) role: Role,
    /// What it says, with the line breaks of the file.
    pub(super) text: String,
    /// From which offset in `text` on which line of the file is meant, ascending. Markup that is left out (a comment, a
    /// code span over two lines) makes counting line breaks in `text` wrong.
    pub(super) marks: Vec<(usize, u32)>,
}

impl Block {
    /// An empty block.
    pub(super) fn new(role: Role) -> Self {
        Self { role, text: String::new(), marks: Vec::new() }
    }

    /// Adds text that stands on `line` of the file, and on the lines below it.
    pub(super) fn push(&mut self, text: &str, line: u32) {
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
    pub(super) fn line_at(&self, offset: usize) -> u32 {
        let after = self.marks.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).and_then(|index| self.marks.get(index)).map_or(1, |(_, line)| *line)
    }

    /// The block as a line of an outline, if it is a heading that says something.
    pub(super) fn heading(&self) -> Option<Heading> {
        let Role::Heading(level) = self.role else { return None };
        let text = one_line(&self.text, LONGEST_HEADING);
        (!text.is_empty()).then(|| Heading { level, line: self.line_at(0), text })
    }
}

/// Collects blocks; an empty one is dropped.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The finished ones.
    pub(super) done: Vec<Block>,
    /// The one that is being written.
    pub(super) open: Option<Block>,
}

impl Blocks {
    /// Ends the open block.
    pub(super) fn end(&mut self) {
        self.done.extend(self.open.take().filter(|block| !block.text.trim().is_empty()));
    }

    /// Begins a new block.
    pub(super) fn begin(&mut self, role: Role) {
        self.end();
        self.open = Some(Block::new(role));
    }

    /// Adds text to the open block, or to a new one where none of this role is open.
    pub(super) fn push_as(&mut self, role: Role, text: &str, line: u32) {
        if self.open.as_ref().is_none_or(|block| block.role != role) {
            self.begin(role);
        }
        self.push(text, line);
    }

    /// Adds text to whatever block is open, else to a new one of prose.
    pub(super) fn push(&mut self, text: &str, line: u32) {
        self.open.get_or_insert_with(|| Block::new(Role::Prose)).push(text, line);
    }

    /// All blocks, the open one included.
    pub(super) fn finish(mut self) -> Vec<Block> {
        self.end();
        self.done
    }
}

/// The kind of a file by its extension.
pub(super) fn kind_of(path: &str) -> Kind {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd") => Kind::Markdown,
        Some("rs") => Kind::Rust,
        Some("toml") => Kind::Toml,
        _ => Kind::Plain,
    }
}

/// Takes a file apart.
pub(super) fn blocks(document: &Document) -> Vec<Block> {
    match kind_of(&document.path) {
        Kind::Markdown => markdown_blocks(&document.text),
        Kind::Rust => source_blocks(&document.text, &["//!", "///", "//"], Some(("/*", "*/"))),
        Kind::Toml => source_blocks(&document.text, &["#"], None),
        Kind::Plain => plain_blocks(&document.text),
    }
}

/// The blocks of a Markdown file. HTML and front matter are left out.
pub(super) fn markdown_blocks(text: &str) -> Vec<Block> {
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
pub(super) fn heading_level(level: HeadingLevel) -> u8 {
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
pub(super) fn source_blocks(text: &str, comments: &[&str], long: Option<(&str, &str)>) -> Vec<Block> {
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
pub(super) fn plain_blocks(text: &str) -> Vec<Block> {
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
