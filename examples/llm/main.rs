//! Extracts facts from a text with a language model: people, places, dates and numbers, each with its sentence.
//!
//! ```text
//! cargo run --example llm                              # a text and a server of its own: nothing is needed, nothing is paid
//! cargo run --example llm -- --faults 429:2,cut-off,wrong-type
//! cargo run --example llm -- --kill-after ask-1        # dies in the middle; the same again pays for no call twice
//! OPENAI_API_KEY=... cargo run --example llm -- notes.txt --base-url https://api.openai.com/v1 --model gpt-4o-mini
//! ```
//!
//! A text is a run of one pipeline (`pipeline.rs`). Its calls go through `client.rs`, which sends one request and says what
//! became of it, to a server that `--base-url` names, or to one that the program starts itself (`server.rs`).

// A program for a desk has the standard library.
#![allow(clippy::std_instead_of_core, clippy::std_instead_of_alloc)]

mod cli;
mod client;
mod pipeline;
mod progress;
mod render;
#[allow(dead_code, reason = "the tests ask the server what it saw")]
mod server;
mod text;
#[path = "../digest/watch.rs"]
mod watch;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use stroma::{Cause, Halted, Outcome, PolicyMap, RunStatus, Runner, TokioClock, Trace, store::RedbStore};

use crate::{
    cli::Args,
    client::{ApiKey, Client},
    pipeline::{App, AppError, Source, pipeline},
    progress::Progress,
    server::Server,
    watch::{Kill, Watched},
};

/// The text that comes with the example.
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/llm/herschel.txt");
/// The name of the program's own server in what is kept: its address is another one each time.
const OWN_SERVER: &str = "loopback";
/// The key of the program's own server.
const OWN_KEY: &str = "sk-loopback";

fn main() -> ExitCode {
    let args = Args::parse();
    let pool = match tokio::runtime::Runtime::new() {
        Ok(pool) => pool,
        Err(error) => {
            eprintln!("llm: no threads to work on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = pool.block_on(extract(&args));
    // A read that hangs on a dead network drive must not keep the program from ending.
    pool.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("llm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All that the command does.
async fn extract(args: &Args) -> Result<(), String> {
    let pipeline = pipeline::<TokioClock>();
    let nodes: Vec<&'static str> = pipeline.describe().to_vec().into_iter().map(|node| node.id).collect();
    if let Some(node) = args.kill_after.as_deref().filter(|node| !nodes.contains(node)) {
        let says = format!("there is no node `{node}` to be killed after: the nodes are {}", nodes.join(", "));
        Args::command().error(ErrorKind::InvalidValue, says).exit();
    }
    let progress = Progress::new(args.quiet);

    // Kept until the end: it ends when it is dropped.
    let own: Option<Server>;
    let client = match &args.base_url {
        Some(url) => {
            own = None;
            let key = env::var("OPENAI_API_KEY").map_err(|_| {
                "OPENAI_API_KEY is not set: set it to a key of the server's (any word, where it asks for none)"
                    .to_owned()
            })?;
            Client::new(url, ApiKey::new(&key))
        }
        None => {
            let server = Server::start(OWN_KEY, args.faults.iter().copied(), TokioClock).await;
            let server = server.map_err(|error| format!("no port for a server of its own: {error}"))?;
            progress.say(&format!(
                "No --base-url was given, so the model is a few rules in a server of the program's own, {}.",
                server.base_url()
            ));
            let client = Client::new(server.base_url(), ApiKey::new(OWN_KEY));
            own = Some(server);
            client
        }
    };
    let client = client.map_err(|error| chain(&error))?;

    let server = args.base_url.as_deref().unwrap_or(OWN_SERVER);
    let path = args.text.as_deref().unwrap_or(Path::new(TEXT));
    let source = Source::find(path, server, &args.model, args.part_words, args.take)
        .map_err(|error| format!("{}: {}", path.display(), chain(&error)))?;
    let id = source.run_id();

    let state = args.state()?;
    let mut note = state.clone().into_os_string();
    note.push(".killed");
    let note = PathBuf::from(note);
    let killed_before = args.kill_after.is_some() && fs::read_to_string(&note).ok() == args.kill_after;
    // A note is of use once: whatever the command is this time, the next one is a new one.
    let _ = fs::remove_file(&note);
    let kill = args.kill_after.clone().filter(|_| !killed_before).map(|after| Kill { after, note });

    let store = RedbStore::open(&state).map_err(|error| match error.detail() {
        "" => error.to_string(),
        // What it says in general is for a run that is under way.
        detail => format!("no checkpoints without a store: {detail}"),
    })?;
    let runner = Runner::quick(pipeline)
        .with_store(Watched::new(store, progress, kill))
        // Only the calls have something that another attempt could change, and say so themselves.
        .with_policies(PolicyMap::never())
        .with_context(App { client, model: args.model.clone(), progress })
        .build()
        .map_err(|error| error.to_string())?;

    let text = source.path.clone();
    let done = runner.run_as(id, source).await.map_err(|halted| reason(&halted))?;
    if let Some(server) = own {
        let asked = server.asked().len();
        progress.say(&format!("The server was asked {asked} {}.", if asked == 1 { "time" } else { "times" }));
    }
    let restored = restored(&done.trace);
    if restored > 0 {
        let total = nodes.len();
        progress.say(&format!("Not run again, since it was checkpointed: {restored} of {total} nodes."));
    }
    progress.say(&format!("{}: {}.", done.report.status, render::took(&done.output.took)));
    let mut out = String::new();
    if args.json {
        let run = id.to_string();
        let json = render::Json { text: &text, run, status: done.report.status.to_string(), extract: &done.output };
        out = serde_json::to_string_pretty(&json).map_err(|error| error.to_string())?;
        out.push('\n');
    } else {
        // Writing to a string does not fail.
        let _ = render::report(&done.output, &mut out, textwrap::termwidth());
    }
    // When nobody listens any more (`llm | head`) there is nobody to tell.
    let _ = io::stdout().write_all(out.as_bytes()).and_then(|()| io::stdout().flush());
    Ok(())
}

/// In how many nodes of a trace nothing was run.
fn restored(trace: &Trace) -> usize {
    trace.events().iter().filter(|event| event.outcome == Outcome::Restored).count()
}

/// Why a run stopped: node, attempts, all that is underneath, and what to do.
fn reason(halted: &Halted<AppError, Trace>) -> String {
    let why = match &halted.cause {
        Cause::Error(error) => chain(error),
        Cause::Store(error) => chain(error),
        Cause::Checkpoint(error) => format!("{}; another --take begins anew", chain(error)),
        other => other.to_string(),
    };
    let at = match (halted.node, halted.attempt) {
        (None, _) => String::new(),
        (Some(node), 0 | 1) => format!("node `{node}`, "),
        (Some(node), attempts) => format!("node `{node}`, {attempts} attempts, "),
    };
    let line = format!("{} ({at}{}): {why}", halted.report.status, halted.class);
    match halted.report.status {
        RunStatus::Partial => format!("{line}; the same command again goes on from there"),
        _ => line,
    }
}

/// An error and its sources, in one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}
