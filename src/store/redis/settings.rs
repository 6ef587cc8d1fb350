//! What a store was told when it was made.

use alloc::{string::String, sync::Arc};
use core::time::Duration;
use std::sync::Mutex;

use ::redis::Client;

#[cfg(feature = "redis-tls")]
use super::tls;
use crate::store::inspect::Outlines;

/// A server that does not answer for so long is taken for gone, where an operation may wait that long.
const ANSWER: Duration = Duration::from_secs(5);
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) client: Client,
    pub(super) ttl: Duration,
    pub(super) lease: Duration,
    pub(super) wait_for: Duration,
    pub(super) patience: Duration,
    pub(super) prefix: String,
    /// What was said of pipelines; a run that is begun keeps its own.
    pub(super) outlines: Arc<Mutex<Outlines>>,
    #[cfg(feature = "redis-tls")]
    pub(super) trust: tls::Trust,
}

impl Settings {
    /// How long to wait for an answer before the connection is given up.
    pub(super) fn answer_within(&self) -> Duration {
        self.patience.clamp(Duration::from_millis(100), ANSWER)
    }
}
