//! A store between the run and the one under test, in which things go wrong as it is written.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::{fmt, future::Future};

use super::{
    ask::{Answer, Asked, Party},
    model::{Change, Key, key},
    schedule::{Fault, Op},
};
use crate::{
    run::RunId,
    slot::Slot,
    store::{Access, Begun, Encode, Session, Store, StoreError, StoreErrorKind, raw::Raw},
};

/// A store between the run and the one under test, in which things go wrong as it is written: what
/// [`Life::store`](super::Life::store) lends.
pub struct Tortured<S> {
    pub(super) inner: Arc<S>,
    pub(super) party: Party,
}

impl<S> fmt::Debug for Tortured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tortured").finish_non_exhaustive()
    }
}

#[diagnostic::do_not_recommend]
impl<S: Store> Store for Tortured<S> {
    type Session<'a>
        = TorturedSession<'a, S>
    where
        S: 'a;
    type Opening<'a>
        = Answer<TorturedSession<'a, S>>
    where
        S: 'a;
    type Forgetting<'a>
        = Answer<bool>
    where
        S: 'a;

    fn slots_per_run(&self) -> Option<usize> {
        self.inner.slots_per_run()
    }

    fn introduce(&self, shape: u64, outline: impl fmt::Display) {
        self.inner.introduce(shape, outline);
    }

    fn open<'a>(&'a self, run: &RunId, access: Access) -> Asked<TorturedSession<'a, S>> {
        let opened = |session: S::Session<'a>| {
            let mut slots = BTreeSet::new();
            session.each_slot(|slot| {
                slots.insert(key(slot));
            });
            let ledger = session.ledger().to_vec();
            self.party.script.inside().opened(self.party.life, slots.iter().cloned().collect(), &ledger);
            TorturedSession { inner: Some(session), party: self.party.clone(), slots, ledger }
        };
        let told = |told: Result<S::Session<'a>, StoreError>| {
            if told.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::UnknownRun) {
                self.party.script.inside().unknown();
            }
            told.map(opened)
        };
        let begin = |_| match self.inner.open(run, access) {
            Begun::Done(done) => Begun::Done(told(done)),
            Begun::Pending(future) => Begun::Pending(async move { told(future.await) }),
        };
        self.party.ask(Op::Open, None, |_, _| Change::Nothing, begin, Change::Nothing)
    }

    fn forget(&self, run: &RunId) -> Asked<bool> {
        // Not of the run that is tortured, whose life does not forget it.
        let _context = self.party.background.enter();
        self.party.wait(self.inner.forget(run)).map_or(Begun::Pending(Answer::NEVER), Begun::Done)
    }
}

/// Exclusive access to a run of the store under test.
pub struct TorturedSession<'a, S: Store + 'a> {
    /// Not there any more once the run was taken over by another life.
    inner: Option<S::Session<'a>>,
    party: Party,
    slots: BTreeSet<Key>,
    /// As opening found it.
    ledger: Vec<u8>,
}

impl<S: Store> fmt::Debug for TorturedSession<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorturedSession").field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl<S: Store> Drop for TorturedSession<'_, S> {
    fn drop(&mut self) {
        let _context = self.party.background.enter();
        if self.inner.take().is_some() {
            self.party.script.inside().closed(self.party.life);
        }
    }
}

impl<'a, S: Store> TorturedSession<'a, S> {
    fn write<F: Future<Output = Result<(), StoreError>>>(
        &mut self,
        op: Op,
        change: impl Fn(Option<Fault>) -> Change,
        mut begin: impl FnMut(&mut S::Session<'a>, Option<Fault>) -> Begun<Result<(), StoreError>, F>,
    ) -> Asked<()> {
        let Self { inner, party, .. } = self;
        let Some(session) = inner else {
            return Begun::Done(Err(StoreError::new(StoreErrorKind::Fenced)));
        };
        let mut taken_over = false;
        let asked = party.ask(
            op,
            Some(()),
            |(), fault| change(fault),
            |fault| {
                taken_over |= fault == Some(Fault::Takeover);
                begin(session, fault)
            },
            change(None),
        );
        if taken_over {
            let _context = party.background.enter();
            self.inner = None;
            party.script.inside().take_over(party.life);
        }
        asked
    }
}

impl<'a, S: Store> Session for TorturedSession<'a, S> {
    type Writing = Answer<()>;
    type Reading = Answer<Vec<u8>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.slots.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.slots.contains(&key(slot))
    }

    fn each_slot(&self, mut visit: impl FnMut(Slot<'_>)) {
        for (node, instance, kind) in &self.slots {
            visit(Slot { node, index: 0, instance: *instance, kind: *kind });
        }
    }

    fn put(&mut self, slot: Slot<'static>, value: impl Encode, ledger: &[u8]) -> Asked<()> {
        let bytes = value.encoded_len().and_then(|len| {
            let mut bytes = alloc::vec![0; len];
            let len = value.encode(&mut bytes)?;
            bytes.truncate(len);
            Ok(bytes)
        });
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => return Begun::Done(Err(error.into())),
        };
        self.slots.insert(key(slot));
        let written = |fault| {
            let mut bytes = bytes.clone();
            let half = bytes.len() / 2;
            match fault {
                Some(Fault::Short) => bytes.truncate(half),
                Some(Fault::Flip) => bytes.iter_mut().skip(half).take(1).for_each(|byte| *byte ^= 0x55),
                _ => {}
            }
            bytes
        };
        let change = |fault| {
            let damaged = matches!(fault, Some(Fault::Short | Fault::Flip));
            Change::Put { slot: Some((key(slot), written(fault), damaged)), ledger: ledger.to_vec() }
        };
        self.write(Op::Put, change, |session, fault| session.put(slot, Raw(&written(fault)), ledger))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Asked<()> {
        let change = |_| Change::Put { slot: None, ledger: ledger.to_vec() };
        self.write(Op::PutLedger, change, |session, _| session.put_ledger(ledger))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Answer<Vec<u8>>> {
        let Self { inner, party, .. } = self;
        let Some(session) = inner else {
            return Begun::Done(Err(StoreError::new(StoreErrorKind::Fenced)));
        };
        let begin = |_| match session.load(slot, <[u8]>::to_vec) {
            Begun::Done(read) => Begun::Done(read),
            Begun::Pending(reading) => Begun::Pending(async move { Ok(reading.await?.as_ref().to_vec()) }),
        };
        let loaded = |bytes: &Vec<u8>, _| {
            party.script.inside().loaded(party.life, &key(slot), bytes);
            Change::Nothing
        };
        match party.ask(Op::Load, None, loaded, begin, Change::Nothing) {
            Begun::Done(bytes) => Begun::Done(bytes.map(|bytes| read(&bytes))),
            Begun::Pending(answer) => Begun::Pending(answer),
        }
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, mut doomed: impl FnMut(Slot<'_>) -> bool) -> Asked<()> {
        let mut keys = Vec::new();
        self.each_slot(|slot| {
            if doomed(slot) {
                keys.push(key(slot));
            }
        });
        self.slots.retain(|key| !keys.contains(key));
        let change = |_| Change::Discard(keys.clone());
        self.write(Op::Discard, change, |session, _| session.discard(|slot| keys.contains(&key(slot))))
    }

    fn finished(&mut self) {
        if let (Some(session), false) = (&mut self.inner, self.party.fenced()) {
            session.finished();
        }
    }
}
