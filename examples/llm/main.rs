//! Extracts facts from a text with a language model: people, places, dates and numbers, each with its sentence.
//!
//! ```text
//! cargo run --example llm                              # a text and a server of its own: nothing is needed, nothing is paid
//! cargo run --example llm -- --faults 429:2,cut-off,wrong-type
//! cargo run --example llm -- --kill-after ask-1        # dies in the middle; the same again pays for no call twice
//! cargo run --example llm -- --take 2 --budget 0.003   # not enough; the same with more goes on
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
mod rules;
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
use stroma::{
    Budget, BudgetExceeded, Cause, Dimension, Halted, PolicyMap, Pricing, RunStatus, Runner, SpendError, TokioClock,
    Trace, store::RedbStore,
};

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
        Err(Failed { code, line }) => {
            eprintln!("llm: {line}");
            ExitCode::from(code)
        }
    }
}

/// There are no facts.
struct Failed {
    /// The exit status.
    code: u8,
    /// Why, and what to do.
    line: String,
}

impl Failed {
    /// The command made no sense.
    const fn usage(line: String) -> Self {
        Self { code: 2, line }
    }
}

impl From<String> for Failed {
    fn from(line: String) -> Self {
        Self { code: 1, line }
    }
}

/// All that the command does.
async fn extract(args: &Args) -> Result<(), Failed> {
    let pipeline = pipeline::<TokioClock>();
    // (Those that keep nothing have no moment to be killed at.)
    let nodes = pipeline.describe().to_vec();
    let nodes: Vec<&'static str> = nodes.into_iter().filter(|node| node.checkpointed).map(|node| node.id).collect();
    if let Some(node) = args.kill_after.as_deref().filter(|node| !nodes.contains(node)) {
        let says = format!("there is no node `{node}` to be killed after: the nodes are {}", nodes.join(", "));
        Args::command().error(ErrorKind::InvalidValue, says).exit();
    }
    let progress = Progress::new(args.quiet);
    let (pricing, budget) = (pricing(args)?, args.budget());

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
    let mut runner = Runner::quick(pipeline).with_budget(budget).with_pricing(pricing);
    if let Some(small) = args.fallback() {
        runner = runner.with_model_fallback(args.model.clone(), small.to_owned(), args.fallback_at);
    }
    let runner = runner
        .with_store(Watched::new(store, progress, kill))
        // Only the calls have something that another attempt could change, and say so themselves.
        .with_policies(PolicyMap::never())
        .with_context(App { client, model: args.model.clone(), progress })
        .build()
        .map_err(|error| Failed::usage(error.to_string()))?;

    let text = source.path.clone();
    let done = runner.run_as(id, source).await.map_err(|halted| reason(&halted, &budget))?;
    if let Some(server) = own {
        let asked = server.asked().len();
        progress.say(&format!("The server was asked {asked} {}.", if asked == 1 { "time" } else { "times" }));
    }
    let restored = done.report.restored;
    if restored > 0 {
        let total = nodes.len();
        progress.say(&format!("Not run again, since it was checkpointed: {restored} of {total} nodes."));
    }
    let (took, spent) = (render::took(&done.output.took), render::spent(&done.report.spent, &budget));
    progress.say(&format!("{}: {took}. Spent: {spent}.", done.report.status));
    let mut out = String::new();
    if args.json {
        let run = id.to_string();
        let (spent, budget) = (render::Money::of(&done.report.spent), render::Limits::of(&budget));
        let status = done.report.status.to_string();
        let json = render::Json { text: &text, run, status, spent, budget, extract: &done.output };
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

/// What the models cost.
///
/// # Errors
/// When a table cannot be read, or when money is limited and the price of a model is not known: that is told before there is a
/// call.
fn pricing(args: &Args) -> Result<Pricing, Failed> {
    let mut pricing = Pricing::known();
    if let Some(path) = &args.prices {
        let told = |error: &dyn Error| Failed::usage(format!("{}: {}", path.display(), chain(error)));
        let text = fs::read_to_string(path).map_err(|error| told(&error))?;
        pricing = pricing.merge_json(&text).map_err(|error| told(&error))?;
    }
    let mut models = [Some(args.model.as_str()), args.fallback()].into_iter().flatten();
    let unknown = models.find(|model| pricing.price_of(model).is_none());
    match unknown {
        Some(model) if args.budget.0.is_some() => {
            let as_of = pricing.as_of().unwrap_or("no known day");
            let line =
                format!("the model `{model}` has no price in the table of {as_of}, so no budget can hold: {PRICE}");
            Err(Failed::usage(line))
        }
        _ => Ok(pricing),
    }
}

/// What to do about a model without a price.
const PRICE: &str = "give its price with --prices FILE (see --help), or --budget none to go without a limit of money";

/// Why a run stopped: node, attempts, all that is underneath, and what to do.
fn reason(halted: &Halted<AppError, Trace>, budget: &Budget) -> Failed {
    let at = match (halted.node, halted.attempt) {
        (None, _) => String::new(),
        (Some(node), 0 | 1) => format!("node `{node}`, "),
        (Some(node), attempts) => format!("node `{node}`, {attempts} attempts, "),
    };
    let (code, why) = why(halted);
    let spent = render::spent(&halted.report.spent, budget);
    let line = format!("{} ({at}{}): {why}", halted.report.status, halted.class);
    let line = match &halted.cause {
        Cause::Budget(exceeded) => {
            let option = if exceeded.dimension() == Dimension::Tokens { "--max-tokens" } else { "--budget" };
            format!("{line}; spent is {spent}; the same command with a larger {option} goes on from there")
        }
        // What was paid for is kept.
        Cause::Account(_) => format!("{line}; then the same command goes on from there"),
        _ if halted.report.status == RunStatus::Partial => {
            format!("{line}; the same command again goes on from there")
        }
        _ => line,
    };
    Failed { code, line }
}

/// The exit status for the cause of a stop, and what it is.
fn why(halted: &Halted<AppError, Trace>) -> (u8, String) {
    match &halted.cause {
        Cause::Budget(BudgetExceeded::Cost { limit, actual }) => {
            (3, format!("the budget of {limit} does not allow more: the run could come to {actual}"))
        }
        Cause::Budget(BudgetExceeded::Tokens { limit, actual }) => {
            (3, format!("the budget of {limit} tokens does not allow more: the run could come to {actual}"))
        }
        Cause::Contract(broken) => {
            let flaw = &broken.violation;
            let advice = "ask anew with another --take, or another --model";
            (4, format!("the model's answer cannot be used, and it did not mend it when it was told: {flaw}; {advice}"))
        }
        Cause::Account(SpendError::UnknownModel(model)) => {
            let model = model.name().unwrap_or_default();
            (1, format!("the server says that it was `{model}` that answered, which has no price: {PRICE}"))
        }
        Cause::Error(error) => (1, chain(error)),
        Cause::Account(error) => (1, chain(error)),
        Cause::Ledger(error) => (1, chain(error)),
        Cause::Store(error) => (1, chain(error)),
        Cause::Checkpoint(error) => (1, format!("{}; another --take begins anew", chain(error))),
        other => (1, other.to_string()),
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
