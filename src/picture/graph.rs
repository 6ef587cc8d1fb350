//! A pipeline as a graph: Mermaid and DOT.

use core::{fmt, marker::PhantomData};

use super::forms::{Around, Dot, Facts, Form, Indent, Mark, Mermaid};
use crate::{
    describe::{Description, Shown},
    exec::{Layer, NodeInfo, Walk},
};

impl<'a, S: Shown> Description<'a, S> {
    /// The pipeline as a Mermaid flowchart, which GitHub, GitLab and many editors show as a picture.
    ///
    /// A node shows what it has itself: retries, a time-out, checks, no checkpoint. Layers around several nodes are frames.
    ///
    /// Mermaid refuses what has more than 500 edges or 50,000 characters, unless it is told to take more (`maxEdges`,
    /// `maxTextSize`); then take [`dot`](Self::dot).
    ///
    /// ```
    /// # use stroma::{Backoff, PolicyMap, ms, node, par, secs};
    /// # #[derive(Debug)] struct AppError;
    /// # impl stroma::Failure for AppError {}
    /// # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// # async fn sum((a, b): (u32, u32)) -> Result<u32, AppError> { Ok(a + b) }
    /// let patient = PolicyMap::never().recoverable(2, Backoff::exponential(ms(200)));
    /// let pipeline = node("read", f).retry(patient).then(par(node("a", f), node("b", f).timeout(secs(2)))).then(node("sum", sum));
    /// assert_eq!(pipeline.describe().mermaid().to_string(), r#"flowchart LR
    ///     n1["read<br>up to 3 attempts"]
    ///     f1(( ))
    ///     n2["a"]
    ///     n3["b<br>time-out 2s"]
    ///     j1(( ))
    ///     n4["sum"]
    ///     n1 --> f1
    ///     f1 --> n2
    ///     n2 --> j1
    ///     f1 --> n3
    ///     n3 --> j1
    ///     j1 --> n4
    /// "#);
    /// ```
    pub const fn mermaid(&self) -> Graph<'a, S, Mermaid> {
        Graph { shown: *self, form: PhantomData, types: false, down: false }
    }

    /// The pipeline as a graph in DOT, the language of Graphviz: `dot -Tsvg` makes a picture of it.
    ///
    /// It shows what [`mermaid`](Self::mermaid) shows.
    ///
    /// ```
    /// # use stroma::{node, secs};
    /// # #[derive(Debug)] struct AppError;
    /// # impl stroma::Failure for AppError {}
    /// # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// let pipeline = node("read", f).skip_checkpoint().then(node("sum", f)).deadline(secs(30));
    /// assert_eq!(pipeline.describe().dot().with_types().to_string(), r#"digraph pipeline {
    ///     rankdir=LR
    ///     node [shape=box style=rounded]
    ///     subgraph cluster_1 {
    ///         label="deadline 30s"
    ///         style="rounded,dashed"
    ///         n1 [label="read\nu32 → u32\nno checkpoint"]
    ///         n2 [label="sum\nu32 → u32"]
    ///     }
    ///     n1 -> n2
    /// }
    /// "#);
    /// ```
    pub const fn dot(&self) -> Graph<'a, S, Dot> {
        Graph { shown: *self, form: PhantomData, types: false, down: false }
    }
}

/// A pipeline as a graph in the form `F`, [`Mermaid`] or [`Dot`], made by [`Description::mermaid`] and [`Description::dot`].
///
/// It is written as it is shown, so without a heap. Ids may have any characters in them: those that the form would read as its
/// own are escaped.
#[must_use = "a graph is written by `Display`"]
pub struct Graph<'a, S, F> {
    shown: Description<'a, S>,
    form: PhantomData<F>,
    types: bool,
    down: bool,
}

impl<S, F> Graph<'_, S, F> {
    /// Also shows what each node takes and yields.
    pub const fn with_types(mut self) -> Self {
        self.types = true;
        self
    }

    /// From the top to the bottom, for long pipelines; without it, from left to right.
    pub const fn top_down(mut self) -> Self {
        self.down = true;
        self
    }
}

impl<S: Shown, F> fmt::Debug for Graph<'_, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Graph").field(&self.shown).finish()
    }
}

impl<S: Shown, F: Form> fmt::Display for Graph<'_, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        F::begin(f, if self.down { "TB" } else { "LR" })?;
        // Whatever is named within a frame is drawn in it, so edges come after all frames.
        for edges in [false, true] {
            let mut pen = Pen { graph: self, f, edges, result: Ok(()), last: None, count: Count::default() };
            self.shown.walk(&mut pen);
            pen.result?;
        }
        F::end(f)
    }
}

/// How many of everything there were so far.
#[derive(Clone, Copy, Default)]
struct Count {
    nodes: u32,
    layers: u32,
    forks: u32,
    /// How many layers are open.
    indent: u32,
    /// How many forks are open.
    depth: u32,
    /// The number of the innermost of them; 0 outside of all.
    inside: u32,
}

/// Writes the things of a graph or the edges between them.
struct Pen<'p, 'a, 'f, S, F> {
    graph: &'p Graph<'a, S, F>,
    f: &'p mut fmt::Formatter<'f>,
    edges: bool,
    result: fmt::Result,
    /// What the next one follows.
    last: Option<Mark>,
    count: Count,
}

impl<S: Shown, F: Form> Pen<'_, '_, '_, S, F> {
    fn write(&mut self, write: impl FnOnce(&mut fmt::Formatter<'_>, Indent) -> fmt::Result) {
        if self.result.is_ok() && !self.edges {
            self.result = write(self.f, Indent(self.count.indent));
        }
    }

    /// An edge from what was last to this.
    fn to(&mut self, mark: Mark) {
        if let (Some(last), Ok(()), true) = (self.last, self.result, self.edges) {
            self.result = F::edge(self.f, last, mark);
        }
        self.last = Some(mark);
    }
}

impl<S: Shown, F: Form> Walk for Pen<'_, '_, '_, S, F> {
    fn node(&mut self, node: NodeInfo) {
        self.count.nodes = self.count.nodes.saturating_add(1);
        let mark = Mark::Node(self.count.nodes);
        let facts = Facts { node: &node, types: self.graph.types };
        self.write(|f, at| F::node(f, at, mark, facts));
        self.to(mark);
    }

    fn fork(&mut self) {
        self.count.forks = self.count.forks.saturating_add(1);
        self.count.depth = self.count.depth.saturating_add(1);
        self.count.inside = self.count.forks;
        let mark = Mark::Fork(self.count.inside);
        self.write(|f, at| F::point(f, at, mark));
        self.to(mark);
    }

    fn branch(&mut self) {
        self.to(Mark::Join(self.count.inside));
        self.last = Some(Mark::Fork(self.count.inside));
    }

    fn join(&mut self) {
        let Count { inside, depth, .. } = self.count;
        let mark = Mark::Join(inside);
        self.write(|f, at| F::point(f, at, mark));
        self.to(mark);
        self.count.depth = depth.saturating_sub(1);
        self.count.inside = around(&self.graph.shown, inside, self.count.depth);
    }

    fn enter(&mut self, layer: &Layer<'_>) {
        self.count.layers = self.count.layers.saturating_add(1);
        let number = self.count.layers;
        self.write(|f, at| F::enter(f, at, number, Around(layer)));
        self.count.indent = self.count.indent.saturating_add(1);
    }

    fn leave(&mut self) {
        self.count.indent = self.count.indent.saturating_sub(1);
        self.write(F::leave);
    }
}

/// The number of the fork that the fork with this number is in, `depth` forks deep; 0 where it is in none.
///
/// Another walk instead of a stack, which would want a heap.
fn around<S: Shown>(shown: &Description<'_, S>, fork: u32, depth: u32) -> u32 {
    struct Around {
        fork: u32,
        depth: u32,
        seen: u32,
        open: u32,
        found: u32,
    }
    impl Walk for Around {
        fn node(&mut self, _: NodeInfo) {}

        fn fork(&mut self) {
            self.seen = self.seen.saturating_add(1);
            self.open = self.open.saturating_add(1);
            if self.open == self.depth && self.seen < self.fork {
                self.found = self.seen;
            }
        }

        fn join(&mut self) {
            self.open = self.open.saturating_sub(1);
        }
    }
    let mut around = Around { fork, depth, seen: 0, open: 0, found: 0 };
    shown.walk(&mut around);
    around.found
}
