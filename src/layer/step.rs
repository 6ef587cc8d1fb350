//! The shell of a node: checkpoint around retry around time-out around its function.
//!
//! One state machine serves a single node and, with options switched off, each layer around a chain of nodes, so that a
//! retry is a retry in both places. What an option that is off would need is a type without values, and gone.

use core::{
    any::type_name,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::pin_project;

use super::{
    checkpoint::{FaultOf, Keep, Role},
    retry::{Again, Retries},
    timeout::{Alarm, AlarmProj, Lasting, Limit},
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Explain, Layer, Local, Node, NodeInfo, Stop, StopOf, Stops, Walk},
    meter::Meter,
    observe::{Attempt, Ended, Reason, Record, Tracer},
    slot::Place,
    store::{Begun, Durability},
};

/// A body and what is to be done around it.
///
/// Around the function of a node the order is fixed: checkpoint, then retry, then checks of the output, then time-out, then the
/// function. So a time-out is one of each attempt, and what is checkpointed is the output of the attempt that succeeded and
/// passed. (The checks are around the function, within the time-out: they never wait, so it never ends one.)
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

impl<B: Node, R: Again, T: Lasting, K: Role> Node for Step<B, Policy<R, T, K>> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES + K::NODES;
    const SKIPPED: u16 = if K::NODES != 0 && !K::STORED { 1 } else { B::SKIPPED };

    fn walk<W: Walk>(&self, walk: &mut W) {
        let (retry, timeout) = (self.policy.retry.policy(), self.policy.limit.lasting());
        if K::NODES == 0 {
            let retry = retry.map(|policy| Layer::Retry { policy, from_start: R::FROM_START });
            let layers = [retry, timeout.map(Layer::Timeout)];
            layers.iter().flatten().for_each(|layer| walk.enter(layer));
            self.body.walk(walk);
            return layers.iter().flatten().for_each(|_| walk.leave());
        }
        walk.node(NodeInfo {
            id: self.id,
            was: (self.key != self.id).then_some(self.key),
            input: type_name::<B::In>(),
            output: type_name::<B::Out>(),
            checkpointed: K::STORED,
            required: B::REQUIRES,
            ensured: B::ENSURES,
            retry: retry.copied(),
            timeout,
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
pub enum Phase<B, T, O, M, A, W, C, S, L, X, G> {
    /// The body is at work.
    Try {
        /// Its state.
        #[pin]
        body: B,
        /// The timer.
        #[pin]
        timer: Alarm<T, O>,
        /// What the observers remember of its beginning.
        mark: M,
        /// What it spent.
        tab: A,
    },
    /// It waits before another attempt.
    Wait(#[pin] W),
    /// It throws away what the last attempt had done.
    Clear(#[pin] C),
    /// It waits for its output to be saved.
    Save {
        /// The write.
        #[pin]
        saving: S,
        /// Whether the run has to stop then, for what it spent.
        over: Option<X>,
    },
    /// It waits for its output to be read.
    Load(#[pin] L),
    /// It does not begin, since the budget is used up.
    Refused(X),
    /// What it held is given back, and it goes on to another phase.
    Gone(G),
}

/// The phases of a step with body `B`, retries `R`, limit `T` and role `K` in `E`.
type PhaseOf<'a, B, R, T, K, E> = Phase<
    <B as Exec<E>>::State<'a>,
    <T as Limit<E>>::Timer<'a>,
    <T as Limit<E>>::Late,
    <<E as Env>::Trace as Tracer>::Mark,
    <<E as Env>::Budget as Meter>::Tab,
    <R as Retries<<B as Node>::In, <B as Node>::Error, E>>::Wait<'a>,
    <R as Retries<<B as Node>::In, <B as Node>::Error, E>>::Clearing<'a>,
    <K as Keep<<B as Node>::Out, E>>::Saving<'a>,
    <K as Keep<<B as Node>::Out, E>>::Loading<'a>,
    <<E as Env>::Budget as Meter>::Over,
    <<E as Env>::Budget as Meter>::Gone,
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
        let now = Self::moment(cx);
        if <E::Store as Durability>::REPLAYS
            && let Some(proof) = K::replayed(at, local)
        {
            let loading = K::load(proof, self.key, at, local);
            if let Some(out) = K::loaded(&loading) {
                let ended = Self::ended::<E>(at, now, &Default::default(), &local.run);
                Record::<B::In, B::Out, B::Error>::replayed(cx.env.trace(), &mut local.log, ended, Some(&input), out);
            }
            let phase = Phase::Load(loading);
            return StepState { kept, tally: Default::default(), visit: Default::default(), phase };
        }
        let (visit, phase) = match self.before(at, now, local) {
            Some(over) => (Default::default(), Phase::Refused(over)),
            None => {
                let visit = self.visit(at, cx, local);
                let mark = self.begun(Some(&input), at, &visit, now, cx, local);
                let body = Self::within(&mark, cx, || self.body.start(input, at, cx, local));
                (visit, Phase::Try { body, timer: Alarm::Off, mark, tab: Self::tab(at, local) })
            }
        };
        StepState { kept, tally: Default::default(), visit, phase }
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Self::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let at = self.enter(at).with_attempt(1);
        let kept = self.policy.retry.keep_nothing(cx);
        let (visit, phase) = match proof {
            StepProof::Output(proof) => (Default::default(), Phase::Load(K::load(proof, self.key, at, local))),
            StepProof::Body(proof) => {
                let now = Self::moment(cx);
                match self.before(at, now, local) {
                    Some(over) => (Default::default(), Phase::Refused(over)),
                    None => {
                        let visit = self.visit(at, cx, local);
                        let mark = self.begun(None, at, &visit, now, cx, local);
                        let body = Self::within(&mark, cx, || self.body.resume(proof, at, cx, local));
                        (visit, Phase::Try { body, timer: Alarm::Off, mark, tab: Self::tab(at, local) })
                    }
                }
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
        if K::NODES == 0 || !<E::Trace as Tracer>::ENABLED {
            return self.go_on(state, at, cx, local, task);
        }
        let ended = ready!(self.go_on(state.as_mut(), at, cx, local, task));
        cx.env.trace().left(state.project().visit, ended.is_ok());
        Poll::Ready(ended)
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
        let StateProj { tally, visit, mut phase, .. } = state.project();
        let at = self.enter(at).with_attempt(R::attempt(*tally));
        match phase.as_mut().project() {
            PhaseProj::Try { body, mark, tab, .. } => {
                let mut kept_back = ready!(self.body.drain(body, at, cx, local, task));
                if let Some(Stop::Halt(halt)) = &mut kept_back {
                    E::Detail::place(halt, at);
                }
                let (mut mark, mut tab) = (core::mem::take(mark), core::mem::take(tab));
                if let Some(gone) = E::Budget::gone() {
                    phase.set(Phase::Gone(gone));
                }
                if K::NODES != 0 {
                    E::Budget::polled(&mut local.book, at, &mut tab);
                    E::Budget::cut_short(&mut local.book, at, &tab);
                    match &kept_back {
                        // Nobody had asked it yet, but it had failed: with an input that did not pass, or in a panic.
                        Some(stop) => {
                            self.tell(stop, &mut mark, &tab, at, cx, local);
                            cx.env.trace().left(visit, false);
                        }
                        None => {
                            let ended = Self::ended::<E>(at, Self::moment(cx), &tab, &local.run);
                            Record::<B::In, B::Out, B::Error>::cut_short(
                                cx.env.trace(),
                                &mut local.log,
                                ended,
                                &mut mark,
                            );
                        }
                    }
                }
                Poll::Ready(kept_back)
            }
            PhaseProj::Save { saving, over } => K::poll_save(saving, local, task).map(|saved| match (saved, *over) {
                (Err(fault), _) => Some(Stop::Halt(E::Detail::stop(fault, at))),
                (Ok(_), Some(over)) => Some(Self::overspent::<E>(over, at, Self::moment(cx), local)),
                (Ok(_), None) => None,
            }),
            PhaseProj::Clear(clearing) => R::poll_clear(clearing, local, task)
                .map(|cleared| cleared.err().map(|fault| Stop::Halt(E::Detail::stop(fault, at)))),
            PhaseProj::Wait(_) | PhaseProj::Load(_) | PhaseProj::Refused(_) | PhaseProj::Gone(_) => Poll::Ready(None),
        }
    }
}

impl<B, R, T, K> Step<B, Policy<R, T, K>> {
    /// Goes on until there is something to wait for, or an end.
    #[inline(always)]
    fn go_on<'a, E>(
        &'a self,
        mut state: Pin<&mut <Self as Exec<E>>::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<B::Out, StopOf<B, E>>>
    where
        E: Env<Trace: Record<B::In, B::Out, B::Error>, Detail: Explain<B::Error, E>>,
        B: Exec<E>,
        R: Retries<B::In, B::Error, E>,
        T: Limit<E>,
        K: Role + Keep<B::Out, E>,
    {
        let at = self.enter(at);
        loop {
            let StateProj { kept, tally, visit, mut phase } = state.as_mut().project();
            match phase.as_mut().project() {
                PhaseProj::Try { mut body, timer, mark, tab } => {
                    let at = at.with_attempt(R::attempt(*tally));
                    let polled = match *timer {
                        Alarm::Over(_) => Poll::Pending,
                        // Not even a closure where nobody has to be around: the compiler would call it.
                        _ if K::NODES == 0 || !<E::Trace as Tracer>::ENABLED => {
                            self.body.poll(body.as_mut(), at, cx, local, task)
                        }
                        _ => cx.env.trace().within(mark, || self.body.poll(body.as_mut(), at, cx, local, task)),
                    };
                    if K::NODES != 0 {
                        E::Budget::polled(&mut local.book, at, tab);
                    }
                    let ended = match polled {
                        Poll::Ready(ended) => ended,
                        Poll::Pending if !T::LIMITED => return Poll::Pending,
                        Poll::Pending => Err(ready!(self.poll_timer(body, timer, at, cx, local, task))),
                    };
                    let stop = match ended {
                        Ok(out) => {
                            let mut over = None;
                            let now = Self::moment(cx);
                            if K::NODES != 0 {
                                let (mut own_mark, mut own_tab);
                                let (mark, tab) = match E::Budget::gone_holding(tab) {
                                    // What its future still holds is of this attempt, and of what is saved with it.
                                    Some(gone) => {
                                        (own_mark, own_tab) = (core::mem::take(mark), core::mem::take(tab));
                                        phase.set(Phase::Gone(gone));
                                        E::Budget::polled(&mut local.book, at, &mut own_tab);
                                        (&mut own_mark, &mut own_tab)
                                    }
                                    None => (mark, tab),
                                };
                                let ended = Self::ended::<E>(at, now, tab, &local.run);
                                Record::<B::In, B::Out, B::Error>::succeeded(
                                    cx.env.trace(),
                                    &mut local.log,
                                    ended,
                                    mark,
                                    &out,
                                );
                                // What it yields is paid for, so it is kept before the run stops for it.
                                over = E::Budget::succeeded(&mut local.book, tab, at, now);
                            }
                            match self.save(&out, at, now, local) {
                                Begun::Done(Ok(())) => return Poll::Ready(Self::paid::<E>(out, over, at, now, local)),
                                Begun::Done(Err(fault)) => {
                                    return Poll::Ready(Err(Stop::Halt(E::Detail::stop(fault, at))));
                                }
                                Begun::Pending(write) => phase.set(Phase::Save { saving: K::saving(out, write), over }),
                            }
                            continue;
                        }
                        Err(stop) => stop,
                    };
                    let (mut mark, mut tab) = (core::mem::take(mark), core::mem::take(tab));
                    if let Some(gone) = E::Budget::gone() {
                        // What its future still held is booked as it is dropped, and is of this attempt.
                        phase.set(Phase::Gone(gone));
                        if K::NODES != 0 {
                            E::Budget::polled(&mut local.book, at, &mut tab);
                        }
                    }
                    match self.failed(stop, tally, &mut mark, &mut tab, at, cx, local) {
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
                PhaseProj::Save { saving, over } => {
                    let at = at.with_attempt(R::attempt(*tally));
                    return Poll::Ready(match ready!(K::poll_save(saving, local, task)) {
                        Ok(out) => Self::paid::<E>(out, *over, at, Self::moment(cx), local),
                        Err(fault) => Err(Stop::Halt(E::Detail::stop(fault, at))),
                    });
                }
                PhaseProj::Refused(over) => {
                    let at = at.with_attempt(R::attempt(*tally));
                    E::Budget::refused(&mut local.book, at.scope, Self::moment(cx));
                    return Poll::Ready(Err(Stop::Halt(E::Detail::stop(*over, at))));
                }
                // It is left again before anybody can look.
                PhaseProj::Gone(_) => return Poll::Pending,
                PhaseProj::Load(loading) => {
                    let at = at.with_attempt(1);
                    return K::poll_load(loading, local, task).map_err(|fault| Stop::Halt(E::Detail::stop(fault, at)));
                }
            }
        }
    }

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
        now: Duration,
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
        Record::<B::In, B::Out, B::Error>::started(cx.env.trace(), &mut local.log, attempt, visit, now, input)
    }

    /// The time at the beginning or the end of an attempt; one at what a layer is around is none.
    #[inline(always)]
    fn moment<E: Env>(cx: Cx<'_, E>) -> Duration
    where
        K: Role,
    {
        if K::NODES == 0 { Duration::ZERO } else { cx.moment() }
    }

    /// Goes on with an attempt; the observers that have to be around it are.
    #[inline(always)]
    fn within<E: Env, Done>(mark: &<E::Trace as Tracer>::Mark, cx: Cx<'_, E>, poll: impl FnOnce() -> Done) -> Done
    where
        K: Role,
    {
        if K::NODES == 0 || !<E::Trace as Tracer>::ENABLED { poll() } else { cx.env.trace().within(mark, poll) }
    }

    /// What the observers are told of the end of any attempt.
    #[inline(always)]
    fn ended<'l, E: Env>(
        at: Place,
        now: Duration,
        tab: &<E::Budget as Meter>::Tab,
        run: &'l <E::Detail as Detail>::Run,
    ) -> Ended<'l> {
        Ended::new(Attempt::new(E::Detail::id(run), at), now, E::Budget::tab(tab))
    }

    /// The tab of an attempt that begins: its function may have spent something before its future is polled.
    #[inline(always)]
    fn tab<E: Env>(at: Place, local: &mut Local<'_, E>) -> <E::Budget as Meter>::Tab
    where
        K: Role,
    {
        let mut tab = Default::default();
        if K::NODES != 0 {
            E::Budget::polled(&mut local.book, at, &mut tab);
        }
        tab
    }

    /// Whether the budget forbids an attempt to begin; a layer has none to forbid.
    #[inline(always)]
    fn before<E: Env>(&self, at: Place, now: Duration, local: &mut Local<'_, E>) -> Option<<E::Budget as Meter>::Over>
    where
        K: Role,
    {
        if K::NODES == 0 { None } else { E::Budget::before(&mut local.book, at.scope, now) }
    }

    /// Saves the output, and what was spent with it.
    #[inline(always)]
    fn save<'a, E>(
        &self,
        out: &B::Out,
        at: Place,
        now: Duration,
        local: &mut Local<'a, E>,
    ) -> Begun<Result<(), FaultOf<E>>, K::Writing<'a>>
    where
        B: Node,
        E: Env,
        K: Role + Keep<B::Out, E>,
    {
        if !E::Budget::METERED || !E::Store::DURABLE || K::NODES == 0 || !(K::STORED || at.last) {
            return K::save(self.key, at, local, out, &[]);
        }
        let ledger = E::Budget::ledger(&local.book);
        let mut room = Default::default();
        K::save(self.key, at, local, out, E::Budget::bytes(ledger, now, &mut room))
    }

    /// The output, unless the run has to stop for what it spent.
    #[inline(always)]
    fn paid<E: Env>(
        out: B::Out,
        over: Option<<E::Budget as Meter>::Over>,
        at: Place,
        now: Duration,
        local: &mut Local<'_, E>,
    ) -> Result<B::Out, StopOf<B, E>>
    where
        B: Node,
        K: Role,
    {
        match over {
            None => Ok(out),
            Some(over) => Err(Self::overspent::<E>(over, at, now, local)),
        }
    }

    /// The stop of a run for what an attempt spent that succeeded. Why is noted now: while the output was being saved, a sibling
    /// may have stopped the run for another reason.
    #[cold]
    fn overspent<E: Env>(
        over: <E::Budget as Meter>::Over,
        at: Place,
        now: Duration,
        local: &mut Local<'_, E>,
    ) -> StopOf<B, E>
    where
        B: Node,
    {
        E::Budget::overspent(&mut local.book, over, at, now);
        Stop::Halt(E::Detail::stop(over, at))
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
            E::Store::hurry(&mut local.session);
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
    #[allow(clippy::too_many_arguments, reason = "what an attempt leaves behind, in its parts")]
    fn failed<'a, E>(
        &self,
        mut stop: StopOf<B, E>,
        tally: &mut R::Tally,
        mark: &mut <E::Trace as Tracer>::Mark,
        tab: &mut <E::Budget as Meter>::Tab,
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
        if K::NODES != 0
            && let Some(over) = E::Budget::failed(&mut local.book, at, tab)
        {
            // It was refused what it wanted to spend, whatever it made of that.
            stop = Stop::Halt(E::Detail::stop(over, at));
        }
        match &mut stop {
            // Around a chain, the node inside has said it already.
            Stop::Error(error, info) if K::NODES != 0 => *info = E::Detail::explain(error, at, cx, local),
            Stop::Error(..) => {}
            Stop::Halt(halt) => E::Detail::place(halt, at),
        }
        if K::NODES != 0 {
            self.tell(&stop, mark, tab, at, cx, local);
        }
        match self.policy.retry.again(tally, &stop, at, cx, local) {
            Ok(wait) => Ok(wait),
            Err(None) => Err(stop),
            Err(Some(until)) => Err(match E::Budget::refused_at(&mut local.book, at.scope, until) {
                Some(over) => Stop::Halt(E::Detail::stop(over, at)),
                None => stop,
            }),
        }
    }

    /// Tells the observers that an attempt failed.
    fn tell<E>(
        &self,
        stop: &StopOf<B, E>,
        mark: &mut <E::Trace as Tracer>::Mark,
        tab: &<E::Budget as Meter>::Tab,
        at: Place,
        cx: Cx<'_, E>,
        local: &mut Local<'_, E>,
    ) where
        B: Node,
        E: Env<Trace: Record<B::In, B::Out, B::Error>, Detail: Explain<B::Error, E>>,
        K: Role,
    {
        let class = E::Detail::class(stop);
        let told;
        let why = match stop {
            Stop::Error(error, _) => Reason::Error(error),
            Stop::Halt(halt) => {
                told = E::Detail::told(halt, &local.run);
                Reason::Halt(&told)
            }
        };
        let ended = Self::ended::<E>(at, Self::moment(cx), tab, &local.run);
        Record::<B::In, B::Out, B::Error>::failed(cx.env.trace(), &mut local.log, ended, mark, class, why);
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
        let now = Self::moment(cx);
        if let Some(over) = self.before(at, now, local) {
            return Poll::Ready(Phase::Refused(over));
        }
        let (mark, body) = match (self.body.resumable(at, local), R::input(kept)) {
            (Some(proof), _) => {
                let mark = self.begun(None, at, visit, now, cx, local);
                let body = Self::within(&mark, cx, || self.body.resume(proof, at, cx, local));
                (mark, body)
            }
            (None, Some(input)) => {
                let mark = self.begun(Some(&input), at, visit, now, cx, local);
                let body = Self::within(&mark, cx, || self.body.start(input, at, cx, local));
                (mark, body)
            }
            (None, None) => return Poll::Pending,
        };
        Poll::Ready(Phase::Try { body, timer: Alarm::Off, mark, tab: Self::tab(at, local) })
    }
}
