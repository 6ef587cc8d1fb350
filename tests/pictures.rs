//! A trace as a table, as SVG, as a page and in the format of Chrome: what they show, and that whatever stands in a trace stays
//! text in them.
#![cfg(feature = "json")]

#[path = "support/markup.rs"]
mod markup;

use std::collections::{BTreeMap, BTreeSet};

use markup::{Element, elements};
use proptest::prelude::*;
use serde_json::{Value, json};
use stroma::{Trace, node, par};
use unicode_width::UnicodeWidthStr as _;

#[derive(Debug)]
struct AppError;

impl stroma::Failure for AppError {}

async fn one(x: u32) -> Result<u32, AppError> {
    Ok(x)
}

const MS: u64 = 1_000_000;

/// An event; times in nanoseconds.
fn event(node: &str, attempt: u32, start: u64, took: u64, outcome: Value) -> Value {
    json!({"node": node, "instance": 0, "attempt": attempt, "start_ns": start, "took_ns": took, "outcome": outcome})
}

/// The same with tokens and money.
fn paid(mut event: Value, tokens: u64, cost: &str) -> Value {
    event["spent"] = json!({"tokens": tokens, "cost": cost, "time_ns": 0});
    event
}

fn is(outcome: &str) -> Value {
    json!({ "is": outcome })
}

fn failed(message: &str) -> Value {
    json!({"is": "failed", "class": "recoverable", "message": message})
}

fn trace(events: Vec<Value>) -> Trace {
    let text = json!({"version": 1, "run_id": "run 17", "events": events}).to_string();
    Trace::from_json(&text).expect("it is the form of a trace")
}

/// A run that was restored in part, waited, paid, failed and was cut short.
fn eventful() -> Trace {
    trace(vec![
        event("read", 0, 0, 0, is("restored")),
        event("a", 1, 0, 100 * MS, failed("the server is busy, and nobody knows for how long it will be")),
        paid(event("b", 1, 0, 400 * MS, is("succeeded")), 1_200, "0.0042"),
        paid(event("a", 2, 600 * MS, 300 * MS, failed("no")), 300, "0.001"),
        event("c", 1, 400 * MS, 500 * MS, is("cut_short")),
    ])
}

#[test]
fn a_table_has_a_line_for_each_attempt_and_the_sums() {
    let expected = "\
node  attempt   start    took  tokens     cost  outcome
read        -     0 s     0 s                   restored
a           1     0 s  100 ms                   failed
    recoverable: the server is busy, and nobody knows for how long it will be
b           1     0 s  400 ms   1,200  $0.0042  succeeded
a           2  600 ms  300 ms     300   $0.001  failed (recoverable): no
c           1  400 ms  500 ms                   cut short
4 attempts, 2 failed, 1 restored · 900 ms · 1,500 tokens · $0.0052
";
    assert_eq!(eventful().table().to_string(), expected);
    let narrow = eventful().table().width(60).to_string();
    assert!(
        narrow.lines().any(|line| line == "    recoverable: the server is busy, and nobody knows for h…"),
        "{narrow}"
    );
    assert_eq!(trace(vec![]).table().to_string(), "0 attempts · 0 s\n");
}

#[test]
fn the_sums_of_a_narrow_table_go_on_below() {
    let narrow = eventful().table().width(60).to_string();
    assert!(narrow.ends_with("\n4 attempts, 2 failed, 1 restored · 900 ms · 1,500 tokens\n    $0.0052\n"), "{narrow}");
    assert!(narrow.lines().all(|line| line.width() <= 60), "{narrow}");
    let one = trace(vec![paid(event("a", 1, 0, MS, is("succeeded")), 1, "0.000000000001")]);
    assert!(one.table().to_string().ends_with("1 attempt · 1 ms · 1 token · $0.000000000001\n"), "{}", one.table());
}

/// The texts of a picture, without titles.
fn texts(elements: &[Element]) -> Vec<&str> {
    elements.iter().filter(|element| element.name == "text").map(|element| element.text.as_str()).collect()
}

#[test]
fn a_picture_shows_attempts_waits_and_spend() {
    let trace = eventful();
    let svg = elements(&trace.timeline().svg().to_string());
    let bars: Vec<_> = svg.iter().filter(|element| element.is("bar")).collect();
    let count = |class| bars.iter().filter(|bar| bar.is(class)).count();
    assert_eq!((count("well"), count("bad"), count("cut"), count("kept")), (1, 2, 1, 1));
    // One wait, and one in the legend; without a pipeline and a store nobody knows of checkpoints.
    assert_eq!(svg.iter().filter(|element| element.is("wait")).count(), 2);
    assert!(!svg.iter().any(|element| element.is("save")));
    let texts = texts(&svg);
    for text in [
        "Run run 17",
        "restored",
        "400 ms · 1,200 tokens · $0.0042",
        "✕ 300 ms · 300 tokens · $0.001: no",
        "cost $0.0052",
    ] {
        assert!(texts.contains(&text), "{text}: {texts:?}");
    }
    assert!(texts.iter().any(|text| text.starts_with("wait 500 ms after: the server is busy")), "{texts:?}");
    let titles: Vec<_> =
        svg.iter().filter(|element| element.name == "title").map(|title| title.text.as_str()).collect();
    assert!(titles.contains(&"b, attempt 1, succeeded; at 0 s, took 400 ms, 1,200 tokens, $0.0042"), "{titles:?}");
    assert!(titles.contains(&"waited 500 ms"), "{titles:?}");
}

#[test]
fn times_are_lengths() {
    let trace =
        trace(vec![event("a", 1, 0, 100 * MS, is("succeeded")), event("b", 1, 100 * MS, 300 * MS, is("succeeded"))]);
    let svg = elements(&trace.timeline().svg().to_string());
    let bars: Vec<_> = svg.iter().filter(|element| element.is("bar")).collect();
    let [a, b] = bars.as_slice() else { panic!("{bars:?}") };
    assert!((a.number("x") + a.number("width") - b.number("x")).abs() < 0.11, "{bars:?}");
    assert!((3.0 * a.number("width") - b.number("width")).abs() < 0.51, "{bars:?}");
}

#[test]
fn what_is_short_and_last_has_its_words_before_it() {
    let trace = trace(vec![
        event("long", 1, 0, 1_000 * MS, is("succeeded")),
        event("late", 1, 999 * MS, MS, failed("no")),
        event("kept", 0, 1_000 * MS, 0, is("restored")),
    ]);
    let svg = elements(&trace.timeline().svg().to_string());
    for says in ["✕ 1 ms: no", "restored"] {
        let text = svg.iter().find(|element| element.name == "text" && element.text == says).expect(says);
        assert_eq!(text.attributes.get("text-anchor").map(String::as_str), Some("end"), "{text:?}");
        assert!(text.number("x") > 1_000.0 && text.number("x") < 1_076.0, "{text:?}");
    }
    assert!(!svg.iter().any(|element| element.name == "text" && element.text.is_empty()), "{svg:?}");
}

#[test]
fn attempts_that_took_no_time_are_counted() {
    let still = trace(vec![
        event("a", 1, 0, 0, failed("busy")),
        event("a", 2, 0, 0, failed("busy")),
        event("a", 3, 0, 0, is("succeeded")),
        event("b", 1, 0, 0, is("succeeded")),
    ]);
    let svg = elements(&still.timeline().svg().to_string());
    let texts = texts(&svg);
    assert!(texts.contains(&"attempt 3, 0 s") && !texts.iter().any(|text| text.starts_with("attempt 1")), "{texts:?}");
}

#[test]
fn the_times_above_a_run_of_days_are_within_the_picture() {
    const HOUR: u64 = 3_600_000 * MS;
    let days = trace(vec![event("a", 1, 0, 72 * HOUR, is("succeeded"))]);
    let svg = elements(&days.timeline().svg().to_string());
    let times: Vec<_> = svg.iter().filter(|element| element.name == "text" && element.text.ends_with(" min")).collect();
    assert!(times.iter().any(|time| time.text == "36 h 00 min"), "{times:?}");
    for time in times {
        let wide = 7.3 * time.text.width() as f64;
        let right = match time.attributes.get("text-anchor").map(String::as_str) {
            Some("middle") => time.number("x") + wide / 2.0,
            Some("end") => time.number("x"),
            _ => time.number("x") + wide,
        };
        assert!(right <= 1_100.0, "{time:?}");
    }
}

#[test]
fn a_page_is_printed_whole() {
    let html = trace(vec![]).timeline().html().to_string();
    assert!(html.contains("@media print{") && html.contains(".scroll svg{min-width:0}"), "{html}");
}

#[test]
fn along_a_pipeline_there_are_branches_checkpoints_and_what_was_not_run() {
    let pipeline = node("read", one)
        .then(par(node("a", one), node("b", one).then(node("c", one).skip_checkpoint())).map(|(a, _)| a))
        .then(node("write", one));
    let trace = trace(vec![
        event("c", 1, 5, 5, is("succeeded")),
        event("stranger", 1, 5, 5, is("succeeded")),
        event("b", 1, 1, 4, is("succeeded")),
    ]);
    let along = trace.timeline().along(&pipeline.describe());
    let svg = elements(&along.svg().to_string());
    // Of a branch of one node and one of two.
    assert_eq!(svg.iter().filter(|element| element.is("branch")).count(), 2);
    assert!(!svg.iter().any(|element| element.is("save")));
    let texts = texts(&svg);
    assert_eq!(texts.iter().filter(|text| **text == "not run").count(), 3);
    let at = |name| texts.iter().position(|text| *text == name).unwrap_or_else(|| panic!("{name}: {texts:?}"));
    let rows = ["read", "a", "b", "c", "write", "stranger"].map(at);
    assert!(rows.is_sorted(), "{texts:?}");

    let stored = elements(&along.with_store().svg().to_string());
    // After `b`, and in the legend: `c` skips its checkpoint, and of the stranger nothing is known.
    assert_eq!(stored.iter().filter(|element| element.is("save")).count(), 2);
}

#[test]
fn a_page_needs_nothing_and_its_bars_lead_to_its_rows() {
    let trace = eventful();
    let html = trace.timeline().html().to_string();
    assert!(!html.replace("http://www.w3.org/2000/svg", "").contains("//"), "{html}");
    assert!(!html.contains("<script") && !html.contains("@import") && !html.contains("src="), "{html}");
    assert!(html.contains("prefers-color-scheme:dark"), "{html}");
    let page = elements(&html);
    let rows: BTreeSet<_> = page.iter().filter_map(|element| element.attributes.get("id")).collect();
    let links: Vec<_> = page.iter().filter_map(|element| element.attributes.get("href")).collect();
    assert_eq!(links.len(), trace.events().len());
    assert!(links.iter().all(|link| rows.contains(&link.trim_start_matches('#').to_owned())), "{links:?} {rows:?}");
    assert!(page.iter().filter(|element| element.name == "a").all(|link| !link.attributes["aria-label"].is_empty()));
    let cells = page.iter().filter(|element| element.name == "td").map(|cell| cell.text.trim());
    assert!(cells.clone().any(|cell| cell == "(recoverable): no"), "{:?}", cells.collect::<Vec<_>>());
}

#[test]
fn nothing_is_a_picture_too() {
    let nothing = trace(vec![]);
    let timeline = nothing.timeline();
    assert!(texts(&elements(&timeline.svg().to_string())).contains(&"Nothing was run."));
    elements(&timeline.html().to_string());
    let pipeline = node("read", one);
    let svg = elements(&timeline.along(&pipeline.describe()).svg().to_string());
    assert!(texts(&svg).contains(&"not run"));
}

/// Checks what the format asks of every event, and that those of one thread do not overlap; yields all of them.
fn chrome(trace: &Trace) -> Vec<Value> {
    let json: Value = serde_json::from_str(&trace.timeline().chrome().to_string()).expect("it is JSON");
    assert_eq!(json["displayTimeUnit"], "ms");
    let events = json["traceEvents"].as_array().expect("there is a list of events").clone();
    let mut threads: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for event in &events {
        assert!(event["name"].is_string() && event["cat"].is_string(), "{event}");
        assert!(
            event["pid"].is_u64() && event["tid"].is_u64() && event["ts"].as_f64().is_some_and(|ts| ts >= 0.0),
            "{event}"
        );
        match event["ph"].as_str() {
            Some("X") => {
                let (ts, dur) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().expect("it has a length"));
                threads.entry(event["tid"].as_u64().unwrap()).or_default().push((ts, ts + dur));
            }
            Some("i") => assert_eq!(event["s"], "t"),
            Some("M") => {
                assert!(["process_name", "thread_name", "thread_sort_index"].contains(&event["name"].as_str().unwrap()))
            }
            Some("C") => assert!(event["args"].as_object().unwrap().values().all(Value::is_number), "{event}"),
            other => panic!("{other:?}: {event}"),
        }
    }
    for (thread, mut spans) in threads {
        spans.sort_by(|a, b| a.partial_cmp(b).unwrap());
        // A float has room for so much of a very long run.
        let overlap = spans.windows(2).find(|two| two[0].1 > two[1].0 + two[0].1 * 1e-12);
        assert_eq!(overlap, None, "on thread {thread}");
        let named = events.iter().any(|event| event["name"] == "thread_name" && event["tid"] == thread);
        assert!(named, "thread {thread} has no name");
    }
    events
}

#[test]
fn chrome_is_told_every_attempt_wait_and_sum() {
    let events = chrome(&eventful());
    let second =
        events.iter().find(|event| event["name"] == "a" && event["args"]["attempt"] == 2).expect("it is there");
    assert_eq!((&second["ph"], &second["ts"], &second["dur"]), (&json!("X"), &json!(600_000.0), &json!(300_000.0)));
    let expected = json!({
        "attempt": 2, "instance": 0, "outcome": "failed", "class": "recoverable", "message": "no",
        "tokens": 300, "cost": "$0.001", "unpriced_tokens": 0,
    });
    assert_eq!(second["args"], expected);
    let wait = events.iter().find(|event| event["cat"] == "wait").expect("it waited");
    assert_eq!((&wait["ts"], &wait["dur"], &wait["tid"]), (&json!(100_000.0), &json!(500_000.0), &second["tid"]));
    assert!(events.iter().any(|event| event["name"] == "read" && event["ph"] == "i"));
    let tokens: Vec<_> =
        events.iter().filter(|event| event["name"] == "tokens").map(|event| &event["args"]["tokens"]).collect();
    assert_eq!(tokens, [1_200, 1_500]);
    let last = events.iter().rfind(|event| event["name"] == "cost").expect("it paid");
    assert_eq!((&last["args"]["usd"], &last["ts"]), (&json!(0.0052), &json!(900_000.0)));
}

#[test]
fn chrome_shows_each_branch_as_a_thread() {
    let pipeline = node("read", one).then(par(node("a", one), node("b", one).then(node("c", one))));
    let trace = trace(vec![
        event("read", 1, 0, 10, is("succeeded")),
        event("b", 1, 10, 10, is("succeeded")),
        event("a", 1, 10, 50, is("succeeded")),
        event("c", 1, 20, 10, is("succeeded")),
    ]);
    let chrome = trace.timeline().along(&pipeline.describe()).chrome().to_string();
    let chrome: Value = serde_json::from_str(&chrome).expect("it is JSON");
    let events = chrome["traceEvents"].as_array().expect("there is a list of events");
    let thread = |name: &str| events.iter().find(|event| event["name"] == name).expect("it is there")["tid"].clone();
    let [read, a, b, c] = ["read", "a", "b", "c"].map(thread);
    assert!(read != a && read != b && a != b && b == c, "{chrome}");
    let named = |tid| events.iter().find(|event| event["name"] == "thread_name" && event["tid"] == tid);
    assert_eq!(named(a).expect("it has a name")["args"]["name"], "branch 1");
}

/// All renderings of a trace keep their form, whatever is in it.
fn check(trace: &Trace) {
    for columns in [60, 80, 200] {
        let table = trace.table().width(columns).to_string();
        assert!(
            !table.chars().any(|c| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c)),
            "{table:?}"
        );
        // A head, an attempt on two lines, and the sums on five.
        assert!(table.lines().count() <= 1 + 2 * trace.events().len() + 5, "{table}");
        if columns == 200 {
            assert!(table.lines().all(|line| line.width() <= columns), "{table}");
        }
    }
    let timeline = trace.timeline();
    let svg = timeline.svg().to_string();
    let drawn = elements(&svg);
    assert_eq!(drawn.iter().filter(|element| element.is("bar")).count(), trace.events().len());
    for element in &drawn {
        assert!(
            ["svg", "style", "defs", "pattern", "path", "rect", "text", "title", "g", "circle"]
                .contains(&&*element.name)
        );
        if element.name == "rect" && element.is("bar") {
            assert!(
                element.number("x") >= 0.0 && element.number("x") + element.number("width") <= 1_100.0,
                "{element:?}"
            );
        }
        assert!(!element.attributes.keys().any(|key| key.starts_with("on") || key == "href"), "{element:?}");
    }
    let page = elements(&timeline.html().to_string());
    assert!(!page.iter().any(|element| element.name == "script"));
    let links = page.iter().filter_map(|element| element.attributes.get("href"));
    assert!(links.clone().all(|link| link.starts_with("#e")), "{:?}", links.collect::<Vec<_>>());
    chrome(trace);
}

#[test]
fn hostile_text_stays_text() {
    let hostile = [
        "<script>alert(1)</script>",
        "\" onload=\"alert(1)",
        "' onload='alert(1)",
        "</text></svg><img src=x onerror=alert(1)>",
        "]]> <!-- --> <![CDATA[ &lt; &#60; &x;",
        "line\nline\r\n\tline \u{1b}[31mred\u{7}",
        "left\u{202e}thgir\u{2066}",
        "\u{fffe}\u{ffff}\0",
        "👩‍👩‍👧‍👦 名前 ä\u{308}\u{308}",
        "",
    ];
    for text in hostile {
        check(&trace(vec![event(text, 1, 0, 5, failed(text)), event(text, 2, 10, 5, is("succeeded"))]));
    }
}

fn any_event() -> impl Strategy<Value = Value> {
    let text = || "[a-c<>&\"'\\\\ \n]{0,12}|\\PC{0,60}";
    let outcome = prop_oneof![
        Just(is("succeeded")),
        Just(is("cut_short")),
        Just(is("restored")),
        Just(is("replayed")),
        text().prop_map(|message| failed(&message)),
    ];
    let time = || prop_oneof![0_u64..100, 0_u64..10_000_000_000_u64, any::<u64>()];
    let node = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), text().prop_map(String::from)];
    (node, 0_u32..3, 0_u32..4, time(), time(), outcome, any::<u64>(), 0_u64..1_000_000).prop_map(
        |(node, instance, attempt, start, took, outcome, tokens, cost)| {
            let mut event = paid(event(&node, attempt, start, took, outcome), tokens, &format!("0.{cost:06}"));
            event["instance"] = json!(instance);
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_trace_has_its_pictures(events in prop::collection::vec(any_event(), 0..12)) {
        check(&trace(events));
    }
}
