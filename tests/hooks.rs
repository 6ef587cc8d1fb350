//! Hooks: what they are told, in what order, and that they cannot touch the run; the event stream that is one.
#![cfg(all(feature = "tokio", feature = "json"))]

#[path = "support/error.rs"]
mod error;

use std::{
    fmt::{Debug, Display},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use error::AppError;
use stroma::{
    Attempt, Backoff, EventKind, EventStream, Failed, FailureClass, Hooks, ListTrace, NoTrace, PolicyMap, RunId,
    Runner, Spent, StreamEvent, Succeeded, ms, node, par, store::HeapStore,
};

type Lines = Arc<Mutex<Vec<String>>>;

/// Writes down all that it is told, with a name before it.
#[derive(Clone)]
struct Note(&'static str, Lines);

impl Note {
    fn add(&self, at: Attempt<'_>, what: impl Display) {
        let line = format!("{}{}#{} {what}", self.0, at.node, at.attempt);
        self.1.lock().unwrap().push(line);
    }
}

impl<In: Debug, Out: Debug, Er: Display + Debug> Hooks<In, Out, Er> for Note {
    fn on_start(&self, at: Attempt<'_>, input: Option<&In>) {
        self.add(at, format_args!("start {input:?}"));
    }

    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.add(at, format_args!("success {:?} in {:?}", succeeded.output, succeeded.spent.time));
    }

    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        let (class, time) = (failed.class, failed.spent.time);
        self.add(at, format_args!("failure {class} {:?} `{failed}` in {time:?}", failed.error));
    }

    fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
        self.add(at, format_args!("cut short in {:?}", spent.time));
    }
}

fn taken(lines: &Lines) -> Vec<String> {
    std::mem::take(&mut *lines.lock().unwrap())
}

fn policy(retries: u32) -> PolicyMap {
    PolicyMap::never().recoverable(retries, Backoff::constant(ms(5)))
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_told_with_typed_values() {
    let lines = Lines::default();
    let calls = AtomicU32::new(0);
    let flaky = async |x: u32| {
        tokio::time::sleep(ms(20)).await;
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err(AppError("busy")),
            1 => {
                tokio::time::sleep(ms(1_000)).await;
                Ok(String::new())
            }
            _ => Ok(format!("<{x}>")),
        }
    };
    let pipeline =
        node("first", async |x: u8| Ok(u32::from(x))).then(node("flaky", flaky).timeout(ms(100)).retry(policy(5)));
    let runner = Runner::quick(pipeline).with_hooks(Note("", Arc::clone(&lines))).build().unwrap();
    assert_eq!(runner.run(7).await.unwrap().output, "<7>");
    assert_eq!(
        taken(&lines),
        [
            "first#1 start Some(7)",
            "first#1 success 7 in 0ns",
            "flaky#1 start Some(7)",
            "flaky#1 failure recoverable Some(AppError(\"busy\")) `busy` in 20ms",
            "flaky#2 start Some(7)",
            "flaky#2 failure recoverable None `an attempt took longer than its time-out of 100ms` in 100ms",
            "flaky#3 start Some(7)",
            "flaky#3 success \"<7>\" in 20ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_cut_short_is_told() {
    let lines = Lines::default();
    let slow = node("slow", async |_: u32| {
        tokio::time::sleep(ms(1_000)).await;
        Ok(())
    });
    let fails = node("fails", async |_: u32| {
        tokio::time::sleep(ms(30)).await;
        Err::<(), _>(AppError("never"))
    });
    let runner = Runner::quick(par(slow, fails)).with_hooks(Note("", Arc::clone(&lines))).build().unwrap();
    assert!(runner.run(1).await.is_err());
    assert_eq!(
        taken(&lines),
        [
            "slow#1 start Some(1)",
            "fails#1 start Some(1)",
            "fails#1 failure terminal Some(AppError(\"never\")) `never` in 30ms",
            "slow#1 cut short in 30ms",
        ]
    );
}

/// Panics whenever it is told something.
struct Bad;

impl<In, Out, Er> Hooks<In, Out, Er> for Bad {
    fn on_start(&self, _: Attempt<'_>, _: Option<&In>) {
        panic!("a bad start");
    }

    fn on_success(&self, _: Attempt<'_>, _: Succeeded<'_, Out>) {
        panic!("a bad success");
    }

    fn on_failure(&self, _: Attempt<'_>, _: Failed<'_, Er>) {
        panic!("a bad failure");
    }

    fn on_cut_short(&self, _: Attempt<'_>, _: Spent) {
        panic!("a bad end");
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_of_a_tuple_are_called_in_order_and_one_that_panics_changes_nothing() {
    let lines = Lines::default();
    let note = |name| Note(name, Arc::clone(&lines));
    let calls = AtomicU32::new(0);
    let flaky = async |x: u32| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 { Err(AppError("busy")) } else { Ok(x + 1) }
    };
    let runner = Runner::quick(node("flaky", flaky).retry(policy(1)))
        .with_hooks((note("a "), Bad, (Bad, note("b "))))
        .with_hooks(Bad)
        .with_hooks(note("c "))
        .build()
        .unwrap();
    let done = runner.run(1).await.unwrap();
    assert_eq!((done.output, calls.load(Ordering::Relaxed), done.trace.events().len()), (2, 2, 2));
    let told: Vec<_> = taken(&lines).iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    let each = |what: &str| ["a", "b", "c"].map(|name| format!("{name} flaky#{what}"));
    let expected = [each("1 start"), each("1 failure"), each("2 start"), each("2 success")].concat();
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn on_a_resumed_run_hooks_see_only_what_runs() {
    let lines = Lines::default();
    let broken = Arc::new(AtomicBool::new(true));
    let gate = Arc::clone(&broken);
    let last = move |x: u32| {
        let broken = gate.load(Ordering::Relaxed);
        std::future::ready(if broken { Err(AppError("busy")) } else { Ok(x + 1) })
    };
    let pipeline = node("first", async |x: u32| Ok(x)).then(node("last", last).retry(policy(0)));
    let runner = Runner::quick(pipeline).with_hooks(Note("", Arc::clone(&lines))).build().unwrap();
    let id = RunId::new("resumed").unwrap();
    assert!(runner.run_as(id, 1).await.is_err());
    assert_eq!(taken(&lines).len(), 4);
    broken.store(false, Ordering::Relaxed);
    assert_eq!(runner.resume(id).await.unwrap().output, 2);
    assert_eq!(taken(&lines), ["last#1 start Some(1)", "last#1 success 2 in 0ns"]);
    // A finished run runs nothing.
    assert_eq!(runner.run_as(id, 1).await.unwrap().output, 2);
    assert_eq!(taken(&lines), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_trace_can_be_changed_after_the_hooks_and_they_stay() {
    let lines = Lines::default();
    let builder =
        || Runner::quick(node("a", async |x: u32| Ok::<_, AppError>(x))).with_hooks(Note("", Arc::clone(&lines)));
    let done = builder().with_trace(ListTrace::new().with_values()).build().unwrap().run(1).await.unwrap();
    assert_eq!((done.trace.events()[0].input().unwrap().to_string().as_str(), taken(&lines).len()), ("1", 2));
    builder().with_trace(NoTrace).with_store(HeapStore::new()).build().unwrap().run(1).await.unwrap();
    assert_eq!(taken(&lines).len(), 2);
    // They need no store, no clock and no trace.
    let bare = Runner::new(node("a", async |x: u32| Ok::<_, AppError>(x))).with_hooks(Note("", Arc::clone(&lines)));
    bare.build().unwrap().run(1).await.unwrap();
    assert_eq!(taken(&lines), ["a#1 start Some(1)", "a#1 success 1 in 0ns"]);
}

fn kind(event: &StreamEvent) -> &'static str {
    match event.kind {
        EventKind::Started => "started",
        EventKind::Succeeded { .. } => "succeeded",
        EventKind::Failed { .. } => "failed",
        EventKind::CutShort { .. } => "cut short",
        _ => "other",
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_hands_out_owned_events_of_many_runs_and_ends_with_its_hooks() {
    let (hook, mut stream) = EventStream::bounded(1_000);
    let flaky = async |x: u32| {
        tokio::time::sleep(ms(u64::from(x))).await;
        if x == 3 { Err(AppError("never")) } else { Ok(x) }
    };
    let slow = async |x: u32| {
        tokio::time::sleep(ms(100)).await;
        Ok(x)
    };
    let runner = Runner::quick(par(node("flaky", flaky), node("slow", slow))).with_hooks(hook.clone()).build().unwrap();
    let other = Runner::new(node("other", async |x: u32| Ok::<_, AppError>(x))).with_hooks(hook).build().unwrap();
    let reading = tokio::spawn(async move {
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            events.push(event);
        }
        (events, stream.dropped())
    });
    let id = |x: u32| RunId::from_u128(x.into());
    let (one, two, three) = tokio::join!(runner.run_as(id(1), 1), runner.run_as(id(2), 2), runner.run_as(id(3), 3));
    assert!(one.is_ok() && two.is_ok() && three.is_err());
    other.run_as(id(4), 4).await.unwrap();
    assert!(!reading.is_finished());
    drop((runner, other));
    let (events, dropped) = reading.await.unwrap();
    assert_eq!(dropped, 0);
    let of = |x: u32| {
        let events = events.iter().filter(move |event| event.run_id == id(x));
        events.map(|event| (event.node, event.attempt, kind(event))).collect::<Vec<_>>()
    };
    let whole = [("flaky", 1, "started"), ("slow", 1, "started"), ("flaky", 1, "succeeded"), ("slow", 1, "succeeded")];
    assert_eq!((of(1), of(2)), (whole.to_vec(), whole.to_vec()));
    let failed = [("flaky", 1, "started"), ("slow", 1, "started"), ("flaky", 1, "failed"), ("slow", 1, "cut short")];
    assert_eq!((of(3), of(4)), (failed.to_vec(), vec![("other", 1, "started"), ("other", 1, "succeeded")]));
    let told = events.iter().find(|event| kind(event) == "failed").unwrap();
    match &told.kind {
        EventKind::Failed { class, message, spent } => {
            assert_eq!((*class, message.as_str(), spent.time), (FailureClass::Terminal, "never", ms(3)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_stream_drops_and_counts_and_no_run_waits_for_it() {
    let (hook, mut stream) = EventStream::bounded(3);
    let step = async |x: u32| Ok::<_, AppError>(x);
    let pipeline = node("a", step).then(node("b", step)).then(node("c", step));
    let runner = Runner::new(pipeline).with_hooks(hook).build().unwrap();
    runner.run(1).await.unwrap();
    assert_eq!(stream.dropped(), 3);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = stream.next().await.unwrap();
        seen.push((event.node, kind(&event)));
    }
    assert_eq!(seen, [("a", "started"), ("a", "succeeded"), ("b", "started")]);
    // There is room again.
    runner.run(1).await.unwrap();
    assert_eq!((stream.dropped(), stream.next().await.unwrap().node), (6, "a"));
    // Nobody reads any more: the run does not mind.
    drop(stream);
    assert_eq!(runner.run(2).await.unwrap().output, 2);
}

#[test]
fn a_stream_has_room_for_one_at_least() {
    let (hook, stream) = EventStream::bounded(0);
    assert_eq!(stream.dropped(), 0);
    drop(hook);
    let (_, huge) = EventStream::bounded(usize::MAX);
    assert_eq!(huge.dropped(), 0);
}
