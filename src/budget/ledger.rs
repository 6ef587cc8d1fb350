//! What a run has spent and reserved, shared by all of its branches.

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use spin::mutex::SpinMutex;

use super::{
    limit::{Budget, BudgetExceeded, SpendError},
    usd::Usd,
};

/// The most bytes that a ledger takes in a store.
pub(crate) const LEDGER_MAX: usize = 256;

/// The most bytes of a ledger without inner scopes: 1 + 3 · 9 + 8, and room to write eight bytes where fewer count.
pub(crate) const SHORT: usize = 44;

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

/// The version of the bytes of a ledger.
const VERSION: u8 = 1;

/// The longest time that there is, in microseconds: seven bytes.
const TIME_MAX: u64 = u64::MAX / 1_000;

/// The bytes: the version shifted left by three with the number of inner scopes below; the run's tokens, cost in picodollars,
/// tokens without a price and time in microseconds; then for each inner scope the place of its parent, its key in four bytes,
/// its tokens, cost and time.
///
/// A number is a byte that says how many bytes it has, and those, the lowest first, without zeros behind. That takes a few more
/// bytes than seven bits a byte would, and half the instructions. So a ledger takes at most
/// 1 + 3 · 9 + 8 + 7 · (5 + 2 · 9 + 8) = 253 bytes.
impl Ledger {
    /// Writes what is spent, and with it the reservations that are to be stored before their call.
    #[cfg(test)]
    pub(crate) fn encode<'b>(&self, now: Duration, buffer: &'b mut [u8; LEDGER_MAX]) -> &'b [u8] {
        self.state.lock().encode(nanos(now), buffer)
    }

    /// Writes what is spent, into the shorter buffer where that is long enough: nearly every run has no limits but its own. What
    /// is reserved ahead counts as spent.
    #[inline(always)]
    pub(crate) fn encode_in<'b>(
        &self,
        now: Duration,
        short: &'b mut [u8; SHORT],
        long: &'b mut Option<[u8; LEDGER_MAX]>,
    ) -> &'b [u8] {
        let mut state = self.state.lock();
        if state.taken == 0 {
            return state.encode(nanos(now), short);
        }
        state.encode(nanos(now), long.get_or_insert([0; LEDGER_MAX]))
    }

    /// Takes over what [`encode_in`](Self::encode_in) wrote, before anything is entered or spent. Scopes get their limits when they
    /// are entered again.
    ///
    /// # Errors
    /// When the bytes are not those of a ledger; nothing is changed then.
    pub(crate) fn restore(&self, bytes: &[u8]) -> Result<(), LedgerError> {
        let mut from = Reader(bytes);
        let [first] = from.bytes()?;
        let (version, count) = (first >> 3, first & 7);
        if version != VERSION {
            return Err(LedgerError::Version { found: version });
        }
        if usize::from(count) > INNER {
            return Err(LedgerError::TooManyParts { count: count.into() });
        }
        let run = Amount { tokens: from.number()?, cost: Usd::picodollars(from.number()?) };
        let unpriced = from.number()?;
        let before = from.time()?;
        if unpriced > run.tokens {
            return Err(LedgerError::Contradiction);
        }
        let mut inner = [Account::VACANT; INNER];
        // What is left of each scope, the run's first, for those inside of it.
        let mut left = [run; INNER + 1];
        let mut ids = [None; INNER];
        let mut taken = 0_u8;
        for account in inner.iter_mut().take(usize::from(count)) {
            let [parent] = from.bytes()?;
            let (parent, key) = (Scope(parent), u32::from_le_bytes(from.bytes()?));
            let spent = Amount { tokens: from.number()?, cost: Usd::picodollars(from.number()?) };
            let before = from.time()?;
            if parent.0 > taken || ids.contains(&Some((parent, key))) {
                return Err(LedgerError::Contradiction);
            }
            let around = left.get_mut(usize::from(parent.0)).ok_or(LedgerError::Contradiction)?;
            *around = around.minus_part(spent).ok_or(LedgerError::Contradiction)?;
            *account = Account { key, parent, spent, before, ..Account::VACANT };
            if let Some(known) = ids.get_mut(usize::from(taken)) {
                *known = Some((parent, key));
            }
            taken += 1;
            if let Some(own) = left.get_mut(usize::from(taken)) {
                *own = spent;
            }
        }
        if !from.0.is_empty() {
            return Err(LedgerError::Trailing { len: from.0.len() });
        }
        let mut state = self.state.lock();
        state.run.spent = run;
        state.run.before = before;
        state.inner = inner;
        state.taken = taken;
        state.unpriced = unpriced;
        state.told = (run, unpriced);
        Ok(())
    }
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

    #[inline(always)]
    fn encode<'b, const N: usize>(&mut self, now: u64, buffer: &'b mut [u8; N]) -> &'b [u8] {
        let mut to = Writer { buffer, len: 0 };
        let ahead = self.ahead.open != 0;
        let spent = |account: &Account| match ahead {
            true => account.spent.saturating_add(account.ahead),
            false => account.spent,
        };
        to.bytes([VERSION << 3 | self.taken & 7]);
        let run = spent(&self.run);
        to.number(run.tokens);
        to.number(run.cost.as_picodollars());
        to.number(self.unpriced);
        to.number(self.run.time(now) / 1_000);
        for account in self.inner.iter().take(usize::from(self.taken)) {
            let spent = spent(account);
            to.bytes([account.parent.0]);
            to.bytes(account.key.to_le_bytes());
            to.number(spent.tokens);
            to.number(spent.cost.as_picodollars());
            to.number(account.time(now) / 1_000);
        }
        let Writer { buffer, len } = to;
        // It always fits, see above.
        buffer.get(..len).unwrap_or_default()
    }
}

struct Writer<'b, const N: usize> {
    buffer: &'b mut [u8; N],
    len: usize,
}

impl<const N: usize> Writer<'_, N> {
    #[inline(always)]
    fn bytes<const M: usize>(&mut self, bytes: [u8; M]) {
        if let Some(places) = self.buffer.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            *places = bytes;
            self.len += M;
        }
    }

    #[inline(always)]
    fn number(&mut self, number: u64) {
        let count = 8 - number.leading_zeros() / 8;
        // All eight are written, and what is behind those that count is written over or left out.
        if let Some(places) = self.buffer.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<9>) {
            let [first, bytes @ ..] = places;
            // At most eight, so the casts keep it.
            *first = count as u8;
            *bytes = number.to_le_bytes();
            self.len += 1 + count as usize;
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], LedgerError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(LedgerError::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number(&mut self) -> Result<u64, LedgerError> {
        let [count] = self.bytes()?;
        if count > 8 {
            return Err(LedgerError::Overlong);
        }
        let (digits, rest) = self.0.split_at_checked(usize::from(count)).ok_or(LedgerError::Truncated)?;
        self.0 = rest;
        if digits.last() == Some(&0) {
            return Err(LedgerError::Overlong);
        }
        Ok(digits.iter().rev().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }

    /// A time, in nanoseconds.
    fn time(&mut self) -> Result<u64, LedgerError> {
        match self.number()? {
            micros if micros <= TIME_MAX => Ok(micros.saturating_mul(1_000)),
            _ => Err(LedgerError::Contradiction),
        }
    }
}

/// Why stored bytes are not a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It is of another version.
    #[error(
        "the stored ledger is of version {found}, this program reads {VERSION}: resume with the program that wrote it"
    )]
    Version {
        /// Its version.
        found: u8,
    },
    /// It ends too early.
    #[error("the stored ledger is cut off: what the run spent is not known, so it cannot be resumed")]
    Truncated,
    /// A number in it is longer than it has to be, or than any is.
    #[error(
        "the stored ledger has a number that no ledger writes: what the run spent is not known, so it cannot be resumed"
    )]
    Overlong,
    /// Something stands behind its end.
    #[error("the stored ledger has {len} bytes too many: what the run spent is not known, so it cannot be resumed")]
    Trailing {
        /// How many bytes.
        len: usize,
    },
    /// It has more parts with a budget of their own than there is room for without a heap.
    #[error(
        "the stored ledger is of {count} parts with a budget, and without feature `alloc` there is room for {INNER}"
    )]
    TooManyParts {
        /// How many it has.
        count: usize,
    },
    /// A part has more than the whole.
    #[error("the stored ledger contradicts itself: what the run spent is not known, so it cannot be resumed")]
    Contradiction,
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
            let Recent { spent, unpriced_tokens, refused, fault } = self.take_recent((0, 0));
            let why = |is: bool, refused| is.then(|| self.take_note((0, 0), refused)).flatten();
            Told { spent, unpriced_tokens, refused: why(refused, true), fault: why(fault, false) }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{thread, vec, vec::Vec};

    use proptest::prelude::*;

    use super::{asked::Told, *};
    use crate::budget::model::UnknownModel;

    const fn amount(tokens: u64, cost: u64) -> Amount {
        Amount { tokens, cost: Usd::picodollars(cost) }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn bytes(ledger: &Ledger, now: Duration) -> Vec<u8> {
        ledger.encode(now, &mut [0; LEDGER_MAX]).to_vec()
    }

    #[test]
    fn a_limit_of_a_part_is_inside_of_that_of_the_run() {
        let ledger = Ledger::new(&Budget::unlimited().tokens(100));
        ledger.started(secs(0));
        let part = ledger.enter(Scope::RUN, 1, &Budget::unlimited().tokens(60), secs(0)).unwrap();
        let inner = ledger.enter(part, 1, &Budget::unlimited().cost(Usd::picodollars(5)), secs(0)).unwrap();
        assert_eq!(ledger.reserve(inner, amount(50, 5)), Ok(()));
        // By its own limit, by that around it, by that of the run; and nothing of it is left behind.
        let error = BudgetExceeded::Cost { limit: Usd::picodollars(5), actual: Usd::picodollars(6) };
        assert_eq!(ledger.reserve(inner, amount(0, 1)), Err(error.into()));
        let error = BudgetExceeded::Tokens { limit: 60, actual: 61 };
        assert_eq!(ledger.reserve(inner, amount(11, 0)), Err(error.into()));
        let error = BudgetExceeded::Tokens { limit: 100, actual: 101 };
        assert_eq!(ledger.reserve(Scope::RUN, amount(51, 0)), Err(error.into()));
        assert_eq!(ledger.reserve(inner, amount(10, 0)), Ok(()));
        assert_eq!(ledger.reserve(Scope::RUN, amount(40, 7)), Ok(()));
        let left = ledger.remaining(inner, secs(0));
        assert_eq!((left.tokens, left.cost, left.time), (Some(0), Some(Usd::ZERO), None));
        ledger.settle(inner, amount(10, 0), amount(3, 0), 0).unwrap();
        ledger.settle(Scope::RUN, amount(40, 7), amount(20, 7), 0).unwrap();
        assert_eq!(ledger.spent(inner), amount(3, 0));
        assert_eq!(ledger.spent(part), amount(3, 0));
        assert_eq!(ledger.spent(Scope::RUN), amount(23, 7));
        assert_eq!(ledger.remaining(part, secs(0)).tokens, Some(7));
        assert_eq!(ledger.remaining(Scope::RUN, secs(0)).tokens, Some(27));
    }

    #[test]
    fn nothing_starts_at_a_limit_and_only_what_is_over_it_is_overrun() {
        let ledger = Ledger::new(&Budget::unlimited().tokens(10).cost(Usd::picodollars(10)).latency(secs(10)));
        ledger.started(secs(100));
        let both = |now| (ledger.exhausted(Scope::RUN, now), ledger.overrun(Scope::RUN, now));
        // Before it begins no time goes by.
        assert_eq!(Ledger::new(&Budget::unlimited().latency(secs(1))).exhausted(Scope::RUN, secs(9)), None);
        assert_eq!(both(secs(109)), (None, None));
        let at = BudgetExceeded::Time { limit: secs(10), actual: secs(10) };
        assert_eq!(both(secs(110)), (Some(at), None));
        let over = BudgetExceeded::Time { limit: secs(10), actual: secs(11) };
        assert_eq!(both(secs(111)), (Some(over), Some(over)));
        // Reservations are not spent.
        ledger.reserve(Scope::RUN, amount(10, 10)).unwrap();
        assert_eq!(both(secs(100)), (None, None));
        ledger.settle(Scope::RUN, amount(10, 10), amount(9, 10), 0).unwrap();
        let at = BudgetExceeded::Cost { limit: Usd::picodollars(10), actual: Usd::picodollars(10) };
        assert_eq!(both(secs(100)), (Some(at), None));
        ledger.book(Scope::RUN, amount(2, 0), 0).unwrap();
        let over = BudgetExceeded::Tokens { limit: 10, actual: 11 };
        assert_eq!(both(secs(100)), (Some(over), Some(over)));
        // An inner scope is stopped by what is around it.
        let inner = ledger.enter(Scope::RUN, 1, &Budget::unlimited(), secs(100)).unwrap();
        assert_eq!(ledger.exhausted(inner, secs(100)), Some(over));
        assert_eq!(ledger.overrun(inner, secs(100)), Some(over));
    }

    #[test]
    fn the_same_key_under_the_same_parent_is_the_same_scope() {
        let ledger = Ledger::new(&Budget::unlimited());
        let budget = Budget::unlimited().latency(secs(5));
        let enter = |parent, key, now| ledger.enter(parent, key, &budget, secs(now));
        let one = enter(Scope::RUN, 1, 0).unwrap();
        let two = enter(Scope::RUN, 2, 3).unwrap();
        let below = enter(one, 1, 3).unwrap();
        assert!(one != two && one != below);
        assert_eq!((enter(Scope::RUN, 1, 4), enter(one, 1, 4)), (Some(one), Some(below)));
        // Its time counts from when it was entered first
        assert_eq!((ledger.time(one, secs(4)), ledger.time(below, secs(4))), (secs(4), secs(1)));
        assert_eq!(ledger.remaining(below, secs(4)).time, Some(secs(1)));
        for key in 3..INNER as u32 {
            assert!(enter(Scope::RUN, key, 4).is_some());
        }
        assert_eq!(enter(Scope::RUN, 7, 4), None);
        assert_eq!(enter(Scope::RUN, 2, 4), Some(two));
        // and until all have left it; it goes on when it is entered again.
        ledger.leave(one, secs(4));
        assert_eq!(ledger.time(one, secs(5)), secs(5));
        ledger.leave(one, secs(5));
        assert_eq!(
            (ledger.time(one, secs(100)), ledger.exhausted(one, secs(100))),
            (secs(5), Some(BudgetExceeded::Time { limit: secs(5), actual: secs(5) }))
        );
        assert_eq!(enter(Scope::RUN, 1, 200), Some(one));
        assert_eq!(ledger.time(one, secs(201)), secs(6));
    }

    #[test]
    fn what_does_not_fit_is_as_much_as_can_be_and_a_fault() {
        let ledger = Ledger::new(&Budget::unlimited());
        let inner = ledger.enter(Scope::RUN, 1, &Budget::unlimited(), secs(0)).unwrap();
        ledger.book(inner, amount(u64::MAX - 1, 5), 0).unwrap();
        assert_eq!(ledger.told().fault, None);
        assert_eq!(ledger.reserve(inner, amount(2, 0)), Err(SpendError::Overflow));
        assert_eq!(ledger.book(inner, amount(2, 5), 0), Err(SpendError::Overflow));
        assert_eq!(ledger.spent(Scope::RUN), amount(u64::MAX, 10));
        let recent = ledger.told();
        assert_eq!((recent.refused, recent.fault), (Some(SpendError::Overflow), Some(SpendError::Overflow)));
        // There is no limit, so none is reached.
        assert_eq!((ledger.exhausted(inner, secs(9)), ledger.overrun(inner, secs(9))), (None, None));
        // A settlement gives back what was set aside all the same.
        let limited = Ledger::new(&Budget::unlimited().tokens(10));
        limited.reserve(Scope::RUN, amount(10, 0)).unwrap();
        assert_eq!(limited.settle(Scope::RUN, amount(10, 0), amount(u64::MAX, 0), 0), Ok(()));
        assert_eq!(limited.settle(Scope::RUN, amount(0, 0), amount(1, 0), 0), Err(SpendError::Overflow));
        let over = BudgetExceeded::Tokens { limit: 10, actual: u64::MAX };
        assert_eq!(limited.overrun(Scope::RUN, secs(0)), Some(over));
    }

    #[test]
    fn what_is_recent_is_told_once_the_first_of_each_kind() {
        let ledger = Ledger::new(&Budget::unlimited().tokens(10));
        assert!(!ledger.has_recent());
        ledger.reserve(Scope::RUN, amount(4, 1)).unwrap();
        // Nothing is spent yet.
        assert!(!ledger.has_recent());
        ledger.settle(Scope::RUN, amount(4, 1), amount(3, 1), 2).unwrap();
        ledger.book(Scope::RUN, amount(1, 1), 1).unwrap();
        let refused = ledger.reserve(Scope::RUN, amount(7, 0)).unwrap_err();
        assert!(ledger.reserve(Scope::RUN, amount(8, 0)).is_err());
        let unknown = |name| SpendError::UnknownModel(UnknownModel::of(Some(name)));
        ledger.note_refused(unknown("r"));
        ledger.note_fault(unknown("a"));
        ledger.note_fault(unknown("b"));
        assert!(ledger.has_recent());
        let recent =
            Told { spent: amount(4, 2), unpriced_tokens: 3, refused: Some(refused), fault: Some(unknown("a")) };
        assert_eq!(ledger.told(), recent);
        assert!(!ledger.has_recent());
        assert_eq!(ledger.told(), Told::default());
        assert_eq!(ledger.unpriced(), 3);
        // What is restored is not recent.
        ledger.restore(&bytes(&ledger, secs(0))).unwrap();
        assert_eq!(ledger.told(), Told::default());
    }

    #[test]
    fn a_ledger_goes_on_where_it_was() {
        let run = Budget::unlimited().tokens(100).latency(secs(60));
        let part = Budget::unlimited().tokens(50).latency(secs(20));
        let old = Ledger::new(&run);
        old.started(secs(1_000));
        let outer = old.enter(Scope::RUN, 7, &part, secs(1_010)).unwrap();
        let inner = old.enter(outer, u32::MAX, &part, secs(1_015)).unwrap();
        old.book(inner, amount(10, 3), 4).unwrap();
        old.book(outer, amount(5, 0), 0).unwrap();
        old.book(Scope::RUN, amount(1, 1), 0).unwrap();
        old.reserve(outer, amount(9, 9)).unwrap();

        for (ahead, more) in [(false, amount(0, 0)), (true, amount(9, 9))] {
            if ahead {
                old.state.lock().mark(outer, amount(9, 9));
            }
            let stored = bytes(&old, secs(1_020));
            let new = Ledger::new(&run);
            new.started(secs(5));
            new.restore(&stored).unwrap();
            assert_eq!(new.spent(Scope::RUN), amount(16, 4).saturating_add(more));
            assert_eq!((new.unpriced(), new.time(Scope::RUN, secs(6))), (4, secs(21)));
            // A scope gets its limit, and its time goes on, when it is entered again.
            let again = new.enter(Scope::RUN, 7, &part, secs(8)).unwrap();
            assert_eq!((new.spent(again), new.time(again, secs(9))), (amount(15, 3).saturating_add(more), secs(11)));
            let below = new.enter(again, u32::MAX, &part, secs(8)).unwrap();
            assert_eq!((new.spent(below), new.time(below, secs(8))), (amount(10, 3), secs(5)));
            assert_eq!(new.enter(below, 1, &part, secs(8)).map(|scope| new.spent(scope)), Some(Amount::ZERO));
            assert_eq!(new.remaining(again, secs(8)).time, Some(secs(10)));
        }
    }

    #[test]
    fn a_reservation_is_stored_before_its_call_where_somebody_does_it() {
        let ledger = Ledger::new(&Budget::unlimited());
        let part = ledger.enter(Scope::RUN, 1, &Budget::unlimited(), secs(0)).unwrap();
        let stored = |scope| {
            let new = Ledger::new(&Budget::unlimited());
            new.restore(&bytes(&ledger, secs(0))).unwrap();
            new.spent(scope)
        };
        for (scope, tokens) in [(part, 3), (part, 4), (Scope::RUN, 50)] {
            ledger.reserve(scope, amount(tokens, 1)).unwrap();
        }
        assert_eq!(ledger.ask_ahead(part, amount(3, 1)), AheadAsked::Refused);
        assert!(!ledger.ahead_here(AheadHere::Nowhere));
        assert_eq!(ledger.ask_ahead(part, amount(3, 1)), AheadAsked::AtOnce);
        assert!(!ledger.ahead_here(AheadHere::Written));
        assert_eq!((stored(part), stored(Scope::RUN)), (Amount::ZERO, Amount::ZERO));
        for tokens in [3, 4] {
            assert_eq!(ledger.ask_ahead(part, amount(tokens, 1)), AheadAsked::Wait { written: 0 });
        }
        assert!(ledger.ahead_here(AheadHere::Not) && !ledger.ahead_here(AheadHere::Not));
        assert!(!ledger.is_written(0));
        ledger.ahead_written();
        assert!(ledger.is_written(0) && !ledger.is_written(1));
        // It is not spent here, and what is not ahead is not stored.
        assert_eq!((ledger.spent(part), stored(part), stored(Scope::RUN)), (Amount::ZERO, amount(7, 2), amount(7, 2)));
        ledger.take_back(part, amount(3, 1));
        ledger.settle(part, amount(3, 1), amount(1, 0), 0).unwrap();
        assert_eq!((stored(part), stored(Scope::RUN)), (amount(5, 1), amount(5, 1)));
        ledger.take_back(part, amount(4, 1));
        ledger.settle(part, amount(4, 1), Amount::ZERO, 0).unwrap();
        assert_eq!((stored(part), ledger.spent(Scope::RUN)), (amount(1, 0), amount(1, 0)));
        ledger.begin(&Budget::unlimited(), secs(0));
        assert_eq!(ledger.ask_ahead(Scope::RUN, amount(1, 1)), AheadAsked::Refused);
        assert!(!ledger.is_written(0));
    }

    #[test]
    fn the_largest_ledger_fits_and_comes_back() {
        let ledger = Ledger::new(&Budget::unlimited());
        ledger.started(secs(0));
        let mut scope = Scope::RUN;
        for key in 0..INNER as u32 {
            scope = ledger.enter(scope, u32::MAX - key, &Budget::unlimited(), secs(0)).unwrap();
        }
        ledger.book(scope, amount(u64::MAX, u64::MAX), u64::MAX).unwrap();
        let stored = bytes(&ledger, Duration::MAX);
        assert_eq!(stored.len(), 36 + INNER * 31);
        let new = Ledger::new(&Budget::unlimited());
        new.restore(&stored).unwrap();
        assert_eq!(bytes(&new, secs(0)), stored);
    }

    #[test]
    fn the_bytes_are_these() {
        // Fixed for ever: a stored ledger outlives the program.
        let ledger = Ledger::new(&Budget::unlimited());
        ledger.started(secs(1));
        let part = ledger.enter(Scope::RUN, 300, &Budget::unlimited(), secs(1)).unwrap();
        ledger.book(part, amount(127, 128), 3).unwrap();
        ledger.book(Scope::RUN, amount(1, u64::MAX - 128), 0).unwrap();
        let stored = bytes(&ledger, Duration::from_micros(1_000_005));
        let (run, part) = ([0b1_001, 1, 128], [0, 0x2c, 0x01, 0, 0, 1, 127, 1, 128, 1, 5]);
        let expected = [&run[..], &[8], &[0xff; 8], &[1, 3, 1, 5], &part];
        assert_eq!(stored, expected.concat());
    }

    #[test]
    fn what_is_no_ledger_is_refused_and_changes_nothing() {
        use LedgerError::{Contradiction, Overlong, Trailing, Truncated, Version};
        let ledger = Ledger::new(&Budget::unlimited());
        ledger.book(Scope::RUN, amount(7, 7), 0).unwrap();
        let before = bytes(&ledger, secs(0));
        let with = |inner: u8, rest: &[u8]| [&[8 | inner, 1, 5, 1, 5, 0, 0], rest].concat();
        // A part in this scope, of this key, with so many tokens and picodollars.
        let part = |parent, key, tokens, cost| [parent, key, 0, 0, 0, 1, tokens, 1, cost, 0];
        let two = |one: [u8; 10], other: [u8; 10]| with(2, &[one, other].concat());
        let one = part(0, 1, 1, 1);
        for (stored, error) in [
            (vec![], Truncated),
            (vec![0, 1, 5, 1, 5, 0, 0], Version { found: 0 }),
            (vec![23], Version { found: 2 }),
            (vec![8, 1, 5, 1, 5, 0], Truncated),
            (vec![8, 1, 5, 1, 5, 0, 2, 1], Truncated),
            (with(1, &one[..9]), Truncated),
            (with(1, &one[..3]), Truncated),
            (with(2, &one), Truncated),
            (with(0, &one), Trailing { len: 10 }),
            (with(1, &[&one[..], &[0]].concat()), Trailing { len: 1 }),
            // A zero behind, a number of nine bytes.
            (vec![8, 2, 5, 0, 1, 5, 0, 0], Overlong),
            (vec![8, 1, 0, 1, 5, 0, 0], Overlong),
            (vec![8, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 0, 0], Overlong),
            // More tokens without a price than tokens.
            (vec![8, 1, 5, 1, 5, 1, 6, 0], Contradiction),
            // A time that there is not.
            (vec![8, 1, 5, 1, 5, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1], Contradiction),
            // A part with more than the whole, alone or with another.
            (with(1, &part(0, 1, 6, 1)), Contradiction),
            (with(1, &part(0, 1, 1, 6)), Contradiction),
            (two(part(0, 1, 3, 1), part(0, 2, 3, 1)), Contradiction),
            (two(part(0, 1, 3, 1), part(1, 1, 4, 1)), Contradiction),
            // In a part that comes later, in itself, nowhere, and twice the same.
            (two(part(2, 1, 1, 1), part(0, 1, 1, 1)), Contradiction),
            (with(1, &part(1, 1, 1, 1)), Contradiction),
            (with(1, &part(255, 1, 1, 1)), Contradiction),
            (two(one, one), Contradiction),
        ] {
            assert_eq!(ledger.restore(&stored), Err(error), "{stored:?}");
            assert_eq!(bytes(&ledger, secs(0)), before);
        }
        assert_eq!(ledger.restore(&two(part(0, 1, 3, 2), part(0, 2, 2, 3))), Ok(()));
        assert_eq!(ledger.restore(&two(part(0, 1, 3, 2), part(1, 1, 3, 2))), Ok(()));
        assert_eq!(ledger.spent(Scope(2)), amount(3, 2));
    }

    /// One thing that may happen to a ledger.
    #[derive(Debug, Clone)]
    enum Op {
        Enter {
            parent: usize,
            key: u32,
            tokens: Option<u64>,
            cost: Option<u64>,
        },
        Reserve {
            scope: usize,
            tokens: u64,
            cost: u64,
        },
        /// So many eighths of the reservation.
        Settle {
            which: usize,
            eighths: u64,
        },
        Book {
            scope: usize,
            tokens: u64,
            cost: u64,
            unpriced: u64,
        },
        /// Stored, and taken up by another process.
        Resume {
            ahead: bool,
        },
        Tell,
    }

    fn op() -> impl Strategy<Value = Op> {
        let small = || 0_u64..40;
        let limit = || prop::option::of(1_u64..200);
        prop_oneof![
            1 => (0..8_usize, 0..3_u32, limit(), limit())
                .prop_map(|(parent, key, tokens, cost)| Op::Enter { parent, key, tokens, cost }),
            4 => (0..8_usize, small(), small()).prop_map(|(scope, tokens, cost)| Op::Reserve { scope, tokens, cost }),
            3 => (any::<usize>(), 0..9_u64).prop_map(|(which, eighths)| Op::Settle { which, eighths }),
            1 => (0..8_usize, 0..4_u64, 0..4_u64, 0..4_u64)
                .prop_map(|(scope, tokens, cost, unpriced)| Op::Book { scope, tokens, cost, unpriced }),
            1 => any::<bool>().prop_map(|ahead| Op::Resume { ahead }),
            1 => Just(Op::Tell),
        ]
    }

    fn budget(tokens: Option<u64>, cost: Option<u64>) -> Budget {
        let budget = tokens.map_or(Budget::unlimited(), |tokens| Budget::unlimited().tokens(tokens));
        cost.map_or(budget, |cost| budget.cost(Usd::picodollars(cost)))
    }

    /// A ledger without tricks: a list of all that is set aside and booked, summed up when somebody asks.
    #[derive(Default)]
    struct Naive {
        /// Parent and key of each scope, and its limits.
        scopes: Vec<(usize, u32, Option<u64>, Option<u64>)>,
        /// Of which scope, and how much.
        reserved: Vec<(usize, Amount)>,
        booked: Vec<(usize, Amount)>,
    }

    impl Naive {
        fn is_in(&self, mut scope: usize, around: usize) -> bool {
            while scope != around && scope != 0 {
                scope = self.scopes[scope].0;
            }
            scope == around
        }

        fn sum(&self, of: &[(usize, Amount)], around: usize) -> Amount {
            let inside = of.iter().filter(|(scope, _)| self.is_in(*scope, around));
            inside.fold(Amount::ZERO, |sum, (_, amount)| sum.checked_add(*amount).unwrap())
        }

        fn admits(&self, scope: usize, more: Amount) -> bool {
            (0..self.scopes.len()).filter(|around| self.is_in(scope, *around)).all(|around| {
                let held = self.sum(&self.reserved, around).checked_add(self.sum(&self.booked, around)).unwrap();
                let total = held.checked_add(more).unwrap();
                let (_, _, tokens, cost) = self.scopes[around];
                tokens.is_none_or(|most| total.tokens <= most)
                    && cost.is_none_or(|most| total.cost.as_picodollars() <= most)
            })
        }
    }

    proptest! {
        #[test]
        fn it_counts_as_a_naive_ledger_does(
            run in (prop::option::of(1_u64..300), prop::option::of(1_u64..300)),
            ops in prop::collection::vec(op(), 0..120),
        ) {
            let mut naive = Naive { scopes: vec![(0, 0, run.0, run.1)], ..Naive::default() };
            let mut ledger = Ledger::new(&budget(run.0, run.1));
            let mut told = Amount::ZERO;
            for op in ops {
                match op {
                    Op::Enter { parent, key, tokens, cost } => {
                        let parent = parent % naive.scopes.len();
                        let known = (1..naive.scopes.len())
                            .find(|at| (naive.scopes[*at].0, naive.scopes[*at].1) == (parent, key));
                        let scope = ledger.enter(Scope(parent as u8), key, &budget(tokens, cost), Duration::ZERO);
                        match known {
                            None if naive.scopes.len() == INNER + 1 => prop_assert_eq!(scope, None),
                            None => {
                                prop_assert_eq!(scope, Some(Scope(naive.scopes.len() as u8)));
                                naive.scopes.push((parent, key, tokens, cost));
                            }
                            Some(at) => {
                                prop_assert_eq!(scope, Some(Scope(at as u8)));
                                naive.scopes[at] = (parent, key, tokens, cost);
                            }
                        }
                    }
                    Op::Reserve { scope, tokens, cost } => {
                        let (scope, more) = (scope % naive.scopes.len(), amount(tokens, cost));
                        let admitted = ledger.reserve(Scope(scope as u8), more).is_ok();
                        prop_assert_eq!(admitted, naive.admits(scope, more));
                        if admitted {
                            naive.reserved.push((scope, more));
                        }
                    }
                    Op::Settle { which, eighths } => {
                        if let Some(which) = which.checked_rem(naive.reserved.len()) {
                            let (scope, held) = naive.reserved.swap_remove(which);
                            let actual = amount(held.tokens * eighths / 8, held.cost.as_picodollars() * eighths / 8);
                            prop_assert_eq!(ledger.settle(Scope(scope as u8), held, actual, 0), Ok(()));
                            naive.booked.push((scope, actual));
                        }
                    }
                    Op::Book { scope, tokens, cost, unpriced } => {
                        let scope = scope % naive.scopes.len();
                        let unpriced = unpriced.min(tokens);
                        prop_assert_eq!(ledger.book(Scope(scope as u8), amount(tokens, cost), unpriced), Ok(()));
                        naive.booked.push((scope, amount(tokens, cost)));
                    }
                    Op::Resume { ahead } => {
                        if ahead {
                            naive.reserved.iter().for_each(|(scope, held)| ledger.state.lock().mark(Scope(*scope as u8), *held));
                        }
                        let stored = bytes(&ledger, Duration::ZERO);
                        let next = Ledger::new(&budget(run.0, run.1));
                        next.restore(&stored).unwrap();
                        for (at, (parent, key, tokens, cost)) in naive.scopes.iter().enumerate().skip(1) {
                            let scope = next.enter(Scope(*parent as u8), *key, &budget(*tokens, *cost), Duration::ZERO);
                            prop_assert_eq!(scope, Some(Scope(at as u8)));
                        }
                        let under_way = core::mem::take(&mut naive.reserved);
                        if ahead {
                            naive.booked.extend(under_way);
                        }
                        ledger = next;
                        told = ledger.spent(Scope::RUN);
                    }
                    Op::Tell => {
                        let now = ledger.spent(Scope::RUN);
                        prop_assert_eq!(ledger.told().spent, now.saturating_sub(told));
                        told = now;
                    }
                }
                for at in 0..naive.scopes.len() {
                    let scope = Scope(at as u8);
                    let (spent, held) = (naive.sum(&naive.booked, at), naive.sum(&naive.reserved, at));
                    prop_assert_eq!(ledger.spent(scope), spent);
                    let left = (0..naive.scopes.len()).filter(|around| naive.is_in(at, *around)).filter_map(|around| {
                        let held = naive.sum(&naive.reserved, around).tokens + naive.sum(&naive.booked, around).tokens;
                        Some(naive.scopes[around].2?.saturating_sub(held))
                    });
                    prop_assert_eq!(ledger.remaining(scope, Duration::ZERO).tokens, left.min());
                    let reached = |over: fn(u64, u64) -> bool| {
                        (0..naive.scopes.len()).filter(|around| naive.is_in(at, *around)).any(|around| {
                            let spent = naive.sum(&naive.booked, around);
                            let (_, _, tokens, cost) = naive.scopes[around];
                            tokens.is_some_and(|most| over(spent.tokens, most))
                                || cost.is_some_and(|most| over(spent.cost.as_picodollars(), most))
                        })
                    };
                    prop_assert_eq!(ledger.exhausted(scope, Duration::ZERO).is_some(), reached(|spent, most| spent >= most));
                    prop_assert_eq!(ledger.overrun(scope, Duration::ZERO).is_some(), reached(|spent, most| spent > most));
                    let state = ledger.state.lock();
                    let account = at.checked_sub(1).map_or(&state.run, |at| &state.inner[at]);
                    prop_assert_eq!(account.reserved, held);
                }
            }
        }

        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_again(
            amounts in prop::collection::vec((0..8_usize, any::<u64>(), any::<u64>(), 0..64_u32), 0..8),
            now in any::<u64>(),
            noise in prop::collection::vec(any::<u8>(), 0..LEDGER_MAX),
        ) {
            let ledger = Ledger::new(&Budget::unlimited());
            ledger.started(Duration::ZERO);
            for (key, (parent, tokens, cost, shift)) in amounts.into_iter().enumerate() {
                let parent = ledger.enter(Scope(0), parent as u32, &Budget::unlimited(), Duration::ZERO);
                let Some(scope) = parent.and_then(|parent| {
                    ledger.enter(parent, key as u32, &Budget::unlimited(), Duration::ZERO)
                }) else { break };
                let _ = ledger.book(scope, amount(tokens >> shift, cost >> shift), 0);
            }
            let now = Duration::from_micros(now >> 10);
            let stored = bytes(&ledger, now);
            let read = |bytes: &[u8]| {
                let ledger = Ledger::new(&Budget::unlimited());
                ledger.restore(bytes).map(|()| self::bytes(&ledger, Duration::ZERO))
            };
            prop_assert_eq!(read(&stored), Ok(stored.clone()));
            // Whatever is read at all has one form only.
            let canonical = |bytes: &[u8]| read(bytes).is_ok_and(|again| again != bytes);
            for len in 0..stored.len() {
                prop_assert!(!canonical(&stored[..len]));
            }
            let mut flipped = stored.clone();
            for bit in 0..stored.len() * 8 {
                flipped[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!canonical(&flipped));
                flipped[bit / 8] ^= 1 << (bit % 8);
            }
            prop_assert!(!canonical(&noise));
            let _ = read(&[&[VERSION << 3 | 7][..], &noise].concat());
        }
    }

    #[test]
    fn threads_never_cross_the_cap_and_every_sum_is_exact() {
        const THREADS: u64 = 8;
        const ROUNDS: u64 = 5_000;
        let ledger = Ledger::new(&Budget::unlimited().tokens(40).cost(Usd::picodollars(u64::MAX / 2)));
        let parts =
            [1, 2].map(|key| ledger.enter(Scope::RUN, key, &Budget::unlimited().tokens(25), Duration::ZERO).unwrap());
        let settled: Vec<(u64, u64)> = thread::scope(|threads| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let ledger = &ledger;
                    threads.spawn(move || {
                        let (mut admitted, mut cost) = (0, 0);
                        let part = parts[(thread % 2) as usize];
                        for round in 0..ROUNDS {
                            let most = amount(10, thread * ROUNDS + round);
                            if ledger.reserve(part, most).is_ok() {
                                // What is set aside is at most what there is, whoever looks and whenever.
                                let state = ledger.state.lock();
                                let held: Vec<u64> = state.inner.iter().map(|part| part.reserved.tokens).collect();
                                assert!(state.run.reserved.tokens <= 40, "{}", state.run.reserved.tokens);
                                assert!(held.iter().all(|held| *held <= 25), "{held:?}");
                                assert_eq!(held.iter().sum::<u64>(), state.run.reserved.tokens);
                                drop(state);
                                let actual = amount(0, most.cost.as_picodollars());
                                ledger.settle(part, most, actual, 0).unwrap();
                                admitted += 1;
                                cost += most.cost.as_picodollars();
                            }
                        }
                        (admitted, cost)
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let cost = settled.iter().map(|(_, cost)| cost).sum();
        assert_eq!(ledger.spent(Scope::RUN), amount(0, cost));
        let parts = parts.map(|part| ledger.spent(part).cost.as_picodollars());
        assert_eq!(parts[0] + parts[1], cost);
        assert!(settled.iter().any(|(admitted, _)| *admitted > 0));
        assert_eq!(ledger.state.lock().run.reserved, Amount::ZERO);
    }
}
