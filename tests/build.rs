//! What is refused when a runner is built, how a pipeline describes itself, and what errors say.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{error::Error, pin::pin};

use stroma::{
    Backoff, BuildError, Cause, Failure, FailureClass, PolicyMap, RunId, RunStatus, Runner, Sealed, SendExec, ms, node,
    par, secs,
    store::{MemoryStore, StoreErrorKind},
};
use support::{
    error::{Oops, chain},
    scripted::{Act, Log, Scripted},
    spy::Spy,
};

const NEVER: PolicyMap = PolicyMap::never();

async fn f(x: u32) -> Result<u32, Oops> {
    Ok(x)
}

fn id() -> RunId {
    RunId::new("r").unwrap()
}

macro_rules! refused {
    ($pipeline:expr) => {{
        let error = Runner::new($pipeline).build().unwrap_err();
        let text = error.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(error.source().is_none());
        (error, text)
    }};
}

#[test]
fn a_doubled_id_is_refused_and_named() {
    let (error, text) = refused!(node("a", f).then(node("b", f)).then(node("a", f)));
    assert_eq!(error, BuildError::DuplicateId { id: "a", first: 1, second: 3 });
    assert!(text.contains("`a`") && text.contains("node 1") && text.contains("node 3"), "{text}");
    // In branches, in a part of its own, and in a sealed part.
    let (error, _) = refused!(node("x", f).then(par(node("b", f), node("c", f).then(node("b", f)))));
    assert_eq!(error, BuildError::DuplicateId { id: "b", first: 2, second: 4 });
    let part = || node("p", f).then(node("q", f)).retry(NEVER).timeout(ms(1)).deadline(ms(1)).seal();
    let runner = Runner::new(node("a", f).then(part()).then(part())).with_clock(stroma::TokioClock);
    assert_eq!(runner.build().unwrap_err(), BuildError::DuplicateId { id: "p", first: 2, second: 4 });
    // Case and spaces tell ids apart.
    assert!(Runner::new(node("a", f).then(node("A", f)).then(node("a ", f))).build().is_ok());
}

#[test]
fn an_id_that_another_node_had_is_refused() {
    let (error, text) = refused!(node("a", f).then(node("new", f).was("a")));
    assert_eq!(error, BuildError::DuplicateId { id: "a", first: 1, second: 2 });
    assert!(text.contains("`a`"), "{text}");
    let (error, _) = refused!(node("new", f).was("a").then(node("a", f)));
    assert_eq!(error, BuildError::DuplicateId { id: "a", first: 1, second: 2 });
    let (error, _) = refused!(node("one", f).was("a").then(node("two", f).was("a")));
    assert_eq!(error, BuildError::DuplicateId { id: "a", first: 1, second: 2 });
    assert!(Runner::new(node("one", f).was("a").then(node("two", f).was("b"))).build().is_ok());
}

#[test]
fn an_empty_id_is_refused_with_its_place() {
    let (error, text) = refused!(node("a", f).then(node("", f)));
    assert_eq!(error, BuildError::EmptyId { position: 2 });
    assert!(text.contains("node 2"), "{text}");
    assert_eq!(refused!(node("a", f).was("")).0, BuildError::EmptyId { position: 1 });
}

#[test]
fn an_over_long_id_is_refused_and_named() {
    const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123x";
    assert_eq!(LONG.len(), 65);
    let (error, text) = refused!(node("a", f).then(node(LONG, f)));
    assert!(matches!(error, BuildError::LongId { len: 65, .. }));
    // How it begins, its length and the limit.
    assert!(text.contains("`0123456789") && text.contains("65 bytes") && text.contains("64"), "{text}");
    assert!(Runner::new(node(&LONG[..64], f)).build().is_ok());
    // Bytes are counted, not characters.
    let umlauts: &'static str = "äääääääääääääääääääääääääääääääää";
    assert_eq!((umlauts.len(), umlauts.chars().count()), (66, 33));
    assert!(matches!(refused!(node(umlauts, f)).0, BuildError::LongId { len: 66, .. }));
    assert!(matches!(refused!(node("a", f).was(LONG)).0, BuildError::LongId { len: 65, .. }));
}

#[test]
fn a_control_character_in_an_id_is_refused_and_shown() {
    for (id, shown) in [("a\nb", "a\\nb"), ("\0", "\\0"), ("x\u{7f}", "x\\u{7f}"), ("\u{85}", "\\u{85}")] {
        let (error, text) = refused!(node("fine", f).then(node(id, f)));
        assert!(matches!(error, BuildError::ControlInId { .. }));
        assert!(text.contains(&format!("`{shown}`")), "{text}");
        assert!(matches!(refused!(node("fine", f).was(id)).0, BuildError::ControlInId { .. }));
    }
    assert!(Runner::new(node("ünï cödé/:*\"` 🦀", f)).build().is_ok());
}

#[test]
fn of_several_mistakes_the_first_is_told() {
    let (error, _) = refused!(node("a", f).then(node("", f)).then(node("a\n", f)));
    assert_eq!(error, BuildError::EmptyId { position: 2 });
}

#[test]
fn slots_are_counted_with_the_input() {
    let store = || MemoryStore::<1, 4, 32>::new();
    let four = node("a", f).then(par(node("b", f), node("c", f).skip_checkpoint())).map(|(b, c)| b + c);
    assert!(Runner::quick(four).with_store(store()).build().is_ok());
    let five = node("a", f).then(par!(node("b", f), node("c", f), node("d", f))).map(|(b, _, _)| b);
    let error = Runner::quick(five).with_store(store()).build().unwrap_err();
    assert_eq!(error, BuildError::TooFewSlots { slots: 4, needed: 5 });
    assert!(error.to_string().contains("needs 5 slots"), "{error}");
}

fn hidden() -> Sealed<impl SendExec<stroma::Quick, In = u32, Out = u32, Error = Oops>> {
    node("h1", f).then(node("h2", f)).seal()
}

#[test]
fn a_pipeline_describes_itself() {
    let layers = node("a", f).retry(NEVER).timeout(ms(1)).was("old").deadline(ms(2)).map(|x| x).try_map(Ok);
    let inner = par!(node("b", f), node("c", f).then(node("d", f)), par(node("e", f), node("g", f))).settle();
    let all =
        layers.then(inner).map(|(b, c, (e, g))| b + c + e + g).then(hidden()).then(node("z", f).skip_checkpoint());
    let text = "a -> (b | c -> d | (e | g)) -> h1 -> h2 -> z";
    assert_eq!(all.describe().to_string(), text);
    assert_eq!(format!("{all:?}"), format!("Pipeline({text})"));
    let nodes = all.describe().to_vec();
    assert_eq!(nodes.iter().map(|node| node.id).collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "g", "h1", "h2", "z"]);
    assert_eq!((nodes[0].was, nodes[1].was), (Some("old"), None));
    assert_eq!((nodes[0].checkpointed, nodes[8].checkpointed), (true, false));
    assert_eq!((nodes[0].input, nodes[0].output), ("u32", "u32"));
    let runner = Runner::quick(all).build().unwrap();
    assert_eq!(runner.describe().to_string(), text);
    assert_eq!(runner.describe().to_vec(), nodes);
    let long = node("make", async |n: u32| Ok::<_, Oops>(vec![n])).then(node("sum", async |n: Vec<u32>| Ok(n.len())));
    let nodes = long.describe().to_vec();
    assert_eq!((nodes[0].output, nodes[1].input, nodes[1].output), (nodes[1].input, "alloc::vec::Vec<u32>", "usize"));
}

#[test]
fn a_description_shows_its_shape_in_every_place() {
    let shape = |description: String| description;
    assert_eq!(shape(node("a", f).describe().to_string()), "a");
    assert_eq!(shape(par(node("a", f), node("b", f)).describe().to_string()), "(a | b)");
    let deep = par(par!(node("a", f), node("b", f), node("c", f)), node("d", f).then(par(node("e", f), node("g", f))));
    assert_eq!(shape(deep.describe().to_string()), "((a | b | c) | d -> (e | g))");
    let layered = par!(node("a", f), node("b", f), node("c", f)).retry(NEVER).timeout(ms(1)).deadline(ms(1));
    assert_eq!(shape(layered.describe().to_string()), "(a | b | c)");
    let last = par!(node("a", f), node("b", f), par!(node("c", f), node("d", f), node("e", f)));
    assert_eq!(shape(last.describe().to_string()), "(a | b | (c | d | e))");
}

/// An error with a cause of its own, whose text is not in its own.
#[derive(Debug, thiserror::Error)]
#[error("the report could not be written")]
struct WithCause(#[source] std::io::Error);

impl Failure for WithCause {
    fn class(&self) -> FailureClass {
        FailureClass::Terminal
    }
}

/// Each text of the chain is one line and says nothing that another says.
fn well_told(error: &dyn Error) -> Vec<String> {
    let texts = chain(error);
    for (at, text) in texts.iter().enumerate() {
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.is_empty() && text.chars().all(|c| !c.is_control()), "{text:?}");
        for other in &texts[at + 1..] {
            assert!(!text.contains(other.as_str()) && !other.contains(text.as_str()), "{texts:?}");
        }
    }
    texts
}

#[tokio::test(start_paused = true)]
async fn the_source_of_a_halted_run_is_the_users_error() {
    let fails = async |_: u32| Err::<u32, _>(WithCause(std::io::Error::other("no space")));
    let runner = Runner::quick(node("write", fails)).build().unwrap();
    let halted = runner.run_as(id(), 0).await.unwrap_err();
    let texts = well_told(&halted);
    assert_eq!(texts[1..], ["the report could not be written", "no space"]);
    let first = "run r stopped at node `write`, attempt 1: the node failed (terminal); the same run would fail again";
    assert!(texts[0].starts_with(first), "{}", texts[0]);
    let source = Error::source(&halted).unwrap();
    assert!(source.downcast_ref::<WithCause>().is_some());
    assert!(source.source().unwrap().downcast_ref::<std::io::Error>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_line_names_run_node_attempt_why_and_what_to_do() {
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Fail(Oops::Busy));
    let policy = NEVER.recoverable(2, Backoff::none());
    let runner = Runner::quick(node("a", a.f()).retry(policy)).build().unwrap();
    let halted = runner.run_as(RunId::new("invoice 17").unwrap(), 0).await.unwrap_err();
    assert_eq!(
        well_told(&halted),
        [
            "run invoice 17 stopped at node `a`, attempt 3: the node failed (recoverable); `resume` goes on from there",
            "the line is busy"
        ]
    );
    // Without a store there is nothing to resume, and it does not say so.
    let runner = Runner::new(node("a", a.f()).retry(policy)).with_clock(stroma::TokioClock).build().unwrap();
    let halted = runner.run_as(id(), 0).await.unwrap_err();
    let text = well_told(&halted).remove(0);
    assert!(!text.contains("`resume`") && text.contains("run it again"), "{text}");
    assert_eq!(halted.report.status, RunStatus::Partial);
}

#[tokio::test(start_paused = true)]
async fn every_cause_is_told_in_one_line() {
    let log = Log::new();
    let spy = Spy::new();
    let fine = || node("a", Scripted::fine(&log, "a").f());
    let hangs = || Scripted::always(&log, "h", Act::Hang).f();
    macro_rules! told {
        ($pipeline:expr) => {{
            spy.inside().opens = 0;
            let runner = Runner::quick($pipeline).with_policies(NEVER).with_store(spy.clone()).build().unwrap();
            let halted = runner.run_as(id(), 0).await.unwrap_err();
            let _ = runner.forget(id()).await;
            let texts = well_told(&halted);
            (halted, texts)
        }};
    }
    let (_, texts) = told!(fine().then(node("h", hangs()).timeout(secs(2))));
    assert_eq!(
        texts,
        [
            "run r stopped at node `h`, attempt 1: the attempt took longer than its time-out of 2s (recoverable); `resume` goes \
         on from there"
        ]
    );
    let (_, texts) = told!(fine().then(node("h", hangs())).deadline(ms(1500)));
    assert!(texts[0].contains("deadline of 1.5s") && texts[0].contains("`resume` goes on from there"), "{texts:?}");

    // The message of a panic may have many lines, and some of `assert_eq!` always has.
    let panics = async |x: u32| {
        assert_eq!(x, 1, "should be\r\none\ttab");
        Ok::<_, Oops>(x)
    };
    let (halted, texts) = told!(node("p", panics).spawned());
    assert!(texts[0].contains("node `p`, attempt 1") && texts[0].contains("should be"), "{texts:?}");
    assert!(matches!(halted.cause, Cause::Panicked(_)));

    spy.inside().fail_put = Some(("a", StoreErrorKind::Unavailable));
    let (_, texts) = told!(fine());
    assert!(texts[0].contains("node `a`, attempt 1") && texts[0].contains("what was saved before stays"), "{texts:?}");
    assert!(texts[1].contains("the spy was told so"), "{texts:?}");
    spy.inside().fail_put = None;
    spy.inside().fail_open = Some(StoreErrorKind::Busy { until: None });
    let (_, texts) = told!(fine());
    assert!(
        texts[0].contains("nothing was run") && texts[1].contains("somebody else is executing this run"),
        "{texts:?}"
    );
    spy.inside().fail_open = None;

    let runner = Runner::quick(fine()).with_store(spy.clone()).build().unwrap();
    let halted = runner.resume(id()).await.unwrap_err();
    assert!(well_told(&halted)[1].contains("`run_as`"));
    assert!(runner.run_as(id(), 0).await.is_ok());
    let halted = runner.run_as(id(), 1).await.unwrap_err();
    assert!(well_told(&halted)[0].contains("take another id"), "{halted}");
    let halted = runner.resume_from(id(), "no\nbody").await.unwrap_err();
    let text = well_told(&halted).remove(0);
    assert!(text.contains("`no\\nbody`") && text.contains("`describe()` lists the ids"), "{text}");
    let other = Runner::quick(node("b", f)).with_store(spy.clone()).build().unwrap();
    let halted = other.resume(id()).await.unwrap_err();
    assert!(well_told(&halted)[0].contains("`.was(\"old id\")`"), "{halted}");
    spy.tamper("r", "a", |bytes| bytes[9] ^= 1);
    let halted = runner.resume(id()).await.unwrap_err();
    assert!(well_told(&halted)[0].contains("nothing was deleted"), "{halted}");
}

#[tokio::test(start_paused = true)]
async fn a_halted_run_goes_through_the_question_mark() {
    async fn outer() -> Result<u32, Box<dyn Error + Send + Sync>> {
        let runner = Runner::quick(node("a", async |_: u32| Err::<u32, _>(Oops::Bad))).build()?;
        let done = pin!(runner.run(0)).await?;
        Ok(done.output)
    }
    let error = outer().await.unwrap_err();
    assert_eq!(chain(&*error).last().unwrap(), "the key is refused");
}

#[tokio::test(start_paused = true)]
async fn map_err_keeps_class_and_node() {
    #[derive(Debug, thiserror::Error)]
    #[error("wrapped")]
    struct Wrapped(#[source] Oops);
    impl Failure for Wrapped {}
    let log = Log::new();
    let a = Scripted::always(&log, "a", Act::Fail(Oops::Bad));
    let pipeline = node("a", a.f()).map_err(Wrapped).then(node("b", async |x: u32| Ok::<_, Wrapped>(x)));
    let halted = Runner::quick(pipeline).build().unwrap().run_as(id(), 0).await.unwrap_err();
    assert_eq!((halted.node, halted.attempt, halted.class), (Some("a"), 1, FailureClass::Terminal));
    assert_eq!(well_told(&halted)[1..], ["wrapped", "the key is refused"]);
    assert_eq!(a.calls(), 1);
}
