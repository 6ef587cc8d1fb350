//! What is known of a run while it is tortured: what goes wrong next, what the store has to have, and what each life did.

#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::mem::discriminant;

use spin::mutex::{SpinMutex, SpinMutexGuard};

use super::{
    model::{Change, Key, Model, Sum, names},
    promise::Promise,
    schedule::{At, Fault, Op, Schedule},
};
use crate::{report::Spent, slot::SlotKind, store::StoreErrorKind};

/// One execution of the run, from its start or its resume to its end or its death.
#[derive(Debug, Default)]
pub(super) struct LifeState {
    pub(super) dead: bool,
    /// Has been told of a write that was not made, and dies with the next operation.
    doomed: bool,
    /// Has lost the run to another life.
    pub(super) fenced: bool,
    /// What the store may say to it.
    may: Vec<StoreErrorKind>,
    /// A fault has touched the clock.
    jumped: bool,
    /// The damaged checkpoints that it has read.
    damaged: BTreeSet<Key>,
    pub(super) starts: BTreeMap<(String, u32), u32>,
    under_way: i64,
    told: Sum,
    base: Sum,
    holds: bool,
}

#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) schedule: Schedule,
    fired: BTreeSet<usize>,
    pub(super) ops: Vec<Op>,
    pub(super) polls: usize,
    pub(super) lives: BTreeMap<usize, LifeState>,
    pub(super) model: Model,
    /// What a write that was dropped half-way may have left.
    unsure: Option<Change>,
    pub(super) wrong: Option<(Promise, String)>,
    /// The lives that are to begin beside the one that is there.
    pub(super) rivals: Vec<usize>,
    pub(super) attempts: u32,
}

/// What an operation is to do.
pub(super) enum Verdict {
    /// Nothing any more: its life is over.
    Dead,
    Do(Option<Fault>),
}

/// How a life ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    /// The output, or why there is none.
    pub(super) output: Result<String, Halt>,
    pub(super) spent: Sum,
}

/// Why a run halted.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    pub(super) why: HaltKind,
    pub(super) text: String,
}

#[derive(Debug, Clone)]
pub(super) enum HaltKind {
    Store(StoreErrorKind),
    Checkpoint(Option<&'static str>),
    /// Time or money, or what a node said.
    Limit,
    Node,
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Script(SpinMutex<Inside>);

impl Script {
    pub(super) fn new(schedule: &Schedule, attempts: u32) -> Self {
        Self(SpinMutex::new(Inside { schedule: schedule.clone(), attempts, ..Inside::default() }))
    }

    pub(super) fn inside(&self) -> SpinMutexGuard<'_, Inside> {
        self.0.lock()
    }
}

impl Inside {
    pub(super) fn life(&mut self, life: usize) -> &mut LifeState {
        self.lives.entry(life).or_default()
    }

    /// Notes the first thing that is wrong.
    pub(super) fn wrong(&mut self, promise: Promise, did: String) {
        self.wrong.get_or_insert((promise, did));
    }

    fn fire(&mut self, at: At) -> Option<Fault> {
        let (number, fault) = self
            .schedule
            .faults
            .iter()
            .enumerate()
            .find(|(number, (place, _))| *place == at && !self.fired.contains(number))
            .map(|(number, (_, fault))| (number, *fault))?;
        self.fired.insert(number);
        Some(fault)
    }

    pub(super) fn has_fired(&self) -> bool {
        !self.fired.is_empty()
    }

    /// Counts a poll, and says what goes wrong after it.
    pub(super) fn polled(&mut self, life: usize) -> Option<Fault> {
        self.polls += 1;
        let fault = self.fire(At::Poll(self.polls))?;
        match fault {
            Fault::Kill => self.life(life).dead = true,
            Fault::Jump => self.lives.values_mut().for_each(|life| life.jumped = true),
            Fault::Rival => self.rival(),
            _ => {}
        }
        Some(fault)
    }

    /// Lets another life begin, which may be told that the run is held, as those that are there may be.
    fn rival(&mut self) {
        let busy = StoreErrorKind::Busy { until: None };
        self.lives.values_mut().for_each(|life| life.may.push(busy));
        let next = self.lives.len();
        self.life(next).may.push(busy);
        self.rivals.push(next);
    }

    /// Counts an operation, and says what goes wrong with it.
    pub(super) fn asked(&mut self, life: usize, op: Op) -> Verdict {
        if self.life(life).doomed {
            self.life(life).dead = true;
        }
        if self.life(life).dead {
            return Verdict::Dead;
        }
        self.ops.push(op);
        let fault = self.fire(At::Op(self.ops.len())).filter(|fault| op.faults().contains(fault));
        let state = self.life(life);
        match fault {
            Some(Fault::DieBefore | Fault::DieAfter | Fault::Torn | Fault::TornLater | Fault::Short | Fault::Flip) => {
                state.dead = true
            }
            Some(Fault::Lose) => state.doomed = true,
            Some(Fault::Unavailable | Fault::Unsure) => state.may.push(StoreErrorKind::Unavailable),
            Some(Fault::Busy) => state.may.push(StoreErrorKind::Busy { until: None }),
            Some(Fault::Fenced) => state.may.push(StoreErrorKind::Fenced),
            _ => {}
        }
        Verdict::Do(fault)
    }

    /// The life lost its run: somebody else may have it.
    pub(super) fn take_over(&mut self, life: usize) {
        let state = self.life(life);
        (state.fenced, state.holds) = (true, false);
        state.may.push(StoreErrorKind::Fenced);
        self.rival();
    }

    /// The store has made this change.
    pub(super) fn made(&mut self, life: usize, change: &Change) {
        self.model.apply(change);
        if !matches!(change, Change::Put { .. }) {
            return;
        }
        let stored = Sum::stored(&self.model.ledger);
        let state = self.life(life);
        let due = state.base.plus(state.told);
        // Attempts under way may have spent more than what they have told.
        let right = stored.is_some_and(|stored| stored == due || state.under_way > 0 && stored.covers(due));
        if !right {
            let stored = stored.map_or_else(|| "nothing that can be read".to_string(), |sum| sum.to_string());
            self.wrong(
                Promise::Spend,
                format!("with a checkpoint it stored that {stored} were spent, and it was {due}"),
            );
        }
    }

    /// The store may have made this change, or not.
    pub(super) fn unsure(&mut self, change: Change) {
        // An opening that is dropped changes nothing, and tells nothing of the write before it.
        if !matches!(change, Change::Nothing) {
            self.unsure = Some(change);
        }
    }

    /// A life has the run, with these slots and this ledger.
    pub(super) fn opened(&mut self, life: usize, mut slots: Vec<Key>, ledger: &[u8]) {
        if self.is_held() {
            self.wrong(Promise::OneHolder, "`open` gave a run to a second holder".to_string());
        }
        slots.sort();
        if let Some(change) = self.unsure.take() {
            let mut changed = self.model.clone();
            changed.apply(&change);
            if changed.is(&slots, ledger) {
                self.model = changed;
            }
        }
        if !self.model.is(&slots, ledger) {
            let did = if self.model.slots.keys().eq(&slots) {
                format!("`open` finds the ledger \"{}\", not the one that was saved", ledger.escape_ascii())
            } else {
                format!("`open` finds [{}], and saved was [{}]", names(&slots), names(self.model.slots.keys()))
            };
            self.wrong(Promise::StoreKeeps, did);
        }
        let state = self.life(life);
        state.holds = true;
        state.base = Sum::stored(ledger).unwrap_or_default();
    }

    /// Whether a life has the run.
    pub(super) fn is_held(&self) -> bool {
        self.lives.values().any(|life| life.holds)
    }

    /// The store says that it has no such run.
    pub(super) fn unknown(&mut self) {
        if self.unsure.is_none() && !self.model.slots.is_empty() {
            let did = format!("`open` knows of no such run, and saved was [{}]", names(self.model.slots.keys()));
            self.wrong(Promise::StoreKeeps, did);
        }
    }

    pub(super) fn closed(&mut self, life: usize) {
        self.life(life).holds = false;
    }

    /// A life has read a slot.
    pub(super) fn loaded(&mut self, life: usize, key: &Key, bytes: &[u8]) {
        if self.model.slots.get(key).is_some_and(|saved| saved != bytes) {
            let node = &key.0;
            self.wrong(Promise::StoreKeeps, format!("`load` of `{node}` yields other bytes than were saved"));
        }
        if self.model.damaged.contains(key) {
            self.life(life).damaged.insert(key.clone());
        }
    }

    pub(super) fn started(&mut self, life: usize, node: &str, instance: u32) {
        let (most, slot) = (self.attempts, (node.to_string(), instance, SlotKind::Output));
        let saved = self.model.slots.contains_key(&slot) && !self.model.damaged.contains(&slot);
        let state = self.life(life);
        if state.dead || state.doomed || state.fenced {
            // What it does nobody will know of.
            return;
        }
        state.under_way += 1;
        let starts = state.starts.entry((node.to_string(), instance)).or_default();
        *starts += 1;
        let starts = *starts;
        if saved {
            self.wrong(Promise::RunsOnce, format!("node `{node}` ran again after its output had been saved"));
        } else if starts > most {
            self.wrong(
                Promise::Attempts,
                format!("node `{node}` was begun {starts} times in one execution, {most} are allowed"),
            );
        }
    }

    pub(super) fn ended(&mut self, life: usize, spent: Spent) {
        let state = self.life(life);
        state.under_way -= 1;
        state.told = state.told.plus(spent.into());
    }

    /// A life has come to its end by itself.
    pub(super) fn judge(&mut self, life: usize, ending: &Ending, expected: Option<&Ending>) {
        let fired = self.has_fired();
        let state = self.life(life);
        let due = state.base.plus(state.told);
        // A life that has lost its run is not asked for what it does after that.
        let settled = state.fenced || ending.spent == due;
        let (damaged, jumped) = (state.damaged.clone(), state.jumped);
        let excused = match &ending.output {
            Ok(_) => damaged.is_empty(),
            Err(halt) => match halt.why {
                HaltKind::Store(kind) => state.may.iter().any(|may| discriminant(may) == discriminant(&kind)),
                HaltKind::Checkpoint(node) => damaged.iter().any(|key| key.0 == node.unwrap_or_default()),
                // What was spent in vain counts, and time that went by in a jump does too.
                HaltKind::Limit => fired,
                HaltKind::Node => jumped,
                HaltKind::Other => false,
            },
        };
        if let (Some((node, ..)), false) = (damaged.first(), excused) {
            let what = match &ending.output {
                Ok(_) => "came to its end".to_string(),
                Err(halt) => format!("said: {}", halt.text),
            };
            let name = if node.is_empty() { "stored input".to_string() } else { format!("checkpoint of `{node}`") };
            self.wrong(Promise::Damage, format!("the {name} is damaged, and whoever read it {what}"));
        }
        match &ending.output {
            Err(halt) if !excused => self.wrong(Promise::Halts, format!("it halted without a cause: {}", halt.text)),
            Ok(output) => {
                if let Some(Ending { output: Ok(expected), .. }) = expected
                    && expected != output
                {
                    self.wrong(
                        Promise::SameOutput,
                        format!("its output is {output}, and undisturbed it is {expected}"),
                    );
                }
            }
            Err(_) => {}
        }
        if !settled {
            let reported = ending.spent;
            self.wrong(Promise::Spend, format!("it reports that {reported} were spent, and it was {due}"));
        }
    }
}
