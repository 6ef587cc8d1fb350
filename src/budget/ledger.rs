//! What a run has spent and reserved, shared by all of its branches.

mod codec;
#[cfg(test)]
mod tests;

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub use codec::LedgerError;
pub(crate) use codec::{LEDGER_MAX, SHORT};
use spin::mutex::SpinMutex;

use super::{
    limit::{Budget, BudgetExceeded, SpendError},
    usd::Usd,
};

/// How many limits there can be in a run beside its own.
pub(crate) const INNER: usize = if cfg!(feature = "alloc") { 7 } else { 3 };

/// In place of a limit, and of the start of what has not begun.
const NONE: u64 = u64::MAX;

/// Tokens and money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount {
    /// Tokens, in and out together.
    pub tokens: u64,
    /// Money.
    pub cost: Usd,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { tokens: 0, cost: Usd::ZERO };

    fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self { tokens: self.tokens.checked_add(other.tokens)?, cost: self.cost.checked_add(other.cost)? })
    }

    pub(crate) fn saturating_add(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), cost: self.cost.saturating_add(other.cost) }
    }

    fn saturating_sub(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_sub(other.tokens), cost: self.cost.saturating_sub(other.cost) }
    }

    /// What is left of a whole without a part; a whole that was cut at the most that there can be has all parts.
    fn minus_part(self, part: Self) -> Option<Self> {
        let tokens = if self.tokens == NONE { Some(NONE) } else { self.tokens.checked_sub(part.tokens) };
        let cost = if self.cost == Usd::MAX { Some(Usd::MAX) } else { self.cost.checked_sub(part.cost) };
        Some(Self { tokens: tokens?, cost: cost? })
    }
}

/// Which limit of a run: its own, or that of a part of its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope(u8);

impl Scope {
    /// The run's own.
    pub(crate) const RUN: Self = Self(0);
}

/// What is still left of a budget; `None` where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Remaining {
    /// Tokens that can still be reserved.
    pub tokens: Option<u64>,
    /// Money that can still be reserved.
    pub cost: Option<Usd>,
    /// Time.
    pub time: Option<Duration>,
}

/// What happened since somebody asked last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Recent {
    /// What was booked.
    pub(crate) spent: Amount,
    /// How many of the tokens have no price.
    pub(crate) unpriced_tokens: u64,
    /// Whether a reservation was refused: nothing was spent then.
    pub(crate) refused: bool,
    /// Whether something went wrong with what was spent: its model has no price, or its count does not fit.
    pub(crate) fault: bool,
    /// Whether anything is reserved; if not, whoever asks holds no reservation.
    pub(crate) holding: bool,
}

/// What a run has spent and reserved, shared by all of its branches.
///
/// A [`Spender`](crate::Spender) spends from it.
///
/// # Locks
/// Each operation takes one lock for a few dozen instructions, never across an await. Do not use it in an interrupt handler
/// that may interrupt another use of it: the lock would never be given back.
pub struct Ledger {
    state: SpinMutex<State>,
    /// Whether [`take_recent`](Self::take_recent) has something to tell.
    news: AtomicBool,
}

struct State {
    run: Account,
    inner: [Account; INNER],
    /// How many of them are taken.
    taken: u8,
    /// How many of the run's tokens have no price.
    unpriced: u64,
    /// What the run had spent when somebody asked last, and how many tokens without a price.
    told: (Amount, u64),
    refused: Option<SpendError>,
    fault: Option<SpendError>,
    /// What was refused and what went wrong, of attempts that are not over.
    notes: heapless::Vec<Note, NOTES>,
    ahead: Ahead,
}

/// How it stands with reservations that are to be stored before their call.
#[derive(Clone, Copy)]
struct Ahead {
    /// What the node that is being polled now gets for asking.
    here: AheadHere,
    /// Whether it asked for a write.
    asked: bool,
    /// How many writes there were.
    written: u32,
    /// How many such reservations there are.
    open: u32,
}

impl Ahead {
    const NONE: Self = Self { here: AheadHere::Not, asked: false, written: 0, open: 0 };
}

/// What a node gets that asks for its reservation to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AheadHere {
    /// Nobody would write it.
    Not,
    /// There is nowhere to write it to.
    Nowhere,
    /// It is written when the node lets go of the task.
    Written,
}

/// What came of asking for a reservation to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AheadAsked {
    /// Nobody writes it here.
    Refused,
    /// There is nothing to wait for.
    AtOnce,
    /// It is stored once the number of writes is another.
    Wait {
        /// How many there were.
        written: u32,
    },
}

/// Why a node has to stop, if it does.
struct Note {
    node: (u16, u32),
    refused: bool,
    why: SpendError,
}

/// Of how many nodes at once there is room to say why they have to stop.
const NOTES: usize = if cfg!(feature = "alloc") { 4 } else { 2 };

/// What is spent and reserved under one limit. What is in an inner one is in all around it too.
#[derive(Clone, Copy)]
struct Account {
    spent: Amount,
    reserved: Amount,
    /// What of the reserved is stored as if it were spent.
    ahead: Amount,
    /// At most so much.
    limit: Amount,
    /// In nanoseconds: at most so long, when it began, and how long it had taken before that.
    time_limit: u64,
    started: u64,
    before: u64,
    key: u32,
    /// How many are in it at present: its time is that while there is anybody.
    inside: u16,
    /// The one around it, which always comes before it.
    parent: Scope,
}

impl Account {
    const VACANT: Self = Self {
        spent: Amount::ZERO,
        reserved: Amount::ZERO,
        ahead: Amount::ZERO,
        limit: Amount { tokens: NONE, cost: Usd::MAX },
        time_limit: NONE,
        started: NONE,
        before: 0,
        key: 0,
        inside: 0,
        parent: Scope::RUN,
    };

    const fn limited(mut self, budget: &Budget) -> Self {
        self.limit.tokens = match budget.token_limit() {
            Some(most) => most,
            None => NONE,
        };
        self.limit.cost = match budget.cost_limit() {
            Some(most) => most,
            None => Usd::MAX,
        };
        self.time_limit = match budget.time_limit() {
            Some(most) => nanos(most),
            None => NONE,
        };
        self
    }

    /// How long it has taken. What has not begun takes no time: `now` is never after its start.
    #[inline(always)]
    const fn time(&self, now: u64) -> u64 {
        self.before.saturating_add(now.saturating_sub(self.started))
    }

    /// What of `total` is over the limit, or at it; nothing where there is none.
    #[cold]
    fn reached(&self, total: Amount, time: u64, over: impl Fn(u64, u64) -> bool) -> Option<BudgetExceeded> {
        let limit = self.limit;
        let over = |actual, limit| limit != NONE && over(actual, limit);
        if over(total.tokens, limit.tokens) {
            Some(BudgetExceeded::Tokens { limit: limit.tokens, actual: total.tokens })
        } else if over(total.cost.as_picodollars(), limit.cost.as_picodollars()) {
            Some(BudgetExceeded::Cost { limit: limit.cost, actual: total.cost })
        } else if over(time, self.time_limit) {
            let (limit, actual) = (Duration::from_nanos(self.time_limit), Duration::from_nanos(time));
            Some(BudgetExceeded::Time { limit, actual })
        } else {
            None
        }
    }
}

impl State {
    #[inline(always)]
    fn account(&mut self, scope: Scope) -> &mut Account {
        // The run's own is no inner one, so that it needs no check that fails.
        match self.inner.get_mut(usize::from(scope.0).wrapping_sub(1)) {
            Some(account) => account,
            None => &mut self.run,
        }
    }

    /// Calls `f` for a scope and all around it, from the inside out, until it has an answer.
    #[inline(always)]
    fn outwards<T>(&mut self, mut scope: Scope, mut f: impl FnMut(&mut Account) -> Option<T>) -> Option<T> {
        loop {
            let account = self.account(scope);
            let parent = account.parent;
            if let Some(answer) = f(account) {
                return Some(answer);
            }
            if scope == Scope::RUN {
                return None;
            }
            scope = parent;
        }
    }

    /// Books `actual` in a scope and all around it; whether it fits.
    #[inline(always)]
    fn add(&mut self, scope: Scope, reserved: Amount, actual: Amount) -> bool {
        let mut fits = true;
        let mut at = scope;
        loop {
            let account = self.account(at);
            account.reserved = account.reserved.saturating_sub(reserved);
            match account.spent.checked_add(actual) {
                Some(spent) => account.spent = spent,
                None => {
                    account.spent = account.spent.saturating_add(actual);
                    fits = false;
                }
            }
            if at == Scope::RUN {
                return fits;
            }
            at = account.parent;
        }
    }

    /// Takes back a reservation that was refused: in all scopes inside of `end`.
    #[cold]
    fn undo(&mut self, mut scope: Scope, end: Scope, amount: Amount) {
        while scope != end {
            let account = self.account(scope);
            account.reserved = account.reserved.saturating_sub(amount);
            scope = account.parent;
        }
    }

    #[cold]
    fn refuse(&mut self, scope: Scope, at: Scope, amount: Amount) -> SpendError {
        self.undo(scope, at, amount);
        let account = self.account(at);
        let total = account.spent.saturating_add(account.reserved).saturating_add(amount);
        let error = match account.reached(total, 0, |actual, limit| actual > limit) {
            Some(exceeded) => SpendError::Exceeded(exceeded),
            None => SpendError::Overflow,
        };
        if self.refused.is_none() {
            self.refused = Some(error.clone());
        }
        error
    }

    /// Counts a reservation among those that are stored as if they were spent.
    fn mark(&mut self, scope: Scope, reserved: Amount) {
        self.ahead.open = self.ahead.open.saturating_add(1);
        let _ = self.outwards(scope, |account| {
            account.ahead = account.ahead.saturating_add(reserved);
            None::<()>
        });
    }

    #[cold]
    fn overflow(&mut self) -> SpendError {
        if self.fault.is_none() {
            self.fault = Some(SpendError::Overflow);
        }
        SpendError::Overflow
    }
}

impl Ledger {
    /// The ledger of a run that has not begun, under this budget.
    pub const fn new(budget: &Budget) -> Self {
        Self {
            state: SpinMutex::new(State {
                run: Account::VACANT.limited(budget),
                inner: [Account::VACANT; INNER],
                taken: 0,
                unpriced: 0,
                told: (Amount::ZERO, 0),
                refused: None,
                fault: None,
                notes: heapless::Vec::new(),
                ahead: Ahead::NONE,
            }),
            news: AtomicBool::new(false),
        }
    }

    /// Makes it blank for another run, which begins.
    #[inline]
    pub(crate) fn begin(&self, budget: &Budget, now: Duration) {
        let mut state = self.state.lock();
        state.run = Account { started: nanos(now), ..Account::VACANT.limited(budget) };
        // What is in the inner ones is not looked at before they are taken again.
        state.taken = 0;
        state.unpriced = 0;
        state.told = (Amount::ZERO, 0);
        state.ahead = Ahead::NONE;
        self.news.store(false, Ordering::Release);
        if state.refused.is_some() || state.fault.is_some() || !state.notes.is_empty() {
            state.forget();
        }
    }

    /// A part of the pipeline with a budget of its own begins: the scope to spend in, the same for the same key under the same
    /// parent, also in a run that was resumed. `None` when there are as many as there can be.
    pub(crate) fn enter(&self, parent: Scope, key: u32, budget: &Budget, now: Duration) -> Option<Scope> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let taken = usize::from(state.taken);
        let found = state.inner.iter().take(taken).position(|account| account.key == key && account.parent == parent);
        let at = found.unwrap_or(taken);
        let account = state.inner.get_mut(at)?;
        if found.is_none() {
            *account = Account { key, parent, ..Account::VACANT };
            state.taken += 1;
        }
        *account = account.limited(budget);
        account.inside = account.inside.saturating_add(1);
        if account.started == NONE {
            account.started = nanos(now);
        }
        // At most seven, so the cast keeps it.
        Some(Scope(at as u8 + 1))
    }

    /// A part that began is over.
    pub(crate) fn leave(&self, scope: Scope, now: Duration) {
        let mut state = self.state.lock();
        let account = state.account(scope);
        account.inside = account.inside.saturating_sub(1);
        if account.inside == 0 {
            account.before = account.time(nanos(now));
            account.started = NONE;
        }
    }

    /// Before an attempt: the first limit, from the inside out, that is used up. Reservations do not count.
    #[inline(always)]
    pub(crate) fn exhausted(&self, scope: Scope, now: Duration) -> Option<BudgetExceeded> {
        let over = |actual, limit| actual >= limit;
        if self.is_clear(scope, nanos(now), over) { None } else { self.reached(scope, nanos(now), over) }
    }

    /// After an attempt: the first limit, from the inside out, that more was spent than.
    #[inline(always)]
    pub(crate) fn overrun(&self, scope: Scope, now: Duration) -> Option<BudgetExceeded> {
        let over = |actual, limit| actual > limit;
        if self.is_clear(scope, nanos(now), over) { None } else { self.reached(scope, nanos(now), over) }
    }

    /// Whether no account is over its limit; with no limit at all it may be wrong about one that is as full as can be.
    #[inline(always)]
    fn is_clear(&self, scope: Scope, now: u64, over: impl Fn(u64, u64) -> bool) -> bool {
        let mut state = self.state.lock();
        let mut at = scope;
        loop {
            let account = state.account(at);
            if over(account.spent.tokens, account.limit.tokens)
                || over(account.spent.cost.as_picodollars(), account.limit.cost.as_picodollars())
                || over(account.time(now), account.time_limit)
            {
                return false;
            }
            if at == Scope::RUN {
                return true;
            }
            at = account.parent;
        }
    }

    #[cold]
    fn reached(&self, scope: Scope, now: u64, over: fn(u64, u64) -> bool) -> Option<BudgetExceeded> {
        self.state.lock().outwards(scope, |account| account.reached(account.spent, account.time(now), over))
    }

    /// Sets `amount` aside in a scope and all around it, or nowhere.
    ///
    /// # Errors
    /// When it would cross a limit, or does not fit; noted as refused.
    #[inline(always)]
    pub(crate) fn reserve(&self, scope: Scope, amount: Amount) -> Result<(), SpendError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut at = scope;
        loop {
            let account = state.account(at);
            let reserved = account.reserved.checked_add(amount);
            let total = reserved.and_then(|reserved| reserved.checked_add(account.spent));
            match (reserved, total) {
                (Some(reserved), Some(total))
                    if total.tokens <= account.limit.tokens && total.cost <= account.limit.cost =>
                {
                    account.reserved = reserved;
                    if at == Scope::RUN {
                        self.tell();
                        return Ok(());
                    }
                    at = account.parent;
                }
                _ => break,
            }
        }
        // Told before the lock is given back, so that nothing but a jump is left of it here.
        self.tell();
        Err(state.refuse(scope, at, amount))
    }

    /// Books what became of a reservation, of which `unpriced` tokens have no price.
    ///
    /// # Errors
    /// [`Overflow`](SpendError::Overflow) when the sum does not fit: it is as large as can be then.
    #[inline(always)]
    pub(crate) fn settle(
        &self,
        scope: Scope,
        reserved: Amount,
        actual: Amount,
        unpriced: u64,
    ) -> Result<(), SpendError> {
        let mut state = self.state.lock();
        self.tell();
        state.unpriced = state.unpriced.saturating_add(unpriced);
        if state.add(scope, reserved, actual) { Ok(()) } else { Err(state.overflow()) }
    }

    /// A node is about to be polled, or was just polled: what it gets for asking, and whether it asked.
    pub(crate) fn ahead_here(&self, here: AheadHere) -> bool {
        let mut state = self.state.lock();
        state.ahead.here = here;
        core::mem::take(&mut state.ahead.asked)
    }

    /// Asks for a reservation to be stored as if it were spent, from now on until [`take_back`](Self::take_back).
    pub(crate) fn ask_ahead(&self, scope: Scope, reserved: Amount) -> AheadAsked {
        let mut state = self.state.lock();
        match state.ahead.here {
            AheadHere::Not => return AheadAsked::Refused,
            AheadHere::Nowhere => return AheadAsked::AtOnce,
            AheadHere::Written => {}
        }
        state.ahead.asked = true;
        state.mark(scope, reserved);
        AheadAsked::Wait { written: state.ahead.written }
    }

    /// The ledger was written since all that asked did so.
    pub(crate) fn ahead_written(&self) {
        let mut state = self.state.lock();
        state.ahead.written = state.ahead.written.wrapping_add(1);
    }

    /// Whether the ledger was written since there were so many writes.
    pub(crate) fn is_written(&self, since: u32) -> bool {
        self.state.lock().ahead.written != since
    }

    /// A reservation that was to be stored is about to be settled.
    pub(crate) fn take_back(&self, scope: Scope, reserved: Amount) {
        let mut state = self.state.lock();
        state.ahead.open = state.ahead.open.saturating_sub(1);
        let _ = state.outwards(scope, |account| {
            account.ahead = account.ahead.saturating_sub(reserved);
            None::<()>
        });
    }

    /// Books what was not reserved.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    #[inline]
    pub(crate) fn book(&self, scope: Scope, actual: Amount, unpriced: u64) -> Result<(), SpendError> {
        self.settle(scope, Amount::ZERO, actual, unpriced)
    }

    /// Notes that something was spent that could not be booked as it should be.
    #[cold]
    pub(crate) fn note_fault(&self, fault: SpendError) {
        // The first one counts. The other is dropped outside of the lock.
        let other = {
            let mut state = self.state.lock();
            match state.fault {
                None => state.fault.replace(fault),
                Some(_) => Some(fault),
            }
        };
        drop(other);
        self.tell();
    }

    /// Notes that something was refused before it was spent.
    #[cold]
    pub(crate) fn note_refused(&self, refused: SpendError) {
        let other = {
            let mut state = self.state.lock();
            match state.refused {
                None => state.refused.replace(refused),
                Some(_) => Some(refused),
            }
        };
        drop(other);
        self.tell();
    }

    #[inline(always)]
    fn tell(&self) {
        self.news.store(true, Ordering::Release);
    }

    /// Whether [`take_recent`](Self::take_recent) has something to tell: one load, no lock.
    #[inline(always)]
    pub(crate) fn has_recent(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// What happened since the last call. What happens between two calls belongs to the node that is polled in between: what went
    /// wrong is kept under its place, for [`take_note`](Self::take_note).
    pub(crate) fn take_recent(&self, node: (u16, u32)) -> Recent {
        self.news.store(false, Ordering::Release);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (spent, unpriced) = core::mem::replace(&mut state.told, (state.run.spent, state.unpriced));
        Recent {
            spent: state.run.spent.saturating_sub(spent),
            unpriced_tokens: state.unpriced.saturating_sub(unpriced),
            refused: state.note(node, true),
            fault: state.note(node, false),
            holding: state.run.reserved != Amount::ZERO,
        }
    }

    /// Why the node at this place was refused what it wanted to spend, or else what went wrong with what it spent.
    #[cold]
    pub(crate) fn take_note(&self, node: (u16, u32), refused: bool) -> Option<SpendError> {
        let mut guard = self.state.lock();
        let notes = &mut guard.notes;
        let at = notes.iter().position(|note| (note.node, note.refused) == (node, refused));
        // Of more nodes at once than there is room for, another one's of the same kind says nearly the same.
        let at = at.or_else(|| notes.iter().position(|note| note.refused == refused))?;
        let note = notes.swap_remove(at);
        drop(guard);
        Some(note.why)
    }

    /// Forgets what was noted of a node, whose attempt did not fail for it.
    #[cold]
    pub(crate) fn forget_notes(&self, node: (u16, u32)) {
        while self.state.lock().notes.iter().position(|note| note.node == node).is_some() {
            let mut guard = self.state.lock();
            let at = guard.notes.iter().position(|note| note.node == node);
            let gone = at.map(|at| guard.notes.swap_remove(at));
            drop(guard);
            drop(gone);
        }
    }

    /// What is booked in a scope.
    pub(crate) fn spent(&self, scope: Scope) -> Amount {
        self.state.lock().account(scope).spent
    }

    /// How many tokens of the run have no price.
    pub(crate) fn unpriced(&self) -> u64 {
        self.state.lock().unpriced
    }

    /// How long a scope has taken, by the clock, from its first beginning on; the time while a run was down does not count.
    pub(crate) fn time(&self, scope: Scope, now: Duration) -> Duration {
        Duration::from_nanos(self.state.lock().account(scope).time(nanos(now)))
    }

    /// What can still be reserved in a scope.
    pub(crate) fn remaining(&self, scope: Scope, now: Duration) -> Remaining {
        let now = nanos(now);
        let mut least = Remaining::default();
        let _ = self.state.lock().outwards(scope, |account| {
            let held = account.spent.saturating_add(account.reserved);
            let left = account.limit.saturating_sub(held);
            if account.limit.tokens != NONE {
                least.tokens = Some(least.tokens.map_or(left.tokens, |tokens| tokens.min(left.tokens)));
            }
            if account.limit.cost != Usd::MAX {
                least.cost = Some(least.cost.map_or(left.cost, |cost| cost.min(left.cost)));
            }
            if account.time_limit != NONE {
                let left = Duration::from_nanos(account.time_limit.saturating_sub(account.time(now)));
                least.time = Some(least.time.map_or(left, |time| time.min(left)));
            }
            None::<()>
        });
        least
    }

    /// The largest of `f` of what is spent and the limit of each scope, from this one out, that limits money; `None` for none.
    pub(crate) fn money<T: Ord>(&self, scope: Scope, f: impl Fn(Usd, Usd) -> T) -> Option<T> {
        let mut most = None;
        let _ = self.state.lock().outwards(scope, |account| {
            if account.limit.cost != Usd::MAX {
                most = most.take().max(Some(f(account.spent.cost, account.limit.cost)));
            }
            None::<()>
        });
        most
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spent, reserved) = {
            let state = self.state.lock();
            (state.run.spent, state.run.reserved)
        };
        f.debug_struct("Ledger").field("spent", &spent).field("reserved", &reserved).finish_non_exhaustive()
    }
}

/// A duration in nanoseconds, at most 584 years.
#[inline(always)]
const fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

impl State {
    /// Keeps what was said last, for a node; whether anything was.
    #[inline(always)]
    fn note(&mut self, node: (u16, u32), refused: bool) -> bool {
        let said = if refused { &mut self.refused } else { &mut self.fault };
        if said.is_none() {
            return false;
        }
        let said = said.take();
        self.keep(node, refused, said);
        true
    }

    /// Forgets what was noted of a run that is gone.
    #[cold]
    fn forget(&mut self) {
        (self.refused, self.fault) = (None, None);
        self.notes.clear();
    }

    #[cold]
    fn keep(&mut self, node: (u16, u32), refused: bool, why: Option<SpendError>) {
        // The first of each kind counts.
        let known = self.notes.iter().any(|note| (note.node, note.refused) == (node, refused));
        if let Some(why) = why
            && !known
        {
            // Without room for it, another one's is told.
            let _ = self.notes.push(Note { node, refused, why });
        }
    }
}

/// What a test asks of a ledger.
#[cfg(test)]
pub(super) mod asked {
    use super::*;

    /// What happened since somebody asked last, in full.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub(in super::super) struct Told {
        pub(in super::super) spent: Amount,
        pub(in super::super) unpriced_tokens: u64,
        pub(in super::super) refused: Option<SpendError>,
        pub(in super::super) fault: Option<SpendError>,
    }

    impl Ledger {
        pub(in super::super) fn started(&self, now: Duration) {
            self.state.lock().run.started = nanos(now);
        }

        pub(in super::super) fn told(&self) -> Told {
            let Recent { spent, unpriced_tokens, refused, fault, holding: _ } = self.take_recent((0, 0));
            let why = |is: bool, refused| is.then(|| self.take_note((0, 0), refused)).flatten();
            Told { spent, unpriced_tokens, refused: why(refused, true), fault: why(fault, false) }
        }
    }
}
