//! What a run keeps of a stop that has more to say than fits into one.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::mem::{ManuallyDrop, discriminant};

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
// Dropped by hand: the compiler's own way is a call, in every run, to find that there is nothing.
#[derive(Debug, Clone)]
pub(crate) struct Notes(ManuallyDrop<Kept>);

#[cfg(feature = "alloc")]
type Kept = Option<Box<[Note]>>;
#[cfg(not(feature = "alloc"))]
type Kept = Option<Note>;

#[derive(Debug, Clone)]
struct Note {
    node: Option<&'static str>,
    said: Said,
}

impl Notes {
    /// Nothing was said.
    #[inline(always)]
    pub(crate) const fn none() -> Self {
        Self(ManuallyDrop::new(None))
    }

    /// Notes what was said of a node. Of two of one kind the first is kept.
    #[cold]
    pub(crate) fn add(&mut self, node: Option<&'static str>, said: Said) {
        if self.find(node, |other| discriminant(other) == discriminant(&said)).is_some() {
            return;
        }
        #[cfg(feature = "alloc")]
        {
            let mut notes = self.0.take().unwrap_or_default().into_vec();
            notes.push(Note { node, said });
            *self.0 = Some(notes.into_boxed_slice());
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
        #[cfg(feature = "alloc")]
        let notes = self.0.as_deref().unwrap_or_default();
        #[cfg(not(feature = "alloc"))]
        let notes = self.0.as_slice();
        notes.iter().find(|note| same(note.node) && is(&note.said)).map(|note| &note.said)
    }
}

impl Drop for Notes {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.is_some() {
            forget(&mut self.0);
        }
    }
}

#[cold]
#[inline(never)]
fn forget(notes: &mut Kept) {
    *notes = None;
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
