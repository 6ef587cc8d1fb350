//! What is behind the lock of a ledger.

use super::{
    account::{Account, Scope},
    ahead::Ahead,
};
use crate::budget::{amount::Amount, limit::SpendError};

/// How many limits there can be in a run beside its own.
pub(crate) const INNER: usize = if cfg!(feature = "alloc") { 7 } else { 3 };

pub(super) struct State {
    pub(super) run: Account,
    pub(super) inner: [Account; INNER],
    /// How many of them are taken.
    pub(super) taken: u8,
    /// How many of the run's tokens have no price.
    pub(super) unpriced: u64,
    /// What the run had spent when somebody asked last, and how many tokens without a price.
    pub(super) told: (Amount, u64),
    pub(super) refused: Option<SpendError>,
    pub(super) fault: Option<SpendError>,
    /// What was refused and what went wrong, of attempts that are not over.
    pub(super) notes: heapless::Vec<Note, NOTES>,
    pub(super) ahead: Ahead,
}

/// Why a node has to stop, if it does.
pub(super) struct Note {
    pub(super) node: (u16, u32),
    pub(super) refused: bool,
    pub(super) why: SpendError,
}

/// Of how many nodes at once there is room to say why they have to stop.
pub(super) const NOTES: usize = if cfg!(feature = "alloc") { 4 } else { 2 };

impl State {
    #[inline(always)]
    pub(super) fn account(&mut self, scope: Scope) -> &mut Account {
        // The run's own is no inner one, so that it needs no check that fails.
        match self.inner.get_mut(usize::from(scope.0).wrapping_sub(1)) {
            Some(account) => account,
            None => &mut self.run,
        }
    }

    /// Calls `f` for a scope and all around it, from the inside out, until it has an answer.
    #[inline(always)]
    pub(super) fn outwards<T>(&mut self, mut scope: Scope, mut f: impl FnMut(&mut Account) -> Option<T>) -> Option<T> {
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
    pub(super) fn add(&mut self, scope: Scope, reserved: Amount, actual: Amount) -> bool {
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
    pub(super) fn refuse(&mut self, scope: Scope, at: Scope, amount: Amount) -> SpendError {
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
    pub(super) fn mark(&mut self, scope: Scope, reserved: Amount) {
        self.ahead.open = self.ahead.open.saturating_add(1);
        let _ = self.outwards(scope, |account| {
            account.ahead = account.ahead.saturating_add(reserved);
            None::<()>
        });
    }

    #[cold]
    pub(super) fn overflow(&mut self) -> SpendError {
        if self.fault.is_none() {
            self.fault = Some(SpendError::Overflow);
        }
        SpendError::Overflow
    }
}

impl State {
    /// Keeps what was said last, for a node; whether anything was.
    #[inline(always)]
    pub(super) fn note(&mut self, node: (u16, u32), refused: bool) -> bool {
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
    pub(super) fn forget(&mut self) {
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
