//! Digests text files: words and keywords, readability, outline, and what they say, as a report and as JSON.
//!
//! ```text
//! cargo run --release --example digest                        # this repository
//! cargo run --release --example digest -- notes README.md     # a folder and a file
//! cargo run --release --example digest -- --kill-after rank   # dies in the middle; the same again goes on
//! ```
//!
//! Each file is a run of one pipeline (`pipeline.rs`), its checkpoints are in a redb file, and many files run at once.

// A program for a desk has the standard library.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod cli;
mod drive;
mod files;
mod pipeline;
mod progress;
mod render;
mod summary;
mod text;
mod watch;

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use serde::Serialize;
use stroma::{PolicyMap, Runner, store::RedbStore};

use crate::{
    cli::Args,
    drive::{Ended, Trouble},
    files::{Found, Target},
    pipeline::{App, pipeline},
    progress::Progress,
    summary::Summary,
    text::Digest,
    watch::{Kill, Watched},
};

fn main() -> ExitCode {
    let args = Args::parse();
    match digest(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("digest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All that the command does; whether all files were digested.
fn digest(args: &Args) -> Result<bool, String> {
    let begun = Instant::now();
    let pipeline = pipeline();
    let nodes: Vec<&'static str> = pipeline.describe().to_vec().into_iter().map(|node| node.id).collect();
    let shape = pipeline.describe().to_string();
    if let Some(node) = args.kill_after.as_deref().filter(|node| !nodes.contains(node)) {
        let says = format!("there is no node `{node}` to be killed after: the nodes are {}", nodes.join(", "));
        Args::command().error(ErrorKind::InvalidValue, says).exit();
    }

    let state = args.state()?;
    let json = args.json(&state);
    let beside = |suffix: &str| {
        let mut path = state.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let note = beside(".killed");
    let found = find(args, &[state.clone(), beside(".holders"), note.clone(), json.clone()]);

    let store = RedbStore::open(&state).map_err(|error| match error.detail() {
        "" => error.to_string(),
        // What it says in general is for a run that is under way.
        detail => format!("no checkpoints without a store: {detail}"),
    })?;
    let progress = Progress::new(found.targets.len(), nodes.len(), args.quiet);
    let killed_before = args.kill_after.is_some() && fs::read_to_string(&note).ok() == args.kill_after;
    // A note is of use once: whatever the command is this time, the next one is a new one.
    let _ = fs::remove_file(&note);
    let kill = args.kill_after.clone().filter(|_| !killed_before || args.fresh).map(|after| Kill { after, note });
    let will_kill = kill.is_some();

    let runner = Runner::quick(pipeline)
        .with_store(Watched::new(store, progress.clone(), kill))
        // Only reading and writing have something that another attempt could change, and say so themselves.
        .with_policies(PolicyMap::never())
        .with_context(App { json: json.clone() })
        .build()
        .map_err(|error| error.to_string())?;

    let pool = tokio::runtime::Runtime::new().map_err(|error| format!("no threads to work on: {error}"))?;
    let all = drive::all(Arc::new(runner), &found.targets, args.jobs(), args.fresh, &progress);
    let ended = pool.block_on(all);
    // A read that hangs on a dead network drive must not keep the program from ending.
    pool.shutdown_background();
    progress.clear();

    let written = write_report(&json, &found, &ended);
    let took = begun.elapsed();
    let width = textwrap::termwidth();
    let color = |terminal: bool| terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let summary =
        Summary { found: &found, ended: &ended, nodes: &nodes, shape: &shape, took, jobs: args.jobs(), width };
    if !args.quiet {
        let color = color(io::stdout().is_terminal());
        say(io::stdout(), &summary.report(args.long, color));
        let mut last = summary.outcome(color);
        if killed_before && !args.fresh {
            last.push_str("\nIt had killed itself, so this time it went on; the next `--kill-after` kills again.\n");
        } else if will_kill {
            last.push_str("\nNothing was left to do at the node to be killed after, so nothing was killed.\n");
        }
        say(io::stdout(), &last);
        if written.is_ok() {
            say(io::stdout(), &summary::places(&json, &state, color));
        }
    }
    say(io::stderr(), &summary.trouble(color(io::stderr().is_terminal())));
    written.map(|()| found.unfit.is_empty() && ended.iter().all(|one| one.result.is_ok()))
}

/// The files to digest, and what is in the way of others.
fn find(args: &Args, own: &[PathBuf]) -> Found {
    let here = env::current_dir().unwrap_or_default();
    if !args.paths.is_empty() {
        return files::find(&args.paths, &here, own);
    }
    // Cargo says where the package is; without cargo it is where it was when this was compiled, unless it has moved.
    let root = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = if root.is_dir() { root } else { here };
    files::find(std::slice::from_ref(&root), &root, own)
}

/// The JSON of all files.
#[derive(Serialize)]
struct Report<'a> {
    files: Vec<&'a Digest>,
    problems: Vec<Problem<'a>>,
}

/// What is wrong with a file.
#[derive(Serialize)]
struct Problem<'a> {
    path: &'a str,
    why: &'a str,
}

/// Writes `report.json`. No times are in it, so that the same files give the same bytes.
fn write_report(folder: &Path, found: &Found, ended: &[Ended]) -> Result<(), String> {
    let problem = |(target, ended): (&'_ Target, &'_ Ended)| match &ended.result {
        Ok(_) => None,
        Err(trouble) => Some((target.source.path.clone(), trouble.to_string())),
    };
    let troubles: Vec<(String, String)> = found.targets.iter().zip(ended).filter_map(problem).collect();
    let unfit = found.unfit.iter().map(|unfit| Problem { path: &unfit.shown, why: &unfit.why });
    let report = Report {
        files: ended.iter().filter_map(|one| Some(&one.result.as_ref().ok()?.digest)).collect(),
        problems: unfit.chain(troubles.iter().map(|(path, why)| Problem { path, why })).collect(),
    };
    let failed =
        |error: &dyn std::fmt::Display| format!("{} cannot be written: {error}", folder.join("report.json").display());
    let bytes = pipeline::json(&report).map_err(|error| failed(&error))?;
    files::write_whole(folder, "report.json", &std::process::id().to_string(), &bytes).map_err(|error| failed(&error))
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => f.write_str("another process is digesting it"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Prints. When nobody listens any more (`digest | head`) there is nobody to tell.
fn say(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
