//! The store that is looked into.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stroma::{
    RunId,
    store::{Begun, RedbStore, RedbView, RedisStore, Store, StoreError, StoreErrorKind, inspect::RunView},
};

use crate::{
    args::StoreArgs,
    place::{betrays, is_url, redacted},
    text::plain,
    trouble::{Trouble, notice},
};

/// Of no consequence for who looks, and for who forgets.
const TTL: Duration = Duration::from_secs(24 * 3_600);
/// How long a server that is away is waited for before it is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store that is looked into, and its name for messages.
pub(crate) struct Source {
    pub(crate) name: String,
    patient: Patient,
    store: Kind,
}

enum Kind {
    File { path: PathBuf, view: Box<RedbView> },
    Server(RedisStore),
}

impl Source {
    /// Opens it; what there is to say about it meanwhile is said as JSON or as text.
    pub(crate) fn open(args: &StoreArgs, json: bool) -> Result<Self, Trouble> {
        let Some(place) = args.place.as_deref().filter(|place| !place.is_empty()) else {
            return Err(Trouble::usage("which store? Say its path or URL first, or set STROMA_STORE"));
        };
        let url = place.to_string_lossy();
        let name = redacted(&url);
        let patient = Patient::new(&name, json);
        let store = if is_url(&url) {
            let store = RedisStore::new(&url, TTL).map_err(|error| {
                let why = why(&error, &url);
                Trouble::usage(format!("`{name}` is no URL of a server: it is like `redis://host:6379/0`{why}"))
            })?;
            let store = match &args.prefix {
                Some(prefix) => store.with_prefix(prefix),
                None => store,
            };
            Kind::Server(store.with_patience(PATIENCE))
        } else if args.prefix.is_some() {
            return Err(Trouble::usage(format!(
                "`--prefix` is of keys on a server, and `{name}` is a file: leave it out"
            )));
        } else {
            let path = PathBuf::from(place);
            let view = patient.wait(|| RedbView::open(&path)).map_err(|error| Trouble::store(&name, &error))?;
            Kind::File { path, view: Box::new(view) }
        };
        Ok(Self { name, patient, store })
    }

    /// Whether it was said that the file is waited for.
    pub(crate) fn was_told(&self) -> bool {
        self.patient.told.load(Ordering::Acquire)
    }

    /// Whether it is a server: it may hand over a run twice, and may be away for a while.
    pub(crate) const fn is_server(&self) -> bool {
        matches!(self.store, Kind::Server(_))
    }

    /// How often a look does no harm.
    pub(crate) const fn every(&self) -> Duration {
        match self.store {
            Kind::File { .. } => Duration::from_millis(250),
            Kind::Server(_) => Duration::from_secs(1),
        }
    }

    /// Hands over all runs, some at a time.
    pub(crate) async fn each(
        &mut self,
        mut take: impl FnMut(Vec<RunView>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let failed = |error: StoreError| Trouble::store(&self.name, &error);
        let patient = &self.patient;
        match &mut self.store {
            Kind::File { view, .. } => {
                let mut runs = view.runs();
                while let Some(page) = patient.wait(|| runs.next_page()).map_err(failed)? {
                    take(page)?;
                }
            }
            Kind::Server(store) => {
                let mut runs = store.runs();
                while let Some(page) = runs.next_page().await.map_err(failed)? {
                    take(page)?;
                }
            }
        }
        Ok(())
    }

    /// One run, where there is one.
    pub(crate) async fn find(&mut self, run: &RunId, values: bool) -> Result<Option<RunView>, Trouble> {
        let patient = &self.patient;
        let found = match &mut self.store {
            Kind::File { view, .. } if values => patient.wait(|| view.export(run)),
            Kind::File { view, .. } => patient.wait(|| view.look(run)),
            Kind::Server(store) if values => store.export(run).await,
            Kind::Server(store) => store.look(run).await,
        };
        found.map_err(|error| Trouble::store(&self.name, &error))
    }

    pub(crate) async fn look(&mut self, run: &RunId) -> Result<RunView, Trouble> {
        self.find(run, false).await?.ok_or_else(|| Trouble::unknown(run))
    }

    /// Opens it to delete runs.
    pub(crate) fn into_forgetful(self) -> Result<Forgetful, Trouble> {
        Ok(match self.store {
            Kind::File { path, view } => {
                drop(view);
                let store = self.patient.wait(|| RedbStore::open(path));
                Forgetful::File(store.map_err(|error| Trouble::store(&self.name, &error))?, self.name)
            }
            Kind::Server(store) => Forgetful::Server(store, self.name),
        })
    }
}

/// A store that runs are deleted from, and its name for messages.
pub(crate) enum Forgetful {
    File(RedbStore, String),
    Server(RedisStore, String),
}

impl Forgetful {
    pub(crate) async fn forget(&self, run: &RunId) -> Result<(), Trouble> {
        match self {
            Self::File(store, name) => forget(store, name, run).await,
            Self::Server(store, name) => forget(store, name, run).await,
        }
    }
}

/// Who waits for a file, and says so once where that takes long.
struct Patient {
    text: String,
    json: bool,
    told: Arc<AtomicBool>,
}

impl Patient {
    /// When it is said.
    const QUIET: Duration = Duration::from_secs(2);

    fn new(name: &str, json: bool) -> Self {
        let text =
            format!("waiting for the file `{name}`: another program may be in the middle of a write, or it is large");
        Self { text, json, told: Arc::default() }
    }

    fn wait<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.told.load(Ordering::Acquire) {
            return work();
        }
        let (text, json, told) = (self.text.clone(), self.json, Arc::clone(&self.told));
        let telling = tokio::spawn(async move {
            tokio::time::sleep(Self::QUIET).await;
            told.store(true, Ordering::Release);
            notice(json, &text);
        });
        let done = work();
        telling.abort();
        done
    }
}

/// What the library has against the URL, where nothing that is not to be seen is in it.
fn why(error: &StoreError, url: &str) -> String {
    let detail = error.detail().to_string();
    // Before it is what a URL looks like, and behind it what kind of error that is.
    let why = detail.split_once("`: ").map_or(&*detail, |(_, why)| why).replace(" - InvalidClientConfig", "");
    if betrays(&why, url) { String::new() } else { format!(" ({})", plain(&why)) }
}

async fn forget(store: &impl Store, name: &str, run: &RunId) -> Result<(), Trouble> {
    let forgotten = match store.forget(run) {
        Begun::Done(forgotten) => forgotten,
        Begun::Pending(forgetting) => forgetting.await,
    };
    match forgotten {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::unknown(run)),
        Err(error) => Err(match error.kind() {
            StoreErrorKind::Busy { until } => Trouble::held(run, until),
            _ => Trouble::store(name, &error),
        }),
    }
}
