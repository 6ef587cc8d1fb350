//! A look at the runs of a store, without the types of what they keep and without taking a run from whoever has it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};

use super::codec::{is_intact, schema_of, shape_of};
use crate::{
    budget::{Budget, Ledger, LedgerError, Scope},
    report::Spent,
    run::RunId,
    slot::SlotKind,
};

/// Who has a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holding {
    /// Nobody: it was given back.
    Free,
    /// Somebody executes it.
    Held {
        /// How long the lease still runs if it is not renewed, where there is one and the store knows.
        until: Option<Duration>,
    },
    /// Somebody had it, and ended or fell silent without giving it back: it can be had.
    Abandoned,
}

/// One stored value, as far as it can be told without its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotView {
    /// The id of the node, as it was first; empty for the run's own input.
    pub node: String,
    /// The iteration or element; 0 outside of loops and collections.
    pub instance: u32,
    /// What is stored.
    pub kind: SlotKind,
    /// How many bytes it takes.
    pub len: usize,
    /// The hash of the schema that it was written with, where there are enough bytes for one.
    pub schema: Option<u64>,
    /// The bytes, where they were asked for: header, payload in postcard's form, checksum.
    pub bytes: Option<Vec<u8>>,
}

impl SlotView {
    pub(super) fn new(node: String, instance: u32, kind: SlotKind, len: usize, head: &[u8]) -> Self {
        Self { node, instance, kind, len, schema: schema_of(head), bytes: None }
    }

    /// Whether the checksum matches the bytes; `None` where they were not asked for.
    pub fn is_intact(&self) -> Option<bool> {
        self.bytes.as_deref().map(is_intact)
    }
}

/// What a store knows of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunView {
    /// The run.
    pub run: RunId,
    /// Who has it.
    pub holding: Holding,
    /// How long ago it was begun, where the store noted that. By the clocks of those who noted it; nothing is decided by it.
    pub age: Option<Duration>,
    /// How long ago it was given back, where nobody has it and the store noted that.
    pub idle: Option<Duration>,
    /// What it has, by node, instance and kind; its input comes first.
    pub slots: Vec<SlotView>,
    /// The fingerprint of the pipeline's shape that it was begun with.
    pub shape: Option<u64>,
    /// The nodes of its pipeline, where the program that began it told the store.
    pub outline: Option<Outline>,
    /// The stored ledger; empty where no account is kept.
    pub ledger: Vec<u8>,
}

impl RunView {
    pub(super) fn new(run: RunId, holding: Holding) -> Self {
        let (slots, ledger) = (Vec::new(), Vec::new());
        Self { run, holding, age: None, idle: None, slots, shape: None, outline: None, ledger }
    }

    /// Notes the slot; what is kept of the input says which pipeline the run is of.
    pub(super) fn add(&mut self, slot: SlotView, head: &[u8]) {
        if slot.node.is_empty() && slot.kind == SlotKind::Input {
            self.shape = shape_of(head);
        }
        self.slots.push(slot);
    }

    /// What it spent, as of its last checkpoint; nothing where no account is kept.
    ///
    /// # Errors
    /// Where the ledger is damaged, or of another version.
    pub fn spent(&self) -> Result<Option<Spent>, LedgerError> {
        if self.ledger.is_empty() {
            return Ok(None);
        }
        let ledger = Ledger::new(&Budget::unlimited());
        ledger.restore(&self.ledger)?;
        let amount = ledger.spent(Scope::RUN);
        let time = ledger.time(Scope::RUN, Duration::ZERO);
        Ok(Some(Spent { tokens: amount.tokens, cost: amount.cost, unpriced_tokens: ledger.unpriced(), time }))
    }

    /// How many bytes its values take together.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().fold(0, |sum, slot| sum.saturating_add(u64::try_from(slot.len).unwrap_or(u64::MAX)))
    }

    /// The nodes whose output is kept, iterations and elements not counted.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        let outputs = self.slots.iter().filter(|slot| slot.kind == SlotKind::Output && slot.instance == 0);
        outputs.map(|slot| slot.node.as_str())
    }

    /// How far it got, where its nodes are known.
    pub fn progress(&self) -> Option<Progress<'_>> {
        let kept: BTreeSet<&str> = self.outputs().collect();
        self.outline.as_ref().map(|outline| outline.progress(&|node| kept.contains(node)))
    }
}

/// How far a run got in its pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'o> {
    /// How many nodes are done with.
    pub done: usize,
    /// How many there are.
    pub nodes: usize,
    /// The nodes that a resume begins with, one for each branch; none where the run is finished.
    pub next: Vec<&'o str>,
}

impl Progress<'_> {
    /// Whether the last node is done with.
    pub fn is_finished(&self) -> bool {
        self.next.is_empty()
    }
}

/// The nodes of a pipeline, and where branches begin and end, as a store keeps them. Shown as text it is one line:
/// `read -> (words | outline) -> write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Node { id: String, kept: bool },
    Branches(Vec<Outline>),
}

/// As deep as branches may stand in each other: what is deeper was not written by a pipeline.
const DEPTH: usize = 64;

impl Outline {
    /// Reads what [`Store::introduce`](super::Store::introduce) is told: a line for each node, with `=` before the ids of those
    /// whose output is kept and `-` before others; branches between `(` and `)`, with `|` after all but the last. `None` where
    /// `text` is something else.
    ///
    /// ```
    /// use stroma::store::inspect::Outline;
    ///
    /// let outline = Outline::parse("=read\n(\n=words\n|\n=outline\n)\n=write\n");
    /// assert_eq!(outline.map(|outline| outline.to_string()).as_deref(), Some("read -> (words | outline) -> write"));
    /// assert_eq!(Outline::parse("read"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let mut open: Vec<(Vec<Part>, Vec<Self>)> = Vec::new();
        let mut here = Vec::new();
        for line in text.lines() {
            match line.split_at_checked(1)? {
                ("=", id) => here.push(Part::Node { id: id.to_string(), kept: true }),
                ("-", id) => here.push(Part::Node { id: id.to_string(), kept: false }),
                ("(", "") if open.len() < DEPTH => open.push((core::mem::take(&mut here), Vec::new())),
                ("|", "") => open.last_mut()?.1.push(Self(core::mem::take(&mut here))),
                (")", "") => {
                    let (before, mut branches) = open.pop()?;
                    branches.push(Self(core::mem::replace(&mut here, before)));
                    here.push(Part::Branches(branches));
                }
                _ => return None,
            }
        }
        open.is_empty().then_some(Self(here))
    }

    /// Calls `visit` with each node, in order, and whether its output is kept.
    pub fn nodes<'o>(&'o self, visit: &mut impl FnMut(&'o str, bool)) {
        for part in &self.0 {
            match part {
                Part::Node { id, kept } => visit(id, *kept),
                Part::Branches(branches) => branches.iter().for_each(|branch| branch.nodes(visit)),
            }
        }
    }

    fn count(&self) -> usize {
        let mut count = 0;
        self.nodes(&mut |_, _| count += 1);
        count
    }

    fn progress<'o>(&'o self, has: &impl Fn(&str) -> bool) -> Progress<'o> {
        let mut next = Vec::new();
        let done = self.walk(has, &mut next);
        Progress { done, nodes: self.count(), next }
    }

    /// Notes where a resume would begin and says how many nodes it would not run. It goes on behind the last output that it has.
    fn walk<'o>(&'o self, has: &impl Fn(&str) -> bool, next: &mut Vec<&'o str>) -> usize {
        let done = self.0.iter().rposition(|part| part.is_done(has)).map_or(0, |last| last + 1);
        let (behind, ahead) = self.0.split_at_checked(done).unwrap_or_default();
        let mut count = behind.iter().map(Part::count).sum();
        match ahead.first() {
            Some(Part::Node { id, .. }) => next.push(id),
            Some(Part::Branches(branches)) => {
                count += branches.iter().map(|branch| branch.walk(has, next)).sum::<usize>();
            }
            None => {}
        }
        count
    }
}

impl Part {
    fn is_done(&self, has: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Node { id, .. } => has(id),
            Self::Branches(branches) => {
                branches.iter().all(|branch| branch.0.last().is_none_or(|last| last.is_done(has)))
            }
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Node { .. } => 1,
            Self::Branches(branches) => branches.iter().map(Outline::count).sum(),
        }
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" -> ")?;
            }
            match part {
                Part::Node { id, .. } => f.write_str(id)?,
                Part::Branches(branches) => {
                    for (at, branch) in branches.iter().enumerate() {
                        f.write_str(if at == 0 { "(" } else { " | " })?;
                        fmt::Display::fmt(branch, f)?;
                    }
                    f.write_str(")")?;
                }
            }
        }
        Ok(())
    }
}

/// What programs told a store about their pipelines, by fingerprint of the shape.
pub(super) type Outlines = BTreeMap<u64, String>;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use alloc::{format, vec};

    use super::*;

    const TEXT: &str = "=start\n(\n=left1\n=left2\n|\n=right\n)\n-mid\n=end\n";

    fn at(has: &[&str]) -> (usize, Vec<String>) {
        let outline = Outline::parse(TEXT).unwrap();
        let progress = outline.progress(&|node| has.contains(&node));
        assert_eq!(progress.nodes, 6);
        (progress.done, progress.next.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_resume_begins_behind_the_last_output() {
        for (has, done, next) in [
            (&[][..], 0, &["start"][..]),
            (&["start"], 1, &["left1", "right"]),
            (&["start", "left1"], 2, &["left2", "right"]),
            (&["start", "left1", "left2"], 3, &["right"]),
            (&["start", "right"], 2, &["left1"]),
            // What keeps nothing has to run again.
            (&["start", "left1", "left2", "right"], 4, &["mid"]),
            // The end is there, whatever else was never kept.
            (&["end"], 6, &[]),
        ] {
            assert_eq!(at(has), (done, next.iter().map(ToString::to_string).collect()), "{has:?}");
        }
    }

    #[test]
    fn what_no_pipeline_wrote_is_no_outline() {
        assert_eq!(
            Outline::parse(TEXT).unwrap().to_string(),
            "start -> (left1 | left2 -> right) -> mid -> end"
                .replace("left1 | left2 -> right", "left1 -> left2 | right")
        );
        for text in ["x", "(", ")", "|", "=a\n|\n=b", "(\n=a\n", "(\n=a\n)\n)", "\n", "é", "(x\n)"] {
            assert_eq!(Outline::parse(text), None, "{text:?}");
        }
        let deep = "(\n".repeat(100_000) + &")\n".repeat(100_000);
        assert_eq!(Outline::parse(&deep), None);
        // An id may look like a mark.
        assert_eq!(Outline::parse("=(\n=)\n==\n-|").unwrap().to_string(), "( -> ) -> = -> |");
    }

    #[test]
    fn what_was_spent_is_read_or_refused() {
        let mut view = RunView::new(RunId::from_u128(1), Holding::Free);
        assert_eq!(view.spent(), Ok(None));
        // Version 1 without inner scopes; tokens 300, cost 7, none unpriced, 2 s.
        view.ledger = vec![8, 2, 44, 1, 1, 7, 0, 3, 0x80, 0x84, 0x1e];
        let spent = view.spent().unwrap().unwrap();
        assert_eq!((spent.tokens, spent.cost.as_picodollars(), spent.unpriced_tokens), (300, 7, 0));
        assert_eq!(spent.time, Duration::from_secs(2));
        view.ledger = vec![9 << 3];
        assert_eq!(view.spent(), Err(LedgerError::Version { found: 9 }));
        assert!(format!("{view:?}").contains("ledger"));
    }
}
