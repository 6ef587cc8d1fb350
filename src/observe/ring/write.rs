//! How a ring is written.

use core::{fmt, time::Duration};

use super::{
    Message, Ring, RingEvent, RingOf, RingOutcome,
    slice::{Slice, Slices},
};
use crate::{
    failure::FailureClass,
    observe::{Attempt, Ended, Reason, Record, Recordable, Told, Tracer},
    report::{Report, Spent},
    run::RunId,
    text::Text,
};

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
