//! The capabilities of a runner, as one type.

use crate::{
    clock::{NoClock, Now},
    exec::{Bare, Detail, Env, Stops},
    failure::ByFailure,
    layer::NoRetry,
    meter::{Meter, NoBudget},
    observe::{Both, NoTrace, Tracer},
    store::{Durability, NoStore},
};

/// What a runner can do: store `S`, policy `P`, clock `K`, context `X`, classifier `L`, trace `T`, what is known of a run, `D`,
/// who else sees it, `H`, and its account, `B`. Nothing is switched on by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caps<
    S = NoStore,
    P = NoRetry,
    K = NoClock,
    X = NoContext,
    L = ByFailure,
    T = NoTrace,
    D = Bare,
    H = NoTrace,
    B = NoBudget,
> {
    pub(crate) store: S,
    pub(crate) policy: P,
    pub(crate) clock: K,
    pub(crate) context: X,
    pub(crate) classifier: L,
    pub(crate) trace: Both<T, H>,
    pub(crate) detail: D,
    pub(crate) budget: B,
}

/// The context of a runner that was given none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContext;

/// The environment of [`Runner::quick`](crate::Runner::quick), with a context of type `X` and a store `S`: the name to give in
/// signatures.
#[cfg(feature = "tokio")]
pub type Quick<X = NoContext, S = crate::store::HeapStore> = Caps<
    crate::store::Durable<S>,
    crate::policy::PolicyMap,
    crate::clock::TokioClock,
    X,
    ByFailure,
    crate::observe::ListTrace,
    crate::exec::Full,
    NoTrace,
    crate::meter::Metering,
>;

impl<S, P, K, X, L, T, D, H, B> Env for Caps<S, P, K, X, L, T, D, H, B>
where
    S: Durability,
    K: Now,
    T: Tracer,
    H: Tracer,
    D: Detail + Stops<S::Fault> + Stops<B::Over>,
    B: Meter,
{
    type Store = S;
    type Policy = P;
    type Classifier = L;
    type Clock = K;
    type Trace = Both<T, H>;
    type Context = X;
    type Detail = D;
    type Budget = B;

    #[inline(always)]
    fn store(&self) -> &S {
        &self.store
    }

    #[inline(always)]
    fn policy(&self) -> &P {
        &self.policy
    }

    #[inline(always)]
    fn classifier(&self) -> &L {
        &self.classifier
    }

    #[inline(always)]
    fn clock(&self) -> &K {
        &self.clock
    }

    #[inline(always)]
    fn context(&self) -> &X {
        &self.context
    }

    #[inline(always)]
    fn trace(&self) -> &Both<T, H> {
        &self.trace
    }

    #[inline(always)]
    fn budget(&self) -> &B {
        &self.budget
    }
}
