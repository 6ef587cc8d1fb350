//! Nodes that do as they are told and write down what happens to them.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::error::Oops;

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// All so far, and it begins anew.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Says that it was dropped, unless it was told that all went to its end.
pub(crate) struct Guard {
    log: Log,
    id: &'static str,
    over: bool,
}

impl Guard {
    pub(crate) fn begin(log: &Log, id: &'static str) -> Self {
        log.add(format!("{id} begins"));
        Self { log: log.clone(), id, over: false }
    }

    pub(crate) fn end(mut self, how: &str) {
        self.over = true;
        self.log.add(format!("{} {how}", self.id));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.over {
            self.log.add(format!("{} dropped", self.id));
        }
    }
}

/// What one call of a scripted node does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Yields the input plus one.
    Go,
    /// Fails at once.
    Fail(Oops),
    /// Waits on tokio's clock, then yields the input plus one.
    Slow(Duration),
    /// Waits on tokio's clock, then fails.
    SlowFail(Duration, Oops),
    /// Never ends.
    Hang,
    /// Panics.
    Panic(&'static str),
}

pub(crate) type Fut = Pin<Box<dyn Future<Output = Result<u32, Oops>> + Send>>;

/// A node that does as it is told, call by call; when nothing is left to be told it yields the input plus one.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    id: &'static str,
    log: Log,
    acts: Arc<Mutex<VecDeque<Act>>>,
    calls: Arc<AtomicU32>,
}

impl Scripted {
    pub(crate) fn new(log: &Log, id: &'static str, acts: impl IntoIterator<Item = Act>) -> Self {
        let acts = Arc::new(Mutex::new(acts.into_iter().collect()));
        Self { id, log: log.clone(), acts, calls: Arc::default() }
    }

    /// One that always succeeds.
    pub(crate) fn fine(log: &Log, id: &'static str) -> Self {
        Self::new(log, id, [])
    }

    /// One that always does the same.
    pub(crate) fn always(log: &Log, id: &'static str, act: Act) -> Self {
        Self::new(log, id, std::iter::repeat_n(act, 10_000))
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Tells it what to do from now on.
    pub(crate) fn tell(&self, acts: impl IntoIterator<Item = Act>) {
        *self.acts.lock().unwrap() = acts.into_iter().collect();
    }

    /// The function for `node(id, ..)`.
    pub(crate) fn f(&self) -> impl Fn(u32) -> Fut + Send + Sync + Clone + 'static + use<> {
        let this = self.clone();
        move |x| {
            this.calls.fetch_add(1, Ordering::SeqCst);
            let act = this.acts.lock().unwrap().pop_front().unwrap_or(Act::Go);
            let guard = Guard::begin(&this.log, this.id);
            Box::pin(async move {
                let ended = match act {
                    Act::Go => Ok(x + 1),
                    Act::Fail(error) => Err(error),
                    Act::Slow(time) => {
                        tokio::time::sleep(time).await;
                        Ok(x + 1)
                    }
                    Act::SlowFail(time, error) => {
                        tokio::time::sleep(time).await;
                        Err(error)
                    }
                    Act::Hang => std::future::pending().await,
                    Act::Panic(message) => std::panic::panic_any(message),
                };
                guard.end(if ended.is_ok() { "ends" } else { "fails" });
                ended
            })
        }
    }
}
