//! The last attempts of a run, without a heap.

mod slice;
mod write;

use core::{fmt, time::Duration};

use heapless::HistoryBuf;
pub use slice::{NotKept, Slice, Slices};
pub use write::{RingTrace, RingValues};

use crate::{failure::FailureClass, report::Spent, text::Text};

/// How many bytes of what a failure says are kept.
const MESSAGE: usize = 48;

/// The last attempts of a run, from the oldest to the newest; with values of up to `BYTES` bytes, or without.
pub type RingOf<const EVENTS: usize, const BYTES: usize> = Ring<EVENTS, Slices<BYTES>>;

/// The last `EVENTS` attempts of a run.
pub struct Ring<const EVENTS: usize, V = ()> {
    events: HistoryBuf<RingEvent<V>, EVENTS>,
    dropped: u64,
    /// When the run was opened. It is here and not beside, so that a ring is handed out as it was written.
    started: Duration,
}

impl<const EVENTS: usize, V> Default for Ring<EVENTS, V> {
    #[inline(always)]
    fn default() -> Self {
        Self { events: HistoryBuf::new(), dropped: 0, started: Duration::ZERO }
    }
}

impl<const EVENTS: usize, V> Ring<EVENTS, V> {
    /// The events, from the oldest to the newest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RingEvent<V>> {
        self.events.oldest_ordered()
    }

    /// How many events are there.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many events there were before these.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The events of one node.
    pub fn events_for<'t>(&'t self, node: &'t str) -> impl DoubleEndedIterator<Item = &'t RingEvent<V>> {
        self.iter().filter(move |event| event.node == node)
    }

    /// The attempts that failed.
    pub fn failures(&self) -> impl DoubleEndedIterator<Item = &RingEvent<V>> {
        self.iter().filter(|event| matches!(event.outcome, RingOutcome::Failed { .. }))
    }
}

impl<const EVENTS: usize, V: Clone> Clone for Ring<EVENTS, V> {
    fn clone(&self) -> Self {
        let mut ring = Self { events: HistoryBuf::new(), dropped: self.dropped, started: self.started };
        self.iter().for_each(|event| ring.events.write(event.clone()));
        ring
    }
}

impl<const EVENTS: usize, V: PartialEq> PartialEq for Ring<EVENTS, V> {
    fn eq(&self, other: &Self) -> bool {
        self.dropped == other.dropped && self.iter().eq(other.iter())
    }
}

impl<const EVENTS: usize, V: Eq> Eq for Ring<EVENTS, V> {}

impl<const EVENTS: usize, V: fmt::Debug> fmt::Debug for Ring<EVENTS, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One attempt of one node, in a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingEvent<V = ()> {
    /// The node's id.
    pub node: &'static str,
    /// The iteration or element that it was of; 0 outside of loops and collections.
    pub instance: u32,
    /// Which attempt it was, from 1; 0 for a node that was not run again.
    pub attempt: u32,
    /// When it began, since the run was opened.
    pub start: Duration,
    /// How it ended.
    pub outcome: RingOutcome,
    /// What it spent, its time included.
    pub spent: Spent,
    values: V,
}

impl<V> RingEvent<V> {
    /// How long it took.
    pub const fn took(&self) -> Duration {
        self.spent.time
    }
}

impl<const BYTES: usize> RingEvent<Slices<BYTES>> {
    /// What the node was given.
    pub const fn input(&self) -> &Slice<BYTES> {
        &self.values.input
    }

    /// What the node yielded.
    pub const fn output(&self) -> &Slice<BYTES> {
        &self.values.output
    }
}

/// How an attempt ended, in a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingOutcome {
    /// With an output.
    Succeeded,
    /// With a failure.
    Failed {
        /// What the failure means.
        class: FailureClass,
        /// What it says, cut to 48 bytes.
        message: Message,
    },
    /// With neither: it was cut short, because a sibling failed or the time of something around it was over.
    CutShort,
    /// It was not run: its output was in the store.
    Restored,
    /// It was not run: its output was in the trace that was replayed.
    Replayed,
}

/// What a failure says; where it was cut it ends in an ellipsis.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Text<MESSAGE>);

impl Message {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
