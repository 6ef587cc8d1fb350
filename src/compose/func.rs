//! An async function as the body of a node.

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::pin_project;

use crate::{
    budget::{Remaining, Reservation, SpendError, Spender, Usage, Usd},
    exec::{Cx, Detail, Env, Exec, Local, Node, Stop, StopOf, Walk},
    meter::Meter,
    run::RunId,
    slot::Place,
};

/// What the function of a node returns: a future that yields a `Result`.
#[diagnostic::on_unimplemented(
    message = "the function of a node has to be `async` and return a `Result`; this one returns `{Self}`",
    label = "not an `async` function that returns a `Result`",
    note = "for a plain function use `.map(f)` or, when it returns a `Result`, `.try_map(f)`",
    note = "where nothing can go wrong, return `Ok(..)` with the error type of the pipeline"
)]
pub trait NodeFuture: Future<Output = Result<Self::Out, Self::Error>> {
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
}

#[diagnostic::do_not_recommend]
impl<F, Out, Error> NodeFuture for F
where
    F: Future<Output = Result<Out, Error>>,
{
    type Out = Out;
    type Error = Error;
}

/// An async function that takes the input alone: every `async fn(In) -> Result<Out, Error>`.
pub trait NodeFn<In>: Fn(In) -> Self::Fut {
    /// What it returns.
    type Fut: NodeFuture<Out = Self::Out, Error = Self::Error>;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
}

impl<F, In, Fut> NodeFn<In> for F
where
    F: Fn(In) -> Fut,
    Fut: NodeFuture,
{
    type Fut = Fut;
    type Out = Fut::Out;
    type Error = Fut::Error;
}

/// The body of a node that is an async function of the input alone.
pub struct FnNode<F, In, Fut> {
    function: F,
    types: PhantomData<fn(In) -> Fut>,
}

impl<F, In, Fut> FnNode<F, In, Fut> {
    pub(crate) const fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn function(&self) -> &F {
        &self.function
    }
}

impl<F, In, Fut> fmt::Debug for FnNode<F, In, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<F>())
    }
}

impl<F: Clone, In, Fut> Clone for FnNode<F, In, Fut> {
    fn clone(&self) -> Self {
        Self::new(self.function.clone())
    }
}

impl<F: Copy, In, Fut> Copy for FnNode<F, In, Fut> {}

impl<F, In, Fut: NodeFuture> Node for FnNode<F, In, Fut> {
    type In = In;
    type Out = Fut::Out;
    type Error = Fut::Error;

    const NODES: u16 = 0;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

/// The future of a node's function.
#[pin_project]
#[derive(Debug)]
pub struct FnState<Fut>(#[pin] Fut);

impl<F, In, Fut, E> Exec<E> for FnNode<F, In, Fut>
where
    F: Fn(In) -> Fut,
    Fut: NodeFuture,
    E: Env,
{
    type State<'a>
        = FnState<Fut>
    where
        Self: 'a,
        E: 'a;

    type Proof = Infallible;

    #[inline(always)]
    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: In, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> FnState<Fut> {
        FnState((self.function)(input))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> FnState<Fut> {
        match proof {}
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut FnState<Fut>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Fut::Out, StopOf<Self, E>>> {
        poll_future(state.project().0, task)
    }

    #[inline(always)]
    fn drain<'a>(
        &'a self,
        _: Pin<&mut FnState<Fut>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        Poll::Ready(None)
    }
}

#[inline(always)]
fn poll_future<Fut: NodeFuture, D: Detail>(
    future: Pin<&mut Fut>,
    task: &mut Context<'_>,
) -> Poll<Result<Fut::Out, Stop<Fut::Error, D>>> {
    future.poll(task).map_err(|error| Stop::Error(error, D::Info::default()))
}

/// What a node knows beside its input: the runner's context, the run, and which attempt this is.
///
/// ```
/// use stroma::{NodeCx, Runner, node_with};
/// # #[derive(Debug)] struct AppError;
/// # impl stroma::Failure for AppError {}
/// struct App {
///     greeting: &'static str,
/// }
///
/// async fn greet(name: String, cx: NodeCx<'_, App>) -> Result<String, AppError> {
///     Ok(format!("{}, {name}", cx.context().greeting))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runner = Runner::new(node_with("greet", greet)).with_context(App { greeting: "Hello" }).build()?;
/// assert_eq!(runner.run("Ada".to_owned()).await.unwrap(), "Hello, Ada");
/// # Ok(())
/// # }
/// ```
pub struct NodeCx<'a, C> {
    context: &'a C,
    run: Option<RunId>,
    node: &'static str,
    key: &'static str,
    instance: u32,
    attempt: u32,
    began: Duration,
    spender: Spender<'a>,
}

impl<'a, C> NodeCx<'a, C> {
    /// The runner's context.
    pub const fn context(&self) -> &'a C {
        self.context
    }

    /// The run, or `None` in a runner that keeps no account of runs (`Runner::new` with nothing switched on).
    pub const fn run_id(&self) -> Option<RunId> {
        self.run
    }

    /// The id of this node.
    pub const fn node(&self) -> &'static str {
        self.node
    }

    /// Which iteration or element this is; 0 outside of loops and collections.
    pub const fn instance(&self) -> u32 {
        self.instance
    }

    /// Which attempt this is, from 1. It starts anew after a resume, and with each attempt of a retry around a chain.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Sets aside what a call may use at most, before it is made: the guard that comes back is settled with what it did use.
    ///
    /// However many branches reserve at once, together with what is booked they never cross a limit of the run or of a part
    /// around this node. A guard that is dropped unsettled books all that it set aside. An attempt that fails after a refusal ends
    /// the run with [`Cause::Budget`](crate::Cause::Budget), whatever error it made of that. In a runner that keeps no account
    /// nothing is refused and nothing counted.
    ///
    /// ```
    /// use stroma::{Budget, NodeCx, Runner, SpendError, Usage, Usd, node_with};
    /// # use std::fmt;
    /// # #[derive(Debug)] enum AppError { Budget(SpendError) }
    /// # impl fmt::Display for AppError { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("no") } }
    /// # impl std::error::Error for AppError {}
    /// # impl stroma::Failure for AppError {}
    /// # impl From<SpendError> for AppError { fn from(e: SpendError) -> Self { Self::Budget(e) } }
    /// # struct Answer { text: String, model: String, input: u64, output: u64 }
    /// # async fn call(_: &str, model: &str) -> Result<Answer, AppError> {
    /// #     Ok(Answer { text: "42".into(), model: model.into(), input: 900, output: 40 })
    /// # }
    /// async fn ask(question: String, cx: NodeCx<'_, stroma::NoContext>) -> Result<String, AppError> {
    ///     let model = cx.model("gpt-4o");
    ///     let reserved = cx.reserve(Usage::of(model).input(1_000).output(500))?;
    ///     let answer = call(&question, model).await?;
    ///     reserved.settle(Usage::of(&answer.model).input(answer.input).output(answer.output))?;
    ///     Ok(answer.text)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node_with("ask", ask)).with_budget(Budget::unlimited().cost(Usd::cents(5))).build()?;
    /// let done = runner.run("What is six times seven?".to_owned()).await?;
    /// assert_eq!(done.report.spent.tokens, 940);
    /// assert_eq!(done.report.spent.cost.to_string(), "$0.00265");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it would cross a limit, when its model has no price and money is limited, or when a count does not fit. Nothing is
    /// spent then.
    ///
    /// # Cancel safety
    /// The guard may be dropped at any time.
    pub fn reserve(&self, most: Usage<'_>) -> Result<Reservation<'a>, SpendError> {
        self.spender.reserve(most)
    }

    /// Books what a call used that was not reserved, and says what it cost. It is booked whatever the limits are: the run halts
    /// after the attempt when one is crossed, and the output of the attempt is kept.
    ///
    /// # Errors
    /// When the model has no price and money is limited, or when a count does not fit: the run halts after the attempt then, too.
    pub fn record(&self, used: Usage<'_>) -> Result<Usd, SpendError> {
        self.spender.record(used)
    }

    /// The model to use in place of `wanted`, as [`with_model_fallback`](crate::Builder::with_model_fallback) says: asked for each
    /// call anew.
    pub fn model<'m>(&self, wanted: &'m str) -> &'m str
    where
        'a: 'm,
    {
        self.spender.model(wanted)
    }

    /// What can still be reserved here, and the time that was left when the attempt began; `None` for what has no limit.
    pub fn remaining(&self) -> Remaining {
        self.spender.remaining(self.began)
    }

    /// A key for services that do a request with the same key only once: the same in every attempt at this node in this run,
    /// in this process and after a resume in another one.
    ///
    /// It is shown as `run/node` or, in a loop or collection, `run/node/instance`, with `/` and `%` in the parts written as
    /// `%2F` and `%25` so that no two keys look alike. A node that was renamed ([`was`](crate::Pipeline::was)) keeps the key of
    /// its first name. `None` where the run has no id.
    pub fn idempotency_key(&self) -> Option<IdempotencyKey> {
        self.run.map(|run| IdempotencyKey { run, node: self.key, instance: self.instance })
    }
}

impl<C> Clone for NodeCx<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for NodeCx<'_, C> {}

impl<C> fmt::Debug for NodeCx<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCx")
            .field("run_id", &self.run)
            .field("node", &self.node)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What names one node in one run, whatever the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    run: RunId,
    node: &'static str,
    instance: u32,
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.run.with_str(|run| part(f, run))?;
        f.write_str("/")?;
        part(f, self.node)?;
        if self.instance != 0 {
            write!(f, "/{}", self.instance)?;
        }
        Ok(())
    }
}

/// Writes one part of a key, with what would end it escaped.
fn part(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c {
        '/' => f.write_str("%2F"),
        '%' => f.write_str("%25"),
        c => fmt::Write::write_char(f, c),
    })
}

/// An async function that takes the input and a [`NodeCx`]: every `async fn(In, NodeCx<'_, C>) -> Result<Out, Error>`.
///
/// A trait of its own, since the future borrows from the context, and `Fn` alone cannot say so.
pub trait CxFn<'a, In, C: 'a>: Fn(In, NodeCx<'a, C>) -> Self::Fut {
    /// What it returns.
    type Fut: NodeFuture<Out = Self::Out, Error = Self::Error>;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;
}

impl<'a, F, In, C: 'a, Fut> CxFn<'a, In, C> for F
where
    F: Fn(In, NodeCx<'a, C>) -> Fut,
    Fut: NodeFuture,
{
    type Fut = Fut;
    type Out = Fut::Out;
    type Error = Fut::Error;
}

/// A runner's context that can serve a node which wants a `C`.
#[diagnostic::on_unimplemented(
    message = "a node wants a context of type `{C}`, and this runner's is `{Self}`",
    label = "another context than its nodes want",
    note = "give the runner the one that they want: `.with_context(..)`; a runner without has `NoContext`"
)]
pub trait Provides<C> {
    /// The context.
    fn provide(&self) -> &C;
}

impl<C> Provides<C> for C {
    #[inline(always)]
    fn provide(&self) -> &C {
        self
    }
}

/// An async function that takes a [`NodeCx`] too.
pub struct CxNode<F, In, C, Out, Error> {
    function: F,
    types: PhantomData<fn(In, C) -> (Out, Error)>,
}

impl<F, In, C, Out, Error> CxNode<F, In, C, Out, Error> {
    pub(crate) const fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<F, In, C, Out, Error> fmt::Debug for CxNode<F, In, C, Out, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::any::type_name::<F>())
    }
}

impl<F, In, C, Out, Error> Node for CxNode<F, In, C, Out, Error> {
    type In = In;
    type Out = Out;
    type Error = Error;

    const NODES: u16 = 0;

    fn walk<W: Walk>(&self, _: &mut W) {}
}

impl<F, In, C, Out, Error, E> Exec<E> for CxNode<F, In, C, Out, Error>
where
    F: for<'a> CxFn<'a, In, C, Out = Out, Error = Error>,
    C: 'static,
    E: Env,
    E::Context: Provides<C>,
{
    type State<'a>
        = FnState<<F as CxFn<'a, In, C>>::Fut>
    where
        Self: 'a,
        E: 'a;

    type Proof = Infallible;

    #[inline(always)]
    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        FnState((self.function)(
            input,
            NodeCx {
                context: cx.env.context().provide(),
                run: E::Detail::id(&local.run).copied(),
                node: at.id,
                key: at.key,
                instance: at.instance,
                attempt: at.attempt,
                began: E::Budget::seen(&local.book),
                spender: E::Budget::spender(&local.book, at.scope),
            },
        ))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {}
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Out, StopOf<Self, E>>> {
        poll_future(state.project().0, task)
    }

    #[inline(always)]
    fn drain<'a>(
        &'a self,
        _: Pin<&mut Self::State<'a>>,
        _: Place,
        _: Cx<'a, E>,
        _: &mut Local<'a, E>,
        _: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        Poll::Ready(None)
    }
}
