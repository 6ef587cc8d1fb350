//! Runs to look at, and the program that does.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use serde_json::Value;
use stroma::{
    Budget, Failure, NodeCx, RunId, Runner, SpendError, Usage, node_with, par,
    store::{Encode, EncodeError, RedbStore, Store},
};
use tokio::sync::watch;

/// When something counts as hung. It is a failure, and nothing that a test waits for in the good case.
const HUNG: Duration = Duration::from_secs(60);

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// A JSON object in each line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stroma"));
    command.env_remove("STROMA_STORE").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command
}

pub(crate) fn stroma(args: impl IntoIterator<Item: AsRef<OsStr>>) -> Said {
    said(program().args(args).output().unwrap())
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

/// The arguments of a command about a run.
pub(crate) fn about(command: &str, place: &str, run: &str) -> [String; 4] {
    // A run may be called like an option.
    [command, place, "--", run].map(str::to_owned)
}

#[derive(Debug)]
pub(crate) struct Oops;

impl Failure for Oops {}

impl From<SpendError> for Oops {
    fn from(_: SpendError) -> Self {
        Self
    }
}

/// What the nodes are told: which of them fails, and where to wait for a word.
pub(crate) struct Told {
    pub(crate) fails: &'static str,
    pub(crate) waits: Vec<String>,
    pub(crate) go: watch::Receiver<usize>,
}

impl Told {
    pub(crate) fn to_fail(node: &'static str) -> Self {
        Self { fails: node, waits: Vec::new(), go: watch::channel(0).1 }
    }
}

async fn work(x: u64, cx: NodeCx<'_, Arc<Told>>) -> Result<u64, Oops> {
    let told = cx.context();
    if let Some(at) = told.waits.iter().position(|node| node == cx.node()) {
        say(&format!("at {}", cx.node()));
        if told.go.clone().wait_for(|go| *go > at).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    if cx.node() == told.fails {
        return Err(Oops);
    }
    cx.record(Usage::tokens(10))?;
    Ok(x + 1)
}

/// Executes `start -> (left | right) -> end`, of which each node spends ten tokens; whether it went to its end.
pub(crate) async fn execute<S: Store>(store: S, run: &str, told: Told) -> bool {
    let branches = par(node_with("left", work), node_with("right", work)).map(|(left, right)| left + right);
    let pipeline = node_with("start", work).then(branches).then(node_with("end", work));
    let runner = Runner::new(pipeline)
        .with_store(store)
        .with_budget(Budget::unlimited())
        .with_context(Arc::new(told))
        .build()
        .unwrap();
    runner.run_as(RunId::new(run).unwrap(), 7).await.is_ok()
}

/// A file with these runs; those that fail do it where it says.
pub(crate) fn file(folder: &Path, runs: &[(&str, &'static str)]) -> PathBuf {
    let path = folder.join("runs.redb");
    let store = RedbStore::open(&path).unwrap();
    for (run, fails) in runs {
        let done = wait(execute(store.clone(), run, Told::to_fail(fails)));
        assert_eq!(done, fails.is_empty());
    }
    path
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A value that is these bytes, whatever they are.
pub(crate) struct Raw(pub(crate) &'static [u8]);

impl Encode for Raw {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.0.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer[..self.0.len()].copy_from_slice(self.0);
        Ok(self.0.len())
    }
}

// ---- A process that executes a run ----

const FILE: &str = "STROMA_CLI_CHILD";
const RUN: &str = "STROMA_CLI_CHILD_RUN";
const WAITS: &str = "STROMA_CLI_CHILD_WAITS";

fn say(line: &str) {
    // Not `println!`, which the test harness keeps to itself.
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("\n@{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}

/// What the child does, which is a test of this binary that has nothing to do elsewhere.
pub(crate) fn be_the_child() {
    let Ok(path) = env::var(FILE) else { return };
    let (go, told) = watch::channel(0);
    // Each line is a word; where nobody is left to say one, nobody is left to wait for.
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_err() {
                break;
            }
            go.send_modify(|go| *go += 1);
        }
        std::process::exit(3);
    });
    let waits = env::var(WAITS).unwrap().split(',').map(str::to_owned).collect();
    let store = RedbStore::open(path).unwrap();
    let done = wait(execute(store, &env::var(RUN).unwrap(), Told { fails: "", waits, go: told }));
    say(if done { "done" } else { "failed" });
}

pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    /// Executes `run` in the file, and waits in these nodes until it is told to go on.
    pub(crate) fn start(test: &str, path: &Path, run: &str, waits: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(FILE, path).env(RUN, run).env(WAITS, waits);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self::of(command);
        process.stdin = process.child.stdin.take();
        process
    }

    /// Reads all that it says.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Self::reading(child, stdout)
    }

    /// The same with what it says on standard error, in one order.
    pub(crate) fn of_both(mut command: Command) -> Self {
        let (said, to) = io::pipe().unwrap();
        command.stdout(to.try_clone().unwrap()).stderr(to);
        let child = command.spawn().unwrap();
        // Only the child has the other end by then, so that what it says has an end.
        drop(command);
        Self::reading(child, said)
    }

    fn reading(child: Child, said: impl io::Read + Send + 'static) -> Self {
        let stdout = BufReader::new(said);
        let (to, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin: None, lines }
    }

    pub(crate) fn next_line(&self) -> String {
        self.lines.recv_timeout(HUNG).expect("it says something")
    }

    /// Waits until it says that it is there.
    pub(crate) fn wait_for(&self, line: &str) {
        while self.next_line().strip_prefix('@') != Some(line) {}
    }

    pub(crate) fn go_on(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ctrl-C.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
