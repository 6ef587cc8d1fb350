//! What the tests of the store have in common.

mod errors;
mod fences;
mod hand;
mod holders;
mod journals;
mod leases;
mod model;
mod runs;
mod views;

use alloc::{sync::Arc, task::Wake, vec::Vec};
use core::{
    future::Future,
    task::{Context, Poll, Waker},
};
use std::{
    fs,
    path::{Path, PathBuf},
    thread::{self, Thread},
};

use tempfile::TempDir;
use uuid::Uuid;

use super::{RedbSession, RedbStore, holder::Holder};
use crate::{
    run::RunId,
    slot::{Slot, SlotKind},
    store::{Access, Begun, Session, Store, StoreError, StoreErrorKind, raw::Raw},
};

/// The smallest executor there is: the store must need no more.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = core::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

pub(super) fn ended<T>(
    begun: Begun<Result<T, StoreError>, impl Future<Output = Result<T, StoreError>>>,
) -> Result<T, StoreError> {
    match begun {
        Begun::Done(result) => result,
        Begun::Pending(future) => wait(future),
    }
}

pub(super) fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

pub(super) const BUSY: Option<StoreErrorKind> = Some(StoreErrorKind::Busy { until: None });

pub(super) fn output(node: &'static str) -> Slot<'static> {
    Slot { node, index: 0, instance: 0, kind: SlotKind::Output }
}

pub(super) fn id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

pub(super) fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a folder/that is new/runs.redb");
    (folder, path)
}

pub(super) fn open(store: &RedbStore, run: &str) -> Result<RedbSession, StoreError> {
    ended(store.open(&id(run), Access::Create))
}

pub(super) fn existing(store: &RedbStore, run: &str) -> Result<RedbSession, StoreError> {
    ended(store.open(&id(run), Access::Existing))
}

pub(super) fn put(session: &mut RedbSession, slot: Slot<'static>, bytes: &[u8]) -> Result<(), StoreError> {
    ended(session.put(slot, Raw(bytes), b""))
}

pub(super) fn load(session: &mut RedbSession, slot: Slot<'_>) -> Result<Vec<u8>, StoreError> {
    ended(session.load(slot, <[u8]>::to_vec))
}

pub(super) fn holders(path: &Path) -> usize {
    fs::read_dir(Holder::folder(&path.canonicalize().unwrap()))
        .unwrap()
        .filter(|entry| Uuid::try_parse(entry.as_ref().unwrap().file_name().to_str().unwrap()).is_ok())
        .count()
}

pub(super) fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}
