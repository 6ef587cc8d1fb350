//! Corners between budgets, contracts, observers and replay: what one part does while another is in the middle of something.
#![cfg(all(feature = "tokio", feature = "json"))]

mod support;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use stroma::{
    Attempt, Backoff, Budget, BudgetExceeded, BuildError, Cause, EventStream, Failure, FailureClass, Hooks, ListTrace,
    NoContext, NoTrace, NodeCx, Outcome, PolicyMap, RunId, RunStatus, Runner, TokioClock, Usage, Usd, node, node_with,
    par, secs, store::HeapStore,
};
use support::{error::Oops, slow::Slow};

fn again() -> PolicyMap {
    PolicyMap::never().recoverable(2, Backoff::none())
}

const fn tokens(most: u64) -> Budget {
    Budget::unlimited().tokens(most)
}

#[test]
fn a_check_around_a_part_does_not_hide_its_budget_from_the_build() {
    let part = |budget| {
        let first = node("first", async |x: u32| Ok::<_, Oops>(x)).then(node("second", async |x: u32| Ok(x)));
        first.budget(budget).then(node("third", async |x: u32| Ok(x)))
    };
    let empty = Runner::quick(part(tokens(0)).require(|x: &u32| *x > 0)).build();
    assert!(matches!(empty, Err(BuildError::Accounts(_))), "{empty:?}");
    let empty = Runner::quick(part(tokens(0)).ensure(|x: &u32| *x > 0)).build();
    assert!(matches!(empty, Err(BuildError::Accounts(_))), "{empty:?}");
    let timed = part(Budget::unlimited().latency(secs(1))).ensure(|x: &u32| *x > 0);
    let timed = Runner::new(timed).with_budget(Budget::unlimited()).with_report().build();
    assert!(matches!(timed, Err(BuildError::NoClock)), "{timed:?}");
}

#[tokio::test]
async fn the_limit_that_is_told_is_that_of_the_node_that_is_told() {
    let calls = AtomicU32::new(0);
    let a = node_with("a", async |x: u32, cx: NodeCx<'_, NoContext>| {
        if calls.fetch_add(1, SeqCst) == 0 {
            tokio::task::yield_now().await;
            return Err(Oops::Busy);
        }
        let _ = cx.record(Usage::tokens(100));
        Ok(x)
    });
    let b = node_with("b", async |x: u32, cx: NodeCx<'_, NoContext>| {
        let _ = cx.record(Usage::tokens(10));
        Ok::<_, Oops>(x)
    });
    // Without a store `b` begins again with `a`, and its own limit is used up then.
    let pipeline = par(a, b.budget(tokens(10))).retry(again());
    let runner = Runner::new(pipeline).with_clock(TokioClock).with_budget(tokens(100)).build().unwrap();
    let halted = runner.run(1).await.unwrap_err();
    let over = BudgetExceeded::Tokens { limit: 100, actual: 110 };
    assert_eq!((halted.node, &halted.cause), (Some("a"), &Cause::Budget(over)));
}

#[tokio::test]
async fn what_an_attempt_was_refused_that_was_cut_short_is_not_told_of_another() {
    let calls = AtomicU32::new(0);
    let a = node_with("a", async |x: u32, cx: NodeCx<'_, NoContext>| {
        if calls.fetch_add(1, SeqCst) == 0 {
            let _ = cx.reserve(Usage::tokens(1_000));
            pending::<()>().await;
        }
        cx.reserve(Usage::tokens(500)).map(|_| x).map_err(|_| Oops::Bad)
    });
    let b = node("b", async |x: u32| {
        tokio::task::yield_now().await;
        if calls.load(SeqCst) < 2 { Err(Oops::Busy) } else { Ok(x) }
    });
    let runner = Runner::new(par(a, b).retry(again())).with_clock(TokioClock).with_budget(tokens(100)).build().unwrap();
    let halted = runner.run(1).await.unwrap_err();
    let over = BudgetExceeded::Tokens { limit: 100, actual: 500 };
    assert_eq!((halted.node, &halted.cause), (Some("a"), &Cause::Budget(over)));
}

#[tokio::test]
async fn a_node_that_the_run_halts_at_failed_in_the_trace() {
    let a = node("a", async |_: u32| Err::<u32, _>(Oops::Busy));
    let b = node("b", async |x: u32| Ok(x)).require(|x: &u32| *x > 9);
    let runner = Runner::new(par(a, b)).with_trace(ListTrace::new()).with_clock(TokioClock).build().unwrap();
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!(halted.node, Some("b"));
    assert!(matches!(halted.cause, Cause::Contract(_)));
    let failed: Vec<_> = halted.trace.failures().map(|event| event.node.to_string()).collect();
    assert_eq!(failed, ["a", "b"], "{:?}", halted.trace);
}

#[tokio::test]
async fn a_runner_without_an_account_keeps_the_ledger_of_the_run_that_it_goes_on_with() {
    let store = Arc::new(HeapStore::new());
    let ok = std::sync::atomic::AtomicBool::new(false);
    let pipeline = || {
        let a = node_with("a", async |x: u32, cx: NodeCx<'_, NoContext>| {
            let _ = cx.record(Usage::tokens(7));
            Ok::<_, Oops>(x)
        });
        let b = node("b", async |x: u32| Ok(x + 1));
        let c = node("c", async |x: u32| if ok.load(SeqCst) { Ok(x + 1) } else { Err(Oops::Bad) });
        a.then(b).then(c)
    };
    let metered = Runner::new(pipeline()).with_store(Arc::clone(&store)).with_budget(tokens(100)).build().unwrap();
    let plain = Runner::new(pipeline()).with_store(Arc::clone(&store)).build().unwrap();
    assert_eq!(metered.run_as(RunId::from_u128(7), 1).await.unwrap_err().report.spent.tokens, 7);
    plain.resume_from(RunId::from_u128(7), "b").await.unwrap_err();
    ok.store(true, SeqCst);
    let done = metered.resume(RunId::from_u128(7)).await.unwrap();
    assert_eq!((done.report.spent.tokens, done.output), (7, 3));
}

#[tokio::test]
async fn an_event_that_could_not_be_made_is_counted() {
    #[derive(Debug)]
    struct Loud;
    impl std::fmt::Display for Loud {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::panic::panic_any("no words")
        }
    }
    impl Failure for Loud {
        fn class(&self) -> FailureClass {
            FailureClass::Terminal
        }
    }
    let (hook, mut stream) = EventStream::bounded(8);
    let runner = Runner::quick(node("a", async |_: u32| Err::<u32, _>(Loud)))
        .with_trace(NoTrace)
        .with_hooks(hook)
        .build()
        .unwrap();
    assert_eq!(runner.run(1).await.unwrap_err().report.status, RunStatus::Failed);
    drop(runner);
    let mut events = 0;
    while stream.next().await.is_some() {
        events += 1;
    }
    assert_eq!((events, stream.dropped()), (1, 1));
}

/// Neither `Display` nor `Debug`, neither `Clone` nor `Serialize`.
struct Opaque;
struct Mute;
impl Failure for Mute {}

#[tokio::test]
async fn hooks_and_accounts_ask_nothing_of_types_that_they_do_not_look_at() {
    #[derive(Clone)]
    struct Count(Arc<AtomicU32>);
    impl<In, Out, Er> Hooks<In, Out, Er> for Count {
        fn on_start(&self, _: Attempt<'_>, _: Option<&In>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let count = Count(Arc::default());
    let make =
        || node("a", async |x: Opaque| Ok::<_, Mute>(x)).then(node("b", async |_: Opaque| Err::<Opaque, _>(Mute)));
    let hooked = Runner::new(make()).with_hooks(count.clone()).build().unwrap();
    assert!(hooked.run(Opaque).await.is_err());
    assert_eq!(count.0.load(SeqCst), 2);
    let metered = Runner::new(make()).with_budget(Budget::unlimited()).build().unwrap();
    assert!(metered.run(Opaque).await.is_err());
}

#[test]
fn odd_amounts_are_read_exactly_or_refused() {
    for (text, read) in [
        ("0e99999999999999999999", Some(0)),
        ("0e-99999999999999999999", Some(0)),
        ("0.000e400", Some(0)),
        ("1e-12", Some(1)),
        ("0.10e-11", Some(1)),
        ("1000000e-18", Some(1)),
        ("18446744.073709551615", Some(u64::MAX)),
        ("18446744.073709551616", None),
        ("1e-400", None),
        ("1E400", None),
        ("-0.1", None),
        ("\u{661}", None),
        ("1e", None),
        (".", None),
        ("$", None),
        ("$$1", None),
        ("--1", None),
        ("1e1e1", None),
        ("0x10", None),
    ] {
        assert_eq!(text.parse::<Usd>().ok().map(Usd::as_picodollars), read, "{text}");
    }
}

#[tokio::test]
async fn a_trace_of_cut_short_and_refused_attempts_is_read_again() {
    let a = node("a", async |x: u32| {
        pending::<()>().await;
        Ok::<_, Oops>(x)
    });
    let b = node("b", async |_: u32| Err::<u32, _>(Oops::Bad));
    let runner = Runner::quick(par(a, b)).with_trace(ListTrace::new().with_values()).build().unwrap();
    let trace = runner.run(1).await.unwrap_err().trace;
    assert!(trace.iter().any(|event| event.outcome == Outcome::CutShort));
    assert_eq!(stroma::Trace::from_json(&trace.to_json().unwrap()).unwrap(), trace);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let hostile = trace.to_json().unwrap().replace("\"input\":1", &format!("\"input\":{deep}"));
    assert!(hostile.len() > 400_000 && stroma::Trace::from_json(&hostile).is_err());
}

mod told {
    use std::{collections::BTreeMap, sync::Mutex};

    use proptest::prelude::*;
    use stroma::{Failed, Spent, Succeeded};

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Yield,
        Busy,
        Bad,
        Hang,
        Reserve(u64),
        Record(u64),
        Nap(u64),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            3 => Just(Act::Yield),
            2 => Just(Act::Busy),
            1 => Just(Act::Bad),
            1 => Just(Act::Hang),
            2 => (1..40_u64).prop_map(Act::Reserve),
            2 => (1..20_u64).prop_map(Act::Record),
            2 => (1..30_u64).prop_map(Act::Nap),
        ];
        prop::collection::vec(act, 0..5)
    }

    /// What each node does, call by call.
    type Script = Arc<Mutex<BTreeMap<&'static str, Vec<Vec<Act>>>>>;

    async fn act(x: u32, cx: NodeCx<'_, Script>) -> Result<u32, Oops> {
        let acts = cx.context().lock().unwrap().get_mut(cx.node()).and_then(Vec::pop).unwrap_or_default();
        let mut held = Vec::new();
        for act in acts {
            match act {
                Act::Yield => tokio::task::yield_now().await,
                Act::Busy => return Err(Oops::Busy),
                Act::Bad => return Err(Oops::Bad),
                Act::Hang => pending().await,
                Act::Reserve(tokens) => held.extend(cx.reserve(Usage::tokens(tokens))),
                Act::Record(tokens) => drop(cx.record(Usage::tokens(tokens))),
                Act::Nap(long) => tokio::time::sleep(stroma::ms(long)).await,
            }
        }
        Ok(x)
    }

    #[derive(Clone, Default)]
    struct Tally(Arc<Mutex<Told>>);

    #[derive(Default)]
    struct Told {
        open: Vec<(&'static str, u32)>,
        ended: Vec<(&'static str, u32, &'static str)>,
        tokens: u64,
        wrong: Vec<String>,
    }

    impl Tally {
        fn end(&self, at: Attempt<'_>, how: &'static str, spent: Spent) {
            let mut told = self.0.lock().unwrap();
            match told.open.iter().position(|open| *open == (at.node, at.attempt)) {
                Some(open) => drop(told.open.remove(open)),
                None => told.wrong.push(format!("{}#{} {how} and had not begun", at.node, at.attempt)),
            }
            told.ended.push((at.node, at.attempt, how));
            told.tokens += spent.tokens;
        }
    }

    impl<In, Out, Er> Hooks<In, Out, Er> for Tally {
        fn on_start(&self, at: Attempt<'_>, _: Option<&In>) {
            let mut told = self.0.lock().unwrap();
            if told.open.iter().any(|(node, _)| *node == at.node) {
                told.wrong.push(format!("{}#{} begins twice", at.node, at.attempt));
            }
            told.open.push((at.node, at.attempt));
        }

        fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
            self.end(at, "succeeded", succeeded.spent);
        }

        fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
            self.end(at, "failed", failed.spent);
        }

        fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
            self.end(at, "cut short", spent);
        }
    }

    const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn each_attempt_that_begins_ends_once_and_all_that_is_spent_is_told(
            acts in prop::collection::vec(prop::collection::vec(acts(), 4), NODES.len()),
            shape in 0..4_u8,
            limit in 1..120_u64,
            part in 1..80_u64,
            odd in any::<bool>(),
            slow in prop_oneof![Just(0), 1..30_u64],
        ) {
            let script: Script = Arc::new(Mutex::new(NODES.into_iter().zip(acts.clone()).collect()));
            let tally = Tally::default();
            let one = |id: &'static str| node_with(id, act).timeout(stroma::ms(50));
            let right = one("c").require(move |x: &u32| !odd || *x > 1).then(one("d")).budget(tokens(part));
            let left = one("a").then(one("b"));
            macro_rules! go {
                ($pipeline:expr) => {{
                    let runner = Runner::quick($pipeline)
                        .with_context(Arc::clone(&script))
                        .with_policies(again())
                        .with_budget(tokens(limit))
                        .with_store(Slow::new(stroma::ms(slow)))
                        .with_trace(ListTrace::new())
                        .with_hooks(tally.clone())
                        .build()
                        .unwrap();
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                    let ended = runtime.unwrap().block_on(runner.run(1));
                    match ended {
                        Ok(done) => (done.report, done.trace, None),
                        Err(halted) => (halted.report, halted.trace, halted.node.map(|node| (node, halted.cause))),
                    }
                }};
            }
            let join = |(x, _): (u32, u32)| x;
            let (report, trace, stopped) = match shape {
                0 => go!(par(left, right).map(join).then(one("e"))),
                1 => go!(par(left, right).settle().map(join).then(one("e"))),
                2 => go!(par(left, right).retry(again()).map(join).deadline(stroma::ms(120)).then(one("e"))),
                _ => go!(par(left, right.timeout(stroma::ms(40)).retry(again())).map(join).then(one("e")).budget(tokens(limit))),
            };
            let told = tally.0.lock().unwrap();
            prop_assert!(told.wrong.is_empty() && told.open.is_empty(), "{:?} {:?}\n{acts:?}", told.wrong, told.open);
            prop_assert_eq!(told.tokens, report.spent.tokens, "{:?}", trace);
            prop_assert_eq!(trace.iter().map(|event| event.spent.tokens).sum::<u64>(), report.spent.tokens);
            let seen: Vec<_> = trace.iter().map(|event| (event.node.to_string(), event.attempt)).collect();
            let ended: Vec<_> = told.ended.iter().map(|(node, attempt, _)| (node.to_string(), *attempt)).collect();
            prop_assert_eq!(seen, ended);
            // The limit that it stopped for is one around the node that it stopped at.
            if let Some((node, Cause::Budget(BudgetExceeded::Tokens { limit: told, actual }))) = &stopped {
                let inside = ["c", "d"].contains(node);
                prop_assert!(*told == limit || inside && *told == part, "{node} {told} of {limit} and {part}");
                prop_assert!(actual >= told);
            }
            // What it stopped at had failed, or was refused before it began, or had overrun.
            if let Some((node, cause)) = stopped
                && !matches!(cause, Cause::Budget(_) | Cause::Deadline { .. } | Cause::TimedOut { .. })
            {
                prop_assert!(trace.failures().any(|event| event.node == node), "{node} {cause:?} {trace:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_trace_is_read_where_another_crate_has_numbers_of_any_precision() {
    // So serde_json hands over every number then, also to who asks for any value.
    fn number(digits: &str) -> String {
        format!(r#"{{"$serde_json::private::Number":"{digits}"}}"#)
    }
    let a = node("a", async |x: i64| Ok::<_, Oops>(x as f64 / 4.0));
    let runner = Runner::quick(a).with_trace(ListTrace::new().with_values()).build().unwrap();
    let trace = runner.run(-5).await.unwrap().trace;
    let plain = trace.to_json().unwrap();
    let (head, rest) = plain.split_once("\"start_ns\":").unwrap();
    let (start, rest) = rest.split_once(',').unwrap();
    let odd = format!("{head}\"start_ns\":{},{rest}", number(start));
    let odd = odd.replace("\"input\":-5", &format!("\"input\":{}", number("-5")));
    let odd = odd.replace("\"output\":-1.25", &format!("\"output\":{}", number("-1.25")));
    assert_eq!(odd.matches("private").count(), 3, "{odd}");
    assert_eq!(stroma::Trace::from_json(&odd).unwrap(), trace);
    for wrong in [number("1e400"), number("x"), number("-1").replace("Number", "Other")] {
        assert!(stroma::Trace::from_json(&plain.replace("\"input\":-5", &format!("\"input\":{wrong}"))).is_err());
    }
}
