//! What a run keeps of a stop that has more to say than fits into one.

use core::mem::discriminant;

#[cfg(feature = "tokio")]
use crate::text::Words;
use crate::{contract::ContractViolation, slot::same_id};

/// More about a stop.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// What a node on tokio's pool said when it panicked.
    #[cfg(feature = "tokio")]
    Panic(Words),
    /// Which contract was broken.
    Contract(ContractViolation),
}

/// What was said of each node, the first of each kind; on the heap where there is one, so that a run in which nothing goes wrong
/// is no larger for it. Without a heap there is room for one, which is the first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(
    #[cfg(feature = "alloc")] Option<alloc::boxed::Box<Note>>,
    #[cfg(not(feature = "alloc"))] Option<Note>,
);

#[derive(Debug, Clone)]
struct Note {
    node: Option<&'static str>,
    said: Said,
    /// What was said before.
    #[cfg(feature = "alloc")]
    before: Notes,
}

impl Notes {
    /// Nothing was said.
    #[inline(always)]
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Notes what was said of a node. Of two of one kind the first is kept.
    #[cold]
    pub(crate) fn add(&mut self, node: Option<&'static str>, said: Said) {
        if self.find(node, |other| discriminant(other) == discriminant(&said)).is_some() {
            return;
        }
        #[cfg(feature = "alloc")]
        {
            let before = core::mem::take(self);
            self.0 = Some(alloc::boxed::Box::new(Note { node, said, before }));
        }
        #[cfg(not(feature = "alloc"))]
        self.0.get_or_insert(Note { node, said });
    }

    /// What was said of a node, of the kind that is asked for.
    #[cold]
    pub(crate) fn find(&self, node: Option<&'static str>, is: impl Fn(&Said) -> bool) -> Option<&Said> {
        let same = |other: Option<&str>| match (node, other) {
            (Some(node), Some(other)) => same_id(node, other),
            (node, other) => node == other,
        };
        let mut next = Some(self);
        while let Some(note) = next.and_then(|notes| notes.0.as_ref()) {
            if same(note.node) && is(&note.said) {
                return Some(&note.said);
            }
            #[cfg(feature = "alloc")]
            {
                next = Some(&note.before);
            }
            #[cfg(not(feature = "alloc"))]
            {
                next = None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Direction, Violation};

    fn said(message: &str) -> Said {
        Said::Contract(ContractViolation::new(Direction::Output, Violation::new(message)))
    }

    fn message(said: Option<&Said>) -> Option<&str> {
        match said {
            Some(Said::Contract(broken)) => Some(broken.violation.message()),
            _ => None,
        }
    }

    #[test]
    fn the_first_of_each_node_is_kept() {
        let mut notes = Notes::none();
        notes.add(Some("a"), said("one"));
        notes.add(Some("a"), said("two"));
        assert_eq!(message(notes.find(Some("a"), |_| true)), Some("one"));
        assert_eq!(message(notes.find(Some("b"), |_| true)), None);
        assert_eq!(message(notes.find(Some("a"), |_| false)), None);
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn each_node_has_its_own() {
        let mut notes = Notes::none();
        notes.add(Some("a"), said("one"));
        notes.add(None, said("two"));
        notes.add(Some("b"), said("three"));
        assert_eq!(message(notes.find(Some("a"), |_| true)), Some("one"));
        assert_eq!(message(notes.find(None, |_| true)), Some("two"));
        assert_eq!(message(notes.find(Some("b"), |_| true)), Some("three"));
    }
}
