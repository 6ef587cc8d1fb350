//! The store that is looked into.

use std::{path::PathBuf, time::Duration};

use stroma::{
    RunId,
    store::{Begun, RedbStore, RedbView, RedisStore, Store, StoreError, StoreErrorKind, inspect::RunView},
};

use crate::{args::At, text::plain, trouble::Trouble};

/// Of no consequence for who looks, and for who forgets.
const TTL: Duration = Duration::from_secs(24 * 3_600);
/// How long a server that is away is waited for before it is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store that is looked into, and its name for messages.
pub(crate) struct Source {
    pub(crate) name: String,
    store: Kind,
}

enum Kind {
    File { path: PathBuf, view: Box<RedbView> },
    Server(RedisStore),
}

impl Source {
    pub(crate) fn open(at: &At) -> Result<Self, Trouble> {
        let Some(place) = at.place.as_deref().filter(|place| !place.is_empty()) else {
            return Err(Trouble::usage("which store? Say its path or URL first, or set STROMA_STORE"));
        };
        let name = redacted(place);
        let store = if is_url(place) {
            let store = RedisStore::new(place, TTL).map_err(|_| {
                Trouble::usage(format!("`{name}` is no URL of a server: it is like `redis://host:6379/0`"))
            })?;
            Kind::Server(store.with_prefix(&at.prefix).with_patience(PATIENCE))
        } else {
            let path = PathBuf::from(place);
            let view = RedbView::open(&path).map_err(|error| Trouble::store(&name, &error))?;
            Kind::File { path, view: Box::new(view) }
        };
        Ok(Self { name, store })
    }

    /// Whether a run may be handed over twice.
    pub(crate) const fn may_repeat(&self) -> bool {
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
        match &mut self.store {
            Kind::File { view, .. } => {
                let mut runs = view.runs();
                while let Some(page) = runs.next_page().map_err(failed)? {
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
        let found = match &mut self.store {
            Kind::File { view, .. } if values => view.export(run),
            Kind::File { view, .. } => view.look(run),
            Kind::Server(store) if values => store.export(run).await,
            Kind::Server(store) => store.look(run).await,
        };
        found.map_err(|error| Trouble::store(&self.name, &error))
    }

    pub(crate) async fn look(&mut self, run: &RunId) -> Result<RunView, Trouble> {
        self.find(run, false).await?.ok_or_else(|| Trouble::unknown(run))
    }

    /// Deletes the run.
    pub(crate) async fn forget(self, run: &RunId) -> Result<(), Trouble> {
        let forgotten = match self.store {
            Kind::File { path, view } => {
                drop(view);
                match RedbStore::open(path) {
                    Ok(store) => done(&store, run).await,
                    Err(error) => Err(error),
                }
            }
            Kind::Server(store) => done(&store, run).await,
        };
        match forgotten {
            Ok(true) => Ok(()),
            Ok(false) => Err(Trouble::unknown(run)),
            Err(error) => Err(match error.kind() {
                StoreErrorKind::Busy { until } => Trouble::held(run, until),
                _ => Trouble::store(&self.name, &error),
            }),
        }
    }
}

async fn done(store: &impl Store, run: &RunId) -> Result<bool, StoreError> {
    match store.forget(run) {
        Begun::Done(forgotten) => forgotten,
        Begun::Pending(forgetting) => forgetting.await,
    }
}

fn is_url(place: &str) -> bool {
    place.contains("://") || place.starts_with("unix:")
}

/// The store's name without what is nobody else's business: who logs in, with which password.
pub(crate) fn redacted(place: &str) -> String {
    if !is_url(place) {
        return plain(place).into_owned();
    }
    let place = place.split_once('?').map_or(place, |(front, _)| front);
    let shown = match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => place.to_owned(),
    };
    plain(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn no_password_is_shown() {
        for (place, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("rediss://user:se@cret@host/1", "rediss://host/1"),
            ("redis://:secret@host", "redis://host"),
            ("unix:///run/redis.sock?pass=secret", "unix:///run/redis.sock"),
            ("redis+unix:///run/redis.sock?db=1&user=a&pass=secret", "redis+unix:///run/redis.sock"),
            ("runs?.redb", "runs?.redb"),
        ] {
            assert_eq!(redacted(place), shown);
        }
    }
}
