//! Whether a run keeps account of what it spends: the capability, and its absence.
//!
//! What nodes hold while they wait is the ledger of their run, so it is the one part of a run that is shared: the runner lends it
//! to the run. A run without an account has none, and is as large as if there were no such thing.

mod metering;
mod none;

use core::time::Duration;

pub use metering::Metering;
pub(crate) use metering::Overspent;
pub use none::NoBudget;

use crate::{
    budget::{AccountsError, Budget, LedgerError, Scope, SpendError, Spender},
    report::Spent,
    slot::Place,
    store::Hold,
};

/// Whether runs keep account of what they spend: [`NoBudget`] or [`Metering`].
pub trait Meter: Sized {
    /// The account of one run; closed at first.
    type Book<'a>: Default
    where
        Self: 'a;

    /// What one attempt has come to so far.
    type Tab: Default;

    /// Says that a run has to stop for what it spent.
    type Over: Copy;

    /// Says that the future of an attempt is gone, so that all it held is booked.
    type Gone;

    /// Room for something that only such a run can need.
    type Hold<T>: Hold<T>;

    /// Room for a ledger on the way to the store.
    type Room: Default;

    /// What the run spends from, to be looked at.
    type Ledger<'a>: Copy
    where
        Self: 'a;

    /// Whether runs keep account.
    const METERED: bool;

    /// Whether the limits make sense.
    ///
    /// # Errors
    /// When nothing could be spent, or a rule makes no sense.
    fn check(&self) -> Result<(), AccountsError>;

    /// Whether time is limited.
    fn is_timed(&self) -> bool;

    /// The run begins: it is lent a ledger. Or it cannot, since there is no room for another.
    fn begin<'a>(&'a self, book: &mut Self::Book<'a>, now: Duration) -> Option<Self::Over>;

    /// Takes over what an earlier part of the run spent.
    ///
    /// # Errors
    /// When the bytes are not those of a ledger.
    fn restore(book: &mut Self::Book<'_>, ledger: &[u8]) -> Result<(), LedgerError>;

    /// What a node spends with.
    fn spender<'a>(book: &Self::Book<'a>, scope: Scope) -> Spender<'a>;

    /// When the attempt that is about to begin was asked for with [`before`](Self::before).
    fn seen(book: &Self::Book<'_>) -> Duration;

    /// Whether an attempt may begin. Where it may not and that is told, [`refused`](Self::refused) is called then.
    fn before(book: &mut Self::Book<'_>, scope: Scope, now: Duration) -> Option<Self::Over>;

    /// The run stops since an attempt may not begin: notes which limit is used up.
    fn refused(book: &mut Self::Book<'_>, scope: Scope, now: Duration);

    /// Whether an attempt that begins at this moment would find the budget used up.
    fn used_up_at(book: &Self::Book<'_>, scope: Scope, then: Duration) -> bool;

    /// The run stops since an attempt could not begin at this moment, before which it would have to wait: notes which limit is in the
    /// way.
    fn refused_at(book: &mut Self::Book<'_>, scope: Scope, then: Duration) -> Option<Self::Over>;

    /// An attempt was polled, or its future was dropped: what it did in between goes on its tab.
    fn polled(book: &mut Self::Book<'_>, at: Place, tab: &mut Self::Tab);

    /// Says that the future of an attempt is gone, where that makes a difference.
    fn gone() -> Option<Self::Gone>;

    /// As [`gone`](Self::gone), where its future may hold something that is booked as it is dropped.
    fn gone_holding(tab: &Self::Tab) -> Option<Self::Gone>;

    /// Whether the run has to stop after an attempt that succeeded. It stops once the output is saved, and when that is told
    /// [`overspent`](Self::overspent) is called.
    fn succeeded(book: &mut Self::Book<'_>, tab: &mut Self::Tab, at: Place, now: Duration) -> Option<Self::Over>;

    /// The run stops after an attempt that succeeded: notes why.
    fn overspent(book: &mut Self::Book<'_>, over: Self::Over, at: Place, now: Duration);

    /// Whether an attempt that failed was refused what it wanted to spend.
    fn failed(book: &mut Self::Book<'_>, at: Place, tab: &mut Self::Tab) -> Option<Self::Over>;

    /// An attempt was cut short: what it was refused is nothing to the run any more.
    fn cut_short(book: &mut Self::Book<'_>, at: Place, tab: &Self::Tab);

    /// What an attempt spent; its time is not in it.
    fn tab(tab: &Self::Tab) -> Spent;

    /// What the run spent, this part of it having taken `took`.
    fn spent(book: &Self::Book<'_>, now: Duration, took: Duration) -> Spent;

    /// What the run spends from.
    fn ledger<'a>(book: &Self::Book<'a>) -> Self::Ledger<'a>;

    /// The ledger as it is stored, written into the room for it.
    fn bytes<'r>(ledger: Self::Ledger<'_>, now: Duration, room: &'r mut Self::Room) -> &'r [u8];

    /// A node that reserves ahead is about to be polled, in a run with a store or without.
    fn ahead(book: &Self::Book<'_>, durable: bool);

    /// It was polled: whether it waits for its reservations to be stored.
    fn asked_ahead(book: &Self::Book<'_>) -> bool;

    /// They are stored.
    fn written_ahead(book: &Self::Book<'_>);

    /// Why the run has to stop.
    fn take_fault(book: &mut Self::Book<'_>) -> Option<SpendError>;
}

/// A [`Meter`] that keeps account, so that a part of a pipeline can have a limit of its own.
#[diagnostic::on_unimplemented(
    message = "a budget of a part needs a runner that keeps account of what is spent, and this one does not",
    label = "no account in this runner",
    note = "`.with_budget(Budget::unlimited())` on the builder counts without a limit for the whole; `Runner::quick(..)` counts, too"
)]
pub trait Metered: Meter {
    /// Comes to a part with a limit of its own.
    ///
    /// # Errors
    /// When there are more limits than a ledger has room for; where that is told, [`no_room`](Self::no_room) is called then.
    fn enter(
        book: &mut Self::Book<'_>,
        within: Scope,
        key: u32,
        budget: &Budget,
        now: Duration,
    ) -> Result<Scope, Self::Over>;

    /// The run stops since there is no room for the limit of a part: notes that.
    fn no_room(book: &mut Self::Book<'_>);

    /// Such a part is over.
    fn leave(book: &Self::Book<'_>, scope: Scope, now: Duration);
}
