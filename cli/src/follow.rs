//! A run as it goes on.

use std::{collections::BTreeSet, io::Write, time::Duration};

use stroma::{RunId, SlotKind, store::inspect::RunView};
use tokio::time::sleep;

use crate::{
    show::{self, room},
    source::Source,
    state::{State, done, summary},
    text::{cut, plain},
    trouble::Trouble,
};

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Drawn anew each time, on a terminal.
    Picture,
    /// A line for each change.
    Lines,
    /// A JSON object for each change.
    Json,
}

pub(crate) async fn follow(
    source: &mut Source,
    run: &RunId,
    every: Duration,
    form: Form,
    to: &mut impl Write,
) -> Result<(), Trouble> {
    let mut before: Option<RunView> = None;
    let mut drawn = 0;
    let mut view = source.look(run).await?;
    loop {
        match form {
            Form::Picture => drawn = draw(&view, drawn, to)?,
            Form::Lines => lines(before.as_ref(), &view, to)?,
            Form::Json if before.as_ref().is_none_or(|before| differ(before, &view)) => {
                writeln!(to, "{}", summary(&view))?
            }
            Form::Json => {}
        }
        to.flush()?;
        if State::of(&view) == State::Finished {
            return Ok(());
        }
        before = Some(view);
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = sleep(every) => {}
        }
        view = source.look(run).await?;
    }
}

/// Whether there is something to say, beside that time went by.
fn differ(before: &RunView, now: &RunView) -> bool {
    State::of(before) != State::of(now) || before.slots != now.slots || before.ledger != now.ledger
}

/// Draws over what was drawn before, and says how many lines it is.
fn draw(view: &RunView, before: usize, to: &mut impl Write) -> Result<usize, Trouble> {
    let mut text = Vec::new();
    show::head(view, &mut text)?;
    if let (Some(outline), Some(progress)) = (&view.outline, view.progress()) {
        let kept: BTreeSet<_> = view.outputs().collect();
        let mut nodes = Vec::new();
        outline.nodes(&mut |id, stored| nodes.push((id, stored)));
        for (id, stored) in nodes {
            let mark = match (kept.contains(id), progress.next.contains(&id)) {
                (true, _) => "✓",
                (_, true) => "▸",
                (false, false) if stored => "·",
                (false, false) => "-",
            };
            writeln!(text, "  {mark} {}", plain(id))?;
        }
    }
    let text = String::from_utf8_lossy(&text);
    // A line that wraps would be two to go back over.
    let columns = room().unwrap_or(usize::MAX).saturating_sub(1);
    if before > 0 {
        write!(to, "\u{1b}[{before}A")?;
    }
    let mut count = 0;
    for line in text.lines() {
        let line = if line.contains('\u{1b}') { line.into() } else { cut(line, columns) };
        writeln!(to, "{line}\u{1b}[K")?;
        count += 1;
    }
    if count < before {
        write!(to, "\u{1b}[J")?;
    }
    Ok(count)
}

fn lines(before: Option<&RunView>, now: &RunView, to: &mut impl Write) -> Result<(), Trouble> {
    let (count, nodes) = done(now);
    let of = nodes.map_or_else(|| count.to_string(), |nodes| format!("{count} of {nodes}"));
    let state = State::of(now);
    let Some(before) = before else {
        writeln!(to, "{}: {of} done{}", state.name(), show::spent(now))?;
        return Ok(());
    };
    let known: BTreeSet<_> = before.slots.iter().map(|slot| (&slot.node, slot.instance, slot.kind)).collect();
    for slot in now.slots.iter().filter(|slot| !known.contains(&(&slot.node, slot.instance, slot.kind))) {
        if slot.kind == SlotKind::Output {
            let instance = if slot.instance > 0 { format!(" #{}", slot.instance) } else { String::new() };
            writeln!(to, "{}{instance}: saved, {of} done{}", plain(&slot.node), show::spent(now))?;
        }
    }
    let kept: BTreeSet<_> = now.slots.iter().map(|slot| (&slot.node, slot.instance, slot.kind)).collect();
    for slot in before.slots.iter().filter(|slot| !kept.contains(&(&slot.node, slot.instance, slot.kind))) {
        writeln!(to, "{}: thrown away, {of} done", plain(&slot.node))?;
    }
    if State::of(before) != state {
        writeln!(to, "{}: {of} done{}", state.name(), show::spent(now))?;
    }
    Ok(())
}
