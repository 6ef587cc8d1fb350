//! Runs for people to look at.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use stroma::{
    Spent,
    store::inspect::{Holding, RunView},
};

use crate::{
    state::{State, done, kind},
    text::{cut, plain, size, span, width},
};

const HEADS: [&str; 9] = ["RUN", "STATE", "DONE", "NEXT", "TOKENS", "COST", "TIME", "AGE", "HOLDER"];
const RUN: usize = 0;
const STATE: usize = 1;
const NEXT: usize = 3;
/// Columns that are left out where no row has something in them.
const OPTIONAL: [usize; 4] = [NEXT, 4, 5, 6];
/// How narrow a column may get for a terminal.
const NARROW: usize = 12;
const GAP: usize = 2;

/// What each state looks like; nothing but a word where there are no colours.
const fn style(state: State) -> Style {
    let colour = match state {
        State::Running => AnsiColor::Cyan,
        State::Finished => AnsiColor::Green,
        State::Halted | State::Abandoned => AnsiColor::Yellow,
        State::Idle => return Style::new(),
    };
    colour.on_default()
}

/// How many columns there are, where it is a terminal.
pub(crate) fn room() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| usize::from(columns))
}

/// A table of runs. What stands in its first rows says how wide its columns are; those that come later may be wider.
pub(crate) struct Table {
    room: Option<usize>,
    widths: Option<[usize; HEADS.len()]>,
}

impl Table {
    pub(crate) const fn new(room: Option<usize>) -> Self {
        Self { room, widths: None }
    }

    pub(crate) fn rows(&mut self, runs: &[RunView], to: &mut impl Write) -> io::Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let fits = self.room.is_some();
        let rows: Vec<_> = runs.iter().map(|run| (State::of(run), cells(run))).collect();
        let widths = match self.widths {
            Some(widths) => widths,
            None => {
                let widths = widths(&rows, self.room);
                let bold = Style::new().bold();
                line(&HEADS.map(str::to_owned), &widths, fits, |_| bold, to)?;
                *self.widths.insert(widths)
            }
        };
        for (state, cells) in &rows {
            line(cells, &widths, fits, |at| if at == STATE { style(*state) } else { Style::new() }, to)?;
        }
        Ok(())
    }
}

fn cells(view: &RunView) -> [String; HEADS.len()] {
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

fn holder(view: &RunView) -> String {
    match view.holding {
        Holding::Held { until: Some(until) } => format!("held, lease {}", span(until)),
        Holding::Held { until: None } => "held".to_owned(),
        Holding::Abandoned => "gone".to_owned(),
        _ => view.idle.map_or_else(|| "none".to_owned(), |idle| format!("none for {}", span(idle))),
    }
}

fn widths(rows: &[(State, [String; HEADS.len()])], room: Option<usize>) -> [usize; HEADS.len()] {
    let mut widths: [usize; HEADS.len()] = std::array::from_fn(|at| {
        let widest = rows.iter().map(|(_, cells)| width(&cells[at])).max().unwrap_or(0);
        if OPTIONAL.contains(&at) && widest == 0 { 0 } else { widest.max(width(HEADS[at])) }
    });
    if let Some(room) = room {
        for at in [NEXT, RUN] {
            let all: usize = widths.iter().filter(|width| **width > 0).map(|width| width + GAP).sum();
            let over = all.saturating_sub(GAP).saturating_sub(room);
            widths[at] = widths[at].saturating_sub(over).max(widths[at].min(NARROW));
        }
    }
    widths
}

fn line(
    cells: &[String; HEADS.len()],
    widths: &[usize; HEADS.len()],
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

/// One run in full.
pub(crate) fn run(view: &RunView, to: &mut impl Write) -> io::Result<()> {
    head(view, to)?;
    let heads = ["NODE", "KIND", "BYTES", "SCHEMA"].map(str::to_owned);
    // In the order in which they run, where that is known.
    let mut order = Vec::new();
    if let Some(outline) = &view.outline {
        outline.nodes(&mut |id, _| order.push(id));
    }
    let mut slots: Vec<_> = view.slots.iter().collect();
    slots.sort_by_key(|slot| (!slot.node.is_empty(), order.iter().position(|id| *id == slot.node), slot.instance));
    let rows = slots.into_iter().map(|slot| {
        let mut node = if slot.node.is_empty() { "(the run)".to_owned() } else { plain(&slot.node).into_owned() };
        if slot.instance > 0 {
            let _ = write!(node, " #{}", slot.instance);
        }
        let schema = slot.schema.map_or_else(|| "not readable".to_owned(), |schema| format!("{schema:016x}"));
        [node, kind(slot.kind).to_owned(), slot.len.to_string(), schema]
    });
    let rows: Vec<_> = std::iter::once(heads).chain(rows).collect();
    let widths: [usize; 4] = std::array::from_fn(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0));
    writeln!(to)?;
    for (at, row) in rows.iter().enumerate() {
        let style = if at == 0 { Style::new().bold() } else { Style::new() };
        let mut text = String::new();
        for (cell, room) in row.iter().zip(widths) {
            let gap = room.saturating_sub(width(cell)) + GAP;
            let _ = write!(text, "{cell}{:gap$}", "");
        }
        writeln!(to, "{style}{}{style:#}", text.trim_end())?;
    }
    Ok(())
}

/// How a run stands, in a few lines.
pub(crate) fn head(view: &RunView, to: &mut impl Write) -> io::Result<()> {
    let state = State::of(view);
    let (count, nodes) = done(view);
    let style = style(state);
    writeln!(to, "run     {}", plain(&view.run.to_string()))?;
    writeln!(to, "state   {style}{}{style:#}", state.name())?;
    match (nodes, &view.outline) {
        (Some(nodes), Some(outline)) => {
            writeln!(to, "nodes   {count} of {nodes} done: {}", plain(&outline.to_string()))?;
        }
        _ => writeln!(to, "nodes   {count} done; the store was not told which there are")?,
    }
    if let Some(progress) = view.progress().filter(|progress| !progress.is_finished()) {
        writeln!(to, "next    {}", plain(&progress.next.join(", ")))?;
    }
    match view.spent() {
        Ok(Some(spent)) => writeln!(to, "spent   {}", money(&spent))?,
        Ok(None) => writeln!(to, "spent   no account is kept")?,
        Err(error) => writeln!(to, "spent   {error}")?,
    }
    writeln!(to, "age     {}", view.age.map_or_else(|| "not known".to_owned(), span))?;
    writeln!(to, "holder  {}", holder(view))?;
    writeln!(to, "values  {} of {} together", view.slots.len(), size(view.bytes()))
}

fn money(spent: &Spent) -> String {
    let mut text = format!("{} tokens, {}, {}", spent.tokens, spent.cost, span(spent.time));
    if spent.unpriced_tokens > 0 {
        let _ = write!(text, "; {} of the tokens have no price", spent.unpriced_tokens);
    }
    text
}

/// What it spent, in a few words, where account is kept.
pub(crate) fn spent(view: &RunView) -> String {
    match view.spent() {
        Ok(Some(spent)) => format!("; {}", money(&spent)),
        _ => String::new(),
    }
}
