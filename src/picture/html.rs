//! A timeline as a page.

use alloc::string::ToString as _;
use core::fmt;

use super::{
    escape::InXml,
    svg::{
        Sort, picture,
        style::{PAGE, STYLE},
    },
    timeline::Timeline,
    words::{Count, Name, Sums, Time, ended},
};
use crate::{budget::Usd, observe::Outcome};

impl Timeline<'_> {
    /// The timeline as one page of HTML: the picture, and a table of all attempts with what they say and spent.
    ///
    /// It needs no network and runs no script. It follows the light or dark scheme of whoever looks at it; each bar is a link to
    /// its row of the table, so that it is reached by keyboard, and tells all of itself where it is pointed at.
    pub const fn html(&self) -> Html<'_> {
        Html { timeline: self }
    }
}

/// A timeline as a page of HTML, made by [`Timeline::html`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a page is written by `Display`"]
pub struct Html<'t> {
    timeline: &'t Timeline<'t>,
}

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = self.timeline.trace;
        let sums = Sums::of(trace);
        let run = trace.run_id().map_or_else(|| "A run".to_string(), |id| alloc::format!("Run {id}"));
        let run = InXml(run);
        writeln!(f, "<!doctype html>\n<html lang=\"en\" class=\"stroma\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
        // Whatever text was let through by mistake could still load and run nothing.
        writeln!(
            f,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">"
        )?;
        writeln!(f, "<title>{run}</title>\n<style>{STYLE}{PAGE}</style>\n</head>\n<body>\n<main>")?;
        writeln!(f, "<h1>{run}</h1>\n<p>{}</p>", InXml(sums))?;
        writeln!(f, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline\">")?;
        picture(self.timeline, Sort::InPage, f)?;
        writeln!(f, "</div>")?;
        if !trace.events().is_empty() {
            self.table(sums, f)?;
        }
        writeln!(f, "</main>\n</body>\n</html>")
    }
}

impl Html<'_> {
    /// The events in the order in which they ended.
    fn table(&self, sums: Sums, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, cost) = (sums.spent.tokens != 0, sums.spent.cost != Usd::ZERO);
        writeln!(f, "<h2 id=\"attempts\">Attempts</h2>")?;
        writeln!(f, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"attempts\">\n<table>")?;
        let number = "<th scope=\"col\" class=\"n\">";
        write!(f, "<thead><tr><th scope=\"col\">node</th>{number}attempt</th>{number}start</th>{number}took</th>")?;
        write!(f, "{}", if tokens { "<th scope=\"col\" class=\"n\">tokens</th>" } else { "" })?;
        write!(f, "{}", if cost { "<th scope=\"col\" class=\"n\">cost</th>" } else { "" })?;
        writeln!(f, "<th scope=\"col\">outcome</th></tr></thead>\n<tbody>")?;
        for (at, event) in self.timeline.trace.iter().enumerate() {
            write!(f, "<tr id=\"e{}\"><td>{}</td>", at.saturating_add(1), InXml(Name(&event.node, event.instance)))?;
            match event.attempt {
                0 => write!(f, "<td class=\"n\"></td>")?,
                attempt => write!(f, "<td class=\"n\">{attempt}</td>")?,
            }
            write!(f, "<td class=\"n\">{}</td><td class=\"n\">{}</td>", Time(event.start), Time(event.took))?;
            if tokens {
                match event.spent.tokens {
                    0 => write!(f, "<td class=\"n\"></td>")?,
                    tokens => write!(f, "<td class=\"n\">{}</td>", Count(tokens))?,
                }
            }
            if cost {
                match event.spent.cost {
                    Usd::ZERO => write!(f, "<td class=\"n\"></td>")?,
                    cost => write!(f, "<td class=\"n\">{cost}</td>")?,
                }
            }
            match &event.outcome {
                Outcome::Failed { class, message } => {
                    write!(f, "<td class=\"o\"><span class=\"bad\">✕ failed</span> ({class}): {}", InXml(message))?;
                }
                _ => write!(f, "<td class=\"o\">{}", ended(event))?,
            }
            writeln!(f, "</td></tr>")?;
        }
        writeln!(f, "</tbody>\n</table>\n</div>")
    }
}
