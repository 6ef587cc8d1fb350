//! Two processes and one run: the one that has it is stopped for longer than its lease and then goes on, or is killed.
//!
//! The processes are this test binary again. A child opens the store that `STROMA_LEASE_STORE` names. The time is real here:
//! what is waited for is an answer, however long it takes.
#![cfg(all(unix, feature = "redb", feature = "tokio"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "support/child.rs"]
mod child;
#[cfg(feature = "redis")]
#[path = "support/redis.rs"]
mod server;

use core::time::Duration;
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    thread,
    time::Instant,
};

use child::{HUNG, Orders, Process, orders, say};
use rustix::process::{Pid, Signal, kill_process};
#[cfg(feature = "redis")]
use stroma::store::RedisStore;
use stroma::{
    Cause, Failure, NodeCx, RunId, Runner, node_with,
    store::{RedbStore, StoreErrorKind},
};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc as channel, watch},
    task::{LocalSet, spawn_local},
};

/// Long against a process that waits for its turn on a busy machine.
const TERM: Duration = Duration::from_secs(3);
const NODES: [&str; 3] = ["first", "slow", "last"];

/// The store that two processes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redb,
    #[cfg(feature = "redis")]
    Redis,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            #[cfg(feature = "redis")]
            Self::Redis => "redis",
        }
    }
}

// ---- The child ----

/// What the child's nodes share.
#[derive(Debug, Clone)]
struct Role {
    effects: Arc<File>,
    released: watch::Receiver<bool>,
}

#[derive(Debug)]
struct NoFailure;

impl Failure for NoFailure {}

async fn work(x: u64, cx: NodeCx<'_, Role>) -> Result<u64, NoFailure> {
    let (role, run) = (cx.context(), cx.run_id().unwrap().to_string());
    (&*role.effects).write_all(format!("{run} {}\n", cx.node()).as_bytes()).unwrap();
    if cx.node() == "slow" {
        say(&format!("{run} is slow"));
        let mut released = role.released.clone();
        released.wait_for(|released| *released).await.unwrap();
    }
    Ok(x * 10 + 1)
}

/// Runs what it is told to in this store, and says how that went once the run was given back.
macro_rules! serve {
    ($store:expr, $given_back:expr, $role:expr, $commands:expr) => {{
        let pipeline = node_with("first", work).then(node_with("slow", work)).then(node_with("last", work));
        let runner = Rc::new(Runner::new(pipeline).with_store($store).with_context($role).build().unwrap());
        let given_back = Rc::new($given_back);
        say("ready");
        let mut commands: channel::UnboundedReceiver<String> = $commands;
        let tasks = LocalSet::new();
        let serve = tasks.run_until(async {
            while let Some(run) = commands.recv().await {
                let (runner, given_back) = (Rc::clone(&runner), Rc::clone(&given_back));
                spawn_local(async move {
                    let said = match runner.run_as(RunId::new(&run).unwrap(), 0_u64).await {
                        Ok(done) => {
                            format!("done {} {} {}", done.output, done.report.status, done.report.restored)
                        }
                        Err(halted) => match halted.cause {
                            Cause::Store(error) => match error.kind() {
                                StoreErrorKind::Busy { until: None } => "busy".to_owned(),
                                StoreErrorKind::Busy { until: Some(until) } => format!("busy {}", until.as_millis()),
                                kind => format!("{} {kind:?}", halted.report.status),
                            },
                            cause => format!("{cause:?}"),
                        },
                    };
                    (*given_back)().await;
                    say(&format!("{run} {said}"));
                });
            }
        });
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve);
    }};
}

/// Not a test of its own: what the others start, stop and kill.
#[test]
fn child_process() {
    let Ok(kind) = env::var("STROMA_LEASE_STORE") else { return };
    let var = |name| env::var(name).unwrap();
    let time = |name| Duration::from_millis(var(name).parse().unwrap());
    let effects = OpenOptions::new().create(true).append(true).open(var("STROMA_LEASE_EFFECTS")).unwrap();
    let Orders { released, commands } = orders();
    let role = Role { effects: Arc::new(effects), released };
    let (at, term, patience) = (var("STROMA_LEASE_AT"), time("STROMA_LEASE_TERM"), time("STROMA_LEASE_PATIENCE"));
    match kind {
        kind if kind == Kind::Redb.name() => {
            let store = RedbStore::open(at).unwrap().with_lease(term).unwrap().wait_for(patience);
            serve!(store, async || (), role, commands);
        }
        #[cfg(feature = "redis")]
        kind if kind == Kind::Redis.name() => {
            let store = RedisStore::new(&at, HUNG * 10).unwrap().with_lease(term).wait_for(patience);
            serve!(store.clone(), async move || store.flush().await, role, commands);
        }
        kind => panic!("no such store: {kind}"),
    }
}

// ---- The parent ----

/// A store, and where the processes of one test write down their effects.
struct Place {
    folder: TempDir,
    kind: Kind,
    /// A path or an address.
    at: String,
    #[cfg(feature = "redis")]
    server: Option<server::Server>,
}

impl Place {
    fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        #[cfg(feature = "redis")]
        let server = (kind == Kind::Redis).then(|| server::Server::start(&[]));
        let at = match kind {
            Kind::Redb => folder.path().join("runs.redb").to_str().unwrap().to_owned(),
            #[cfg(feature = "redis")]
            Kind::Redis => server.as_ref().unwrap().url(),
        };
        Self {
            folder,
            kind,
            at,
            #[cfg(feature = "redis")]
            server,
        }
    }

    fn effects(&self) -> PathBuf {
        self.folder.path().join("effects")
    }

    /// How often each node of this run had its effect so far.
    fn count(&self, run: &str) -> BTreeMap<&'static str, usize> {
        let text = fs::read_to_string(self.effects()).unwrap_or_default();
        let count = |node| text.lines().filter(|line| *line == format!("{run} {node}")).count();
        NODES.into_iter().map(|node| (node, count(node))).collect()
    }

    fn process(&self, term: Duration, patience: Duration) -> Process {
        let mut command = child::command();
        command.env("STROMA_LEASE_STORE", self.kind.name());
        command.env("STROMA_LEASE_AT", &self.at);
        command.env("STROMA_LEASE_EFFECTS", self.effects());
        command.env("STROMA_LEASE_TERM", term.as_millis().to_string());
        command.env("STROMA_LEASE_PATIENCE", patience.as_millis().to_string());
        Process::start(command)
    }
}

impl Process {
    /// What it says of this run when it is told to run it.
    fn run(&mut self, run: &str) -> String {
        self.ask(run).strip_prefix(&format!("{run} ")).unwrap().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

/// Between two looks at something that others are to change.
fn pause() {
    thread::park_timeout(Duration::from_millis(20));
}

/// The rest of a term, as it was said.
fn until(said: &str) -> Option<Duration> {
    Some(Duration::from_millis(said.strip_prefix("busy ")?.parse().unwrap()))
}

fn stopped_past_its_term_and_continued(kind: Kind) {
    let place = Place::new(kind);
    let mut first = place.process(TERM, Duration::ZERO);
    let mut second = place.process(TERM, Duration::ZERO);
    for run in ["taken", "kept"] {
        assert_eq!(first.run(run), "is slow");
    }
    second.tell("on");

    // Its node takes longer than the term, and it keeps the run.
    let start = Instant::now();
    while start.elapsed() < TERM + TERM / 4 {
        pause();
        let said = second.run("taken");
        assert!(until(&said).is_some_and(|until| until <= TERM), "{said}");
    }
    assert_eq!(place.count("taken"), BTreeMap::from([("first", 1), ("slow", 1), ("last", 0)]));

    // Stopped, it loses what somebody asks for once its term is over, and not before.
    first.signal(Signal::STOP);
    let stopped = Instant::now();
    let mut told = 0;
    let end = loop {
        pause();
        let said = second.run("taken");
        let Some(until) = until(&said) else { break said };
        assert!(until <= TERM, "{said}");
        assert!(stopped.elapsed() < HUNG);
        told += 1;
    };
    assert!(told > 0);
    assert_eq!([end, second.next()], ["is slow", "taken done 111 RESUMED 1"]);
    assert_eq!(place.count("taken"), BTreeMap::from([("first", 1), ("slow", 2), ("last", 1)]));

    // It goes on, in the middle of its nodes, and is refused by the run that it lost, and by no other.
    first.signal(Signal::CONT);
    first.tell("on");
    let mut ends = [first.next(), first.next()];
    ends.sort();
    assert_eq!(ends, ["kept done 111 COMPLETED 0", "taken PARTIAL Fenced"]);
    assert_eq!(place.count("taken"), BTreeMap::from([("first", 1), ("slow", 2), ("last", 1)]));
    assert_eq!(place.count("kept"), BTreeMap::from([("first", 1), ("slow", 1), ("last", 1)]));
    // What the other one saved is what both have from now on.
    for process in [&mut first, &mut second] {
        for run in ["taken", "kept"] {
            assert_eq!(process.run(run), "done 111 RESUMED 3");
        }
    }
    assert_eq!(place.count("taken"), BTreeMap::from([("first", 1), ("slow", 2), ("last", 1)]));
    [first, second].into_iter().for_each(Process::quit);
}

fn waited_for(kind: Kind) {
    let place = Place::new(kind);
    let mut first = place.process(TERM, Duration::ZERO);
    let mut second = place.process(TERM, HUNG);
    assert_eq!(first.run("r"), "is slow");
    first.signal(Signal::STOP);
    second.tell("on");
    assert_eq!(second.run("r"), "is slow");
    assert_eq!(second.next(), "r done 111 RESUMED 1");
    first.signal(Signal::CONT);
    first.tell("on");
    assert_eq!(first.next(), "r PARTIAL Fenced");
    assert_eq!(place.count("r"), BTreeMap::from([("first", 1), ("slow", 2), ("last", 1)]));
    [first, second].into_iter().for_each(Process::quit);
}

#[test]
fn a_process_that_is_stopped_past_its_term_is_fenced_when_it_goes_on() {
    stopped_past_its_term_and_continued(Kind::Redb);
}

#[test]
fn who_waits_has_the_run_of_a_stopped_process_once_its_term_is_over() {
    waited_for(Kind::Redb);
}

#[test]
fn a_killed_process_gives_up_its_runs_at_once_whatever_its_term() {
    let place = Place::new(Kind::Redb);
    let hour = Duration::from_secs(3600);
    let mut first = place.process(hour, Duration::ZERO);
    let mut second = place.process(hour, Duration::ZERO);
    assert_eq!(first.run("r"), "is slow");
    second.tell("on");
    let said = second.run("r");
    assert!(until(&said).is_some_and(|until| until > hour - HUNG), "{said}");
    first.kill();
    assert_eq!(second.run("r"), "is slow");
    assert_eq!(second.next(), "r done 111 RESUMED 1");
    assert_eq!(place.count("r"), BTreeMap::from([("first", 1), ("slow", 2), ("last", 1)]));
    second.quit();
}

#[cfg(feature = "redis")]
#[test]
fn the_same_on_a_server() {
    if server::is_installed() {
        stopped_past_its_term_and_continued(Kind::Redis);
    }
}

#[cfg(feature = "redis")]
#[test]
fn who_waits_has_it_on_a_server_too() {
    if server::is_installed() {
        waited_for(Kind::Redis);
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_killed_process_gives_up_its_runs_on_a_server_when_its_lease_ends_and_not_before() {
    if !server::is_installed() {
        return;
    }
    let place = Place::new(Kind::Redis);
    let mut first = place.process(TERM, Duration::ZERO);
    let mut second = place.process(TERM, Duration::ZERO);
    assert_eq!(first.run("r"), "is slow");
    second.tell("on");
    let said = second.run("r");
    assert!(until(&said).is_some_and(|until| until <= TERM), "{said}");
    first.kill();
    // The terms are counted by the server's clock.
    let server = place.server.as_ref().unwrap();
    let end: u64 = server.ask::<String>(&["HGET", "stroma:{r}", "@until"]).parse().unwrap();
    let killed = Instant::now();
    let said = loop {
        let said = second.run("r");
        let Some(until) = until(&said) else { break said };
        assert!(until <= TERM, "{said}");
        assert!(killed.elapsed() < HUNG);
        pause();
    };
    let [seconds, micros]: [u64; 2] = server.ask::<Vec<u64>>(&["TIME"]).try_into().unwrap();
    assert!(seconds * 1_000 + micros / 1_000 >= end, "it was had {} ms too early", end - seconds * 1_000);
    assert_eq!([said, second.next()], ["is slow", "r done 111 RESUMED 1"]);
    assert_eq!(place.count("r"), BTreeMap::from([("first", 1), ("slow", 2), ("last", 1)]));
    second.quit();
}
