//! The runner, and a run of it.

use core::{fmt, num::NonZeroU64};

use pin_project::pin_project;

use super::phase::{How, Phase, PhaseOf};
use crate::{
    describe::{Contracts, Description},
    exec::{Detail, Env, Exec, Fresh, Full, Local, Node, ProofOf, Reporting, RunInfo},
    pipeline::Sealed,
    run::RunId,
    store::{Begun, Durability, Durable, Persist, Store, StoreError},
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
    /// ```
    /// # use stroma::{RunId, Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", double)).build()?;
    /// let order = RunId::new("order 17")?;
    /// runner.run_as(order, 21).await?;
    /// assert!(runner.forget(order).await?);
    /// assert!(!runner.forget(order).await?); // It is gone already.
    /// # Ok(())
    /// # }
    /// ```
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

impl<N, E> Runner<N, E>
where
    E: Env,
    N: Exec<E>,
    E::Store: Persist<N::In>,
{
    /// Runs the pipeline, under a fresh id where the runner keeps ids (a UUID of version 7, which needs `std`).
    ///
    /// ```
    /// # use stroma::{Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", double)).build()?;
    /// assert_eq!(runner.run(21).await?.output, 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// With the node's error, bare or in a [`Halted`](crate::Halted).
    ///
    /// # Cancel safety
    /// The future may be dropped at any await point. What was checkpointed stays, and the run can be resumed.
    pub fn run(&self, input: N::In) -> Run<'_, N, E>
    where
        E::Detail: Fresh,
    {
        Run::new(self, E::Detail::fresh(), How::Start(input))
    }

    /// Runs the pipeline under this id, goes on with it where it was begun before, or returns its result where it is finished.
    ///
    /// So a call that is repeated does nothing twice. Whether the input is the same is asked of its encoded bytes: use ordered
    /// maps in it, since a `HashMap` has another order each time.
    ///
    /// ```
    /// # use stroma::{RunId, RunStatus, Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", double)).build()?;
    /// let order = RunId::new("order 17")?;
    /// assert_eq!(runner.run_as(order, 21).await?.report.status, RunStatus::Completed);
    ///
    /// // Its result comes from the store: no node is called.
    /// let again = runner.run_as(order, 21).await?;
    /// assert_eq!((again.output, again.report.status), (42, RunStatus::Resumed));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`Cause::OtherInput`](crate::Cause::OtherInput) where the id belongs to another input,
    /// [`Cause::OtherPipeline`](crate::Cause::OtherPipeline) where it belongs to other nodes, and
    /// [`StoreErrorKind::Busy`](crate::store::StoreErrorKind::Busy) while somebody else executes it.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    #[doc(alias("idempotent", "start"))]
    pub fn run_as(&self, id: impl Into<RunId>, input: N::In) -> Run<'_, N, E>
    where
        E: Reporting,
    {
        Run::new(self, RunInfo::new(id.into()), How::Start(input))
    }

    /// Goes on with a run, without its input.
    ///
    /// A run cannot wait for a person or a signal in its middle: let the pipeline end there, and begin a second one with the answer.
    ///
    /// ```
    /// # use stroma::{RunId, Runner, node};
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// # static ON: AtomicBool = AtomicBool::new(false);
    /// # async fn print(x: u32) -> Result<u32, std::io::Error> {
    /// #     if ON.load(Ordering::Relaxed) { Ok(x) } else { Err(std::io::ErrorKind::NotFound.into()) }
    /// # }
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", double).then(node("print", print))).build()?;
    /// let order = RunId::new("order 17")?;
    /// assert_eq!(runner.run_as(order, 21).await.unwrap_err().node, Some("print"));
    ///
    /// ON.store(true, Ordering::Relaxed); // The printer is switched on.
    /// let done = runner.resume(order).await?;
    /// assert_eq!((done.output, done.report.restored), (42, 1)); // `double` was not called again.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run_as`](Self::run_as). An id that the store does not know is an error, never a fresh start.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    #[doc(alias("recover", "restart", "human_in_the_loop", "interrupt", "signal"))]
    pub fn resume(&self, id: impl Into<RunId>) -> Run<'_, N, E>
    where
        E: Resumable,
    {
        Run::new(self, RunInfo::new(id.into()), How::Resume(E::PROOF))
    }

    /// Forgets the outputs of this node and of all that depend on it, in one step, then goes on with the run.
    ///
    /// ```
    /// # use stroma::{RunId, Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("first", double).then(node("second", double))).build()?;
    /// let order = RunId::new("order 17")?;
    /// runner.run_as(order, 1).await?;
    /// assert_eq!(runner.resume_from(order, "second").await?.report.restored, 1); // `second` was called again.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`resume`](Self::resume), and [`Cause::UnknownNode`](crate::Cause::UnknownNode) where the pipeline has no such node,
    /// in which case nothing is forgotten.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub fn resume_from<'a>(&'a self, id: impl Into<RunId>, node: &'a str) -> Run<'a, N, E>
    where
        E: Resumable,
    {
        Run::new(self, RunInfo::new(id.into()), How::ResumeFrom(E::PROOF, node))
    }
}

/// One run of a pipeline; made by [`Runner::run`] and its siblings.
///
/// It does nothing until it is polled, and holds nothing of the store until then.
#[must_use = "futures do nothing unless you `.await` or poll them"]
#[pin_project]
pub struct Run<'a, N: Exec<E> + 'a, E: Env + 'a> {
    pub(super) runner: &'a Runner<N, E>,
    // Before what is local: the nodes' futures are dropped first, and only then is the run given back to the store.
    #[pin]
    pub(super) phase: PhaseOf<'a, N, E>,
    pub(super) local: Local<'a, E>,
}

impl<N: Exec<E>, E: Env> fmt::Debug for Run<'_, N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

type RunOf<E> = <<E as Env>::Detail as Detail>::Run;

impl<'a, N: Exec<E>, E: Env> Run<'a, N, E> {
    #[inline(always)]
    fn new(runner: &'a Runner<N, E>, run: RunOf<E>, how: How<'a, N::In, ProofOf<E>>) -> Self {
        let local = Local { session: Default::default(), run, log: Default::default(), book: Default::default() };
        Self { runner, local, phase: Phase::Begin { how } }
    }
}
