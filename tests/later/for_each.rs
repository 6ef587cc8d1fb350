//! A fan-out.

use super::*;

/// Runs `N` on each element, one after the other or all together, and yields what they yield in the same order.
pub(crate) struct ForEach<N> {
    pub(crate) body: N,
    pub(crate) together: bool,
}

impl<N: Node> Node for ForEach<N> {
    type In = Vec<N::In>;
    type Out = Vec<N::Out>;
    type Error = N::Error;

    const NODES: u16 = N::NODES;

    fn walk<W: Walk>(&self, walk: &mut W) {
        self.body.walk(walk);
    }
}

pub(crate) enum Element<In, S, Out> {
    Waits(Option<In>),
    Goes(Pin<Box<S>>),
    Done(Option<Out>),
}

pub(crate) struct ForEachState<In, S, Out, Stop> {
    pub(crate) elements: Vec<Element<In, S, Out>>,
    pub(crate) failed: Option<Stop>,
}

impl<In, S, Out, Stop> Unpin for ForEachState<In, S, Out, Stop> {}

impl<N> ForEach<N> {
    pub(crate) fn begin<'a, E: Env>(
        &'a self,
        input: N::In,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
    ) -> Element<N::In, N::State<'a>, N::Out>
    where
        N: Exec<E>,
    {
        Element::Goes(Box::pin(match self.body.resumable(at, local) {
            Some(proof) => self.body.resume(proof, at, cx, local),
            None => self.body.start(input, at, cx, local),
        }))
    }
}

pub(crate) fn element(at: Place, index: usize) -> Place {
    at.with_instance(u32::try_from(index).unwrap() + 1)
}

impl<N: Exec<E>, E: Env> Exec<E> for ForEach<N> {
    type State<'a>
        = ForEachState<N::In, N::State<'a>, N::Out, StopOf<N, E>>
    where
        Self: 'a,
        E: 'a;

    /// How many elements there are is known from the input alone, which whatever comes before has kept.
    type Proof = Infallible;

    fn resumable(&self, _: Place, _: &Local<'_, E>) -> Option<Infallible> {
        None
    }

    fn start<'a>(&'a self, input: Vec<N::In>, at: Place, cx: Cx<'a, E>, local: &mut Local<'a, E>) -> Self::State<'a> {
        let elements = input.into_iter().enumerate().map(|(index, input)| {
            if self.together { self.begin(input, element(at, index), cx, local) } else { Element::Waits(Some(input)) }
        });
        ForEachState { elements: elements.collect(), failed: None }
    }

    fn resume<'a>(&'a self, proof: Infallible, _: Place, _: Cx<'a, E>, _: &mut Local<'a, E>) -> Self::State<'a> {
        match proof {}
    }

    fn poll<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Vec<N::Out>, StopOf<Self, E>>> {
        if state.failed.is_none() {
            let mut all = true;
            for index in 0..state.elements.len() {
                let at = element(at, index);
                if let Element::Waits(input) = &mut state.elements[index] {
                    let input = input.take().unwrap();
                    state.elements[index] = self.begin(input, at, cx, local);
                }
                let Element::Goes(going) = &mut state.elements[index] else { continue };
                match self.body.poll(going.as_mut(), at, cx, local, task) {
                    Poll::Ready(Ok(out)) => state.elements[index] = Element::Done(Some(out)),
                    Poll::Ready(Err(stop)) => {
                        state.elements[index] = Element::Done(None);
                        state.failed = Some(stop);
                        break;
                    }
                    Poll::Pending => all = false,
                }
                if !self.together && !all {
                    break;
                }
            }
            if state.failed.is_none() {
                if !all {
                    return Poll::Pending;
                }
                let outs = state.elements.iter_mut().map(|element| match element {
                    Element::Done(out) => out.take().unwrap(),
                    _ => unreachable!("all are done"),
                });
                return Poll::Ready(Ok(outs.collect()));
            }
        }
        self.drain(state.as_mut(), at, cx, local, task).map(|stop| Err(stop.unwrap()))
    }

    fn drain<'a>(
        &'a self,
        mut state: Pin<&mut Self::State<'a>>,
        at: Place,
        cx: Cx<'a, E>,
        local: &mut Local<'a, E>,
        task: &mut Context<'_>,
    ) -> Poll<Option<StopOf<Self, E>>> {
        let ForEachState { elements, failed } = &mut *state;
        let mut all = true;
        for (index, one) in elements.iter_mut().enumerate() {
            if let Element::Goes(going) = one {
                match self.body.drain(going.as_mut(), element(at, index), cx, local, task) {
                    Poll::Ready(stop) => {
                        *one = Element::Done(None);
                        *failed = failed.take().or(stop);
                    }
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(failed.take()) } else { Poll::Pending }
    }
}

pub(crate) type Alone<N> = Pipeline<One<N, Nil>, <N as Node>::In, <N as Node>::Out, <N as Node>::Error>;

pub(crate) fn for_each<P: Piece>(body: P, together: bool) -> Alone<ForEach<P::Node>> {
    Pipeline::custom(ForEach { body: body.into_piece(), together })
}
