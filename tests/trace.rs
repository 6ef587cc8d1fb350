//! The trace: what it records, its JSON, and in what two of them differ.
#![cfg(all(feature = "tokio", feature = "json"))]

#[path = "support/error.rs"]
mod error;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use error::AppError;
use postcard_schema::Schema;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use stroma::{
    Attempt, Backoff, Difference, FailureClass, Field, ListTrace, ManualClock, NotKept, Outcome, PolicyMap,
    RingOutcome, RingTrace, RunId, Runner, Trace, TraceError, Value, ms, node, par,
};

/// A state that plain JSON has no form for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Odd {
    id: uuid::Uuid,
    wide: u128,
    low: i128,
    not_a_number: f64,
    far: f32,
    by_number: BTreeMap<u8, Option<Option<()>>>,
    unit: (),
    bytes: Bytes,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Raw;
        impl serde::de::Visitor<'_> for Raw {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Raw)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    With(u8),
    Named { key: String },
}

fn odd() -> Odd {
    Odd {
        id: uuid::Uuid::from_u128(0x67e5504410b1426f9247bb680e5fe0c8),
        wide: u128::MAX,
        low: i128::MIN,
        not_a_number: f64::NAN,
        far: f32::NEG_INFINITY,
        by_number: BTreeMap::from([(1, Some(None)), (2, None), (3, Some(Some(())))]),
        unit: (),
        bytes: Bytes(vec![0, 255]),
        kind: Kind::Named { key: "secret".to_owned() },
    }
}

#[tokio::test]
async fn any_valid_state_exports_and_comes_back_equal() {
    let runner =
        Runner::new(node("odd", async |_: u8| Ok::<_, AppError>(odd())).then(node("same", async |odd: Odd| Ok(odd))))
            .with_trace(ListTrace::new().with_values())
            .build()
            .unwrap();
    let done = runner.run(7).await.unwrap();
    let text = done.trace.to_json().unwrap();
    let again = Trace::from_json(&text).unwrap();
    assert_eq!(again, done.trace, "{text}");
    assert_eq!(again.run_id(), Some(done.report.run_id));
    let came: Odd = again.events()[1].output().unwrap().decode().unwrap();
    assert!(came.not_a_number.is_nan());
    assert_eq!(Odd { not_a_number: 0.0, ..came }, Odd { not_a_number: 0.0, ..odd() });
    assert_eq!(again.events()[0].input().unwrap().decode::<u8>(), Ok(7));
    for piece in [
        r#""id":"67e55044-10b1-426f-9247-bb680e5fe0c8""#,
        r#""wide":{"$int":"340282366920938463463374607431768211455"}"#,
        r#""not_a_number":{"$float":"NaN"},"far":{"$float":"-Infinity"}"#,
        r#""by_number":{"$map":[[1,{"$some":null}],[2,null],[3,{"$some":{"$some":null}}]]}"#,
        r#""unit":null,"bytes":{"$bytes":"00ff"},"kind":{"Named":{"key":"secret"}}"#,
    ] {
        assert!(text.contains(piece), "{piece} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_there_with_its_times_class_and_message() {
    let calls = AtomicU32::new(0);
    let flaky = async |x: u32| {
        tokio::time::sleep(ms(20)).await;
        if calls.fetch_add(1, Ordering::Relaxed) < 2 { Err(AppError("busy")) } else { Ok(x + 1) }
    };
    let policy = PolicyMap::never().recoverable(2, Backoff::constant(ms(100)));
    let runner = Runner::quick(node("first", async |x: u32| Ok(x)).then(node("flaky", flaky).retry(policy)))
        .with_trace(ListTrace::new().with_values())
        .build()
        .unwrap();
    let done = runner.run(1).await.unwrap();
    let trace = &done.trace;
    assert_eq!(trace.events_for("first").count(), 1);
    let flaky: Vec<_> = trace.events_for("flaky").map(|event| (event.attempt, event.took, event.spent.time)).collect();
    assert_eq!(flaky, [(1, ms(20), ms(20)), (2, ms(20), ms(20)), (3, ms(20), ms(20))]);
    let failed: Vec<_> = trace.failures().map(|event| (event.attempt, event.start, event.outcome.clone())).collect();
    let outcome = || Outcome::Failed { class: FailureClass::Recoverable, message: "busy".to_owned() };
    assert_eq!(failed, [(1, ms(0), outcome()), (2, ms(120), outcome())]);
    // Each attempt has its input, and only the one that succeeded an output.
    let values: Vec<_> =
        trace.events_for("flaky").map(|event| (event.input().cloned(), event.output().cloned())).collect();
    let one = Some(Value::of(&1));
    assert_eq!(values, [(one.clone(), None), (one.clone(), None), (one, Some(Value::of(&2)))]);
    // Iteration and slice are the same thing, and nothing was dropped.
    assert!(trace.into_iter().eq(trace.events().iter()) && trace.iter().count() == 4);
    assert_eq!(trace.dropped(), 0);
}

#[tokio::test]
async fn a_trace_without_values_has_none_and_asks_nothing_of_the_types() {
    struct Opaque;
    let runner = Runner::new(node("opaque", async |_: Opaque| Ok::<_, AppError>(Opaque)))
        .with_trace(ListTrace::new())
        .build()
        .unwrap();
    let done = runner.run(Opaque).await.unwrap();
    let event = &done.trace.events()[0];
    assert_eq!((event.input(), event.output(), &*event.node), (None, None, "opaque"));
    assert!(!done.trace.to_json().unwrap().contains("input"));
}

#[tokio::test]
async fn what_is_redacted_is_nowhere() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let trace = ListTrace::new()
        .with_values()
        .redact(move |at: Attempt<'_>, value: &mut Value| {
            noted.lock().unwrap().push((at.node, at.attempt));
            value.blank("/key");
        })
        .redact_messages(|_, message| *message = message.replace("hunter2", "***"));
    #[derive(Debug, Clone, Serialize, Deserialize, Schema)]
    struct Login {
        user: String,
        key: String,
    }
    let fails = async |_: Login| Err::<u32, _>(AppError("no entry with hunter2"));
    let runner = Runner::quick(node("login", async |login: Login| Ok(login)).then(node("fails", fails)))
        .with_policies(PolicyMap::never())
        .with_trace(trace)
        .build()
        .unwrap();
    let halted = runner.run(Login { user: "ada".to_owned(), key: "hunter2".to_owned() }).await.unwrap_err();
    let text = halted.trace.to_json().unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains(r#"{"user":"ada","key":null}"#) && text.contains("no entry with ***"), "{text}");
    assert_eq!(*seen.lock().unwrap(), [("login", 1), ("login", 1), ("fails", 1)]);
}

/// A run of two branches and a node, of which the left one waits.
async fn branches(left: u64, right: u64, message: &'static str) -> Trace {
    let pipeline = par(
        node("left", move |x: u32| async move {
            tokio::time::sleep(ms(left)).await;
            Ok(vec![x, 2])
        }),
        node("right", move |x: u32| async move {
            tokio::time::sleep(ms(right)).await;
            Ok(x + 1)
        }),
    )
    .then(node("last", move |_: (Vec<u32>, u32)| async move { Err::<u32, _>(AppError(message)) }));
    let runner = Runner::quick(pipeline).with_policies(PolicyMap::never());
    let runner = runner.with_trace(ListTrace::new().with_values()).build().unwrap();
    runner.run(1).await.unwrap_err().trace
}

#[tokio::test(start_paused = true)]
async fn ids_times_and_the_order_of_branches_are_no_difference() {
    let (one, two) = (branches(10, 20, "no").await, branches(30, 5, "no").await);
    assert_ne!(one.run_id(), two.run_id());
    assert_ne!(one.events()[0].node, two.events()[0].node);
    assert_eq!(one.diff(&two), []);
    let other = branches(10, 20, "not yet").await;
    let found = one.diff(&other);
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["`last`, attempt 1, message: no | not yet"]);
    assert_eq!(found[0].field, Field::Message);
}

/// What a differing run of one node is made of.
async fn lone(value: impl Serialize + Clone + 'static) -> Trace {
    let value = move |_: u8| std::future::ready(Ok::<_, AppError>(value.clone()));
    let runner = Runner::new(node("only", value)).with_trace(ListTrace::new().with_values()).build().unwrap();
    runner.run(0).await.unwrap().trace
}

fn found(left: &Trace, right: &Trace) -> Vec<(String, Option<String>, Option<String>)> {
    let told = |difference: Difference| (difference.field.to_string(), difference.left, difference.right);
    left.diff(right).into_iter().map(told).collect()
}

#[tokio::test]
async fn values_differ_by_their_pointer_with_both_sides() {
    #[derive(Clone, Serialize)]
    struct Item {
        name: &'static str,
        #[serde(rename = "a/b")]
        list: Vec<u32>,
    }
    let (one, two) =
        (lone(Item { name: "x", list: vec![1, 2] }).await, lone(Item { name: "x", list: vec![1, 3, 4] }).await);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        found(&one, &two),
        [("output/a~1b/1".to_owned(), some("2"), some("3")), ("output/a~1b/2".to_owned(), None, some("4")),]
    );
    assert_eq!(found(&two, &one)[1], ("output/a~1b/2".to_owned(), some("4"), None));
    // A hash map has another order each time, and it says nothing.
    let map = |keys: [u8; 3]| keys.into_iter().map(|key| (key, key)).collect::<std::collections::HashMap<_, _>>();
    assert_eq!(lone(map([1, 2, 3])).await.diff(&lone(map([3, 2, 1])).await), []);
    let maps = (lone(BTreeMap::from([(1, 'a'), (2, 'b')])).await, lone(BTreeMap::from([(2, 'c'), (3, 'd')])).await);
    assert_eq!(
        found(&maps.0, &maps.1),
        [
            ("output/1".to_owned(), some("\"a\""), None),
            ("output/2".to_owned(), some("\"b\""), some("\"c\"")),
            ("output/3".to_owned(), None, some("\"d\"")),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_and_visits_of_one_node_are_told_apart() {
    // A retry around a chain comes to `first` again and again, each time as its first attempt.
    let run = async |fail_until: u32, add: u32| {
        let calls = AtomicU32::new(0);
        let first = async move |x: u32| Ok::<_, AppError>(x);
        let second = async |x: u32| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call < fail_until { Err(AppError("busy")) } else { Ok(x + add) }
        };
        let chain = node("first", first).then(node("second", second).retry(PolicyMap::never()));
        let pipeline = chain.retry(PolicyMap::never().recoverable(5, Backoff::none())).from_start();
        let runner = Runner::quick(pipeline).with_trace(ListTrace::new().with_values()).build().unwrap();
        runner.run(1).await.unwrap().trace
    };
    let (one, two, three) = (run(1, 1).await, run(2, 1).await, run(1, 2).await);
    assert_eq!(one.events_for("first").count(), 2);
    assert_eq!(one.diff(&run(1, 1).await), []);
    assert_eq!(
        one.diff(&two).iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "`second`, attempt 1 (the 2. such), outcome: succeeded | failed",
            "`second`, attempt 1 (the 2. such), output: 2 | nothing",
            "`first`, attempt 1 (the 3. such), event: nothing | succeeded",
            "`second`, attempt 1 (the 3. such), event: nothing | succeeded",
        ]
    );
    let lines: Vec<_> = one.diff(&three).iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["`second`, attempt 1 (the 2. such), output: 2 | 3"]);
}

#[tokio::test]
async fn a_difference_is_one_line() {
    let (one, two) = (branches(0, 0, "two\nlines\u{1b}[0m").await, branches(0, 0, "one").await);
    let line = one.diff(&two)[0].to_string();
    assert_eq!(line, "`last`, attempt 1, message: two\\nlines\\u{1b}[0m | one");
}

#[test]
fn hostile_text_is_a_typed_error_with_its_path() {
    let event = |more: &str| {
        format!(r#"{{"version":1,"run_id":null,"dropped":0,"events":[{{"node":"n","instance":0,{more}}}]}}"#)
    };
    let whole = r#""attempt":1,"start_ns":0,"took_ns":0,"outcome":{"is":"succeeded"}"#;
    assert!(Trace::from_json(&event(whole)).is_ok());
    // What a later version adds is left out.
    assert!(Trace::from_json(&event(&format!(r#"{whole},"later":[1,2]"#))).is_ok());
    let cases = [
        (String::new(), "."),
        ("[]".to_owned(), "."),
        (r#"{"version":1}"#.to_owned(), "."),
        (r#"{"version":"1","events":[]}"#.to_owned(), "version"),
        (r#"{"version":1,"run_id":"a\u0007","events":[]}"#.to_owned(), "run_id"),
        (r#"{"version":1,"run_id":null,"dropped":-1,"events":[]}"#.to_owned(), "dropped"),
        (r#"{"version":1,"run_id":null,"events":[]} x"#.to_owned(), "."),
        (event(&whole.replace("\"attempt\":1", "\"attempt\":4294967296")), "events[0].attempt"),
        (event(&whole.replace("\"took_ns\":0", "\"took_ns\":1.5")), "events[0].took_ns"),
        (
            event(&whole.replace("\"took_ns\":0", "\"took_ns\":\"99999999999999999999999999999999999999\"")),
            "events[0].took_ns",
        ),
        (event(&whole.replace("succeeded", "exploded")), "events[0].outcome.is"),
        (event(&format!(r#"{whole},"input":{{"$float":"x"}}"#)), "events[0].input"),
        (event(&format!(r#"{whole},"output":{}"#, "[".repeat(100_000))), "events"),
        (event(&format!(r#"{whole},"output":{}{}"#, "[".repeat(100_000), "]".repeat(100_000))), "events[0].output"),
    ];
    for (text, expected) in cases {
        let shown = text.get(..text.len().min(200)).unwrap();
        match Trace::from_json(&text) {
            Err(TraceError::Form { path, words }) => {
                assert!(path.starts_with(expected) && !words.is_empty(), "{shown}: {path}: {words}");
            }
            other => panic!("{shown}: {other:?}"),
        }
    }
    let later = Trace::from_json(r#"{"version":2,"events":"of another form"}"#);
    assert_eq!(later, Err(TraceError::Version { found: 2 }));
    let hostile = Trace::from_json("{\"version\":1,\"events\":[],\"a\u{1b}[2J\u{7f}\" 1}").unwrap_err().to_string();
    assert!(!hostile.contains(char::is_control), "{hostile:?}");
}

#[tokio::test]
async fn a_clock_of_centuries_is_no_loss() {
    let clock = ManualClock::new();
    let far = Duration::new(u64::MAX / 2, 123_456_789);
    let ahead = clock.clone();
    let jump = move |_: u8| {
        ahead.advance(far);
        std::future::ready(Ok::<_, AppError>(1_u8))
    };
    let runner = Runner::new(node("jump", jump)).with_clock(clock).with_trace(ListTrace::new()).build().unwrap();
    let trace = runner.run(0).await.unwrap().trace;
    assert_eq!(trace.events()[0].took, far);
    assert_eq!(Trace::from_json(&trace.to_json().unwrap()), Ok(trace));
}

#[tokio::test(start_paused = true)]
async fn a_ring_keeps_the_last_events_and_counts_the_others() {
    let step = async |x: u32| {
        tokio::time::sleep(ms(10)).await;
        Ok::<_, AppError>(x + 1)
    };
    let calls = AtomicU32::new(0);
    let long = "an error that says much more than there is room for in a ring: äöü";
    let flaky = async |x: u32| if calls.fetch_add(1, Ordering::Relaxed) == 0 { Err(AppError(long)) } else { Ok(x) };
    let pipeline = || {
        let flaky = node("d", &flaky).retry(PolicyMap::never().recoverable(1, Backoff::constant(ms(5))));
        node("a", step).then(node("b", step)).then(node("c", step)).then(flaky)
    };
    let runner = Runner::quick(pipeline()).with_trace(RingTrace::<3>::new()).build().unwrap();
    let trace = runner.run(1).await.unwrap().trace;
    assert_eq!((trace.dropped(), trace.len(), trace.is_empty()), (2, 3, false));
    let events: Vec<_> = trace.iter().map(|event| (event.node, event.attempt, event.start, event.took())).collect();
    assert_eq!(events, [("c", 1, ms(20), ms(10)), ("d", 1, ms(30), ms(0)), ("d", 2, ms(35), ms(0))]);
    let failed: Vec<_> = trace.failures().collect();
    let RingOutcome::Failed { class, message } = &failed[0].outcome else { panic!("{failed:?}") };
    assert_eq!((*class, failed.len()), (FailureClass::Recoverable, 1));
    assert!(message.as_str().ends_with('…') && long.starts_with(message.as_str().trim_end_matches('…')), "{message}");
    assert_eq!(trace.events_for("d").next_back().unwrap().outcome, RingOutcome::Succeeded);
    assert_eq!(trace.clone(), trace);

    // A ring that is never full has them all.
    let runner = Runner::quick(pipeline()).with_trace(RingTrace::<16>::new()).build().unwrap();
    let trace = runner.run(1).await.unwrap().trace;
    assert_eq!((trace.dropped(), trace.iter().map(|event| event.node).collect::<String>()), (0, "abcd".to_owned()));
}

#[tokio::test]
async fn a_ring_with_values_keeps_bytes_and_says_what_is_too_long() {
    let first = node("first", async |x: u64| Ok::<_, AppError>(vec![7_u8; x as usize]));
    let pipeline = first.then(node("second", async |bytes: Vec<u8>| Ok(bytes.len() as u64)));
    let runner = Runner::new(pipeline).with_trace(RingTrace::<4>::new().with_values::<10>()).build().unwrap();
    let short = runner.run(9).await.unwrap().trace;
    let values: Vec<_> = short
        .iter()
        .map(|event| (event.input().bytes().map(<[u8]>::len), event.output().bytes().map(<[u8]>::len)))
        .collect();
    assert_eq!(values, [(Ok(1), Ok(10)), (Ok(10), Ok(1))]);
    let last = short.iter().next_back().unwrap();
    assert_eq!((last.input().decode(), last.output().decode()), (Ok(vec![7_u8; 9]), Ok(9_u64)));
    assert_eq!(last.output().decode::<()>(), Err(NotKept::OtherType));
    let long = runner.run(300).await.unwrap().trace;
    let first = long.iter().next().unwrap();
    let too_long = NotKept::TooLong { needed: 302, room: 10 };
    assert_eq!((first.input().decode(), first.output().bytes()), (Ok(300_u64), Err(too_long)));
    assert!(too_long.to_string().contains("302") && too_long.to_string().contains("10"), "{too_long}");
    // A value that has as many bytes as there is room for is kept whole; one that failed has no output.
    let fails = node("fails", async |_: u64| Err::<u64, _>(AppError("no")));
    let runner = Runner::new(fails).with_trace(RingTrace::<1>::new().with_values::<1>()).build().unwrap();
    let trace = runner.run(5).await.unwrap_err().trace;
    let only = trace.iter().next().unwrap();
    assert_eq!((only.input().decode::<u64>(), only.output().bytes()), (Ok(5), Err(NotKept::Absent)));
}

/// JSON of any shape near that of a trace.
fn near_traces() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
        "[a-z$]{0,4}".prop_map(|text| format!("\"{text}\"")),
    ];
    let any_json = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            ("\\$?(int|float|map|some|is|x)", inner).prop_map(|(key, value)| format!("{{\"{key}\":{value}}}")),
        ]
    });
    (any_json.clone(), any_json.clone(), any_json.clone(), any_json, any::<u32>(), "[a-z]{1,8}").prop_map(
        |(input, output, took, outcome, attempt, node)| {
            format!(
                r#"{{"version":1,"run_id":"x","dropped":1,"events":[{{"node":"{node}","instance":0,"attempt":{attempt},
                "start_ns":{attempt},"took_ns":{},"outcome":{},"input":{input},"output":{output}}}]}}"#,
                if took.len() % 2 == 0 { took } else { "1".to_owned() },
                if outcome.len() % 2 == 0 { outcome } else { r#"{"is":"succeeded"}"#.to_owned() },
            )
        },
    )
}

/// A payload with a bit of everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Any {
    Nothing,
    Number(i128),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
    Keyed(Vec<(u64, bool)>),
    Maybe(Option<Option<u8>>),
}

fn anything() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::Nothing),
        any::<i128>().prop_map(Any::Number),
        any::<u64>().prop_map(|bits| Any::Float(f64::from_bits(bits))),
        any::<String>().prop_map(Any::Text),
        any::<Vec<(u64, bool)>>().prop_map(Any::Keyed),
        any::<Option<Option<u8>>>().prop_map(Any::Maybe),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Any::List),
            prop::collection::btree_map("\\$?[a-z]{0,5}", inner, 0..4).prop_map(Any::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_trace_comes_back_from_its_json(
        state in anything(),
        message in any::<String>(),
        failures in 0_u32..3,
        id in "[^\\p{C}]{1,16}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let message: &'static str = message.leak();
        let calls = AtomicU32::new(0);
        let fails = async |state: Any| {
            tokio::time::sleep(ms(3)).await;
            if calls.fetch_add(1, Ordering::Relaxed) < failures { Err(AppError(message)) } else { Ok(state) }
        };
        let policy = PolicyMap::never().recoverable(1, Backoff::constant(ms(7)));
        let pipeline = node("same", async |state: Any| Ok(state)).then(node("fails", fails).retry(policy));
        let runner = Runner::new(pipeline).with_clock(stroma::TokioClock).with_trace(ListTrace::new().with_values()).build().unwrap();
        let trace = match runtime.block_on(runner.run_as(RunId::new(&id).unwrap(), state)) {
            Ok(done) => done.trace,
            Err(halted) => halted.trace,
        };
        let text = trace.to_json().unwrap();
        let again = Trace::from_json(&text).unwrap();
        prop_assert_eq!(&again, &trace);
        prop_assert_eq!(again.diff(&trace), []);
        prop_assert_eq!(again.to_json().unwrap(), text);
    }

    #[test]
    fn text_near_a_trace_never_panics_and_what_is_read_is_written_the_same(text in near_traces()) {
        if let Ok(trace) = Trace::from_json(&text) {
            prop_assert_eq!(Trace::from_json(&trace.to_json().unwrap()), Ok(trace));
        }
    }

    #[test]
    fn any_text_never_panics(text in any::<String>(), cut in 0_usize..400) {
        let _ = Trace::from_json(&text);
        let whole = r#"{"version":1,"run_id":"x","dropped":0,"events":[{"node":"n","instance":0,"attempt":1,"start_ns":0,"took_ns":0,"outcome":{"is":"failed","class":"terminal","message":"m"},"spent":{"time_ns":0},"input":{"$map":[[1,2]]}}]}"#;
        prop_assert!(Trace::from_json(whole).is_ok());
        if let Some(part) = whole.get(..cut.min(whole.len() - 1)) {
            prop_assert!(Trace::from_json(part).is_err());
        }
    }
}
