//! What a test asks of a ledger.

extern crate std;

use core::time::Duration;
use std::vec::Vec;

use super::{LEDGER_MAX, Ledger, Recent, account::nanos};
use crate::budget::{amount::Amount, limit::SpendError, usd::Usd};

pub(super) const fn amount(tokens: u64, cost: u64) -> Amount {
    Amount { tokens, cost: Usd::picodollars(cost) }
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn bytes(ledger: &Ledger, now: Duration) -> Vec<u8> {
    ledger.encode(now, &mut [0; LEDGER_MAX]).to_vec()
}

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
