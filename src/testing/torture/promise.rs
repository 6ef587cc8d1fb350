//! What a pipeline is asked for under torture, and what it looks like when it is not so.

use alloc::string::String;
use core::{error, fmt};

use super::schedule::Schedule;

macro_rules! promises {
    ($($variant:ident $name:literal $asks:literal)*) => {
        /// What has to hold of a run, whatever goes wrong around it.
        ///
        /// ```
        /// assert_eq!(stroma::testing::Promise::SameOutput.name(), "same_output");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Promise {
            $(#[doc = concat!("It is asked that ", $asks, ".")] $variant,)*
        }

        impl Promise {
            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is asked.
            pub const fn asks(self) -> &'static str {
                match self {
                    $(Self::$variant => $asks,)*
                }
            }
        }
    };
}

promises! {
    Watched "watched"
        "the runner has the store and the hooks that the kit lends, by `.with_store(life.store()).with_hooks(life.hooks())`, since \
         else it sees nothing"
    Completes "completes"
        "the run comes to its end when nothing goes wrong"
    Repeats "repeats"
        "two undisturbed runs do the same and yield the same, since else nobody can tell what a fault did; look for random \
         numbers, the time of day, the order of a `HashMap`, and what is kept from run to run outside of the pipeline"
    SameOutput "same_output"
        "the output is that of the undisturbed run; a node may run again until its output is saved, so what it does outside of \
         the pipeline has to bear that"
    RunsOnce "runs_once"
        "no node runs again once its output is saved"
    Attempts "attempts"
        "no execution begins a node more often than its policy allows"
    Spend "spend"
        "what is reported and stored as spent is what the attempts have spent, of a life that died what it had stored"
    NotStuck "not_stuck"
        "a run that has not ended waits for something that will come"
    Ends "ends"
        "a run ends once nothing goes wrong any more"
    Halts "halts"
        "a run halts only for what went wrong, and says so by its type"
    StoreKeeps "store_keeps"
        "the store has what it said that it saved, whole, and nothing else"
    OneHolder "one_holder"
        "the store gives a run to one holder at a time"
    Damage "damage"
        "a damaged checkpoint is a typed error for whoever reads it"
    NoPanic "no_panic"
        "nothing panics"
}

/// A promise that does not hold, with the shortest schedule that shows it.
///
/// Its `Debug` is its `Display`, since that is what a test prints that returns it. [`Torture::run`](super::Torture::run) has an
/// example.
#[derive(Clone)]
pub struct Broken {
    pub(super) promise: Promise,
    pub(super) did: String,
    pub(super) shortest: Schedule,
    pub(super) seed: String,
    pub(super) schedules: usize,
}

impl Broken {
    /// What does not hold.
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// What happened instead.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// The shortest schedule that shows it.
    pub fn shortest(&self) -> &Schedule {
        &self.shortest
    }

    /// What repeats the run in which it was found, before it was made shorter: see [`Torture::replay`](super::Torture::replay).
    pub fn seed(&self) -> &str {
        &self.seed
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, did, shortest, seed, schedules } = self;
        writeln!(f, "the promise `{}` does not hold", promise.name())?;
        writeln!(f, "  what happened: {did}")?;
        writeln!(f, "  it is asked that {}", promise.asks())?;
        writeln!(f, "  shortest schedule, of {schedules} that were tried: {shortest}")?;
        writeln!(f, "  again: STROMA_TORTURE=\"{shortest}\", or .replay(\"{shortest}\", ..)")?;
        write!(f, "  as it was found: STROMA_TORTURE=\"{seed}\"")
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for Broken {}
