//! How a runner is put together: each `with_` call switches one capability on, in the type.

use super::{
    build::{Build, BuildError, check_budgets, check_ids},
    caps::Caps,
    run::Runner,
};
use crate::{
    budget::{Accounts, Budget, ModelName, Pricing},
    clock::Now,
    describe::{Outline, fingerprint},
    exec::{Env, Exec, Full},
    failure::FirstOf,
    into_node::{Itself, Piece},
    meter::{Meter, Metering, NoBudget},
    observe::{Both, Hooked, Tracer},
    pipeline::Sealed,
    policy::PolicyMap,
    store::{Durability, Durable, Persist, Store},
};

/// A pipeline and what its runner is to be able to do.
///
/// Begun with [`Runner::new`] or `Runner::quick`, ended with [`build`](Self::build).
#[must_use = "a builder does nothing until `.build()`"]
#[derive(Debug)]
pub struct Builder<N, E> {
    pub(super) node: N,
    pub(super) env: E,
}

impl Runner<(), Caps> {
    /// A runner with nothing switched on: as fast as the same `async fn` written by hand, and it asks nothing of the types.
    /// A run yields the bare output or the node's bare error.
    ///
    /// ```
    /// # use stroma::{Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::new(node("double", double).then(node("again", double))).build()?;
    /// assert_eq!(runner.run(3).await.unwrap(), 12);
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::new_ret_no_self, reason = "a runner begins as its builder")]
    pub fn new<P: Piece<Node = N>, N>(pipeline: P) -> Builder<N, Caps> {
        Builder { node: pipeline.into_piece(), env: Caps::default() }
    }

    /// The useful default: checkpoints in memory, the default retries, tokio's clock, and a trace.
    ///
    /// It asks of every type that passes between nodes `Clone`, `Serialize`, `DeserializeOwned` and `Schema`, and of the error
    /// [`Failure`](crate::Failure) and `Display`.
    ///
    /// ```
    /// # use stroma::{Failure, Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", double)).build()?;
    /// let done = runner.run(3).await.unwrap();
    /// assert_eq!((done.output, done.report.status), (6, stroma::RunStatus::Completed));
    /// assert_eq!(done.trace.events().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn quick<P: Piece<Node = N>, N>(pipeline: P) -> Builder<N, super::caps::Quick> {
        Builder {
            node: pipeline.into_piece(),
            env: Caps {
                store: Durable(crate::store::HeapStore::new()),
                policy: PolicyMap::default(),
                clock: crate::clock::TokioClock,
                context: super::caps::NoContext,
                classifier: crate::failure::ByFailure,
                trace: Both(crate::observe::ListTrace, crate::observe::NoTrace),
                detail: Full,
                budget: Metering::new(NoBudget.into_accounts()),
            },
        }
    }
}

impl<N, S, P, K, X, L, T, D, H, B> Builder<N, Caps<S, P, K, X, L, T, D, H, B>> {
    /// Keeps checkpoints in `store`, in place of what was there.
    ///
    /// ```
    /// use stroma::{prelude::*, store::HeapStore};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// let runner = Runner::new(node("double", double)).with_store(HeapStore::new()).build()?;
    /// # let _ = runner;
    /// # Ok::<(), stroma::BuildError>(())
    /// ```
    pub fn with_store<To: Store>(self, store: To) -> Builder<N, Caps<Durable<To>, P, K, X, L, T, Full, H, B>> {
        let Caps { policy, clock, context, classifier, trace, budget, .. } = self.env;
        let env = Caps { store: Durable(store), policy, clock, context, classifier, trace, detail: Full, budget };
        Builder { node: self.node, env }
    }

    /// Keeps checkpoints on the Redis server at `url`, in place of where they were kept; a run expires `ttl` after its last one.
    /// `with_store(RedisStore::new(url, ttl)?)`, which see for what can be set, and keep for
    /// [`flush`](crate::store::RedisStore::flush).
    ///
    /// ```
    /// use stroma::prelude::*;
    /// # #[derive(Debug, thiserror::Error)] #[error("no")] struct AppError;
    /// # impl Failure for AppError {}
    /// # async fn double(x: u32) -> Result<u32, AppError> { Ok(x * 2) }
    ///
    /// let runner = Runner::quick(node("double", double)).with_redis("redis://127.0.0.1/", secs(3_600))?.build()?;
    /// # let _ = runner;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`RedisStore::new`](crate::store::RedisStore::new). Nothing is connected yet.
    #[cfg(feature = "redis")]
    pub fn with_redis(
        self,
        url: &str,
        ttl: core::time::Duration,
    ) -> Result<Builder<N, Caps<Durable<crate::store::RedisStore>, P, K, X, L, T, Full, H, B>>, crate::store::StoreError>
    {
        Ok(self.with_store(crate::store::RedisStore::new(url, ttl)?))
    }

    /// Tries failures again as `policies` says, where a node does not say otherwise. It needs a clock.
    ///
    /// ```
    /// use stroma::prelude::*;
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// let patient = PolicyMap::default().recoverable(5, Backoff::exponential(ms(200)));
    /// let runner = Runner::quick(node("double", double)).with_policies(patient).build()?;
    /// # let _ = runner;
    /// # Ok::<(), stroma::BuildError>(())
    /// ```
    pub fn with_policies(self, policy: PolicyMap) -> Builder<N, Caps<S, PolicyMap, K, X, L, T, Full, H, B>> {
        let Caps { store, clock, context, classifier, trace, budget, .. } = self.env;
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Takes time from `clock`, in place of the clock that was there.
    ///
    /// ```
    /// use stroma::{PolicyMap, Runner, TokioClock, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// let runner = Runner::new(node("double", double)).with_policies(PolicyMap::default()).with_clock(TokioClock).build()?;
    /// # let _ = runner;
    /// # Ok::<(), stroma::BuildError>(())
    /// ```
    pub fn with_clock<To: crate::clock::Clock>(self, clock: To) -> Builder<N, Caps<S, P, To, X, L, T, Full, H, B>> {
        let Caps { store, policy, context, classifier, trace, budget, .. } = self.env;
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Lends `context` to every node that takes a [`NodeCx`](crate::NodeCx).
    ///
    /// ```
    /// use stroma::prelude::*;
    ///
    /// struct App {
    ///     factor: u32,
    /// }
    ///
    /// async fn scale(x: u32, cx: NodeCx<'_, App>) -> Result<u32, std::io::Error> {
    ///     Ok(x * cx.context().factor)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node_with("scale", scale)).with_context(App { factor: 2 }).build()?;
    /// assert_eq!(runner.run(21).await?.output, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_context<To>(self, context: To) -> Builder<N, Caps<S, P, K, To, L, T, D, H, B>> {
        let Caps { store, policy, clock, classifier, trace, detail, budget, .. } = self.env;
        Builder { node: self.node, env: Caps { store, policy, clock, context, classifier, trace, detail, budget } }
    }

    /// Asks `classifier` what a failure means, after those given before and before the error's own
    /// [`Failure::class`](crate::Failure::class).
    ///
    /// ```
    /// # use stroma::{FailedAttempt, Failure, FailureClass, Runner, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # async fn fetch(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// let builder = Runner::quick(node("fetch", fetch))
    ///     .with_classifier(|_: &AppError, at: &FailedAttempt<'_>| (at.node == "fetch").then_some(FailureClass::Recoverable));
    /// # let _ = builder;
    /// ```
    pub fn with_classifier<To>(self, classifier: To) -> Builder<N, Caps<S, P, K, X, FirstOf<L, To>, T, Full, H, B>> {
        let Caps { store, policy, clock, context, classifier: before, trace, budget, .. } = self.env;
        let classifier = FirstOf(before, classifier);
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Writes down what happens with `trace`, in place of the trace that was there: `ListTrace`, [`RingTrace`](crate::RingTrace),
    /// or [`NoTrace`](crate::NoTrace) for nothing.
    ///
    /// ```
    /// use stroma::{ListTrace, Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", double)).with_trace(ListTrace::new().with_values()).build()?;
    /// let done = runner.run(21).await?;
    /// assert_eq!(done.trace.events()[0].output().map(ToString::to_string).as_deref(), Some("42"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_trace<To: Tracer>(self, trace: To) -> Builder<N, Caps<S, P, K, X, L, To, Full, H, B>> {
        let Caps { store, policy, clock, context, classifier, trace: Both(_, others), budget, .. } = self.env;
        let trace = Both(trace, others);
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Calls `hooks` at the start, the success and the failure of each attempt, after those given before: one implementation of
    /// [`Hooks`](crate::Hooks), or a tuple of several.
    pub fn with_hooks<To>(self, hooks: To) -> Builder<N, Caps<S, P, K, X, L, T, Full, Both<H, Hooked<To>>, B>> {
        let Caps { store, policy, clock, context, classifier, trace: Both(trace, others), budget, .. } = self.env;
        let trace = Both(trace, Both(others, Hooked(hooks)));
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Limits what a run may spend, in place of the budget that was there, and keeps account of it: of tokens, money and time.
    ///
    /// Prices are those of [`Pricing::known`] unless [`with_pricing`](Self::with_pricing) says otherwise. What was spent is
    /// kept with the checkpoints, so that a resumed run goes on from it. A limit of time needs a clock, and one of zero is
    /// refused by [`build`](Self::build). A budget of a part of a pipeline is [`Pipeline::budget`](crate::Pipeline::budget).
    ///
    /// ```
    /// use stroma::{Budget, Runner, Usd, node, secs};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl stroma::Failure for AppError {}
    /// # async fn ask(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// let budget = Budget::unlimited().tokens(100_000).cost(Usd::cents(50)).latency(secs(60));
    /// assert!(Runner::quick(node("ask", ask)).with_budget(budget).build().is_ok());
    /// // Time is taken from a clock, which `Runner::quick` has and this one has not.
    /// assert!(Runner::new(node("ask", ask)).with_budget(budget).build().is_err());
    /// ```
    pub fn with_budget(self, budget: Budget) -> Builder<N, Caps<S, P, K, X, L, T, Full, H, Metering>>
    where
        B: Account,
    {
        self.account(|accounts| accounts.set_budget(budget))
    }

    /// Prices what nodes use by this table, in place of the one that was there, and keeps account of it. To change or add to
    /// the prices that come with the crate begin with [`Pricing::known`].
    pub fn with_pricing(self, pricing: Pricing) -> Builder<N, Caps<S, P, K, X, L, T, Full, H, Metering>>
    where
        B: Account,
    {
        self.account(|accounts| accounts.set_pricing(pricing))
    }

    /// Offers the model `to` in place of `from`, once the share `at` (from 0 to 1) of the budget's money is spent:
    /// [`NodeCx::model`](crate::NodeCx::model) says which. Several rules follow each other. What is booked is the model that a node
    /// reports, not the one that it was offered.
    ///
    /// ```
    /// # use stroma::{Budget, Runner, Usd, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl stroma::Failure for AppError {}
    /// # async fn ask(x: u32) -> Result<u32, AppError> { Ok(x) }
    /// let builder = Runner::quick(node("ask", ask))
    ///     .with_budget(Budget::unlimited().cost(Usd::dollars(2)))
    ///     .with_model_fallback("gpt-4.1", "gpt-4.1-mini", 0.8)
    ///     .with_model_fallback("gpt-4.1-mini", "gpt-4.1-nano", 0.95);
    /// assert!(builder.build().is_ok());
    /// ```
    pub fn with_model_fallback(
        self,
        from: impl Into<ModelName>,
        to: impl Into<ModelName>,
        at: f64,
    ) -> Builder<N, Caps<S, P, K, X, L, T, Full, H, Metering>>
    where
        B: Account,
    {
        self.account(|accounts| accounts.fall_back(from.into(), to.into(), at))
    }

    fn account(self, change: impl FnOnce(&mut Accounts)) -> Builder<N, Caps<S, P, K, X, L, T, Full, H, Metering>>
    where
        B: Account,
    {
        let Caps { store, policy, clock, context, classifier, trace, budget, .. } = self.env;
        let mut accounts = budget.into_accounts();
        change(&mut accounts);
        let budget = Metering::new(accounts);
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Makes a `tracing` span of each run, of each node in it, and of each attempt at that, for whichever subscriber the program
    /// has; [`spans`](crate::spans) says what is in them. Every error has to implement `Display`.
    ///
    /// ```
    /// use stroma::{Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::quick(node("double", async |x: u32| {
    ///     tracing::info!("doubling"); // In `run{run_id=..}:node{node="double"}:attempt{attempt=1}`.
    ///     double(x).await
    /// }))
    /// .with_tracing()
    /// .build()?;
    /// assert_eq!(runner.run(3).await?.output, 6);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    pub fn with_tracing(self) -> Builder<N, Caps<S, P, K, X, L, T, Full, Both<H, crate::observe::Spans>, B>> {
        let Caps { store, policy, clock, context, classifier, trace: Both(trace, others), budget, .. } = self.env;
        let trace = Both(trace, Both(others, crate::observe::Spans));
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }

    /// Yields [`Completed`](super::Completed) or [`Halted`](super::Halted) in place of the bare output or error.
    ///
    /// ```
    /// use stroma::{Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bare = Runner::new(node("double", double)).build()?;
    /// assert_eq!(bare.run(21).await?, 42);
    ///
    /// let reports = Runner::new(node("double", double)).with_report().build()?;
    /// assert_eq!(reports.run(21).await?.output, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_report(self) -> Builder<N, Caps<S, P, K, X, L, T, Full, H, B>> {
        let Caps { store, policy, clock, context, classifier, trace, budget, .. } = self.env;
        Builder {
            node: self.node,
            env: Caps { store, policy, clock, context, classifier, trace, detail: Full, budget },
        }
    }
}

/// The account of a builder: none, or one.
pub trait Account {
    /// One, without limits where there was none.
    fn into_accounts(self) -> Accounts;
}

impl Account for NoBudget {
    fn into_accounts(self) -> Accounts {
        Accounts::new(Budget::unlimited()).pricing(Pricing::known())
    }
}

impl Account for Metering {
    fn into_accounts(self) -> Accounts {
        Self::into_accounts(self)
    }
}

impl<B, N, E> Build for B
where
    B: Itself<It = Builder<N, E>>,
    N: Exec<E>,
    E: Env,
    E::Store: Persist<N::In>,
{
    type Node = N;
    type Env = E;

    fn checked(self) -> Result<Runner<N, E>, BuildError> {
        let Builder { node, env } = self.it();
        let node = Sealed { node };
        check_ids(&node)?;
        let needed = usize::from(N::NODES).saturating_add(1);
        if let Some(slots) = env.store().slots_per_run()
            && slots < needed
        {
            return Err(BuildError::TooFewSlots { slots, needed });
        }
        env.budget().check()?;
        let timed = check_budgets(&node)? || env.budget().is_timed();
        if timed && !E::Clock::TICKS {
            return Err(BuildError::NoClock);
        }
        let shape = fingerprint(&node);
        env.store().introduce(shape.get(), Outline(&node));
        Ok(Runner { node, env, shape })
    }
}

impl<N, E> Builder<N, E> {
    /// Checks the ids of the nodes and the slots of the store, and makes the runner.
    ///
    /// Here the compiler checks what the runner asks of the nodes' types: where a derive is missing, the error is at this call.
    /// (Its bound stands on a parameter `B`, which is always this builder, so that the error is at the call and not at what
    /// is before it.)
    ///
    /// ```
    /// use stroma::{BuildError, Runner, node};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    ///
    /// let twins = Runner::quick(node("double", double).then(node("double", double))).build();
    /// assert!(matches!(twins, Err(BuildError::DuplicateId { id: "double", .. })));
    /// ```
    ///
    /// # Errors
    /// When an id is empty, over-long, doubled or has a control character in it, or when the pipeline has more nodes than a run
    /// of the store has slots, or when a budget allows nothing, a fallback rule makes no sense, or there is no clock for a limit of
    /// time.
    pub fn build<B: Build<Node = N, Env = E>>(self) -> Result<Runner<N, E>, BuildError>
    where
        Self: Itself<It = B>,
    {
        self.it().checked()
    }
}
