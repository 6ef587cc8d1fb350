//! A server that many machines share: checkpoints in Redis.
//!
//! A run is a hash that says who has it and a log that only its holder can append to; a checkpoint is one command. What is on the
//! server is in `script`, how it gets there in `driver`.

#![allow(clippy::result_large_err, reason = "a store's error has its words in it, without a heap")]

mod answer;
mod bell;
mod driver;
mod error;
mod line;
mod log;
mod script;
mod session;
mod settings;
mod stream;
#[cfg(feature = "redis-tls")]
mod tls;
mod work;

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::{fmt, time::Duration};
use std::sync::{Mutex, PoisonError};

use ::redis::Client;
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{self, UnboundedSender},
        oneshot,
    },
    task::unconstrained,
};

pub use self::session::{RedisForgetting, RedisOpening, RedisReading, RedisSession, RedisWriting};
use self::{
    driver::Driver,
    session::ended,
    settings::Settings,
    work::{Asking, Work},
};
use super::{Access, Begun, Store, StoreError, StoreErrorKind, inspect::RunView};
use crate::run::RunId;

/// How long a session holds its run without renewing that, unless it is said.
const LEASE: Duration = Duration::from_secs(30);
/// The shortest lease: it is renewed three times in its term, and a slow answer must not end it.
const LEASE_MIN: Duration = Duration::from_millis(100);
/// How long the server may be away before an operation fails, unless it is said.
const PATIENCE: Duration = Duration::from_secs(30);
/// What all keys begin with, unless it is said.
const PREFIX: &str = "stroma";

/// A store on a Redis server: for many machines.
///
/// A run is a hash with the key `<prefix>:{<run>}`, and a list with a key that begins like that. A checkpoint is one command, and the ledger is written with it; the
/// server says that it is done before the run goes on. How durable that is, is the server's affair: with
/// `appendfsync always` it survives all that the disk survives, with `everysec` a crash of the server can lose the last
/// second, and without an append-only file a restart loses what came after the last snapshot. A run whose data disappeared
/// ends with [`Gone`](StoreErrorKind::Gone) at its next checkpoint, never with half of it.
///
/// # Leases
/// A session holds its run for a term, 30 s or what [`with_lease`](Self::with_lease) says, and renews that by itself for as
/// long as it lives, however long a node takes. Where a process dies, its runs can be had when the term is over; until then
/// they are [`Busy`](StoreErrorKind::Busy). Who was taken for dead and was only slow is refused by every write, as
/// [`Fenced`](StoreErrorKind::Fenced): its writes go to a key that is no more, whatever any clock says. The terms are counted
/// by the server's clock alone.
///
/// # When the server is away
/// An operation that fails because the connection was lost, or the server is starting, out of memory, read-only or busy, is
/// tried again for 30 s, or what [`with_patience`](Self::with_patience) says, on a new connection where that is called for.
/// A `.deadline(..)` in the pipeline ends the wait earlier. What is said twice is done once. Wrong credentials and whatever
/// else the server says that no wait can mend are told at once.
///
/// # The runtime
/// The connection is a tokio task of the runtime on which the store was used first, which needs its I/O and its timer
/// enabled; with the runtime it ends, and is made anew on the next. The futures can be awaited anywhere. A clone is the
/// same store. Before a program ends, [`flush`](Self::flush) makes sure that all runs were given back. Its times are real
/// ones, as the server's are, also in a test that pauses tokio's clock; there, whatever else is timed may run ahead of them.
///
/// ```no_run
/// use stroma::prelude::*;
/// use stroma::store::RedisStore;
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("no such invoice")]
/// # struct AppError;
/// # impl Failure for AppError {}
/// # async fn total(invoice: u32) -> Result<u64, AppError> { Ok(u64::from(invoice)) }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::new("redis://127.0.0.1/", secs(24 * 3_600))?;
/// store.reach().await?;
/// let runner = Runner::quick(node("total", total)).with_store(store.clone()).build()?;
/// let done = runner.run_as(RunId::new("invoice 2026/17")?, 17).await?;
/// store.flush().await;
/// # let _ = done;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore {
    settings: Arc<Settings>,
    driver: Arc<Mutex<Option<UnboundedSender<Work>>>>,
}

impl RedisStore {
    /// The store on the server at `url`. Its runs expire `ttl` after their last checkpoint, at the earliest after half of that;
    /// a run that somebody executes does not expire.
    ///
    /// Nothing is connected yet, so a program may start before its server does; [`reach`](Self::reach) asks for it.
    ///
    /// ```text
    /// redis://[<user>][:<password>@]<host>[:<port>][/<database>]
    /// rediss://..                    the same over TLS, with feature `redis-tls`
    /// redis+unix:///<path>[?db=<database>][&user=<user>][&pass=<password>]
    /// ```
    ///
    /// ```
    /// use stroma::{secs, store::RedisStore};
    ///
    /// let store = RedisStore::new("redis://127.0.0.1:6379/", secs(3_600))?;
    /// # let _ = store;
    /// # Ok::<(), stroma::store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`Misconfigured`](StoreErrorKind::Misconfigured) when `url` is no such URL, when it asks for TLS without the feature, or
    /// when `ttl` is shorter than a second.
    pub fn new(url: &str, ttl: Duration) -> Result<Self, StoreError> {
        if ttl < Duration::from_secs(1) {
            let detail = "a run that expires within a second cannot be resumed: give it longer to live";
            return Err(error::of(StoreErrorKind::Misconfigured, detail));
        }
        let client = Client::open(url).map_err(|error| unusable(url, &error))?;
        Ok(Self::of(Settings {
            client,
            ttl,
            lease: LEASE.min(ttl),
            wait_for: Duration::ZERO,
            patience: PATIENCE,
            prefix: PREFIX.to_string(),
            outlines: Arc::default(),
            #[cfg(feature = "redis-tls")]
            trust: tls::Trust::default(),
        }))
    }

    fn of(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), driver: Arc::default() }
    }

    /// The same with another setting, and with a connection of its own.
    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        Self::of(settings)
    }

    /// Holds runs for `term` at a time; 30 s without this. It is renewed three times in a term. The longer it is, the longer
    /// the runs of a process that died stay busy; the shorter, the sooner one that is only slow loses them. Less than 100 ms is
    /// taken as that, and more than the time to live as the time to live.
    #[must_use]
    pub fn with_lease(self, term: Duration) -> Self {
        self.with(|settings| settings.lease = term.max(LEASE_MIN).min(settings.ttl))
    }

    /// Waits for up to `max` when a run that is opened or forgotten is [`Busy`](StoreErrorKind::Busy), until it is given back
    /// or its lease runs out. Without this it is an error at once. Dropping the future ends the wait.
    #[must_use]
    pub fn wait_for(self, max: Duration) -> Self {
        self.with(|settings| settings.wait_for = max)
    }

    /// Tries an operation again for up to `max` while the server is away or cannot; 30 s without this, and with zero once. A
    /// server that owes an answer for so long, but at least for 100 ms and at most for 5 s, counts as away.
    #[must_use]
    pub fn with_patience(self, max: Duration) -> Self {
        self.with(|settings| settings.patience = max)
    }

    /// Begins all keys with `prefix`; `stroma` without this. Two programs with runs of the same ids want two.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        self.with(|settings| settings.prefix = prefix.into())
    }

    /// Trusts the servers whose certificates one of these has signed, in PEM form, in place of those that the system trusts: for a
    /// server with an authority of its own.
    ///
    /// # Errors
    /// [`Misconfigured`](StoreErrorKind::Misconfigured) when there is no certificate in `pem`.
    #[cfg(feature = "redis-tls")]
    pub fn with_root_certificate(self, pem: impl AsRef<[u8]>) -> Result<Self, StoreError> {
        let trust =
            tls::Trust::in_pem(pem.as_ref()).map_err(|error| error::of(StoreErrorKind::Misconfigured, error))?;
        Ok(self.with(|settings| settings.trust = trust))
    }

    /// Asks whether the server is there and lets this program in. It tries once and does not wait for a server that is away.
    ///
    /// # Errors
    /// [`Unavailable`](StoreErrorKind::Unavailable), or [`Denied`](StoreErrorKind::Denied) where the credentials or their
    /// permissions are not enough.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn reach(&self) -> Result<(), StoreError> {
        let (answer, reached) = oneshot::channel();
        self.ask(Work::Reach { answer });
        reached.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Waits until everything that was asked for before is done, or was tried for as long as it may be; the runs of sessions
    /// that were dropped are given back by then. A run that somebody else holds is not waited for, even where
    /// [`wait_for`](Self::wait_for) says so.
    ///
    /// To be called where a program ends: its runtime ends with it, and what was not given back stays busy until its lease runs
    /// out.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn flush(&self) {
        let (answer, flushed) = oneshot::channel();
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Where there is no task there is nothing to wait for.
        if driver.is_some_and(|driver| driver.send(Work::Flush { answer }).is_ok()) {
            let _ = flushed.await;
        }
    }

    /// The runs that there are, as the server comes across them: some at a time, in no order, and now and then one twice. The server
    /// serves others in between, and no run is taken or kept alive by it.
    ///
    /// ```no_run
    /// # async fn f(store: stroma::store::RedisStore) -> Result<(), stroma::store::StoreError> {
    /// let mut runs = store.runs();
    /// while let Some(page) = runs.next_page().await? {
    ///     for run in page {
    ///         println!("{}: {:?}", run.run, run.holding);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub const fn runs(&self) -> RedisRuns<'_> {
        RedisRuns { store: self, cursor: Some(0) }
    }

    /// What is known of a run without the types of what it keeps, and without the bytes; `None` where there is no such run. It is
    /// neither taken nor kept alive by that, and a server that is away is not waited for.
    ///
    /// # Errors
    /// [`Unavailable`](StoreErrorKind::Unavailable), [`Denied`](StoreErrorKind::Denied), or [`Foreign`](StoreErrorKind::Foreign)
    /// where something else has the run's key.
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn look(&self, run: &RunId) -> Result<Option<RunView>, StoreError> {
        self.see(run, false).await
    }

    /// The same with the bytes of its values, all of one moment.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    pub async fn export(&self, run: &RunId) -> Result<Option<RunView>, StoreError> {
        self.see(run, true).await
    }

    async fn see(&self, run: &RunId, values: bool) -> Result<Option<RunView>, StoreError> {
        let (answer, looked) = oneshot::channel();
        self.ask(Work::Look { run: *run, values, answer });
        looked.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Hands `work` to the task, which is made where there is none. Without a runtime it is dropped, and with it its answer.
    /// What it yields keeps the task at it.
    fn ask(&self, mut work: Work) -> Asking {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*driver {
            match jobs.send(work) {
                Ok(()) => return Some(jobs.clone()),
                Err(refused) => work = refused.0,
            }
        }
        let runtime = Handle::try_current().ok()?;
        let (jobs, inbox) = mpsc::unbounded_channel();
        // It is taken: the other end is still here.
        let _ = jobs.send(work);
        let driven = Driver::new(Arc::clone(&self.settings), inbox, jobs.downgrade()).drive();
        runtime.spawn(unconstrained(driven));
        *driver = Some(jobs.clone());
        Some(jobs)
    }

    fn key(&self, run: &RunId) -> Arc<str> {
        run.with_str(|id| script::run_key(&self.settings.prefix, id).into())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest of the URL may have a password in it.
        f.debug_struct("RedisStore")
            .field("address", &self.settings.client.get_connection_info().addr().to_string())
            .field("prefix", &self.settings.prefix)
            .field("ttl", &self.settings.ttl)
            .field("lease", &self.settings.lease)
            .finish_non_exhaustive()
    }
}

#[diagnostic::do_not_recommend]
impl Store for RedisStore {
    type Session<'a> = RedisSession;
    type Opening<'a> = RedisOpening;
    type Forgetting<'a> = RedisForgetting;

    fn introduce(&self, shape: u64, outline: impl fmt::Display) {
        let mut outlines = self.settings.outlines.lock().unwrap_or_else(PoisonError::into_inner);
        outlines.insert(shape, outline.to_string());
    }

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<RedisSession, StoreError>, RedisOpening> {
        let (answer, opening) = oneshot::channel();
        let asking = self.ask(Work::Open { run: self.key(run), access, answer });
        Begun::Pending(RedisOpening(opening, asking))
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, RedisForgetting> {
        let (answer, forgetting) = oneshot::channel();
        let asking = self.ask(Work::Forget { run: self.key(run), answer });
        Begun::Pending(RedisForgetting(forgetting, asking))
    }
}

/// The runs of a [`RedisStore`], some hundred at a time.
#[derive(Debug)]
pub struct RedisRuns<'s> {
    store: &'s RedisStore,
    cursor: Option<u64>,
}

impl RedisRuns<'_> {
    /// The next of them, `None` at the end. A page may be empty before that. What has a run's key and is none is left out.
    ///
    /// # Errors
    /// [`Unavailable`](StoreErrorKind::Unavailable) or [`Denied`](StoreErrorKind::Denied).
    ///
    /// # Cancel safety
    /// Dropped half-way, the page is read anew with the next call.
    pub async fn next_page(&mut self) -> Result<Option<Vec<RunView>>, StoreError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let (answer, scanned) = oneshot::channel();
        self.store.ask(Work::Scan { cursor, answer });
        let (next, runs) = scanned.await.unwrap_or_else(|_| Err(ended()))?;
        let mut looks = Vec::with_capacity(runs.len());
        for run in runs {
            let (answer, looked) = oneshot::channel();
            self.store.ask(Work::Look { run, values: false, answer });
            looks.push(looked);
        }
        let mut page = Vec::with_capacity(looks.len());
        for looked in looks {
            match looked.await.unwrap_or_else(|_| Err(ended())) {
                Ok(run) => page.extend(run),
                Err(error) if error.kind() == StoreErrorKind::Foreign => {}
                Err(error) => return Err(error),
            }
        }
        self.cursor = Some(next).filter(|next| *next != 0);
        Ok(Some(page))
    }
}

#[cold]
fn unusable(url: &str, error: &::redis::RedisError) -> StoreError {
    if url.starts_with("rediss:") && cfg!(not(feature = "redis-tls")) {
        return error::of(StoreErrorKind::Misconfigured, "`rediss://` wants feature `redis-tls` of stroma");
    }
    error::of(StoreErrorKind::Misconfigured, format_args!("a URL is such as `redis://host:6379/`: {error}"))
}
