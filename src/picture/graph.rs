//! A pipeline as a graph: Mermaid and DOT.

use core::{fmt, marker::PhantomData};

use super::escape::{InDot, InMermaid};
use crate::{
    describe::{Description, Short, Shown},
    exec::{Layer, NodeInfo, Walk},
};

impl<'a, S: Shown> Description<'a, S> {
    /// The pipeline as a Mermaid flowchart, which GitHub, GitLab and many editors show as a picture.
    ///
    /// A node shows what it has itself: retries, a time-out, checks, no checkpoint. Layers around several nodes are frames.
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

/// How a graph is written.
pub trait Form {
    /// Begins.
    fn begin(f: &mut fmt::Formatter<'_>, direction: &str) -> fmt::Result;

    /// A node.
    fn node(f: &mut fmt::Formatter<'_>, at: Indent, mark: Mark, facts: Facts<'_>) -> fmt::Result;

    /// A place where branches begin or end.
    fn point(f: &mut fmt::Formatter<'_>, at: Indent, mark: Mark) -> fmt::Result;

    /// The frame of a layer begins.
    fn enter(f: &mut fmt::Formatter<'_>, at: Indent, number: u32, label: Around<'_>) -> fmt::Result;

    /// A frame ends.
    fn leave(f: &mut fmt::Formatter<'_>, at: Indent) -> fmt::Result;

    /// One follows the other.
    fn edge(f: &mut fmt::Formatter<'_>, from: Mark, to: Mark) -> fmt::Result;

    /// Ends.
    fn end(f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// The flowchart language of Mermaid.
///
/// Source: <https://mermaid.js.org/syntax/flowchart.html>.
#[derive(Debug, Clone, Copy)]
pub struct Mermaid;

impl Form for Mermaid {
    fn begin(f: &mut fmt::Formatter<'_>, direction: &str) -> fmt::Result {
        writeln!(f, "flowchart {direction}")
    }

    fn node(f: &mut fmt::Formatter<'_>, at: Indent, mark: Mark, facts: Facts<'_>) -> fmt::Result {
        write!(f, "{at}{mark}[\"{}", InMermaid(facts.node.id))?;
        facts.lines(|line| write!(f, "<br>{}", InMermaid(line)))?;
        writeln!(f, "\"]")
    }

    fn point(f: &mut fmt::Formatter<'_>, at: Indent, mark: Mark) -> fmt::Result {
        writeln!(f, "{at}{mark}(( ))")
    }

    fn enter(f: &mut fmt::Formatter<'_>, at: Indent, number: u32, label: Around<'_>) -> fmt::Result {
        writeln!(f, "{at}subgraph l{number}[\"{}\"]", InMermaid(label))
    }

    fn leave(f: &mut fmt::Formatter<'_>, at: Indent) -> fmt::Result {
        writeln!(f, "{at}end")
    }

    fn edge(f: &mut fmt::Formatter<'_>, from: Mark, to: Mark) -> fmt::Result {
        writeln!(f, "    {from} --> {to}")
    }

    fn end(_: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// DOT, the language of Graphviz.
///
/// Source: <https://graphviz.org/doc/info/lang.html>.
#[derive(Debug, Clone, Copy)]
pub struct Dot;

impl Form for Dot {
    fn begin(f: &mut fmt::Formatter<'_>, direction: &str) -> fmt::Result {
        writeln!(f, "digraph pipeline {{\n    rankdir={direction}\n    node [shape=box style=rounded]")
    }

    fn node(f: &mut fmt::Formatter<'_>, at: Indent, mark: Mark, facts: Facts<'_>) -> fmt::Result {
        write!(f, "{at}{mark} [label=\"{}", InDot(facts.node.id))?;
        facts.lines(|line| write!(f, "\\n{}", InDot(line)))?;
        writeln!(f, "\"]")
    }

    fn point(f: &mut fmt::Formatter<'_>, at: Indent, mark: Mark) -> fmt::Result {
        writeln!(f, "{at}{mark} [shape=point]")
    }

    fn enter(f: &mut fmt::Formatter<'_>, at: Indent, number: u32, label: Around<'_>) -> fmt::Result {
        writeln!(f, "{at}subgraph cluster_{number} {{")?;
        let inside = Indent(at.0.saturating_add(1));
        writeln!(f, "{inside}label=\"{}\"\n{inside}style=\"rounded,dashed\"", InDot(label))
    }

    fn leave(f: &mut fmt::Formatter<'_>, at: Indent) -> fmt::Result {
        writeln!(f, "{at}}}")
    }

    fn edge(f: &mut fmt::Formatter<'_>, from: Mark, to: Mark) -> fmt::Result {
        writeln!(f, "    {from} -> {to}")
    }

    fn end(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("}\n")
    }
}

/// How deep in frames a line stands.
#[derive(Debug, Clone, Copy)]
pub struct Indent(u32);

impl fmt::Display for Indent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..=self.0).try_for_each(|_| f.write_str("    "))
    }
}

/// What an edge leads from and to, by its number.
#[derive(Debug, Clone, Copy)]
pub enum Mark {
    /// A node.
    Node(u32),
    /// Where branches begin.
    Fork(u32),
    /// Where they end.
    Join(u32),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(number) => write!(f, "n{number}"),
            Self::Fork(number) => write!(f, "f{number}"),
            Self::Join(number) => write!(f, "j{number}"),
        }
    }
}

/// What a node says of itself under its id.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'n> {
    node: &'n NodeInfo,
    types: bool,
}

impl Facts<'_> {
    /// Hands over line after line.
    fn lines(&self, mut line: impl FnMut(fmt::Arguments<'_>) -> fmt::Result) -> fmt::Result {
        let Self { node, types } = self;
        if *types {
            line(format_args!("{} → {}", Short(node.input), Short(node.output)))?;
        }
        if let Some(policy) = node.retry {
            line(format_args!("{}", Around(&Layer::Retry { policy: &policy, from_start: false })))?;
        }
        if let Some(limit) = node.timeout {
            line(format_args!("{}", Around(&Layer::Timeout(limit))))?;
        }
        match (node.required, node.ensured) {
            (true, true) => line(format_args!("input and output checked"))?,
            (true, false) => line(format_args!("input checked"))?,
            (false, true) => line(format_args!("output checked"))?,
            (false, false) => {}
        }
        if !node.checkpointed {
            line(format_args!("no checkpoint"))?;
        }
        Ok(())
    }
}

/// A layer in a few words.
#[derive(Debug, Clone, Copy)]
pub struct Around<'l>(&'l Layer<'l>);

impl fmt::Display for Around<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Layer::Retry { policy, from_start } => {
                match policy.max_attempts() {
                    1 => f.write_str("one attempt")?,
                    most => write!(f, "up to {most} attempts")?,
                }
                f.write_str(if *from_start { ", from the start" } else { "" })
            }
            Layer::Timeout(limit) => write!(f, "time-out {limit:?}"),
            Layer::Deadline(limit) => write!(f, "deadline {limit:?}"),
            Layer::Budget(budget) => {
                f.write_str("budget")?;
                if budget.is_unlimited() {
                    f.write_str(": unlimited")?;
                }
                let mut mark = ": ";
                if let Some(tokens) = budget.token_limit() {
                    write!(f, "{mark}{tokens} tokens")?;
                    mark = ", ";
                }
                if let Some(cost) = budget.cost_limit() {
                    write!(f, "{mark}{cost}")?;
                    mark = ", ";
                }
                budget.time_limit().map_or(Ok(()), |time| write!(f, "{mark}{time:?}"))
            }
        }
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
