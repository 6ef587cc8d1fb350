//! What a node knows beside its input.

use core::{fmt, time::Duration};

use crate::{
    budget::{AheadReservation, Remaining, Reservation, SpendError, Spender, Usage, Usd, WritingAhead},
    run::RunId,
};

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
    pub(super) context: &'a C,
    pub(super) run: Option<RunId>,
    pub(super) node: &'static str,
    pub(super) key: &'static str,
    pub(super) instance: u32,
    pub(super) attempt: u32,
    pub(super) began: Duration,
    pub(super) spender: Spender<'a>,
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

    /// Sets aside what a call may use at most, and waits until the store has that: a crash in the middle of the call, which would
    /// forget what [`reserve`](Self::reserve) set aside, counts it as spent then. For nodes with
    /// [`write_ahead`](crate::Pipeline::write_ahead).
    ///
    /// It costs one write to the store. While that is under way the node is not polled. In a runner that keeps no account, or has
    /// no store, there is nothing to wait for.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve), and [`SpendError::NotAhead`] in a node without `write_ahead`. When the store fails the run
    /// halts with [`Cause::Store`](crate::Cause::Store).
    ///
    /// # Cancel safety
    /// Dropped while it waits it takes the reservation back: there was no call yet.
    pub async fn reserve_ahead(&self, most: Usage<'_>) -> Result<AheadReservation<'a>, SpendError> {
        WritingAhead::new(self.spender.reserve(most)?).await
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
