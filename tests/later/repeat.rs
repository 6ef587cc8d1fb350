//! A loop.

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) enum Turn<Again, Out> {
    Again(Again),
    Break(Out),
}

/// What the body of a loop yields.
pub(crate) trait Turns<Again> {
    type Out;
    fn turn(self) -> Turn<Again, Self::Out>;
}

impl<Again, Out> Turns<Again> for Turn<Again, Out> {
    type Out = Out;

    fn turn(self) -> Self {
        self
    }
}

/// Runs `N` until it says that it is enough.
pub(crate) struct Loop<N> {
    pub(crate) body: N,
}

impl<N: Node<Out: Turns<N::In>>> Node for Loop<N> {
    type In = N::In;
    type Out = <N::Out as Turns<N::In>>::Out;
    type Error = N::Error;

    const NODES: u16 = N::NODES;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(walk);
    }
}

pub(crate) struct LoopState<S> {
    pub(crate) iteration: u32,
    pub(crate) body: Pin<Box<S>>,
}

impl<N: Exec<E> + Node<Out: Turns<N::In>>, E: Env> Exec<E> for Loop<N> {
    type State<'a>
        = LoopState<N::State<'a>>
    where
        Self: 'a,
        E: 'a;

    type Proof = (u32, N::Proof);

    fn resumable(&self, at: Place, local: &Local<'_, E>) -> Option<Self::Proof> {
        // The last iteration of which something is there: what was before it, it does not need.
        (1..).map_while(|iteration| Some((iteration, self.body.resumable(at.with_instance(iteration), local)?))).last()
    }

    fn start<'a>(&'a self, input: N::In, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        LoopState { iteration: 1, body: Box::pin(self.body.start(input, at.with_instance(1), cx, local)) }
    }

    fn resume<'a>(
        &'a self,
        (iteration, proof): Self::Proof,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Self::State<'a> {
        LoopState { iteration, body: Box::pin(self.body.resume(proof, at.with_instance(iteration), cx, local)) }
    }

    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Self::Out, StopOf<Self, E>>> {
        loop {
            let here = at.with_instance(state.iteration);
            match self.body.poll(state.body.as_mut(), here, cx, local, task) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(stop)) => return Poll::Ready(Err(stop)),
                Poll::Ready(Ok(out)) => match out.turn() {
                    Turn::Break(out) => return Poll::Ready(Ok(out)),
                    Turn::Again(input) => {
                        state.iteration += 1;
                        let next = at.with_instance(state.iteration);
                        state.body = Box::pin(self.body.start(input, next, cx, local));
                    }
                },
            }
        }
    }

    fn drain<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        let at = at.with_instance(state.iteration);
        self.body.drain(state.body.as_mut(), at, cx, local, task)
    }
}

pub(crate) fn repeat<P: Piece>(body: P) -> Alone<Loop<P::Node>>
where
    P::Node: Node<Out: Turns<<P::Node as Node>::In>>,
{
    Pipeline::custom(Loop { body: body.into_piece() })
}
