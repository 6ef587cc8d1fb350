//! Whatever is generated (inputs, failures, waits, how slow the store is, and where the run is killed): the run that was
//! interrupted and resumed gives the result of the one that was not, and no checkpointed node runs again.
//!
//! A case is run once to its end; then once for every poll at which it can be killed; then with several kills in a row. What
//! happens is written down and compared with a plain sequential model.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "support/polling.rs"]
mod polling;
#[path = "support/slots.rs"]
mod slots;

use core::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};
use std::{collections::BTreeSet, rc::Rc};

use polling::{drive, poll_once, yield_once};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use slots::{Key, Raw, Seen, done, encoded, key};
use stroma::{
    Backoff, ByFailure, Caps, Cause, Exec, Failure, FailureClass, Full, ManualClock, NoTrace, NodeCx, PolicyMap, RunId,
    RunStatus, Runner, Sealed, Slot, ms, node_with, par,
    store::{Access, Begun, Durable, Encode, HeapStore, MemoryStore, Session, Store, StoreError, StoreErrorKind},
};

/// How many nodes a shape has at most.
const NODES: usize = 9;

// ---- What nodes do, and what is written down ----

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Succeeds,
    Fails(FailureClass),
}

/// What a node does when it is called: it waits some polls, then succeeds or fails.
#[derive(Debug, Clone, Copy)]
struct Call {
    yields: u8,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Started {
        node: usize,
        attempt: u32,
    },
    Effect {
        node: usize,
    },
    Failed {
        node: usize,
        class: FailureClass,
    },
    /// The store has it, whether the run knows it yet or not. `None` for the input.
    Committed {
        node: Option<usize>,
    },
    Discarded {
        node: usize,
    },
    Killed,
    Halted,
}

#[derive(Debug, Clone, Default)]
struct World(Rc<RefCell<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    calls: Vec<Vec<Call>>,
    /// How many calls of each node came to their end.
    ended: [usize; NODES],
    paces: Vec<Pace>,
    /// How many operations of the store there were.
    operations: usize,
    log: Vec<Entry>,
}

impl World {
    fn begin(&self, case: &Case) {
        *self.0.borrow_mut() = Inside { calls: case.calls.clone(), paces: case.paces.clone(), ..Inside::default() };
    }

    fn write(&self, entry: Entry) {
        self.0.borrow_mut().log.push(entry);
    }

    fn call(&self, node: usize) -> Call {
        let inside = self.0.borrow();
        call(&inside.calls, node, inside.ended[node])
    }

    fn pace(&self) -> Pace {
        let mut inside = self.0.borrow_mut();
        inside.operations += 1;
        let at = inside.operations % inside.paces.len();
        inside.paces[at]
    }

    /// The nodes whose output the store has by now, and whether it has the input.
    fn committed(&self) -> (BTreeSet<usize>, bool) {
        let mut nodes = BTreeSet::new();
        let mut input = false;
        for entry in &self.0.borrow().log {
            match *entry {
                Entry::Committed { node: Some(node) } => {
                    nodes.insert(node);
                }
                Entry::Committed { node: None } => input = true,
                Entry::Discarded { node } => {
                    nodes.remove(&node);
                }
                _ => {}
            }
        }
        (nodes, input)
    }
}

/// A call that comes to no end (the run was killed) is the same again the next time; after the last of a script all succeed.
fn call(calls: &[Vec<Call>], node: usize, ended: usize) -> Call {
    calls[node].get(ended).copied().unwrap_or(Call { yields: 0, outcome: Outcome::Succeeds })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fail {
    node: usize,
    class: FailureClass,
}

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        self.class
    }
}

fn number(id: &str) -> Option<usize> {
    id.strip_prefix('n').map(|number| number.parse().unwrap())
}

async fn work(x: u64, cx: NodeCx<'_, World>) -> Result<u64, Fail> {
    let node = number(cx.node()).unwrap();
    let world = cx.context();
    world.write(Entry::Started { node, attempt: cx.attempt() });
    let Call { yields, outcome } = world.call(node);
    for _ in 0..yields {
        yield_once().await;
    }
    world.0.borrow_mut().ended[node] += 1;
    match outcome {
        Outcome::Succeeds => {
            world.write(Entry::Effect { node });
            Ok(yielded_by(node, x))
        }
        Outcome::Fails(class) => {
            world.write(Entry::Failed { node, class });
            Err(Fail { node, class })
        }
    }
}

fn yielded_by(node: usize, x: u64) -> u64 {
    (x ^ (node as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}

fn mapped(by: u32, x: u64) -> u64 {
    x.rotate_left(by).wrapping_add(u64::from(by))
}

fn joined(a: u64, b: u64) -> u64 {
    a.wrapping_mul(31).wrapping_add(b)
}

// ---- A store that takes its time ----

/// How many polls an operation of the store takes, and at which of them what it writes is written: at 0 as it is asked for.
/// One that is dropped before that never happens.
#[derive(Debug, Clone, Copy)]
struct Pace {
    polls: u8,
    written_at: u8,
}

#[derive(Debug)]
struct Slow<S> {
    inner: S,
    world: World,
}

struct SlowSession<I> {
    inner: Rc<RefCell<I>>,
    seen: Seen,
    /// As opening found it.
    ledger: Vec<u8>,
    world: World,
}

enum Change {
    Put(Slot<'static>, Vec<u8>, Vec<u8>),
    Ledger(Vec<u8>),
    Discard(BTreeSet<Key>),
}

fn apply<I: Session>(inner: &Rc<RefCell<I>>, change: Change, world: &World) -> Result<(), StoreError> {
    match change {
        Change::Ledger(ledger) => done(inner.borrow_mut().put_ledger(&ledger))?,
        Change::Put(slot, bytes, ledger) => {
            done(inner.borrow_mut().put(slot, Raw(&bytes), &ledger))?;
            world.write(Entry::Committed { node: number(slot.node) });
        }
        Change::Discard(keys) => {
            done(inner.borrow_mut().discard(|slot| keys.contains(&key(slot))))?;
            for (node, ..) in keys {
                world.write(Entry::Discarded { node: number(&node).unwrap() });
            }
        }
    }
    Ok(())
}

/// Waits some polls, then does something.
struct After<F> {
    polls: u8,
    last: Option<F>,
}

impl<F> Unpin for After<F> {}

impl<T, F: FnOnce() -> T> Future for After<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<T> {
        if self.polls > 0 {
            self.polls -= 1;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.last.take().expect("polled after its end")())
    }
}

struct Writing<I> {
    pace: Pace,
    polled: u8,
    change: Option<Change>,
    inner: Rc<RefCell<I>>,
    world: World,
}

impl<I> Unpin for Writing<I> {}

impl<I: Session> Writing<I> {
    fn begin(session: &SlowSession<I>, change: Change) -> Begun<Result<(), StoreError>, Self> {
        let pace = session.world.pace();
        let mut writing = Writing {
            pace,
            polled: 0,
            change: Some(change),
            inner: session.inner.clone(),
            world: session.world.clone(),
        };
        if let Err(error) = writing.write() {
            return Begun::Done(Err(error));
        }
        if pace.polls == 0 { Begun::Done(Ok(())) } else { Begun::Pending(writing) }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        match self.change.take_if(|_| self.polled >= self.pace.written_at.min(self.pace.polls)) {
            Some(change) => apply(&self.inner, change, &self.world),
            None => Ok(()),
        }
    }
}

impl<I: Session> Future for Writing<I> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.polled += 1;
        self.write()?;
        if self.polled > self.pace.polls {
            return Poll::Ready(Ok(()));
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I: Session> Session for SlowSession<I> {
    type Writing = Writing<I>;
    type Reading = After<Box<dyn FnOnce() -> Result<Vec<u8>, StoreError>>>;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.seen.is_empty()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.seen.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.seen.each(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let bytes = encoded(&value).unwrap();
        self.seen.put(slot);
        Writing::begin(self, Change::Put(slot, bytes, ledger.to_vec()))
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Writing::begin(self, Change::Ledger(ledger.to_vec()))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        let pace = self.world.pace();
        if pace.polls == 0 {
            return Begun::Done(done(self.inner.borrow_mut().load(slot, read)));
        }
        let bytes = done(self.inner.borrow_mut().load(slot, <[u8]>::to_vec));
        Begun::Pending(After { polls: pace.polls, last: Some(Box::new(move || bytes)) })
    }

    fn ledger(&self) -> &[u8] {
        &self.ledger
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        let keys = self.seen.discard(doomed);
        Writing::begin(self, Change::Discard(keys))
    }

    fn finished(&mut self) {
        self.inner.borrow_mut().finished();
    }
}

impl<S: Store> Slow<S> {
    fn session<'a>(&self, inner: S::Session<'a>) -> SlowSession<S::Session<'a>> {
        let seen = Seen::of(&inner);
        let ledger = inner.ledger().to_vec();
        SlowSession { inner: Rc::new(RefCell::new(inner)), seen, ledger, world: self.world.clone() }
    }
}

impl<S: Store> Store for Slow<S> {
    type Session<'a>
        = SlowSession<S::Session<'a>>
    where
        Self: 'a;
    type Opening<'a>
        = After<Box<dyn FnOnce() -> Result<Self::Session<'a>, StoreError> + 'a>>
    where
        Self: 'a;
    type Forgetting<'a>
        = S::Forgetting<'a>
    where
        Self: 'a;

    fn slots_per_run(&self) -> Option<usize> {
        self.inner.slots_per_run()
    }

    fn open<'a>(
        &'a self,
        run: &RunId,
        access: Access,
    ) -> Begun<Result<Self::Session<'a>, StoreError>, Self::Opening<'a>> {
        let pace = self.world.pace();
        let run = *run;
        if pace.polls == 0 {
            return Begun::Done(done(self.inner.open(&run, access)).map(|inner| self.session(inner)));
        }
        let open = move || done(self.inner.open(&run, access)).map(|inner| self.session(inner));
        Begun::Pending(After { polls: pace.polls, last: Some(Box::new(open)) })
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.inner.forget(run)
    }
}

// ---- The shapes ----

type Lab<S> = Caps<Durable<Slow<S>>, PolicyMap, ManualClock, World, ByFailure, NoTrace, Full>;

/// How often recoverable and ambiguous failures are tried again.
#[derive(Debug, Clone, Copy)]
struct Patience(u32, u32);

/// That of the runner, and so of every node that does not say otherwise.
const RUNNER: Patience = Patience(2, 1);

impl Patience {
    const fn policy(self) -> PolicyMap {
        PolicyMap::never().recoverable(self.0, Backoff::constant(ms(10))).ambiguous(self.1, Backoff::none())
    }

    fn of(self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Recoverable => self.0,
            FailureClass::Ambiguous => self.1,
            _ => 0,
        }
    }
}

/// A shape as the model reads it.
#[derive(Debug)]
enum Tree {
    Node {
        node: usize,
        stored: bool,
        patience: Patience,
    },
    Map(u32),
    Seq(Vec<Tree>),
    /// Branches and the join of what they yield.
    Par {
        branches: Vec<Tree>,
        settle: bool,
    },
    Retry {
        body: Box<Tree>,
        patience: Patience,
        from_start: bool,
    },
}

fn one(node: usize) -> Tree {
    Tree::Node { node, stored: true, patience: RUNNER }
}

fn skipped(node: usize) -> Tree {
    Tree::Node { node, stored: false, patience: RUNNER }
}

fn both(left: Tree, right: Tree) -> Tree {
    Tree::Par { branches: vec![left, right], settle: false }
}

fn again(body: Vec<Tree>, patience: Patience) -> Tree {
    Tree::Retry { body: Box::new(Tree::Seq(body)), patience, from_start: false }
}

macro_rules! n {
    ($node:literal) => {
        node_with(concat!("n", $node), work)
    };
}

fn two((a, b): (u64, u64)) -> u64 {
    joined(a, b)
}

fn three((a, b, c): (u64, u64, u64)) -> u64 {
    joined(joined(a, b), c)
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident: $pipeline:expr, $tree:expr;)+) => {
        $(
            $(#[$doc])*
            mod $name {
                use super::*;

                pub(super) fn pipeline<S: Store + 'static>()
                -> Sealed<impl Exec<Lab<S>, In = u64, Out = u64, Error = Fail>> {
                    $pipeline.seal()
                }

                pub(super) fn tree() -> Tree {
                    $tree
                }
            }
        )+

        const SHAPES: &[&str] = &[$(stringify!($name)),+];

        fn check_shape(shape: &str, case: &Case) {
            $(
                if shape == stringify!($name) {
                    if case.no_heap {
                        check($name::pipeline(), &$name::tree(), case, MemoryStore::<4, 12, 40>::new());
                    } else {
                        check($name::pipeline(), &$name::tree(), case, HeapStore::with_capacity(4));
                    }
                }
            )+
        }
    };
}

shapes! {
    /// Eight in a row, with plain functions between, and one that keeps nothing.
    chain:
        n!(0).map(|x| mapped(1, x)).then(n!(1)).then(n!(2)).then(n!(3).skip_checkpoint()).map(|x| mapped(2, x))
            .then(n!(4)).then(n!(5)).then(n!(6).retry(Patience(0, 3).policy())).then(n!(7)),
        Tree::Seq(vec![
            one(0), Tree::Map(1), one(1), one(2), skipped(3), Tree::Map(2), one(4), one(5),
            Tree::Node { node: 6, stored: true, patience: Patience(0, 3) }, one(7),
        ]);

    /// Branches in the middle, and an end that would keep nothing were it not the end.
    par_in_a_chain:
        n!(0).then(n!(1).skip_checkpoint()).then(par(n!(2), n!(3))).map(two)
            .then(n!(4)).then(n!(5).skip_checkpoint()).map(|x| mapped(3, x)),
        Tree::Seq(vec![one(0), skipped(1), both(one(2), one(3)), one(4), one(5), Tree::Map(3)]);

    /// Chains side by side, at the end of the pipeline.
    par_of_chains:
        par(
            n!(0).then(n!(1)).map(|x| mapped(4, x)).then(n!(2)),
            n!(3).skip_checkpoint().then(n!(4)).then(n!(5).skip_checkpoint()),
        ).map(two),
        both(
            Tree::Seq(vec![one(0), one(1), Tree::Map(4), one(2)]),
            Tree::Seq(vec![skipped(3), one(4), one(5)]),
        );

    /// Branches in branches.
    nested:
        n!(0).then(par!(n!(1), par(n!(2), n!(3)).map(two).then(n!(4)), n!(5).then(n!(6)))).map(three).then(n!(7)),
        Tree::Seq(vec![
            one(0),
            Tree::Par {
                branches: vec![
                    one(1),
                    Tree::Seq(vec![both(one(2), one(3)), one(4)]),
                    Tree::Seq(vec![one(5), one(6)]),
                ],
                settle: false,
            },
            one(7),
        ]);

    /// A retry around a part.
    retried:
        n!(0).then(n!(1).then(n!(2).skip_checkpoint()).then(n!(3)).retry(Patience(1, 2).policy())).then(n!(4)),
        Tree::Seq(vec![one(0), again(vec![one(1), skipped(2), one(3)], Patience(1, 2)), one(4)]);

    /// A retry around branches.
    retried_par:
        n!(0).then(par(n!(1).then(n!(2)), n!(3)).map(two).then(n!(4)).retry(Patience(2, 2).policy())),
        Tree::Seq(vec![
            one(0),
            again(vec![both(Tree::Seq(vec![one(1), one(2)]), one(3)), one(4)], Patience(2, 2)),
        ]);

    /// A retry that throws away what was done.
    from_start:
        n!(0).then(
            n!(1).then(par(n!(2), n!(3))).map(two).then(n!(4)).retry(Patience(2, 1).policy()).from_start()
        ).then(n!(5)),
        Tree::Seq(vec![
            one(0),
            Tree::Retry {
                body: Box::new(Tree::Seq(vec![one(1), both(one(2), one(3)), one(4)])),
                patience: Patience(2, 1),
                from_start: true,
            },
            one(5),
        ]);

    /// Branches that may finish when one fails, tried again.
    settled:
        n!(0).then(
            par!(n!(1).then(n!(2)), n!(3), n!(4).then(n!(5))).settle().map(three).retry(Patience(2, 2).policy())
        ).then(n!(6)),
        Tree::Seq(vec![
            one(0),
            again(
                vec![Tree::Par {
                    branches: vec![Tree::Seq(vec![one(1), one(2)]), one(3), Tree::Seq(vec![one(4), one(5)])],
                    settle: true,
                }],
                Patience(2, 2),
            ),
            one(6),
        ]);

    /// Retries in retries, with branches and with nodes that keep nothing.
    retries_in_retries:
        n!(0).skip_checkpoint()
            .then(n!(1).then(n!(2)).retry(Patience(1, 1).policy()).from_start())
            .then(par(n!(3), n!(4).retry(PolicyMap::never()))).map(two)
            .then(n!(5))
            .retry(Patience(2, 2).policy())
            .map(|x| mapped(5, x))
            .then(n!(6).skip_checkpoint())
            .map(|x| mapped(6, x)),
        Tree::Seq(vec![
            again(
                vec![
                    skipped(0),
                    Tree::Retry {
                        body: Box::new(Tree::Seq(vec![one(1), one(2)])),
                        patience: Patience(1, 1),
                        from_start: true,
                    },
                    both(one(3), Tree::Node { node: 4, stored: true, patience: Patience(0, 0) }),
                    one(5),
                ],
                Patience(2, 2),
            ),
            Tree::Map(5),
            one(6),
            Tree::Map(6),
        ]);
}

// ---- The model ----

/// What an uninterrupted run comes to, one node after the other.
struct Model<'c> {
    case: &'c Case,
    ended: [usize; NODES],
    kept: [Option<u64>; NODES],
    effects: [usize; NODES],
    /// Branches failed, and how far the others came is not for this model to say.
    unsure: bool,
}

impl<'c> Model<'c> {
    fn new(case: &'c Case) -> Self {
        Self { case, ended: [0; NODES], kept: [None; NODES], effects: [0; NODES], unsure: false }
    }

    fn resumable(&self, tree: &Tree) -> bool {
        match tree {
            Tree::Node { node, stored, .. } => *stored && self.kept[*node].is_some(),
            Tree::Map(_) => false,
            Tree::Seq(parts) => parts.iter().any(|part| self.resumable(part)),
            Tree::Par { branches, .. } => branches.iter().all(|branch| self.resumable(branch)),
            Tree::Retry { body, .. } => self.resumable(body),
        }
    }

    /// Runs a part, without an input where it can be gone on with.
    fn run(&mut self, tree: &Tree, input: Option<u64>) -> Result<u64, Fail> {
        match tree {
            Tree::Node { node, stored, patience } => {
                let node = *node;
                if let Some(kept) = self.kept[node].filter(|_| *stored && input.is_none()) {
                    return Ok(kept);
                }
                let input = input.unwrap();
                let mut tally = Tally::default();
                loop {
                    let Call { outcome, .. } = call(&self.case.calls, node, self.ended[node]);
                    self.ended[node] += 1;
                    match outcome {
                        Outcome::Succeeds => {
                            self.effects[node] += 1;
                            let out = yielded_by(node, input);
                            self.kept[node] = stored.then_some(out);
                            return Ok(out);
                        }
                        Outcome::Fails(class) if tally.again(class, *patience) => {}
                        Outcome::Fails(class) => return Err(Fail { node, class }),
                    }
                }
            }
            Tree::Map(by) => Ok(mapped(*by, input.unwrap())),
            Tree::Seq(parts) => {
                let from = parts.iter().rposition(|part| self.resumable(part));
                let mut value = if from.is_some() { None } else { input };
                for part in &parts[from.unwrap_or(0)..] {
                    value = Some(self.run(part, value)?);
                }
                Ok(value.unwrap())
            }
            Tree::Par { branches, settle } => {
                let ends: Vec<_> = branches
                    .iter()
                    .map(|branch| if self.resumable(branch) { self.run(branch, None) } else { self.run(branch, input) })
                    .collect();
                let failed = ends.iter().filter(|end| end.is_err()).count();
                self.unsure |= if *settle { failed > 1 } else { failed > 0 };
                let outs = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(outs.into_iter().reduce(joined).unwrap())
            }
            Tree::Retry { body, patience, from_start } => {
                let mut tally = Tally::default();
                let mut end = self.run(body, input);
                while let Err(fail) = end {
                    if !tally.again(fail.class, *patience) {
                        return Err(fail);
                    }
                    if *from_start && input.is_some() {
                        each_node(body, &mut |node, _, _, _| self.kept[node] = None);
                    }
                    end = if self.resumable(body) { self.run(body, None) } else { self.run(body, input) };
                }
                end
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally(u32, u32);

impl Tally {
    fn again(&mut self, class: FailureClass, patience: Patience) -> bool {
        let count = match class {
            FailureClass::Recoverable => &mut self.0,
            FailureClass::Ambiguous => &mut self.1,
            _ => return false,
        };
        *count += 1;
        *count <= patience.of(class)
    }
}

fn each_node(tree: &Tree, visit: &mut impl FnMut(usize, bool, Patience, bool)) {
    fn walk(tree: &Tree, restarts: bool, visit: &mut impl FnMut(usize, bool, Patience, bool)) {
        match tree {
            Tree::Node { node, stored, patience } => visit(*node, *stored, *patience, restarts),
            Tree::Map(_) => {}
            Tree::Seq(parts) | Tree::Par { branches: parts, .. } => {
                parts.iter().for_each(|part| walk(part, restarts, visit));
            }
            Tree::Retry { body, from_start, .. } => walk(body, restarts || *from_start, visit),
        }
    }
    walk(tree, false, visit);
}

/// What the pipeline yields when all goes well.
fn result(tree: &Tree, x: u64) -> u64 {
    match tree {
        Tree::Node { node, .. } => yielded_by(*node, x),
        Tree::Map(by) => mapped(*by, x),
        Tree::Seq(parts) => parts.iter().fold(x, |x, part| result(part, x)),
        Tree::Par { branches, .. } => branches.iter().map(|branch| result(branch, x)).reduce(joined).unwrap(),
        Tree::Retry { body, .. } => result(body, x),
    }
}

// ---- The property ----

#[derive(Debug, Clone)]
struct Case {
    input: u64,
    /// What each node does, call by call.
    calls: Vec<Vec<Call>>,
    /// How the store takes its time, operation by operation, over and over.
    paces: Vec<Pace>,
    /// After how many polls each process in a row is killed.
    kills: Vec<u16>,
    /// Whether the next process has the input at hand.
    by_input: bool,
    no_heap: bool,
}

struct Trial<'t, N, S: Store> {
    runner: &'t Runner<N, Lab<S>>,
    world: &'t World,
    clock: &'t ManualClock,
    tree: &'t Tree,
    case: &'t Case,
    id: RunId,
}

impl<N, S> Trial<'_, N, S>
where
    S: Store + 'static,
    N: Exec<Lab<S>, In = u64, Out = u64, Error = Fail>,
{
    /// One process: from the begin of a run, or from what the store holds, to its end or its death. The output, if there is one.
    fn process(&self, kill: Option<usize>, by_input: bool, polls: &Cell<usize>) -> Option<u64> {
        let (kept, begun) = self.world.committed();
        let run = if by_input { self.runner.run_as(self.id, self.case.input) } else { self.runner.resume(self.id) };
        let (ended, polled) = drive(run, self.clock, kill);
        polls.set(polled);
        let Some(ended) = ended else {
            self.world.write(Entry::Killed);
            return None;
        };
        let report = match &ended {
            Ok(done) => done.report,
            Err(halted) => halted.report,
        };
        assert_eq!(report.run_id, self.id);
        if !begun && !by_input {
            let Err(halted) = ended else { panic!("resumed a run that never was") };
            let Cause::Store(error) = halted.cause else { panic!("{:?}", halted.cause) };
            assert_eq!(error.kind(), StoreErrorKind::UnknownRun);
            return self.process(kill, true, polls);
        }
        assert_eq!(usize::from(report.restored), kept.len());
        match ended {
            Ok(done) => {
                assert_eq!(report.status, if begun { RunStatus::Resumed } else { RunStatus::Completed });
                Some(done.output)
            }
            Err(halted) => {
                let Cause::Error(fail) = halted.cause else { panic!("{:?}", halted.cause) };
                assert_eq!(halted.node.and_then(number), Some(fail.node));
                assert_eq!(halted.class, fail.class);
                let terminal = fail.class == FailureClass::Terminal;
                assert_eq!(report.status, if terminal { RunStatus::Failed } else { RunStatus::Partial });
                self.world.write(Entry::Halted);
                None
            }
        }
    }

    /// One process after the other, killed as `kills` says, until one comes to the end.
    fn to_the_end(&self, kills: &[usize]) {
        let polls = Cell::new(0);
        let mut kills = kills.iter();
        let mut by_input = true;
        let output = loop {
            // Each that is not killed halts with a failure that is then in the past, so there are not many.
            if let Some(output) = self.process(kills.next().copied(), by_input, &polls) {
                break output;
            }
            by_input = self.case.by_input;
        };
        assert_eq!(output, result(self.tree, self.case.input));
        // Whoever asks again gets the result, and nothing runs for it.
        let before = self.world.0.borrow().log.len();
        for by_input in [true, false] {
            assert_eq!(self.process(None, by_input, &polls), Some(output));
        }
        assert_eq!(self.world.0.borrow().log.len(), before);
        self.check_log();
    }

    /// That no checkpointed node ran again, and that none was tried more often than its policy says.
    fn check_log(&self) {
        let inside = self.world.0.borrow();
        each_node(self.tree, &mut |this, stored, patience, restarts| {
            let mut kept = false;
            // There was an effect, and the store has not got it yet.
            let mut owed = false;
            let mut attempts = 0;
            let mut tally = Tally::default();
            let mut may_try_again = false;
            for entry in &inside.log {
                match *entry {
                    Entry::Started { node, attempt } if node == this => {
                        assert!(!kept, "n{this} ran again: {:?}", inside.log);
                        assert!(!(owed && stored), "n{this} ran again before it was saved: {:?}", inside.log);
                        if attempt == 1 {
                            tally = Tally::default();
                        } else {
                            assert!(may_try_again && attempt == attempts + 1, "n{this}, {attempt}: {:?}", inside.log);
                        }
                        attempts = attempt;
                        may_try_again = false;
                    }
                    Entry::Failed { node, class } if node == this => may_try_again = tally.again(class, patience),
                    Entry::Effect { node } if node == this => owed = true,
                    Entry::Committed { node: Some(node) } if node == this => {
                        assert!(stored && owed, "n{this} was saved without need: {:?}", inside.log);
                        kept = true;
                        owed = false;
                    }
                    Entry::Discarded { node } if node == this => {
                        assert!(restarts, "n{this} was thrown away: {:?}", inside.log);
                        kept = false;
                    }
                    Entry::Killed => {
                        owed = false;
                        may_try_again = false;
                    }
                    Entry::Halted => {
                        assert!(!(owed && stored), "n{this} was not saved: {:?}", inside.log);
                        may_try_again = false;
                    }
                    _ => {}
                }
            }
        });
    }

    /// The run that is left alone, as the model has it. Yields how many polls it took.
    fn uninterrupted(&self) -> usize {
        let polls = Cell::new(0);
        let output = self.process(None, true, &polls);
        let mut model = Model::new(self.case);
        let expected = model.run(self.tree, Some(self.case.input));
        let inside = self.world.0.borrow();
        if !model.unsure {
            assert_eq!(output, expected.ok());
            let mut effects = [0; NODES];
            for entry in &inside.log {
                if let Entry::Effect { node } = *entry {
                    effects[node] += 1;
                }
            }
            assert_eq!((effects, inside.ended), (model.effects, model.ended), "{:?}", inside.log);
        }
        polls.get()
    }
}

fn check<N, S>(pipeline: Sealed<N>, tree: &Tree, case: &Case, store: S)
where
    S: Store + 'static,
    N: Exec<Lab<S>, In = u64, Out = u64, Error = Fail>,
{
    let world = World::default();
    let clock = ManualClock::new();
    let runner = Runner::new(pipeline)
        .with_store(Slow { inner: store, world: world.clone() })
        .with_clock(clock.clone())
        .with_policies(RUNNER.policy())
        .with_context(world.clone())
        .build()
        .unwrap();
    let trial = |number: usize| {
        world.begin(case);
        let id = RunId::from_u128(number as u128);
        Trial { runner: &runner, world: &world, clock: &clock, tree, case, id }
    };
    let polls = trial(0).uninterrupted();
    for kill in 0..=polls {
        trial(kill + 1).to_the_end(&[kill]);
    }
    let kills: Vec<_> = case.kills.iter().map(|kill| usize::from(*kill) % (polls + 1)).collect();
    trial(polls + 2).to_the_end(&kills);
    // A run that is halted, and not killed, goes on as well.
    trial(polls + 3).to_the_end(&[]);
}

fn a_call() -> impl Strategy<Value = Call> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Succeeds),
        2 => Just(Outcome::Fails(FailureClass::Recoverable)),
        2 => Just(Outcome::Fails(FailureClass::Ambiguous)),
        1 => Just(Outcome::Fails(FailureClass::Terminal)),
    ];
    (0_u8..4, outcome).prop_map(|(yields, outcome)| Call { yields, outcome })
}

fn a_case() -> impl Strategy<Value = Case> {
    let pace = (0_u8..4, 0_u8..5).prop_map(|(polls, written_at)| Pace { polls, written_at });
    (
        any::<u64>(),
        prop::collection::vec(prop::collection::vec(a_call(), 0..5), NODES),
        prop::collection::vec(pace, 1..8),
        prop::collection::vec(any::<u16>(), 0..6),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(input, calls, paces, kills, by_input, no_heap)| Case {
            input,
            calls,
            paces,
            kills,
            by_input,
            no_heap,
        })
}

/// A time-out around a chain, while what a node in it yielded is being saved: it is saved first, as for every other end.
#[test]
fn a_time_out_around_a_chain_waits_for_what_is_being_saved() {
    let case = Case {
        input: 1,
        calls: vec![Vec::new(); NODES],
        paces: vec![Pace { polls: 3, written_at: 3 }],
        kills: Vec::new(),
        by_input: true,
        no_heap: false,
    };
    let world = World::default();
    world.begin(&case);
    let clock = ManualClock::new();
    let runner = Runner::new(n!(0).then(n!(1)).timeout(ms(5)).retry(Patience(1, 0).policy()))
        .with_store(Slow { inner: HeapStore::new(), world: world.clone() })
        .with_clock(clock.clone())
        .with_policies(PolicyMap::never())
        .with_context(world.clone())
        .build()
        .unwrap();
    let mut run = pin!(runner.run_as(RunId::from_u128(1), case.input));
    while !world.0.borrow().log.contains(&Entry::Effect { node: 0 }) {
        assert!(poll_once(run.as_mut()).is_pending());
    }
    clock.advance(ms(5));
    let done = drive(run, &clock, None).0.unwrap();
    assert_eq!(done.map(|done| done.output), Ok(yielded_by(1, yielded_by(0, 1))));
    let starts = world.0.borrow().log.iter().filter(|entry| matches!(entry, Entry::Started { node: 0, .. })).count();
    assert_eq!(starts, 1);
}

/// `PROPTEST_CASES` says how many for each shape.
#[test]
fn an_interrupted_run_ends_as_the_uninterrupted_one_does_and_no_checkpointed_node_runs_again() {
    let kept = FileFailurePersistence::WithSource("regressions");
    let mut config = ProptestConfig {
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(kept)),
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 160;
    }
    for shape in SHAPES {
        let mut runner = proptest::test_runner::TestRunner::new(config.clone());
        let checked = runner.run(&a_case(), |case| {
            check_shape(shape, &case);
            Ok(())
        });
        if let Err(error) = checked {
            panic!("{shape}: {error}");
        }
    }
}
