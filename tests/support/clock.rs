//! A clock that counts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use stroma::{Clock, ManualClock, ManualSleep, Now};

/// A [`ManualClock`] that counts how often somebody asked it to wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct CountingClock {
    pub(crate) clock: ManualClock,
    sleeps: Arc<Mutex<Vec<Duration>>>,
}

impl CountingClock {
    /// What it was asked to wait so far.
    pub(crate) fn sleeps(&self) -> Vec<Duration> {
        self.sleeps.lock().unwrap().clone()
    }
}

impl Now for CountingClock {
    fn now(&self) -> Duration {
        self.clock.now()
    }
}

impl Clock for CountingClock {
    type Sleep<'a> = ManualSleep;

    fn sleep(&self, duration: Duration) -> ManualSleep {
        self.sleeps.lock().unwrap().push(duration);
        self.clock.sleep(duration)
    }
}
