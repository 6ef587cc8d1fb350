//! A store around another one, that sees each checkpoint at the moment when it is safe.
//!
//! The other example, `llm`, has it too. It tells the progress of the program, and it is how `--kill-after` is honest: the process is killed when the inner store has reported
//! that the output is on the disk, not a moment earlier and with nothing of the program run in between.

use std::{
    fs,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use stroma::{
    RunId, Slot, SlotKind,
    store::{self, Access, Begun, Encode, RedbSession, RedbStore, Session, Store, StoreError},
};

use crate::progress::Progress;

/// When to kill this process.
#[derive(Debug)]
pub(crate) struct Kill {
    /// The node after which to do it.
    pub(crate) after: String,
    /// A file that says that it was done, so that the same command again goes on instead of dying once more.
    pub(crate) note: PathBuf,
}

impl Kill {
    /// Writes the note and does it.
    fn now(&self, progress: &Progress) -> ! {
        // Another thread may come here at the same time, and would empty the note to write it again: it waits, and dies with us.
        static ONLY: Mutex<()> = Mutex::new(());
        let _only = ONLY.lock();
        let noted = fs::write(&self.note, &self.after);
        progress.clear();
        let me = env!("CARGO_CRATE_NAME");
        eprintln!("{me}: `{}` is checkpointed: SIGKILL. The same command again goes on.", self.after);
        if let Err(error) = noted {
            eprintln!("{me}: (it will do this again: {} cannot be written: {error})", self.note.display());
        }
        #[cfg(unix)]
        {
            use rustix::process::{Signal, getpid, kill_process};
            // It can only fail for another process.
            let _ = kill_process(getpid(), Signal::KILL);
        }
        // Where there are no signals, this is as sudden.
        std::process::abort()
    }
}

/// A [`RedbStore`] that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: RedbStore,
    watcher: Arc<Watcher>,
}

/// Who is told.
#[derive(Debug)]
struct Watcher {
    progress: Progress,
    kill: Option<Kill>,
}

impl Watched {
    /// Watches `inner`.
    pub(crate) fn new(inner: RedbStore, progress: Progress, kill: Option<Kill>) -> Self {
        Self { inner, watcher: Arc::new(Watcher { progress, kill }) }
    }
}

impl Store for Watched {
    type Session<'a> = WatchedSession;
    type Opening<'a> = Opening;
    type Forgetting<'a> = store::RedbForgetting;

    // So that the command `stroma` can name the nodes.
    fn introduce(&self, shape: u64, outline: impl std::fmt::Display) {
        self.inner.introduce(shape, outline);
    }

    fn open(&self, run: &RunId, access: Access) -> Begun<Result<WatchedSession, StoreError>, Opening> {
        let watched = |inner| WatchedSession { inner, watcher: Arc::clone(&self.watcher) };
        match self.inner.open(run, access) {
            Begun::Done(opened) => Begun::Done(opened.map(watched)),
            Begun::Pending(inner) => Begun::Pending(Opening { inner, watcher: Arc::clone(&self.watcher) }),
        }
    }

    fn forget(&self, run: &RunId) -> Begun<Result<bool, StoreError>, store::RedbForgetting> {
        self.inner.forget(run)
    }
}

/// A session that is watched.
#[derive(Debug)]
pub(crate) struct WatchedSession {
    inner: RedbSession,
    watcher: Arc<Watcher>,
}

impl WatchedSession {
    fn writing(&self, inner: store::RedbWriting, node: Option<&'static str>) -> Writing {
        Writing { inner, node, watcher: Arc::clone(&self.watcher) }
    }
}

impl Session for WatchedSession {
    type Writing = Writing;
    type Reading = store::RedbReading;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.inner.is_new()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.inner.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.inner.each_slot(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Writing> {
        let node = (slot.kind == SlotKind::Output).then_some(slot.node);
        match self.inner.put(slot, value, ledger) {
            Begun::Done(result) => {
                if result.is_ok() {
                    self.watcher.saved(node);
                }
                Begun::Done(result)
            }
            Begun::Pending(inner) => Begun::Pending(self.writing(inner, node)),
        }
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, store::RedbReading> {
        self.inner.load(slot, read)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Writing> {
        match self.inner.put_ledger(ledger) {
            Begun::Done(result) => Begun::Done(result),
            Begun::Pending(inner) => Begun::Pending(self.writing(inner, None)),
        }
    }

    fn ledger(&self) -> &[u8] {
        self.inner.ledger()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Writing> {
        match self.inner.discard(doomed) {
            Begun::Done(result) => Begun::Done(result),
            Begun::Pending(inner) => Begun::Pending(self.writing(inner, None)),
        }
    }

    fn finished(&mut self) {
        self.inner.finished();
    }
}

/// What opening waits for.
#[derive(Debug)]
pub(crate) struct Opening {
    inner: store::RedbOpening,
    watcher: Arc<Watcher>,
}

impl Future for Opening {
    type Output = Result<WatchedSession, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let opened = ready!(Pin::new(&mut self.inner).poll(task));
        Poll::Ready(opened.map(|inner| WatchedSession { inner, watcher: Arc::clone(&self.watcher) }))
    }
}

/// What a write waits for.
#[derive(Debug)]
pub(crate) struct Writing {
    inner: store::RedbWriting,
    /// The node whose output it is.
    node: Option<&'static str>,
    watcher: Arc<Watcher>,
}

impl Future for Writing {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.inner).poll(task));
        if result.is_ok() {
            self.watcher.saved(self.node);
        }
        Poll::Ready(result)
    }
}

impl Watcher {
    /// An output is on the disk.
    fn saved(&self, node: Option<&'static str>) {
        let Some(node) = node else { return };
        if let Some(kill) = self.kill.as_ref().filter(|kill| kill.after == node) {
            kill.now(&self.progress);
        }
        self.progress.saved(node);
    }
}
