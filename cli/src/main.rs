//! `stroma`: looks into stores.

mod args;
mod follow;
mod show;
mod source;
mod state;
mod text;
mod trouble;

use std::{
    collections::HashSet,
    env,
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use serde_json::json;
use stroma::{RunId, store::inspect::Holding};

use crate::{
    args::{At, Command, Line},
    follow::{Form, follow},
    show::{Table, room},
    source::{Source, redacted},
    state::{State, full, hex, summary},
    text::plain,
    trouble::Trouble,
};

fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => return misunderstood(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(Trouble::failed(format!("there is no runtime: {error}")))),
    };
    ended(runtime.block_on(carry_out(line.command)))
}

async fn carry_out(command: Command) -> Result<(), Trouble> {
    let mut out = anstream::stdout().lock();
    match command {
        Command::List { at, json, state } => list(&at, json, &state, &mut out).await?,
        Command::Show { at, run, json } => {
            let view = Source::open(&at)?.look(&run).await?;
            if json {
                writeln!(out, "{}", full(&view))?;
            } else {
                show::run(&view, &mut out)?;
            }
        }
        Command::Follow { at, run, json, every } => {
            let form = match json {
                true => Form::Json,
                false if io::stdout().is_terminal() => Form::Picture,
                false => Form::Lines,
            };
            let mut source = Source::open(&at)?;
            let every = every.unwrap_or_else(|| source.every());
            follow(&mut source, &run, every, form, &mut out).await?;
        }
        Command::Export { at, run, .. } => {
            let view = Source::open(&at)?.find(&run, true).await?.ok_or_else(|| Trouble::unknown(&run))?;
            let mut value = full(&view);
            value["ledger"] = json!(hex(&view.ledger));
            writeln!(out, "{value:#}")?;
        }
        Command::Forget { at, run, yes, json } => {
            forget(&at, &run, yes).await?;
            if json {
                writeln!(out, "{}", json!({ "run": run.to_string(), "forgotten": true }))?;
            } else {
                writeln!(out, "forgotten: {}", plain(&run.to_string()))?;
            }
        }
        Command::Completions { shell } => {
            // Into memory first: who generates them takes a closed pipe for a bug.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Line::command(), "stroma", &mut script);
            out.write_all(&script)?;
        }
    }
    out.flush()?;
    Ok(())
}

async fn list(at: &At, json: bool, states: &[State], out: &mut impl Write) -> Result<(), Trouble> {
    let mut table = Table::new(room());
    // A server may come across a run twice.
    let mut seen = HashSet::new();
    let mut source = Source::open(at)?;
    let once = source.may_repeat();
    let mut count = 0_u64;
    source
        .each(|mut page| {
            page.retain(|run| states.is_empty() || states.contains(&State::of(run)));
            page.retain(|run| !once || seen.insert(run.run));
            count += page.len() as u64;
            if json {
                page.iter().try_for_each(|run| writeln!(out, "{}", summary(run)))?;
            } else {
                table.rows(&page, out)?;
            }
            Ok(())
        })
        .await?;
    if count == 0 && !json {
        let which = if states.is_empty() { "there are no runs" } else { "there are no such runs" };
        eprintln!("{which} in {}", source.name);
    }
    Ok(())
}

async fn forget(at: &At, run: &RunId, yes: bool) -> Result<(), Trouble> {
    let mut source = Source::open(at)?;
    let view = source.look(run).await?;
    if let Holding::Held { until } = view.holding {
        return Err(Trouble::held(run, until));
    }
    if !yes {
        if !io::stdin().is_terminal() {
            return Err(Trouble::usage("nobody is here to ask whether you are sure: say `--yes`"));
        }
        let mut ask = io::stderr().lock();
        write!(ask, "Forget run `{}` with its {} values, for good? [y/N] ", plain(&run.to_string()), view.slots.len())?;
        ask.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Trouble::failed("nothing was forgotten"));
        }
    }
    source.forget(run).await
}

fn ended(result: Result<(), Trouble>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if trouble.code != 0 {
                eprintln!("stroma: {}", trouble.text);
            }
            ExitCode::from(trouble.code)
        }
    }
}

/// Says what was wrong with the command line, or its help. clap says again what it was told, so a password would be there.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let secret = env::args().skip(1).any(|arg| redacted(&arg) != plain(&arg));
    if !secret || !error.use_stderr() {
        let _ = error.print();
    } else {
        let mut said = error.render().to_string();
        for arg in env::args().skip(1) {
            let shown = redacted(&arg);
            if shown != arg {
                said = said.replace(&arg, &shown);
            }
        }
        eprint!("{said}");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
