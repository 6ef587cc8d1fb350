//! What a store was told when it was made.

use alloc::string::String;
use core::time::Duration;

use ::redis::Client;

#[cfg(feature = "redis-tls")]
use super::tls;

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
    #[cfg(feature = "redis-tls")]
    pub(super) trust: tls::Trust,
}

impl Settings {
    /// How long to wait for an answer before the connection is given up.
    pub(super) fn answer_within(&self) -> Duration {
        self.patience.clamp(Duration::from_millis(100), ANSWER)
    }
}
