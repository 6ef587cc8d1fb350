//! A runner by what it takes and yields, without its pipeline's type.

use core::{fmt, future::Future};

use super::{
    outcome::{Completed, Halted, Outcomes},
    run::{Resumable, Run, Runner},
};
use crate::{
    exec::{Exec, Fresh, Full},
    observe::Tracer,
    run::RunId,
    store::Persist,
};

/// How a run of an [`AnyRunner`] ends.
pub type RunResult<R> = Result<
    Completed<<R as AnyRunner>::Out, <R as AnyRunner>::Trace>,
    Halted<<R as AnyRunner>::Error, <R as AnyRunner>::Trace>,
>;

/// Every runner that reports and can be shared by tasks, by what it takes and yields: the bound for a struct that holds one, and
/// what a function returns that makes one. The type of its pipeline, which nobody can write, stays out of both.
///
/// ```
/// use stroma::{AnyRunner, BuildError, Runner, node};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn shout(text: String) -> Result<String, AppError> { Ok(text.to_uppercase()) }
///
/// fn shouting() -> Result<impl AnyRunner<In = String, Out = String, Error = AppError>, BuildError> {
///     Runner::quick(node("shout", shout)).build()
/// }
///
/// struct Service<R> {
///     shouting: R,
/// }
///
/// impl<R: AnyRunner<In = String, Out = String>> Service<R> {
///     async fn handle(&self, text: &str) -> String {
///         self.shouting.run(text.to_owned()).await.map(|done| done.output).unwrap_or_default()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BuildError> {
/// let service = Service { shouting: shouting()? };
/// assert_eq!(service.handle("hey").await, "HEY");
/// # Ok(())
/// # }
/// ```
///
/// The methods are those of [`Runner`], which see for their errors. Every future is `Send`, so that it can be spawned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a runner that reports and can be shared by tasks",
    label = "not such a runner",
    note = "a runner made by `Runner::quick(..)`, or by `Runner::new(..)` with `.with_store(..)`, is one where its nodes' futures \
            are `Send`"
)]
pub trait AnyRunner: Send + Sync + 'static {
    /// What a run takes.
    type In: Send + 'static;
    /// What it yields.
    type Out: Send + 'static;
    /// What its nodes fail with.
    type Error: Send + 'static;
    /// What is written down of a run.
    type Trace: fmt::Debug + Send + 'static;

    /// As [`Runner::run`].
    fn run(&self, input: Self::In) -> impl Future<Output = RunResult<Self>> + Send;

    /// As [`Runner::run_as`].
    fn run_as(&self, id: RunId, input: Self::In) -> impl Future<Output = RunResult<Self>> + Send;

    /// As [`Runner::resume`].
    fn resume(&self, id: RunId) -> impl Future<Output = RunResult<Self>> + Send;
}

impl<N, E> AnyRunner for Runner<N, E>
where
    Self: Send + Sync + 'static,
    E: Resumable,
    N: Exec<E, In: Send + 'static, Out: Send + 'static, Error: Send + 'static>,
    <E::Trace as Tracer>::Finished: fmt::Debug + Send + 'static,
    E::Store: Persist<N::In>,
    Full: Fresh
        + Outcomes<
            N::Out,
            N::Error,
            <E::Trace as Tracer>::Finished,
            Ended = Result<
                Completed<N::Out, <E::Trace as Tracer>::Finished>,
                Halted<N::Error, <E::Trace as Tracer>::Finished>,
            >,
        >,
    for<'a> Run<'a, N, E>: Send,
{
    type In = N::In;
    type Out = N::Out;
    type Error = N::Error;
    type Trace = <E::Trace as Tracer>::Finished;

    fn run(&self, input: N::In) -> impl Future<Output = RunResult<Self>> + Send {
        Self::run(self, input)
    }

    fn run_as(&self, id: RunId, input: N::In) -> impl Future<Output = RunResult<Self>> + Send {
        Self::run_as(self, id, input)
    }

    fn resume(&self, id: RunId) -> impl Future<Output = RunResult<Self>> + Send {
        Self::resume(self, id)
    }
}
