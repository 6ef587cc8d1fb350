//! The clauses of a store's contract, and what it looks like when one does not hold.

use alloc::string::String;
use core::{error, fmt};

/// Each clause: its variant and its name, what the contract asks, and why.
macro_rules! properties {
    ($($variant:ident $name:literal $asks:literal because $why:literal)*) => {
        /// One clause of the contract of a [`Store`](crate::store::Store) and its sessions.
        ///
        /// ```
        /// use stroma::testing::Property;
        ///
        /// assert_eq!(Property::OneHolder.name(), "one_holder");
        /// assert!(Property::ALL.iter().all(|property| !property.asks().is_empty()));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Property {
            $(#[doc = concat!("The contract asks: ", $asks, ".")] $variant,)*
        }

        impl Property {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name of the test that is for it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the contract asks.
            pub const fn asks(self) -> &'static str {
                match self {
                    $(Self::$variant => $asks,)*
                }
            }

            /// What it costs a run if the store does otherwise.
            pub const fn why(self) -> &'static str {
                match self {
                    $(Self::$variant => $why,)*
                }
            }
        }
    };
}

properties! {
    OneHolder "one_holder"
        "a run that is held is `Busy` to everybody else, to open and to forget, while other runs are free"
        because "two holders run each node twice and overwrite each other's checkpoints"
    GivenBack "given_back"
        "a session that is dropped gives its run back"
        because "a run that is held by nobody and by nobody's leave can never be resumed"
    OpeningDropped "opening_dropped"
        "a future of `open` that is dropped half-way leaves the run to others"
        because "whoever is cut short while it opens a run would lock it for good"
    UnknownRun "unknown_run"
        "`Existing` refuses a run without a checkpoint with `UnknownRun` and begins none; `Create` begins it"
        because "`resume` of a mistyped id has to be an error, never a fresh start"
    Traceless "no_trace"
        "a run that has no checkpoint when its session ends was never there"
        because "ids that were only looked at would fill the store, and pass for runs that can be resumed"
    PutIsThere "put_is_there"
        "what `put` reported as saved is there whole, in this session and the next, and replaces what the slot had"
        because "a checkpoint that was acknowledged and is not there runs, and pays for, its node again"
    KeysApart "keys_apart"
        "two slots are the same only if node, instance and kind all are, whatever is in the node's id"
        because "a node would be given the output of another"
    RunsApart "runs_apart"
        "no operation touches a run other than its own, whatever is in their ids"
        because "forgetting `a` must not delete what `a:b` has paid for"
    Missing "missing"
        "`load` of a slot that the run does not have is `Missing`"
        because "anything else would be taken for a value, or for a store that is out of order"
    LedgerKept "ledger_kept"
        "a ledger of 1 to `LEDGER_MAX` bytes is kept whole, with a slot and alone, and a shorter one replaces all of a longer"
        because "the ledger is what says how much money is gone"
    EmptyLedger "empty_ledger"
        "a `put` with an empty ledger leaves the stored one"
        because "what the run has spent so far would be forgotten"
    LastLedger "last_ledger"
        "of several writes under way at once, the ledger stays of the one that was asked for last, whichever ends first"
        because "an older ledger in its place says that less was spent than is gone"
    PutDropped "put_dropped"
        "a `put` that is dropped half-way wrote value and ledger or neither"
        because "a value without its ledger is a node that nobody paid for, and half a value is none"
    PutFailed "put_failed"
        "a value that cannot be encoded is `Unserialisable`, and the old value and ledger stay"
        because "a node that fails to save must not destroy what was saved before"
    Discard "discard"
        "`discard` removes just what it was asked to, and leaves the ledger"
        because "what is left over is not run again, and what is missing is paid for twice"
    DiscardDropped "discard_dropped"
        "a `discard` that is dropped half-way removed all that it was asked to, or nothing"
        because "half of a chain would go on from outputs that do not belong together"
    Forget "forget"
        "`forget` says whether there was a run and deletes all of it, the ledger too; dropped half-way, all or nothing"
        because "the next run of that id would begin with what another has left"
    Agrees "agrees"
        "`is_new`, `holds`, `each_slot`, `outputs` and `load` all say the same, which is what was put and not discarded"
        because "what a run goes on with is decided by them alone"
    Sizes "sizes"
        "a value of any size comes back whole, and one that is too large is `TooLarge` with both sizes and leaves the old one"
        because "a value that is cut is another value"
    Slots "slots"
        "a run has as many slots as `slots_per_run` says, and one more is `Full`"
        because "`build` trusts it, and a run that finds no room has paid for a node that it cannot save"
    Runs "runs"
        "as many runs may be held at once as there is room for, one more is `Full`, and all of them stay whole"
        because "room for a new run must not be made of one that is being executed"
    Finished "finished"
        "a run that is `finished` can be read and gone on with as long as the store keeps it"
        because "asking again for a finished run has to yield its result"
    Reopens "reopens"
        "what was saved, discarded and forgotten is so after the store was closed and opened again"
        because "this is what a crash is survived by"
    Shared "shared"
        "two stores in one place are two parties: one holds a run, the other is told `Busy`, and sees what was saved"
        because "two processes would execute the same run"
    Threads "threads"
        "sessions in several threads at once get their own runs, and never another's values"
        because "an executor of many threads polls many runs at once"
}

/// A clause that does not hold, and what the store did instead.
///
/// Its `Debug` is its `Display`, since that is what a test prints that returns it.
///
/// ```
/// use stroma::{store::HeapStore, testing::{Property, check}};
///
/// // What is in memory is gone with its store.
/// let breach = check(Property::Reopens, &HeapStore::new).unwrap_err();
/// assert!(breach.to_string().starts_with("the store breaks `reopens`"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Breach {
    property: Property,
    did: String,
}

impl Breach {
    pub(super) fn new(property: Property, did: String) -> Self {
        Self { property, did }
    }

    /// The clause.
    pub fn property(&self) -> Property {
        self.property
    }

    /// What the store did.
    pub fn did(&self) -> &str {
        &self.did
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { property, did } = self;
        write!(f, "the store breaks `{}`\n  it did: {did}\n", property.name())?;
        write!(f, "  the contract asks: {}\n  because {}", property.asks(), property.why())
    }
}

impl fmt::Debug for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for Breach {}
