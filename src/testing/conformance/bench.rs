//! What the checks ask a store with.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};
use std::time::Instant;

use super::subject::Limits;
use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
    store::{Access, Begun, Session, Store, StoreError, StoreErrorKind, raw::Raw},
};

/// Nothing, or what the store did instead.
pub(super) type Held = Result<(), String>;

/// Says what the store did where it is not so.
macro_rules! hold {
    ($so:expr, $($did:tt)+) => {
        if !$so {
            return Err(alloc::format!($($did)+));
        }
    };
}
pub(super) use hold;

/// How many polls a future is given at most before it is dropped half-way.
pub(super) const POLLS: usize = 8;

/// A store, and what it promises.
pub(super) struct Bench<'s, S> {
    pub(super) store: &'s S,
    pub(super) limits: Limits,
}

/// The output of a node that stands at `index`, from 1.
pub(super) const fn output(node: &'static str, index: u16) -> Slot<'static> {
    Slot { node, index, instance: 0, kind: SlotKind::Output }
}

/// What most checks ask for.
pub(super) const R: RunId = RunId::from_u128(1);
pub(super) const A: Slot<'static> = output("a", 1);
pub(super) const B: Slot<'static> = output("b", 2);
pub(super) const C: Slot<'static> = output("c", 3);

/// Waits for an operation.
pub(super) async fn ended<T>(begun: Begun<T, impl Future<Output = T>>) -> T {
    match begun {
        Begun::Done(done) => done,
        Begun::Pending(future) => future.await,
    }
}

/// An operation that was polled so often, if it has not ended by then.
pub(super) async fn begun<T, F: Future<Output = T>>(begun: Begun<T, F>, polls: usize) -> Begun<T, Pin<Box<F>>> {
    let mut future = match begun {
        Begun::Done(done) => return Begun::Done(done),
        Begun::Pending(future) => Box::pin(future),
    };
    for _ in 0..polls {
        if let Poll::Ready(done) = poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await {
            return Begun::Done(done);
        }
        // Whatever the store has at work in the background gets its turn.
        tokio::task::yield_now().await;
    }
    Begun::Pending(future)
}

/// Polls an operation so often, and drops it if it has not ended by then.
pub(super) async fn dropped<T>(operation: Begun<T, impl Future<Output = T>>, polls: usize) -> Option<T> {
    match begun(operation, polls).await {
        Begun::Done(done) => Some(done),
        Begun::Pending(_) => None,
    }
}

pub(super) fn kind_is<T>(result: &Result<T, StoreError>, kind: StoreErrorKind) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == kind)
}

/// Tells that it was not `expected` that the store said.
pub(super) fn said<T>(what: &str, result: Result<T, StoreError>, expected: &str) -> String {
    match result {
        Ok(_) => format!("{what} succeeded, where it is {expected}"),
        Err(error) => format!("{what} failed with {:?} ({error}), where it is {expected}", error.kind()),
    }
}

pub(super) fn is_busy<T>(result: &Result<T, StoreError>) -> bool {
    result.as_ref().is_err_and(|error| matches!(error.kind(), StoreErrorKind::Busy { .. }))
}

pub(super) async fn put(session: &mut impl Session, slot: Slot<'static>, bytes: &[u8], ledger: &[u8]) -> Held {
    ended(session.put(slot, Raw(bytes), ledger))
        .await
        .map_err(|error| format!("`put` of {} with {} bytes failed: {error}", name(slot), bytes.len()))
}

pub(super) async fn load<S: Session>(session: &mut S, slot: Slot<'_>) -> Result<Vec<u8>, StoreError> {
    match session.load(slot, <[u8]>::to_vec) {
        Begun::Done(read) => read,
        Begun::Pending(reading) => reading.await.map(|bytes| bytes.as_ref().to_vec()),
    }
}

/// That a slot has these bytes.
pub(super) async fn sees(session: &mut impl Session, slot: Slot<'_>, expected: &[u8]) -> Held {
    hold!(session.holds(slot), "`holds` denies {}, which was saved", name(slot));
    let read = load(session, slot).await.map_err(|error| format!("`load` of {} failed: {error}", name(slot)))?;
    hold!(read == expected, "{} is {}, and {} was saved", name(slot), bytes(&read), bytes(expected));
    Ok(())
}

/// A slot as a message has it.
pub(super) fn name(slot: Slot<'_>) -> String {
    format!("the {:?} of node {:?}, instance {}", slot.kind, slot.node, slot.instance)
}

/// Bytes as a message has them.
pub(super) fn bytes(bytes: &[u8]) -> String {
    match bytes.get(..24) {
        Some(begin) => format!("{} bytes that begin with \"{}\"", bytes.len(), begin.escape_ascii()),
        None => format!("\"{}\"", bytes.escape_ascii()),
    }
}

impl<S: Store> Bench<'_, S> {
    pub(super) async fn ask(&self, run: &RunId, access: Access) -> Result<S::Session<'_>, StoreError> {
        ended(self.store.open(run, access)).await
    }

    /// Takes hold of a run that nobody holds any more.
    pub(super) async fn hold(&self, run: &RunId, access: Access) -> Result<S::Session<'_>, String> {
        self.free(|| self.ask(run, access)).await.map_err(|error| format!("`open` of the run `{run}` failed: {error}"))
    }

    pub(super) async fn create(&self, run: &RunId) -> Result<S::Session<'_>, String> {
        self.hold(run, Access::Create).await
    }

    pub(super) async fn existing(&self, run: &RunId) -> Result<S::Session<'_>, String> {
        self.hold(run, Access::Existing).await
    }

    /// Forgets a run that nobody holds any more; whether there was one.
    pub(super) async fn forget(&self, run: &RunId) -> Result<bool, String> {
        let forget = || ended(self.store.forget(run));
        self.free(forget).await.map_err(|error| format!("`forget` of the run `{run}` failed: {error}"))
    }

    /// What it is told once the run is not busy any more, or in the end.
    async fn free<T, F: Future<Output = Result<T, StoreError>>>(&self, ask: impl Fn() -> F) -> Result<T, StoreError> {
        let begun = Instant::now();
        loop {
            let told = ask().await;
            if !is_busy(&told) || begun.elapsed() >= self.limits.patience {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A run that has these slots and this ledger, and is held by nobody.
    pub(super) async fn kept(&self, run: &RunId, slots: &[(Slot<'static>, &[u8])], ledger: &[u8]) -> Held {
        let mut session = self.create(run).await?;
        for (slot, bytes) in slots {
            put(&mut session, *slot, bytes, ledger).await?;
        }
        Ok(())
    }

    /// How many slots a run may have here, at most `wanted`.
    pub(super) fn slots(&self, wanted: usize) -> usize {
        self.store.slots_per_run().unwrap_or(wanted).min(wanted)
    }

    /// How many runs there may be here, at most `wanted`.
    pub(super) fn runs(&self, wanted: usize) -> usize {
        self.limits.runs.unwrap_or(wanted).min(wanted)
    }
}

/// That the next session finds this ledger.
pub(super) async fn finds<S: Store>(bench: &Bench<'_, S>, expected: &[u8], after: &str) -> Held {
    let session = bench.existing(&R).await?;
    let found = session.ledger();
    hold!(found == expected, "after {after} the stored ledger is {}, not {}", bytes(found), bytes(expected));
    Ok(())
}
