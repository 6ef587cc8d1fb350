//! A ledger as the bytes that a store keeps.

use core::time::Duration;

use super::{
    Ledger,
    account::{Account, Scope, nanos},
    state::{INNER, State},
};
use crate::budget::{amount::Amount, usd::Usd};

/// The most bytes that a ledger takes in a store.
pub(crate) const LEDGER_MAX: usize = 256;

/// The most bytes of a ledger without inner scopes: 1 + 3 · 9 + 8, and room to write eight bytes where fewer count.
pub(crate) const SHORT: usize = 44;

/// The version of the bytes of a ledger.
pub(super) const VERSION: u8 = 1;

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
        "the stored ledger is of {count} parts with a budget, and this program has room for {INNER}: switch on feature `alloc`"
    )]
    TooManyParts {
        /// How many it has.
        count: usize,
    },
    /// A part has more than the whole.
    #[error("the stored ledger contradicts itself: what the run spent is not known, so it cannot be resumed")]
    Contradiction,
}
