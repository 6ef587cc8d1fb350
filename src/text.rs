//! Short text without a heap.

use core::fmt::{self, Write};

/// Up to `N` bytes of text; what is longer is cut at a character boundary and ends in an ellipsis.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Text<const N: usize>(heapless::String<N>);

impl<const N: usize> Text<N> {
    pub(crate) const fn empty() -> Self {
        Self(heapless::String::new())
    }

    /// The text of anything that can be shown.
    pub(crate) fn of(shown: impl fmt::Display) -> Self {
        let mut text = Self::empty();
        // An error here only says that the text was cut, which it shows by itself.
        let _ = write!(text, "{shown}");
        text
    }

    /// The text of anything that can be shown, on one line: control characters are escaped.
    pub(crate) fn line(shown: impl fmt::Display) -> Self {
        let mut text = Self::empty();
        // As above.
        let _ = write!(Line(&mut text), "{shown}");
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for c in s.chars() {
            // The ellipsis takes three bytes; keep them free until they are needed.
            if self.0.len() + c.len_utf8() + 3 > N {
                let _ = self.0.push('…');
                return Err(fmt::Error);
            }
            let _ = self.0.push(c);
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes all on one line: control characters are escaped.
struct Line<'t, W>(&'t mut W);

impl<W: Write> Write for Line<'_, W> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // As `escape_debug` has it, without its tables of what can be printed.
        s.chars().try_for_each(|c| match c {
            '\0' => self.0.write_str("\\0"),
            c if c.is_control() => write!(self.0, "{}", c.escape_default()),
            c => self.0.write_char(c),
        })
    }
}

/// Anything that can be shown, on one line: control characters are escaped.
#[cfg(feature = "json")]
pub(crate) struct OneLine<T>(pub(crate) T);

#[cfg(feature = "json")]
impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Line(f), "{}", self.0)
    }
}

/// The words of an error underneath: on the heap where there is one, since errors travel by value and are to be small.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Words(
    #[cfg(feature = "alloc")] Option<alloc::boxed::Box<str>>,
    #[cfg(not(feature = "alloc"))] Text<40>,
);

impl Words {
    /// No words.
    pub(crate) const fn none() -> Self {
        #[cfg(feature = "alloc")]
        return Self(None);
        #[cfg(not(feature = "alloc"))]
        return Self(Text::empty());
    }

    /// The words of anything that can be shown, on one line: control characters are escaped.
    #[cold]
    pub(crate) fn of(shown: impl fmt::Display) -> Self {
        #[cfg(feature = "alloc")]
        {
            let mut line = alloc::string::String::new();
            // A `Display` that fails half-way leaves what it had to say until then.
            let _ = write!(Line(&mut line), "{shown}");
            Self(Some(line.into_boxed_str()))
        }
        #[cfg(not(feature = "alloc"))]
        return Self(Text::line(shown));
    }

    pub(crate) fn as_str(&self) -> &str {
        #[cfg(feature = "alloc")]
        return self.0.as_deref().unwrap_or_default();
        #[cfg(not(feature = "alloc"))]
        return self.0.as_str();
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{Text, Words};

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(Text::<8>::of("abc").as_str(), "abc");
        assert_eq!(Text::<8>::of("abcdefghij").as_str(), "abcde…");
        assert_eq!(Text::<8>::of("äöüäöü").as_str(), "äö…");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(Words::of("ä\n b\u{1b}[0m").as_str(), "ä\\n b\\u{1b}[0m");
        for c in ('\0'..'\u{100}').filter(|c| c.is_control()) {
            assert_eq!(Words::of(c).as_str(), std::format!("{}", c.escape_debug()));
        }
    }
}
