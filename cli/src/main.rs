//! `stroma`: looks into stores.

mod args;
mod export;
mod follow;
mod forget;
mod list;
mod place;
mod show;
mod source;
mod state;
mod table;
mod text;
mod trouble;
mod usage;

use std::{
    env,
    io::{self, IsTerminal, Write},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use crate::{
    args::{Cli, Command},
    export::export,
    follow::{Form, follow},
    forget::{ask, forget},
    list::list,
    source::Source,
    state::full,
    text::Json,
    trouble::Trouble,
    usage::misunderstood,
};

fn main() -> ExitCode {
    // Over some files that are damaged redb panics, which the store catches and says in its own words.
    panic::set_hook(Box::new(|_| {}));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let json = cli.command.is_json();
    let done = panic::catch_unwind(AssertUnwindSafe(|| run(cli.command)));
    match done.unwrap_or_else(|cause| Err(Trouble::failed(format!("a fault of this program: {}", words(&*cause))))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            trouble.say(json);
            ExitCode::from(trouble.kind.status())
        }
    }
}

/// What a panic said.
fn words(cause: &(dyn std::any::Any + Send)) -> &str {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("it does not say which")
}

fn run(command: Command) -> Result<(), Trouble> {
    // With a thread beside this one, which reads files and waits for them: Ctrl-C is heard there.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::failed(format!("there is no runtime: {error}")))?;
    runtime.block_on(carry_out(command))
}

async fn carry_out(command: Command) -> Result<(), Trouble> {
    let mut out = anstream::stdout().lock();
    match command {
        Command::List { store, json, state } => list(&mut Source::open(&store, json)?, json, &state, &mut out).await?,
        Command::Show { store, run, json } => {
            let view = Source::open(&store, json)?.look(&run).await?;
            if json {
                writeln!(out, "{}", Json(&full(&view)))?;
            } else {
                show::run(&view, &mut out)?;
            }
        }
        Command::Follow { store, run, json, every } => {
            let form = match json {
                true => Form::Json,
                // A terminal that moves no cursor says so.
                false if io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb") => {
                    Form::Picture
                }
                false => Form::Lines,
            };
            let mut source = Source::open(&store, json)?;
            let every = every.unwrap_or_else(|| source.every());
            follow(&mut source, &run, every, form, &mut out).await?;
        }
        Command::Export { store, run, output, json } => {
            let view = Source::open(&store, json)?.find(&run, true).await?.ok_or_else(|| Trouble::unknown(&run))?;
            export(&view, output.as_deref(), &mut out)?;
        }
        Command::Forget { store, runs, yes, json } => {
            forget(Source::open(&store, json)?, runs, (!yes).then_some(ask), json, &mut out).await?
        }
        Command::Completions { shell } => {
            // Into memory first: who generates them takes a closed pipe for a bug.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "stroma", &mut script);
            out.write_all(&script)?;
        }
    }
    out.flush()?;
    Ok(())
}
