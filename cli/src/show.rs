//! One run for people to look at.

use std::{
    fmt::Write as _,
    io::{self, Write},
    time::SystemTime,
};

use anstyle::Style;
use stroma::{Spent, store::inspect::RunView};

use crate::{
    state::{State, done, kind},
    table::{holder, style},
    text::{plain, size, span, utc, width},
};

/// Between two columns.
const GAP: usize = 2;

/// One run in full.
pub(crate) fn run(view: &RunView, to: &mut impl Write) -> io::Result<()> {
    head(view, to)?;
    writeln!(to, "to do   {}", State::of(view).advice())?;
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
    writeln!(to, "state   {style}{}{style:#}: {}", state.name(), state.meaning())?;
    match (nodes, &view.outline) {
        (Some(nodes), Some(outline)) => {
            writeln!(to, "nodes   {count} of {nodes} done: {}", plain(&outline.to_string()))?;
        }
        _ => writeln!(to, "nodes   {count} done; which there are the store was not told by the program that began it")?,
    }
    if let Some(progress) = view.progress().filter(|progress| !progress.is_finished()) {
        writeln!(to, "next    {}", plain(&progress.next.join(", ")))?;
    }
    match view.spent() {
        Ok(Some(spent)) => writeln!(to, "spent   {}", money(&spent))?,
        Ok(None) => writeln!(to, "spent   no account is kept")?,
        Err(error) => writeln!(to, "spent   {error}")?,
    }
    match view.age {
        None => writeln!(to, "age     not known: the program that began it did not note it")?,
        Some(age) => {
            let since = SystemTime::now().checked_sub(age).map(|begun| format!(", since {}", utc(begun)));
            writeln!(to, "age     {}{}", span(age), since.unwrap_or_default())?;
        }
    }
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
