//! How a node runs: what it is, what it runs in, and how it is polled.

use core::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    budget::Budget,
    clock::{Clock, Now},
    contract::Direction,
    failure::{Classifier, FailedAttempt, Failure, FailureClass},
    meter::{Meter, Overspent},
    observe::Tracer,
    policy::PolicyMap,
    report::{Report, RunStatus, Spent},
    run::RunId,
    said::{Notes, Said},
    slot::{Place, same_id},
    store::{Durability, Faulted},
};

/// A piece of a pipeline: it takes an `In` and yields an `Out` or an `Error`.
///
/// It knows nothing of the runner; how it runs in one is [`Exec`].
pub trait Node {
    /// What it takes.
    type In;
    /// What it yields.
    type Out;
    /// What it fails with.
    type Error;

    /// How many nodes with an id it has.
    const NODES: u16;

    /// How many of them skip their checkpoint.
    const SKIPPED: u16 = 0;

    /// Whether its input is checked before it begins. A node with an id says so of its function.
    const REQUIRES: bool = false;

    /// Whether its output is checked before anything is done with it. A node with an id says so of its function.
    const ENSURES: bool = false;

    /// Shows `walk` every node in order, and where branches begin and end.
    fn walk<W: Walk>(&self, walk: &mut W);
}

/// What a walk through a pipeline meets.
pub trait Walk {
    /// A node with an id.
    fn node(&mut self, node: NodeInfo);

    /// Branches begin; the first one follows.
    fn fork(&mut self) {}

    /// The next branch follows.
    fn branch(&mut self) {}

    /// The branches end.
    fn join(&mut self) {}

    /// A layer begins that is around what follows. What a node has itself is told with the node.
    fn enter(&mut self, layer: &Layer<'_>) {
        let _ = layer;
    }

    /// The layer that began last, of those that have not ended, ends.
    fn leave(&mut self) {}
}

/// A layer around a part of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer<'a> {
    /// The whole is tried again: what it has not done yet, or all of it.
    Retry {
        /// How often.
        policy: &'a PolicyMap,
        /// Whether what was done is thrown away first.
        from_start: bool,
    },
    /// Each attempt at the whole has a limit of time.
    Timeout(Duration),
    /// The whole has one, retries and waits included.
    Deadline(Duration),
    /// The whole has a limit of spend.
    Budget(&'a Budget),
}

/// Whether a node with this id is somewhere in `node`.
pub(crate) fn contains(node: &impl Node, id: &str) -> bool {
    struct Search<'i> {
        id: &'i str,
        found: bool,
    }
    impl Walk for Search<'_> {
        fn node(&mut self, node: NodeInfo) {
            self.found |= node.is(self.id);
        }
    }
    let mut search = Search { id, found: false };
    node.walk(&mut search);
    search.found
}

/// What is known of a node without running it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its id.
    pub id: &'static str,
    /// The id that it had first, and that its output is kept under, where it was renamed.
    pub was: Option<&'static str>,
    /// The name of the type that it takes.
    pub input: &'static str,
    /// The name of the type that it yields.
    pub output: &'static str,
    /// Whether its output is checkpointed in a runner with a store.
    pub checkpointed: bool,
    /// Whether its input is checked, by itself or by what is around it and begins with it.
    pub required: bool,
    /// Whether its output is checked, by itself or by what is around it and ends with it.
    pub ensured: bool,
    /// How it is tried again; `None` where that is left to the runner.
    pub retry: Option<PolicyMap>,
    /// How long each of its attempts may take; `None` for as long as it likes.
    pub timeout: Option<Duration>,
}

impl NodeInfo {
    /// The id that its output is kept under.
    pub(crate) fn stored_as(&self) -> &'static str {
        self.was.unwrap_or(self.id)
    }

    /// Whether this is the node's id, or was.
    pub(crate) fn is(&self, id: &str) -> bool {
        same_id(self.id, id) || self.was.is_some_and(|was| same_id(was, id))
    }
}

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

/// What proves in `E` that something can be resumed.
pub(crate) type ProofOf<E> = <<E as Env>::Store as Durability>::Proof;

/// Why a node of type `N` stops in `E`.
pub type StopOf<N, E> = Stop<<N as Node>::Error, <E as Env>::Detail>;

/// What a run has: each capability is a type, and its absence a type without size.
pub trait Env: Sized {
    /// Where checkpoints are kept.
    type Store: Durability;
    /// How failures are tried again where a node does not say.
    type Policy;
    /// Who is asked first what a failure means.
    type Classifier;
    /// Where time comes from.
    type Clock: Now;
    /// Who sees what happens.
    type Trace: Tracer;
    /// What nodes are given beside their input.
    type Context;
    /// What is known of a run.
    type Detail: Detail + Stops<<Self::Store as Durability>::Fault> + Stops<<Self::Budget as Meter>::Over>;
    /// Whether it keeps account of what is spent.
    type Budget: Meter;

    /// The store.
    fn store(&self) -> &Self::Store;
    /// The policy.
    fn policy(&self) -> &Self::Policy;
    /// The classifier.
    fn classifier(&self) -> &Self::Classifier;
    /// The clock.
    fn clock(&self) -> &Self::Clock;
    /// The context.
    fn context(&self) -> &Self::Context;
    /// The trace.
    fn trace(&self) -> &Self::Trace;
    /// The budget.
    fn budget(&self) -> &Self::Budget;
}

/// An environment with a clock that can wait, and a run that can report that it did.
#[diagnostic::on_unimplemented(
    message = "a time-out, a deadline or a retry needs a clock, and this runner has none",
    label = "no clock in this runner",
    note = "`Runner::new(..)` has no clock until `.with_clock(TokioClock)` or `.with_clock(..)` with one of your own; \
            `Runner::quick(..)` has tokio's"
)]
pub trait Timed: Env<Clock: Clock, Detail = Full> {}

#[diagnostic::do_not_recommend]
impl<E: Env<Clock: Clock, Detail = Full>> Timed for E {}

/// An environment whose runs say more than the node's own error when they stop.
#[diagnostic::on_unimplemented(
    message = "a node on tokio's pool, and a run under an id, need a runner that reports, and this one does not",
    label = "needs a runner that reports",
    note = "`Runner::new(..)` yields the node's bare error and keeps no ids; `.with_report()` makes it `Completed` or `Halted`, \
            as every store, clock or trace does"
)]
pub trait Reporting: Env<Detail = Full> {}

#[diagnostic::do_not_recommend]
impl<E: Env<Detail = Full>> Reporting for E {}

/// The shared half of a run: the environment, for as long as the run is.
#[derive(Debug)]
pub struct Cx<'a, E> {
    /// The environment.
    pub env: &'a E,
}

impl<E> Clone for Cx<'_, E> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Cx<'_, E> {}

impl<E: Env> Cx<'_, E> {
    /// The time by the runner's clock.
    #[inline(always)]
    pub fn now(self) -> Duration {
        self.env.clock().now()
    }

    /// The time at the beginning or the end of an attempt, for those who observe it and for its account; the clock is not read
    /// where none of them asks.
    #[inline(always)]
    pub(crate) fn moment(self) -> Duration {
        if <E::Trace as Tracer>::TIMED || <E::Budget as Meter>::METERED { self.now() } else { Duration::ZERO }
    }
}

/// The exclusive half of a run: what only the future of this run touches, so without locks.
pub struct Local<'a, E: Env + 'a> {
    pub(crate) session: <E::Store as Durability>::Session<'a>,
    pub(crate) run: <E::Detail as Detail>::Run,
    pub(crate) log: <E::Trace as Tracer>::Log,
    pub(crate) book: <E::Budget as Meter>::Book<'a>,
}

impl<E: Env> fmt::Debug for Local<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl<E: Env> Local<'_, E> {
    /// Whether the store holds the output of the node with this id at this place, with a proof of it.
    pub fn holds(&self, id: &'static str, at: Place) -> Option<ProofOf<E>> {
        E::Store::holds(&self.session, at.output(id))
    }
}

/// Why a node stopped without a result.
#[derive(Debug)]
pub enum Stop<Er, D: Detail> {
    /// A node failed with its own error.
    Error(Er, D::Info),
    /// Something around it did.
    Halt(D::Halt),
}

/// The graver of two stops, the first where they are equal.
pub(crate) fn graver<Er, D: Detail>(first: Option<Stop<Er, D>>, second: Option<Stop<Er, D>>) -> Option<Stop<Er, D>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(if D::is_grave(&second) && !D::is_grave(&first) { second } else { first }),
        (first, second) => first.or(second),
    }
}

/// What is known of a run: nothing ([`Bare`]), or enough for a report ([`Full`]).
pub trait Detail: Sized + 'static {
    /// What is known of a failure beside the error.
    type Info: Copy + Default;
    /// A stop that is not the node's own error.
    type Halt: fmt::Display;
    /// What is known of the run.
    type Run;

    /// Fills in which node a stop belongs to, where nothing inside it did.
    fn place(halt: &mut Self::Halt, at: Place);

    /// A stop in words, with what the run knows more of it.
    fn told<'r>(halt: &'r Self::Halt, run: &'r Self::Run) -> impl fmt::Display + 'r;

    /// Whether no other attempt could do anything about a stop: of two stops that one is told, since behind the other one it
    /// would be tried again.
    fn is_grave<Er>(stop: &Stop<Er, Self>) -> bool;

    /// The id of the run, where it has one.
    fn id(run: &Self::Run) -> Option<&RunId>;

    /// Notes when the run began.
    fn begin(run: &mut Self::Run, now: Duration);

    /// How long this part of the run has taken.
    fn took(run: &Self::Run, now: Duration) -> Duration;

    /// Notes that the run goes on from an earlier one, and how many nodes it need not run.
    fn resumed(run: &mut Self::Run, restored: u16);
}

/// A [`Detail`] that can name a run by itself.
#[diagnostic::on_unimplemented(
    message = "a run of this runner has an id, and a fresh one needs feature `std`",
    label = "no fresh ids without `std`",
    note = "`run_as(id, input)` takes an id of your own"
)]
pub trait Fresh: Detail {
    /// A run that was not before.
    fn fresh() -> Self::Run;
}

impl Fresh for Bare {
    #[inline(always)]
    fn fresh() {}
}

#[cfg(feature = "std")]
impl Fresh for Full {
    fn fresh() -> RunInfo {
        RunInfo::new(RunId::fresh())
    }
}

/// Whether a run can say what is to be known of an `Er`.
pub trait Explain<Er, E: Env>: Detail {
    /// Which node failed, and how that is to be answered.
    fn explain(error: &Er, at: Place, cx: Cx<'_, E>, local: &Local<'_, E>) -> Self::Info;

    /// The class of a stop.
    fn class(stop: &Stop<Er, Self>) -> FailureClass;
}

/// A run of which nothing is known: it ends with the bare output or the node's bare error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bare;

impl Detail for Bare {
    type Info = ();
    type Halt = Infallible;
    type Run = ();

    #[inline(always)]
    fn place(halt: &mut Infallible, _: Place) {
        match *halt {}
    }

    fn told<'r>(halt: &'r Infallible, (): &'r ()) -> impl fmt::Display + 'r {
        halt
    }

    #[inline(always)]
    fn is_grave<Er>(_: &Stop<Er, Self>) -> bool {
        false
    }

    #[inline(always)]
    fn id((): &()) -> Option<&RunId> {
        None
    }

    #[inline(always)]
    fn begin((): &mut (), _: Duration) {}

    #[inline(always)]
    fn took((): &(), _: Duration) -> Duration {
        Duration::ZERO
    }

    #[inline(always)]
    fn resumed((): &mut (), _: u16) {}
}

impl<Er, E: Env<Detail = Self>> Explain<Er, E> for Bare {
    #[inline(always)]
    fn explain(_: &Er, _: Place, _: Cx<'_, E>, _: &Local<'_, E>) {}

    #[inline(always)]
    fn class(_: &Stop<Er, Self>) -> FailureClass {
        FailureClass::Ambiguous
    }
}

/// A run with an id, that says where and why it stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Full;

impl Detail for Full {
    type Info = Info;
    type Halt = Halt;
    type Run = RunInfo;

    fn place(halt: &mut Halt, at: Place) {
        if halt.info.node.is_none() && !at.id.is_empty() {
            halt.info.node = Some(at.id);
            halt.info.attempt = at.attempt;
        }
    }

    fn told<'r>(halt: &'r Halt, run: &'r RunInfo) -> impl fmt::Display + 'r {
        Told { halt, run }
    }

    fn is_grave<Er>(stop: &Stop<Er, Self>) -> bool {
        match stop {
            Stop::Halt(halt) => !halt.why.is_attempt() || halt.why.class() == FailureClass::Terminal,
            Stop::Error(_, info) => info.class == Some(FailureClass::Terminal),
        }
    }

    #[inline(always)]
    fn id(run: &RunInfo) -> Option<&RunId> {
        Some(&run.report.run_id)
    }

    #[inline(always)]
    fn begin(run: &mut RunInfo, now: Duration) {
        run.report.spent.time = now;
    }

    #[inline(always)]
    fn took(run: &RunInfo, now: Duration) -> Duration {
        now.saturating_sub(run.report.spent.time)
    }

    fn resumed(run: &mut RunInfo, restored: u16) {
        run.report.status = RunStatus::Resumed;
        run.report.restored = restored;
    }
}

impl<Er: Failure, E: Env<Detail = Self, Classifier: Classifier<Er>>> Explain<Er, E> for Full {
    fn explain(error: &Er, at: Place, cx: Cx<'_, E>, local: &Local<'_, E>) -> Info {
        let failed = FailedAttempt::new(at.id, at.attempt, &local.run.report.run_id);
        let class = cx.env.classifier().classify(error, &failed).unwrap_or_else(|| error.class());
        Info { node: (!at.id.is_empty()).then_some(at.id), attempt: at.attempt, class: Some(class) }
    }

    fn class(stop: &Stop<Er, Self>) -> FailureClass {
        match stop {
            Stop::Error(error, info) => info.class.unwrap_or_else(|| error.class()),
            Stop::Halt(halt) => halt.why.class(),
        }
    }
}

/// What a run knows of itself.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// What it will be reported with, in its place from the beginning: made at the end it would be copied twice. Until then its time
    /// is the one at which the run began, so that there is no room for both.
    pub(crate) report: Report,
    /// What there is to say of a stop beside the stop itself.
    pub(crate) said: Notes,
}

impl RunInfo {
    #[inline(always)]
    pub(crate) const fn new(id: RunId) -> Self {
        let report = Report { run_id: id, status: RunStatus::Completed, spent: Spent::NONE, restored: 0 };
        Self { report, said: Notes::none() }
    }

    /// What was said of a stop.
    pub(crate) fn said_of(&self, halt: &Halt) -> Option<&Said> {
        self.said.find(halt.info.node, |said| match said {
            #[cfg(feature = "tokio")]
            Said::Panic(_) => matches!(halt.why, Why::Panicked),
            Said::Contract(broken) => halt.why.broken() == Some(broken.direction),
        })
    }
}

/// Which node failed, in which attempt, and what that means.
#[derive(Debug, Clone, Copy, Default)]
pub struct Info {
    pub(crate) node: Option<&'static str>,
    pub(crate) attempt: u32,
    pub(crate) class: Option<FailureClass>,
}

/// A stop that is not a node's own error. Small, since every poll may return one.
#[derive(Debug, Clone, Copy)]
pub struct Halt {
    pub(crate) why: Why,
    pub(crate) info: Info,
}

impl Halt {
    pub(crate) fn new(why: Why) -> Self {
        Self { why, info: Info::default() }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::TimedOut { limit } => write!(f, "an attempt took longer than its time-out of {limit:?}"),
            Why::Deadline { limit } => write!(f, "it took longer than its deadline of {limit:?}"),
            Why::Cancelled => f.write_str("a spawned node was cancelled"),
            Why::Panicked => f.write_str("a spawned node panicked"),
            Why::BrokenInput => f.write_str("the input broke its contract"),
            Why::BrokenOutput => f.write_str("the output broke its contract"),
            Why::Store => f.write_str("the store failed"),
            Why::Budget => f.write_str("a limit of the budget is reached"),
            Why::Account => f.write_str("what was spent cannot be booked"),
        }
    }
}

/// A [`Halt`] with what the run knows more of it.
struct Told<'r> {
    halt: &'r Halt,
    run: &'r RunInfo,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run.said_of(self.halt) {
            Some(Said::Contract(broken)) => broken.fmt(f),
            _ => self.halt.fmt(f),
        }
    }
}

/// The reasons of a [`Halt`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why {
    TimedOut {
        limit: Duration,
    },
    Deadline {
        limit: Duration,
    },
    /// Its runtime was shut down.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "only nodes on tokio's pool are cancelled"))]
    Cancelled,
    /// The run knows what it said.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code, reason = "only nodes on tokio's pool catch panics"))]
    Panicked,
    /// An input did not pass a check. The run knows what is wrong with it. (Two reasons without fields, since one more with a
    /// field of its own would cost every poll some copying.)
    BrokenInput,
    /// An output did not.
    BrokenOutput,
    /// The session knows what went wrong.
    Store,
    /// The account knows which limit is reached.
    Budget,
    /// The account knows what cannot be booked.
    Account,
}

impl Why {
    /// The class of an attempt that failed so; a store that failed is no attempt.
    pub(crate) fn class(self) -> FailureClass {
        match self {
            Self::TimedOut { .. } | Self::Deadline { .. } | Self::Cancelled | Self::Store | Self::Budget => {
                FailureClass::Recoverable
            }
            Self::Panicked | Self::BrokenInput | Self::BrokenOutput | Self::Account => FailureClass::Terminal,
        }
    }

    /// Which side of a contract was broken, if one was.
    pub(crate) fn broken(self) -> Option<Direction> {
        match self {
            Self::BrokenInput => Some(Direction::Input),
            Self::BrokenOutput => Some(Direction::Output),
            _ => None,
        }
    }

    /// Whether it is a node's attempt that failed, so that another attempt can make sense.
    pub(crate) fn is_attempt(self) -> bool {
        !matches!(self, Self::Store | Self::Cancelled | Self::Budget | Self::Account)
    }
}

/// What a run can stop for beside its nodes: whatever its store can do wrong and its budget can refuse, so nothing where there
/// is neither.
pub trait Stops<F>: Detail {
    /// A stop for this reason, at this place.
    fn stop(fault: F, at: Place) -> Self::Halt;
}

impl Stops<Infallible> for Bare {
    #[inline(always)]
    fn stop(fault: Infallible, _: Place) -> Infallible {
        fault
    }
}

impl Stops<Infallible> for Full {
    #[inline(always)]
    fn stop(fault: Infallible, _: Place) -> Halt {
        match fault {}
    }
}

impl Stops<Faulted> for Full {
    #[cold]
    fn stop(_: Faulted, at: Place) -> Halt {
        let mut halt = Halt::new(Why::Store);
        <Self as Detail>::place(&mut halt, at);
        halt
    }
}

impl Stops<Overspent> for Full {
    #[cold]
    fn stop(over: Overspent, at: Place) -> Halt {
        let mut halt = Halt::new(match over {
            Overspent::Limit => Why::Budget,
            Overspent::Account => Why::Account,
        });
        <Self as Detail>::place(&mut halt, at);
        halt
    }
}
