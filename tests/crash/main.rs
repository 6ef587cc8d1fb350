//! A process killed with SIGKILL at every boundary of a pipeline with branches, and resumed by another one: what was reported
//! as checkpointed never runs again, and what was not runs once more at most.
//!
//! The processes are this test binary again. A child does the part that `STROMA_CRASH_FILE` asks for.
#![cfg(all(feature = "redb", feature = "tokio"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "../support/child.rs"]
mod child;
mod role;

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
use role::{ONCE, be_the_child, cost, result};
use stroma::{
    Budget, Cause, Exec, Failure, NodeCx, RunId, Runner, Sealed, Slot, SpendError, Usage, node_with, par,
    parts::{Durable, Full},
    store::{Access, Begun, Encode, RedbSession, RedbStore, Session, Store, StoreError, StoreErrorKind},
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

/// Not a test of its own: what the others start, and kill.
#[test]
fn child_process() {
    be_the_child();
}

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
