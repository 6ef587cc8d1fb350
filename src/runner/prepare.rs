//! What comes before the first node of a run: its store is opened, and a run that exists is looked into.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    phase::{FaultOf, How, Next, Phase, PhaseOf, PhaseOwned, PhaseProj, Work, WorkProj},
    run::Runner,
};
use crate::{
    describe::dependents,
    exec::{Cx, Detail, Env, Exec, Local, ProofOf},
    meter::Meter,
    observe::{Attempt, Tracer},
    slot::{Place, Slot, SlotKind},
    store::{Access, Begun, Durability, NodeName, Persist, StoreFault, input_fingerprint},
};

/// Why a run cannot begin.
pub(super) enum Trouble<E: Env> {
    Store(FaultOf<E>),
    Budget(<E::Budget as Meter>::Over),
}

impl<N, E> Runner<N, E>
where
    E: Env,
    N: Exec<E>,
    E::Store: Persist<N::In>,
{
    /// Goes on until the nodes are at work, or until it has to wait.
    ///
    /// What a fresh run does is inlined; what only a store can make necessary is a function of its own.
    #[inline(always)]
    pub(super) fn prepare<'a>(
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
        if E::Store::DURABLE {
            self.poll_preparation(phase, local, cx, task).map_err(Trouble::Store)
        } else {
            Poll::Pending
        }
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
    fn poll_preparation<'a>(
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
                    let done = ready!(self.poll_work(work, how, local, task));
                    let PhaseOwned::Preparing { how, .. } = phase.as_mut().project_replace(Phase::Over) else {
                        return Poll::Pending;
                    };
                    done.and_then(|done| self.after_work(done, how, local, cx))
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
            Begun::Done(Ok(input)) => self.go_on_from(proof, from, input, how, local, cx),
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
            return Err(self.not_of_this_pipeline(proof, bytes, stored));
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
    fn not_of_this_pipeline(&self, proof: ProofOf<E>, bytes: &[u8], stored: u64) -> StoreFault {
        match <E::Store as Persist<N::In>>::decode_input(proof, bytes) {
            Ok(_) => StoreFault::OtherPipeline { stored, now: self.shape.get() },
            Err(fault) => fault,
        }
    }

    /// Waits for what the preparation waits for.
    fn poll_work<'a>(
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
    fn after_work<'a>(
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
                    self.go_on_from(proof, from, input, how, local, cx)
                }
                None => Ok(Phase::Over),
            },
        }
    }

    /// The run belongs to this pipeline: its nodes go on from what the store holds.
    #[inline]
    fn go_on_from<'a>(
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
