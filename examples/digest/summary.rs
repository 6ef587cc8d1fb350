//! What is said at the end: the digests, the table of nodes, what was not done again, and what went wrong.

use std::{
    fmt::{self, Write},
    path::Path,
    time::Duration,
};

use crate::{
    drive::{self, Done, Ended, How, Trouble},
    files::Found,
    render::{self, Style, paint},
    text::Digest,
};

/// Up to so many files, each has its digest printed in full.
const IN_FULL: usize = 3;
/// Files named one by one where there may be many.
const NAMED: usize = 8;

/// All that there is to say.
pub(crate) struct Summary<'a> {
    /// What was found.
    pub(crate) found: &'a Found,
    /// What became of it.
    pub(crate) ended: &'a [Ended],
    /// The ids of the nodes.
    pub(crate) nodes: &'a [&'static str],
    /// The pipeline in one line.
    pub(crate) shape: &'a str,
    /// The time that all took.
    pub(crate) took: Duration,
    /// Most files at once.
    pub(crate) jobs: usize,
    /// Columns of the terminal.
    pub(crate) width: usize,
}

impl Summary<'_> {
    /// The digests.
    pub(crate) fn report(&self, long: bool, color: bool) -> String {
        let digests: Vec<Digest> =
            self.done().map(|(shown, done)| Digest { path: shown.to_owned(), ..done.digest.clone() }).collect();
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = if long || digests.len() <= IN_FULL {
            render::report(&digests, &mut out, self.width, color)
        } else {
            render::overview(&digests, &mut out, self.width, color)
        };
        out
    }

    /// The table of nodes, and what was not done again.
    pub(crate) fn outcome(&self, color: bool) -> String {
        let mut out = String::new();
        let _ = self.write_outcome(&mut out, color);
        out
    }

    fn write_outcome(&self, out: &mut String, color: bool) -> fmt::Result {
        writeln!(out, "\n{}", paint(self.shape, Style::Dim, color))?;
        writeln!(out)?;
        let mut rows = Vec::new();
        let mut restored = Vec::new();
        let mut attempts = 0;
        for node in self.nodes {
            let sum = drive::at_node(self.ended, node);
            attempts += sum.attempts;
            if sum.restored > 0 {
                restored.push((*node, sum.restored));
            }
            let mean = u32::try_from(sum.attempts).ok().and_then(|attempts| sum.total.checked_div(attempts));
            rows.push(vec![
                (*node).to_owned(),
                count(sum.attempts),
                count(sum.failed),
                count(sum.restored),
                if sum.attempts == 0 { "-".to_owned() } else { time(sum.total) },
                mean.map_or("-".to_owned(), time),
                if sum.attempts == 0 { "-".to_owned() } else { time(sum.longest) },
            ]);
        }
        let headers = ["node", "attempts", "failed", "not again", "total", "mean", "longest"];
        render::table(&headers, &rows, out, color)?;

        writeln!(out)?;
        self.paragraph(&self.totals(), out, |line| paint(line, Style::Bold, color))?;
        let resumed = self.ended.iter().zip(&self.found.targets).filter(|(ended, _)| is(ended, How::Resumed));
        let mark = paint("RESUMED", Style::Green, color);
        for (ended, target) in resumed.clone().take(NAMED) {
            let kept: Vec<&str> = self.nodes.iter().copied().filter(|node| is_restored(ended, node)).collect();
            writeln!(out, "{mark} {}: not run again: {}", render::clean(&target.shown), kept.join(", "))?;
        }
        let more = resumed.count().saturating_sub(NAMED);
        if more > 0 {
            writeln!(out, "{mark} and {more} more")?;
        }
        let not_again: u64 = restored.iter().map(|(_, restored)| restored).sum();
        if not_again > 0 {
            let each: Vec<String> = restored.iter().map(|(node, restored)| format!("{node} {restored}")).collect();
            let all = render::grouped(not_again + attempts);
            let line = format!("{} of {all} steps were checkpointed and not run again", render::grouped(not_again));
            self.paragraph(&format!("{line}: {}", each.join(", ")), out, str::to_owned)?;
        }
        Ok(())
    }

    fn paragraph(&self, text: &str, out: &mut String, style: impl Fn(&str) -> String) -> fmt::Result {
        render::paragraph(text, "", "  ", out, self.width, style)
    }

    /// How many files ended in which way, in one line.
    fn totals(&self) -> String {
        let ended = |how: How| self.ended.iter().filter(|ended| is(ended, how)).count();
        let files = self.ended.len() + self.found.unfit.len();
        let trouble = |busy: bool| {
            self.ended
                .iter()
                .filter(|ended| ended.result.as_ref().is_err_and(|why| (*why == Trouble::Busy) == busy))
                .count()
        };
        let parts = [
            (ended(How::InOneGo), "digested"),
            (ended(How::Anew), "begun anew (the file or this program has changed)"),
            (ended(How::Resumed), "resumed"),
            (ended(How::Unchanged), "unchanged, taken from the checkpoints"),
            (ended(How::Rewritten), "taken from the checkpoints and their JSON written again"),
            (trouble(true), "left to another process"),
            (trouble(false) + self.found.unfit.len(), "failed"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let plural = if files == 1 { "" } else { "s" };
        let all = format!("{files} file{plural} in {}, at most {} at once", time(self.took), self.jobs);
        if parts.is_empty() { all } else { format!("{all}: {}", parts.join(", ")) }
    }

    /// The files that were not digested, and why; nothing where there are none.
    pub(crate) fn trouble(&self, color: bool) -> String {
        let unfit = self.found.unfit.iter().map(|unfit| (unfit.shown.as_str(), unfit.why.clone(), false));
        let halted = self.found.targets.iter().zip(self.ended).filter_map(|(target, ended)| {
            let trouble = ended.result.as_ref().err()?;
            Some((target.shown.as_str(), trouble.to_string(), *trouble == Trouble::Busy))
        });
        let mut out = String::new();
        for (path, why, busy) in unfit.chain(halted) {
            let mark = if busy { paint("busy", Style::Bold, color) } else { paint("failed", Style::Red, color) };
            let _ =
                writeln!(out, "{mark} {}: {}", paint(&render::clean(path), Style::Bold, color), render::clean(&why));
        }
        out
    }

    /// The files that were digested, as a reader knows them.
    fn done(&self) -> impl Iterator<Item = (&str, &Done)> {
        let each = self.found.targets.iter().zip(self.ended);
        each.filter_map(|(target, ended)| Some((target.shown.as_str(), ended.result.as_ref().ok()?)))
    }
}

/// Where things were put.
pub(crate) fn places(json: &Path, state: &Path, color: bool) -> String {
    let place = |what: &str, path: &Path| {
        format!("{} {}\n", paint(what, Style::Dim, color), render::clean(&path.display().to_string()))
    };
    [place("JSON       ", &json.join("report.json")), place("checkpoints", state)].concat()
}

fn is(ended: &Ended, how: How) -> bool {
    ended.result.as_ref().is_ok_and(|done| done.how == how)
}

fn is_restored(ended: &Ended, node: &str) -> bool {
    ended.trace.events_for(node).any(|event| event.outcome == stroma::Outcome::Restored)
}

fn count(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { render::grouped(number) }
}

/// A time with the unit that suits it.
fn time(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 0.000_999_5 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 0.099_95 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 0.999_5 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 99.95 => format!("{seconds:.1} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let shown = [0, 999, 1_000, 99_900, 999_400, 1_000_000, 250_000_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(shown, ["0 µs", "999 µs", "1.0 ms", "99.9 ms", "999 ms", "1.0 s", "250 s"]);
    }
}
