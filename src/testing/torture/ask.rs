//! How a store is asked for something, and what goes wrong with that.

use alloc::{boxed::Box, sync::Arc, task::Wake};
use core::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    thread::{self, Thread},
    time::Instant,
};

use tokio::runtime::Handle;

use super::{
    model::Change,
    promise::Promise,
    schedule::{Fault, Op},
    script::{Script, Verdict},
};
use crate::store::{Begun, StoreError, StoreErrorKind};

/// So long without an answer is never.
const HUNG: Duration = Duration::from_secs(60);

/// One life, as the store and the hooks see it.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) script: Arc<Script>,
    pub(super) life: usize,
    /// Where whatever the store has at work in the background works.
    pub(super) background: Handle,
    /// How long the store may take to give back a run.
    pub(super) patience: Duration,
}

/// An answer of the store's that is late, or never comes.
pub struct Answer<T> {
    /// After how many polls it comes, if it does.
    left: Option<u8>,
    answer: Option<Result<T, StoreError>>,
}

impl<T> Answer<T> {
    pub(super) const NEVER: Self = Self { left: None, answer: None };
}

impl<T> Unpin for Answer<T> {}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        match self.left {
            None => Poll::Pending,
            Some(0) => self.answer.take().map_or(Poll::Pending, Poll::Ready),
            Some(left) => {
                self.left = Some(left - 1);
                task.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

pub(super) type Asked<T> = Begun<Result<T, StoreError>, Answer<T>>;

impl Party {
    /// Asks the store for something, unless something goes wrong. `change` is what is in the store if it is done, and `lost` what
    /// to say where it is only said to be done.
    pub(super) fn ask<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        op: Op,
        lost: Option<T>,
        change: impl Fn(&T, Option<Fault>) -> Change,
        mut begin: impl FnMut(Option<Fault>) -> Begun<Result<T, StoreError>, F>,
        unsure: Change,
    ) -> Asked<T> {
        let (verdict, slow) = {
            let mut inside = self.script.inside();
            (inside.asked(self.life, op), inside.schedule.slow)
        };
        let fault = match verdict {
            Verdict::Dead => return Begun::Pending(Answer::NEVER),
            Verdict::Do(fault) => fault,
        };
        let fails = |kind| Begun::Done(Err(StoreError::with_detail(kind, "the torture kit said so")));
        let _context = self.background.enter();
        match (fault, lost) {
            (Some(Fault::DieBefore), _) => return Begun::Pending(Answer::NEVER),
            (Some(Fault::Unavailable), _) => return fails(StoreErrorKind::Unavailable),
            (Some(Fault::Busy), _) => return fails(StoreErrorKind::Busy { until: None }),
            (Some(Fault::Fenced), _) => return fails(StoreErrorKind::Fenced),
            (Some(Fault::Lose), Some(lost)) => return Begun::Done(Ok(lost)),
            (Some(torn @ (Fault::Torn | Fault::TornLater)), _) => {
                let ended = match begin(fault) {
                    Begun::Done(ended) => Poll::Ready(ended),
                    Begun::Pending(future) => {
                        let (mut future, mut task) = (pin!(future), Context::from_waker(Waker::noop()));
                        match future.as_mut().poll(&mut task) {
                            Poll::Pending if torn == Fault::TornLater => future.poll(&mut task),
                            polled => polled,
                        }
                    }
                };
                match ended {
                    Poll::Ready(Ok(done)) => {
                        let change = change(&done, fault);
                        self.script.inside().made(self.life, &change);
                    }
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => self.script.inside().unsure(unsure),
                }
                return Begun::Pending(Answer::NEVER);
            }
            _ => {}
        }
        let Some(mut ended) = self.wait(begin(fault)) else { return Begun::Pending(Answer::NEVER) };
        // A store may take its time to give back what nobody holds any more.
        let since = Instant::now();
        while is_busy(&ended) && since.elapsed() < self.patience && !self.script.inside().is_held() {
            thread::park_timeout(Duration::from_millis(1));
            match self.wait(begin(fault)) {
                Some(again) => ended = again,
                None => return Begun::Pending(Answer::NEVER),
            }
        }
        if fault == Some(Fault::Twice) {
            match self.wait(begin(fault)) {
                Some(again) => ended = ended.and(again),
                None => return Begun::Pending(Answer::NEVER),
            }
        }
        if let Ok(done) = &ended {
            let change = change(done, fault);
            self.script.inside().made(self.life, &change);
        }
        match fault {
            Some(Fault::DieAfter | Fault::Short | Fault::Flip) => Begun::Pending(Answer::NEVER),
            Some(Fault::Unsure) => fails(StoreErrorKind::Unavailable),
            Some(Fault::Late) => Begun::Pending(Answer { left: Some(1), answer: Some(ended) }),
            Some(Fault::Later) => Begun::Pending(Answer { left: Some(4), answer: Some(ended) }),
            _ if slow => Begun::Pending(Answer { left: Some(1), answer: Some(ended) }),
            _ => Begun::Done(ended),
        }
    }

    /// Waits for the store here and now, so that what is tortured sees the same each time, however fast the store is.
    pub(super) fn wait<T, F: Future<Output = T>>(&self, begun: Begun<T, F>) -> Option<T> {
        match begun {
            Begun::Done(done) => Some(done),
            Begun::Pending(future) => wait(&self.script, future),
        }
    }

    pub(super) fn fenced(&self) -> bool {
        self.script.inside().life(self.life).fenced
    }
}

fn is_busy<T>(told: &Result<T, StoreError>) -> bool {
    told.as_ref().is_err_and(|error| matches!(error.kind(), StoreErrorKind::Busy { .. }))
}

/// Waits for a store on this thread, for as long as one may take.
pub(super) fn wait<F: Future>(script: &Script, future: F) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = Box::pin(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let since = Instant::now();
    while since.elapsed() < HUNG {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        thread::park_timeout(HUNG);
    }
    script.inside().wrong(Promise::NotStuck, alloc::format!("the store has not answered for {HUNG:?}"));
    None
}
