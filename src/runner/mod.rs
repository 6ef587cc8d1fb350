//! Running a pipeline: what a user holds.

#[cfg(feature = "std")]
mod any;
mod build;
mod builder;
mod caps;
mod outcome;
mod phase;
mod prepare;
mod replay;
mod run;

use core::{fmt, num::NonZeroU64};

#[cfg(feature = "std")]
pub use any::{AnyRunner, RunResult};
pub use build::{Build, BuildError};
pub use builder::Builder;
#[cfg(feature = "tokio")]
pub use caps::Quick;
pub use caps::{Caps, NoContext};
pub use outcome::{Cause, Completed, Halted};
#[cfg(all(feature = "std", feature = "json"))]
pub use replay::{Replay, ReplayEnv, ReplayError, Replayed};
pub use run::Run;

use crate::{
    describe::{Contracts, Description},
    exec::{Env, Full, Node},
    pipeline::Sealed,
    run::RunId,
    store::{Begun, Durability, Durable, Store, StoreError},
};

/// A pipeline in an environment: what runs it, any number of times and any number at once.
///
/// It is made by [`Runner::new`] or `Runner::quick`. It is `Sync` where its nodes and its store are, so that tasks share it in
/// an `Arc` or a `static`.
///
/// # In a task
/// `tokio::spawn(async move { runner.run(input).await })` with the runner in an `Arc` or a `static`. Where the compiler answers
/// *one type is more general than the other*, a node's type has a `'static` in it that an `async` block cannot keep (a
/// function that returns `Pin<Box<dyn Future>>`, a payload of `&'static str`): spawn from a function that is generic over the
/// runner, an `AnyRunner`, or from an async closure.
///
/// # In a struct
/// A struct that holds a runner is generic over `AnyRunner`, and a function that makes one returns `impl
/// AnyRunner<In = .., Out = ..>`.
#[doc(alias("executor", "engine", "workflow"))]
pub struct Runner<N, E> {
    pub(crate) node: Sealed<N>,
    pub(crate) env: E,
    pub(crate) shape: NonZeroU64,
}

impl<N, E> fmt::Debug for Runner<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// An environment that has a store, so that its runs can be resumed.
#[diagnostic::on_unimplemented(
    message = "this runner has no store, so there is nothing to resume or to forget",
    label = "needs a store",
    note = "`.with_store(..)` on the builder, or `Runner::quick(..)`, which keeps checkpoints in memory"
)]
pub trait Resumable: Env<Detail = Full> {
    /// Says that it has one.
    #[doc(hidden)]
    const PROOF: <Self::Store as Durability>::Proof;
    /// The store that it has.
    #[doc(hidden)]
    type Kept: Store;
    /// The store that it has.
    #[doc(hidden)]
    fn kept(&self) -> &Self::Kept;
}

#[diagnostic::do_not_recommend]
impl<E, S> Resumable for E
where
    E: Env<Detail = Full, Store = Durable<S>>,
    S: Store,
{
    const PROOF: <Self::Store as Durability>::Proof = Durable::<S>::PROOF;
    type Kept = S;

    #[inline(always)]
    fn kept(&self) -> &S {
        &self.store().0
    }
}

impl<N, E> Runner<N, E> {
    /// The nodes and the shape of its pipeline.
    pub fn describe(&self) -> Description<'_, Sealed<N>>
    where
        N: Node,
    {
        Description::of(&self.node)
    }

    /// The contract of each of its nodes: what it takes and yields, and whether that is checked.
    ///
    /// ```
    /// # use stroma::{Failure, Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # async fn extract(text: String) -> Result<Vec<String>, AppError> { Ok(vec![text]) }
    /// # async fn count(words: Vec<String>) -> Result<u32, AppError> { Ok(words.len() as u32) }
    /// let pipeline = node("extract", extract).ensure(|words: &Vec<String>| !words.is_empty()).then(node("count", count));
    /// let runner = Runner::quick(pipeline).build()?;
    /// assert_eq!(
    ///     runner.contracts().to_string(),
    ///     "extract: String -> Vec<String> (output checked)\ncount: Vec<String> -> u32",
    /// );
    /// assert!(runner.contracts().to_vec()[0].ensured);
    /// # Ok::<(), stroma::BuildError>(())
    /// ```
    pub fn contracts(&self) -> Contracts<'_, Sealed<N>>
    where
        N: Node,
    {
        Contracts::of(&self.node)
    }

    /// The context that its nodes are lent.
    pub fn context(&self) -> &E::Context
    where
        E: Env,
    {
        self.env.context()
    }

    /// Forgets a run and all that was kept of it; whether there was one.
    ///
    /// # Errors
    /// [`StoreErrorKind::Busy`](crate::store::StoreErrorKind::Busy) while somebody executes the run, or when the store fails.
    ///
    /// # Cancel safety
    /// Dropped half-way, all of the run is forgotten or nothing.
    #[doc(alias("delete", "remove"))]
    pub async fn forget(&self, id: impl Into<RunId>) -> Result<bool, StoreError>
    where
        E: Resumable,
    {
        match self.env.kept().forget(&id.into()) {
            Begun::Done(result) => result,
            Begun::Pending(forgetting) => forgetting.await,
        }
    }
}
