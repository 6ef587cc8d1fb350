//! The store that is looked into.

use std::{path::PathBuf, time::Duration};

use stroma::{
    RunId,
    store::{Begun, RedbStore, RedbView, RedisStore, Store, StoreError, StoreErrorKind, inspect::RunView},
};

use crate::{
    args::StoreArgs,
    place::{is_url, redacted},
    trouble::{Trouble, notice},
};

/// Of no consequence for who looks, and for who forgets.
const TTL: Duration = Duration::from_secs(24 * 3_600);
/// How long a server that is away is waited for before it is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store that is looked into, and its name for messages.
pub(crate) struct Source {
    pub(crate) name: String,
    json: bool,
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
        let store = if is_url(&url) {
            let store = RedisStore::new(&url, TTL).map_err(|_| {
                Trouble::usage(format!("`{name}` is no URL of a server: it is like `redis://host:6379/0`"))
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
            let opened = Patient { name: &name, json }.wait(|| RedbView::open(&path));
            let view = opened.map_err(|error| Trouble::store(&name, &error))?;
            Kind::File { path, view: Box::new(view) }
        };
        Ok(Self { name, json, store })
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
        let patient = Patient { name: &self.name, json: self.json };
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
        let patient = Patient { name: &self.name, json: self.json };
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

    /// Deletes the runs one after the other, and says which are.
    pub(crate) async fn forget(self, runs: &[RunId], mut done: impl FnMut(&RunId)) -> Result<(), Trouble> {
        match self.store {
            Kind::File { path, view } => {
                drop(view);
                let patient = Patient { name: &self.name, json: self.json };
                let opened = patient.wait(|| RedbStore::open(path));
                let store = opened.map_err(|error| Trouble::store(&self.name, &error))?;
                for run in runs {
                    forget(&store, &self.name, run).await?;
                    done(run);
                }
            }
            Kind::Server(store) => {
                for run in runs {
                    forget(&store, &self.name, run).await?;
                    done(run);
                }
            }
        }
        Ok(())
    }
}

/// Who waits for a file, and says so where that takes long.
struct Patient<'s> {
    name: &'s str,
    json: bool,
}

impl Patient<'_> {
    /// When it is said.
    const QUIET: Duration = Duration::from_secs(2);

    fn wait<T>(&self, work: impl FnOnce() -> T) -> T {
        let text = format!("`{}` is waited for: a program may be stopped in the middle of a write", self.name);
        let json = self.json;
        let telling = tokio::spawn(async move {
            tokio::time::sleep(Self::QUIET).await;
            notice(json, &text);
        });
        let done = work();
        telling.abort();
        done
    }
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
