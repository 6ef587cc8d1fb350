//! What is done around an attempt: who is told of it, what it is paid with, and what comes of it.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    Policy, Step,
    state::{Phase, PhaseOf},
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Explain, Local, Node, Stop, StopOf, Stops},
    layer::{
        checkpoint::{FaultOf, Keep, Role},
        retry::Retries,
        timeout::{Alarm, AlarmProj, Limit},
    },
    meter::Meter,
    observe::{Attempt, Ended, Reason, Record, Tracer},
    slot::Place,
    store::{Begun, Durability},
};

impl<B, R, T, K> Step<B, Policy<R, T, K>> {
    /// The place as the body sees it.
    #[inline(always)]
    pub(super) fn place_inside(&self, at: Place) -> Place
    where
        K: Role,
    {
        if K::NODES == 0 { at } else { at.with_id(self.id, self.key) }
    }

    /// Tells the observers that the node is come to; a layer has nothing to tell.
    #[inline(always)]
    pub(super) fn visit<E: Env>(
        &self,
        at: Place,
        cx: Cx<'_, E>,
        local: &mut Local<'_, E>,
    ) -> <E::Trace as Tracer>::Visit
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
    pub(super) fn begun<E>(
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
    pub(super) fn moment<E: Env>(cx: Cx<'_, E>) -> Duration
    where
        K: Role,
    {
        if K::NODES == 0 { Duration::ZERO } else { cx.moment() }
    }

    /// Goes on with an attempt; the observers that have to be around it are.
    #[inline(always)]
    pub(super) fn within<E: Env, Done>(
        mark: &<E::Trace as Tracer>::Mark,
        cx: Cx<'_, E>,
        poll: impl FnOnce() -> Done,
    ) -> Done
    where
        K: Role,
    {
        if K::NODES == 0 || !<E::Trace as Tracer>::ENABLED { poll() } else { cx.env.trace().within(mark, poll) }
    }

    /// What the observers are told of the end of any attempt.
    #[inline(always)]
    pub(super) fn ended<'l, E: Env>(
        at: Place,
        now: Duration,
        tab: &<E::Budget as Meter>::Tab,
        run: &'l <E::Detail as Detail>::Run,
    ) -> Ended<'l> {
        Ended::new(Attempt::new(E::Detail::id(run), at), now, E::Budget::tab(tab))
    }

    /// The tab of an attempt that begins: its function may have spent something before its future is polled.
    #[inline(always)]
    pub(super) fn tab<E: Env>(at: Place, local: &mut Local<'_, E>) -> <E::Budget as Meter>::Tab
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
    pub(super) fn refusal<E: Env>(
        &self,
        at: Place,
        now: Duration,
        local: &mut Local<'_, E>,
    ) -> Option<<E::Budget as Meter>::Over>
    where
        K: Role,
    {
        if K::NODES == 0 { None } else { E::Budget::before(&mut local.book, at.scope, now) }
    }

    /// Saves the output, and what was spent with it.
    #[inline(always)]
    pub(super) fn save<'a, E>(
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
    pub(super) fn paid<E: Env>(
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
    pub(super) fn overspent<E: Env>(
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
    pub(super) fn poll_timer<'a, E>(
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
    pub(super) fn failed<'a, E>(
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
    pub(super) fn tell<E>(
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
    pub(super) fn begin_again<'a, E>(
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
        if let Some(over) = self.refusal(at, now, local) {
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
