//! How a node runs: what it is, what it runs in, and how it is polled.

mod bare;
mod env;
mod full;
mod halt;
mod node;
mod stop;

use core::{
    pin::Pin,
    task::{Context, Poll},
};

pub use bare::Bare;
pub(crate) use env::ProofOf;
pub use env::{Cx, Env, Explain, Local};
pub(crate) use full::RunInfo;
pub use full::{Full, Reporting, Timed};
#[cfg(feature = "tokio")]
pub(crate) use halt::Info;
pub(crate) use halt::{Halt, Why};
pub(crate) use node::{Each, contains, ends};
pub use node::{Layer, Node, NodeInfo, Walk};
pub(crate) use stop::graver;
pub use stop::{Detail, Fresh, Stop, Stops};

use crate::slot::Place;

/// A node as a state machine in the environment `E`.
///
/// The state holds no reference to the node: node, place, environment and the run's own data come in with each poll, so that
/// nesting adds nothing to a state but a discriminant. Only the outermost future of a run implements `Future`.
///
/// To write a node of your own, implement [`Node`] and this, and put it into a pipeline with
/// [`Pipeline::custom`](crate::Pipeline::custom). Hand [`Place`] on as [`Place::skip`], [`Place::not_last`] and
/// [`Place::with_instance`] say.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be executed by this runner",
    label = "not a node of this runner's environment",
    note = "a function returns a part of a pipeline as `Sealed<impl SendExec<Quick, ..>>`, and ends with `.seal()`",
    note = "such a part runs in the environment that it names: `Quick` is that of `Runner::quick(..)`, `Quick<App>` that with a \
            context `App`, `Quick<App, RedbStore>` that with another store as well"
)]
pub trait Exec<E: Env>: Node {
    /// Where it is in its work.
    type State<'a>
    where
        Self: 'a,
        E: 'a;

    /// What proves that it can go on without an input, and says from where.
    type Proof: Copy;

    /// Whether it can go on without an input, from what the store holds, and from where.
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<Self::Proof>;

    /// Begins with an input. What the store holds of it already is taken over.
    fn start<'a>(&'a self, input: Self::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a>;

    /// Goes on from what the store holds.
    fn resume<'a>(&'a self, proof: Self::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a>;

    /// Goes on until it has to wait or is over. It is not polled again after that.
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Self::Out, StopOf<Self, E>>>;

    /// Whether a failure is kept back until others are done: only settled branches do that.
    fn has_failed<'a>(_: &Self::State<'a>) -> bool
    where
        Self: 'a,
        E: 'a,
    {
        false
    }

    /// Waits for writes to the store that are under way, and begins nothing: called before the state is dropped because a
    /// sibling failed or its time is over. It is not called again once it is ready.
    ///
    /// What it yields is the gravest failure that came of that, or that was kept back: it must not be lost behind a lighter one.
    fn drain<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>>;
}

/// What an [`Exec`] in this environment does that goes on only from its input, and writes nothing.
macro_rules! from_input_alone {
    ($env:ident) => {
        type Proof = core::convert::Infallible;

        #[inline(always)]
        fn resumable(&self, _: Place, _: &Local<'_, $env>) -> Option<Self::Proof> {
            None
        }

        #[inline(always)]
        fn resume<'a>(
            &'a self,
            proof: Self::Proof,
            _: Place,
            _: Cx<'a, $env>,
            _: &mut Local<'a, $env>,
        ) -> Self::State<'a> {
            match proof {}
        }

        #[inline(always)]
        fn drain<'a>(
            &'a self,
            _: Pin<&mut Self::State<'a>>,
            _: Place,
            _: Cx<'a, $env>,
            _: &mut Local<'a, $env>,
            _: &mut Context<'_>,
        ) -> Poll<Option<StopOf<Self, $env>>> {
            Poll::Ready(None)
        }
    };
}
pub(crate) use from_input_alone;

/// An [`Exec`] whose states may move between threads: what a function that hides a part of a pipeline returns.
///
/// ```
/// use stroma::{Quick, SendExec, Sealed, node};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn trim(text: String) -> Result<String, AppError> { Ok(text.trim().to_owned()) }
/// # async fn count(text: String) -> Result<u64, AppError> { Ok(text.len() as u64) }
///
/// fn counting() -> Sealed<impl SendExec<Quick, In = String, Out = u64, Error = AppError>> {
///     node("trim", trim).then(node("count", count)).seal()
/// }
///
/// # fn main() -> Result<(), stroma::BuildError> {
/// let runner = stroma::Runner::quick(node("first", trim).then(counting())).build()?;
/// # let _ = runner;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a closed part of a pipeline",
    label = "a function returns a part as `Sealed<impl SendExec<..>>`",
    note = "`.seal()` closes a pipeline, so that the function that makes it can return it"
)]
pub trait SendExec<E: Env>: for<'a> Exec<E, State<'a>: Send> {}

impl<E: Env, N> SendExec<E> for N where N: for<'a> Exec<E, State<'a>: Send> {}

/// Why a node of type `N` stops in `E`.
pub type StopOf<N, E> = Stop<<N as Node>::Error, <E as Env>::Detail>;
