//! Two nodes side by side, on one task.

use core::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::mode::{Chained, Fast, Joins, ParMode, Settle, Settleable};
use crate::{
    exec::{Cx, Detail, Env, Exec, Layer, Local, Node, NodeInfo, Stop, StopOf, Walk, graver},
    slot::Place,
    store::Hold,
};

/// `A` and `B` with the same input, concurrently and on one task; it yields the pair of what they yield.
///
/// Both are polled whenever the task is woken, `A` first. When one fails, the other is dropped at once: see [`Fast`], and
/// [`settle`](crate::Pipeline::settle) for the alternative.
///
/// # Cancel safety
/// A branch whose output is being saved when the other fails is saved first.
#[derive(Debug, Clone, Copy)]
pub struct Par<A, B, M = Fast> {
    pub(crate) left: A,
    pub(crate) right: B,
    pub(crate) mode: PhantomData<M>,
}

impl<A, B, M> Par<A, B, M> {
    pub(crate) const fn new(left: A, right: B) -> Self {
        Self { left, right, mode: PhantomData }
    }
}

impl<A, B> Settleable for Par<A, B, Fast> {
    type Settled = Par<A, B, Settle>;

    fn settle(self) -> Self::Settled {
        Par::new(self.left, self.right)
    }
}

impl<A, B: Settleable> Settleable for Par<A, B, Chained<Fast>> {
    type Settled = Par<A, B::Settled, Chained<Settle>>;

    fn settle(self) -> Self::Settled {
        Par::new(self.left, self.right.settle())
    }
}

/// A value that several branches can be given.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be given to several branches: `par` needs `Clone`",
    label = "each branch but the last gets a copy of the input",
    note = "`#[derive(Clone)]` on `{Self}`, or an `Arc` around it, which is cheap to copy"
)]
pub trait Forkable: Clone {}

#[diagnostic::do_not_recommend]
impl<T: Clone> Forkable for T {}

impl<A, B, M> Node for Par<A, B, M>
where
    A: Node,
    B: Node<In = A::In, Error = A::Error>,
    M: Joins,
{
    type In = A::In;
    type Out = (A::Out, B::Out);
    type Error = A::Error;

    const NODES: u16 = A::NODES.saturating_add(B::NODES);
    const SKIPPED: u16 = A::SKIPPED.saturating_add(B::SKIPPED);

    fn walk<W: Walk>(&self, walk: &mut W) {
        walk.fork();
        self.left.walk(walk);
        walk.branch();
        if M::CHAINED {
            self.right.walk(&mut Flattened { walk, depth: 0 });
        } else {
            self.right.walk(walk);
        }
        walk.join();
    }
}

/// A walk through the rest of a `par!`, whose branches are shown as branches of the whole.
struct Flattened<'w, W> {
    walk: &'w mut W,
    depth: u16,
}

impl<W: Walk> Walk for Flattened<'_, W> {
    fn node(&mut self, node: NodeInfo) {
        self.walk.node(node);
    }

    fn fork(&mut self) {
        if self.depth != 0 {
            self.walk.fork();
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn branch(&mut self) {
        self.walk.branch();
    }

    fn enter(&mut self, layer: &Layer<'_>) {
        self.walk.enter(layer);
    }

    fn leave(&mut self) {
        self.walk.leave();
    }

    fn join(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth != 0 {
            self.walk.join();
        }
    }
}

/// Where the branches of a [`Par`] are.
#[pin_project(project = StateProj)]
#[derive(Debug)]
pub struct ParState<A, AOut, B, BOut, H> {
    #[pin]
    left: Branch<A, AOut>,
    #[pin]
    right: Branch<B, BOut>,
    failed: H,
}

/// A branch, what it yielded, or nothing any more.
#[pin_project(project = BranchProj, project_replace = BranchOwned)]
#[derive(Debug)]
pub(super) enum Branch<S, T> {
    /// It goes on.
    Going(#[pin] S),
    /// It yielded.
    Done(T),
    /// It failed, was dropped, or what it yielded was taken.
    Gone,
}

impl<S, T> Branch<S, T> {
    #[inline(always)]
    fn take(self: Pin<&mut Self>) -> Option<T> {
        match self.project_replace(Self::Gone) {
            BranchOwned::Done(out) => Some(out),
            _ => None,
        }
    }
}

impl<A, B, M, E> Exec<E> for Par<A, B, M>
where
    E: Env,
    A: Exec<E>,
    A::In: Forkable,
    B: Exec<E> + Node<In = A::In, Error = A::Error>,
    M: ParMode<E> + Joins,
{
    type State<'a>
        = ParState<A::State<'a>, A::Out, B::State<'a>, B::Out, M::Hold<KeptFailure<StopOf<A, E>>>>
    where
        Self: 'a,
        E: 'a;

    type Proof = (A::Proof, B::Proof);

    #[inline(always)]
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        let left = self.left.resumable(at, local)?;
        let right = self.right.resumable(at.skip(A::NODES), local)?;
        Some((left, right))
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: A::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let next = at.skip(A::NODES);
        // A branch that can go on needs no input; after a crash the other may have to begin.
        let left = match self.left.resumable(at, local) {
            Some(proof) => self.left.resume(proof, at, cx, local),
            None => self.left.start(input.clone(), at, cx, local),
        };
        let right = match self.right.resumable(next, local) {
            Some(proof) => self.right.resume(proof, next, cx, local),
            None => self.right.start(input, next, cx, local),
        };
        ParState { left: Branch::Going(left), right: Branch::Going(right), failed: M::Hold::default() }
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: Self::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let left = self.left.resume(proof.0, at, cx, local);
        let right = self.right.resume(proof.1, at.skip(A::NODES), cx, local);
        ParState { left: Branch::Going(left), right: Branch::Going(right), failed: M::Hold::default() }
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Self::Out, StopOf<A, E>>> {
        let StateProj { mut left, mut right, failed } = state.as_mut().project();
        if !M::SETTLE && failed.is_held() {
            return self.fail(state, None, at, cx, local, task);
        }
        if let BranchProj::Going(going) = left.as_mut().project() {
            match self.left.poll(going, at, cx, local, task) {
                Poll::Ready(Ok(out)) => left.set(Branch::Done(out)),
                Poll::Ready(Err(stop)) => {
                    left.set(Branch::Gone);
                    if !M::SETTLE {
                        return self.fail(state, Some(stop), at, cx, local, task);
                    }
                    // Of more than two branches, the rest may have failed before this one did.
                    let second = M::CHAINED && matches!(&*right, Branch::Going(rest) if B::has_failed(rest));
                    keep_graver(failed, KeptFailure { stop, second });
                }
                Poll::Pending => {}
            }
        }
        if let BranchProj::Going(going) = right.as_mut().project() {
            match self.right.poll(going, at.skip(A::NODES), cx, local, task) {
                Poll::Ready(Ok(out)) => right.set(Branch::Done(out)),
                Poll::Ready(Err(stop)) => {
                    right.set(Branch::Gone);
                    if !M::SETTLE {
                        return self.fail(state, Some(stop), at, cx, local, task);
                    }
                    keep_graver(failed, KeptFailure { stop, second: false });
                }
                Poll::Pending => {}
            }
        }
        if matches!(*left, Branch::Going(_)) || matches!(*right, Branch::Going(_)) {
            return Poll::Pending;
        }
        if M::SETTLE
            && let Some(failed) = failed.take()
        {
            return Poll::Ready(Err(failed.stop));
        }
        match (left.take(), right.take()) {
            (Some(left), Some(right)) => Poll::Ready(Ok((left, right))),
            _ => Poll::Pending,
        }
    }

    fn has_failed<'a>(state: &Self::State<'a>) -> bool
    where
        Self: 'a,
        E: 'a,
    {
        state.failed.is_held() || (M::CHAINED && matches!(&state.right, Branch::Going(rest) if B::has_failed(rest)))
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
        let StateProj { mut left, mut right, failed } = state.project();
        let mut stop = failed.take().map(|failed| failed.stop);
        if let BranchProj::Going(going) = left.as_mut().project()
            && let Poll::Ready(drained) = self.left.drain(going, at, cx, local, task)
        {
            left.set(Branch::Gone);
            stop = graver(stop, drained);
        }
        if let BranchProj::Going(going) = right.as_mut().project()
            && let Poll::Ready(drained) = self.right.drain(going, at.skip(A::NODES), cx, local, task)
        {
            right.set(Branch::Gone);
            stop = graver(stop, drained);
        }
        if matches!(*left, Branch::Going(_)) || matches!(*right, Branch::Going(_)) {
            if let Some(stop) = stop {
                keep_graver(failed, KeptFailure { stop, second: false });
            }
            return Poll::Pending;
        }
        Poll::Ready(stop)
    }
}

/// A failure that is kept while another branch goes on.
#[derive(Debug)]
pub struct KeptFailure<S> {
    stop: S,
    /// Whether the other branch, or one of the others, had failed before.
    second: bool,
}

/// Keeps the graver failure and, where they are equal, the one that came first.
#[cold]
fn keep_graver<Er, D: Detail>(held: &mut impl Hold<KeptFailure<Stop<Er, D>>>, new: KeptFailure<Stop<Er, D>>) {
    let kept = match held.take() {
        Some(old) => {
            let (old_grave, new_grave) = (D::is_grave(&old.stop), D::is_grave(&new.stop));
            let newer = if old_grave == new_grave { old.second } else { new_grave };
            if newer { new } else { old }
        }
        None => new,
    };
    // There is room wherever anything can be waited for.
    drop(held.keep(kept));
}

impl<A, B, M> Par<A, B, M> {
    /// Ends with a failure, once nothing of the other branch is being saved any more.
    #[cold]
    fn fail<'a, E>(
        &'a self,
        mut state: Pin<&mut <Self as Exec<E>>::State<'a>>,
        stop: Option<StopOf<A, E>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<(A::Out, B::Out), StopOf<A, E>>>
    where
        E: Env,
        A: Exec<E>,
        A::In: Forkable,
        B: Exec<E> + Node<In = A::In, Error = A::Error>,
        M: ParMode<E> + Joins,
    {
        let drained = self.drain(state.as_mut(), at, cx, local, task);
        match (drained, stop) {
            (Poll::Ready(drained), stop) => match graver(stop, drained) {
                Some(stop) => Poll::Ready(Err(stop)),
                None => Poll::Pending,
            },
            (Poll::Pending, Some(stop)) => {
                // Before whatever draining found, which came after it.
                let failed = state.project().failed;
                let found = failed.take().map(|found| found.stop);
                if let Some(stop) = graver(Some(stop), found) {
                    keep_graver(failed, KeptFailure { stop, second: false });
                }
                Poll::Pending
            }
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}
