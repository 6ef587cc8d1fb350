//! A run as it goes on.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    pin::pin,
    process,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use stroma::{
    RunId, SlotKind,
    store::inspect::{Outline, Progress, RunView},
};
use tokio::time::{Instant, sleep};

use crate::{
    show,
    source::Source,
    state::{State, done, summary},
    text::{Json, cut, plain},
    trouble::{Kind, Trouble, notice},
};

/// For how long a server that went away is asked again.
const AWAY: Duration = Duration::from_secs(30);
/// How long a look may go on after Ctrl-C, so that the file is closed as it should be.
const GRACE: Duration = Duration::from_secs(1);

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

/// Shows the run until it is finished; that it is not is an error, and so is Ctrl-C before that, or that nobody reads on.
pub(crate) async fn follow(
    source: &mut Source,
    run: &RunId,
    every: Duration,
    form: Form,
    to: &mut impl Write,
) -> Result<(), Trouble> {
    watch(source, run, every, form, to).await.map_err(|trouble| match trouble.kind {
        Kind::Closed => Trouble { kind: Kind::CutOff, ..trouble },
        _ => trouble,
    })
}

async fn watch(
    source: &mut Source,
    run: &RunId,
    every: Duration,
    form: Form,
    to: &mut impl Write,
) -> Result<(), Trouble> {
    let mut stop = pin!(tokio::signal::ctrl_c());
    // A look at a file cannot be broken off, and one that waits for a program that is stopped may never end.
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            sleep(GRACE).await;
            process::exit(Trouble::interrupted().kind.status().into());
        }
    });
    let mut before: Option<RunView> = None;
    let mut drawn = 0;
    let mut away: Option<Instant> = None;
    loop {
        let told = source.was_told();
        let looked = tokio::select! {
            // From now on Ctrl-C is heard, whatever is known first.
            biased;
            _ = &mut stop => return Err(Trouble::interrupted()),
            looked = source.find(run, false) => looked,
        };
        if source.was_told() != told {
            // What was said stands below the picture, which is drawn anew below that.
            drawn = 0;
        }
        match looked {
            Ok(Some(view)) => {
                if away.take().is_some() {
                    notice(form == Form::Json, "it is there again");
                    drawn = 0;
                }
                match form {
                    Form::Picture => drawn = draw(&view, drawn, &mut io::stdout().lock())?,
                    Form::Lines => lines(before.as_ref(), &view, to)?,
                    Form::Json if before.as_ref().is_none_or(|before| differ(before, &view)) => {
                        writeln!(to, "{}", Json(&summary(&view)))?
                    }
                    Form::Json => {}
                }
                to.flush()?;
                if State::of(&view) == State::Finished {
                    return Ok(());
                }
                before = Some(view);
            }
            Ok(None) if before.is_some() => return Err(Trouble::forgotten(run)),
            Ok(None) => return Err(Trouble::unknown(run)),
            Err(trouble) if before.is_some() && source.is_server() && trouble.kind == Kind::Unavailable => {
                if away.is_none() {
                    notice(form == Form::Json, &format!("{}: it is waited for", trouble.text));
                }
                if away.get_or_insert_with(Instant::now).elapsed() >= AWAY {
                    return Err(trouble);
                }
            }
            Err(trouble) => return Err(trouble),
        }
        tokio::select! {
            _ = &mut stop => return Err(Trouble::interrupted()),
            () = sleep(every) => {}
        }
    }
}

/// Whether there is something to say, beside that time went by.
fn differ(before: &RunView, now: &RunView) -> bool {
    State::of(before) != State::of(now) || before.slots != now.slots || before.ledger != now.ledger
}

/// Columns and lines of the terminal.
fn size() -> Option<(usize, usize)> {
    let size = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    size.map(|(terminal_size::Width(columns), terminal_size::Height(lines))| (columns.into(), lines.into()))
}

/// Draws over what was drawn before, and says how many lines it is. `to` does not leave out what moves the cursor where no colours
/// are wanted.
fn draw(view: &RunView, before: usize, to: &mut impl Write) -> Result<usize, Trouble> {
    // A line that wraps would be two to go back over, and what is above the first line cannot be gone back to.
    let (columns, room) = size()
        .map_or((usize::MAX, usize::MAX), |(columns, lines)| (columns.saturating_sub(1), lines.saturating_sub(1)));
    let mut head = Vec::new();
    show::head(view, &mut head)?;
    let head = String::from_utf8_lossy(&head);
    let mut picture: Vec<_> = head.lines().map(|line| styled(line, columns)).collect();
    if let (Some(outline), Some(progress)) = (&view.outline, view.progress()) {
        let nodes = nodes(view, outline, &progress);
        let nodes = window(nodes, room.saturating_sub(picture.len()));
        picture.extend(nodes.iter().map(|line| cut(line, columns).into_owned()));
    }
    picture.truncate(room);
    if before > 0 {
        write!(to, "\u{1b}[{before}A")?;
    }
    for line in &picture {
        writeln!(to, "{line}\u{1b}[K")?;
    }
    if picture.len() < before {
        write!(to, "\u{1b}[J")?;
    }
    Ok(picture.len())
}

/// As much of the line as there is room for, with its colours where they are wanted.
fn styled(line: &str, columns: usize) -> String {
    let bare = strip_str(line).to_string();
    let shown = cut(&bare, columns);
    if *shown == bare && AutoStream::choice(&io::stdout()) != ColorChoice::Never {
        line.to_owned()
    } else {
        shown.into_owned()
    }
}

/// A line for each node, and whether it is done with.
fn nodes(view: &RunView, outline: &Outline, progress: &Progress<'_>) -> Vec<(bool, String)> {
    let kept: BTreeSet<_> = view.outputs().collect();
    let mut nodes = Vec::new();
    outline.nodes(&mut |id, stored| {
        let mark = match (kept.contains(id), progress.next.contains(&id)) {
            (true, _) => "✓",
            (_, true) => "▸",
            (false, false) if stored => "·",
            (false, false) => "-",
        };
        nodes.push((kept.contains(id), format!("  {mark} {}", plain(id))));
    });
    nodes
}

/// As many of the lines as there is room for, around the first that is not done with.
fn window(nodes: Vec<(bool, String)>, room: usize) -> Vec<String> {
    let count = nodes.len();
    if count <= room {
        return nodes.into_iter().map(|(_, line)| line).collect();
    }
    if room < 3 {
        return Vec::new();
    }
    // A line each for those before and behind.
    let shown = room.saturating_sub(2);
    let first = nodes.iter().position(|(done, _)| !done).unwrap_or(count);
    let from = first.saturating_sub(1).min(count - shown);
    let behind = count - from - shown;
    let mut lines = vec![format!("  … {from} more before")];
    lines.extend(nodes.into_iter().skip(from).take(shown).map(|(_, line)| line));
    lines.push(format!("  … {behind} more behind"));
    lines
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

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn what_comes_next_is_in_the_window() {
        let nodes = |done: usize| (0..20).map(|at| (at < done, at.to_string())).collect::<Vec<_>>();
        assert_eq!(window(nodes(3), 20).len(), 20);
        for done in 0..=20 {
            for room in 0..20 {
                let shown = window(nodes(done), room);
                assert!(shown.len() <= room, "{done} {room}");
                if room >= 4 && done < 20 {
                    assert!(shown.contains(&done.to_string()), "{done} {room} {shown:?}");
                }
                let hidden: usize = shown
                    .iter()
                    .filter_map(|line| line.strip_prefix("  … ")?.split(' ').next()?.parse::<usize>().ok())
                    .sum();
                if room >= 3 {
                    assert_eq!(hidden + shown.len() - 2, 20, "{done} {room} {shown:?}");
                }
            }
        }
    }
}
