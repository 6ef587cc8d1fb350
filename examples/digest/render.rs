//! The terminal side of the digest: a report of each file, and a small table of what the run did.
//!
//! Everything that comes from a file is cleaned before it is printed, or a file could move the cursor or set the title
//! of the terminal with an escape sequence. Widths are those of Unicode Standard Annex 11, so that a line of Chinese or
//! of emoji takes the columns it is given. Colours are put on after measuring.

use core::fmt;

use textwrap::Options;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::text::{Digest, Heading, Kind, Readability};

/// The narrowest report; below this the columns have no room.
const NARROWEST: usize = 40;
/// The widest report; longer lines are hard to read.
const WIDEST: usize = 110;
/// Columns of the longest bar.
const BAR: usize = 16;
/// Files in an overview.
const ROWS: usize = 100;
/// A file with fewer words of prose than this is not called hard to read: one long sentence would do.
const ENOUGH_PROSE: u32 = 100;
/// Headings shown per file.
const HEADINGS: usize = 8;

/// Styles of a terminal (ECMA-48, "select graphic rendition").
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    /// Names and titles.
    Bold,
    /// What may be passed over.
    Dim,
    /// Figures drawn as bars.
    Cyan,
    /// What stands out as good.
    Green,
    /// What stands out as bad.
    Red,
}

/// Text with a style, or without where colours are off.
pub(crate) fn paint(text: &str, style: Style, color: bool) -> String {
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Cyan => "36",
        Style::Green => "32",
        Style::Red => "31",
    };
    if color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Writes the report of all files, and a summary line.
///
/// `width` is the number of columns of the terminal; less than 40 is taken for 40, more than 110 for 110.
///
/// # Errors
/// Only where `out` fails.
pub(crate) fn report(digests: &[Digest], out: &mut impl fmt::Write, width: usize, color: bool) -> fmt::Result {
    let width = width.clamp(NARROWEST, WIDEST);
    for digest in digests {
        file(digest, out, width, color)?;
        writeln!(out)?;
    }
    summary(digests, out, width, color)
}

/// Writes a line about each file, as far as anybody would read them, and a summary line.
///
/// # Errors
/// Only where `out` fails.
pub(crate) fn overview(digests: &[Digest], out: &mut impl fmt::Write, width: usize, color: bool) -> fmt::Result {
    let width = width.clamp(NARROWEST, WIDEST);
    let figures = |digest: &Digest| {
        let grade = digest.readability.flesch_kincaid_grade;
        let grade = grade.map_or_else(|| "-".to_owned(), |grade| format!("{grade:.0}"));
        [grouped(digest.words.total.into()), grade]
    };
    let widest = |column: usize, header: &str| {
        let cells = digests.iter().filter_map(|digest| figures(digest).get(column).map(|cell| cell.width()));
        cells.max().unwrap_or_default().max(header.len())
    };
    // What the figures leave is shared by the path and what the file is about.
    let left = width.saturating_sub(widest(0, "words") + widest(1, "grade") + 3 * 2);
    let paths = digests.iter().map(|digest| clean(&digest.path).width()).max().unwrap_or_default();
    let path_room = paths.max(4).min(left / 2);
    let about_room = left.saturating_sub(path_room);
    let rows: Vec<Vec<String>> = digests
        .iter()
        .take(ROWS)
        .map(|digest| {
            let [words, grade] = figures(digest);
            vec![fit_end(&clean(&digest.path), path_room), words, grade, about(digest, about_room)]
        })
        .collect();
    table(&["file", "words", "grade", "about"], &rows, out, color)?;
    let more = digests.len().saturating_sub(ROWS);
    if more > 0 {
        writeln!(out, "{}", paint(&format!("and {} more", grouped(more as u64)), Style::Dim, color))?;
    }
    writeln!(out)?;
    summary(digests, out, width, color)
}

/// The best keywords of a file, as many as fit.
fn about(digest: &Digest, room: usize) -> String {
    let mut line = String::new();
    for keyword in &digest.words.keywords {
        let term = clean(&keyword.term);
        let joined = if line.is_empty() { term } else { format!("{line}, {term}") };
        if joined.width() > room {
            break;
        }
        line = joined;
    }
    line
}

/// Writes a table: each column as wide as its widest cell, figures to the right.
///
/// Written here and not taken from `comfy-table`: it is a screenful, and the measuring and cleaning are needed for the
/// report anyway, while colours there bring in `crossterm`.
///
/// # Errors
/// Only where `out` fails.
pub(crate) fn table(headers: &[&str], rows: &[Vec<String>], out: &mut impl fmt::Write, color: bool) -> fmt::Result {
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or_default().max(headers.len());
    let layout: Vec<(usize, bool)> = (0..columns)
        .map(|column| {
            let header = headers.get(column).map_or(0, |header| clean(header).width());
            let in_column = || cells.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
            let width = in_column().map(|cell| cell.width()).max().unwrap_or_default().max(header);
            let figures = in_column().next().is_some()
                && in_column().all(|cell| cell.starts_with(|c: char| c.is_ascii_digit()) || cell == "-");
            (width, figures)
        })
        .collect();

    let headers: Vec<String> = headers.iter().map(|header| clean(header)).collect();
    let rule: Vec<String> = layout.iter().map(|(width, _)| "─".repeat(*width)).collect();
    row(&headers, &layout, out, |cell| paint(cell, Style::Bold, color))?;
    row(&rule, &layout, out, |cell| paint(cell, Style::Dim, color))?;
    for cells in &cells {
        row(cells, &layout, out, |cell| match cell {
            "ok" | "done" | "COMPLETED" | "RESUMED" => paint(cell, Style::Green, color),
            "failed" | "FAILED" | "PARTIAL" => paint(cell, Style::Red, color),
            _ => cell.to_owned(),
        })?;
    }
    Ok(())
}

/// Writes one row. No blanks at its end, or a narrow terminal would wrap them.
fn row(
    cells: &[String],
    layout: &[(usize, bool)],
    out: &mut impl fmt::Write,
    style: impl Fn(&str) -> String,
) -> fmt::Result {
    let mut pending = 0_usize;
    for (index, (width, figures)) in layout.iter().enumerate() {
        let cell = cells.get(index).map_or("", String::as_str);
        let space = width.saturating_sub(cell.width());
        let (before, after) = if *figures { (space, 0) } else { (0, space) };
        pending += before;
        if !cell.is_empty() {
            write!(out, "{}{}", " ".repeat(pending), style(cell))?;
            pending = 0;
        }
        pending += after + 2;
    }
    writeln!(out)
}

/// Writes the report of one file.
fn file(digest: &Digest, out: &mut impl fmt::Write, width: usize, color: bool) -> fmt::Result {
    let path = fit_end(&clean(&digest.path), width - 8);
    let rule = "─".repeat(width.saturating_sub(path.width() + 4));
    writeln!(
        out,
        "{} {} {}",
        paint("──", Style::Dim, color),
        paint(&path, Style::Bold, color),
        paint(&rule, Style::Dim, color)
    )?;
    let title = digest.outline.title.as_deref().map(clean).filter(|title| !title.is_empty());
    if let Some(title) = &title {
        writeln!(out, "  {}", paint(&fit(title, width - 2), Style::Bold, color))?;
    }

    let kind = match digest.outline.kind {
        Kind::Markdown => "Markdown",
        Kind::Rust => "Rust",
        Kind::Toml => "TOML",
        Kind::Plain => "plain text",
    };
    let words = &digest.words;
    let mut facts = vec![
        kind.to_owned(),
        format!("{} ({} different)", counted(words.total.into(), "word"), grouped(words.distinct.into())),
    ];
    if digest.readability.words > 0 {
        facts.push(format!("{} to read", duration(digest.readability.reading_time_secs.into())));
    }
    facts.extend(difficulty(&digest.readability));
    paragraph(&facts.join(" · "), "  ", "  ", out, width, |line| line.to_owned())?;

    keywords(digest, out, width, color)?;
    if !digest.passages.is_empty() {
        heading("in its own words", out, color)?;
        let numbers: Vec<String> = digest.passages.iter().map(|passage| passage.line.to_string()).collect();
        let widest = numbers.iter().map(String::len).max().unwrap_or_default();
        for (passage, number) in digest.passages.iter().zip(&numbers) {
            let first = format!("    {number:>widest$}  ");
            let next = " ".repeat(first.width());
            paragraph(&clean(&passage.text), &first, &next, out, width, |line| {
                // The line number leads the first line only.
                match line.strip_prefix(first.as_str()) {
                    Some(rest) if line != next => format!("{}{rest}", paint(&first, Style::Dim, color)),
                    _ => line.to_owned(),
                }
            })?;
        }
    }
    headings(digest, title.as_deref(), out, width, color)
}

/// Writes the keywords with bars.
fn keywords(digest: &Digest, out: &mut impl fmt::Write, width: usize, color: bool) -> fmt::Result {
    let keywords = &digest.words.keywords;
    if keywords.is_empty() {
        return Ok(());
    }
    heading("keywords", out, color)?;
    let counts: Vec<String> = keywords.iter().map(|keyword| format!("{}x", grouped(keyword.count.into()))).collect();
    let count_width = counts.iter().map(String::len).max().unwrap_or_default();
    let room = width.saturating_sub(4 + 2 + BAR + 2 + count_width);
    let terms: Vec<String> = keywords.iter().map(|keyword| fit(&clean(&keyword.term), room)).collect();
    let term_width = terms.iter().map(|term| term.width()).max().unwrap_or_default();
    let best = keywords.iter().map(|keyword| keyword.score).fold(0.0, f64::max);
    for ((keyword, term), count) in keywords.iter().zip(&terms).zip(&counts) {
        let space = " ".repeat(term_width.saturating_sub(term.width()));
        let bar = bar(if best > 0.0 { keyword.score / best } else { 0.0 });
        let blank = " ".repeat(BAR.saturating_sub(bar.width()));
        let bar = paint(&bar, Style::Cyan, color);
        writeln!(
            out,
            "    {term}{space}  {bar}{blank}  {}",
            paint(&format!("{count:>count_width$}"), Style::Dim, color)
        )?;
    }
    Ok(())
}

/// Writes the outline: as many levels as fit into [`HEADINGS`] lines, else the first ones of the top level.
fn headings(digest: &Digest, title: Option<&str>, out: &mut impl fmt::Write, width: usize, color: bool) -> fmt::Result {
    let all: Vec<(&Heading, String)> = digest
        .outline
        .headings
        .iter()
        .map(|heading| (heading, clean(&heading.text)))
        // The title is printed already.
        .filter(|(heading, text)| !text.is_empty() && (heading.level > 1 || Some(text.as_str()) != title))
        .collect();
    let Some(top) = all.iter().map(|(heading, _)| heading.level).min() else { return Ok(()) };
    let within = |level: u8| all.iter().filter(|(heading, _)| heading.level <= level).count();
    let deepest = (top..=6).take_while(|level| within(*level) <= HEADINGS).last().unwrap_or(top);
    let shown = all.iter().filter(|(heading, _)| heading.level <= deepest).take(HEADINGS);

    heading("outline", out, color)?;
    let mut count = 0_usize;
    for (item, text) in shown {
        count += 1;
        let indent = " ".repeat(4 + 2 * usize::from(item.level.saturating_sub(top)));
        let line = format!("  {}", item.line);
        let text = fit(text, width.saturating_sub(indent.len() + line.len()));
        writeln!(out, "{indent}{text}{}", paint(&line, Style::Dim, color))?;
    }
    let more = all.len().saturating_sub(count);
    if more > 0 {
        writeln!(out, "    {}", paint(&format!("and {} more", grouped(more as u64)), Style::Dim, color))?;
    }
    Ok(())
}

/// Writes the name of a part of the report.
fn heading(name: &str, out: &mut impl fmt::Write, color: bool) -> fmt::Result {
    writeln!(out, "\n  {}", paint(name, Style::Dim, color))
}

/// Writes the line about all files.
fn summary(digests: &[Digest], out: &mut impl fmt::Write, width: usize, color: bool) -> fmt::Result {
    let words: u64 = digests.iter().map(|digest| u64::from(digest.words.total)).sum();
    let seconds: u64 = digests.iter().map(|digest| u64::from(digest.readability.reading_time_secs)).sum();
    let mut facts = vec![counted(digests.len() as u64, "file"), counted(words, "word")];
    if seconds > 0 {
        facts.push(format!("{} to read", duration(seconds)));
    }
    let read = || digests.iter().map(|digest| &digest.readability);
    let hardest = digests
        .iter()
        .filter(|digest| digest.readability.words >= ENOUGH_PROSE)
        .filter_map(|digest| Some((digest.readability.flesch_kincaid_grade?, &digest.path)))
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    // By words, so that a short file does not weigh as much as a book.
    let graded: f64 = read().filter(|read| read.flesch_kincaid_grade.is_some()).map(|read| f64::from(read.words)).sum();
    if graded > 0.0 {
        let sum: f64 = read().filter_map(|read| Some(read.flesch_kincaid_grade? * f64::from(read.words))).sum();
        facts.push(format!("grade {:.1} on average", sum / graded));
    }
    if let Some((grade, path)) = hardest.filter(|_| digests.len() > 1) {
        facts.push(format!("hardest {} ({grade:.1})", fit_end(&clean(path), width / 2)));
    }
    paragraph(&facts.join(" · "), "", "", out, width, |line| paint(line, Style::Bold, color))
}

/// Writes text on as many lines as it takes.
pub(crate) fn paragraph(
    text: &str,
    first: &str,
    next: &str,
    out: &mut impl fmt::Write,
    width: usize,
    style: impl Fn(&str) -> String,
) -> fmt::Result {
    let options = Options::new(width).initial_indent(first).subsequent_indent(next);
    for line in textwrap::wrap(text, options) {
        writeln!(out, "{}", style(&line))?;
    }
    Ok(())
}

/// Grade and reading ease in words. The bands of reading ease are Flesch's own, "The Art of Readable Writing", 1949.
fn difficulty(readability: &Readability) -> Option<String> {
    let (ease, grade) = (readability.flesch_reading_ease?, readability.flesch_kincaid_grade?);
    let words = match ease {
        ease if ease >= 90.0 => "very easy",
        ease if ease >= 80.0 => "easy",
        ease if ease >= 70.0 => "fairly easy",
        ease if ease >= 60.0 => "plain",
        ease if ease >= 50.0 => "fairly difficult",
        ease if ease >= 30.0 => "difficult",
        _ => "very difficult",
    };
    let school = match grade {
        grade if grade < 6.0 => "primary school",
        grade if grade < 9.0 => "middle school",
        grade if grade < 13.0 => "high school",
        grade if grade < 17.0 => "college",
        _ => "postgraduate",
    };
    Some(format!("{words}, grade {grade:.1} ({school})"))
}

/// A bar of up to [`BAR`] columns, in eighths of a column, for a share of 0 to 1.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    // Never nothing: a keyword is there. The cast of what is not a number gives 0.
    let eighths = ((share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize).max(1);
    let part = PARTS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{part}", "█".repeat(eighths / 8))
}

/// A number of seconds as a reader says it.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => {
            let minutes = seconds.div_ceil(60);
            format!("{} h {:02} min", grouped(minutes / 60), minutes % 60)
        }
    }
}

/// A number and what it counts.
fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// A number with a comma at each thousand.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Text that is safe to print: blanks for control characters and line breaks, nothing for the marks that change the
/// direction of writing, which could make a line read as another.
pub(crate) fn clean(text: &str) -> String {
    let kept = text.chars().filter(
        |c| !matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'),
    );
    let safe: String = kept.map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c }).collect();
    safe.trim().to_owned()
}

/// The beginning of a text that fits into `width` columns, with an ellipsis where something is cut.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1_usize;
    let kept: String = text.graphemes(true).take_while(|piece| room(piece, &mut used, width)).collect();
    format!("{}…", kept.trim_end())
}

/// The end of a text that fits into `width` columns: of a path, the name of the file says more than the root.
fn fit_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1_usize;
    let kept: Vec<&str> = text.graphemes(true).rev().take_while(|piece| room(piece, &mut used, width)).collect();
    format!("…{}", kept.into_iter().rev().collect::<String>())
}

/// Whether a piece still fits, and takes its room.
fn room(piece: &str, used: &mut usize, width: usize) -> bool {
    *used = used.saturating_add(piece.width());
    *used <= width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Document, assemble, outline, rank, readability, words};

    fn digest(path: &str, text: &str) -> Digest {
        let document = Document { path: path.to_owned(), text: text.to_owned() };
        let (words, readability, outline) = (words(&document), readability(&document), outline(&document));
        let ranked = rank(&words, &readability, &outline, &document);
        assemble(document.path, words, readability, outline, ranked)
    }

    fn shown(digests: &[Digest], width: usize, color: bool) -> String {
        let mut out = String::new();
        assert!(report(digests, &mut out, width, color).is_ok());
        out
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let wide = "水火木金土日月年 ".repeat(60);
        let emoji = "the 👨‍👩‍👧‍👦 family eats e\u{301}clairs 🇩🇪 today again. ".repeat(30);
        let digests = [
            digest(&"long/".repeat(60), "One word after the other makes a sentence of the words."),
            digest("水/火.md", &format!("# {wide}\n\n{wide}。{emoji}\n\n## {emoji}\n")),
            digest("a.txt", &"x".repeat(5000)),
            digest("", ""),
        ];
        for width in [0, 40, 41, 57, 80, 110, 500] {
            let mut table = String::new();
            assert!(overview(&digests, &mut table, width, false).is_ok());
            for line in shown(&digests, width, false).lines().chain(table.lines()) {
                assert!(line.width() <= width.clamp(NARROWEST, WIDEST), "{width}: {} {line}", line.width());
            }
        }
    }

    #[test]
    fn colour_only_adds_escapes() {
        let digests =
            [digest("a.md", "# Store\n\nThe store keeps a store for the run. A run keeps the store.\n\n## Run\n")];
        let (plain, painted) = (shown(&digests, 80, false), shown(&digests, 80, true));
        assert!(!plain.contains('\x1b') && painted.contains('\x1b'));
        let stripped = ["1", "2", "36", "32", "31", "0"]
            .iter()
            .fold(painted, |text, code| text.replace(&format!("\x1b[{code}m"), ""));
        assert_eq!(stripped, plain);
        assert!(plain.contains("Markdown · 15 words (6 different) · 4 s to read"), "{plain}");
    }

    #[test]
    fn a_file_cannot_steer_the_terminal() {
        let text = "\x1b]0;title\x07 The \u{202e}store\u{9b}2J keeps the store of the store.\n";
        for path in ["a.md", "a\x1b[2J.txt", "a.rs"] {
            let out = shown(&[digest(path, text)], 80, false);
            assert!(!out.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{out:?}");
        }
    }

    #[test]
    fn nothing_at_all_is_a_summary() {
        assert_eq!(shown(&[], 80, false), "0 files · 0 words\n");
    }

    #[test]
    fn table_is_aligned() {
        let rows = [
            vec!["読む".to_owned(), "1".to_owned(), "12 ms".to_owned(), "ok".to_owned()],
            vec!["rank".to_owned(), "10".to_owned(), "3 ms".to_owned()],
        ];
        let mut out = String::new();
        assert!(table(&["node", "attempts", "time", "result"], &rows, &mut out, false).is_ok());
        let expected = "node  attempts   time  result\n\
                        ────  ────────  ─────  ──────\n\
                        読む         1  12 ms  ok\n\
                        rank        10   3 ms\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn figures_as_a_reader_says_them() {
        assert_eq!([grouped(0), grouped(999), grouped(1000), grouped(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([duration(59), duration(61), duration(3600)], ["59 s", "2 min", "1 h 00 min"]);
        assert_eq!([bar(1.0).width(), bar(0.5).width(), bar(0.0).width(), bar(f64::NAN).width()], [16, 8, 1, 1]);
        assert_eq!([fit("水火木", 5), fit("abc", 3), fit_end("a/b/c.rs", 5)], ["水火…", "abc", "…c.rs"]);
    }
}
