//! What a caller waits for while the store's thread is at work.

use alloc::vec::Vec;
use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use super::{super::StoreError, error::gone};

/// An answer of the driver's that is still to come.
pub(super) struct Answer<T>(pub(super) oneshot::Receiver<Result<T, StoreError>>);

impl<T> Answer<T> {
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<Result<T, StoreError>> {
        Pin::new(&mut self.0).poll(task).map(|answer| answer.unwrap_or_else(|_| Err(gone())))
    }
}
/// Each operation has a future of its own, so that what is inside may change.
macro_rules! opaque_future {
    ($(#[$docs:meta])* $name:ident, $output:ty) => {
        $(#[$docs])*
        #[must_use = "the operation was begun, but only its future says how it went"]
        pub struct $name(pub(super) $crate::store::redb::answer::Answer<$output>);

        impl Future for $name {
            type Output = Result<$output, StoreError>;

            fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(task)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(super) use opaque_future;

opaque_future! {
    /// What a [`RedbSession`](crate::store::RedbSession) does to save a slot or to discard some.
    ///
    /// ```no_run
    /// # use stroma::store::{Begun, RedbSession, Session, StoreError};
    /// # async fn f(session: &mut RedbSession) -> Result<(), StoreError> {
    /// match session.discard(|slot| slot.node == "summarize") {
    ///     Begun::Done(discarded) => discarded,
    ///     Begun::Pending(writing) => writing.await,
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is done, it is done all the same, wholly; only nobody hears how it went.
    RedbWriting, ()
}

opaque_future! {
    /// What a [`RedbSession`](crate::store::RedbSession) does to read a slot.
    ///
    /// ```no_run
    /// # use stroma::store::{Begun, Session, StoreError};
    /// # async fn f<S: Session>(begun: Begun<Result<Vec<u8>, StoreError>, S::Reading>) -> Result<Vec<u8>, StoreError> {
    /// // begun = session.load(slot, <[u8]>::to_vec)
    /// match begun {
    ///     Begun::Done(read) => read,
    ///     Begun::Pending(reading) => Ok(reading.await?.as_ref().to_vec()),
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// It may be dropped at any time.
    RedbReading, Vec<u8>
}

opaque_future! {
    /// What [`RedbStore`](crate::store::RedbStore) does to forget a run.
    ///
    /// ```no_run
    /// # use stroma::store::{Begun, RedbStore, Store, StoreError};
    /// # async fn f(store: &RedbStore, run: &stroma::RunId) -> Result<bool, StoreError> {
    /// match store.forget(run) {
    ///     Begun::Done(forgotten) => forgotten,
    ///     Begun::Pending(forgetting) => forgetting.await,
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is done, it is done all the same, wholly; only nobody hears how it went.
    RedbForgetting, bool
}
