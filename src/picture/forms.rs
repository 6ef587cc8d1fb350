//! The forms in which a graph is written, and what nodes and layers say in them.

use core::fmt;

use super::escape::{InDot, InMermaid};
use crate::{
    describe::Short,
    exec::{Layer, NodeInfo},
};

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
        // Our own words and numbers: nothing in them is read as anything else.
        writeln!(f, "{at}subgraph l{number}[\"{label}\"]")
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
pub struct Indent(pub(super) u32);

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
    pub(super) node: &'n NodeInfo,
    /// Whether it says what it takes and yields.
    pub(super) types: bool,
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
pub struct Around<'l>(pub(super) &'l Layer<'l>);

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
