//! Reservations that are to be stored before their call, as the ledger sees them.

/// How it stands with reservations that are to be stored before their call.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// What the node that is being polled now gets for asking.
    pub(super) here: AheadHere,
    /// Whether it asked for a write.
    pub(super) asked: bool,
    /// How many writes there were.
    pub(super) written: u32,
    /// How many such reservations there are.
    pub(super) open: u32,
}

impl Ahead {
    pub(super) const NONE: Self = Self { here: AheadHere::Not, asked: false, written: 0, open: 0 };
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
