//! The attempts of one node as bars.

use alloc::{
    format,
    string::{String, ToString as _},
};
use core::fmt;

use super::place::{CELL, Px, Scale, Sort, text};
use crate::{
    observe::{Event, Outcome},
    picture::{
        escape::InXml,
        timeline::{Numbered, Row},
        words::{Spend, Time, Told, cut, end, width},
    },
};

/// The least that is seen of a bar, in tenths.
const LEAST: u64 = 15;
/// How far the mark of a node reaches that was not run, in tenths.
const MARK: u64 = 40;
/// The room on either side of a text, in tenths.
const GAP: u64 = 40;
/// What a text beside a bar stands off further, for the mark of a checkpoint.
const BESIDE: u64 = 30;
/// The fewest columns of a message that are worth showing.
const MESSAGE_LEAST: usize = 12;

/// Where a text stands.
#[derive(Clone, Copy)]
enum Side {
    /// On its bar.
    On,
    Right,
    Left,
}

/// The bars of a row.
pub(super) struct Bars<'r> {
    pub(super) row: &'r Row<'r>,
    pub(super) scale: Scale,
    /// Where the row begins, in pixels.
    pub(super) top: u64,
    pub(super) sort: Sort,
}

impl Bars<'_> {
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.row.events.is_empty() {
            let (x, y) = (Px(self.scale.from + GAP), self.top + 18);
            return writeln!(f, r#"<text class="dim" x="{x}" y="{y}">not run</text>"#);
        }
        // Waits lie below bars, and texts above them all: a bar is drawn a little wider than it is where it took next to no time.
        for at in 0..self.row.events.len() {
            self.wait(at, f)?;
        }
        for (at, (number, event)) in self.row.events.iter().enumerate() {
            self.linked((*number, event), f, |f| {
                self.bar(at, event, f)?;
                self.label(at, event, f)
            })?;
        }
        Ok(())
    }

    /// What is drawn of an event, which tells all of it where it is pointed at, and in a page leads to its row there.
    fn linked(
        &self,
        (number, event): Numbered<'_>,
        f: &mut fmt::Formatter<'_>,
        inside: impl FnOnce(&mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let told = Told(event).to_string();
        match self.sort {
            Sort::Alone => write!(f, "<g>")?,
            Sort::InPage => write!(f, r##"<a href="#e{}" aria-label="{}">"##, number.saturating_add(1), InXml(&told))?,
        }
        write!(f, "<title>{}</title>", InXml(told))?;
        inside(f)?;
        f.write_str(if self.sort == Sort::Alone { "</g>\n" } else { "</a>\n" })
    }

    /// Where a bar begins and ends, in tenths.
    fn ends(&self, event: &Event) -> (u64, u64) {
        let from = self.scale.x(event.start).min(self.scale.end().saturating_sub(LEAST));
        let least = match event.outcome {
            Outcome::Restored | Outcome::Replayed => MARK,
            _ => LEAST,
        };
        (from, self.scale.x(end(event)).max(from.saturating_add(least)))
    }

    /// Where the bar after this one begins, or all of them end.
    fn next(&self, at: usize) -> u64 {
        let next = self.row.events.get(at.saturating_add(1));
        next.map_or(self.scale.end(), |(_, next)| self.ends(next).0)
    }

    /// Whether this attempt lies on the one before it, which is then not seen.
    fn covers(&self, at: usize) -> bool {
        let Some((_, event)) = self.row.events.get(at) else { return false };
        let before = at.checked_sub(1).and_then(|before| self.row.events.get(before));
        event.attempt > 1 && before.is_some_and(|(_, before)| self.ends(before).0 + LEAST > self.ends(event).0)
    }

    fn bar(&self, at: usize, event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.ends(event);
        let (x, wide, y) = (Px(from), Px(to - from), self.top + 5);
        let class = match event.outcome {
            Outcome::Restored => {
                return write!(f, r#"<path class="bar kept" d="M{x} {}l6 6-6 6-6-6z"/>"#, self.top + 8);
            }
            Outcome::Replayed => {
                return write!(f, r#"<circle class="bar kept" cx="{x}" cy="{}" r="5"/>"#, self.top + 14);
            }
            Outcome::Succeeded => "well",
            Outcome::Failed { .. } => "bad",
            Outcome::CutShort => "cut",
        };
        let round = if to - from > 60 { r#" rx="2""# } else { "" };
        write!(f, r#"<rect class="bar {class}" x="{x}" y="{y}" width="{wide}" height="18"{round}/>"#)?;
        match event.outcome {
            // A foot at its end, so that it is not told by colour alone; they do not run into one another.
            Outcome::Failed { .. } if self.next(at).saturating_sub(from) >= 80 => {
                write!(f, r#"<path class="bad" d="M{} {}l4 5h-8z"/>"#, Px(to.saturating_sub(15)), y + 17)
            }
            Outcome::Succeeded if self.row.kept => {
                let at = Px(self.scale.x(end(event)));
                write!(f, r#"<path class="save" d="M{at} {}v22m-3 -22h6"/>"#, self.top + 3)
            }
            _ => Ok(()),
        }
    }

    /// As much of what there is to say as there is room for, on the bar or right of it.
    fn label(&self, at: usize, event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.ends(event);
        let took = Time(event.took);
        let (class, all, less) = match event.outcome {
            Outcome::Succeeded => ("on-well", spent(event, ""), took.to_string()),
            Outcome::Failed { .. } => ("on-bad", spent(event, "✕ "), format!("✕ {took}")),
            Outcome::CutShort => ("on-cut", spent(event, "cut short, "), "cut short".to_string()),
            Outcome::Restored => ("beside", "restored".to_string(), String::new()),
            Outcome::Replayed => ("beside", "replayed".to_string(), String::new()),
        };
        let (all, less) = match self.covers(at) {
            true => (format!("attempt {}, {all}", event.attempt), format!("attempt {}, {less}", event.attempt)),
            false => (all, less),
        };
        let wait = self.row.wait(at);
        let next = if wait.is_some() { to } else { self.next(at) };
        let on = if class == "beside" { 0 } else { (to - from).saturating_sub(2 * GAP) };
        let right = next.saturating_sub(to).saturating_sub(2 * GAP + BESIDE);
        // Left of the first bar there is nothing.
        let left = if at == 0 { from.saturating_sub(self.scale.from).saturating_sub(2 * GAP + BESIDE) } else { 0 };
        let least = if matches!(event.outcome, Outcome::Failed { .. }) { "✕".to_string() } else { String::new() };
        let tries = [
            (&all, on, Side::On),
            (&all, right, Side::Right),
            (&less, on, Side::On),
            (&less, right, Side::Right),
            (&all, left, Side::Left),
            (&less, left, Side::Left),
            (&least, on, Side::On),
        ];
        let fits = |(says, room, _): &(&String, u64, Side)| !says.is_empty() && text(width(says)) <= *room;
        let Some((says, room, side)) = tries.into_iter().find(fits) else { return Ok(()) };
        // Before another attempt the message stands on the wait.
        let says = match &event.outcome {
            Outcome::Failed { message, .. } if wait.is_none() => with_message(says, message, cells(room)),
            _ => says.clone(),
        };
        let (x, class, anchor) = match side {
            Side::On => (from + GAP, class, ""),
            Side::Right => (to + GAP + BESIDE, "beside", ""),
            Side::Left => (from.saturating_sub(GAP + BESIDE), "beside", r#" text-anchor="end""#),
        };
        write!(f, r#"<text class="{class}" x="{}" y="{}"{anchor}>{}</text>"#, Px(x), self.top + 18, InXml(says))
    }

    /// The wait after an attempt that failed.
    fn wait(&self, at: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((from, to)) = self.row.wait(at) else { return Ok(()) };
        let waited = Time(to.saturating_sub(from)).to_string();
        let (from, to, y) = (self.scale.x(from), self.scale.x(to), self.top + 5);
        let wide = to.saturating_sub(from);
        write!(f, r#"<g><title>waited {waited}</title>"#)?;
        write!(f, r#"<rect class="wait" x="{}" y="{y}" width="{}" height="18"/>"#, Px(from), Px(wide))?;
        let message = match self.row.events.get(at).map(|(_, event)| &event.outcome) {
            Some(Outcome::Failed { message, .. }) => message,
            _ => "",
        };
        let room = cells(wide.saturating_sub(3 * GAP));
        let says = format!("wait {waited}");
        if width(&says) <= room {
            let (x, y) = (Px(from + 2 * GAP), self.top + 18);
            let says = with_message(&format!("{says} after"), message, room);
            let says = says.strip_suffix(" after").unwrap_or(&says);
            write!(f, r#"<text class="over" x="{x}" y="{y}">{}</text>"#, InXml(says))?;
        }
        f.write_str("</g>\n")
    }
}

/// How many columns there are in so many tenths of a pixel.
fn cells(room: u64) -> usize {
    usize::try_from(room / CELL).unwrap_or(0)
}

/// With as much of a message as there is room for.
fn with_message(says: &str, message: &str, cells: usize) -> String {
    let room = cells.saturating_sub(width(says) + 2);
    let fits = room >= MESSAGE_LEAST || width(message) <= room;
    if fits && !message.is_empty() { format!("{says}: {}", cut(message, room)) } else { says.to_string() }
}

/// How long an attempt took and what it spent.
fn spent(event: &Event, before: &str) -> String {
    format!("{before}{}{}", Time(event.took), Spend(event.spent, " · "))
}
