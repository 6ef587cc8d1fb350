//! Runs for people to look at, a line for each.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use stroma::store::inspect::{Holding, RunView};

use crate::{
    state::{State, done},
    text::{cut, plain, span, width},
};

const HEADS: [&str; 9] = ["RUN", "STATE", "DONE", "NEXT", "TOKENS", "COST", "TIME", "AGE", "HOLDER"];
const RUN: usize = 0;
const STATE: usize = 1;
const NEXT: usize = 3;
const TOKENS: usize = 4;
const COST: usize = 5;
const TIME: usize = 6;
const AGE: usize = 7;
const HOLDER: usize = 8;
/// Columns that a terminal is spared where no row has something in them.
const OPTIONAL: [usize; 4] = [NEXT, TOKENS, COST, TIME];
/// How narrow a column may get for a terminal.
const NARROW: usize = 12;
const GAP: usize = 2;

/// What each state looks like; nothing but a word where there are no colours.
pub(crate) const fn style(state: State) -> Style {
    let colour = match state {
        State::Running => AnsiColor::Cyan,
        State::Finished => AnsiColor::Green,
        State::Halted | State::Abandoned => AnsiColor::Yellow,
        State::Idle => return Style::new(),
    };
    colour.on_default()
}

/// How many columns there are, where it is a terminal.
pub(crate) fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| usize::from(columns))
}

/// What a run has in each column.
type Cells = [String; HEADS.len()];
/// How wide each column is; zero where it is left out.
type Widths = [usize; HEADS.len()];

/// A table of runs, some rows at a time. On a terminal its columns grow with the rows that come, and their heads stand there again;
/// elsewhere all columns are there under one head, and a row that comes later may be wider.
pub(crate) struct Table {
    room: Option<usize>,
    /// What the rows so far want.
    wanted: Widths,
    /// What the last head stands above.
    widths: Option<Widths>,
}

impl Table {
    pub(crate) const fn new(room: Option<usize>) -> Self {
        Self { room, wanted: [0; HEADS.len()], widths: None }
    }

    pub(crate) fn rows(&mut self, runs: &[RunView], to: &mut impl Write) -> io::Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = runs.iter().map(|run| (State::of(run), cells(run))).collect();
        self.page(&rows, to)
    }

    fn page(&mut self, rows: &[(State, Cells)], to: &mut impl Write) -> io::Result<()> {
        let fits = self.room.is_some();
        for (_, cells) in rows {
            for (wanted, cell) in self.wanted.iter_mut().zip(cells) {
                *wanted = width(cell).max(*wanted);
            }
        }
        let widths = match (self.widths, self.room) {
            (Some(widths), None) => widths,
            (_, room) => widths(&self.wanted, room),
        };
        if self.widths != Some(widths) {
            self.widths = Some(widths);
            let bold = Style::new().bold();
            line(&HEADS.map(str::to_owned), &widths, fits, |_| bold, to)?;
        }
        for (state, cells) in rows {
            line(cells, &widths, fits, |at| if at == STATE { style(*state) } else { Style::new() }, to)?;
        }
        Ok(())
    }
}

fn cells(view: &RunView) -> Cells {
    let (count, nodes) = done(view);
    let next = view.progress().map_or_else(|| "?".to_owned(), |progress| progress.next.join(", "));
    let [tokens, cost, time] = match view.spent() {
        Ok(None) => ["", "", ""].map(str::to_owned),
        Ok(Some(spent)) => [spent.tokens.to_string(), spent.cost.to_string(), span(spent.time)],
        Err(_) => ["?", "?", "?"].map(str::to_owned),
    };
    [
        plain(&view.run.to_string()).into_owned(),
        State::of(view).name().to_owned(),
        nodes.map_or_else(|| format!("{count}/?"), |nodes| format!("{count}/{nodes}")),
        plain(&next).into_owned(),
        tokens,
        cost,
        time,
        view.age.map_or_else(|| "?".to_owned(), span),
        holder(view),
    ]
}

/// Who has it, in a few words.
pub(crate) fn holder(view: &RunView) -> String {
    match view.holding {
        Holding::Held { until: Some(until) } => format!("held, lease {}", span(until)),
        Holding::Held { until: None } => "held".to_owned(),
        Holding::Abandoned => "gone".to_owned(),
        _ => view.idle.map_or_else(|| "none".to_owned(), |idle| format!("none for {}", span(idle))),
    }
}

/// How wide the columns are of rows that want so much, in so much room.
fn widths(wanted: &Widths, room: Option<usize>) -> Widths {
    let mut widths: Widths = std::array::from_fn(|at| {
        let empty = room.is_some() && OPTIONAL.contains(&at) && wanted[at] == 0;
        if empty { 0 } else { wanted[at].max(width(HEADS[at])) }
    });
    if let Some(room) = room {
        // The id goes last of all: cut, it names no run any more.
        for at in [TIME, COST, TOKENS] {
            leave_out(&mut widths, at, room);
        }
        narrow(&mut widths, NEXT, room);
        for at in [HOLDER, AGE, NEXT] {
            leave_out(&mut widths, at, room);
        }
        narrow(&mut widths, RUN, room);
    }
    widths
}

/// How many columns there are too many.
fn over(widths: &[usize], room: usize) -> usize {
    let all: usize = widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum();
    all.saturating_sub(GAP).saturating_sub(room)
}

fn narrow(widths: &mut [usize], at: usize, room: usize) {
    widths[at] = widths[at].saturating_sub(over(widths, room)).max(widths[at].min(NARROW));
}

fn leave_out(widths: &mut [usize], at: usize, room: usize) {
    if over(widths, room) > 0 {
        widths[at] = 0;
    }
}

fn line(
    cells: &Cells,
    widths: &Widths,
    fits: bool,
    style: impl Fn(usize) -> Style,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut text = String::new();
    let mut owed = 0;
    for (at, (cell, &room)) in cells.iter().zip(widths).enumerate().filter(|(_, (_, room))| **room > 0) {
        // Where nothing has to fit, a row that comes later may be wider.
        let cell = if fits && matches!(at, RUN | NEXT) { cut(cell, room) } else { cell.into() };
        let (style, gap) = (style(at), owed);
        // Strings take it all.
        let _ = write!(text, "{:gap$}{style}{cell}{style:#}", "");
        owed = room.saturating_sub(width(&cell)) + GAP;
    }
    writeln!(to, "{}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table says of these rows, without colours.
    fn bare(table: &mut Table, rows: &[(State, Cells)]) -> String {
        let mut text = Vec::new();
        table.page(rows, &mut text).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(text).unwrap()).to_string()
    }

    fn row(id: &str, next: &str) -> (State, Cells) {
        (State::Idle, [id, "idle", "1/2", next, "", "", "", "1 s", "none"].map(str::to_owned))
    }

    #[test]
    fn rows_that_come_later_are_not_cut_to_the_first() {
        let mut table = Table::new(Some(80));
        let first = bare(&mut table, &[row("1", "")]);
        assert_eq!(first, "RUN  STATE  DONE  AGE  HOLDER\n1    idle   1/2   1 s  none\n");
        assert_eq!(bare(&mut table, &[row("2", "")]), "2    idle   1/2   1 s  none\n");
        let wider = bare(&mut table, &[row("1000", "total")]);
        assert_eq!(wider, "RUN   STATE  DONE  NEXT   AGE  HOLDER\n1000  idle   1/2   total  1 s  none\n");
        // Where nothing has to fit there is one head, and nothing is left out.
        let mut table = Table::new(None);
        let first = bare(&mut table, &[row("1", "")]);
        assert_eq!(first.lines().next(), Some("RUN  STATE  DONE  NEXT  TOKENS  COST  TIME  AGE  HOLDER"));
        let wider = bare(&mut table, &[row("1000", "total")]);
        assert!(wider.starts_with("1000  idle   1/2   total"), "{wider}");
        assert_eq!(wider.lines().count(), 1);
    }

    #[test]
    fn an_id_is_cut_last_of_all() {
        let cells = [
            &"i".repeat(36),
            "finished",
            "12/12",
            "assemble",
            "123456",
            "$0.1234",
            "119 s",
            "119 min",
            "held, lease 30 s",
        ];
        let rows = [(State::Running, cells.map(str::to_owned))];
        let shown = |room: usize| {
            let mut table = Table::new(Some(room));
            let text = bare(&mut table, &rows);
            assert!(text.lines().all(|line| width(line) <= room), "{room}: {text}");
            table.widths.unwrap()
        };
        for room in 60..140 {
            let widths = shown(room);
            assert_eq!((widths[RUN], widths[STATE]), (36, 8), "{room}: {widths:?}");
        }
        assert!(shown(140).iter().all(|width| *width > 0));
        let [narrow, tiny] = [shown(100), shown(53)];
        assert!(narrow[NEXT] > 0 && narrow[AGE] > 0 && narrow[HOLDER] > 0 && narrow[TIME] == 0, "{narrow:?}");
        assert_eq!((tiny[RUN], tiny[NEXT], tiny[HOLDER]), (36, 0, 0));
        assert_eq!(shown(40)[RUN], 23);
    }
}
