//! The attempts of a run as a table for a terminal.

use alloc::{string::String, string::ToString as _, vec::Vec};
use core::fmt::{self, Write as _};

use super::escape::Plain;
use super::words::{Count, Ending, Name, Sums, Time, cut, ended, width};
use crate::{
    budget::Usd,
    observe::{Event, Outcome, Trace},
};

impl Trace {
    /// The attempts as a table for a terminal, in the order in which they ended, with their sums below it.
    ///
    /// It is at most 80 columns wide, or as [`Table::width`] says: long ids and messages end in an ellipsis, and what is in them
    /// stays on its line. A message that does not fit beside its attempt stands below it. Tokens and cost have columns where there are
    /// any.
    ///
    /// ```
    /// # use stroma::{ListTrace, Runner, RunId, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no luck") } }
    /// # impl stroma::Failure for AppError {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stroma::BuildError> {
    /// # let fails = |_: u32| async { Err::<u32, _>(AppError) };
    /// let runner = Runner::new(node("guess", fails)).with_trace(ListTrace::new()).build()?;
    /// let halted = runner.run_as(RunId::from_u128(1), 3).await.unwrap_err();
    /// assert_eq!(halted.trace.table().to_string(), "\
    /// node   attempt  start  took  outcome
    /// guess        1    0 s   0 s  failed (ambiguous): no luck
    /// 1 attempt, 1 failed · 0 s
    /// ");
    /// # Ok(())
    /// # }
    /// ```
    pub const fn table(&self) -> Table<'_> {
        Table { trace: self, width: 80 }
    }
}

/// A trace as a table, made by [`Trace::table`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a table is written by `Display`"]
pub struct Table<'t> {
    trace: &'t Trace,
    width: usize,
}

impl Table<'_> {
    /// At most so many columns wide. Times and spend are never cut, so a very narrow one is wider.
    pub const fn width(mut self, columns: usize) -> Self {
        self.width = columns;
        self
    }
}

/// The widest that the column of ids becomes.
const NODE_MOST: usize = 28;

/// The narrowest that the column of outcomes becomes.
const OUTCOME_LEAST: usize = 9;

/// What stands in one column.
struct Column {
    head: &'static str,
    cell: fn(&Event) -> String,
}

const NUMBERS: [Column; 5] = [
    Column { head: "attempt", cell: |event| if event.attempt == 0 { "-".into() } else { event.attempt.to_string() } },
    Column { head: "start", cell: |event| Time(event.start).to_string() },
    Column { head: "took", cell: |event| Time(event.took).to_string() },
    Column { head: "tokens", cell: |event| or_blank(event.spent.tokens != 0, Count(event.spent.tokens)) },
    Column { head: "cost", cell: |event| or_blank(event.spent.cost != Usd::ZERO, event.spent.cost) },
];

/// What is not nothing.
fn or_blank(there: bool, shown: impl fmt::Display) -> String {
    if there { shown.to_string() } else { String::new() }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sums = Sums::of(self.trace);
        let columns: Vec<_> = NUMBERS
            .iter()
            .filter(|column| match column.head {
                "tokens" => sums.spent.tokens != 0,
                "cost" => sums.spent.cost != Usd::ZERO,
                _ => true,
            })
            .map(|column| {
                let widest = self.trace.iter().map(|event| width(&(column.cell)(event))).max();
                (column, widest.unwrap_or(0).max(column.head.len()))
            })
            .collect();
        let numbers: usize = columns.iter().map(|(_, wide)| wide + 2).sum();
        let names = self.trace.iter().map(|event| width(&cut(Name(&event.node, event.instance), NODE_MOST)));
        let room = self.width.saturating_sub(numbers + 2 + OUTCOME_LEAST);
        let node = names.max().unwrap_or(0).min(room).max("node".len());
        let outcome = self.width.saturating_sub(node + numbers + 2).max(OUTCOME_LEAST);

        let mut line = String::new();
        let mut end = |line: &mut String| {
            let written = writeln!(f, "{}", line.trim_end());
            line.clear();
            written
        };
        if !self.trace.events().is_empty() {
            put(&mut line, "node", node, true)?;
            columns.iter().try_for_each(|(column, wide)| put(&mut line, column.head, wide + 2, false))?;
            line.push_str("  outcome");
            end(&mut line)?;
        }
        for event in self.trace {
            put(&mut line, &cut(Name(&event.node, event.instance), node), node, true)?;
            columns.iter().try_for_each(|(column, wide)| put(&mut line, &(column.cell)(event), wide + 2, false))?;
            let ending = Plain(Ending(event)).to_string();
            let fits = width(&ending) <= outcome;
            write!(line, "  {}", if fits { &ending } else { ended(event) })?;
            end(&mut line)?;
            if let (false, Outcome::Failed { class, message }) = (fits, &event.outcome) {
                let room = self.width.saturating_sub(4).max(OUTCOME_LEAST);
                write!(line, "    {}", cut(format_args!("{class}: {message}"), room))?;
                end(&mut line)?;
            }
        }
        for part in sums.to_string().split(" · ") {
            match width(&line) + 3 + width(part) {
                _ if line.is_empty() => line.push_str(part),
                wide if wide <= self.width => write!(line, " · {part}")?,
                _ => {
                    end(&mut line)?;
                    write!(line, "    {part}")?;
                }
            }
        }
        end(&mut line)
    }
}

/// A text with blanks around it: `format!` counts characters, not columns.
fn put(line: &mut String, text: &str, wide: usize, left: bool) -> fmt::Result {
    let blank = wide.saturating_sub(width(text));
    if left { write!(line, "{text}{:blank$}", "") } else { write!(line, "{:blank$}{text}", "") }
}
