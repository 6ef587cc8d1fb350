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

/// How many limits there can be in a run beside its own.
pub(crate) const INNER: usize = 7;

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
    /// Why the first reservation that was refused was refused: nothing was spent then.
    pub(crate) refused: Option<SpendError>,
    /// What went wrong first with something that was spent: its model has no price, or its count does not fit.
    pub(crate) fault: Option<SpendError>,
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
}

/// What is spent and reserved under one limit. What is in an inner one is in all around it too.
#[derive(Clone, Copy)]
struct Account {
    spent: Amount,
    reserved: Amount,
    /// At most so much.
    limit: Amount,
    /// In nanoseconds: at most so long, when it began, and how long it had taken before that.
    time_limit: u64,
    started: u64,
    before: u64,
    key: u32,
    /// The one around it, which always comes before it.
    parent: Scope,
}

impl Account {
    const VACANT: Self = Self {
        spent: Amount::ZERO,
        reserved: Amount::ZERO,
        limit: Amount { tokens: NONE, cost: Usd::MAX },
        time_limit: NONE,
        started: NONE,
        before: 0,
        key: 0,
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
        let _ = self.outwards(scope, |account| {
            account.reserved = account.reserved.saturating_sub(reserved);
            account.spent = match account.spent.checked_add(actual) {
                Some(spent) => spent,
                None => {
                    fits = false;
                    account.spent.saturating_add(actual)
                }
            };
            None::<()>
        });
        fits
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
            }),
            news: AtomicBool::new(false),
        }
    }

    /// Makes it blank for another run.
    #[inline]
    pub(crate) fn clear(&self, budget: &Budget) {
        let mut state = self.state.lock();
        state.run = Account::VACANT.limited(budget);
        // What is in the inner ones is not looked at before they are taken again.
        state.taken = 0;
        state.unpriced = 0;
        state.told = (Amount::ZERO, 0);
        let noted = (state.refused.take(), state.fault.take());
        drop(state);
        drop(noted);
        self.news.store(false, Ordering::Release);
    }

    /// The run begins.
    pub(crate) fn begin(&self, now: Duration) {
        self.state.lock().run.started = nanos(now);
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
        if account.started == NONE {
            account.started = nanos(now);
        }
        // At most seven, so the cast keeps it.
        Some(Scope(at as u8 + 1))
    }

    /// Before an attempt: the first limit, from the inside out, that is used up. Reservations do not count.
    #[inline]
    pub(crate) fn exhausted(&self, scope: Scope, now: Duration) -> Option<BudgetExceeded> {
        let now = nanos(now);
        self.state.lock().outwards(scope, |account| {
            let (spent, limit, time) = (account.spent, account.limit, account.time(now));
            if spent.tokens >= limit.tokens || spent.cost >= limit.cost || time >= account.time_limit {
                return account.reached(spent, time, |actual, limit| actual >= limit);
            }
            None
        })
    }

    /// After an attempt: the first limit, from the inside out, that more was spent than.
    #[inline]
    pub(crate) fn overrun(&self, scope: Scope, now: Duration) -> Option<BudgetExceeded> {
        let now = nanos(now);
        self.state.lock().outwards(scope, |account| {
            let (spent, limit, time) = (account.spent, account.limit, account.time(now));
            if spent.tokens > limit.tokens || spent.cost > limit.cost || time > account.time_limit {
                return account.reached(spent, time, |actual, limit| actual > limit);
            }
            None
        })
    }

    /// Sets `amount` aside in a scope and all around it, or nowhere.
    ///
    /// # Errors
    /// When it would cross a limit, or does not fit; noted as refused.
    #[inline]
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
        let refused = state.refuse(scope, at, amount);
        drop(guard);
        self.tell();
        Err(refused)
    }

    /// Books what became of a reservation, of which `unpriced` tokens have no price.
    ///
    /// # Errors
    /// [`Overflow`](SpendError::Overflow) when the sum does not fit: it is as large as can be then.
    #[inline]
    pub(crate) fn settle(
        &self,
        scope: Scope,
        reserved: Amount,
        actual: Amount,
        unpriced: u64,
    ) -> Result<(), SpendError> {
        let mut state = self.state.lock();
        let fits = state.add(scope, reserved, actual);
        state.unpriced = state.unpriced.saturating_add(unpriced);
        let done = if fits { Ok(()) } else { Err(state.overflow()) };
        drop(state);
        self.tell();
        done
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

    /// What happened since the last call. What happens between two calls belongs to the node that is polled in between.
    pub(crate) fn take_recent(&self) -> Recent {
        self.news.store(false, Ordering::Release);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (spent, unpriced) = core::mem::replace(&mut state.told, (state.run.spent, state.unpriced));
        Recent {
            spent: state.run.spent.saturating_sub(spent),
            unpriced_tokens: state.unpriced.saturating_sub(unpriced),
            refused: state.refused.take(),
            fault: state.fault.take(),
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

/// The longest time that is stored, in microseconds: 2,283 years, in eight bytes.
const TIME_MAX: u64 = (1 << 56) - 1;

/// The bytes: the version; the run's tokens, cost in picodollars, tokens without a price and time in microseconds; then for each
/// inner scope its key shifted left by three with the number of its parent below, its tokens, cost and time.
///
/// A number takes seven bits a byte, the lowest first, with the eighth bit set on all but the last byte; a ninth byte has all
/// eight bits. So 64 bits take nine bytes, and a ledger at most 1 + 3 · 9 + 8 + 7 · (5 + 2 · 9 + 8) = 253.
impl Ledger {
    /// Writes what is spent; with `ahead` what is reserved counts as spent.
    #[inline]
    pub(crate) fn encode<'b>(&self, now: Duration, ahead: bool, buffer: &'b mut [u8; LEDGER_MAX]) -> &'b [u8] {
        let now = nanos(now);
        let mut to = Writer { buffer, len: 0 };
        let mut state = self.state.lock();
        let state = &mut *state;
        let spent = |account: &Account| match ahead {
            true => account.spent.saturating_add(account.reserved),
            false => account.spent,
        };
        to.byte(VERSION);
        let run = spent(&state.run);
        to.number(run.tokens);
        to.number(run.cost.as_picodollars());
        to.number(state.unpriced);
        to.number((state.run.time(now) / 1_000).min(TIME_MAX));
        for account in state.inner.iter().take(usize::from(state.taken)) {
            let spent = spent(account);
            to.number(u64::from(account.key) << 3 | u64::from(account.parent.0));
            to.number(spent.tokens);
            to.number(spent.cost.as_picodollars());
            to.number((account.time(now) / 1_000).min(TIME_MAX));
        }
        let Writer { buffer, len } = to;
        // It always fits, see above.
        buffer.get(..len).unwrap_or_default()
    }

    /// Takes over what [`encode`](Self::encode) wrote, in place of what is spent; limits stay, and scopes get theirs when they are
    /// entered again.
    ///
    /// # Errors
    /// When the bytes are not those of a ledger; nothing is changed then.
    pub(crate) fn restore(&self, bytes: &[u8]) -> Result<(), LedgerError> {
        let mut from = Reader(bytes);
        match from.byte()? {
            VERSION => {}
            found => return Err(LedgerError::Version { found }),
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
        let mut taken = 0_u8;
        while !from.0.is_empty() {
            let id = from.number()?;
            let spent = Amount { tokens: from.number()?, cost: Usd::picodollars(from.number()?) };
            let before = from.time()?;
            // Masked, so the cast keeps it.
            let parent = Scope((id & 7) as u8);
            let key = u32::try_from(id >> 3).map_err(|_| LedgerError::Contradiction)?;
            let others = inner.iter().take(usize::from(taken));
            if parent.0 > taken || others.clone().any(|other| other.key == key && other.parent == parent) {
                return Err(LedgerError::Contradiction);
            }
            let around = left.get_mut(usize::from(parent.0)).ok_or(LedgerError::Contradiction)?;
            *around = around.minus_part(spent).ok_or(LedgerError::Contradiction)?;
            let account = inner.get_mut(usize::from(taken)).ok_or(LedgerError::TooManyLimits)?;
            *account = Account { key, parent, spent, before, ..Account::VACANT };
            taken += 1;
            if let Some(own) = left.get_mut(usize::from(taken)) {
                *own = spent;
            }
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

struct Writer<'b> {
    buffer: &'b mut [u8; LEDGER_MAX],
    len: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    #[inline(always)]
    fn number(&mut self, mut number: u64) {
        let mut left = 8;
        // The casts keep the low eight bits, as is meant.
        while number >= 0x80 && left > 0 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
            left -= 1;
        }
        self.byte(number as u8);
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, LedgerError> {
        let (byte, rest) = self.0.split_first().ok_or(LedgerError::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, LedgerError> {
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(LedgerError::Overlong) } else { Ok(number) };
            }
        }
        match self.byte()? {
            0 => Err(LedgerError::Overlong),
            last => Ok(number | u64::from(last) << 56),
        }
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
    /// A number in it is longer than it has to be.
    #[error(
        "the stored ledger has a number that no ledger writes: what the run spent is not known, so it cannot be resumed"
    )]
    Overlong,
    /// It has more limits than there can be.
    #[error("the stored ledger has more than {INNER} limits beside the run's: it cannot be resumed")]
    TooManyLimits,
    /// A part has more than the whole.
    #[error("the stored ledger contradicts itself: what the run spent is not known, so it cannot be resumed")]
    Contradiction,
}
