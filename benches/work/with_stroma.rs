//! The work with stroma.

use std::{hint::black_box, time::Duration};

use stroma::{
    Backoff, Budget, PolicyMap, RingTrace, RunId, Runner, Slot, TokioClock, Usd, node, par,
    parts::Never,
    store::{Access, Begun, Encode, MemoryStore, Session, Store, StoreError},
};

use super::{Payload, Tally, Ticks, block_on, repeat, step, timers};

macro_rules! seq8 {
    ($p:ty $(, $layer:ident($($arg:expr),*))*) => {
        node("n1", step::<$p>)$(.$layer($($arg),*))*
            .then(node("n2", step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n3", step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n4", step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n5", step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n6", step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n7", step::<$p>)$(.$layer($($arg),*))*)
            .then(node("n8", step::<$p>)$(.$layer($($arg),*))*)
    };
}

/// Eight nodes, nothing on.
#[inline(never)]
pub(crate) fn seq8<P: Payload>(n: u64) -> u64 {
    let runner = Runner::new(seq8!(P)).build().unwrap();
    repeat(n, |input: P| block_on(runner.run(input)).unwrap())
}

/// The policy of the group with retries.
pub(crate) const POLICY: PolicyMap =
    PolicyMap::never().recoverable(RETRIES, Backoff::none()).ambiguous(RETRIES, Backoff::none());
/// Its number of retries.
pub(crate) const RETRIES: u32 = 3;
/// The time-out of the group with time-outs.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Eight nodes with a retry and a time-out on each, neither of which happens.
#[inline(never)]
pub(crate) fn seq8_retry_timeout<P: Payload>(n: u64) -> u64 {
    let timers = timers();
    let _entered = timers.enter();
    let runner = Runner::new(seq8!(P, retry(black_box(POLICY)), timeout(black_box(LIMIT))))
        .with_clock(TokioClock)
        .build()
        .unwrap();
    repeat(n, |input: P| block_on(runner.run_as(RunId::from_u128(1), input)).unwrap().output)
}

/// Two branches.
#[inline(never)]
pub(crate) fn par2<P: Payload>(n: u64) -> u64 {
    let runner = Runner::new(par(node("left", step::<P>), node("right", step::<P>)).map(|(left, _right)| left));
    let runner = runner.build().unwrap();
    repeat(n, |input: P| block_on(runner.run(input)).unwrap())
}

/// The room of the group with a trace.
pub(crate) const EVENTS: usize = 8;

/// Eight nodes, each attempt written into a ring that is given back.
#[inline(never)]
pub(crate) fn seq8_trace<P: Payload>(n: u64) -> u64 {
    let runner =
        Runner::new(seq8!(P)).with_clock(Ticks::default()).with_trace(RingTrace::<EVENTS>::new()).build().unwrap();
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        let done = block_on(runner.run_as(RunId::from_u128(id), input)).unwrap();
        black_box((&done.report, &done.trace));
        done.output
    })
}

/// The store of the groups with checkpoints.
pub(crate) type Memory<const SLOT: usize> = MemoryStore<1, 9, SLOT>;

/// Eight nodes, each checkpointed in memory, and the input.
#[inline(never)]
pub(crate) fn seq8_memory<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    let runner = Runner::new(seq8!(P)).with_store(Memory::<SLOT>::new()).build().unwrap();
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        block_on(runner.run_as(RunId::from_u128(id), input)).unwrap().output
    })
}

/// The limits of the group with everything on, which are not reached.
pub(crate) const TOKENS: u64 = 1_000_000;
/// The limit of money.
pub(crate) const COST: Usd = Usd::dollars(10);

/// Eight nodes with everything on: retry, time-out, budget, three hooks, trace, and checkpoints in memory.
#[inline(never)]
pub(crate) fn seq8_full<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    let timers = timers();
    let _entered = timers.enter();
    let (first, second, third) = (Tally::default(), Tally::default(), Tally::default());
    let runner = Runner::new(seq8!(P, retry(black_box(POLICY)), timeout(black_box(LIMIT))))
        .with_clock(Ticks::default())
        .with_budget(black_box(Budget::unlimited().tokens(TOKENS).cost(COST)))
        .with_hooks((&first, &second, &third))
        .with_trace(RingTrace::<EVENTS>::new())
        .with_store(Memory::<SLOT>::new())
        .build()
        .unwrap();
    let mut id = 0;
    let sum = repeat(n, |input: P| {
        id += 1;
        let done = block_on(runner.run_as(RunId::from_u128(id), input)).unwrap();
        black_box((&done.report, &done.trace));
        done.output
    });
    black_box((&first, &second, &third));
    sum
}

/// A store that does not keep the output of the last node, so that a run can be gone on with at that node again and again.
struct Forgetful<const SLOT: usize>(Memory<SLOT>);

impl<const SLOT: usize> Store for Forgetful<SLOT> {
    type Session<'a> = ForgetfulSession<<Memory<SLOT> as Store>::Session<'a>>;
    type Opening<'a> = Never<Result<Self::Session<'a>, StoreError>>;
    type Forgetting<'a> = <Memory<SLOT> as Store>::Forgetting<'a>;

    #[inline]
    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        match self.0.open(run, access) {
            Begun::Done(opened) => Begun::Done(opened.map(ForgetfulSession)),
            Begun::Pending(never) => never.absurd(),
        }
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.0.forget(run)
    }
}

struct ForgetfulSession<S>(S);

impl<S: Session> Session for ForgetfulSession<S> {
    type Writing = S::Writing;
    type Reading = S::Reading;
    type Bytes = S::Bytes;

    #[inline(always)]
    fn is_new(&self) -> bool {
        self.0.is_new()
    }

    #[inline(always)]
    fn holds(&self, slot: Slot<'_>) -> bool {
        self.0.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.0.each_slot(visit);
    }

    fn outputs(&self) -> usize {
        self.0.outputs()
    }

    #[inline(always)]
    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        if slot.index == 8 { Begun::Done(Ok(())) } else { self.0.put(slot, value, ledger) }
    }

    #[inline(always)]
    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        self.0.load(slot, read)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        self.0.put_ledger(ledger)
    }

    fn ledger(&self) -> &[u8] {
        self.0.ledger()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        self.0.discard(doomed)
    }
}

/// A run of eight nodes of which seven are checkpointed, gone on with at the last.
#[inline(never)]
pub(crate) fn resume_last<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    let runner = Runner::new(seq8!(P)).with_store(Forgetful(Memory::<SLOT>::new())).build().unwrap();
    let id = RunId::from_u128(1);
    block_on(runner.run_as(id, P::of(0))).unwrap();
    repeat(n, |_: P| block_on(runner.resume(id)).unwrap().output)
}
