//! The wait before another attempt.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

/// The wait before another attempt.
///
/// One of no length still lets go of the task once, so that a time-out around it can fire, but does not touch the timer.
#[pin_project(project = PauseProj)]
#[derive(Debug)]
pub enum Pause<S> {
    /// Lets go of the task once.
    Yield {
        /// Whether it did.
        yielded: bool,
    },
    /// Waits for the clock.
    Sleep(#[pin] S),
}

impl<S: Future<Output = ()>> Future for Pause<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        match self.project() {
            PauseProj::Yield { yielded: true } => Poll::Ready(()),
            PauseProj::Yield { yielded } => {
                *yielded = true;
                task.waker().wake_by_ref();
                Poll::Pending
            }
            PauseProj::Sleep(sleep) => sleep.poll(task),
        }
    }
}
