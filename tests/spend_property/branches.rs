//! 64 branches against a cap for 10.

use super::*;

macro_rules! eight {
    ($a:literal $b:literal $c:literal $d:literal $e:literal $f:literal $g:literal $h:literal $with:expr) => {{
        let with = $with;
        par!(
            with(concat!("n", $a)),
            with(concat!("n", $b)),
            with(concat!("n", $c)),
            with(concat!("n", $d)),
            with(concat!("n", $e)),
            with(concat!("n", $f)),
            with(concat!("n", $g)),
            with(concat!("n", $h)),
        )
    }};
}

type Eight = (u64, u64, u64, u64, u64, u64, u64, u64);

fn sum((a, b, c, d, e, f, g, h): Eight) -> u64 {
    a + b + c + d + e + f + g + h
}

/// 8 x 8 branches; `$wrap` is done to each of the eight, and to all.
macro_rules! sixty_four {
    ($node:expr, $wrap:ident) => {
        $wrap!(par!(
            $wrap!(eight!("0" "1" "2" "3" "4" "5" "6" "7" $node)).map(sum),
            $wrap!(eight!("8" "9" "10" "11" "12" "13" "14" "15" $node)).map(sum),
            $wrap!(eight!("16" "17" "18" "19" "20" "21" "22" "23" $node)).map(sum),
            $wrap!(eight!("24" "25" "26" "27" "28" "29" "30" "31" $node)).map(sum),
            $wrap!(eight!("32" "33" "34" "35" "36" "37" "38" "39" $node)).map(sum),
            $wrap!(eight!("40" "41" "42" "43" "44" "45" "46" "47" $node)).map(sum),
            $wrap!(eight!("48" "49" "50" "51" "52" "53" "54" "55" $node)).map(sum),
            $wrap!(eight!("56" "57" "58" "59" "60" "61" "62" "63" $node)).map(sum),
        ))
        .map(sum)
    };
}

macro_rules! plain {
    ($pipeline:expr) => {
        $pipeline
    };
}

macro_rules! settled {
    ($pipeline:expr) => {
        $pipeline.settle()
    };
}

/// Such a run is moved a few times before it begins, which takes more stack than a test has where nothing is optimised.
fn with_room<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Runs 64 branches that do as they are told, under a cap of 30 tokens, each tried again twice where it fails.
macro_rules! run_64 {
    ($calls:expr, $pipeline:expr) => {{
        let calls = $calls;
        with_room(|| {
            let world = World::default();
            {
                let mut inside = world.0.borrow_mut();
                inside.calls = calls;
                inside.called = vec![0; 64];
                inside.limit = Some(30);
            }
            let runner = Runner::new($pipeline)
                .with_clock(world.0.borrow().clock.clone())
                .with_policies(PolicyMap::never().recoverable(2, Backoff::constant(ms(1))))
                .with_context(world.clone())
                .with_hooks(world.clone())
                .with_budget(Budget::unlimited().tokens(30))
                .with_pricing(pricing())
                .build()
                .unwrap();
            let clock = world.0.borrow().clock.clone();
            let ended = drive(runner.run(0), &clock, None).0.unwrap();
            drop(runner);
            let report = match &ended {
                Ok(done) => done.report,
                Err(halted) => halted.report,
            };
            let inside = std::mem::take(&mut *world.0.borrow_mut());
            assert_eq!(
                (Sum::from(report.spent), inside.told, inside.held),
                (inside.booked, inside.booked, Sum::default())
            );
            assert!(inside.booked.tokens <= 30);
            (ended, inside)
        })
    }};
}

fn yields(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(prop_oneof![Just(Op::Yield), (1_u8..4).prop_map(Op::Sleep)], 0..most)
}

/// One call: it waits, reserves three tokens, waits, and ends in some way.
fn a_branch(end: impl Strategy<Value = Op>) -> impl Strategy<Value = Vec<Op>> {
    (yields(5), yields(5), end)
        .prop_map(|(before, after, end)| [before, vec![Op::Reserve(2, 1)], after, vec![end]].concat())
}

proptest! {
    #![proptest_config(cases(40))]

    /// Each books what it reserved, by settling or by dropping it: of 64 exactly ten are admitted.
    #[test]
    fn of_64_branches_exactly_as_many_are_admitted_as_there_is_room_for(
        calls in prop::collection::vec(a_branch(prop_oneof![Just(Op::Settle(0)), Just(Op::Drop), Just(Op::Yield)]), 64)
    ) {
        let calls: Vec<_> = calls.into_iter().map(|call| vec![call]).collect();
        let node = |id| node_with(id, work);
        let (ended, inside) = run_64!(calls.clone(), sixty_four!(node, plain));
        prop_assert_eq!((inside.admitted, inside.refused, inside.booked.tokens), (10, 54, 30));
        prop_assert_eq!(ended.map(|done| done.output).ok(), Some(64));
        let (ended, inside) = run_64!(calls, sixty_four!(node, settled));
        prop_assert_eq!((inside.admitted, inside.refused, inside.booked.tokens), (10, 54, 30));
        prop_assert!(ended.is_ok());
    }

    /// The same where some fail for good, or are cut off by a time-out: what they held is booked.
    #[test]
    fn so_they_are_where_some_fail_or_are_cut_off(
        calls in prop::collection::vec(
            a_branch(prop_oneof![Just(Op::Settle(0)), Just(Op::Fail(FailureClass::Terminal)), Just(Op::Sleep(99))]),
            64,
        )
    ) {
        let calls: Vec<_> = calls.into_iter().map(|call| vec![call]).collect();
        let node = |id| node_with(id, work).timeout(ms(50)).retry(PolicyMap::never());
        let (ended, inside) = run_64!(calls, sixty_four!(node, settled));
        prop_assert_eq!((inside.admitted, inside.booked.tokens), (10, 30));
        prop_assert_eq!(inside.refused, 54);
        // Whoever was refused and failed then failed for that.
        if let Err(halted) = ended {
            prop_assert!(!matches!(halted.cause, Cause::Account(_)));
        }
    }

    /// Whatever they settle at and however often they try: what is booked and what is reserved is never above the cap.
    #[test]
    fn whatever_they_do_the_cap_is_not_crossed(
        calls in prop::collection::vec(
            prop::collection::vec(
                a_branch(prop_oneof![
                    (-3_i8..=0).prop_map(Op::Settle),
                    Just(Op::Drop),
                    Just(Op::Sleep(99)),
                    Just(Op::Fail(FailureClass::Recoverable)),
                ]),
                0..4,
            ),
            64,
        )
    ) {
        let node = |id| node_with(id, work).timeout(ms(20));
        let (_, inside) = run_64!(calls.clone(), sixty_four!(node, settled));
        prop_assert!(inside.admitted >= 10 || inside.refused == 0);
        drop(run_64!(calls, sixty_four!(node, plain)));
    }
}
