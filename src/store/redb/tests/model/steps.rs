//! What may come.

use std::vec::Vec;

use proptest::{collection::vec as many, prelude::*};

pub(super) const STORES: usize = 3;
pub(super) const RUNS: [&str; 3] = ["a", "b", "c"];
pub(super) const NODES: [&str; 2] = ["n", "m"];

/// A value is told by its byte and its length.
pub(super) type Value = (u8, usize);
/// What one session is asked for, or one run.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Put { run: usize, node: usize, instance: u32, value: Value },
    Ledger { run: usize, byte: u8 },
    Discard { run: usize, instance: u32 },
    Load { run: usize, node: usize, instance: u32 },
    Release { run: usize },
    Open { run: usize, create: bool },
    Forget { run: usize },
}

impl Ask {
    pub(super) fn of_session(&self) -> Option<usize> {
        match self {
            Self::Put { run, .. }
            | Self::Ledger { run, .. }
            | Self::Discard { run, .. }
            | Self::Load { run, .. }
            | Self::Release { run } => Some(*run),
            Self::Open { .. } | Self::Forget { .. } => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// All of it is in one batch.
    Batch {
        store: usize,
        asks: Vec<Ask>,
    },
    /// The same while the tables cannot be had.
    Broken {
        store: usize,
        asks: Vec<Ask>,
    },
    Rest {
        store: usize,
    },
    /// Whoever takes a run dies after the first step.
    Fence {
        store: usize,
    },
    /// It is taken from whoever stands still.
    Take {
        store: usize,
        run: usize,
    },
    /// It dies, also in the middle of a write: so many of a hundred parts of the frame are there.
    Kill {
        store: usize,
        write: Option<(Ask, usize)>,
    },
    /// It ends as a store does that is dropped.
    End {
        store: usize,
    },
    /// Somebody looks on, by whom nothing changes.
    Look,
}

fn value() -> impl Strategy<Value = Value> {
    (1_u8.., prop_oneof![8 => Just(1_usize), 4 => Just(50), 2 => Just(30_000), 1 => Just(40_000)])
}

fn ask(all: bool) -> BoxedStrategy<Ask> {
    let (run, node, instance) = (0..RUNS.len(), 0..NODES.len(), 0..3_u32);
    let put = (run.clone(), node.clone(), instance.clone(), value())
        .prop_map(|(run, node, instance, value)| Ask::Put { run, node, instance, value });
    let ledger = (run.clone(), 1_u8..).prop_map(|(run, byte)| Ask::Ledger { run, byte });
    let read =
        (run.clone(), node, instance.clone()).prop_map(|(run, node, instance)| Ask::Load { run, node, instance });
    let discard = (run.clone(), instance).prop_map(|(run, instance)| Ask::Discard { run, instance });
    if !all {
        return prop_oneof![8 => put, 2 => ledger, 1 => read, 1 => discard].boxed();
    }
    let release = run.clone().prop_map(|run| Ask::Release { run });
    let open = (run.clone(), any::<bool>()).prop_map(|(run, create)| Ask::Open { run, create });
    let forget = run.prop_map(|run| Ask::Forget { run });
    prop_oneof![20 => put, 4 => ledger, 3 => read, 2 => discard, 3 => release, 6 => open, 2 => forget].boxed()
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let store = 0..STORES;
    let quick = (store.clone(), many(ask(false), 1..5)).prop_map(|(store, asks)| Step::Batch { store, asks });
    let batch = (store.clone(), many(ask(true), 1..6)).prop_map(|(store, asks)| Step::Batch { store, asks });
    let broken = (store.clone(), many(ask(false), 1..4)).prop_map(|(store, asks)| Step::Broken { store, asks });
    let kill = (store.clone(), proptest::option::of((ask(false), 0..=100_usize)))
        .prop_map(|(store, write)| Step::Kill { store, write });
    prop_oneof![
        8 => quick,
        10 => batch,
        1 => broken,
        1 => store.clone().prop_map(|store| Step::Rest { store }),
        2 => store.clone().prop_map(|store| Step::Fence { store }),
        3 => (store.clone(), 0..RUNS.len()).prop_map(|(store, run)| Step::Take { store, run }),
        3 => kill,
        1 => store.prop_map(|store| Step::End { store }),
        3 => Just(Step::Look),
    ]
}
