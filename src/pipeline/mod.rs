//! Pipelines: how they are written down.

mod node;
mod par;
mod sealed;
mod types;

use core::{fmt, marker::PhantomData, time::Duration};

pub use node::{node, node_with};
pub use par::{__beside, __par_chained, __types_of, par};
pub use sealed::Sealed;
#[cfg(feature = "garde")]
pub use types::ValidatedStep;
pub use types::{CxStep, Ensured, FnStep, MapStep, Required, TryMapStep};

#[cfg(feature = "tokio")]
use crate::body::Spawnable;
#[cfg(any(feature = "garde", feature = "tokio"))]
use crate::into_node::Itself;
#[cfg(feature = "garde")]
use crate::valid::{Valid, Validated};
use crate::{
    budget::Budget,
    chain::{self, Checks, Fold, Nil, One, Push, Tune, Wrapped},
    compose::{CxNode, Fallible, Flat, Map, MapErr, Settleable, TryMap},
    contract::Verdict,
    describe::{Description, Shown},
    exec::Node,
    into_node::{IntoBranch, IntoNode, Piece},
    layer::{Budgeted, Deadline, FromStart, Leaf, Policy, Skipped, Step, WriteAhead},
    policy::PolicyMap,
};

/// It does nothing by itself: [`Runner`](crate::Runner) runs it. Its first parameter is the nested type of its nodes, which
/// nobody need write: a function returns a part of a pipeline as [`Sealed`].
///
/// # Order
/// A layer wraps what is to its left inside its own parentheses, as iterator adapters do. On a single node the order of the
/// calls does not matter: checkpoint is around retry, retry around the checks, those around time-out, time-out around the
/// function. So what [`ensure`](Self::ensure) rejects is not kept, and the function is not called with what
/// [`require`](Self::require) rejects. On a chain the order is as written:
///
/// | written | what it limits | attempts at a node that hangs | it is over after |
/// |---|---|--:|--:|
/// | `chain.timeout(ms(100)).retry(twice)` | each attempt | 3 | 300 ms |
/// | `chain.retry(twice).timeout(ms(100))` | all attempts together | 1 | 100 ms |
///
/// ```
/// # use stroma::{Backoff, NoContext, NodeCx, PolicyMap, Runner, ms, node, node_with};
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// # #[derive(Debug, PartialEq)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn quick(x: u32) -> Result<u32, AppError> { Ok(x + 1) }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
///
/// async fn hangs(_: u32) -> Result<u32, AppError> {
///     ATTEMPTS.fetch_add(1, Ordering::Relaxed);
///     std::future::pending().await
/// }
///
/// let twice = PolicyMap::never().recoverable(2, Backoff::none());
/// let chain = || node("quick", quick).then(node("hangs", hangs));
///
/// let each = Runner::quick(chain().timeout(ms(100)).retry(twice)).build()?;
/// let start = tokio::time::Instant::now();
/// assert!(each.run(0).await.is_err());
/// assert_eq!((ATTEMPTS.swap(0, Ordering::Relaxed), start.elapsed()), (3, ms(300)));
///
/// let all = Runner::quick(chain().retry(twice).timeout(ms(100))).with_policies(PolicyMap::never()).build()?;
/// let start = tokio::time::Instant::now();
/// assert!(all.run(0).await.is_err());
/// assert_eq!((ATTEMPTS.swap(0, Ordering::Relaxed), start.elapsed()), (1, ms(100)));
/// # Ok(())
/// # }
/// ```
///
/// With a store, what an attempt had saved stays: `quick` runs once in both, unless [`from_start`](Self::from_start) follows the
/// retry.
#[must_use = "a pipeline does nothing until a runner runs it"]
pub struct Pipeline<C, In, Out, Error> {
    pub(crate) chain: C,
    types: PhantomData<fn(In) -> (Out, Error)>,
}

impl<C, In, Out, Error> Pipeline<C, In, Out, Error> {
    pub(crate) const fn of(chain: C) -> Self {
        Self { chain, types: PhantomData }
    }

    /// What comes next: a node, a branching or a whole pipeline that takes what this one yields.
    ///
    /// ```
    /// # use stroma::node;
    /// # async fn read(path: String) -> Result<String, std::io::Error> { Ok(path) }
    /// # async fn count(text: String) -> Result<u32, std::io::Error> { Ok(text.len() as u32) }
    /// let pipeline = node("read", read).then(node("count", count));
    /// assert_eq!(pipeline.describe().to_string(), "read -> count");
    /// ```
    #[doc(alias("and_then", "chain", "pipe"))]
    pub fn then<X: IntoNode<Out, Error>>(self, next: X) -> Pipeline<C::Out, In, X::Out, Error>
    where
        C: Push<X::Node>,
    {
        Pipeline::of(self.chain.push(next.into_node()))
    }

    /// A plain function between two nodes. It has no id and no checkpoint; after a resume it may be called again.
    ///
    /// ```
    /// # use stroma::{Runner, node};
    /// # async fn read(x: u32) -> Result<String, std::io::Error> { Ok(x.to_string()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pipeline = node("read", read).map(|text| text.len() as u32);
    /// assert_eq!(Runner::quick(pipeline).build()?.run(128).await?.output, 3);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("map_ok"))]
    pub fn map<F, To>(self, function: F) -> Pipeline<C::Out, In, To, Error>
    where
        F: Fn(Out) -> To,
        C: Push<MapStep<F, Out, To, Error>>,
    {
        Pipeline::of(self.chain.push(Map::new(function)))
    }

    /// A plain function that can fail. It has no id and no checkpoint, and is not retried by itself.
    ///
    /// ```
    /// # use stroma::{Runner, node};
    /// # #[derive(Debug, thiserror::Error)] #[error("{0}")] struct AppError(String);
    /// # impl stroma::Failure for AppError {}
    /// # async fn read(text: String) -> Result<String, AppError> { Ok(text) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let number = |text: String| text.trim().parse::<u32>().map_err(|error| AppError(error.to_string()));
    /// let runner = Runner::quick(node("read", read).try_map(number)).build()?;
    /// assert_eq!(runner.run(" 17".to_owned()).await?.output, 17);
    /// assert!(runner.run("many".to_owned()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("map_result"))]
    pub fn try_map<F, R, To>(self, function: F) -> Pipeline<C::Out, In, To, Error>
    where
        F: Fn(Out) -> R,
        R: Fallible<Error, Out = To>,
        C: Push<TryMapStep<F, Out, To, Error>>,
    {
        Pipeline::of(self.chain.push(TryMap::new(function)))
    }

    /// Turns the error of all so far into another one, so that it can stand beside nodes with that error.
    ///
    /// ```
    /// # use stroma::node;
    /// # #[derive(Debug, thiserror::Error)] #[error("{0}")] struct AppError(String);
    /// # impl stroma::Failure for AppError {}
    /// # async fn read(path: String) -> Result<String, std::io::Error> { Ok(path) }
    /// # async fn count(text: String) -> Result<u32, AppError> { Ok(text.len() as u32) }
    /// let pipeline = node("read", read).map_err(|error| AppError(error.to_string())).then(node("count", count));
    /// # let _ = pipeline;
    /// ```
    pub fn map_err<F, To>(self, function: F) -> Pipeline<One<MapErr<C::Node, F, To>, Nil>, In, Out, To>
    where
        F: Fn(Error) -> To,
        C: Fold,
    {
        Pipeline::of(One { tree: MapErr::new(self.chain.fold(), function), rest: Nil })
    }

    /// How failures are tried again: on a node in place of the runner's policy, on a chain around the chain.
    ///
    /// A retry around a chain runs what is not done yet; what is checkpointed stays done. Without a store all of it runs again.
    ///
    /// ```
    /// use stroma::{Backoff, PolicyMap, ms, node};
    /// # async fn fetch(x: u32) -> Result<u32, std::io::Error> { Ok(x) }
    ///
    /// let patient = PolicyMap::never().recoverable(5, Backoff::exponential(ms(200)));
    /// let pipeline = node("fetch", fetch).retry(patient);
    /// assert_eq!(pipeline.describe().to_vec()[0].retry.map(|policy| policy.max_attempts()), Some(6));
    /// ```
    #[doc(alias("backoff", "attempts"))]
    pub fn retry(self, policy: PolicyMap) -> Pipeline<C::Retry, In, Out, Error>
    where
        C: Tune,
    {
        Pipeline::of(self.chain.retry(policy))
    }

    /// A limit of time for each attempt, which then fails as recoverable.
    ///
    /// The time counts from when the attempt first has to wait: a node that never waits cannot be interrupted.
    ///
    /// ```
    /// # use stroma::{Cause, PolicyMap, Runner, node, secs};
    /// # async fn hangs(_: u32) -> Result<u32, std::io::Error> { std::future::pending().await }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("hangs", hangs).timeout(secs(2)).retry(PolicyMap::never())).build()?;
    /// let halted = runner.run(17).await.unwrap_err();
    /// assert!(matches!(halted.cause, Cause::TimedOut { limit } if limit == secs(2)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// The future of an attempt that ran out of time is dropped before the next attempt starts.
    #[doc(alias("time_limit"))]
    pub fn timeout(self, limit: Duration) -> Pipeline<C::Timeout, In, Out, Error>
    where
        C: Tune,
    {
        Pipeline::of(self.chain.timeout(limit))
    }

    /// A limit of time over all of it, retries and waits included. A wait that would go past it is not waited.
    ///
    /// ```
    /// # use stroma::{Cause, Runner, node, secs};
    /// # async fn hangs(_: u32) -> Result<u32, std::io::Error> { std::future::pending().await }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("hangs", hangs).timeout(secs(2)).deadline(secs(3))).build()?;
    /// let halted = runner.run(17).await.unwrap_err();
    /// assert!(matches!(halted.cause, Cause::Deadline { limit } if limit == secs(3)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// When the time is over, what is being saved is saved before the rest is dropped; what was checkpointed stays.
    #[doc(alias("time_limit", "timeout"))]
    pub fn deadline(self, limit: Duration) -> Pipeline<One<Deadline<C::Node>, Nil>, In, Out, Error>
    where
        C: Fold,
    {
        Pipeline::of(chain::deadline(self.chain, limit))
    }

    /// A limit of what all of it may spend, retries included, inside the limits around it. It needs a runner that keeps account:
    /// [`with_budget`](crate::Builder::with_budget) or `Runner::quick`.
    ///
    /// On a single node it is written last: what is written after it is around it, as on a chain.
    ///
    /// ```
    /// use stroma::{Budget, Usd, node};
    /// # #[derive(Debug)] struct AppError;
    /// # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// let research = node("search", f).then(node("rank", f)).budget(Budget::unlimited().cost(Usd::cents(20)));
    /// let pipeline = research.then(node("write", f));
    /// # let _ = pipeline;
    /// ```
    ///
    /// # Cancel safety
    /// What was spent in it stays booked, whatever becomes of it.
    #[doc(alias("limit", "quota"))]
    pub fn budget(self, budget: Budget) -> Pipeline<One<Budgeted<C::Node>, Nil>, In, Out, Error>
    where
        C: Fold<Node: Node>,
    {
        Pipeline::of(chain::budget(self.chain, budget))
    }

    /// Checks the input before anything is done with it. A check returns `bool`, or a `Result` that says what is wrong.
    ///
    /// What does not pass stops the run with [`Cause::Contract`](crate::Cause::Contract), which names the node and what is wrong.
    /// It is terminal and never retried, whatever a policy or a classifier says, and the runner has to be one that reports:
    /// anything but a `Runner::new` with nothing switched on.
    ///
    /// On a single node of several checks the first that was written is asked first; the trace has the attempt, and it is
    /// failed. On a chain the check is around the whole chain, so one that is written later is asked sooner; it is no attempt of
    /// a node, so the trace does not have it, and the first node is named. What goes on from a checkpoint has no input any
    /// more, so nothing is checked there.
    ///
    /// ```
    /// # use stroma::{Cause, Direction, Failure, RunStatus, Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stroma::BuildError> {
    /// async fn words(text: String) -> Result<u32, AppError> {
    ///     Ok(text.split_whitespace().count() as u32)
    /// }
    ///
    /// let pipeline = node("words", words).require(|text: &String| match text.is_empty() {
    ///     true => Err("there is no text"),
    ///     false => Ok(()),
    /// });
    /// let halted = Runner::quick(pipeline).build()?.run(String::new()).await.unwrap_err();
    /// assert_eq!((halted.node, halted.report.status), (Some("words"), RunStatus::Failed));
    /// let Cause::Contract(broken) = halted.cause else { unreachable!() };
    /// assert_eq!(broken.direction, Direction::Input);
    /// assert_eq!(broken.to_string(), "the input broke its contract: there is no text");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("precondition", "validate"))]
    pub fn require<F, V>(self, check: F) -> Pipeline<Required<C, F, V>, In, Out, Error>
    where
        F: Fn(&In) -> V,
        V: Verdict,
        C: Checks,
    {
        Pipeline::of(V::is(self.chain.require(check)))
    }

    /// Checks the output before anything is done with it. A check returns `bool`, or a `Result` that says what is wrong.
    ///
    /// What does not pass is dropped, and not checkpointed; the run stops as for [`require`](Self::require), and is not retried.
    ///
    /// On a single node, an output that comes from a checkpoint has passed before and is not checked again. On a chain the
    /// check is around the whole, whose nodes have checkpoints of their own: an output of the chain that comes from one is
    /// checked again after a resume, and until the node is mended and run again with
    /// [`resume_from`](crate::Runner::resume_from), the check fails again. There the last node is named, and the trace has its
    /// attempt, which was a success.
    ///
    /// Several are asked in the order in which they are written.
    ///
    /// ```
    /// # use stroma::{Cause, Failure, Runner, Violation, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stroma::BuildError> {
    /// async fn prices(count: i64) -> Result<Vec<i64>, AppError> {
    ///     Ok((0..count).map(|at| 7 - at).collect())
    /// }
    ///
    /// fn positive(prices: &Vec<i64>) -> Result<(), Violation> {
    ///     match prices.iter().position(|price| *price <= 0) {
    ///         Some(at) => Err(Violation::new("must be positive").at(format_args!("[{at}]"))),
    ///         None => Ok(()),
    ///     }
    /// }
    ///
    /// let pipeline = node("prices", prices).ensure(|prices: &Vec<i64>| !prices.is_empty()).ensure(positive);
    /// let runner = Runner::quick(pipeline).build()?;
    /// assert_eq!(runner.run(2).await.unwrap().output, [7, 6]);
    /// let halted = runner.run(9).await.unwrap_err();
    /// assert_eq!(halted.cause.to_string(), "the output broke its contract at `[7]`: must be positive");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("postcondition", "validate", "filter"))]
    pub fn ensure<F, V>(self, check: F) -> Pipeline<Ensured<C, F, V>, In, Out, Error>
    where
        F: Fn(&Out) -> V,
        V: Verdict,
        C: Checks,
    {
        Pipeline::of(V::is(self.chain.ensure(check)))
    }

    /// Checks the output by the rules of its type, as [`ensure`](Self::ensure) does: a type that implements `garde::Validate` with
    /// the context `()`.
    ///
    /// Told is the path and the message of the first rule that is broken, and how many more are.
    ///
    /// ```
    /// # use stroma::{Failure, Runner, node};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stroma::BuildError> {
    /// use garde::Validate;
    ///
    /// #[derive(Debug, Clone, Serialize, Deserialize, postcard_schema::Schema, Validate)]
    /// struct Fact {
    ///     #[garde(range(min = 1400, max = 2100))]
    ///     year: u32,
    /// }
    ///
    /// async fn guess(year: u32) -> Result<Fact, AppError> {
    ///     Ok(Fact { year })
    /// }
    ///
    /// let runner = Runner::quick(node("guess", guess).validated()).build()?;
    /// assert_eq!(runner.run(1851).await.unwrap().output.year, 1851);
    /// let halted = runner.run(12).await.unwrap_err();
    /// assert_eq!(halted.cause.to_string(), "the output broke its contract at `year`: lower than 1400");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "garde")]
    pub fn validated<V, Context>(self) -> Pipeline<ValidatedStep<C, Context>, In, Out, Error>
    where
        // On a parameter, so that the text of `Valid` is what is said.
        Out: Itself<It = V>,
        V: Valid<Context = Context>,
        C: Checks,
    {
        Pipeline::of(self.chain.ensure(Validated))
    }

    /// Closes it, so that a function can return it as `Sealed<impl SendExec<..>>`; see [`SendExec`](crate::SendExec).
    ///
    /// ```
    /// use stroma::prelude::*;
    /// # async fn count(text: String) -> Result<u32, std::io::Error> { Ok(text.len() as u32) }
    ///
    /// fn counting() -> Sealed<impl SendExec<Quick, In = String, Out = u32, Error = std::io::Error>> {
    ///     node("count", count).seal()
    /// }
    /// # let _ = counting();
    /// ```
    #[doc(alias("boxed", "opaque"))]
    pub fn seal(self) -> Sealed<C::Node>
    where
        C: Fold<Node: Node>,
    {
        Sealed { node: self.chain.fold() }
    }

    /// Its nodes and its shape, without running anything.
    ///
    /// ```
    /// # use stroma::{node, par};
    /// # #[derive(Debug)] struct AppError;
    /// # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// let pipeline = node("read", f).then(par(node("words", f), node("outline", f))).map(|(a, b)| a + b);
    /// assert_eq!(pipeline.describe().to_string(), "read -> (words | outline)");
    /// let ids: Vec<_> = pipeline.describe().to_vec().into_iter().map(|node| node.id).collect();
    /// assert_eq!(ids, ["read", "words", "outline"]);
    /// ```
    pub fn describe(&self) -> Description<'_, C>
    where
        C: Shown,
    {
        Description::of(&self.chain)
    }
}

impl<N: Node> Pipeline<One<N, Nil>, N::In, N::Out, N::Error> {
    /// A node of a kind of your own: anything that is [`Node`] and, in the runner at hand, [`Exec`](crate::Exec).
    pub const fn custom(node: N) -> Self {
        Self::of(One { tree: node, rest: Nil })
    }
}

impl<B, R, T, K, In, Out, Error> Pipeline<Step<B, Policy<R, T, K>>, In, Out, Error> {
    /// Does not keep the output of this node: after a crash it runs again, unless something after it was kept.
    ///
    /// The output of the whole run is kept all the same, so that a finished run can return it.
    ///
    /// Before branches it is only for a node that yields the same each time: after a crash a branch that was kept is of the
    /// earlier output, and one that was not is given the new one.
    ///
    /// ```
    /// # use stroma::node;
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// let pipeline = node("read", double).skip_checkpoint().then(node("parse", double));
    /// let kept: Vec<_> = pipeline.describe().to_vec().iter().map(|node| node.checkpointed).collect();
    /// assert_eq!(kept, [false, true]);
    /// ```
    #[doc(alias("no_checkpoint", "ephemeral"))]
    pub fn skip_checkpoint(self) -> Pipeline<Step<B, Policy<R, T, Skipped>>, In, Out, Error> {
        let Step { id, key, body, policy: Policy { retry, limit, .. } } = self.chain;
        Pipeline::of(Step { id, key, body, policy: Policy { retry, limit, keep: Leaf } })
    }

    /// The id that this node had in the first version of the program: its output is kept under that one, so that this version
    /// and those before find each other's checkpoints. Traces and errors show the present id.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use stroma::{prelude::*, store::HeapStore};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (store, run) = (Arc::new(HeapStore::new()), RunId::new("order 17")?);
    /// let before = Runner::quick(node("read", double)).with_store(store.clone()).build()?;
    /// before.run_as(run, 21).await?;
    ///
    /// let now = Runner::quick(node("load", double).was("read")).with_store(store).build()?;
    /// assert_eq!(now.run_as(run, 21).await?.report.restored, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("rename"))]
    pub fn was(mut self, id: &'static str) -> Self {
        self.chain.key = id;
        self
    }
}

impl<F, In, C, P, Out, Error> Pipeline<Step<CxNode<F, In, C, Out, Error>, P>, In, Out, Error> {
    /// Lets this node store what it reserves before its calls go out, with [`NodeCx::reserve_ahead`](crate::NodeCx::reserve_ahead).
    ///
    /// What a run spent is stored with each checkpoint, so a process that is killed in the middle of a call forgets what that call
    /// cost. For a node whose calls are dear, this spends a write to the store on not forgetting it.
    ///
    /// ```
    /// use stroma::{Budget, NodeCx, Runner, SpendError, Usage, Usd, node_with};
    /// # use std::fmt;
    /// # #[derive(Debug)] enum AppError { Budget(SpendError) }
    /// # impl fmt::Display for AppError { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("no") } }
    /// # impl std::error::Error for AppError {}
    /// # impl stroma::Failure for AppError {}
    /// # impl From<SpendError> for AppError { fn from(e: SpendError) -> Self { Self::Budget(e) } }
    /// # async fn call(_: &str) -> Result<(String, u64), AppError> { Ok(("42".into(), 900)) }
    /// async fn ask(question: String, cx: NodeCx<'_, stroma::NoContext>) -> Result<String, AppError> {
    ///     let reserved = cx.reserve_ahead(Usage::of("gpt-4.1").input(1_000)).await?;
    ///     let (answer, input) = call(&question).await?; // Killed in here, the run has spent the thousand tokens.
    ///     reserved.settle(Usage::of("gpt-4.1").input(input))?;
    ///     Ok(answer)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pipeline = node_with("ask", ask).write_ahead();
    /// let runner = Runner::quick(pipeline).with_budget(Budget::unlimited().cost(Usd::dollars(5))).build()?;
    /// assert_eq!(runner.run("Why?".to_owned()).await?.report.spent.tokens, 900);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_ahead(self) -> Pipeline<Step<WriteAhead<CxNode<F, In, C, Out, Error>>, P>, In, Out, Error> {
        let Step { id, key, body, policy } = self.chain;
        Pipeline::of(Step { id, key, body: WriteAhead(body), policy })
    }
}

#[cfg(feature = "tokio")]
impl<B, P, In, Out, Error> Pipeline<Step<B, P>, In, Out, Error> {
    /// Runs this node on tokio's pool, so that it can use another core. A panic in it is a terminal failure of the node.
    ///
    /// The function must be `Send + 'static`, so it cannot take a [`NodeCx`](crate::NodeCx), and the runner must be one that
    /// reports: anything but a `Runner::new` with nothing switched on.
    ///
    /// ```
    /// # use stroma::{Runner, node};
    /// # async fn hash(x: u32) -> Result<u32, std::io::Error> { Ok(x.reverse_bits()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("hash", hash).spawned()).build()?;
    /// assert_eq!(runner.run(1).await?.output, 1 << 31);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// When a time-out ends the attempt or a sibling fails, the task is aborted and waited for. When the run itself is dropped
    /// the task is aborted too, and ends by itself at its next await point.
    ///
    /// # Panics
    /// When it is polled outside of a tokio runtime, as [`tokio::spawn`] does.
    ///
    /// # When it does not compile
    /// A function whose future is not `Send` is refused in the compiler's words at [`build`](crate::Builder::build): *future cannot
    /// be sent between threads safely*, with the value that is held across an await and the line where it is.
    #[doc(alias("spawn", "parallel"))]
    pub fn spawned<S>(self) -> Pipeline<Step<S::Spawned, P>, In, Out, Error>
    where
        // On a parameter, so that the text of `Spawnable` is what is said.
        B: Itself<It = S>,
        S: Spawnable,
    {
        let Step { id, key, body, policy } = self.chain;
        Pipeline::of(Step { id, key, body: body.it().spawned(), policy })
    }
}

impl<N: Settleable, In, Out, Error> Pipeline<One<N, Nil>, In, Out, Error> {
    /// Lets the other branches finish, and be checkpointed, before the failure of one ends all.
    ///
    /// Where several fail, the first is told, but one that no retry can help (terminal, or the store's) before the others.
    ///
    /// ```
    /// # use stroma::{PolicyMap, Outcome, Runner, node, par, secs};
    /// # async fn bill(_: u32) -> Result<u32, std::io::Error> { Err(std::io::ErrorKind::NotFound.into()) }
    /// # async fn mail(x: u32) -> Result<u32, std::io::Error> { tokio::time::sleep(secs(1)).await; Ok(x) }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let both = par(node("bill", bill), node("mail", mail)).settle();
    /// let runner = Runner::quick(both).with_policies(PolicyMap::never()).build()?;
    /// let halted = runner.run(17).await.unwrap_err();
    /// assert_eq!(halted.node, Some("bill"));
    /// // Without `settle` it would have been cut short.
    /// assert!(halted.trace.events_for("mail").all(|event| event.outcome == Outcome::Succeeded));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("join_all", "wait_all"))]
    pub fn settle(self) -> Pipeline<One<N::Settled, Nil>, In, Out, Error> {
        Pipeline::of(One { tree: self.chain.tree.settle(), rest: Nil })
    }
}

impl<N, In, Out, Error> Pipeline<One<N, Nil>, In, Out, Error> {
    /// The flat tuple of a `par!`.
    #[doc(hidden)]
    pub fn __flat<F, To>(self, function: F) -> Pipeline<One<Flat<N, F, To>, Nil>, In, To, Error>
    where
        F: Fn(Out) -> To,
    {
        Pipeline::of(One { tree: Flat::new(self.chain.tree, function), rest: Nil })
    }
}

impl<N, T, In, Out, Error> Pipeline<Wrapped<N, PolicyMap, T>, In, Out, Error> {
    /// Throws away what the failed attempt had checkpointed, so that each attempt at the chain begins at its first node.
    ///
    /// A chain that a resume entered in the middle has no input at hand; a failure there goes on from where it is.
    ///
    /// ```
    /// # use stroma::{Backoff, PolicyMap, node};
    /// # async fn login(user: String) -> Result<u32, std::io::Error> { Ok(user.len() as u32) }
    /// # async fn fetch(session: u32) -> Result<u32, std::io::Error> { Ok(session) }
    /// // A session may have run out: each attempt logs in anew.
    /// let twice = PolicyMap::never().recoverable(2, Backoff::none());
    /// let pipeline = node("login", login).then(node("fetch", fetch)).retry(twice).from_start();
    /// # let _ = pipeline;
    /// ```
    pub fn from_start(self) -> Pipeline<Wrapped<N, FromStart, T>, In, Out, Error> {
        Pipeline::of(chain::from_start(self.chain))
    }
}

impl<C: Shown, In, Out, Error> fmt::Debug for Pipeline<C, In, Out, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipeline({})", Description::of(&self.chain))
    }
}

impl<C, In, Out, Error> IntoNode<In, Error> for Pipeline<C, In, Out, Error>
where
    C: Fold<Node: Node<In = In, Out = Out, Error = Error>>,
{
    type Out = Out;
    type Node = C::Node;

    fn into_node(self) -> C::Node {
        self.chain.fold()
    }
}

impl<C, In, Out, Error> IntoBranch<In, Error> for Pipeline<C, In, Out, Error>
where
    C: Fold<Node: Node<In = In, Out = Out, Error = Error>>,
{
    type Out = Out;
    type Node = C::Node;

    fn into_branch(self) -> C::Node {
        self.chain.fold()
    }
}

impl<C, In, Out, Error> Piece for Pipeline<C, In, Out, Error>
where
    C: Fold<Node: Node<In = In, Out = Out, Error = Error>>,
{
    type In = In;
    type Out = Out;
    type Error = Error;
    type Node = C::Node;

    fn into_piece(self) -> C::Node {
        self.chain.fold()
    }
}
