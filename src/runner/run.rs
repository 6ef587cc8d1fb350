//! The runner, and the one future of a run.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::outcome::Outcomes;
use crate::{
    describe::{Description, dependents},
    exec::{Cx, Detail, Env, Exec, Fresh, Full, Local, Node, RunInfo, Stop, Stops},
    observe::Tracer,
    pipeline::Sealed,
    run::RunId,
    slot::{Place, Slot, SlotKind},
    store::{Access, Begun, Durability, Durable, NodeName, Persist, Store, StoreError, StoreFault, input_fingerprint},
};

/// A pipeline in an environment: what runs it, any number of times and any number at once.
///
/// It is made by [`Runner::new`] or [`Runner::quick`]. It is `Sync` where its nodes and its store are, so that tasks share it in
/// an `Arc` or a `static`.
///
/// # In a struct, and behind a trait
/// A struct that holds a runner is generic over a small trait of its own:
///
/// ```
/// use stroma::{Exec, Quick, Runner, node};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl stroma::Failure for AppError {}
/// # async fn shout(text: String) -> Result<String, AppError> { Ok(text.to_uppercase()) }
///
/// trait Shouts: Send + Sync + 'static {
///     fn go(&self, text: String) -> impl Future<Output = Option<String>> + Send;
/// }
///
/// impl<N> Shouts for Runner<N, Quick>
/// where
///     N: Exec<Quick, In = String, Out = String, Error = AppError> + Send + Sync + 'static,
///     for<'a> N::State<'a>: Send,
/// {
///     async fn go(&self, text: String) -> Option<String> {
///         self.run(text).await.ok().map(|done| done.output)
///     }
/// }
///
/// struct Service<S> {
///     shouting: S,
/// }
///
/// impl<S: Shouts> Service<S> {
///     async fn handle(&self, text: &str) -> String {
///         self.shouting.go(text.to_owned()).await.unwrap_or_default()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stroma::BuildError> {
/// let service = Service { shouting: Runner::quick(node("shout", shout)).build()? };
/// assert_eq!(service.handle("hey").await, "HEY");
/// # Ok(())
/// # }
/// ```
pub struct Runner<N, E> {
    pub(crate) node: Sealed<N>,
    pub(crate) env: E,
    pub(crate) shape: u64,
}

impl<N, E> fmt::Debug for Runner<N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// An environment that has a store, so that its runs can be resumed.
#[diagnostic::on_unimplemented(
    message = "this runner has no store, so there is nothing to resume",
    label = "needs a store",
    note = "`.with_store(..)` on the builder, or `Runner::quick(..)`, which keeps checkpoints in memory"
)]
pub trait Resumable: Env<Detail = Full> {
    /// Says that it has one.
    #[doc(hidden)]
    const PROOF: <Self::Store as Durability>::Proof;
}

#[diagnostic::do_not_recommend]
impl<E, S> Resumable for E
where
    E: Env<Detail = Full, Store = Durable<S>>,
    S: Store,
{
    const PROOF: <Self::Store as Durability>::Proof = Durable::<S>::PROOF;
}

/// How a run ends in `E`.
type EndedOf<N, E> = <<E as Env>::Detail as Outcomes<
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
    /// # Errors
    /// As [`run`](Self::run), and [`Cause::OtherInput`](crate::Cause::OtherInput) where the id belongs to another input,
    /// [`Cause::OtherPipeline`](crate::Cause::OtherPipeline) where it belongs to other nodes, and
    /// [`StoreErrorKind::Busy`](crate::store::StoreErrorKind::Busy) while somebody else executes it.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub fn run_as(&self, id: impl Into<RunId>, input: N::In) -> Run<'_, N, E>
    where
        E: Env<Detail = Full>,
    {
        Run::new(self, RunInfo::new(id.into()), How::Start(input))
    }

    /// Goes on with a run, without its input.
    ///
    /// # Errors
    /// As [`run_as`](Self::run_as). An id that the store does not know is an error, never a fresh start.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub fn resume(&self, id: impl Into<RunId>) -> Run<'_, N, E>
    where
        E: Resumable,
    {
        Run::new(self, RunInfo::new(id.into()), How::Resume(E::PROOF))
    }

    /// Forgets the outputs of this node and of all that depend on it, in one step, then goes on with the run.
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
    pub async fn forget<S>(&self, id: impl Into<RunId>) -> Result<bool, StoreError>
    where
        E: Resumable<Store = Durable<S>>,
        S: Store,
    {
        match self.env.store().0.forget(&id.into()) {
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
    #[pin]
    phase: PhaseOf<'a, N, E>,
}

impl<N: Exec<E>, E: Env> fmt::Debug for Run<'_, N, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// What a run is doing.
#[pin_project(project = PhaseProj, project_replace = PhaseOwned)]
enum Phase<R, H, O, L, W, S> {
    /// It was not polled yet.
    Begin { run: R, how: H },
    /// It waits for the store to open.
    Opening {
        run: R,
        how: H,
        #[pin]
        opening: O,
    },
    /// It reads or writes what has to be known or kept before the first node.
    Preparing {
        local: L,
        how: H,
        #[pin]
        work: W,
    },
    /// The nodes are at work.
    Running {
        local: L,
        #[pin]
        state: S,
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
    <<E as Env>::Detail as Detail>::Run,
    How<'a, <N as Node>::In, ProofOf<E>>,
    <<E as Env>::Store as Durability>::Opening<'a>,
    Local<'a, E>,
    Work<<<E as Env>::Store as Durability>::Writing<'a>, <<E as Env>::Store as Durability>::Reading<'a>>,
    <N as Exec<E>>::State<'a>,
>;

type ProofOf<E> = <<E as Env>::Store as Durability>::Proof;
type FaultOf<E> = <<E as Env>::Store as Durability>::Fault;
type RunOf<E> = <<E as Env>::Detail as Detail>::Run;

/// What comes after a step of the preparation: another phase, or the end of a run that cannot begin.
type Next<'a, N, E> = Result<PhaseOf<'a, N, E>, (RunOf<E>, FaultOf<E>)>;

impl<'a, N: Exec<E>, E: Env> Run<'a, N, E> {
    #[inline(always)]
    fn new(runner: &'a Runner<N, E>, run: RunOf<E>, how: How<'a, N::In, ProofOf<E>>) -> Self {
        Self { runner, phase: Phase::Begin { run, how } }
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
        let mut phase = this.phase;
        let cx = Cx { env: &runner.env };
        if !matches!(*phase, Phase::Running { .. })
            && let Err((run, fault)) = ready!(runner.prepare(phase.as_mut(), cx, task))
        {
            let stop = Stop::Halt(E::Detail::stop(fault, Place::FIRST));
            let trace = runner.env.trace();
            let trace = trace.finish(trace.begin(|| cx.now()));
            let durable = E::Store::DURABLE;
            return Poll::Ready(E::Detail::halted(stop, run, trace, cx.now(), durable));
        }
        let PhaseProj::Running { local, state } = phase.as_mut().project() else { return Poll::Pending };
        let ended = ready!(runner.node.node.poll(state, Place::FIRST, cx, local, task));
        let PhaseOwned::Running { local, .. } = phase.project_replace(Phase::Over) else { return Poll::Pending };
        let Local { mut session, run, log } = local;
        let trace = runner.env.trace().finish(log);
        Poll::Ready(match ended {
            Ok(output) => {
                E::Store::finished(&mut session);
                E::Detail::completed(output, run, trace, cx.now())
            }
            Err(stop) => E::Detail::halted(stop, run, trace, cx.now(), E::Store::DURABLE),
        })
    }
}

impl<N, E> Runner<N, E>
where
    E: Env,
    N: Exec<E>,
    E::Store: Persist<N::In>,
{
    /// Goes on until the nodes are at work, or until it has to wait.
    #[inline(always)]
    fn prepare<'a>(
        &'a self,
        mut phase: Pin<&mut PhaseOf<'a, N, E>>,
        cx: Cx<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), (RunOf<E>, FaultOf<E>)>> {
        loop {
            let next = match phase.as_mut().project() {
                PhaseProj::Running { .. } => return Poll::Ready(Ok(())),
                PhaseProj::Over => return Poll::Pending,
                PhaseProj::Begin { .. } => {
                    let PhaseOwned::Begin { mut run, how } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    E::Detail::begin(&mut run, || cx.now());
                    let access = if matches!(how, How::Start(_)) { Access::Create } else { Access::Existing };
                    match self.env.store().open(E::Detail::run_id(&run).as_ref(), access) {
                        Begun::Done(Ok(session)) => self.opened(session, run, how, cx),
                        Begun::Done(Err(fault)) => Err((run, fault)),
                        Begun::Pending(opening) => Ok(Phase::Opening { run, how, opening }),
                    }
                }
                PhaseProj::Opening { opening, .. } => {
                    let session = ready!(opening.poll(task));
                    let PhaseOwned::Opening { run, how, .. } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    match session {
                        Ok(session) => self.opened(session, run, how, cx),
                        Err(fault) => Err((run, fault)),
                    }
                }
                PhaseProj::Preparing { work, local, how } => {
                    let done = ready!(self.work(work, local, how, task));
                    let PhaseOwned::Preparing { local, how, .. } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    match done {
                        Ok(done) => self.worked(done, local, how, cx),
                        Err(fault) => Err((local.run, fault)),
                    }
                }
            };
            match next {
                Ok(next) => phase.set(next),
                Err(ended) => return Poll::Ready(Err(ended)),
            }
        }
    }

    /// The run is ours: a fresh one keeps its input and begins, one that exists is looked into.
    #[inline(always)]
    fn opened<'a>(
        &'a self,
        session: <E::Store as Durability>::Session<'a>,
        run: RunOf<E>,
        how: How<'a, N::In, ProofOf<E>>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        let log = self.env.trace().begin(|| cx.now());
        let mut local = Local { session, run, log };
        match how {
            How::Start(input) => match E::Store::existing(&local.session) {
                None => match E::Store::save_input(&mut local.session, &input, self.shape) {
                    Begun::Done(Ok(())) => Ok(self.start(input, local, cx)),
                    Begun::Done(Err(fault)) => Err((local.run, fault)),
                    Begun::Pending(write) => {
                        Ok(Phase::Preparing { local, how: How::Start(input), work: Work::SavingInput(write) })
                    }
                },
                Some(proof) => self.look(proof, local, How::Start(input), cx),
            },
            How::Resume(proof) | How::ResumeFrom(proof, _) => self.look(proof, local, how, cx),
        }
    }

    /// The nodes begin with the input.
    #[inline(always)]
    fn start<'a>(&'a self, input: N::In, mut local: Local<'a, E>, cx: Cx<'a, E>) -> PhaseOf<'a, N, E> {
        let state = self.node.node.start(input, Place::FIRST, cx, &mut local);
        Phase::Running { local, state }
    }

    /// Looks into a run that exists: whether it belongs to this pipeline and this input, and what its input was where that is
    /// needed.
    fn look<'a>(
        &'a self,
        proof: ProofOf<E>,
        mut local: Local<'a, E>,
        how: How<'a, N::In, ProofOf<E>>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        let wanted = self.wanted(&how, &local);
        match E::Store::load(proof, &mut local.session, Slot::INPUT, |bytes| {
            self.read_input(proof, bytes, wanted, &how)
        }) {
            Begun::Done(Ok(Ok(input))) => self.worked(Done::Input(proof, input), local, how, cx),
            Begun::Done(Ok(Err(fault)) | Err(fault)) => Err((local.run, fault)),
            Begun::Pending(read) => Ok(Phase::Preparing { local, how, work: Work::ReadingInput(read) }),
        }
    }

    /// Whether the stored input itself is needed: nothing after it is there to go on from, and it was not given.
    fn wanted(&self, how: &How<'_, N::In, ProofOf<E>>, local: &Local<'_, E>) -> bool {
        matches!(how, How::Resume(_)) && self.node.node.resumable(Place::FIRST, local).is_none()
    }

    /// Checks a stored input and takes it out where it is wanted.
    fn read_input(
        &self,
        proof: ProofOf<E>,
        bytes: &[u8],
        wanted: bool,
        how: &How<'_, N::In, ProofOf<E>>,
    ) -> Result<Option<N::In>, FaultOf<E>> {
        let fault = |fault| E::Store::fault(proof, fault);
        let stored = input_fingerprint(bytes).map_err(|error| fault(error.into()))?;
        if stored != self.shape {
            // A damaged one is said to be damaged, not to be of another pipeline.
            E::Store::decode_input(proof, bytes).map(|_: N::In| ())?;
            return Err(fault(StoreFault::OtherPipeline { stored, now: self.shape }));
        }
        if let How::Start(input) = how
            && !E::Store::same_input(proof, bytes, input)?
        {
            return Err(fault(StoreFault::OtherInput));
        }
        if wanted { E::Store::decode_input(proof, bytes).map(Some) } else { Ok(None) }
    }

    /// Waits for what the preparation waits for.
    fn work<'a>(
        &'a self,
        work: Pin<&mut Work<<E::Store as Durability>::Writing<'a>, <E::Store as Durability>::Reading<'a>>>,
        local: &Local<'a, E>,
        how: &How<'a, N::In, ProofOf<E>>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Done<N::In, ProofOf<E>>, FaultOf<E>>> {
        let proof = || match how {
            How::Resume(proof) | How::ResumeFrom(proof, _) => Some(*proof),
            How::Start(_) => E::Store::existing(&local.session),
        };
        Poll::Ready(match work.project() {
            WorkProj::SavingInput(write) => ready!(write.poll(task)).map(|()| Done::Saved),
            WorkProj::Discarding(write) => ready!(write.poll(task)).map(|()| Done::Discarded),
            WorkProj::ReadingInput(read) => {
                let bytes = ready!(read.poll(task))?;
                let Some(proof) = proof() else { return Poll::Pending };
                let wanted = self.wanted(how, local);
                self.read_input(proof, bytes.as_ref(), wanted, how).map(|input| Done::Input(proof, input))
            }
        })
    }

    /// Goes on after a step of the preparation.
    fn worked<'a>(
        &'a self,
        done: Done<N::In, ProofOf<E>>,
        mut local: Local<'a, E>,
        how: How<'a, N::In, ProofOf<E>>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        match (done, how) {
            (Done::Saved, How::Start(input)) => Ok(self.start(input, local, cx)),
            (Done::Input(proof, _), How::ResumeFrom(_, from)) => {
                if let Some(stray) = self.stray(&local) {
                    return Err((local.run, E::Store::fault(proof, StoreFault::StrayNode(stray))));
                }
                if !dependents(&self.node, from, |_| ()) {
                    return Err((local.run, E::Store::fault(proof, StoreFault::UnknownNode(NodeName::of(from)))));
                }
                let doomed = |slot: Slot<'_>| {
                    let mut hit = false;
                    dependents(&self.node, from, |node| hit |= node.is(slot.node));
                    hit && slot.kind != SlotKind::Input
                };
                match E::Store::discard(proof, &mut local.session, doomed) {
                    Begun::Done(Ok(())) => self.worked(Done::Discarded, local, How::Resume(proof), cx),
                    Begun::Done(Err(fault)) => Err((local.run, fault)),
                    Begun::Pending(write) => {
                        Ok(Phase::Preparing { local, how: How::Resume(proof), work: Work::Discarding(write) })
                    }
                }
            }
            (Done::Input(proof, stored), how) => {
                let given = if let How::Start(input) = how { Some(input) } else { stored };
                self.go_on(proof, given, local, cx)
            }
            (_, How::Resume(proof) | How::ResumeFrom(proof, _)) => self.look(proof, local, How::Resume(proof), cx),
            // Only a resume discards.
            (Done::Discarded, How::Start(input)) => Ok(self.start(input, local, cx)),
        }
    }

    /// The nodes go on from what the store holds.
    fn go_on<'a>(
        &'a self,
        proof: ProofOf<E>,
        input: Option<N::In>,
        mut local: Local<'a, E>,
        cx: Cx<'a, E>,
    ) -> Next<'a, N, E> {
        if let Some(stray) = self.stray(&local) {
            return Err((local.run, E::Store::fault(proof, StoreFault::StrayNode(stray))));
        }
        let mut restored = 0_u16;
        let mut place = Place::FIRST;
        self.describe().nodes(|node| {
            let held = |id| local.holds(id, place).is_some();
            // What is kept of a node that skips its checkpoint is used only where it is an output of the run.
            let used = || {
                let mut depending = 0_u16;
                node.checkpointed || dependents(&self.node, node.id, |_| depending += 1) && depending == 1
            };
            if (held(node.id) || node.was.is_some_and(held)) && used() {
                restored = restored.saturating_add(1);
                self.env.trace().restored(&mut local.log, node.id);
            }
            place = place.skip(1);
        });
        E::Detail::resumed(&mut local.run, restored);
        match (self.node.node.resumable(Place::FIRST, &local), input) {
            (Some(from), _) => {
                let state = self.node.node.resume(from, Place::FIRST, cx, &mut local);
                Ok(Phase::Running { local, state })
            }
            (None, Some(input)) => Ok(self.start(input, local, cx)),
            // The input was read where nothing after it was there, so this is asked once more and then answered.
            (None, None) => self.look(proof, local, How::Resume(proof), cx),
        }
    }

    /// A node of which the store holds something and the pipeline knows nothing.
    fn stray(&self, local: &Local<'_, E>) -> Option<NodeName> {
        let mut stray = None;
        E::Store::each_slot(&local.session, |slot| {
            if slot.kind != SlotKind::Input && stray.is_none() && !crate::exec::contains(&self.node.node, slot.node) {
                stray = Some(NodeName::of(slot.node));
            }
        });
        stray
    }
}

/// A step of the preparation that is done.
enum Done<In, P> {
    Saved,
    Discarded,
    Input(P, Option<In>),
}
