//! A pipeline as a reader sees it.

use core::{
    fmt::{self, Write},
    num::NonZeroU64,
};

use crate::{
    chain::{Nil, One, Zero},
    exec::{Each, Node, NodeInfo, Walk},
    layer::Step,
};

/// Something whose nodes can be shown in order.
pub trait Shown {
    /// Shows them.
    fn show<W: Walk>(&self, walk: &mut W);
}

impl Shown for Nil {
    fn show<W: Walk>(&self, _: &mut W) {}
}

impl<R: Shown> Shown for Zero<R> {
    fn show<W: Walk>(&self, walk: &mut W) {
        self.rest.show(walk);
    }
}

impl<T: Node, R: Shown> Shown for One<T, R> {
    fn show<W: Walk>(&self, walk: &mut W) {
        self.rest.show(walk);
        self.tree.walk(walk);
    }
}

impl<B, P> Shown for Step<B, P>
where
    Self: Node,
{
    fn show<W: Walk>(&self, walk: &mut W) {
        self.walk(walk);
    }
}

/// The nodes and the shape of a pipeline. Shown as text it is one line: `read -> (words | outline) -> write`.
pub struct Description<'a, S>(&'a S);

impl<S> Clone for Description<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Description<'_, S> {}

impl<'a, S: Shown> Description<'a, S> {
    pub(crate) const fn of(shown: &'a S) -> Self {
        Self(shown)
    }

    /// Calls `visit` with each node that has an id, in order.
    pub fn nodes(&self, visit: impl FnMut(NodeInfo)) {
        self.0.show(&mut Each(visit));
    }

    /// Shows `walk` each node and where branches begin and end: for a form of your own.
    pub fn walk(&self, walk: &mut impl Walk) {
        self.0.show(walk);
    }

    /// All nodes that have an id, in order.
    #[cfg(feature = "alloc")]
    pub fn to_vec(&self) -> alloc::vec::Vec<NodeInfo> {
        let mut nodes = alloc::vec::Vec::new();
        self.nodes(|node| nodes.push(node));
        nodes
    }
}

impl<S: Shown> fmt::Display for Description<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Line<'l, 'f> {
            to: &'l mut fmt::Formatter<'f>,
            follows: bool,
            result: fmt::Result,
        }
        impl Line<'_, '_> {
            fn put(&mut self, text: &str) {
                self.result = self.result.and_then(|()| self.to.write_str(text));
            }

            fn next(&mut self) {
                if self.follows {
                    self.put(" -> ");
                }
            }
        }
        impl Walk for Line<'_, '_> {
            fn node(&mut self, node: NodeInfo) {
                self.next();
                self.put(node.id);
                self.follows = true;
            }

            fn fork(&mut self) {
                self.next();
                self.put("(");
                self.follows = false;
            }

            fn branch(&mut self) {
                self.put(" | ");
                self.follows = false;
            }

            fn join(&mut self) {
                self.put(")");
                self.follows = true;
            }
        }
        let mut line = Line { to: f, follows: false, result: Ok(()) };
        self.0.show(&mut line);
        line.result
    }
}

impl<S: Shown> fmt::Debug for Description<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        self.nodes(|node| {
            list.entry(&node);
        });
        list.finish()
    }
}

/// The contract of each node: what it takes and yields, and what is checked of that. Shown as text it is a line for each:
/// `extract: String -> Entities (output checked)`.
///
/// What is checked around a chain stands with its first node for the input and with its last one for the output.
pub struct Contracts<'a, S>(&'a S);

impl<'a, S: Shown> Contracts<'a, S> {
    pub(crate) const fn of(shown: &'a S) -> Self {
        Self(shown)
    }

    /// Calls `visit` with each node, in order.
    pub fn nodes(&self, visit: impl FnMut(NodeInfo)) {
        Description::of(self.0).nodes(visit);
    }

    /// All nodes, in order.
    #[cfg(feature = "alloc")]
    pub fn to_vec(&self) -> alloc::vec::Vec<NodeInfo> {
        Description::of(self.0).to_vec()
    }
}

impl<S: Shown> fmt::Display for Contracts<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut result, mut first) = (Ok(()), true);
        self.nodes(|node| {
            let line = if first { "" } else { "\n" };
            first = false;
            result = result.and_then(|()| write!(f, "{line}{node}"));
        });
        result
    }
}

impl<S: Shown> fmt::Debug for Contracts<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Description::of(self.0), f)
    }
}

/// Its contract in one line, the types without the paths of their modules: `extract: String -> Entities (output checked)`.
impl fmt::Display for NodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.id, Short(self.input), Short(self.output))?;
        f.write_str(match (self.required, self.ensured) {
            (true, true) => " (input and output checked)",
            (true, false) => " (input checked)",
            (false, true) => " (output checked)",
            (false, false) => "",
        })
    }
}

/// The name of a type without the paths of the modules in it.
pub(crate) struct Short(pub(crate) &'static str);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(first) = rest.chars().next() {
            let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (part, after) = rest.split_at(name);
            rest = match after.strip_prefix("::") {
                // The path before a name.
                Some(after) if !part.is_empty() => after,
                _ if !part.is_empty() => {
                    f.write_str(part)?;
                    after
                }
                _ => {
                    f.write_char(first)?;
                    rest.get(first.len_utf8()..).unwrap_or_default()
                }
            };
        }
        Ok(())
    }
}

/// The fingerprint of a pipeline's shape: FNV-1a of the ids, each as it was first named, and of where branches begin and end.
pub(crate) fn fingerprint(shown: &impl Shown) -> NonZeroU64 {
    struct Hash(u64);
    impl Hash {
        // Ids have no control characters in them, so these marks cannot be mistaken for one.
        fn add(&mut self, mark: u8, id: &str) {
            self.0 = crate::hash::fnv1a(crate::hash::fnv1a(self.0, &[mark]), id.as_bytes());
        }
    }
    impl Walk for Hash {
        fn node(&mut self, node: NodeInfo) {
            self.add(1, node.was.unwrap_or(node.id));
        }

        fn fork(&mut self) {
            self.add(2, "");
        }

        fn branch(&mut self) {
            self.add(3, "");
        }

        fn join(&mut self) {
            self.add(4, "");
        }
    }
    let mut hash = Hash(crate::hash::FNV_START);
    shown.show(&mut hash);
    // Zero stands for no shape; a hash of zero, should it ever come, is as good as one.
    NonZeroU64::new(hash.0).unwrap_or(NonZeroU64::MIN)
}

/// The nodes as a store is told of them: a line for each, with the id that its output is kept under.
pub(crate) struct Outline<'a, S>(pub(crate) &'a S);

impl<S: Shown> fmt::Display for Outline<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Lines<'l, 'f>(&'l mut fmt::Formatter<'f>, fmt::Result);
        impl Lines<'_, '_> {
            fn line(&mut self, mark: &str, id: &str) {
                let Self(to, result) = self;
                *result = result.and_then(|()| writeln!(to, "{mark}{id}"));
            }
        }
        impl Walk for Lines<'_, '_> {
            fn node(&mut self, node: NodeInfo) {
                self.line(if node.checkpointed { "=" } else { "-" }, node.stored_as());
            }

            fn fork(&mut self) {
                self.line("(", "");
            }

            fn branch(&mut self) {
                self.line("|", "");
            }

            fn join(&mut self) {
                self.line(")", "");
            }
        }
        let mut lines = Lines(f, Ok(()));
        self.0.show(&mut lines);
        lines.1
    }
}

/// Marks the nodes whose outputs depend on one node: itself and all that comes after it, but not a branch beside it.
///
/// Calls `mark` with each; whether the node was found at all is returned.
pub(crate) fn dependents(shown: &impl Shown, id: &str, mark: impl FnMut(NodeInfo)) -> bool {
    struct After<'i, F> {
        id: &'i str,
        mark: F,
        found: bool,
        /// How many branchings that began after the node are open.
        inside: u16,
        /// How many branchings are open of a branch beside the node, that branch itself counted; 0 outside of one.
        beside: u16,
    }
    impl<F: FnMut(NodeInfo)> Walk for After<'_, F> {
        fn node(&mut self, node: NodeInfo) {
            self.found |= node.is(self.id);
            if self.found && self.beside == 0 {
                (self.mark)(node);
            }
        }

        fn fork(&mut self) {
            if self.beside != 0 {
                self.beside = self.beside.saturating_add(1);
            } else if self.found {
                self.inside = self.inside.saturating_add(1);
            }
        }

        fn branch(&mut self) {
            if self.found && self.inside == 0 && self.beside == 0 {
                self.beside = 1;
            }
        }

        fn join(&mut self) {
            if self.beside != 0 {
                self.beside -= 1;
            } else {
                self.inside = self.inside.saturating_sub(1);
            }
        }
    }
    let mut after = After { id, mark, found: false, inside: 0, beside: 0 };
    shown.show(&mut after);
    after.found
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::Short;

    #[test]
    fn a_type_is_named_without_its_modules() {
        for (long, short) in [
            ("u32", "u32"),
            ("alloc::string::String", "String"),
            ("alloc::vec::Vec<my_app::facts::Fact>", "Vec<Fact>"),
            ("(u32, core::option::Option<&str>)", "(u32, Option<&str>)"),
            ("[a::B; 4]", "[B; 4]"),
            ("&'static [a::b::C]", "&'static [C]"),
            ("<a::B as c::D>::E", "<B as D>::E"),
            ("app::main::{{closure}}", "{{closure}}"),
            ("", ""),
        ] {
            assert_eq!(Short(long).to_string(), short);
        }
    }
}
