//! The store that is put to the test.

use core::{fmt, future::Future, time::Duration};

use crate::store::Store;

/// What is put to the test: how a store is made, and what it promises. A closure that makes a store is one; whatever else is
/// to be said, a [`Suite`] says.
///
/// ```
/// use stroma::{store::HeapStore, testing::Subject};
///
/// fn is_one(_: impl Subject<Store = HeapStore>) {}
/// is_one(|| HeapStore::with_capacity(40));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how a store is made",
    label = "is neither a closure that makes a store nor a `Suite`",
    note = "a closure without arguments, `|| MyStore::new()`, makes a store; `Suite::at(place, async |place| ..)` opens one in a \
            place, and says what it promises"
)]
pub trait Subject {
    /// The store.
    type Store: Store;
    /// Where it keeps things. It outlives the store, and is dropped after it.
    type Place;

    /// A place of its own for each test, with nothing in it.
    fn place(&self) -> Self::Place;

    /// Opens a store in a place.
    fn open(&self, place: &Self::Place) -> impl Future<Output = Self::Store>;

    /// What the store promises.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// What a store promises; a [`Suite`] has the methods that say it.
///
/// ```
/// use stroma::{store::MemoryStore, testing::{Subject, Suite}};
///
/// let suite = Suite::of(MemoryStore::<8, 16, 64>::new).runs(8).slot_max(64);
/// assert_ne!(format!("{:?}", suite.limits()), format!("{:?}", stroma::testing::Limits::default()));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub(super) slot_max: Option<usize>,
    pub(super) runs: Option<usize>,
    pub(in super::super) patience: Duration,
    pub(super) time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { slot_max: None, runs: None, patience: Duration::from_secs(10), time: Duration::from_secs(120) }
    }
}

impl<S: Store, F: Fn() -> S> Subject for F {
    type Store = S;
    type Place = ();

    fn place(&self) {}

    fn open(&self, (): &()) -> impl Future<Output = S> {
        core::future::ready(self())
    }
}

/// A store, and what it promises beyond the contract.
///
/// ```
/// use stroma::{
///     store::{MemoryStore, RedbStore},
///     testing::Suite,
/// };
/// use tempfile::TempDir;
///
/// stroma::testing::conformance! {
///     // Room for 8 runs, and 64 bytes in a slot.
///     mod memory: threads = Suite::of(MemoryStore::<8, 16, 64>::new).runs(8).slot_max(64);
///     // What is saved is still there when the file is opened again, and two stores may share it.
///     mod redb: threads + reopens + shared = Suite::at(
///         || TempDir::new().unwrap(),
///         async |folder: &TempDir| RedbStore::open(folder.path().join("runs.redb")).unwrap(),
///     );
/// }
/// ```
pub struct Suite<P, F> {
    place: P,
    open: F,
    limits: Limits,
}

impl Suite<(), ()> {
    /// A store that each test makes anew.
    pub fn of<S: Store>(make: impl Fn() -> S) -> Suite<impl Fn(), impl AsyncFn(&()) -> S> {
        Suite::at(|| (), async move |(): &()| make())
    }

    /// A store that is opened in a place, which each test has to itself. What needs no place has `|| ()` for one; it is how
    /// to make a store that has to be waited for.
    pub fn at<T, S: Store, P: Fn() -> T, F: AsyncFn(&T) -> S>(place: P, open: F) -> Suite<P, F> {
        Suite { place, open, limits: Limits::default() }
    }
}

impl<P, F> Suite<P, F> {
    /// A slot takes up to `bytes` bytes, at least 16; what is longer is `TooLarge`. Where the id of the node or the ledger take of
    /// the same room: with an id of one byte, and no ledger.
    #[must_use]
    pub fn slot_max(mut self, bytes: usize) -> Self {
        self.limits.slot_max = Some(bytes);
        self
    }

    /// There is room for `runs` runs, at least 2; when all of them are held, one more is `Full`.
    #[must_use]
    pub fn runs(mut self, runs: usize) -> Self {
        self.limits.runs = Some(runs);
        self
    }

    /// How long the store may take to give back a run whose session was dropped: 10 seconds unless said here, zero if it
    /// has to be free at once.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.limits.patience = patience;
        self
    }

    /// How long a check may take as a whole before its store counts as one that never answers: 2 minutes unless said here.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limits.time = limit;
        self
    }
}

impl<P, F> fmt::Debug for Suite<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<T, S: Store, P: Fn() -> T, F: AsyncFn(&T) -> S> Subject for Suite<P, F> {
    type Store = S;
    type Place = T;

    fn place(&self) -> T {
        (self.place)()
    }

    fn open(&self, place: &T) -> impl Future<Output = S> {
        (self.open)(place)
    }

    fn limits(&self) -> Limits {
        self.limits
    }
}
