//! The shell of a node: checkpoint around retry around time-out around its function.
//!
//! One state machine serves a single node and, with options switched off, each layer around a chain of nodes, so that a
//! retry is a retry in both places. What an option that is off would need is a type without values, and gone.

use core::{
    any::type_name,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::{
    checkpoint::{Keep, Role},
    retry::Retries,
    timeout::{Alarm, AlarmProj, Limit},
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Explain, Local, Node, NodeInfo, Stop, StopOf, Stops, Walk},
    observe::{Attempt, Ended, Reason, Record, Tracer},
    run::Spent,
    slot::Place,
    store::{Begun, Durability},
};

/// A body and what is to be done around it.
///
/// Around the function of a node the order is fixed: checkpoint, then retry, then time-out, then the function. So a time-out is
/// one of each attempt, and what is checkpointed is the output of the attempt that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Step<B, P> {
    pub(crate) id: &'static str,
    /// The id under which its output is kept: the one that it had first.
    pub(crate) key: &'static str,
    pub(crate) body: B,
    pub(crate) policy: P,
}

/// What is to be done around a body: retries `R`, a limit of time `T`, and whether it is a node whose output is kept, `K`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy<R, T, K> {
    pub(crate) retry: R,
    pub(crate) limit: T,
    pub(crate) keep: K,
}

impl<B: Node, R, T, K: Role> Node for Step<B, Policy<R, T, K>> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES + K::NODES;
    const SKIPPED: u16 = if K::NODES != 0 && !K::STORED { 1 } else { B::SKIPPED };

    fn walk<W: Walk>(&self, walk: &mut W) {
        if K::NODES == 0 {
            return self.body.walk(walk);
        }
        walk.node(NodeInfo {
            id: self.id,
            was: (self.key != self.id).then_some(self.key),
            input: type_name::<B::In>(),
            output: type_name::<B::Out>(),
            checkpointed: K::STORED,
        });
    }
}

/// From where a [`Step`] can go on.
#[derive(Debug, Clone, Copy)]
pub enum StepProof<K, B> {
    /// Its own output is in the store.
    Output(K),
    /// Its body can go on.
    Body(B),
}

/// Where a [`Step`] is in its work.
#[pin_project(project = StateProj)]
pub struct StepState<Kept, Tally, V, P> {
    kept: Kept,
    tally: Tally,
    visit: V,
    #[pin]
    phase: P,
}

impl<Kept, Tally, V, P> core::fmt::Debug for StepState<Kept, Tally, V, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepState").finish_non_exhaustive()
    }
}

/// What a [`Step`] is doing; a phase that its options rule out has no values.
#[pin_project(project = PhaseProj)]
#[derive(Debug)]
pub enum Phase<B, T, O, M, W, C, S, L> {
    /// The body is at work.
    Try {
        /// Its state.
        #[pin]
        body: B,
        /// The timer.
        #[pin]
        timer: Alarm<T, O>,
        /// When the attempt began.
        mark: M,
    },
    /// It waits before another attempt.
    Wait(#[pin] W),
    /// It throws away what the last attempt had done.
    Clear(#[pin] C),
    /// It waits for its output to be saved.
    Save(#[pin] S),
    /// It waits for its output to be read.
    Load(#[pin] L),
}

/// The phases of a step with body `B`, retries `R`, limit `T` and role `K` in `E`.
type PhaseOf<'a, B, R, T, K, E> = Phase<
    <B as Exec<E>>::State<'a>,
    <T as Limit<E>>::Timer<'a>,
    <T as Limit<E>>::Late,
    <<E as Env>::Trace as Tracer>::Mark,
    <R as Retries<<B as Node>::In, <B as Node>::Error, E>>::Wait<'a>,
    <R as Retries<<B as Node>::In, <B as Node>::Error, E>>::Clearing<'a>,
    <K as Keep<<B as Node>::Out, E>>::Saving<'a>,
    <K as Keep<<B as Node>::Out, E>>::Loading<'a>,
>;

impl<B, R, T, K, E> Exec<E> for Step<B, Policy<R, T, K>>
where
    E: Env<Trace: Record<B::In, B::Out, B::Error>, Detail: Explain<B::Error, E>>,
    B: Exec<E>,
    R: Retries<B::In, B::Error, E>,
    T: Limit<E>,
    K: Role + Keep<B::Out, E>,
{
    type State<'a>
        = StepState<
        <R as Retries<B::In, B::Error, E>>::Kept,
        <R as Retries<B::In, B::Error, E>>::Tally,
        <E::Trace as Tracer>::Visit,
        PhaseOf<'a, B, R, T, K, E>,
    >
    where
        Self: 'a,
        E: 'a;

    type Proof = StepProof<K::Proof, B::Proof>;

    #[inline(always)]
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        match K::held(self.key, at, local) {
            Some(proof) => Some(StepProof::Output(proof)),
            None => self.body.resumable(at, local).map(StepProof::Body),
        }
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: B::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let at = self.enter(at).with_attempt(1);
        let kept = self.policy.retry.keep(&input, cx);
        if <E::Store as Durability>::REPLAYS
            && let Some(proof) = K::replayed(at, local)
        {
            let loading = K::load(proof, self.key, at, local);
            if let Some(out) = K::loaded(&loading) {
                let ended = Self::ended(at, &local.run, cx);
                Record::<B::In, B::Out, B::Error>::replayed(cx.env.trace(), &mut local.log, ended, Some(&input), out);
            }
            let phase = Phase::Load(loading);
            return StepState { kept, tally: Default::default(), visit: Default::default(), phase };
        }
        let visit = self.visit(at, cx, local);
        let mark = self.begun(Some(&input), at, &visit, cx, local);
        let body = self.body.start(input, at, cx, local);
        StepState { kept, tally: Default::default(), visit, phase: Phase::Try { body, timer: Alarm::Off, mark } }
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Self::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let at = self.enter(at).with_attempt(1);
        let kept = self.policy.retry.keep_nothing(cx);
        let (visit, phase) = match proof {
            StepProof::Output(proof) => (Default::default(), Phase::Load(K::load(proof, self.key, at, local))),
            StepProof::Body(proof) => {
                let visit = self.visit(at, cx, local);
                let mark = self.begun(None, at, &visit, cx, local);
                (visit, Phase::Try { body: self.body.resume(proof, at, cx, local), timer: Alarm::Off, mark })
            }
        };
        StepState { kept, tally: Default::default(), visit, phase }
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<B::Out, StopOf<B, E>>> {
        let at = self.enter(at);
        loop {
            let StateProj { kept, tally, visit, mut phase } = state.as_mut().project();
            match phase.as_mut().project() {
                PhaseProj::Try { mut body, timer, mark } => {
                    let at = at.with_attempt(R::attempt(*tally));
                    let polled = match *timer {
                        Alarm::Over(_) => Poll::Pending,
                        _ if K::NODES == 0 => self.body.poll(body.as_mut(), at, cx, local, task),
                        _ => cx.env.trace().within(mark, || self.body.poll(body.as_mut(), at, cx, local, task)),
                    };
                    let ended = match polled {
                        Poll::Ready(ended) => ended,
                        Poll::Pending if !T::LIMITED => return Poll::Pending,
                        Poll::Pending => Err(ready!(self.poll_timer(body, timer, at, cx, local, task))),
                    };
                    let stop = match ended {
                        Ok(out) => {
                            if K::NODES != 0 {
                                let ended = Self::ended(at, &local.run, cx);
                                Record::<B::In, B::Out, B::Error>::succeeded(
                                    cx.env.trace(),
                                    &mut local.log,
                                    ended,
                                    mark,
                                    &out,
                                );
                            }
                            match K::save(self.key, at, local, &out) {
                                Begun::Done(Ok(())) => return Poll::Ready(Ok(out)),
                                Begun::Done(Err(fault)) => {
                                    return Poll::Ready(Err(Stop::Halt(E::Detail::stop(fault, at))));
                                }
                                Begun::Pending(write) => phase.set(Phase::Save(K::saving(out, write))),
                            }
                            continue;
                        }
                        Err(stop) => stop,
                    };
                    match self.failed(stop, tally, mark, at, cx, local) {
                        Ok(wait) => phase.set(Phase::Wait(wait)),
                        Err(stop) => return Poll::Ready(Err(stop)),
                    }
                }
                PhaseProj::Wait(wait) => {
                    ready!(wait.poll(task));
                    match self.policy.retry.clear(kept, &self.body, at, cx, local) {
                        Begun::Done(Ok(())) => {
                            let again = ready!(self.again(kept, visit, at.with_attempt(R::attempt(*tally)), cx, local));
                            phase.set(again);
                        }
                        Begun::Done(Err(fault)) => return Poll::Ready(Err(Stop::Halt(E::Detail::stop(fault, at)))),
                        Begun::Pending(clearing) => phase.set(Phase::Clear(clearing)),
                    }
                }
                PhaseProj::Clear(clearing) => {
                    if let Err(fault) = ready!(R::poll_clear(clearing, local, task)) {
                        return Poll::Ready(Err(Stop::Halt(E::Detail::stop(fault, at))));
                    }
                    let again = ready!(self.again(kept, visit, at.with_attempt(R::attempt(*tally)), cx, local));
                    phase.set(again);
                }
                PhaseProj::Save(saving) => {
                    let at = at.with_attempt(R::attempt(*tally));
                    return K::poll_save(saving, local, task).map_err(|fault| Stop::Halt(E::Detail::stop(fault, at)));
                }
                PhaseProj::Load(loading) => {
                    let at = at.with_attempt(1);
                    return K::poll_load(loading, local, task).map_err(|fault| Stop::Halt(E::Detail::stop(fault, at)));
                }
            }
        }
    }

    #[inline]
    fn drain<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        let StateProj { tally, phase, .. } = state.project();
        let at = self.enter(at).with_attempt(R::attempt(*tally));
        match phase.project() {
            PhaseProj::Try { body, mark, .. } => {
                let mut kept_back = ready!(self.body.drain(body, at, cx, local, task));
                if let Some(Stop::Halt(halt)) = &mut kept_back {
                    E::Detail::place(halt, at);
                }
                if K::NODES != 0 {
                    let ended = Self::ended(at, &local.run, cx);
                    Record::<B::In, B::Out, B::Error>::cut_short(cx.env.trace(), &mut local.log, ended, mark);
                }
                Poll::Ready(kept_back)
            }
            PhaseProj::Save(saving) => K::poll_save(saving, local, task)
                .map(|saved| saved.err().map(|fault| Stop::Halt(E::Detail::stop(fault, at)))),
            PhaseProj::Clear(clearing) => R::poll_clear(clearing, local, task)
                .map(|cleared| cleared.err().map(|fault| Stop::Halt(E::Detail::stop(fault, at)))),
            PhaseProj::Wait(_) | PhaseProj::Load(_) => Poll::Ready(None),
        }
    }
}

impl<B, R, T, K> Step<B, Policy<R, T, K>> {
    /// The place as the body sees it.
    #[inline(always)]
    fn enter(&self, at: Place) -> Place
    where
        K: Role,
    {
        if K::NODES == 0 { at } else { at.with_id(self.id, self.key) }
    }

    /// Tells the observers that the node is come to; a layer has nothing to tell.
    #[inline(always)]
    fn visit<E: Env>(&self, at: Place, cx: Cx<'_, E>, local: &mut Local<'_, E>) -> <E::Trace as Tracer>::Visit
    where
        K: Role,
    {
        if K::NODES == 0 {
            return Default::default();
        }
        cx.env.trace().visit(&mut local.log, Attempt::new(E::Detail::id(&local.run), at))
    }

    /// Tells the observers that an attempt begins; one at what a layer is around is none.
    #[inline(always)]
    fn begun<E>(
        &self,
        input: Option<&B::In>,
        at: Place,
        visit: &<E::Trace as Tracer>::Visit,
        cx: Cx<'_, E>,
        local: &mut Local<'_, E>,
    ) -> <E::Trace as Tracer>::Mark
    where
        B: Node,
        E: Env<Trace: Record<B::In, B::Out, B::Error>>,
        K: Role,
    {
        if K::NODES == 0 {
            return Default::default();
        }
        let attempt = Attempt::new(E::Detail::id(&local.run), at);
        Record::<B::In, B::Out, B::Error>::started(cx.env.trace(), &mut local.log, attempt, visit, cx.observed(), input)
    }

    /// What the observers are told of the end of any attempt.
    #[inline(always)]
    fn ended<'l, E: Env>(at: Place, run: &'l <E::Detail as Detail>::Run, cx: Cx<'_, E>) -> Ended<'l> {
        Ended::new(Attempt::new(E::Detail::id(run), at), cx.observed(), Spent::default())
    }

    /// Arms the timer where there is one to arm, waits for it, and then for what the body is saving.
    // Not inlined: an attempt that is ready at once should not carry it.
    #[inline(never)]
    fn poll_timer<'a, E>(
        &'a self,
        body: Pin<&mut B::State<'a>>,
        mut timer: Pin<&mut Alarm<T::Timer<'a>, T::Late>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<StopOf<B, E>>
    where
        E: Env,
        B: Exec<E>,
        T: Limit<E>,
    {
        if let Alarm::Off = *timer
            && let Some(armed) = self.policy.limit.arm(cx)
        {
            timer.set(Alarm::On(armed));
        }
        if let AlarmProj::On(mut running) = timer.as_mut().project() {
            ready!(running.as_mut().poll(task));
            let late = T::late(&running);
            timer.set(Alarm::Over(late));
        }
        let Alarm::Over(late) = *timer else { return Poll::Pending };
        let kept_back = ready!(self.body.drain(body, at, cx, local, task));
        // A time-out is the lightest of failures: what is graver was there before it.
        let late = Stop::Halt(self.policy.limit.elapsed(late));
        Poll::Ready(match kept_back {
            Some(stop) if E::Detail::is_grave(&stop) => stop,
            _ => late,
        })
    }

    /// Says what a failure means, writes it down, and begins the wait for another attempt if there is to be one.
    #[cold]
    fn failed<'a, E>(
        &self,
        mut stop: StopOf<B, E>,
        tally: &mut R::Tally,
        mark: &mut <E::Trace as Tracer>::Mark,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Result<R::Wait<'a>, StopOf<B, E>>
    where
        B: Node,
        E: Env<Trace: Record<B::In, B::Out, B::Error>, Detail: Explain<B::Error, E>>,
        R: Retries<B::In, B::Error, E>,
        K: Role,
    {
        match &mut stop {
            // Around a chain, the node inside has said it already.
            Stop::Error(error, info) if K::NODES != 0 => *info = E::Detail::explain(error, at, cx, local),
            Stop::Error(..) => {}
            Stop::Halt(halt) => E::Detail::place(halt, at),
        }
        if K::NODES != 0 {
            let class = E::Detail::class(&stop);
            let why = match &stop {
                Stop::Error(error, _) => Reason::Error(error),
                Stop::Halt(halt) => Reason::Halt(halt),
            };
            let ended = Self::ended(at, &local.run, cx);
            Record::<B::In, B::Out, B::Error>::failed(cx.env.trace(), &mut local.log, ended, mark, class, why);
        }
        match self.policy.retry.again(tally, &stop, at, cx, local) {
            Some(wait) => Ok(wait),
            None => Err(stop),
        }
    }

    /// Begins another attempt: from what the store holds of it, else from the input.
    ///
    /// One of the two is there: what was begun without an input was in the store, and stays there.
    fn again<'a, E>(
        &'a self,
        kept: &R::Kept,
        visit: &<E::Trace as Tracer>::Visit,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Poll<PhaseOf<'a, B, R, T, K, E>>
    where
        E: Env<Trace: Record<B::In, B::Out, B::Error>>,
        B: Exec<E>,
        R: Retries<B::In, B::Error, E>,
        T: Limit<E>,
        K: Role + Keep<B::Out, E>,
    {
        let (mark, body) = match (self.body.resumable(at, local), R::input(kept)) {
            (Some(proof), _) => {
                let mark = self.begun(None, at, visit, cx, local);
                (mark, self.body.resume(proof, at, cx, local))
            }
            (None, Some(input)) => {
                let mark = self.begun(Some(&input), at, visit, cx, local);
                (mark, self.body.start(input, at, cx, local))
            }
            (None, None) => return Poll::Pending,
        };
        Poll::Ready(Phase::Try { body, timer: Alarm::Off, mark })
    }
}
