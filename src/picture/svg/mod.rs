//! A timeline as a picture in SVG.

mod bars;
mod place;
pub(super) mod style;

use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};
use core::{fmt, time::Duration};

use bars::Bars;
pub(super) use place::Sort;
use place::{CELL, LEFT, Px, Scale, TOP, WIDTH};

use super::{
    escape::InXml,
    timeline::{Row, Timeline},
    words::{Count, Name, Sums, Time, cut, end, width},
};
use crate::{budget::Usd, observe::Outcome, report::Spent};

impl Timeline<'_> {
    /// The timeline as one picture in SVG: a row for each node, a bar for each attempt.
    ///
    /// It follows the light or dark scheme of whoever looks at it, also as the `<img>` of another page, and loads nothing.
    pub const fn svg(&self) -> Svg<'_> {
        Svg { timeline: self }
    }
}

/// A timeline as SVG, made by [`Timeline::svg`].
#[derive(Debug, Clone, Copy)]
#[must_use = "a picture is written by `Display`"]
pub struct Svg<'t> {
    timeline: &'t Timeline<'t>,
}

impl fmt::Display for Svg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        picture(self.timeline, Sort::Alone, f)
    }
}

/// The widest that the names of nodes become, in columns.
const NAME_MOST: usize = 30;
/// How high a row is.
const ROW: u64 = 28;
/// How high a heading is.
const HEAD: u64 = 52;

/// What all parts of a picture share.
struct Frame<'r> {
    rows: &'r [Row<'r>],
    scale: Scale,
    /// Where the rows begin.
    top: u64,
    sums: Sums,
}

pub(super) fn picture(timeline: &Timeline<'_>, sort: Sort, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rows = timeline.rows();
    let sums = Sums::of(timeline.trace);
    let names = rows.iter().map(|row| {
        let depth = u64::try_from(row.branches.len()).unwrap_or(0).min(8);
        let cells = width(&cut(Name(row.node, row.instance), NAME_MOST));
        place::indent(depth) + place::text(cells)
    });
    let spends = sums.spent.tokens != 0 || sums.spent.cost != Usd::ZERO;
    let spend = if spends { spent(&sums.spent).len() } else { 0 };
    let name = names.max().unwrap_or(0).max(place::indent(0) + place::text(spend));
    let scale = Scale { from: name + 140, to: WIDTH - 24, total: sums.time };
    let top = TOP + if sort == Sort::Alone { HEAD } else { 0 };
    let frame = Frame { rows: &rows, scale, top, sums };
    let lines = u64::try_from(rows.len()).unwrap_or(u64::MAX).saturating_add(u64::from(spends));
    let bottom = lines.saturating_mul(ROW).saturating_add(top);
    let height = bottom.saturating_add(44);

    let run = timeline.trace.run_id().map_or_else(|| "A run".to_string(), |id| alloc::format!("Run {id}"));
    let role = if sort == Sort::Alone { "img" } else { "group" };
    writeln!(
        f,
        r#"<svg class="stroma" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="{role}" aria-label="{}: {}">"#,
        InXml(&run),
        InXml(sums)
    )?;
    if sort == Sort::Alone {
        writeln!(f, "<style>{}</style>", style::STYLE)?;
    }
    f.write_str(concat!(
        r#"<defs><pattern id="stroma-wait" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">"#,
        r#"<path class="hatch" d="M1 0V6"/></pattern></defs>"#,
        "\n"
    ))?;
    writeln!(f, r#"<rect class="paper" width="{WIDTH}" height="{height}"/>"#)?;
    if sort == Sort::Alone {
        writeln!(f, r#"<text class="head" x="{LEFT}" y="26">{}</text>"#, InXml(cut(&run, 110)))?;
        writeln!(f, r#"<text class="dim" x="{LEFT}" y="46">{}</text>"#, InXml(cut(sums, 145)))?;
    }
    frame.bands(f)?;
    frame.axis(bottom, f)?;
    frame.names(f)?;
    for (at, row) in rows.iter().enumerate() {
        Bars { row, scale: frame.scale, top: frame.y(at), sort }.write(f)?;
    }
    if spends {
        frame.spend(timeline, bottom - ROW, f)?;
    }
    frame.legend(bottom + 28, f)?;
    f.write_str("</svg>\n")
}

/// The name of the row that shows what was spent: money where there is any, else tokens.
fn spent(spent: &Spent) -> String {
    match spent.cost {
        Usd::ZERO => alloc::format!("tokens {}", Count(spent.tokens)),
        cost => alloc::format!("cost {cost}"),
    }
}

impl Frame<'_> {
    fn y(&self, row: usize) -> u64 {
        u64::try_from(row).unwrap_or(u64::MAX).saturating_mul(ROW).saturating_add(self.top)
    }

    /// Every second row on a ground of its own.
    fn bands(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in (0..self.rows.len()).step_by(2) {
            writeln!(f, r#"<rect class="band" y="{}" width="{WIDTH}" height="{ROW}"/>"#, self.y(at))?;
        }
        Ok(())
    }

    /// The times, above the rows, and a line for each through all of them.
    fn axis(&self, bottom: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return writeln!(f, r#"<text class="dim" x="{LEFT}" y="{}">Nothing was run.</text>"#, self.top);
        }
        for at in self.scale.ticks() {
            let (x, top) = (Px(self.scale.x(at)), self.top);
            writeln!(f, r#"<path class="grid" d="M{x} {}V{bottom}"/>"#, top - 6)?;
            let shown = Time(at).to_string();
            // The last one may have no room on both sides.
            let middle = self.scale.x(at) + place::text(width(&shown)) / 2 < WIDTH * 10;
            let (x, anchor) = if middle { (x, "middle") } else { (Px(WIDTH * 10), "end") };
            writeln!(f, r#"<text class="dim" x="{x}" y="{}" text-anchor="{anchor}">{shown}</text>"#, top - 12)?;
        }
        Ok(())
    }

    /// The names of the nodes, with a stroke beside those of one branch.
    fn names(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, row) in self.rows.iter().enumerate() {
            for (depth, branch) in row.branches.iter().enumerate().take(8) {
                let inside = |row: &Row<'_>| row.branches.get(depth) == Some(branch);
                if at.checked_sub(1).and_then(|above| self.rows.get(above)).is_some_and(inside) {
                    continue;
                }
                let rows = self.rows.get(at..).unwrap_or_default().iter().take_while(|row| inside(row)).count();
                let x = place::indent(u64::try_from(depth).unwrap_or(0)) / 10 + 2;
                let (from, to) = (self.y(at) + 4, self.y(at + rows) - 4);
                writeln!(f, r#"<path class="branch" d="M{x} {from}V{to}"><title>Branch {branch}</title></path>"#)?;
            }
            let depth = u64::try_from(row.branches.len()).unwrap_or(0).min(8);
            let (x, y) = (Px(place::indent(depth)), self.y(at) + 18);
            let dim = if row.events.is_empty() { r#" class="dim""# } else { "" };
            let name = Name(row.node, row.instance);
            write!(f, r#"<text{dim} x="{x}" y="{y}">{}"#, InXml(cut(&name, NAME_MOST)))?;
            writeln!(f, "<title>{}</title></text>", InXml(name))?;
        }
        Ok(())
    }

    /// What was spent up to each moment.
    fn spend(&self, timeline: &Timeline<'_>, top: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ends: Vec<_> = timeline.trace.iter().map(|event| (end(event), event.spent)).collect();
        ends.sort_by_key(|(end, _)| *end);
        let (all, of_money) = match self.sums.spent.cost.as_picodollars() {
            0 => (u128::from(self.sums.spent.tokens), false),
            cost => (u128::from(cost), true),
        };
        writeln!(f, r#"<text x="{}" y="{}">{}</text>"#, Px(place::indent(0)), top + 18, spent(&self.sums.spent))?;
        let (floor, height) = ((top + ROW - 4) * 10, u128::from((ROW - 8) * 10));
        write!(f, r#"<path class="spend" d="M{} {}"#, Px(self.scale.x(Duration::ZERO)), Px(floor))?;
        let mut sum = 0_u128;
        for (at, spent) in ends {
            let spent = if of_money { u128::from(spent.cost.as_picodollars()) } else { u128::from(spent.tokens) };
            if spent != 0 {
                sum = sum.saturating_add(spent);
                let up = u64::try_from((sum.min(all) * height).checked_div(all).unwrap_or(0)).unwrap_or(0);
                write!(f, "H{}V{}", Px(self.scale.x(at)), Px(floor.saturating_sub(up)))?;
            }
        }
        writeln!(f, r#"H{}"/>"#, Px(self.scale.x(self.scale.total)))
    }

    /// What the marks mean, those that there are.
    fn legend(&self, y: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = || self.rows.iter().flat_map(|row| &row.events).map(|(_, event)| &event.outcome);
        let waits = self.rows.iter().any(|row| (0..row.events.len()).any(|at| row.wait(at).is_some()));
        let saves = self
            .rows
            .iter()
            .any(|row| row.kept && row.events.iter().any(|(_, event)| event.outcome == Outcome::Succeeded));
        let entries = [
            (
                events().any(|is| *is == Outcome::Succeeded),
                r#"<rect class="well" y="-9" width="14" height="12" rx="2"/>"#,
                "succeeded",
            ),
            (
                events().any(|is| matches!(is, Outcome::Failed { .. })),
                r#"<rect class="bad" y="-9" width="14" height="10" rx="2"/><path class="bad" d="M7 1l5 5h-10z"/>"#,
                "failed",
            ),
            (
                events().any(|is| *is == Outcome::CutShort),
                r#"<rect class="cut" y="-9" width="14" height="12"/>"#,
                "cut short",
            ),
            (
                events().any(|is| *is == Outcome::Restored),
                r#"<path class="kept" d="M7 -9l6 6-6 6-6-6z"/>"#,
                "restored from the store",
            ),
            (events().any(|is| *is == Outcome::Replayed), r#"<circle class="kept" cx="7" cy="-3" r="5"/>"#, "replayed"),
            (waits, r#"<rect class="wait" y="-9" width="14" height="12"/>"#, "wait"),
            (saves, r#"<path class="save" d="M7 -10V4M4 -10H10"/>"#, "checkpoint"),
        ];
        let mut x = LEFT * 10;
        for (_, mark, label) in entries.iter().filter(|(there, ..)| *there) {
            writeln!(
                f,
                r#"<g transform="translate({} {y})">{mark}<text class="dim" x="20" y="1">{label}</text></g>"#,
                Px(x)
            )?;
            x += 400 + u64::try_from(label.len()).unwrap_or(0) * CELL;
        }
        Ok(())
    }
}
