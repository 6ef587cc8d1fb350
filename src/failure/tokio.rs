//! What tokio's own errors mean.

use ::tokio::{task::JoinError, time::error::Elapsed};

use super::{Failure, FailureClass};

/// Recoverable, as every time-out is.
#[diagnostic::do_not_recommend]
impl Failure for Elapsed {
    fn class(&self) -> FailureClass {
        FailureClass::Recoverable
    }
}

/// Of a task that was spawned.
///
/// | | class |
/// |---|---|
/// | `is_panic()` | terminal: a mistake in the program is there the next time too |
/// | `is_cancelled()` | ambiguous: it was aborted, or its runtime shut down, and nobody knows which |
#[diagnostic::do_not_recommend]
impl Failure for JoinError {
    fn class(&self) -> FailureClass {
        if self.is_panic() { FailureClass::Terminal } else { FailureClass::Ambiguous }
    }
}

#[cfg(test)]
mod tests {
    use core::{future::pending, time::Duration};

    use super::*;

    #[::tokio::test(start_paused = true)]
    async fn a_time_out_may_pass_and_a_panic_does_not() {
        let elapsed = ::tokio::time::timeout(Duration::from_secs(5), pending::<()>()).await.unwrap_err();
        assert_eq!(elapsed.class(), FailureClass::Recoverable);

        let panicked = ::tokio::spawn(async { panic!("as this test wants it") }).await.unwrap_err();
        assert_eq!(panicked.class(), FailureClass::Terminal);

        let task = ::tokio::spawn(pending::<()>());
        task.abort();
        assert_eq!(task.await.unwrap_err().class(), FailureClass::Ambiguous);
    }
}
