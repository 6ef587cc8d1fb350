//! What a run has spent and reserved, shared by all of its branches.

mod account;
mod ahead;
#[cfg(test)]
pub(super) mod asked;
mod codec;
#[cfg(test)]
mod property;
mod state;
#[cfg(test)]
mod tests;

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub use account::Scope;
use account::{Account, NONE, nanos};
use ahead::Ahead;
pub(crate) use ahead::{AheadAsked, AheadHere};
pub use codec::LedgerError;
pub(crate) use codec::{LEDGER_MAX, SHORT};
use spin::mutex::SpinMutex;
pub(crate) use state::INNER;
use state::State;

use super::{
    amount::{Amount, Remaining},
    limit::{Budget, BudgetExceeded, SpendError},
    usd::Usd,
};

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
                        self.announce();
                        return Ok(());
                    }
                    at = account.parent;
                }
                _ => break,
            }
        }
        // Told before the lock is given back, so that nothing but a jump is left of it here.
        self.announce();
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
        self.announce();
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
        self.announce();
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
        self.announce();
    }

    #[inline(always)]
    fn announce(&self) {
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
