//! One write transaction.

use alloc::{boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use std::{collections::HashMap, time::Instant};

use ::redb::{ReadableTable, Table};

use super::{
    super::{Access, StoreError, StoreErrorKind},
    error::{busy, fenced},
    file::{NOBODY, Record, SlotKey},
    holder::{Holder, Life},
    session::{Discard, Hold, Job, Load, Open, OwnedKey, Put, RedbSession},
};
use crate::slot::SlotKind;

/// Which runs the sessions of this store hold.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) by_run: HashMap<Arc<str>, u64>,
    /// The highest token given out, so that no two sessions of this store ever go by the same.
    pub(super) last: u64,
}

/// One write transaction. `Err` is a failure underneath, which ends the transaction; what is refused is a job's result.
pub(super) struct Batch<'t> {
    pub(super) runs: Table<'t, &'static str, Record<'static>>,
    pub(super) slots: Table<'t, SlotKey<'static>, &'static [u8]>,
    pub(super) holder: &'t mut Holder,
    /// When the batch began.
    pub(super) now: Instant,
    pub(super) claims: &'t mut Claims,
    pub(super) changed: bool,
}

impl Batch<'_> {
    pub(super) fn apply(&mut self, job: &mut Job) -> Result<(), ::redb::Error> {
        match job {
            // Nobody waits for it any more.
            Job::Open(asked) if asked.answer.is_closed() => asked.result = None,
            Job::Open(asked) => asked.result = Some(self.open(&asked.work)?),
            Job::Put(asked) => asked.result = Some(self.put(&asked.work)?),
            Job::Discard(asked) => asked.result = Some(self.discard(&asked.work)?),
            Job::Load(asked) => asked.result = Some(load(&self.runs, &self.slots, self.holder.id, &asked.work)?),
            Job::Forget(asked) => asked.result = Some(self.forget(&asked.work.run)?),
            Job::Release(hold) => self.release(hold)?,
            Job::Lease(term) => term.result = Some(self.holder.set_lease(term.term)),
        }
        Ok(())
    }

    pub(super) fn open(&mut self, work: &Open) -> Result<Result<RedbSession, StoreError>, ::redb::Error> {
        let (holder, token, ledger) = self.record(&work.run)?.unwrap_or_default();
        if let Some(refusal) = self.refusal(&work.run, holder) {
            return Ok(Err(refusal));
        }
        let slots = self.slots_of(&work.run)?;
        if slots.is_empty() && work.access == Access::Existing {
            // What is left of a holder that died before its first checkpoint is not a run.
            self.remove_record(&work.run)?;
            return Ok(Err(StoreError::new(StoreErrorKind::UnknownRun)));
        }
        let token = self.claims.last.max(token).saturating_add(1);
        self.runs.insert(&*work.run, (self.holder.id, token, &*ledger))?;
        self.changed = true;
        self.claims.last = token;
        self.claims.by_run.insert(Arc::clone(&work.run), token);
        let mut session = RedbSession {
            jobs: work.jobs.clone(),
            hold: Hold { run: Arc::clone(&work.run), token },
            slots: BTreeMap::new(),
            ledger,
        };
        for (node, instance, kind) in slots {
            // A kind of a later version is kept, but there is nothing that this one could do with it.
            if let Some(kind) = SlotKind::from_u8(kind) {
                session.slots.entry(node.into()).or_default().insert((instance, kind));
            }
        }
        Ok(Ok(session))
    }

    pub(super) fn put(&mut self, work: &Put) -> Result<Result<(), StoreError>, ::redb::Error> {
        if !self.is_ours(&work.hold)? {
            return Ok(Err(fenced()));
        }
        if let Some((slot, bytes)) = &work.slot {
            self.slots.insert(key(&work.hold.run, slot), &**bytes)?;
        }
        if !work.ledger.is_empty() {
            self.runs.insert(&*work.hold.run, (self.holder.id, work.hold.token, &*work.ledger))?;
        }
        self.changed = true;
        Ok(Ok(()))
    }

    pub(super) fn discard(&mut self, work: &Discard) -> Result<Result<(), StoreError>, ::redb::Error> {
        if !self.is_ours(&work.hold)? {
            return Ok(Err(fenced()));
        }
        for doomed in &work.keys {
            self.changed |= self.slots.remove(key(&work.hold.run, doomed))?.is_some();
        }
        Ok(Ok(()))
    }

    pub(super) fn forget(&mut self, run: &str) -> Result<Result<bool, StoreError>, ::redb::Error> {
        let (holder, ..) = self.record(run)?.unwrap_or_default();
        if let Some(refusal) = self.refusal(run, holder) {
            return Ok(Err(refusal));
        }
        let slots = self.slots_of(run)?;
        for (node, instance, kind) in &slots {
            self.slots.remove((run, node.as_str(), *instance, *kind))?;
        }
        self.remove_record(run)?;
        self.changed |= !slots.is_empty();
        Ok(Ok(!slots.is_empty()))
    }

    pub(super) fn release(&mut self, hold: &Hold) -> Result<(), ::redb::Error> {
        if self.claims.by_run.get(&hold.run) == Some(&hold.token) {
            self.claims.by_run.remove(&hold.run);
        }
        if !self.is_ours(hold)? {
            return Ok(());
        }
        if self.has_slots(&hold.run)? {
            let (_, token, ledger) = self.record(&hold.run)?.unwrap_or_default();
            self.runs.insert(&*hold.run, (NOBODY, token, &*ledger))?;
            self.changed = true;
        } else {
            self.remove_record(&hold.run)?;
        }
        Ok(())
    }

    /// Why the run cannot be had: somebody alive has it, if `holder` is whom its record names.
    pub(super) fn refusal(&mut self, run: &str, holder: u128) -> Option<StoreError> {
        let life = if holder == self.holder.id {
            // Of our own sessions we know better than the file, which may have missed a release.
            Ok(if self.claims.by_run.contains_key(run) { Life::Alive(None) } else { Life::Over })
        } else if holder == NOBODY {
            Ok(Life::Over)
        } else {
            self.holder.life_of(holder, self.now)
        };
        match life {
            Ok(Life::Over) => None,
            Ok(Life::Alive(until)) => Some(busy(until)),
            Err(error) => Some(error),
        }
    }

    pub(super) fn is_ours(&self, hold: &Hold) -> Result<bool, ::redb::Error> {
        is_held(&self.runs, self.holder.id, hold)
    }

    pub(super) fn record(&self, run: &str) -> Result<Option<(u128, u64, Box<[u8]>)>, ::redb::Error> {
        Ok(self.runs.get(run)?.map(|record| {
            let (holder, token, ledger) = record.value();
            (holder, token, ledger.into())
        }))
    }

    pub(super) fn remove_record(&mut self, run: &str) -> Result<(), ::redb::Error> {
        self.changed |= self.runs.remove(run)?.is_some();
        Ok(())
    }

    pub(super) fn has_slots(&self, run: &str) -> Result<bool, ::redb::Error> {
        let mut from = self.slots.range(first_key(run)..)?;
        Ok(from.next().transpose()?.is_some_and(|(key, _)| key.value().0 == run))
    }

    pub(super) fn slots_of(&self, run: &str) -> Result<Vec<(String, u32, u8)>, ::redb::Error> {
        let mut found = Vec::new();
        for entry in self.slots.range(first_key(run)..)? {
            let (key, _) = entry?;
            let (of, node, instance, kind) = key.value();
            if of != run {
                break;
            }
            found.push((node.into(), instance, kind));
        }
        Ok(found)
    }
}

/// Whether the run's record names this holder and this token.
fn is_held(
    runs: &impl ReadableTable<&'static str, Record<'static>>,
    holder: u128,
    hold: &Hold,
) -> Result<bool, ::redb::Error> {
    let record = runs.get(&*hold.run)?;
    Ok(record.is_some_and(|record| {
        let (named, token, _) = record.value();
        (named, token) == (holder, hold.token)
    }))
}

/// A read concerns one slot; a failure underneath is the whole transaction's. Whoever lost the run is told so: what is
/// there by now is somebody else's, and does not go with what was read before.
pub(super) fn load(
    runs: &impl ReadableTable<&'static str, Record<'static>>,
    slots: &impl ReadableTable<SlotKey<'static>, &'static [u8]>,
    holder: u128,
    work: &Load,
) -> Result<Result<Vec<u8>, StoreError>, ::redb::Error> {
    if !is_held(runs, holder, &work.hold)? {
        return Ok(Err(fenced()));
    }
    let found = slots.get(key(&work.hold.run, &work.key))?;
    Ok(found.map(|bytes| bytes.value().to_vec()).ok_or(StoreError::new(StoreErrorKind::Missing)))
}

pub(super) fn key<'k>(run: &'k str, (node, instance, kind): &'k OwnedKey) -> SlotKey<'k> {
    (run, node, *instance, *kind as u8)
}

/// The least key that a run's slot can have.
pub(super) fn first_key(run: &str) -> SlotKey<'_> {
    (run, "", 0, 0)
}
