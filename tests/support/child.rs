//! A process that is this test binary again, which tests start, talk to in lines, stop and kill.
//!
//! The binary has a "test" `child_process`, which is what the child does; its environment tells it from a test that has nothing
//! to do. Parent and child wait for each other's lines, never for a time.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio, exit},
    sync::mpsc,
    thread,
    time::Duration,
};

use tokio::sync::{mpsc as channel, watch};

/// When a child counts as hung. It is a failure, and nothing that a test waits for in the good case.
pub(crate) const HUNG: Duration = Duration::from_secs(60);

/// The arguments by which this binary is the child.
pub(crate) const ARGS: [&str; 4] = ["--exact", "child_process", "--nocapture", "--test-threads=1"];

// ---- In the child ----

pub(crate) fn say(line: &str) {
    // Not `println!`, which the test harness keeps to itself.
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("\n@{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}

/// What the parent says.
pub(crate) struct Orders {
    /// Whether whoever waits may go on, which `on` says.
    pub(crate) released: watch::Receiver<bool>,
    /// All else, up to `quit`.
    pub(crate) commands: channel::UnboundedReceiver<String>,
}

/// Listens to the parent. The process ends with it, so that nothing is left behind in any case.
pub(crate) fn orders() -> Orders {
    let (release, released) = watch::channel(false);
    let (send, commands) = channel::unbounded_channel();
    thread::spawn(move || {
        let mut send = Some(send);
        for line in io::stdin().lock().lines() {
            match (line.unwrap().as_str(), &send) {
                ("on", _) => drop(release.send(true)),
                ("quit", _) => send = None,
                (command, Some(send)) => send.send(command.to_owned()).unwrap(),
                (command, None) => panic!("{command} after the end"),
            }
        }
        exit(3);
    });
    Orders { released, commands }
}

// ---- In the parent ----

/// This binary as a child that is not started yet.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(ARGS);
    command
}

pub(crate) struct Process {
    pub(crate) child: Child,
    stdin: ChildStdin,
    pub(crate) lines: mpsc::Receiver<String>,
    /// All that it said and that was listened to.
    pub(crate) heard: Vec<String>,
}

impl Process {
    /// Starts a child, which says `ready` once it is.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines() {
                if let Some(line) = line.unwrap().strip_prefix('@') {
                    // The parent may have ended already.
                    let _ = send.send(line.to_owned());
                }
            }
        });
        let stdin = child.stdin.take().unwrap();
        let mut process = Self { child, stdin, lines, heard: Vec::new() };
        assert_eq!(process.next(), "ready");
        process
    }

    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").unwrap();
    }

    /// The next line that it says.
    pub(crate) fn next(&mut self) -> String {
        let line = self.lines.recv_timeout(HUNG).unwrap_or_else(|error| panic!("{error}: {:?}", self.heard));
        self.heard.push(line.clone());
        line
    }

    /// What it says to this.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.next()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(!status.success());
        #[cfg(unix)]
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    pub(crate) fn quit(mut self) {
        self.tell("quit");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only a test that fails leaves one behind; this ends one that is stopped, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
