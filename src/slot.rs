//! Where a node stands in its pipeline, and under which key a checkpoint is kept.

use core::time::Duration;

use crate::budget::Scope;

/// What a stored slot holds.
///
/// The numbers are part of the stored format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SlotKind {
    /// What the run was started with.
    Input = 0,
    /// What a node returned.
    Output = 1,
    /// That an effect is about to happen (kept for effects by type).
    Intent = 2,
    /// Which way a branch went (kept for branches and loops).
    Decision = 3,
    /// What arrived from outside (kept for gates).
    Signal = 4,
}

impl SlotKind {
    /// The kind that a stored number stands for, or `None` for a number of a later version.
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Input,
            1 => Self::Output,
            2 => Self::Intent,
            3 => Self::Decision,
            4 => Self::Signal,
            _ => return None,
        })
    }
}

/// The key of one stored value within its run.
///
/// Two slots are the same when node, instance and kind are; `index` is only a hint.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'s> {
    /// The id of the node; empty for the run's own input.
    pub node: &'s str,
    /// Where the node stands in the pipeline, from 1; 0 for the run's own input. A store without a better index may look
    /// there. It is no part of the key, but the same slot of a run always comes with the same index: a run is never gone on
    /// with by a pipeline of other nodes.
    pub index: u16,
    /// The iteration of a loop or the element of a collection; 0 elsewhere.
    pub instance: u32,
    /// What is stored.
    pub kind: SlotKind,
}

impl Slot<'static> {
    /// The slot of the run's input.
    pub const INPUT: Self = Slot { node: "", index: 0, instance: 0, kind: SlotKind::Input };
}

impl PartialEq for Slot<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // The numbers first: they differ more often and cost less.
        self.instance == other.instance && self.kind == other.kind && same_id(self.node, other.node)
    }
}

impl Eq for Slot<'_> {}

/// Whether two ids are equal; ids of one program are mostly the same literal, so the address is asked first.
#[inline(always)]
pub(crate) fn same_id(a: &str, b: &str) -> bool {
    a.len() == b.len() && (core::ptr::eq(a.as_ptr(), b.as_ptr()) || a.as_bytes() == b.as_bytes())
}

/// Where a node stands: what a combinator hands to the nodes inside it.
///
/// A combinator of your own passes it on: [`skip`](Self::skip) past the nodes before, [`instance`](Self::instance) for the
/// iterations of a loop or the elements of a collection.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub(crate) node: u16,
    pub(crate) instance: u32,
    pub(crate) id: &'static str,
    /// The id under which the node's output is kept: the one that it had first.
    pub(crate) key: &'static str,
    pub(crate) attempt: u32,
    /// The innermost budget around it.
    pub(crate) scope: Scope,
    pub(crate) last: bool,
    pub(crate) deadline: Option<Duration>,
}

impl Place {
    /// The first node of a pipeline.
    pub(crate) const FIRST: Self =
        Place { node: 0, instance: 0, id: "", key: "", attempt: 1, scope: Scope::RUN, last: true, deadline: None };

    /// The node's number in the pipeline, from 0, in the order of [`describe`](crate::Pipeline::describe).
    pub const fn node(self) -> u16 {
        self.node
    }

    /// The iteration or element that this is; 0 outside of loops and collections.
    pub const fn instance(self) -> u32 {
        self.instance
    }

    /// The same place, `nodes` further on.
    #[must_use]
    #[inline(always)]
    pub const fn skip(mut self, nodes: u16) -> Self {
        self.node = self.node.wrapping_add(nodes);
        self
    }

    /// The same place with something after it, so that its output need not be kept for the run's sake.
    #[must_use]
    #[inline(always)]
    pub const fn not_last(mut self) -> Self {
        self.last = false;
        self
    }

    /// The same place as another iteration or element, counted from 1: instance 0 is what is in no loop and no collection, and a
    /// retry [`from_start`](crate::Pipeline::from_start) there throws away every instance of the nodes inside. Within an outer
    /// loop the caller numbers over both.
    #[must_use]
    #[inline(always)]
    pub const fn with_instance(mut self, instance: u32) -> Self {
        self.instance = instance;
        self
    }

    #[inline(always)]
    pub(crate) const fn with_id(mut self, id: &'static str, key: &'static str) -> Self {
        self.id = id;
        self.key = key;
        self
    }

    #[inline(always)]
    pub(crate) const fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    #[inline(always)]
    pub(crate) const fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    #[inline(always)]
    pub(crate) fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(match self.deadline {
            Some(outer) if outer < deadline => outer,
            _ => deadline,
        });
        self
    }

    /// The slot of this node's output.
    #[inline(always)]
    pub(crate) const fn output(self, id: &'static str) -> Slot<'static> {
        Slot { node: id, index: self.node.wrapping_add(1), instance: self.instance, kind: SlotKind::Output }
    }
}
