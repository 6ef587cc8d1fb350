//! A process killed with SIGKILL at every boundary of a pipeline with branches, and resumed by another one: what was reported
//! as checkpointed never runs again, and what was not runs once more at most.
//!
//! The processes are this test binary again. A child does the part that `STROMA_CRASH_FILE` asks for.
#![cfg(all(feature = "redb", feature = "tokio"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "support/child.rs"]
mod child;

use core::{
    future::{Future, pending},
    pin::Pin,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::Arc,
    thread,
};

use child::{Orders, Process, orders, say};
use stroma::{
    Budget, Cause, Exec, Failure, Full, NodeCx, RunId, Runner, Sealed, Slot, SpendError, Usage, node_with, par,
    store::{Access, Begun, Durable, Encode, RedbSession, RedbStore, Session, Store, StoreError, StoreErrorKind},
};
use tempfile::TempDir;
use tokio::sync::watch;

const INPUT: u64 = 7;
const RUN: &str = "the run";

/// The nodes in order; `left1 -> left2` and `right` are branches, and `mid` keeps nothing.
const NODES: [&str; 6] = ["start", "left1", "left2", "right", "mid", "end"];

/// Where a process can be stopped, in the order in which it gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    /// The node is called and has done nothing yet.
    Before,
    /// It had its effect and has not returned.
    Effect,
    /// It returned, and the store was not given its output yet.
    Unsaved,
    /// The store is at work on its output.
    Writing,
    /// The store has reported that its output is saved, and nothing went on from there.
    Saved,
}

use Point::{Before, Effect, Saved, Unsaved, Writing};

const POINTS: [Point; 5] = [Before, Effect, Unsaved, Writing, Saved];

impl Point {
    fn name(self) -> &'static str {
        match self {
            Before => "before",
            Effect => "effect",
            Unsaved => "unsaved",
            Writing => "writing",
            Saved => "saved",
        }
    }
}

/// A place to stop: the id of a node, or `input`.
type Stop = (&'static str, Point);

fn stop_name((node, point): Stop) -> String {
    format!("{node}:{}", point.name())
}

// ---- The child ----

/// What the child's nodes and its store share.
#[derive(Clone)]
struct Role {
    effects: Arc<File>,
    stops: Arc<BTreeSet<String>>,
    released: watch::Receiver<bool>,
}

impl Role {
    /// Stops here for good, or until it is told to go on, if this is where to stop.
    async fn reach(&self, node: &str, point: Point) {
        let stop = format!("{node}:{}", point.name());
        if self.stops.contains(&stop) {
            say(&format!("at {stop}"));
            let mut released = self.released.clone();
            if released.wait_for(|released| *released).await.is_err() {
                pending::<()>().await;
            }
        }
    }
}

#[derive(Debug)]
struct NoFailure;

impl Failure for NoFailure {}

impl From<SpendError> for NoFailure {
    fn from(_: SpendError) -> Self {
        Self
    }
}

async fn work(x: u64, cx: NodeCx<'_, Role>) -> Result<u64, NoFailure> {
    let role = cx.context();
    role.reach(cx.node(), Before).await;
    let cost = Usage::tokens(cost(cx.node()));
    // The last one is too dear to be forgotten.
    let reserved = if cx.node() == "end" { Some(cx.reserve_ahead(cost).await?) } else { None };
    (&*role.effects).write_all(format!("{}\n", cx.node()).as_bytes()).unwrap();
    if reserved.is_none() {
        cx.record(cost)?;
    }
    role.reach(cx.node(), Effect).await;
    if let Some(reserved) = reserved {
        reserved.settle(cost)?;
    }
    Ok(yielded_by(cx.node(), x))
}

/// The tokens that a node spends: a decimal digit for each counts how often it was paid for.
fn cost(node: &str) -> u64 {
    NODES.iter().zip(0..).find(|(id, _)| **id == node).map_or(0, |(_, at)| 10_u64.pow(at))
}

/// Each node once.
const ONCE: u64 = 111_111;

fn yielded_by(node: &str, x: u64) -> u64 {
    node.bytes().fold(x, |x, byte| x.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

fn joined((left, right): (u64, u64)) -> u64 {
    left ^ right.rotate_left(1)
}

/// What the pipeline yields.
fn result() -> u64 {
    let start = yielded_by("start", INPUT);
    let left = yielded_by("left2", yielded_by("left1", start));
    yielded_by("end", yielded_by("mid", joined((left, yielded_by("right", start)))))
}

type Env = stroma::Caps<
    Durable<Watched>,
    stroma::NoRetry,
    stroma::NoClock,
    Role,
    stroma::ByFailure,
    stroma::NoTrace,
    Full,
    stroma::NoTrace,
    stroma::Metering,
>;

fn pipeline() -> Sealed<impl Exec<Env, In = u64, Out = u64, Error = NoFailure>> {
    let left = node_with("left1", work).then(node_with("left2", work));
    node_with("start", work)
        .then(par(left, node_with("right", work)))
        .map(joined)
        .then(node_with("mid", work).skip_checkpoint())
        .then(node_with("end", work).write_ahead())
        .seal()
}

/// A [`RedbStore`] that says what it has saved, and that stops where it is told to.
#[derive(Debug)]
struct Watched {
    inner: RedbStore,
    role: Role,
}

impl core::fmt::Debug for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Role").field("stops", &self.stops).finish_non_exhaustive()
    }
}

struct WatchedSession {
    inner: RedbSession,
    role: Role,
}

type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + 'a>>;

impl Store for Watched {
    type Session<'a> = WatchedSession;
    type Opening<'a> = Work<'a, WatchedSession>;
    type Forgetting<'a> = stroma::store::RedbForgetting;

    fn open<'a>(&'a self, run: &RunId, access: Access) -> Begun<Result<WatchedSession, StoreError>, Self::Opening<'a>> {
        let role = self.role.clone();
        match self.inner.open(run, access) {
            Begun::Done(opened) => Begun::Done(opened.map(|inner| WatchedSession { inner, role })),
            Begun::Pending(opening) => {
                Begun::Pending(Box::pin(async { Ok(WatchedSession { inner: opening.await?, role }) }))
            }
        }
    }

    fn forget<'a>(&'a self, run: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'a>> {
        self.inner.forget(run)
    }
}

impl Session for WatchedSession {
    type Writing = Work<'static, ()>;
    type Reading = stroma::store::RedbReading;
    type Bytes = Vec<u8>;

    fn is_new(&self) -> bool {
        self.inner.is_new()
    }

    fn holds(&self, slot: Slot<'_>) -> bool {
        self.inner.holds(slot)
    }

    fn each_slot(&self, visit: impl FnMut(Slot<'_>)) {
        self.inner.each_slot(visit);
    }

    fn put(
        &mut self,
        slot: Slot<'static>,
        value: impl Encode,
        ledger: &[u8],
    ) -> Begun<Result<(), StoreError>, Self::Writing> {
        let node = if slot.node.is_empty() { "input" } else { slot.node };
        let role = self.role.clone();
        if role.stops.contains(&stop_name((node, Unsaved))) {
            return Begun::Pending(Box::pin(async move {
                role.reach(node, Unsaved).await;
                pending().await
            }));
        }
        let writing = match self.inner.put(slot, value, ledger) {
            Begun::Done(result) => return Begun::Done(result),
            Begun::Pending(writing) => writing,
        };
        Begun::Pending(Box::pin(async move {
            role.reach(node, Writing).await;
            writing.await?;
            say(&format!("saved {node}"));
            role.reach(node, Saved).await;
            Ok(())
        }))
    }

    fn load<R>(
        &mut self,
        slot: Slot<'_>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Begun<Result<R, StoreError>, Self::Reading> {
        self.inner.load(slot, read)
    }

    fn put_ledger(&mut self, ledger: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.inner.put_ledger(ledger) {
            Begun::Done(result) => Begun::Done(result),
            Begun::Pending(writing) => Begun::Pending(Box::pin(writing)),
        }
    }

    fn ledger(&self) -> &[u8] {
        self.inner.ledger()
    }

    fn discard(&mut self, doomed: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        match self.inner.discard(doomed) {
            Begun::Done(result) => Begun::Done(result),
            Begun::Pending(writing) => Begun::Pending(Box::pin(writing)),
        }
    }
}

/// Not a test of its own: what the others start, and kill.
#[test]
fn child_process() {
    let Ok(file) = env::var("STROMA_CRASH_FILE") else { return };
    let var = |name| env::var(name).unwrap();
    let effects = OpenOptions::new().create(true).append(true).open(var("STROMA_CRASH_EFFECTS")).unwrap();
    let stops = var("STROMA_CRASH_STOPS").split(',').map(str::to_owned).collect();
    let Orders { released, mut commands } = orders();
    let role = Role { effects: Arc::new(effects), stops: Arc::new(stops), released };
    let store = Watched { inner: RedbStore::open(file).unwrap(), role: role.clone() };
    let runner = Runner::new(pipeline())
        .with_store(store)
        .with_context(role)
        .with_budget(Budget::unlimited().tokens(10_000_000))
        .build()
        .unwrap();
    let id = RunId::new(RUN).unwrap();
    say("ready");
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        while let Some(command) = commands.recv().await {
            let run = match command.as_str() {
                "run" => runner.run_as(id, INPUT),
                "resume" => runner.resume(id),
                command => panic!("no such command: {command}"),
            };
            match run.await {
                Ok(done) => {
                    say(&format!("spent {}", done.report.spent.tokens));
                    say(&format!("done {} {} {}", done.output, done.report.status, done.report.restored))
                }
                Err(halted) => match halted.cause {
                    Cause::Store(error) if matches!(error.kind(), StoreErrorKind::Busy { .. }) => say("busy"),
                    Cause::Store(error) if error.kind() == StoreErrorKind::UnknownRun => say("unknown"),
                    cause => say(&format!("halted {cause:?}")),
                },
            }
        }
    });
}

// ---- The parent ----

/// Where the processes of one test keep their file and write down their effects.
struct Place {
    _folder: TempDir,
    file: PathBuf,
    effects: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name| folder.path().join(name);
        Self { file: at("runs.redb"), effects: at("effects"), _folder: folder }
    }

    /// How often each node had its effect so far.
    fn effects(&self) -> BTreeMap<&'static str, usize> {
        let text = fs::read_to_string(&self.effects).unwrap_or_default();
        let count = |node| text.lines().filter(|line| *line == node).count();
        assert!(text.lines().all(|line| NODES.contains(&line)), "{text}");
        NODES.into_iter().map(|node| (node, count(node))).collect()
    }

    fn process(&self, stops: &[Stop]) -> Process {
        let stops: Vec<_> = stops.iter().copied().map(stop_name).collect();
        let mut command = child::command();
        command.env("STROMA_CRASH_FILE", &self.file);
        command.env("STROMA_CRASH_EFFECTS", &self.effects);
        command.env("STROMA_CRASH_STOPS", stops.join(","));
        Process::start(command)
    }
}

impl Process {
    fn wait_for(&mut self, line: &str) {
        while !self.heard.iter().any(|heard| heard == line) {
            let next = self.next();
            assert!(next == line || !Self::is_end(&next), "waited for `{line}`: {:?}", self.heard);
        }
    }

    /// Whether nothing follows until it is told something.
    fn is_end(line: &str) -> bool {
        !["saved ", "at ", "spent "].iter().any(|begin| line.starts_with(begin))
    }

    /// What the runs that came to their end spent.
    fn spent(&self) -> Vec<u64> {
        self.heard.iter().filter_map(|line| line.strip_prefix("spent ")?.parse().ok()).collect()
    }

    /// What a run ends with.
    fn end(&mut self) -> String {
        loop {
            let line = self.next();
            if Self::is_end(&line) {
                return line;
            }
        }
    }

    /// Kills it, and yields what it said to have saved by then.
    fn killed(mut self) -> BTreeSet<String> {
        self.kill();
        // The pipe outlives it.
        self.heard.extend(self.lines.iter());
        self.heard.iter().filter_map(|line| line.strip_prefix("saved ")).map(str::to_owned).collect()
    }
}

/// What is saved by the time that `node` is called.
fn saved_before(node: &str) -> &'static [&'static str] {
    match node {
        "input" => &[],
        "start" => &["input"],
        "left1" | "right" => &["input", "start"],
        "left2" => &["input", "start", "left1"],
        _ => &["input", "start", "left1", "left2", "right"],
    }
}

/// Whether killing at these stops leaves it open if `node` was saved.
fn is_open(stops: &[Stop], node: &str) -> bool {
    stops.contains(&(node, Writing))
}

/// Kills a process at these stops, goes on with another one, and counts.
fn kill_at(stops: &[Stop], by_input: bool) {
    let mut saved: BTreeSet<&str> = BTreeSet::new();
    let mut effects: BTreeSet<&str> = BTreeSet::new();
    for &(node, point) in stops {
        saved.extend(saved_before(node));
        if point == Saved {
            saved.insert(node);
        }
        if point >= Effect && node != "input" {
            effects.insert(node);
        }
        if node == "end" {
            effects.insert("mid");
        }
    }
    let branch = |node: &str| match node {
        "left1" | "left2" => Some("left"),
        "right" => Some("right"),
        _ => None,
    };
    // The other branch goes on to its end before the process is killed, unless it has a stop of its own.
    let branches: BTreeSet<_> = stops.iter().filter_map(|(node, _)| branch(node)).collect();
    match branches.into_iter().collect::<Vec<_>>()[..] {
        ["left"] => saved.extend(["right"]),
        ["right"] => saved.extend(["left1", "left2"]),
        _ => {}
    }
    effects.extend(saved.iter().filter(|node| **node != "input"));

    let place = Place::new();
    let mut process = place.process(stops);
    process.tell("run");
    for stop in stops {
        process.wait_for(&format!("at {}", stop_name(*stop)));
    }
    for node in &saved {
        process.wait_for(&format!("saved {node}"));
    }
    assert!(process.killed().iter().map(String::as_str).eq(saved.iter().copied()), "{stops:?}");
    let at_death = place.effects();
    for node in NODES {
        assert_eq!(at_death[node], usize::from(effects.contains(node)), "{node} {stops:?}");
    }

    let mut process = place.process(&[]);
    let known = saved.contains("input");
    process.tell(if by_input { "run" } else { "resume" });
    let mut end = process.end();
    if !by_input && !known {
        if end == "unknown" {
            process.tell("run");
            end = process.end();
        } else {
            assert!(is_open(stops, "input"), "{stops:?}");
        }
    }
    let nodes = saved.len() - usize::from(known);
    let open = stops.iter().filter(|(node, _)| is_open(stops, node)).count();
    let ends: Vec<_> = (nodes..=nodes + open)
        .flat_map(|restored| ["RESUMED", "COMPLETED"].map(|status| (status, restored)))
        .filter(|(status, _)| is_open(stops, "input") || known == (*status == "RESUMED"))
        .map(|(status, restored)| format!("done {} {status} {restored}", result()))
        .collect();
    assert!(ends.contains(&end), "{end} {stops:?}");
    let mut counted = place.effects();
    for node in NODES {
        let done = match node {
            "mid" => saved.contains("end"),
            _ => saved.contains(node),
        };
        let open = is_open(stops, if node == "mid" { "end" } else { node });
        let times = counted[node] - at_death[node];
        assert!(times == usize::from(!done) || (open && times == 0), "{node} {times} {stops:?}");
        assert!((1..=2).contains(&counted[node]));
    }
    // Whoever asks again, here or in another process, gets the result and runs nothing.
    for command in ["run", "resume"] {
        process.tell(command);
        assert_eq!(process.end(), format!("done {} RESUMED 5", result()));
    }
    process.quit();
    let mut process = place.process(&[]);
    process.tell("resume");
    assert_eq!(process.end(), format!("done {} RESUMED 5", result()));
    let spent = process.spent();
    process.quit();
    // Each node is paid for, as often as it had its effect at most; whoever asks again is told the same.
    let most: u64 = NODES.iter().map(|node| counted[node] as u64 * cost(node)).sum();
    assert!(spent == [spent[0]; 1] && (ONCE..=most).contains(&spent[0]), "{spent:?} {stops:?}");
    for (node, count) in place.effects() {
        assert_eq!(counted.remove(node), Some(count));
    }
}

fn points_of(node: &'static str) -> impl Iterator<Item = Stop> {
    let points = match node {
        "input" => &POINTS[2..],
        "mid" => &POINTS[..2],
        _ => &POINTS[..],
    };
    points.iter().map(move |point| (node, *point))
}

/// Several scenarios at a time: most of what they do is to wait for the disk.
fn all(scenarios: Vec<(Vec<Stop>, bool)>) {
    let next = std::sync::Mutex::new(scenarios.iter());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((stops, by_input)) = next.lock().unwrap().next() else { break };
                    kill_at(stops, *by_input);
                }
            });
        }
    });
}

#[test]
fn killed_at_every_boundary_of_every_node() {
    let stops = ["input"].into_iter().chain(NODES).flat_map(points_of);
    let scenarios: Vec<_> = stops.flat_map(|stop| [(vec![stop], true), (vec![stop], false)]).collect();
    assert_eq!(scenarios.len(), 2 * (3 + 5 * 5 + 2));
    all(scenarios);
}

#[test]
fn killed_at_every_pair_of_boundaries_in_two_branches() {
    let mut by_input = false;
    let mut scenarios = Vec::new();
    for left in ["left1", "left2"].into_iter().flat_map(points_of) {
        for right in points_of("right") {
            by_input = !by_input;
            scenarios.push((vec![left, right], by_input));
        }
    }
    assert_eq!(scenarios.len(), 50);
    all(scenarios);
}

#[test]
fn killed_again_and_again() {
    let place = Place::new();
    let nodes = ["input", "start", "left1", "left2", "mid", "end"];
    // Where the write is under way it is open if the next stop is ever reached.
    for stop in nodes.into_iter().flat_map(points_of).filter(|(_, point)| *point != Writing) {
        let mut process = place.process(&[stop]);
        process.tell("run");
        process.wait_for(&format!("at {}", stop_name(stop)));
        if stop == ("left1", Before) {
            process.wait_for("saved right");
        }
        process.kill();
    }
    let mut process = place.process(&[]);
    process.tell("resume");
    assert_eq!(process.end(), format!("done {} RESUMED 5", result()));
    process.quit();
    let effects = place.effects();
    // Two deaths after the effect and before the checkpoint, and the life that saved it.
    assert_eq!(["start", "left1", "left2", "end"].map(|node| effects[node]), [3; 4]);
    // Saved by the life that died first in the other branch.
    assert_eq!(effects["right"], 1);
    // One death of its own, and the four at `end`.
    assert_eq!(effects["mid"], 5);
}

#[test]
fn of_two_processes_that_race_for_a_run_one_goes_on_and_the_other_is_told_busy() {
    for round in 0..6 {
        let place = Place::new();
        let stop = [("left2", Before)];
        let mut racers = [place.process(&stop), place.process(&stop)];
        for racer in &mut racers {
            racer.tell("run");
        }
        // Whoever is first holds the run until it is let go on, so the other ends first.
        let lines: Vec<_> = racers
            .iter_mut()
            .map(|racer| {
                loop {
                    let line = racer.next();
                    if !line.starts_with("saved ") {
                        break line;
                    }
                }
            })
            .collect();
        let mut racers = Vec::from(racers);
        let mut other = racers.remove(lines.iter().position(|line| line == "busy").unwrap());
        let mut winner = racers.remove(0);
        assert!(lines.contains(&"at left2:before".to_owned()), "{lines:?}");
        winner.wait_for("saved right");
        for command in ["run", "resume"] {
            other.tell(command);
            assert_eq!(other.end(), "busy");
        }
        let before = place.effects();
        assert_eq!(["start", "left1", "left2", "right"].map(|node| before[node]), [1, 1, 0, 1]);
        if round % 2 == 0 {
            winner.tell("on");
            assert_eq!(winner.end(), format!("done {} COMPLETED 0", result()));
            winner.quit();
        } else {
            winner.kill();
            // It stops at the same place, with nothing in the way any more.
            other.tell("on");
        }
        other.tell("run");
        let restored = if round % 2 == 0 { 5 } else { 3 };
        assert_eq!(other.end(), format!("done {} RESUMED {restored}", result()));
        other.quit();
        assert!(place.effects().values().all(|times| *times == 1));
    }
}

#[test]
fn what_was_spent_is_exact_after_a_kill() {
    for (stop, first, spent) in [
        // Nothing of it is saved, and all of it is saved.
        (("start", Effect), "", ONCE),
        (("start", Unsaved), "", ONCE),
        (("start", Saved), "saved start", ONCE),
        // It was spent when the other branch was saved.
        (("left1", Effect), "saved right", ONCE + cost("left1")),
        (("left2", Unsaved), "saved right", ONCE),
        (("right", Saved), "saved left2", ONCE),
        (("mid", Effect), "", ONCE),
        // The last one had reserved ahead, and with its reservation went what `mid` had spent.
        (("end", Before), "", ONCE),
        (("end", Effect), "", ONCE + cost("mid") + cost("end")),
        (("end", Unsaved), "", ONCE + cost("mid") + cost("end")),
        (("end", Saved), "saved end", ONCE),
    ] {
        let place = Place::new();
        let mut process = place.process(&[stop]);
        process.tell("run");
        process.wait_for(&format!("at {}", stop_name(stop)));
        if !first.is_empty() {
            process.wait_for(first);
        }
        process.kill();
        let mut process = place.process(&[]);
        for command in ["run", "resume"] {
            process.tell(command);
            assert!(process.end().starts_with("done "), "{stop:?}");
        }
        assert_eq!(process.spent(), [spent; 2], "{stop:?}");
        process.quit();
    }
}
