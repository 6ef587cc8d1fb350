//! The capabilities of a runner, as one type.

use crate::{
    clock::{NoClock, Now},
    exec::{Bare, Detail, Env, Stops},
    failure::ByFailure,
    layer::NoRetry,
    observe::{Both, NoTrace, Tracer},
    store::{Durability, NoStore},
};

/// What a runner can do: store `S`, policy `P`, clock `K`, context `X`, classifier `L`, trace `T`, what is known of a run, `D`,
/// and who else sees it, `H`. Nothing is switched on by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caps<S = NoStore, P = NoRetry, K = NoClock, X = NoContext, L = ByFailure, T = NoTrace, D = Bare, H = NoTrace>
{
    pub(crate) store: S,
    pub(crate) policy: P,
    pub(crate) clock: K,
    pub(crate) context: X,
    pub(crate) classifier: L,
    pub(crate) trace: Both<T, H>,
    pub(crate) detail: D,
}

/// The context of a runner that was given none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContext;

/// The environment of [`Runner::quick`](crate::Runner::quick), with a context of type `X`: the name to give in signatures.
#[cfg(feature = "tokio")]
pub type Quick<X = NoContext> = Caps<
    crate::store::Durable<crate::store::HeapStore>,
    crate::policy::PolicyMap,
    crate::clock::TokioClock,
    X,
    ByFailure,
    crate::observe::ListTrace,
    crate::exec::Full,
>;

impl<S, P, K, X, L, T, D, H> Env for Caps<S, P, K, X, L, T, D, H>
where
    S: Durability,
    K: Now,
    T: Tracer,
    H: Tracer,
    D: Detail + Stops<S::Fault>,
{
    type Store = S;
    type Policy = P;
    type Classifier = L;
    type Clock = K;
    type Trace = Both<T, H>;
    type Context = X;
    type Detail = D;

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
}
