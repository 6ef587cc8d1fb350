//! The shapes of pipelines.

use super::*;

pub(crate) type Lab<S> = Caps<Durable<Slow<S>>, PolicyMap, ManualClock, World, ByFailure, NoTrace, Full>;

/// How often recoverable and ambiguous failures are tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(pub(crate) u32, pub(crate) u32);

/// That of the runner, and so of every node that does not say otherwise.
pub(crate) const RUNNER: Patience = Patience(2, 1);

impl Patience {
    pub(crate) const fn policy(self) -> PolicyMap {
        PolicyMap::never().recoverable(self.0, Backoff::constant(ms(10))).ambiguous(self.1, Backoff::none())
    }

    pub(crate) fn of(self, class: FailureClass) -> u32 {
        match class {
            FailureClass::Recoverable => self.0,
            FailureClass::Ambiguous => self.1,
            _ => 0,
        }
    }
}

/// A shape as the model reads it.
#[derive(Debug)]
pub(crate) enum Tree {
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

pub(crate) fn one(node: usize) -> Tree {
    Tree::Node { node, stored: true, patience: RUNNER }
}

pub(crate) fn skipped(node: usize) -> Tree {
    Tree::Node { node, stored: false, patience: RUNNER }
}

pub(crate) fn both(left: Tree, right: Tree) -> Tree {
    Tree::Par { branches: vec![left, right], settle: false }
}

pub(crate) fn again(body: Vec<Tree>, patience: Patience) -> Tree {
    Tree::Retry { body: Box::new(Tree::Seq(body)), patience, from_start: false }
}

macro_rules! n {
    ($node:literal) => {
        node_with(concat!("n", $node), work)
    };
}

pub(crate) fn two((a, b): (u64, u64)) -> u64 {
    joined(a, b)
}

pub(crate) fn three((a, b, c): (u64, u64, u64)) -> u64 {
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

        pub(crate) const SHAPES: &[&str] = &[$(stringify!($name)),+];

        pub(crate) fn check_shape(shape: &str, case: &Case) {
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
pub(crate) use n;
