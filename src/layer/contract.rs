//! Checks of what goes in and of what comes out.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use crate::{
    contract::{Check, ContractViolation, Direction, Violation},
    exec::{Cx, Detail, Env, Exec, Full, Halt, Layer, Local, Node, NodeInfo, Stop, StopOf, Walk, Why, ends},
    said::Said,
    slot::Place,
};

/// An environment whose runs can say which contract was broken.
#[diagnostic::on_unimplemented(
    message = "a check of a value needs a runner that reports, and this one does not",
    label = "no report in this runner to name the broken contract",
    note = "`Runner::new(..)` yields the node's bare error, and a broken contract is none; `.with_report()` makes it `Completed` \
            or `Halted`, as every store, clock or trace does"
)]
pub trait Checking: Env<Detail = Full> {}

#[diagnostic::do_not_recommend]
impl<E: Env<Detail = Full>> Checking for E {}

/// A body whose input is checked before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Require<B, F> {
    pub(crate) body: B,
    pub(crate) check: F,
}

/// A body whose output is checked before anything is done with it.
///
/// What does not pass is dropped. It is terminal: no retry around it begins another attempt.
#[derive(Debug, Clone, Copy)]
pub struct Ensure<B, F> {
    pub(crate) body: B,
    pub(crate) check: F,
}

impl<B: Node, F> Node for Require<B, F> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES;
    const SKIPPED: u16 = B::SKIPPED;
    const REQUIRES: bool = true;
    const ENSURES: bool = B::ENSURES;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(&mut Marked { walk, at: 0, mark: 0, with: |node| node.required = true });
    }
}

impl<B: Node, F> Node for Ensure<B, F> {
    type In = B::In;
    type Out = B::Out;
    type Error = B::Error;

    const NODES: u16 = B::NODES;
    const SKIPPED: u16 = B::SKIPPED;
    const REQUIRES: bool = B::REQUIRES;
    const ENSURES: bool = true;

    fn walk<W: Walk>(&self, walk: &mut W) {
        let last = B::NODES.saturating_sub(1);
        self.body.walk(&mut Marked { walk, at: 0, mark: last, with: |node| node.ensured = true });
    }
}

/// A walk that says of one node that a check around the whole is its own.
struct Marked<'w, W> {
    walk: &'w mut W,
    at: u16,
    mark: u16,
    with: fn(&mut NodeInfo),
}

impl<W: Walk> Walk for Marked<'_, W> {
    fn node(&mut self, mut node: NodeInfo) {
        if self.at == self.mark {
            (self.with)(&mut node);
        }
        self.at = self.at.saturating_add(1);
        self.walk.node(node);
    }

    fn fork(&mut self) {
        self.walk.fork();
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
        self.walk.join();
    }
}

/// The stop of a contract that is broken. Around a function it is the node's; around other nodes that of the first one for the
/// input, and of the last one for the output.
fn stop<B: Node>(body: &B, direction: Direction, at: Place) -> Halt {
    let ends = ends(body);
    let (id, why) = match direction {
        Direction::Input => (ends.map(|(first, _)| first.id), Why::BrokenInput),
        Direction::Output => (ends.map(|(_, last)| last.id), Why::BrokenOutput),
    };
    let mut halt = Halt::new(why);
    Full::place(&mut halt, id.map_or(at, |id| at.with_id(id, id)));
    halt
}

/// Stops for a broken contract; the run keeps what is wrong.
#[cold]
#[inline(never)]
pub(crate) fn broken<B: Node, E: Checking>(
    body: &B,
    direction: Direction,
    violation: Violation,
    at: Place,
    local: &mut Local<'_, E>,
) -> Halt {
    let halt = stop(body, direction, at);
    local.run.said.add(halt.info.node, Said::Contract(ContractViolation::new(direction, violation)));
    halt
}

/// Where a [`Require`] is in its work.
#[pin_project(project = StateProj)]
#[derive(Debug)]
pub enum RequireState<S> {
    /// The input passed.
    Body(#[pin] S),
    /// It did not.
    Broken,
}

impl<B, F, E> Exec<E> for Require<B, F>
where
    B: Exec<E>,
    F: Check<B::In>,
    E: Checking,
{
    type State<'a>
        = RequireState<B::State<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = B::Proof;

    #[inline(always)]
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<B::Proof> {
        self.body.resumable(at, local)
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: B::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        if let Err(violation) = self.check.check(&input) {
            broken(&self.body, Direction::Input, violation, at, local);
            return RequireState::Broken;
        }
        RequireState::Body(self.body.start(input, at, cx, local))
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: B::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        RequireState::Body(self.body.resume(proof, at, cx, local))
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<B::Out, StopOf<B, E>>> {
        match state.project() {
            StateProj::Body(state) => self.body.poll(state, at, cx, local, task),
            StateProj::Broken => Poll::Ready(Err(Stop::Halt(stop(&self.body, Direction::Input, at)))),
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
        match state.project() {
            StateProj::Body(state) => self.body.drain(state, at, cx, local, task),
            // The input did not pass, however far the others came.
            StateProj::Broken => Poll::Ready(Some(Stop::Halt(stop(&self.body, Direction::Input, at)))),
        }
    }
}

impl<B, F, E> Exec<E> for Ensure<B, F>
where
    B: Exec<E>,
    F: Check<B::Out>,
    E: Checking,
{
    type State<'a>
        = B::State<'a>
    where
        Self: 'a,
        E: 'a;

    type Proof = B::Proof;

    #[inline(always)]
    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<B::Proof> {
        self.body.resumable(at, local)
    }

    #[inline(always)]
    fn start<'a>(&'a self, input: B::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        self.body.start(input, at, cx, local)
    }

    #[inline(always)]
    fn resume<'a>(&'a self, proof: B::Proof, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        self.body.resume(proof, at, cx, local)
    }

    #[inline(always)]
    fn poll<'a>(
        &'a self,
        state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<B::Out, StopOf<B, E>>> {
        let out = ready!(self.body.poll(state, at, cx, local, task))?;
        Poll::Ready(match self.check.check(&out) {
            Ok(()) => Ok(out),
            Err(violation) => Err(Stop::Halt(broken(&self.body, Direction::Output, violation, at, local))),
        })
    }

    #[inline(always)]
    fn has_failed<'a>(state: &Self::State<'a>) -> bool
    where
        Self: 'a,
        E: 'a,
    {
        B::has_failed(state)
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
        self.body.drain(state, at, cx, local, task)
    }
}
