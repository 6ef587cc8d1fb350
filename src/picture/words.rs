//! What pictures of a run say: times, spend and outcomes in a few words, and text cut to a width.

use alloc::string::{String, ToString as _};
use core::{
    fmt::{self, Write as _},
    time::Duration,
};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::escape::Plain;
use crate::{
    budget::Usd,
    observe::{Event, Outcome, Trace},
    report::Spent,
};

/// A time to three digits, in the unit that suits it: `1.25 s`, `320 ms`, `2 min 05 s`.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is rounded up to a whole of the next unit is told in that.
        let nanos = match self.0.as_nanos() {
            minutes @ 60_000_000_000.. => minutes,
            nanos => rounded(nanos),
        };
        let secs = nanos / 1_000_000_000;
        match secs {
            3_600.. => return write!(f, "{} h {:02} min", secs / 3_600, secs % 3_600 / 60),
            60.. => return write!(f, "{} min {:02} s", secs / 60, secs % 60),
            _ => {}
        }
        let (unit, name) = match nanos {
            0 => return f.write_str("0 s"),
            1_000_000_000.. => (1_000_000_000, "s"),
            1_000_000.. => (1_000_000, "ms"),
            1_000.. => (1_000, "µs"),
            _ => (1, "ns"),
        };
        let (scale, digits) = match nanos / unit {
            0..10 => (100, 2),
            10..100 => (10, 1),
            _ => (1, 0),
        };
        let shown = nanos * scale / unit;
        let (whole, part) = (shown / scale, shown % scale);
        if part == 0 {
            return write!(f, "{whole} {name}");
        }
        let mut decimals = String::new();
        write!(decimals, "{part:0digits$}")?;
        write!(f, "{whole}.{} {name}", decimals.trim_end_matches('0'))
    }
}

/// To three digits.
fn rounded(nanos: u128) -> u128 {
    let mut unit = 1;
    while nanos / unit >= 1_000 {
        unit *= 10;
    }
    (nanos + unit / 2) / unit * unit
}

/// A number with its thousands set apart: `12,345`.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        digits.char_indices().try_for_each(|(at, digit)| {
            if at != 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)
        })
    }
}

/// The node of an event, with its iteration or element where it has one.
pub(super) struct Name<'e>(pub(super) &'e str, pub(super) u32);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if self.1 == 0 { Ok(()) } else { write!(f, " #{}", self.1) }
    }
}

/// How an event ended, in a word or two.
pub(super) fn ended(event: &Event) -> &'static str {
    match event.outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::CutShort => "cut short",
        Outcome::Restored => "restored",
        Outcome::Replayed => "replayed",
    }
}

/// How an event ended, with what a failure means and says.
pub(super) struct Ending<'e>(pub(super) &'e Event);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ended(self.0))?;
        match &self.0.outcome {
            Outcome::Failed { class, message } => write!(f, " ({class}): {message}"),
            _ => Ok(()),
        }
    }
}

/// What was spent beside time, after `before` each; nothing where nothing was.
pub(super) struct Spend<'s>(pub(super) Spent, pub(super) &'s str);

impl fmt::Display for Spend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spent, before) = self;
        if spent.tokens != 0 {
            let plural = if spent.tokens == 1 { "" } else { "s" };
            write!(f, "{before}{} token{plural}", Count(spent.tokens))?;
        }
        if spent.cost != Usd::ZERO {
            write!(f, "{before}{}", spent.cost)?;
        }
        if spent.unpriced_tokens != 0 {
            write!(f, "{before}{} of them without a price", Count(spent.unpriced_tokens))?;
        }
        Ok(())
    }
}

/// Everything that is known of an event, as a sentence.
pub(super) struct Told<'e>(pub(super) &'e Event);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        write!(f, "{}", Name(&event.node, event.instance))?;
        if event.attempt != 0 {
            write!(f, ", attempt {}", event.attempt)?;
        }
        write!(f, ", {}; at {}, took {}", Ending(event), Time(event.start), Time(event.took))?;
        write!(f, "{}", Spend(event.spent, ", "))
    }
}

/// When an event ended, since the run was opened.
pub(super) fn end(event: &Event) -> Duration {
    event.start.saturating_add(event.took)
}

/// The sums of a trace.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    /// From the opening of the run to the end of the last event.
    pub(super) time: Duration,
    pub(super) spent: Spent,
    attempts: u64,
    failed: u64,
    restored: u64,
    replayed: u64,
    dropped: u64,
}

impl Sums {
    pub(super) fn of(trace: &Trace) -> Self {
        let mut sums = Self { dropped: trace.dropped(), ..Self::default() };
        for event in trace {
            sums.time = sums.time.max(end(event));
            sums.spent.tokens = sums.spent.tokens.saturating_add(event.spent.tokens);
            sums.spent.unpriced_tokens = sums.spent.unpriced_tokens.saturating_add(event.spent.unpriced_tokens);
            sums.spent.cost = sums.spent.cost.saturating_add(event.spent.cost);
            match event.outcome {
                Outcome::Restored => sums.restored += 1,
                Outcome::Replayed => sums.replayed += 1,
                Outcome::Failed { .. } => (sums.attempts, sums.failed) = (sums.attempts + 1, sums.failed + 1),
                Outcome::Succeeded | Outcome::CutShort => sums.attempts += 1,
            }
        }
        sums
    }
}

/// In one line: `4 attempts, 1 failed · 1.8 s · 940 tokens · $0.00265`.
impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{} attempt{plural}", Count(self.attempts))?;
        for (count, what) in [(self.failed, "failed"), (self.restored, "restored"), (self.replayed, "replayed")] {
            if count != 0 {
                write!(f, ", {} {what}", Count(count))?;
            }
        }
        write!(f, " · {}{}", Time(self.time), Spend(self.spent, " · "))?;
        match self.dropped {
            0 => Ok(()),
            dropped => write!(f, " · {} earlier events are not in this trace", Count(dropped)),
        }
    }
}

/// How many columns a text takes in a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// A text on one line and no wider than `most` columns; what is cut off is an ellipsis.
pub(super) fn cut(shown: impl fmt::Display, most: usize) -> String {
    let text = Plain(shown).to_string();
    if width(&text) <= most {
        return text;
    }
    let mut kept = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > most {
            break;
        }
        kept.push(c);
    }
    // Signs that are wider together than one by one.
    while width(&kept) >= most && kept.pop().is_some() {}
    if most != 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_their_unit() {
        for (nanos, shown) in [
            (0, "0 s"),
            (7, "7 ns"),
            (1_500, "1.5 µs"),
            (999_499, "999 µs"),
            (999_999, "1 ms"),
            (12_340_000, "12.3 ms"),
            (320_000_000, "320 ms"),
            (1_254_000_000, "1.25 s"),
            (2_005_000_000, "2.01 s"),
            (59_940_000_000, "59.9 s"),
            (59_960_000_000, "1 min 00 s"),
            (125_000_000_000, "2 min 05 s"),
            (3_725_000_000_000, "1 h 02 min"),
        ] {
            assert_eq!(Time(Duration::from_nanos(nanos)).to_string(), shown);
        }
        assert!(Time(Duration::MAX).to_string().ends_with(" min"));
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Count(number).to_string(), shown);
        }
    }

    #[test]
    fn text_is_cut_to_columns_and_stays_on_its_line() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("名前です", 4), "名…");
        assert_eq!(cut("a\nb\u{1b}[1m", 20), "a\\nb\\u{1b}[1m");
        assert_eq!(cut("abc", 0), "");
    }
}
