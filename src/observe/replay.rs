//! A trace in place of the nodes that it is of.
#![cfg(all(feature = "std", feature = "json"))]

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::{
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use serde::de::DeserializeOwned;

use super::{
    Both, Tracer,
    diff::{Difference, differences},
    trace::{Event, Outcome, Trace},
    values::ValueTrace,
};
use crate::{
    never::Never,
    run::RunId,
    slot::{Place, Slot},
    store::{Access, Begun, Durability, Faulted, Persist, ReplayFault, StoreError, StoreErrorKind, StoreFault},
};

/// A trace that has the values of its run.
#[diagnostic::on_unimplemented(
    message = "this runner's trace has no values, so that a replay could not be compared with what was recorded",
    label = "needs a trace with values",
    note = "`.with_trace(ListTrace::new().with_values())` on the builder"
)]
pub trait Valued: Tracer<Finished = Trace> {}

impl<R, M> Valued for ValueTrace<R, M> {}

#[diagnostic::do_not_recommend]
impl<A: Valued, B: Tracer> Valued for Both<A, B> {}

/// A trace that answers for its nodes, as the store of a run.
#[derive(Debug)]
pub struct Replaying<'t> {
    /// What counts of it, in order.
    events: Vec<&'t Event>,
    /// The same by the id and iteration of the node.
    recorded: BTreeMap<(&'t str, u32), Vec<&'t Event>>,
    /// The nodes that are run all the same.
    live: BTreeSet<String>,
}

impl<'t> Replaying<'t> {
    pub(crate) fn new(trace: &'t Trace, live: BTreeSet<String>) -> Self {
        let mut recorded = BTreeMap::<_, Vec<_>>::new();
        let events = last_of_visits(trace);
        for event in &events {
            recorded.entry((&*event.node, event.instance)).or_default().push(*event);
        }
        Self { events, recorded, live }
    }

    /// In what a replay differs from what was recorded: what was tried in vain is not compared, nor what a replay halts at.
    pub(crate) fn differences(&self, replayed: &Trace) -> Vec<Difference> {
        let compared = |event: &&Event| has_output(event) || self.live.contains(&*event.node);
        let recorded = self.events.iter().copied().filter(compared);
        differences(recorded, last_of_visits(replayed).into_iter(), |_| 0)
    }
}

fn has_output(event: &Event) -> bool {
    matches!(event.outcome, Outcome::Succeeded | Outcome::Replayed)
}

/// The events that count, in order: of each node and iteration those that yielded an output which was gone on with, and
/// where there are none, the last.
///
/// What was yielded before a retry around a chain began anew was not gone on with: between it and the next output of the
/// same node another one failed for good.
fn last_of_visits(trace: &Trace) -> Vec<&Event> {
    fn key(event: &Event) -> (&str, u32) {
        (&event.node, event.instance)
    }
    let events = trace.events();
    // What comes later of the same node and iteration: the attempt of its next event, and where its next output is.
    let (mut attempts, mut outputs) = (BTreeMap::new(), BTreeMap::new());
    let mut later = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate().rev() {
        let attempt = attempts.insert(key(event), event.attempt);
        let output = if has_output(event) { outputs.insert(key(event), at) } else { outputs.get(&key(event)).copied() };
        later.push((event, attempt, output));
    }
    later.reverse();
    // How many visits had ended in vain before each event.
    let mut in_vain = 0_usize;
    let before: Vec<_> = later
        .iter()
        .map(|(event, again, _)| {
            let before = in_vain;
            let again = again.is_some_and(|again| again > event.attempt);
            in_vain += usize::from(!has_output(event) && event.attempt != 0 && !again);
            before
        })
        .collect();
    let mut yielded = BTreeSet::new();
    let mut counting = Vec::new();
    for ((event, again, output), vain) in later.into_iter().zip(&before) {
        let counts = if has_output(event) {
            yielded.insert(key(event));
            output.is_none_or(|output| before.get(output) == Some(vain))
        } else {
            again.is_none() && !yielded.contains(&key(event))
        };
        if counts {
            counting.push(event);
        }
    }
    counting
}

/// A node whose output is asked of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    node: &'static str,
    instance: u32,
}

/// A run whose outputs come from a trace.
#[derive(Debug, Default)]
pub struct ReplaySession<'a, 't> {
    of: Option<&'a Replaying<'t>>,
    /// How often each node and iteration was come to.
    visits: BTreeMap<(&'static str, u32), usize>,
    fault: Option<StoreFault>,
}

impl ReplaySession<'_, '_> {
    /// The recorded output of a node; of several the next one, and once there is no other, the last again.
    fn answer<T: DeserializeOwned>(&mut self, asked: Recorded) -> Result<T, ReplayFault> {
        let visits = self.visits.entry((asked.node, asked.instance)).or_default();
        let visit = core::mem::replace(visits, visits.saturating_add(1));
        let events = self.of.and_then(|of| of.recorded.get(&(asked.node, asked.instance)));
        let event = events.and_then(|events| events.get(visit).or(events.last())).ok_or(ReplayFault::NotRecorded)?;
        match (&event.outcome, event.output()) {
            (_, Some(output)) => output.decode().map_err(ReplayFault::OtherType),
            (Outcome::Failed { message, .. }, None) => Err(ReplayFault::Failed { message: message.clone() }),
            _ => Err(ReplayFault::NotRecorded),
        }
    }
}

/// A recorded output on its way.
#[pin_project]
#[derive(Debug)]
pub struct Answered<T> {
    value: Option<T>,
    taken: bool,
}

impl<'t> Durability for Replaying<'t> {
    type Session<'a>
        = ReplaySession<'a, 't>
    where
        Self: 'a;
    type Proof = Recorded;
    type Fault = Faulted;
    type Opening<'a>
        = Never<()>
    where
        Self: 'a;
    type Writing<'a>
        = Never<()>
    where
        Self: 'a;
    type Reading<'a>
        = Never<()>
    where
        Self: 'a;
    type Saving<'a, T>
        = Never<T>
    where
        Self: 'a;
    type Loading<'a, T>
        = Answered<T>
    where
        Self: 'a;
    type Hold<T> = Option<T>;

    const DURABLE: bool = false;
    const REPLAYS: bool = true;

    fn slots_per_run(&self) -> Option<usize> {
        None
    }

    fn open<'a>(
        &'a self,
        session: &mut Self::Session<'a>,
        _: Option<&RunId>,
        _: Access,
    ) -> Begun<Result<(), Faulted>, Never<()>> {
        session.of = Some(self);
        Begun::Done(Ok(()))
    }

    fn poll_open<'a>(
        opening: Pin<&mut Never<()>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Faulted>> {
        opening.absurd()
    }

    // Nothing is skipped: every node is come to, and answers with its input.
    fn existing(_: &Self::Session<'_>) -> Option<Recorded> {
        None
    }

    fn holds(_: &Self::Session<'_>, _: Slot<'static>) -> Option<Recorded> {
        None
    }

    fn replayed(session: &Self::Session<'_>, at: Place) -> Option<Recorded> {
        let of = session.of?;
        if of.live.contains(at.id) || of.live.contains(at.key) {
            return None;
        }
        let known = |node| of.recorded.contains_key(&(node, at.instance));
        let node = if known(at.id) || !known(at.key) { at.id } else { at.key };
        Some(Recorded { node, instance: at.instance })
    }

    fn outputs(_: &Self::Session<'_>) -> usize {
        0
    }

    fn ledger<'s>(_: Recorded, _: &'s Self::Session<'_>) -> &'s [u8] {
        &[]
    }

    fn put_ledger<'a>(_: &mut Self::Session<'a>, _: &[u8]) -> Begun<Result<(), Faulted>, Never<()>>
    where
        Self: 'a,
    {
        Begun::Done(Ok(()))
    }

    fn poll_write<'a>(
        writing: Pin<&mut Never<()>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Faulted>> {
        writing.absurd()
    }

    fn saving<'a, T>(_: T, write: Never<()>) -> Never<T>
    where
        Self: 'a,
    {
        write.absurd()
    }

    fn poll_save<'a, T>(
        saving: Pin<&mut Never<T>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<T, Faulted>> {
        saving.absurd()
    }

    fn load<'a, R>(
        proof: Recorded,
        session: &mut Self::Session<'a>,
        _: Slot<'static>,
        _: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Begun<Result<R, Faulted>, Self::Reading<'a>> {
        Begun::Done(Err(Self::fault(proof, session, no_bytes())))
    }

    fn poll_read<'a, R>(
        reading: Pin<&mut Never<()>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
        _: impl FnOnce(&[u8]) -> Result<R, StoreFault>,
    ) -> Poll<Result<R, Faulted>> {
        reading.absurd()
    }

    fn discard<'a>(
        _: Recorded,
        _: &mut Self::Session<'a>,
        _: impl FnMut(Slot<'_>) -> bool,
    ) -> Begun<Result<(), Faulted>, Self::Writing<'a>> {
        Begun::Done(Ok(()))
    }

    fn finished(_: &mut Self::Session<'_>) {}

    fn fault(_: Recorded, session: &mut Self::Session<'_>, fault: StoreFault) -> Faulted {
        session.fault.get_or_insert(fault);
        Faulted::noted()
    }

    fn take_fault(session: &mut Self::Session<'_>) -> Option<StoreFault> {
        session.fault.take()
    }
}

/// A trace has no bytes of a store in it.
fn no_bytes() -> StoreFault {
    StoreFault::Store(StoreError::new(StoreErrorKind::Missing))
}

impl<T: DeserializeOwned> Persist<T> for Replaying<'_> {
    fn save<'a>(
        _: &mut Self::Session<'a>,
        _: Slot<'static>,
        _: &T,
        _: Option<NonZeroU64>,
        _: &[u8],
    ) -> Begun<Result<(), Faulted>, Self::Writing<'a>> {
        Begun::Done(Ok(()))
    }

    fn load_output<'a>(proof: Recorded, session: &mut Self::Session<'a>, _: Slot<'static>) -> Answered<T>
    where
        Self: 'a,
    {
        let value = match session.answer(proof) {
            Ok(value) => Some(value),
            Err(fault) => {
                Self::fault(proof, session, StoreFault::Replay(fault));
                None
            }
        };
        Answered { value, taken: false }
    }

    fn loaded<'l, 'a>(loading: &'l Answered<T>) -> Option<&'l T>
    where
        Self: 'a,
    {
        loading.value.as_ref()
    }

    fn poll_load<'a>(
        loading: Pin<&mut Answered<T>>,
        _: &mut Self::Session<'a>,
        _: &mut Context<'_>,
    ) -> Poll<Result<T, Faulted>>
    where
        Self: 'a,
    {
        let loading = loading.project();
        if core::mem::replace(loading.taken, true) {
            return Poll::Pending;
        }
        Poll::Ready(loading.value.take().ok_or(Faulted::noted()))
    }

    fn decode_input(_: Recorded, _: &[u8]) -> Result<T, StoreFault> {
        Err(no_bytes())
    }

    fn same_input(_: Recorded, _: &[u8], _: &T) -> Result<bool, StoreFault> {
        Err(no_bytes())
    }
}
