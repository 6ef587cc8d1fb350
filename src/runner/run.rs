//! The runner, and the one future of a run.

use core::{
    fmt,
    future::Future,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::outcome::{Last, Outcomes};
use crate::{
    describe::{Contracts, Description, dependents},
    exec::{Cx, Detail, Env, Exec, Fresh, Full, Local, Node, ProofOf, Reporting, RunInfo, Stop, StopOf, Stops},
    meter::Meter,
    observe::{Attempt, Stopped, Tracer},
    pipeline::Sealed,
    report::Report,
    run::RunId,
    slot::{Place, Slot, SlotKind},
    store::{
        Access, Begun, Durability, Durable, Hold, NodeName, Persist, Store, StoreError, StoreFault, input_fingerprint,
    },
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

/// How a run ends in `E`.
pub(super) type EndedOf<N, E> = <<E as Env>::Detail as Outcomes<
    <N as Node>::Out,
    <N as Node>::Error,
    <<E as Env>::Trace as Tracer>::Finished,
>>::Ended;

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

/// How a run is to begin.
#[derive(Debug)]
enum How<'a, In, P> {
    Start(In),
    Resume(P),
    ResumeFrom(P, &'a str),
}

/// One run of a pipeline; made by [`Runner::run`] and its siblings.
///
/// It does nothing until it is polled, and holds nothing of the store until then.
#[must_use = "futures do nothing unless you `.await` or poll them"]
#[pin_project]
pub struct Run<'a, N: Exec<E> + 'a, E: Env + 'a> {
    runner: &'a Runner<N, E>,
    // Before what is local: the nodes' futures are dropped first, and only then is the run given back to the store.
    #[pin]
    phase: PhaseOf<'a, N, E>,
    local: Local<'a, E>,
}

impl<N: Exec<E>, E: Env> fmt::Debug for Run<'_, N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// What a run is doing.
#[pin_project(project = PhaseProj, project_replace = PhaseOwned)]
enum Phase<H, O, W, S, K, L> {
    /// It was not polled yet.
    Begin { how: H },
    /// It waits for the store to open.
    Opening {
        how: H,
        #[pin]
        opening: O,
    },
    /// The run exists already and is to be looked into.
    Looking { how: H },
    /// It reads or writes what has to be known or kept before the first node.
    Preparing {
        how: H,
        #[pin]
        work: W,
    },
    /// The nodes are at work.
    Running {
        #[pin]
        state: S,
    },
    /// The nodes are over, and what they spent is being saved.
    Closing {
        stop: K,
        #[pin]
        ledger: L,
    },
    /// It is over.
    Over,
}

/// What a run waits for before its first node.
#[pin_project(project = WorkProj)]
enum Work<W, R> {
    SavingInput(#[pin] W),
    ReadingInput(#[pin] R),
    Discarding(#[pin] W),
}

type PhaseOf<'a, N, E> = Phase<
    How<'a, <N as Node>::In, ProofOf<E>>,
    <<E as Env>::Store as Durability>::Opening<'a>,
    Work<<<E as Env>::Store as Durability>::Writing<'a>, <<E as Env>::Store as Durability>::Reading<'a>>,
    <N as Exec<E>>::State<'a>,
    <<E as Env>::Budget as Meter>::Hold<StopOf<N, E>>,
    <<E as Env>::Store as Durability>::Writing<'a>,
>;

type FaultOf<E> = <<E as Env>::Store as Durability>::Fault;
type RunOf<E> = <<E as Env>::Detail as Detail>::Run;

/// Why a run cannot begin.
enum Trouble<E: Env> {
    Store(FaultOf<E>),
    Budget(<E::Budget as Meter>::Over),
}

/// What comes after a step of the preparation: another phase, or the end of a run that cannot begin.
type Next<'a, N, E> = Result<PhaseOf<'a, N, E>, FaultOf<E>>;

impl<'a, N: Exec<E>, E: Env> Run<'a, N, E> {
    #[inline(always)]
    fn new(runner: &'a Runner<N, E>, run: RunOf<E>, how: How<'a, N::In, ProofOf<E>>) -> Self {
        let local = Local { session: Default::default(), run, log: Default::default(), book: Default::default() };
        Self { runner, local, phase: Phase::Begin { how } }
    }
}

impl<'a, N, E> Future for Run<'a, N, E>
where
    E: Env,
    N: Exec<E>,
    E::Store: Persist<N::In>,
    E::Detail: Outcomes<N::Out, N::Error, <E::Trace as Tracer>::Finished>,
{
    type Output = EndedOf<N, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let runner: &'a Runner<N, E> = this.runner;
        let (mut phase, local) = (this.phase, this.local);
        let cx = Cx { env: &runner.env };
        if E::Budget::METERED
            && E::Store::DURABLE
            && let PhaseProj::Closing { stop, ledger } = phase.as_mut().project()
        {
            return runner.close(stop, ledger, local, cx, task);
        }
        let ended = if !matches!(*phase, Phase::Running { .. })
            && let Err(trouble) = ready!(runner.prepare(phase.as_mut(), local, cx, task))
        {
            Err(Stop::Halt(match trouble {
                Trouble::Store(fault) => E::Detail::stop(fault, Place::FIRST),
                Trouble::Budget(over) => E::Detail::stop(over, Place::FIRST),
            }))
        } else {
            let PhaseProj::Running { state } = phase.as_mut().project() else { return Poll::Pending };
            let _inside = runner.env.trace().inside(&local.log);
            match ready!(runner.node.node.poll(state, Place::FIRST, cx, local, task)) {
                Err(stop) if E::Budget::METERED && E::Store::DURABLE => {
                    return runner.stop(stop, phase, local, cx, task);
                }
                ended => ended,
            }
        };
        phase.set(Phase::Over);
        Poll::Ready(end::<N, E>(ended, local, cx))
    }
}

/// Gives the run back to the store and says how it ended.
#[inline(always)]
pub(super) fn end<N, E>(ended: Result<N::Out, StopOf<N, E>>, local: &mut Local<'_, E>, cx: Cx<'_, E>) -> EndedOf<N, E>
where
    E: Env,
    N: Node,
    E::Detail: Outcomes<N::Out, N::Error, <E::Trace as Tracer>::Finished>,
{
    let now = cx.now();
    let spent = E::Budget::spent(&local.book, now, E::Detail::took(&local.run, now));
    let mut log = core::mem::take(&mut local.log);
    let finish = |report: Option<&Report>, stopped: Option<Stopped<'_>>| {
        if let Some(stopped) = stopped {
            cx.env.trace().halted(&mut log, stopped);
        }
        cx.env.trace().finish(log, report, now)
    };
    match ended {
        Ok(output) => {
            E::Store::finished(&mut local.session);
            local.session = Default::default();
            E::Detail::completed(output, &mut local.run, finish, spent)
        }
        Err(stop) => {
            let last = Last {
                durable: E::Store::DURABLE,
                store: E::Store::take_fault(&mut local.session),
                account: E::Budget::take_fault(&mut local.book),
            };
            local.session = Default::default();
            E::Detail::halted(stop, &mut local.run, finish, spent, last)
        }
    }
}

impl<N, E> Runner<N, E>
where
    E: Env,
    N: Exec<E>,
    E::Store: Persist<N::In>,
{
    /// The nodes stopped: what they spent since the last checkpoint is saved before the run is given back.
    #[cold]
    fn stop<'a>(
        &'a self,
        stop: StopOf<N, E>,
        mut phase: Pin<&mut PhaseOf<'a, N, E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<EndedOf<N, E>>
    where
        E::Detail: Outcomes<N::Out, N::Error, <E::Trace as Tracer>::Finished>,
    {
        // Its futures first: what they hold is booked as they are dropped.
        phase.set(Phase::Over);
        let ledger = E::Budget::ledger(&local.book);
        let mut held = <E::Budget as Meter>::Hold::default();
        let mut room = Default::default();
        let bytes = E::Budget::bytes(ledger, cx.now(), &mut room);
        let stop = match E::Store::put_ledger(&mut local.session, bytes) {
            Begun::Pending(ledger) => match held.keep(stop) {
                Ok(()) => {
                    phase.set(Phase::Closing { stop: held, ledger });
                    let PhaseProj::Closing { stop, ledger } = phase.project() else { return Poll::Pending };
                    return self.close(stop, ledger, local, cx, task);
                }
                Err(stop) => stop,
            },
            Begun::Done(_) => stop,
        };
        Poll::Ready(end::<N, E>(Err(stop), local, cx))
    }

    /// Waits until what was spent is saved. Where that fails the run still ends for the reason for which it stopped.
    #[cold]
    fn close<'a>(
        &'a self,
        stop: &mut <E::Budget as Meter>::Hold<StopOf<N, E>>,
        ledger: Pin<&mut <E::Store as Durability>::Writing<'a>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<EndedOf<N, E>>
    where
        E::Detail: Outcomes<N::Out, N::Error, <E::Trace as Tracer>::Finished>,
    {
        if !stop.is_held() {
            return Poll::Pending;
        }
        let _ = ready!(E::Store::poll_write(ledger, &mut local.session, task));
        match stop.take() {
            Some(stop) => Poll::Ready(end::<N, E>(Err(stop), local, cx)),
            None => Poll::Pending,
        }
    }

    /// Goes on until the nodes are at work, or until it has to wait.
    ///
    /// What a fresh run does is inlined; what only a store can make necessary is a function of its own.
    #[inline(always)]
    fn prepare<'a>(
        &'a self,
        mut phase: Pin<&mut PhaseOf<'a, N, E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), Trouble<E>>> {
        if matches!(*phase, Phase::Begin { .. })
            && let PhaseOwned::Begin { how } = phase.as_mut().project_replace(Phase::Over)
        {
            // Waiting for the store is part of the run.
            let now = cx.now();
            E::Detail::begin(&mut local.run, now);
            self.env.trace().begin(&mut local.log, E::Detail::id(&local.run), now);
            if let Some(over) = self.env.budget().begin(&mut local.book, now) {
                return Poll::Ready(Err(Trouble::Budget(over)));
            }
            let _inside = self.env.trace().inside(&local.log);
            let access = if matches!(how, How::Start(_)) { Access::Create } else { Access::Existing };
            let next = match self.env.store().open(&mut local.session, E::Detail::id(&local.run), access) {
                Begun::Done(Ok(())) => self.opened(how, local, cx),
                Begun::Done(Err(fault)) => Err(fault),
                Begun::Pending(opening) => Ok(Phase::Opening { how, opening }),
            };
            match next {
                Ok(Phase::Looking { how }) if E::Store::DURABLE => {
                    if self.look_at_once(how, phase.as_mut(), local, cx).map_err(Trouble::Store)? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Ok(Phase::Running { state }) => {
                    phase.set(Phase::Running { state });
                    return Poll::Ready(Ok(()));
                }
                Ok(next) => phase.set(next),
                Err(fault) => return Poll::Ready(Err(Trouble::Store(fault))),
            }
        }
        // Without a store a run that is not at work is over.
        if E::Store::DURABLE { self.look_into(phase, local, cx, task).map_err(Trouble::Store) } else { Poll::Pending }
    }

    /// Looks into a run that exists, and says whether its nodes are at work.
    // A call of its own, so that a fresh run does not carry it.
    #[inline(never)]
    fn look_at_once<'a>(
        &'a self,
        how: How<'a, N::In, ProofOf<E>>,
        mut phase: Pin<&mut PhaseOf<'a, N, E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
    ) -> Result<bool, FaultOf<E>> {
        let next = self.look(how, local, cx)?;
        let running = matches!(next, Phase::Running { .. });
        phase.set(next);
        Ok(running)
    }

    /// Goes on with the preparation of a run that has to wait for its store, or exists already.
    #[inline(never)]
    fn look_into<'a>(
        &'a self,
        mut phase: Pin<&mut PhaseOf<'a, N, E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), FaultOf<E>>> {
        let _inside = self.env.trace().inside(&local.log);
        loop {
            let next = match phase.as_mut().project() {
                PhaseProj::Running { .. } => return Poll::Ready(Ok(())),
                // A run that is over is not to be polled again, and one that begins or ends was seen to before.
                PhaseProj::Begin { .. } | PhaseProj::Closing { .. } | PhaseProj::Over => return Poll::Pending,
                PhaseProj::Opening { opening, .. } => {
                    let opened = ready!(E::Store::poll_open(opening, &mut local.session, task));
                    let PhaseOwned::Opening { how, .. } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    opened.and_then(|()| self.opened(how, local, cx))
                }
                PhaseProj::Looking { .. } => {
                    let PhaseOwned::Looking { how } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    match self.look_at_once(how, phase.as_mut(), local, cx) {
                        Ok(true) => return Poll::Ready(Ok(())),
                        Ok(false) => continue,
                        Err(fault) => Err(fault),
                    }
                }
                PhaseProj::Preparing { work, how } => {
                    let done = ready!(self.work(work, how, local, task));
                    let PhaseOwned::Preparing { how, .. } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    done.and_then(|done| self.worked(done, how, local, cx))
                }
            };
            match next {
                Ok(next) => phase.set(next),
                Err(fault) => return Poll::Ready(Err(fault)),
            }
        }
    }

    /// The run is ours: a fresh one keeps its input and begins, one that exists is looked into.
    #[inline(always)]
    fn opened<'a>(
        &'a self,
        how: How<'a, N::In, ProofOf<E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        match how {
            How::Start(input) if E::Store::existing(&local.session).is_none() => {
                match E::Store::save(&mut local.session, Slot::INPUT, &input, Some(self.shape), &[]) {
                    Begun::Done(Ok(())) => Ok(self.start(input, local, cx)),
                    Begun::Done(Err(fault)) => Err(fault),
                    Begun::Pending(write) => {
                        Ok(Phase::Preparing { how: How::Start(input), work: Work::SavingInput(write) })
                    }
                }
            }
            how => Ok(Phase::Looking { how }),
        }
    }

    /// The nodes begin with the input.
    #[inline(always)]
    fn start<'a>(&'a self, input: N::In, local: &mut Local<'a, E>, cx: Cx<'a, E>) -> PhaseOf<'a, N, E> {
        Phase::Running { state: self.node.node.start(input, Place::FIRST, cx, local) }
    }

    /// Looks into a run that exists: whether it belongs to this pipeline and this input, and what its input was where that is
    /// needed.
    #[inline]
    fn look<'a>(&'a self, how: How<'a, N::In, ProofOf<E>>, local: &mut Local<'a, E>, cx: Cx<'a, E>) -> Next<'a, N, E> {
        let Some(proof) = self.proof(&how, local) else { return Ok(Phase::Over) };
        if E::Budget::METERED
            && let Err(error) = E::Budget::restore(&mut local.book, E::Store::ledger(proof, &local.session))
        {
            return Err(E::Store::fault(proof, &mut local.session, StoreFault::Ledger(error)));
        }
        let from = self.node.node.resumable(Place::FIRST, local);
        let read = |bytes: &[u8]| self.read_input(proof, bytes, from.is_none(), &how);
        match E::Store::load(proof, &mut local.session, Slot::INPUT, read) {
            Begun::Done(Ok(input)) => self.found(proof, from, input, how, local, cx),
            Begun::Done(Err(fault)) => Err(fault),
            Begun::Pending(read) => Ok(Phase::Preparing { how, work: Work::ReadingInput(read) }),
        }
    }

    /// What proves that the run exists: the call that goes on with it, or else the store.
    #[inline(always)]
    fn proof(&self, how: &How<'_, N::In, ProofOf<E>>, local: &Local<'_, E>) -> Option<ProofOf<E>> {
        match how {
            How::Resume(proof) | How::ResumeFrom(proof, _) => Some(*proof),
            How::Start(_) => E::Store::existing(&local.session),
        }
    }

    /// Checks a stored input and takes it out where it is wanted: where nothing after it is there to go on from, and it was
    /// not given.
    #[inline]
    fn read_input(
        &self,
        proof: ProofOf<E>,
        bytes: &[u8],
        wanted: bool,
        how: &How<'_, N::In, ProofOf<E>>,
    ) -> Result<Option<N::In>, StoreFault> {
        let stored = input_fingerprint(bytes)?;
        if stored != self.shape.get() {
            return Err(self.other(proof, bytes, stored));
        }
        match how {
            How::Start(input) if !E::Store::same_input(proof, bytes, input)? => Err(StoreFault::OtherInput),
            How::Resume(_) if wanted => E::Store::decode_input(proof, bytes).map(Some),
            // Before anything is forgotten: what comes after it may need the input.
            How::ResumeFrom(..) => E::Store::decode_input(proof, bytes).map(|_: N::In| None),
            _ => Ok(None),
        }
    }

    /// What is wrong with an input that was not written for this pipeline: a damaged one is said to be damaged.
    #[cold]
    fn other(&self, proof: ProofOf<E>, bytes: &[u8], stored: u64) -> StoreFault {
        match <E::Store as Persist<N::In>>::decode_input(proof, bytes) {
            Ok(_) => StoreFault::OtherPipeline { stored, now: self.shape.get() },
            Err(fault) => fault,
        }
    }

    /// Waits for what the preparation waits for.
    fn work<'a>(
        &'a self,
        work: Pin<&mut Work<<E::Store as Durability>::Writing<'a>, <E::Store as Durability>::Reading<'a>>>,
        how: &How<'a, N::In, ProofOf<E>>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Done<N::In>, FaultOf<E>>> {
        let session = &mut local.session;
        Poll::Ready(match work.project() {
            WorkProj::SavingInput(write) | WorkProj::Discarding(write) => {
                ready!(E::Store::poll_write(write, session, task)).map(|()| Done::Written)
            }
            WorkProj::ReadingInput(reading) => {
                let Some(proof) = self.proof(how, local) else { return Poll::Pending };
                let wanted = self.node.node.resumable(Place::FIRST, local).is_none();
                let read = |bytes: &[u8]| self.read_input(proof, bytes, wanted, how);
                ready!(E::Store::poll_read(reading, &mut local.session, task, read)).map(Done::Read)
            }
        })
    }

    /// Goes on after a step of the preparation that had to be waited for.
    fn worked<'a>(
        &'a self,
        done: Done<N::In>,
        how: How<'a, N::In, ProofOf<E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        match (done, how) {
            (Done::Written, How::Start(input)) => Ok(self.start(input, local, cx)),
            (Done::Written, how) => Ok(Phase::Looking { how }),
            (Done::Read(input), how) => match self.proof(&how, local) {
                Some(proof) => {
                    let from = self.node.node.resumable(Place::FIRST, local);
                    self.found(proof, from, input, how, local, cx)
                }
                None => Ok(Phase::Over),
            },
        }
    }

    /// The run belongs to this pipeline: its nodes go on from what the store holds.
    #[inline]
    fn found<'a>(
        &'a self,
        proof: ProofOf<E>,
        from: Option<N::Proof>,
        stored: Option<N::In>,
        how: How<'a, N::In, ProofOf<E>>,
        local: &mut Local<'a, E>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        let given = match how {
            How::ResumeFrom(_, node) => return self.forget_from(proof, node, local),
            How::Start(input) => Some(input),
            How::Resume(_) => stored,
        };
        let restored = self.restored(local);
        E::Detail::resumed(&mut local.run, restored);
        Ok(match (from, given) {
            (Some(from), _) => Phase::Running { state: self.node.node.resume(from, Place::FIRST, cx, local) },
            (None, Some(input)) => self.start(input, local, cx),
            // The input is read where nothing after it is there, so there is one or the other.
            (None, None) => Phase::Over,
        })
    }

    /// Forgets a node and all that depends on it, after which the run is looked into again.
    fn forget_from<'a>(&'a self, proof: ProofOf<E>, from: &str, local: &mut Local<'a, E>) -> Next<'a, N, E> {
        if !dependents(&self.node, from, |_| ()) {
            let unknown = StoreFault::UnknownNode(NodeName::of(from));
            return Err(E::Store::fault(proof, &mut local.session, unknown));
        }
        let doomed = |slot: Slot<'_>| {
            let mut hit = false;
            dependents(&self.node, from, |node| hit |= node.is(slot.node));
            hit && slot.kind != SlotKind::Input
        };
        let how = How::Resume(proof);
        match E::Store::discard(proof, &mut local.session, doomed) {
            Begun::Done(Ok(())) => Ok(Phase::Looking { how }),
            Begun::Done(Err(fault)) => Err(fault),
            Begun::Pending(write) => Ok(Phase::Preparing { how, work: Work::Discarding(write) }),
        }
    }

    /// How many nodes need not run; the trace is told which.
    #[inline]
    fn restored(&self, local: &mut Local<'_, E>) -> u16 {
        if N::SKIPPED == 0 && !<E::Trace as Tracer>::ENABLED {
            return u16::try_from(E::Store::outputs(&local.session)).unwrap_or(u16::MAX);
        }
        let (mut restored, mut place) = (0_u16, Place::FIRST);
        self.describe().nodes(|node| {
            // What is kept of a node that skips its checkpoint is used only where it is an output of the run.
            let used = || {
                let mut depending = 0_u16;
                node.checkpointed || dependents(&self.node, node.id, |_| depending += 1) && depending == 1
            };
            if local.holds(node.stored_as(), place).is_some() && used() {
                restored = restored.saturating_add(1);
                let at = Attempt::new(E::Detail::id(&local.run), place.with_id(node.id, node.id).with_attempt(0));
                self.env.trace().restored(&mut local.log, at);
            }
            place = place.skip(1);
        });
        restored
    }
}

/// A step of the preparation that is done.
enum Done<In> {
    /// Something was written.
    Written,
    /// The stored input was found right, and is here where it is wanted.
    Read(Option<In>),
}
