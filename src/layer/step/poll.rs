//! How a step goes on.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    Policy, Step,
    state::{Phase, PhaseOf, PhaseProj, StateProj, StepProof, StepState},
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Explain, Local, Stop, StopOf, Stops},
    layer::{
        checkpoint::{Keep, Role},
        retry::Retries,
        timeout::{Alarm, Limit},
    },
    meter::Meter,
    observe::{Record, Tracer},
    slot::Place,
    store::{Begun, Durability},
};

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
        let at = self.place_inside(at).with_attempt(1);
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
        let (visit, phase) = match self.refusal(at, now, local) {
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
        let at = self.place_inside(at).with_attempt(1);
        let kept = self.policy.retry.keep_nothing(cx);
        let (visit, phase) = match proof {
            StepProof::Output(proof) => (Default::default(), Phase::Load(K::load(proof, self.key, at, local))),
            StepProof::Body(proof) => {
                let now = Self::moment(cx);
                match self.refusal(at, now, local) {
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
        let at = self.place_inside(at).with_attempt(R::attempt(*tally));
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
        let at = self.place_inside(at);
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
                            let again =
                                ready!(self.begin_again(kept, visit, at.with_attempt(R::attempt(*tally)), cx, local));
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
                    let again = ready!(self.begin_again(kept, visit, at.with_attempt(R::attempt(*tally)), cx, local));
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
}
