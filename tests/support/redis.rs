//! A redis-server of one's own: on a free port, in a folder that goes with it, and to be killed, stopped and started again.
#![allow(dead_code, reason = "every program uses a part of it")]

use std::{
    fmt::Display,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use redis::{Client, Connection, FromRedisValue};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// Whether there is a redis-server to start. Where there is none it says which package has it, and with `CI=true` that is a failure.
pub(crate) fn is_installed() -> bool {
    if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    {
        return true;
    }
    let message = "redis-server is missing: `apt-get install redis-server`";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    eprintln!("SKIPPED: {message}");
    false
}

pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
    args: Vec<String>,
    /// How the tests themselves get in.
    own_url: String,
}

impl Server {
    /// A server with these arguments besides the usual ones: no file is written unless they say so.
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args: Vec<_> = args.iter().map(|arg| arg.replace("{dir}", folder.path().to_str().unwrap())).collect();
        // Somebody else may take the port before the server does; then another one is tried.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = launch(port, folder.path(), &args) {
                let own_url = format!("redis://127.0.0.1:{port}/");
                let server = Self { child, port, folder, args, own_url };
                return server;
            }
        }
        panic!("redis-server does not start on any port");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The tests themselves come in by this URL from now on.
    pub(crate) fn come_in_by(&mut self, url: impl Display) {
        self.own_url = url.to_string();
    }

    pub(crate) fn connection(&self) -> Connection {
        let client = Client::open(self.own_url.as_str()).unwrap();
        until("the server lets its own test in", || client.get_connection().ok())
    }

    /// One command, in words.
    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub(crate) fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query(&mut self.connection())
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", "*"]);
        keys.sort();
        keys
    }

    /// How often a command was called since the server began.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    }

    /// When it is started again.
    pub(crate) fn with_more_args(&mut self, args: &[&str]) -> &mut Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port, with what is on the disk.
    pub(crate) fn start_again(&mut self) {
        let (port, folder, args) = (self.port, self.folder.path(), &self.args);
        self.child = until("the server starts again", || launch(port, folder, args));
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and waits until it says that it takes connections; `None` when the port is taken.
fn launch(port: u16, folder: &Path, args: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    let port = port.to_string();
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
    command.arg("--unixsocket").arg(folder.join("redis.sock")).arg("--dir").arg(folder);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("redis-server starts: `apt-get install redis-server`");
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    let mut line = String::new();
    while output.read_line(&mut line).unwrap_or_default() > 0 {
        // It says so once for its port, and it answers `LOADING` from then on.
        if line.contains("Ready to accept connections") || line.contains("Server initialized") {
            // What it says later must not block it.
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            return Some(child);
        }
        said.push_str(&line);
        line.clear();
    }
    let _ = child.wait();
    assert!(said.contains("ddress already in use"), "redis-server did not start:\n{said}");
    None
}

/// Asks until there is something, for a while.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The same in async code, which goes on in the meantime.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
