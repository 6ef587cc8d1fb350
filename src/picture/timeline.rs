//! A run along its time: what its pictures are drawn from.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{fmt, time::Duration};

use super::words::end;
use crate::{
    describe::{Description, Shown},
    exec::{NodeInfo, Walk},
    observe::{Event, Outcome, Trace},
};

impl Trace {
    /// The run along its time, to be shown as [`svg`](Timeline::svg), as an [`html`](Timeline::html) page, or in the
    /// trace format of Chrome for Perfetto.
    ///
    /// What a trace does not record is made out from what it does:
    /// - a *wait* is the time between an attempt that failed and the next attempt of that node, whatever was done in it;
    /// - *branches*, and nodes that were never come to, are those of the pipeline that the timeline is drawn
    ///   [`along`](Timeline::along);
    /// - a *checkpoint* stands where a node which has one succeeded, if the runner is said to have had a
    ///   [store](Timeline::with_store); the writing itself comes after that and is in no attempt.
    ///
    /// ```
    /// # use stroma::{ListTrace, Runner, RunId, node, par};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl stroma::Failure for AppError {}
    /// # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("run.html");
    /// let runner = Runner::quick(par(node("words", f), node("outline", f))).with_trace(ListTrace::new()).build()?;
    /// let done = runner.run(17).await.unwrap();
    /// let timeline = done.trace.timeline().along(&runner.describe()).with_store();
    /// std::fs::write(path, timeline.html().to_string())?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn timeline(&self) -> Timeline<'_> {
        Timeline { trace: self, spots: Vec::new(), stored: false }
    }
}

/// A run along its time, made by [`Trace::timeline`].
#[derive(Clone)]
#[must_use = "a timeline is to be shown as something"]
pub struct Timeline<'t> {
    pub(super) trace: &'t Trace,
    spots: Vec<Spot>,
    stored: bool,
}

/// A node of the pipeline.
#[derive(Clone)]
struct Spot {
    id: &'static str,
    kept: bool,
    /// The numbers of the branches that it is in, the outermost first; a branch has its number from 1.
    branches: Vec<usize>,
}

impl<'t> Timeline<'t> {
    /// In the order of this pipeline and with its branches; also with nodes that were never come to.
    ///
    /// Nodes of the trace that the pipeline does not have come last.
    pub fn along<S: Shown>(mut self, pipeline: &Description<'_, S>) -> Self {
        #[derive(Default)]
        struct Spots {
            spots: Vec<Spot>,
            count: usize,
            open: Vec<usize>,
        }
        impl Spots {
            fn begin(&mut self) {
                self.count += 1;
                self.open.push(self.count);
            }
        }
        impl Walk for Spots {
            fn node(&mut self, node: NodeInfo) {
                self.spots.push(Spot { id: node.id, kept: node.checkpointed, branches: self.open.clone() });
            }

            fn fork(&mut self) {
                self.begin();
            }

            fn branch(&mut self) {
                self.open.pop();
                self.begin();
            }

            fn join(&mut self) {
                self.open.pop();
            }
        }
        let mut spots = Spots::default();
        pipeline.walk(&mut spots);
        self.spots = spots.spots;
        self
    }

    /// Says that the runner had a store, which the trace does not know: then checkpoints are shown, of those nodes of the
    /// [pipeline](Self::along) that have one.
    pub const fn with_store(mut self) -> Self {
        self.stored = true;
        self
    }

    /// A row for each node, iteration and element.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let mut found: BTreeMap<_, Vec<Numbered<'_>>> = BTreeMap::new();
        for (number, event) in self.trace.iter().enumerate() {
            found.entry((&*event.node, event.instance)).or_default().push((number, event));
        }
        let mut rows = Vec::new();
        for spot in &self.spots {
            let kept = spot.kept && self.stored;
            let keys: Vec<_> = found.range((spot.id, 0)..=(spot.id, u32::MAX)).map(|(key, _)| *key).collect();
            if keys.is_empty() {
                rows.push(Row::new(spot.id, 0, &spot.branches, kept, Vec::new()));
            }
            for key in keys {
                let events = found.remove(&key).unwrap_or_default();
                rows.push(Row::new(spot.id, key.1, &spot.branches, kept, events));
            }
        }
        let mut rest: Vec<_> =
            found.into_iter().map(|((node, instance), events)| Row::new(node, instance, &[], false, events)).collect();
        rest.sort_by_key(|row| row.events.first().map(|(number, event)| (event.start, *number)));
        rows.append(&mut rest);
        rows
    }
}

impl fmt::Debug for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeline").field("trace", self.trace).finish_non_exhaustive()
    }
}

/// An event and which one of its trace it is.
pub(super) type Numbered<'t> = (usize, &'t Event);

/// What happened at one node.
pub(super) struct Row<'t> {
    pub(super) node: &'t str,
    pub(super) instance: u32,
    /// The branches that it is in, the outermost first.
    pub(super) branches: &'t [usize],
    /// Whether what it yields is checkpointed.
    pub(super) kept: bool,
    /// Its events, in the order in which they began.
    pub(super) events: Vec<Numbered<'t>>,
}

impl<'t> Row<'t> {
    fn new(node: &'t str, instance: u32, branches: &'t [usize], kept: bool, mut events: Vec<Numbered<'t>>) -> Self {
        events.sort_by_key(|(number, event)| (event.start, *number));
        Self { node, instance, branches, kept, events }
    }

    /// The wait between an event of this row and the next one, where the next one is another attempt after a failure.
    pub(super) fn wait(&self, at: usize) -> Option<(Duration, Duration)> {
        let [(_, event), (_, next)] = self.events.get(at..at + 2)? else { return None };
        let again = matches!(event.outcome, Outcome::Failed { .. }) && next.attempt == event.attempt.checked_add(1)?;
        (again && end(event) < next.start).then(|| (end(event), next.start))
    }
}
