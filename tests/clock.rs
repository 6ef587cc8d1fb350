//! Tokio's clock where several runtimes of one process have paused time. One test alone, so that its calls are the first.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

use core::time::Duration;

use stroma::{Now, TokioClock};

fn paused(test: impl AsyncFnOnce()) {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test());
}

#[test]
fn the_clock_goes_on_in_every_runtime() {
    let hour = Duration::from_secs(3_600);
    let earlier = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused(async || {
        tokio::time::advance(hour).await;
        let before = TokioClock.now();
        tokio::time::advance(hour).await;
        assert_eq!(TokioClock.now() - before, hour);
    });
    // This one's clock is an hour behind the first.
    paused(async || {
        let before = TokioClock.now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(TokioClock.now() - before, Duration::from_secs(5));
    });
    // And this one's stopped before anybody asked.
    earlier.block_on(async {
        let before = TokioClock.now();
        tokio::time::advance(Duration::from_nanos(7)).await;
        assert_eq!(TokioClock.now() - before, Duration::from_nanos(7));
    });
}
