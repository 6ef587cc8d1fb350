//! Text of anybody's in a picture of ours: no character of it is taken for one of the form.

use core::{
    fmt::{self, Write},
    mem,
};

/// How one form writes a character.
type Written<W> = fn(&mut W, char) -> fmt::Result;

/// Hands on each character to be written as the form has it. What would not be seen, or would change what is seen of the rest
/// (control characters, and marks that turn the direction of text), is shown as an escape.
struct Escaping<'w, W> {
    to: &'w mut W,
    with: Written<W>,
}

impl<W> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => c.escape_debug().try_for_each(|c| (self.with)(self.to, c)),
            c if turns(c) => c.escape_unicode().try_for_each(|c| (self.with)(self.to, c)),
            c => (self.with)(self.to, c),
        })
    }
}

/// Whether a character ends a line in some reader or turns the direction of what follows.
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Within a string in double quotes of a Mermaid flowchart.
pub(super) struct InMermaid<T>(pub(super) T);

/// What is written of a label.
struct Label<'w, 'f> {
    to: &'w mut fmt::Formatter<'f>,
    /// Whether a letter or a digit comes before.
    in_word: bool,
}

impl<T: fmt::Display> fmt::Display for InMermaid<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn character(label: &mut Label<'_, '_>, c: char) -> fmt::Result {
            let in_word = mem::replace(&mut label.in_word, c.is_alphanumeric());
            // Quotes, HTML, entities, Markdown, formulas (`$$`), icons (`fa:`) and styles (`style a:#`) are all read there, so only
            // what cannot begin one stays as it is. Markdown is read by some versions (11.4) in every label, by others (10.9, 11.17)
            // only between backticks: there `__init__` would be bold, and `- x` a list, which is not shown at all. Behind a letter
            // neither begins.
            match c {
                ' ' | ',' | '/' | '…' | '→' => label.to.write_char(c),
                '-' | '_' if in_word => label.to.write_char(c),
                c if c.is_alphanumeric() => label.to.write_char(c),
                c => write!(label.to, "#{};", u32::from(c)),
            }
        }
        write!(Escaping { to: &mut Label { to: f, in_word: false }, with: character }, "{}", self.0)
    }
}

/// Within a string in double quotes of a DOT graph.
pub(super) struct InDot<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for InDot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn character(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
            match c {
                '"' | '\\' => write!(f, "\\{c}"),
                // Entities of HTML are read there.
                '&' => f.write_str("&amp;"),
                c => f.write_char(c),
            }
        }
        write!(Escaping { to: f, with: character }, "{}", self.0)
    }
}

/// As plain text: on one line, and nothing that a terminal would obey.
#[cfg(feature = "alloc")]
pub(super) struct Plain<T>(pub(super) T);

#[cfg(feature = "alloc")]
impl<T: fmt::Display> fmt::Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { to: f, with: |f: &mut fmt::Formatter<'_>, c| f.write_char(c) }, "{}", self.0)
    }
}

/// Within an element, or an attribute in quotes, of HTML or SVG.
#[cfg(feature = "alloc")]
pub(super) struct InXml<T>(pub(super) T);

#[cfg(feature = "alloc")]
impl<T: fmt::Display> fmt::Display for InXml<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn character(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
            match c {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                // No character of XML at all.
                '\u{fffe}' | '\u{ffff}' => f.write_char(char::REPLACEMENT_CHARACTER),
                c => f.write_char(c),
            }
        }
        write!(Escaping { to: f, with: character }, "{}", self.0)
    }
}
