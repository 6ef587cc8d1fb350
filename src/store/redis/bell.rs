//! A waker for what is polled inside of one task.

use alloc::{sync::Arc, task::Wake};
use core::{
    sync::atomic::{AtomicBool, Ordering},
    task::Waker,
};

use futures_util::task::AtomicWaker;

/// How often in a row to look again without giving way to other tasks.
const ROUNDS: u32 = 4;

/// Wakes a task unless it is awake: then the task only looks once more. What a task polls wakes it at every message from
/// one to the other, and to wake a task that runs makes some other thread get up for nothing.
#[derive(Debug, Default)]
pub(super) struct Bell {
    awake: AtomicBool,
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Bell {
    /// The task is awake from here on.
    pub(super) fn wake_up(&self, task: &Waker) {
        self.task.register(task);
        self.awake.store(true, Ordering::SeqCst);
    }

    /// Whoever rang before is about to be asked.
    pub(super) fn hush(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    /// Whether the task may sleep, after it has looked so many times: nobody rang since it looked last. Once that was
    /// often enough, it is woken by the runtime, which lets others go first.
    pub(super) fn may_sleep(&self, looked: u32) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        if !self.rung.swap(false, Ordering::SeqCst) {
            return true;
        }
        if looked >= ROUNDS {
            self.task.wake();
            return true;
        }
        self.awake.store(true, Ordering::SeqCst);
        false
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Either this sees that the task has gone to sleep, or the task sees that somebody rang before it does.
        self.rung.store(true, Ordering::SeqCst);
        if !self.awake.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}
