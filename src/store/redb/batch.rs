//! One write transaction.

use alloc::{boxed::Box, collections::BTreeSet, format, string::String, sync::Arc, vec::Vec};
use std::time::Instant;

use ::redb::{ReadableTable, Table, WriteTransaction};
use uuid::Uuid;

use super::{
    super::{
        Access, StoreError,
        error::{busy, fenced, missing, unknown},
        inspect::Outlines,
        owned::Present,
    },
    claims::{Claim, Claims},
    error::denied,
    file::{JOURNALS, NOBODY, PIPELINES, RUNS, Record, SLOTS, SlotKey, TIMES, first_key, slot_key, unix_millis},
    holder::{Holder, Life},
    journal::{self, Line},
    session::{Discard, Hold, Job, Load, Open, Put, RedbSession},
};
use crate::slot::SlotKind;

/// One write transaction. `Err` is a failure underneath, which ends the transaction; what is refused is a job's result.
pub(super) struct Batch<'t> {
    write: &'t WriteTransaction,
    /// Opened by whoever needs it: a checkpoint does not.
    times: Option<Table<'t, &'static str, (u64, u64)>>,
    /// What the file is to be told of pipelines with the next run that is opened; whether that was done.
    outlines: &'t Outlines,
    pub(super) introduced: bool,
    pub(super) runs: Table<'t, &'static str, Record<'static>>,
    pub(super) slots: Table<'t, SlotKey<'static>, &'static [u8]>,
    pub(super) journals: Table<'t, u128, u64>,
    pub(super) holder: &'t mut Holder,
    /// When the batch began.
    pub(super) now: Instant,
    pub(super) claims: &'t mut Claims,
    pub(super) changed: bool,
    /// Whose journals have been read in this transaction. Once is enough: what they write after that finds the fence
    /// raised, and waits for the tables.
    taken_over: BTreeSet<u128>,
    /// Holders that ended, of whom nothing is needed any more once this is committed.
    pub(super) ended: Vec<u128>,
}

impl<'t> Batch<'t> {
    pub(super) fn new(
        write: &'t WriteTransaction,
        holder: &'t mut Holder,
        claims: &'t mut Claims,
        outlines: &'t Outlines,
        now: Instant,
    ) -> Result<Self, ::redb::Error> {
        Ok(Self {
            write,
            times: None,
            outlines,
            introduced: false,
            runs: write.open_table(RUNS)?,
            slots: write.open_table(SLOTS)?,
            journals: write.open_table(JOURNALS)?,
            holder,
            now,
            claims,
            changed: false,
            taken_over: BTreeSet::new(),
            ended: Vec::new(),
        })
    }

    pub(super) fn apply(&mut self, job: &mut Job) -> Result<(), ::redb::Error> {
        match job {
            // Nobody waits for it any more.
            Job::Open(asked) if asked.answer.is_closed() => asked.result = None,
            Job::Open(asked) => asked.result = Some(self.open(&asked.work)?),
            Job::Put(asked) => asked.result = Some(self.put(&asked.work)?),
            Job::Discard(asked) => asked.result = Some(self.discard(&asked.work)?),
            Job::Load(asked) => asked.result = Some(load(&self.runs, &self.slots, self.holder, &asked.work)?),
            Job::Forget(asked) => asked.result = Some(self.forget(&asked.work.run)?),
            Job::Release(hold) => self.release(hold)?,
            // It is not for a transaction of its own.
            Job::Introduce(..) => {}
            Job::Lease(term) => term.result = Some(self.holder.set_lease(term.term)),
        }
        Ok(())
    }

    pub(super) fn open(&mut self, work: &Open) -> Result<Result<RedbSession, StoreError>, ::redb::Error> {
        if let Err(refusal) = self.make_free(&work.run)? {
            return Ok(Err(refusal));
        }
        let record = self.record(&work.run)?;
        let is_new = record.is_none();
        let (_, token, ledger) = record.unwrap_or_default();
        let slots = self.slots_of(&work.run)?;
        if slots.is_empty() && work.access == Access::Existing {
            // What is left of a holder that died before its first checkpoint is not a run.
            self.remove_record(&work.run)?;
            return Ok(Err(unknown()));
        }
        let token = self.claims.last.max(token).saturating_add(1);
        self.runs.insert(&*work.run, (self.holder.id, token, &*ledger))?;
        if is_new {
            self.times()?.insert(&*work.run, (unix_millis(), 0))?;
        }
        self.introduce()?;
        self.changed = true;
        self.claims.last = token;
        self.claims.by_run.insert(Arc::clone(&work.run), Claim { token, lost: false });
        let mut session = RedbSession {
            jobs: work.jobs.clone(),
            hold: Hold { run: Arc::clone(&work.run), token },
            present: Present::default(),
            ledger,
        };
        for (node, instance, kind) in slots {
            // A kind of a later version is kept, but there is nothing that this one could do with it.
            if let Some(kind) = SlotKind::from_u8(kind) {
                session.present.insert((node.into(), instance, kind), ());
            }
        }
        Ok(Ok(session))
    }

    pub(super) fn put(&mut self, work: &Put) -> Result<Result<(), StoreError>, ::redb::Error> {
        let saved = self.save(self.holder.id, &Line::of(work))?;
        Ok(if saved { Ok(()) } else { Err(fenced()) })
    }

    /// Writes one checkpoint of a holder's, if the run is still its own.
    fn save(&mut self, holder: u128, line: &Line<'_>) -> Result<bool, ::redb::Error> {
        if !is_held(&self.runs, line.run, holder, line.token)? {
            return Ok(false);
        }
        if let Some((node, instance, kind, bytes)) = line.slot {
            self.slots.insert((line.run, node, instance, kind), bytes)?;
        }
        if !line.ledger.is_empty() {
            self.runs.insert(line.run, (holder, line.token, line.ledger))?;
        }
        self.changed = true;
        Ok(true)
    }

    /// Takes over what this store saved in its journal, before anything that comes after it; where the fence was raised,
    /// finds out which of its runs are still its own.
    pub(super) fn catch_up(&mut self, lines: &[(u64, Put)], raised: bool) -> Result<(), ::redb::Error> {
        // A transaction that failed may be there all the same, with what came after the lines.
        let noted = self.journals.get(self.holder.id)?.map_or(0, |noted| noted.value());
        for (_, line) in lines.iter().filter(|(number, _)| *number > noted) {
            self.save(self.holder.id, &Line::of(line))?;
        }
        if let Some(last) = self.holder.journal.to_note() {
            self.journals.insert(self.holder.id, last)?;
            self.changed = true;
        }
        if raised {
            for (run, claim) in &mut self.claims.by_run {
                claim.lost |= !is_held(&self.runs, run, self.holder.id, claim.token)?;
            }
        }
        Ok(())
    }

    /// Takes over what is in the journal of a holder that ended or stands still.
    fn take_over(&mut self, holder: u128, life: Life) -> Result<Result<(), StoreError>, ::redb::Error> {
        if self.taken_over.contains(&holder) {
            return Ok(Ok(()));
        }
        let bytes = match self.holder.journal_of(holder) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let noted = self.journals.get(holder)?.map_or(0, |noted| noted.value());
        let mut last = noted;
        for (number, body) in journal::frames(&bytes, Uuid::from_u128(holder)).filter(|(number, _)| *number > noted) {
            let line = postcard::from_bytes(body).map_err(|error| {
                ::redb::Error::Corrupted(format!("a journal has a line that cannot be read: {error}"))
            })?;
            self.save(holder, &line)?;
            last = number;
        }
        if last != noted {
            self.journals.insert(holder, last)?;
            self.changed = true;
        }
        self.taken_over.insert(holder);
        if life == Life::Over {
            self.ended.push(holder);
        }
        Ok(Ok(()))
    }

    /// Finds those who ended without a run in hand, or with runs that nobody asked for, and clears up after them.
    pub(super) fn sweep(&mut self) -> Result<Result<(), StoreError>, ::redb::Error> {
        let others = match self.holder.others() {
            Ok(others) => others,
            Err(error) => return Ok(Err(denied(&self.holder.folder, &error))),
        };
        for holder in &others {
            let over = match self.holder.life_of(*holder, self.now) {
                Ok(life) => life == Life::Over,
                Err(error) => return Ok(Err(error)),
            };
            if over && let Err(error) = self.take_over(*holder, Life::Over)? {
                return Ok(Err(error));
            }
        }
        let own = self.holder.id;
        let needed = |holder: u128| holder == own || others.contains(&holder);
        let mut needless = false;
        for noted in self.journals.iter()? {
            needless |= !needed(noted?.0.value());
        }
        // A journal that came back after a power cut would be taken over a second time if the note of it were gone.
        if needless && self.holder.sync_names() {
            self.journals.retain(|holder, _| needed(holder))?;
            self.changed = true;
        }
        Ok(Ok(()))
    }

    pub(super) fn discard(&mut self, work: &Discard) -> Result<Result<(), StoreError>, ::redb::Error> {
        if !self.is_ours(&work.hold)? {
            return Ok(Err(fenced()));
        }
        for doomed in &work.keys {
            self.changed |= self.slots.remove(slot_key(&work.hold.run, doomed))?.is_some();
        }
        Ok(Ok(()))
    }

    pub(super) fn forget(&mut self, run: &str) -> Result<Result<bool, StoreError>, ::redb::Error> {
        if let Err(refusal) = self.make_free(run)? {
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
        if self.claims.by_run.get(&hold.run).is_some_and(|claim| claim.token == hold.token) {
            self.claims.by_run.remove(&hold.run);
        }
        if !self.is_ours(hold)? {
            return Ok(());
        }
        if self.has_slots(&hold.run)? {
            let (_, token, ledger) = self.record(&hold.run)?.unwrap_or_default();
            self.runs.insert(&*hold.run, (NOBODY, token, &*ledger))?;
            let times = self.times()?;
            let begun = times.get(&*hold.run)?.map_or(0, |times| times.value().0);
            times.insert(&*hold.run, (begun, unix_millis()))?;
            self.changed = true;
        } else {
            self.remove_record(&hold.run)?;
        }
        Ok(())
    }

    /// Sees to it that the run can be had, with all that its last holder saved; else says why it cannot.
    fn make_free(&mut self, run: &str) -> Result<Result<(), StoreError>, ::redb::Error> {
        let (holder, ..) = self.record(run)?.unwrap_or_default();
        if holder == self.holder.id {
            // Of our own sessions we know better than the file, which may have missed a release.
            return Ok(if self.claims.by_run.contains_key(run) { Err(busy(None)) } else { Ok(()) });
        }
        if holder == NOBODY {
            return Ok(Ok(()));
        }
        match self.holder.life_of(holder, self.now) {
            Ok(Life::Alive(until)) => Ok(Err(busy(until))),
            Ok(life) => self.take_over(holder, life),
            Err(error) => Ok(Err(error)),
        }
    }

    pub(super) fn is_ours(&self, hold: &Hold) -> Result<bool, ::redb::Error> {
        is_held(&self.runs, &hold.run, self.holder.id, hold.token)
    }

    pub(super) fn record(&self, run: &str) -> Result<Option<(u128, u64, Box<[u8]>)>, ::redb::Error> {
        Ok(self.runs.get(run)?.map(|record| {
            let (holder, token, ledger) = record.value();
            (holder, token, ledger.into())
        }))
    }

    pub(super) fn remove_record(&mut self, run: &str) -> Result<(), ::redb::Error> {
        if self.runs.remove(run)?.is_some() {
            self.times()?.remove(run)?;
            self.changed = true;
        }
        Ok(())
    }

    fn times(&mut self) -> Result<&mut Table<'t, &'static str, (u64, u64)>, ::redb::Error> {
        let times = match self.times.take() {
            Some(times) => times,
            None => self.write.open_table(TIMES)?,
        };
        Ok(self.times.insert(times))
    }

    /// Keeps what this store was told of pipelines and the file does not know; once it is committed, never again.
    fn introduce(&mut self) -> Result<(), ::redb::Error> {
        if self.introduced || self.outlines.is_empty() {
            return Ok(());
        }
        let mut pipelines = self.write.open_table(PIPELINES)?;
        for (shape, outline) in self.outlines {
            if pipelines.get(shape)?.is_none_or(|known| known.value() != outline) {
                pipelines.insert(shape, &**outline)?;
            }
        }
        self.introduced = true;
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
    run: &str,
    holder: u128,
    token: u64,
) -> Result<bool, ::redb::Error> {
    let record = runs.get(run)?;
    Ok(record.is_some_and(|record| {
        let (named, latest, _) = record.value();
        (named, latest) == (holder, token)
    }))
}

/// A read concerns one slot; a failure underneath is the whole transaction's. Whoever lost the run is told so: what is
/// there by now is somebody else's, and does not go with what was read before.
pub(super) fn load(
    runs: &impl ReadableTable<&'static str, Record<'static>>,
    slots: &impl ReadableTable<SlotKey<'static>, &'static [u8]>,
    holder: &Holder,
    work: &Load,
) -> Result<Result<Vec<u8>, StoreError>, ::redb::Error> {
    if !is_held(runs, &work.hold.run, holder.id, work.hold.token)? {
        return Ok(Err(fenced()));
    }
    let in_journal = holder.journal.lines.iter().rev().find_map(|(_, line)| {
        let (key, bytes) = line.slot.as_ref()?;
        (line.hold.run == work.hold.run && line.hold.token == work.hold.token && *key == work.key).then_some(bytes)
    });
    if let Some(bytes) = in_journal {
        return Ok(Ok(bytes.clone()));
    }
    let found = slots.get(slot_key(&work.hold.run, &work.key))?;
    Ok(found.map(|bytes| bytes.value().to_vec()).ok_or_else(missing))
}
