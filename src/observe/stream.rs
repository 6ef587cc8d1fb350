//! What happens in runs, handed to async code.

use alloc::{
    string::{String, ToString},
    sync::Arc,
};
use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
};

use tokio::sync::mpsc;

use super::{
    Attempt,
    hooks::{Failed, Hooks, Succeeded},
};
use crate::{failure::FailureClass, report::Spent, run::RunId};

/// What happens in the runs of a runner, as owned events: for a progress bar, a socket, a log that takes its time.
///
/// A run never waits for whoever reads: an event for which there is no room is dropped, and counted. The events of one run
/// are in order; those of several runs at once are mixed. It ends once every clone of its hook is gone, so with its runners.
///
/// ```
/// use stroma::{EventKind, EventStream, Runner, node};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (hook, mut stream) = EventStream::bounded(256);
/// let runner = Runner::quick(node("double", double)).with_hooks(hook).build()?;
/// let reading = tokio::spawn(async move {
///     let mut seen = Vec::new();
///     while let Some(event) = stream.next().await {
///         seen.push(format!("{} {:?}", event.node, event.kind).split([' ', '(']).take(2).collect::<String>());
///     }
///     (seen, stream.dropped())
/// });
/// runner.run(3).await.unwrap();
/// drop(runner);
/// assert_eq!(reading.await?, (vec!["doubleStarted".to_owned(), "doubleSucceeded".to_owned()], 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventStream {
    events: mpsc::Receiver<StreamEvent>,
    dropped: Arc<AtomicU64>,
}

impl EventStream {
    /// A stream with room for `room` events that were not read yet, at least one, and the hook that fills it.
    pub fn bounded(room: usize) -> (StreamHook, Self) {
        let (sender, events) = mpsc::channel(room.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        let dropped = Arc::new(AtomicU64::new(0));
        (StreamHook { events: sender, dropped: Arc::clone(&dropped) }, Self { events, dropped })
    }

    /// The next event, or `None` once every hook is gone and all was read.
    ///
    /// # Cancel safety
    /// Dropped while it waits, no event is lost.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        self.events.recv().await
    }

    /// As [`next`](Self::next), to be polled: what an adapter to another kind of stream needs.
    pub fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Option<StreamEvent>> {
        self.events.poll_recv(task)
    }

    /// How many events there was no room for, so far, and how many could not be made since the text of an error panicked.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The hook that fills an [`EventStream`]: for [`with_hooks`](crate::Builder::with_hooks) of one runner or, cloned, of several.
#[derive(Debug, Clone)]
pub struct StreamHook {
    events: mpsc::Sender<StreamEvent>,
    dropped: Arc<AtomicU64>,
}

impl StreamHook {
    fn send(&self, at: Attempt<'_>, kind: impl FnOnce() -> EventKind) {
        match self.events.try_reserve() {
            Ok(room) => {
                // The error's own words are code of the user's, and may panic.
                let lost = Lost(&self.dropped);
                let kind = kind();
                core::mem::forget(lost);
                room.send(StreamEvent {
                    run_id: *at.run_id,
                    node: at.node,
                    instance: at.instance,
                    attempt: at.attempt,
                    kind,
                });
            }
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Counts an event as dropped that was not made.
struct Lost<'a>(&'a AtomicU64);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<In, Out, Er: fmt::Display> Hooks<In, Out, Er> for StreamHook {
    fn on_start(&self, at: Attempt<'_>, _: Option<&In>) {
        self.send(at, || EventKind::Started);
    }

    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.send(at, || EventKind::Succeeded { spent: succeeded.spent });
    }

    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        self.send(at, || EventKind::Failed { class: failed.class, message: failed.to_string(), spent: failed.spent });
    }

    fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
        self.send(at, || EventKind::CutShort { spent });
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamEvent {
    /// The run.
    pub run_id: RunId,
    /// The node's id.
    pub node: &'static str,
    /// The iteration or element that it is of; 0 outside of loops and collections.
    pub instance: u32,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// It began.
    Started,
    /// It succeeded.
    Succeeded {
        /// What it spent.
        spent: Spent,
    },
    /// It failed.
    Failed {
        /// What the failure means.
        class: FailureClass,
        /// What it says.
        message: String,
        /// What it spent.
        spent: Spent,
    },
    /// It was cut short, because a sibling failed or the time of something around it was over.
    CutShort {
        /// What it spent.
        spent: Spent,
    },
}
