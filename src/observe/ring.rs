//! The last attempts of a run, without a heap.

use core::{fmt, time::Duration};

use heapless::HistoryBuf;
use serde::de::DeserializeOwned;

use super::{Attempt, Ended, Reason, Record, Recordable, Told, Tracer};
use crate::{
    failure::FailureClass,
    report::{Report, Spent},
    run::RunId,
    text::Text,
};

/// How many bytes of what a failure says are kept.
const MESSAGE: usize = 48;

/// Writes the last `EVENTS` attempts of a run into a ring: the oldest are dropped, and counted.
///
/// The ring is in the run's future and is handed out with its result, so both grow by it.
///
/// ```
/// # use stroma::{RingTrace, RunId, Runner, node};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pipeline = node("first", double).then(node("second", double)).then(node("third", double));
/// let runner = Runner::new(pipeline).with_trace(RingTrace::<2>::new().with_values::<8>()).build()?;
/// let done = runner.run_as(RunId::from_u128(1), 3).await.unwrap();
/// let last: Vec<_> = done.trace.iter().map(|event| (event.node, event.output().decode::<u32>())).collect();
/// assert_eq!(last, [("second", Ok(12)), ("third", Ok(24))]);
/// assert_eq!(done.trace.dropped(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RingTrace<const EVENTS: usize>;

impl<const EVENTS: usize> RingTrace<EVENTS> {
    /// A ring for `EVENTS` events, which are at least one.
    pub const fn new() -> Self {
        const { assert!(EVENTS != 0, "a ring has room for at least one event") };
        Self
    }

    /// Also keeps what each node was given and yielded, as postcard bytes, up to `BYTES` of each. It asks `Serialize` of
    /// those types.
    pub const fn with_values<const BYTES: usize>(self) -> RingValues<EVENTS, BYTES> {
        RingValues
    }
}

/// A [`RingTrace`] with values, made by [`RingTrace::with_values`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RingValues<const EVENTS: usize, const BYTES: usize>;

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

/// What a node was given and yielded, as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slices<const BYTES: usize> {
    input: Slice<BYTES>,
    output: Slice<BYTES>,
}

/// A value as postcard bytes, or why there are none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Slice<const BYTES: usize>(Bytes<BYTES>);

#[derive(Clone, PartialEq, Eq, Default)]
enum Bytes<const BYTES: usize> {
    #[default]
    Absent,
    Kept(heapless::Vec<u8, BYTES>),
    TooLong {
        needed: usize,
    },
    Unserialisable,
}

/// Why a value is not in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotKept {
    /// There was none: the attempt did not succeed, or went on without an input.
    #[error("there was no value: the attempt did not succeed, or went on without an input")]
    Absent,
    /// It is longer than a value in this ring may be.
    #[error("the value takes {needed} bytes and the ring keeps {room}: `.with_values::<{needed}>()` would keep it")]
    TooLong {
        /// How many bytes it takes.
        needed: usize,
        /// How many the ring keeps.
        room: usize,
    },
    /// Its `Serialize` refused, or postcard has no form for it.
    #[error("the value cannot be serialised with postcard: try it with `testing::round_trip`")]
    Unserialisable,
    /// It is not a value of the type that it was asked for.
    #[error("the bytes are not a value of this type: decode them as the type that the node takes or yields")]
    OtherType,
}

impl<const BYTES: usize> Slice<BYTES> {
    /// The bytes.
    ///
    /// # Errors
    /// When they were not kept.
    pub fn bytes(&self) -> Result<&[u8], NotKept> {
        match &self.0 {
            Bytes::Kept(bytes) => Ok(bytes),
            Bytes::Absent => Err(NotKept::Absent),
            Bytes::TooLong { needed } => Err(NotKept::TooLong { needed: *needed, room: BYTES }),
            Bytes::Unserialisable => Err(NotKept::Unserialisable),
        }
    }

    /// The value, where it was a `T`.
    ///
    /// # Errors
    /// When it was not kept, or is no `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, NotKept> {
        match postcard::take_from_bytes(self.bytes()?) {
            Ok((value, [])) => Ok(value),
            _ => Err(NotKept::OtherType),
        }
    }

    fn of(value: &impl Recordable) -> Self {
        let mut bytes = heapless::Vec::new();
        // There is room for as many as there is room for.
        let _ = bytes.resize_default(BYTES);
        Self(match postcard::to_slice(value, &mut bytes) {
            Ok(written) => {
                let len = written.len();
                bytes.truncate(len);
                Bytes::Kept(bytes)
            }
            Err(postcard::Error::SerializeBufferFull) => match postcard::experimental::serialized_size(value) {
                Ok(needed) => Bytes::TooLong { needed },
                Err(_) => Bytes::Unserialisable,
            },
            Err(_) => Bytes::Unserialisable,
        })
    }
}

impl<const BYTES: usize> fmt::Debug for Slice<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.bytes(), f)
    }
}

/// A ring while it is written. It is made when the run begins, since to make one in place and to take it out would each
/// move all of its room.
#[derive(Debug)]
pub struct RingLog<const EVENTS: usize, V = ()>(Option<Ring<EVENTS, V>>);

impl<const EVENTS: usize, V> Default for RingLog<EVENTS, V> {
    #[inline(always)]
    fn default() -> Self {
        Self(None)
    }
}

impl<const EVENTS: usize, V> RingLog<EVENTS, V> {
    #[inline(always)]
    fn add(&mut self, ended: Ended<'_>, began: Duration, outcome: RingOutcome, values: V) {
        let Some(ring) = &mut self.0 else { return };
        if ring.events.is_full() {
            ring.dropped = ring.dropped.wrapping_add(1);
        }
        ring.events.write(RingEvent {
            node: ended.at.node,
            instance: ended.at.instance,
            attempt: ended.at.attempt,
            start: began.saturating_sub(ring.started),
            outcome,
            spent: Spent { time: ended.now.saturating_sub(began), ..ended.spent },
            values,
        });
    }

    fn restored(&mut self, at: Attempt<'_>, values: V) {
        let started = self.0.as_ref().map_or(Duration::ZERO, |ring| ring.started);
        self.add(Ended::new(at, started, Spent::default()), started, RingOutcome::Restored, values);
    }
}

#[cold]
fn failed<Er: fmt::Display, H: fmt::Display>(class: FailureClass, why: Reason<'_, Er, H>) -> RingOutcome {
    let message = match why {
        Reason::Error(error) => Text::of(error),
        Reason::Halt(halt) => Text::of(halt),
    };
    RingOutcome::Failed { class, message: Message(message) }
}

impl<const EVENTS: usize> Tracer for RingTrace<EVENTS> {
    type Log = RingLog<EVENTS>;
    type Visit = ();
    type Mark = Duration;
    type Finished = Ring<EVENTS>;

    const ENABLED: bool = true;
    const TIMED: bool = true;

    #[inline(always)]
    fn begin(&self, log: &mut Self::Log, _: Option<&RunId>, now: Duration) {
        log.0 = Some(Ring { started: now, ..Default::default() });
    }

    fn restored(&self, log: &mut Self::Log, at: Attempt<'_>) {
        log.restored(at, ());
    }

    #[inline(always)]
    fn visit(&self, _: &mut Self::Log, _: Attempt<'_>) {}

    #[inline(always)]
    fn finish(&self, log: Self::Log, _: Option<&Report>, _: Duration) -> Self::Finished {
        log.0.unwrap_or_default()
    }
}

impl<In, Out, Er: Told, const EVENTS: usize> Record<In, Out, Er> for RingTrace<EVENTS> {
    #[inline(always)]
    fn started(&self, _: &mut Self::Log, _: Attempt<'_>, (): &(), now: Duration, _: Option<&In>) -> Duration {
        now
    }

    #[inline(always)]
    fn succeeded(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Duration, _: &Out) {
        log.add(ended, *mark, RingOutcome::Succeeded, ());
    }

    fn failed<H: fmt::Display>(
        &self,
        log: &mut Self::Log,
        ended: Ended<'_>,
        mark: &mut Duration,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    ) {
        log.add(ended, *mark, failed(class, why), ());
    }

    fn cut_short(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Duration) {
        log.add(ended, *mark, RingOutcome::CutShort, ());
    }

    fn replayed(&self, log: &mut Self::Log, ended: Ended<'_>, _: Option<&In>, _: &Out) {
        log.add(ended, ended.now, RingOutcome::Replayed, ());
    }
}

/// When an attempt began, and what it was given.
#[derive(Debug, Default)]
pub struct Packed<const BYTES: usize> {
    began: Duration,
    input: Slice<BYTES>,
}

impl<const BYTES: usize> Packed<BYTES> {
    /// The values of an attempt that is over.
    fn with(&mut self, output: Slice<BYTES>) -> Slices<BYTES> {
        Slices { input: core::mem::take(&mut self.input), output }
    }
}

impl<const EVENTS: usize, const BYTES: usize> Tracer for RingValues<EVENTS, BYTES> {
    type Log = RingLog<EVENTS, Slices<BYTES>>;
    type Visit = ();
    type Mark = Packed<BYTES>;
    type Finished = RingOf<EVENTS, BYTES>;

    const ENABLED: bool = true;
    const TIMED: bool = true;

    #[inline(always)]
    fn begin(&self, log: &mut Self::Log, _: Option<&RunId>, now: Duration) {
        log.0 = Some(Ring { started: now, ..Default::default() });
    }

    fn restored(&self, log: &mut Self::Log, at: Attempt<'_>) {
        log.restored(at, Slices::default());
    }

    #[inline(always)]
    fn visit(&self, _: &mut Self::Log, _: Attempt<'_>) {}

    #[inline(always)]
    fn finish(&self, log: Self::Log, _: Option<&Report>, _: Duration) -> Self::Finished {
        log.0.unwrap_or_default()
    }
}

impl<In, Out, Er, const EVENTS: usize, const BYTES: usize> Record<In, Out, Er> for RingValues<EVENTS, BYTES>
where
    In: Recordable,
    Out: Recordable,
    Er: Told,
{
    fn started(&self, _: &mut Self::Log, _: Attempt<'_>, (): &(), now: Duration, input: Option<&In>) -> Packed<BYTES> {
        Packed { began: now, input: input.map(Slice::of).unwrap_or_default() }
    }

    fn succeeded(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Packed<BYTES>, output: &Out) {
        log.add(ended, mark.began, RingOutcome::Succeeded, mark.with(Slice::of(output)));
    }

    fn failed<H: fmt::Display>(
        &self,
        log: &mut Self::Log,
        ended: Ended<'_>,
        mark: &mut Packed<BYTES>,
        class: FailureClass,
        why: Reason<'_, Er, H>,
    ) {
        log.add(ended, mark.began, failed(class, why), mark.with(Slice::default()));
    }

    fn cut_short(&self, log: &mut Self::Log, ended: Ended<'_>, mark: &mut Packed<BYTES>) {
        log.add(ended, mark.began, RingOutcome::CutShort, mark.with(Slice::default()));
    }

    fn replayed(&self, log: &mut Self::Log, ended: Ended<'_>, input: Option<&In>, output: &Out) {
        let mut mark = Packed { began: ended.now, input: input.map(Slice::of).unwrap_or_default() };
        let values = mark.with(Slice::of(output));
        log.add(ended, mark.began, RingOutcome::Replayed, values);
    }
}
