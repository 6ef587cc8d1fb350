//! JSON text at the boundary.

use std::collections::BTreeMap;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::json;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Facts {
    facts: Vec<Fact>,
    #[serde(default)]
    more: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[cfg_attr(feature = "garde", derive(garde::Validate))]
struct Fact {
    #[cfg_attr(feature = "garde", garde(range(min = 1400, max = 2100)))]
    year: u32,
}

#[cfg(feature = "garde")]
impl garde::Validate for Facts {
    type Context = ();

    fn validate_into(&self, cx: &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        for (at, fact) in self.facts.iter().enumerate() {
            fact.validate_into(cx, &mut || parent().join("facts").join(at), report);
        }
    }
}

fn years(years: &[i64]) -> String {
    let facts: Vec<String> = years.iter().map(|year| format!(r#"{{"year": {year}}}"#)).collect();
    format!(r#"{{"facts": [{}]}}"#, facts.join(", "))
}

#[tokio::test(start_paused = true)]
async fn text_from_outside_is_read_or_its_field_is_named() {
    let log = Log::new();
    let spy = Spy::new();
    let asked = log.clone();
    let ask = move |text: String| {
        asked.add("asked");
        async move { Ok::<_, Oops>(text) }
    };
    let count = async |facts: Facts| Ok(facts.facts.len() as u32);
    let pipeline = node("ask", ask).then(json::decode::<Facts>()).then(node("count", count));
    let runner = Runner::quick(pipeline).with_store(spy.clone()).with_policies(OFTEN).with_classifier(optimist);
    let runner = runner.build().unwrap();
    assert_eq!(runner.contracts().to_vec().iter().map(|n| n.required).collect::<Vec<_>>(), [false, true, false]);
    let done = runner.run_as("fine".parse::<RunId>().unwrap(), years(&[1851, 1905])).await.unwrap();
    assert_eq!(done.output, 2);
    // The text is kept, and what it says need not be.
    assert_eq!(spy.kept("fine"), ["", "ask", "count"]);
    log.take();

    let halted = runner.run_as(id(), years(&[1, 2, 3, -4, 5])).await.unwrap_err();
    assert_eq!((halted.node, halted.attempt), (Some("decode"), 1));
    let broken = broken(&halted);
    assert_eq!((broken.direction, broken.violation.path()), (Direction::Input, "facts[3].year"));
    assert_eq!(broken.violation.message(), "invalid value: integer `-4`, expected u32 at line 1 column 61");
    assert_eq!(events(&halted.trace)[1].1, 1);
    assert!(events(&halted.trace)[1].2.unwrap().contains("`facts[3].year`"));
    assert_eq!(log.take(), ["asked"]);
    assert_eq!(spy.kept("r"), ["", "ask"]);
}

#[test]
fn every_text_that_is_none_is_a_violation() {
    let deep = format!(r#"{{"facts": {}"#, "[".repeat(100_000));
    for (text, path, message) in [
        ("", "", "EOF while parsing a value at line 1 column 0"),
        ("   \n ", "", "EOF while parsing a value at line 2 column 1"),
        ("nonsense", "", "expected ident at line 1 column 2"),
        (r#"{"facts": []} and more"#, "", "trailing characters at line 1 column 15"),
        (r#"{"facts": [{"year": 1}"#, "facts", "EOF while parsing a list at line 1 column 22"),
        (r#"{"facts": [{}]}"#, "facts[0]", "missing field `year` at line 1 column 13"),
        (r#"{"facts": [], "more": {"b": []}}"#, "more.b", "invalid type: sequence, expected u32 at line 1 column 28"),
        (r#"{"facts": 7}"#, "facts", "invalid type: integer `7`, expected a sequence at line 1 column 11"),
        ("[1]", "[0]", "invalid type: integer `1`, expected a sequence at line 1 column 2"),
    ] {
        let violation = json::from_str::<Facts>(text).unwrap_err();
        assert_eq!((violation.path(), violation.message()), (path, message), "{text}");
        assert_eq!(json::from_slice::<Facts>(text.as_bytes()), Err(violation));
    }
    let violation = json::from_str::<serde_json::Value>(&deep).unwrap_err();
    assert!(violation.message().starts_with("recursion limit exceeded at line 1 column "), "{violation}");
    let violation = json::from_slice::<String>(b"\"\xff\xfe\"").unwrap_err();
    assert!(violation.message().starts_with("invalid unicode code point at line 1 column "), "{violation}");
    assert_eq!(json::from_str::<u32>(" 7 "), Ok(7));
    // Borrowed too.
    assert_eq!(json::from_str::<&str>(r#""seven""#), Ok("seven"));
}

#[test]
fn no_more_of_a_text_is_told_than_the_value_that_does_not_fit() {
    let secret = "the-secret-beside-it";
    let text = format!(r#"{{"more": {{"{secret}": 1}}, "facts": [{{"year": "soon\n"}}], "rest": "{secret}"}}"#);
    let violation = json::from_str::<Facts>(&text).unwrap_err();
    assert_eq!(violation.path(), "facts[0].year");
    assert!(violation.message().contains(r#"string "soon\n", expected u32"#), "{violation}");
    assert!(!violation.to_string().contains("secret"), "{violation}");
    // What is long is cut, and the place is told all the same; it stays one line.
    let (key, value) = ("k".repeat(100_000), "v\u{7}".repeat(100_000));
    let text = serde_json::json!({ "facts": [], "more": { (key): value } }).to_string();
    let violation = json::from_str::<Facts>(&text).unwrap_err();
    assert!(violation.path().len() <= 256 && violation.path().starts_with("more.kkk"), "{}", violation.path().len());
    assert!(violation.message().len() <= 2_048, "{}", violation.message().len());
    assert!(violation.message().contains("… at line 1 column "), "{violation}");
    assert!(!violation.to_string().contains(char::is_control));
}

#[tokio::test(start_paused = true)]
async fn whatever_lends_its_bytes_is_text() {
    // As the first of a pipeline, as a branch, with checks, and of bytes that are no UTF-8.
    let first = json::decode::<Fact>().named("first").was("start").into_pipeline::<Vec<u8>, Oops>();
    let first = first.require(|text: &Vec<u8>| !text.is_empty()).ensure(|fact: &Fact| fact.year != 0);
    let runner = Runner::quick(first.map(|fact| fact.year)).build().unwrap();
    assert_eq!(runner.run(br#"{"year": 7}"#.to_vec()).await.unwrap().output, 7);
    for (text, direction) in
        [("", Direction::Input), (r#"{"year": 0}"#, Direction::Output), (r#"{"year""#, Direction::Input)]
    {
        let halted = runner.run(text.as_bytes().to_vec()).await.unwrap_err();
        assert_eq!((halted.node, broken(&halted).direction), (Some("first"), direction));
    }
    let halted = runner.run(vec![b'"', 0xff]).await.unwrap_err();
    broken(&halted);

    let len = async |text: String| Ok::<_, Oops>(text.len() as u32);
    let fact = json::decode::<Fact>().ensure(|fact: &Fact| fact.year > 3).ensure(|fact: &Fact| fact.year > 5);
    let runner = Runner::quick(par(node("len", len), fact)).build().unwrap();
    assert_eq!(runner.run(r#"{"year": 7}"#.to_owned()).await.unwrap().output, (11, Fact { year: 7 }));
    let halted = runner.run(r#"{"year": 4}"#.to_owned()).await.unwrap_err();
    assert_eq!((halted.node, broken(&halted).direction), (Some("decode"), Direction::Output));
    assert_eq!(
        runner.contracts().to_string().lines().nth(1),
        Some("decode: String -> Fact (input and output checked)")
    );
    // Of `'static` text too, without a store.
    let runner = Runner::new(json::decode::<u32>().into_pipeline::<&'static str, Oops>()).with_report();
    assert_eq!(runner.build().unwrap().run("7").await.unwrap().output, 7);
}

#[tokio::test(start_paused = true)]
async fn a_resume_reads_the_same_text_again() {
    let log = Log::new();
    let spy = Spy::new();
    let b = Scripted::new(&log, "b", [Act::Fail(Oops::Bad)]);
    let ask = async |year: u32| Ok::<_, Oops>(format!(r#"{{"year": {year}}}"#));
    let pipeline = node("ask", ask).then(json::decode::<Fact>()).map(|fact| fact.year).then(node("b", b.f()));
    let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.run_as(id(), 7).await.unwrap_err().cause, Cause::Error(Oops::Bad));
    assert_eq!(runner.resume(id()).await.unwrap().output, 8);
    assert_eq!(spy.take_loads(), ["ask"]);
    // Where it is the last, what it read is the output of the run, and kept.
    let runner = Runner::quick(node("ask", ask).then(json::decode::<Fact>())).with_store(spy.clone()).build().unwrap();
    let other = RunId::new("other").unwrap();
    assert_eq!(runner.run_as(other, 7).await.unwrap().output, Fact { year: 7 });
    assert_eq!(spy.kept("other"), ["", "ask", "decode"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_can_ask_for_another_text() {
    // The repair round of a pipeline with a model: what is wrong is told to the other side.
    let log = Log::new();
    let told = log.clone();
    let ask = move |text: String| {
        let told = told.clone();
        async move {
            match json::from_str::<Fact>(&text) {
                Ok(fact) => Ok(fact),
                Err(violation) => {
                    told.add(violation.to_string());
                    json::from_slice(br#"{"year": 7}"#).map_err(|_| Oops::Bad)
                }
            }
        }
    };
    let runner = Runner::quick(node("ask", ask)).build().unwrap();
    assert_eq!(runner.run(r#"{"year": "7"}"#.to_owned()).await.unwrap().output.year, 7);
    assert_eq!(log.take(), [r#"at `year`: invalid type: string "7", expected u32 at line 1 column 12"#]);
}

#[cfg(feature = "garde")]
#[tokio::test(start_paused = true)]
async fn a_type_checks_itself() {
    let log = Log::new();
    let spy = Spy::new();
    let calls = log.clone();
    let guess = move |years: Vec<u32>| {
        calls.add("guessed");
        let facts = years.into_iter().map(|year| Fact { year }).collect();
        async move { Ok::<_, Oops>(Facts { facts, more: BTreeMap::new() }) }
    };
    let pipeline = node("guess", guess.clone()).retry(OFTEN).validated();
    let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.run(vec![1851, 1905]).await.unwrap().output.facts.len(), 2);
    log.take();
    let halted = runner.run_as(id(), vec![1851, 3, 1905, 9_999, 4]).await.unwrap_err();
    assert_eq!((halted.node, broken(&halted).direction), (Some("guess"), Direction::Output));
    assert_eq!(
        halted.cause.to_string(),
        "the output broke its contract at `facts[1].year`: lower than 1400 (and 2 more)"
    );
    assert_eq!((log.take().len(), spy.kept("r")), (1, vec![String::new()]));
    assert!(runner.contracts().to_vec()[0].ensured);
    // One alone is told without a count.
    let halted = runner.run(vec![3]).await.unwrap_err();
    assert_eq!(broken(&halted).violation.message(), "lower than 1400");
    // On a chain, and on what was read.
    let again = async |facts: Facts| Ok::<_, Oops>(facts);
    let chain = node("guess", guess).then(node("again", again)).validated();
    let halted = Runner::quick(chain).build().unwrap().run(vec![3]).await.unwrap_err();
    assert_eq!((halted.node, broken(&halted).violation.path()), (Some("again"), "facts[0].year"));
    let read = node("ask", async |text: String| Ok::<_, Oops>(text)).then(json::decode::<Facts>().validated());
    let runner = Runner::quick(read).build().unwrap();
    let halted = runner.run(years(&[1851, 1, 2])).await.unwrap_err();
    assert_eq!((halted.node, broken(&halted).direction), (Some("decode"), Direction::Output));
    assert_eq!(
        broken(&halted).to_string(),
        "the output broke its contract at `facts[1].year`: lower than 1400 (and 1 more)"
    );
}
