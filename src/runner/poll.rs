//! The one future of a run.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    outcome::{Last, Outcomes},
    phase::{Phase, PhaseOf, PhaseProj},
    prepare::Trouble,
    run::{Run, Runner},
};
use crate::{
    exec::{Cx, Detail, Env, Exec, Local, Node, Stop, StopOf, Stops},
    meter::Meter,
    observe::{Stopped, Tracer},
    report::Report,
    slot::Place,
    store::{Begun, Durability, Hold, Persist},
};

/// How a run ends in `E`.
pub(super) type EndedOf<N, E> = <<E as Env>::Detail as Outcomes<
    <N as Node>::Out,
    <N as Node>::Error,
    <<E as Env>::Trace as Tracer>::Finished,
>>::Ended;

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
}
