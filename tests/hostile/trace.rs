//! Traces: any text.

use std::{fmt, future::ready};

use serde::de::IgnoredAny;
use stroma::{Failure, ListTrace, Outcome, ReplayError, Runner, Trace, TraceError, Value, node, par};

use super::{is_one_line, now, within};

/// Two traces in one text, with a record separator between them.
pub(crate) fn check(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let (one, other) = text.split_once('\u{1e}').unwrap_or((text, ""));
    let one = read(one);
    let other = read(other);
    if let Some(one) = &one {
        differ(one, other.as_ref().unwrap_or(&Trace::default()));
        replay(one);
    }
    if let Some(other) = &other {
        replay(other);
    }
}

/// Of a byte of the text: `0,` in a list of values becomes a value of 48 bytes in a list that grows twofold, which is 72. What is in
/// a list of its own, `[0],`, has room for four.
const PER_BYTE: usize = 128;

fn read(text: &str) -> Option<Trace> {
    let trace = match within(text.len(), PER_BYTE, 4_096, || Trace::from_json(text)) {
        Ok(trace) => trace,
        Err(error) => {
            is_one_line(&error);
            if let TraceError::Version { found } = error {
                assert_ne!(found, 1);
            }
            return None;
        }
    };
    let json = trace.to_json().unwrap();
    let again = Trace::from_json(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(again, trace);
    assert_eq!(again.to_json().unwrap(), json);
    assert_eq!(trace.diff(&again), []);
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. });
    assert_eq!(trace.failures().count(), trace.iter().filter(|event| failed(&event.outcome)).count());
    for event in &trace {
        assert!(trace.events_for(&event.node).any(|found| found == event));
        for value in [event.input(), event.output()].into_iter().flatten() {
            same(value);
        }
    }
    Some(trace)
}

/// A value is what it is shown as.
fn same(value: &Value) {
    for shown in [format!("{value}"), format!("{value:#}")] {
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), *value, "{shown}");
    }
    assert_eq!(value.pointer(""), Some(value));
    assert!(value.decode::<IgnoredAny>().is_ok());
    let mut blank = value.clone();
    assert!(blank.blank(""));
    assert_eq!(blank, Value::of(&()));
    let _ = (value.decode::<Vec<String>>(), value.decode::<(u64, Option<f64>)>(), value.decode::<u128>());
}

/// What differs is the same from both sides.
fn differ(one: &Trace, other: &Trace) {
    let found = one.diff(other);
    assert_eq!(found.len(), other.diff(one).len());
    assert_eq!(found.is_empty(), other.diff(one).is_empty());
    found.iter().for_each(is_one_line);
}

#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("never")
    }
}

impl Failure for Never {}

/// A replay answers with what is recorded, or says why it cannot; it calls the live nodes alone.
fn replay(trace: &Trace) {
    let split = |text: String| ready(Ok::<Vec<String>, Never>(text.split(' ').map(str::to_owned).collect()));
    let count = |words: Vec<String>| ready(Ok(words.len() as u32));
    let longest = |words: Vec<String>| ready(Ok(words.into_iter().max_by_key(String::len).unwrap_or_default()));
    let pipeline = node("split", split).then(par(node("count", count), node("longest", longest)));
    let runner = Runner::new(pipeline).with_trace(ListTrace::new().with_values()).build().unwrap();
    for live in [&[][..], &["split"], &["count", "longest"], &["split", "count", "longest"]] {
        let replayed = match now(runner.replay(trace).live(live).run()) {
            Ok(replayed) => replayed,
            Err(ReplayError::NoInput | ReplayError::Input(_)) => {
                now(runner.replay(trace).live(live).with_input("three small words".to_owned()).run()).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        replayed.differences.iter().for_each(is_one_line);
        match &replayed.ended {
            Ok(completed) => {
                let (count, longest) = &completed.output;
                if live.is_empty() {
                    assert!(outputs(trace, "count").any(|value| value.decode() == Ok(*count)));
                    assert!(outputs(trace, "longest").any(|value| value.decode().as_ref() == Ok(longest)));
                }
                if live.len() == 3 {
                    assert!(replayed.trace().iter().all(|event| event.outcome == Outcome::Succeeded));
                }
            }
            Err(halted) => is_one_line(halted),
        }
    }
}

fn outputs<'t>(trace: &'t Trace, node: &'t str) -> impl Iterator<Item = &'t Value> {
    trace.events_for(node).filter_map(|event| event.output())
}
