//! Whatever is generated (inputs, failures, waits, how slow the store is, and where the run is killed): the run that was
//! interrupted and resumed gives the result of the one that was not, and no checkpointed node runs again.
//!
//! A case is run once to its end; then once for every poll at which it can be killed; then with several kills in a row. What
//! happens is written down and compared with a plain sequential model.
#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

mod model;
mod nodes;
#[path = "../support/polling.rs"]
mod polling;
mod shapes;
#[path = "../support/slots.rs"]
mod slots;
mod store;

use core::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};
use std::{collections::BTreeSet, rc::Rc};

use model::{Model, Tally, each_node, result};
use nodes::{Call, Entry, Fail, Outcome, World, call, joined, mapped, number, work, yielded_by};
use polling::{drive, poll_once, yield_once};
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use shapes::{Lab, Patience, RUNNER, SHAPES, Tree, check_shape, n};
use slots::{Key, Raw, Seen, done, encoded, key};
use store::{Pace, Slow};
use stroma::{
    Backoff, ByFailure, Cause, Exec, Failure, FailureClass, ManualClock, NoTrace, NodeCx, PolicyMap, RunId, RunStatus,
    Runner, Sealed, Slot, ms, node_with, par,
    parts::{Caps, Durable, Full},
    store::{Access, Begun, Encode, HeapStore, MemoryStore, Session, Store, StoreError, StoreErrorKind},
};

/// How many nodes a shape has at most.
const NODES: usize = 9;

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
