//! What can be said on the command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use stroma::RunId;

const EXIT: &str = "\
Exit status:
  0    it is done; of `follow`: the run is finished
  1    it failed: the store cannot be read, or cannot be reached
  2    the command line makes no sense
  3    there is no such run
  4    somebody has the run
  130  Ctrl-C ended `follow` before the run was finished
  141  nobody reads on what `follow` says, and the run was not finished

With --json an error is an object too, on standard error:
  {\"error\":{\"kind\":\"unknown-run\",\"message\":\"..\",\"status\":3}}

Where the store is can also be said by STROMA_STORE; then WHERE is left out. A URL with a password is better said like this, since \
others see the arguments of a program.";

/// The same in short, for the help of a command.
const STATUS: &str = "\
Exit status: 0 done, 1 failed, 2 usage, 3 no such run, 4 somebody has the run; `stroma --help` has the rest.";

/// What `list` cannot explain in its table.
const UNKNOWN: &str = "\
A `?` is what the store was not told: the run was begun by a program with a version of the library that did not tell it yet. `stroma \
show` says of one run what its state means and what to do. On a narrow terminal columns are left out; --json has them all.

Exit status: 0 done, 1 failed, 2 usage; `stroma --help` has the rest.";

/// Looks into the stores of stroma.
///
/// It shows which runs there are, how far each got, what it spent, and who has it. None of this takes a run from whoever executes
/// it, and it needs none of the types of the programs that do.
#[derive(Debug, Parser)]
#[command(name = "stroma", version, after_help = EXIT, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The file of a `RedbStore`, or the URL of a Redis server: `redis://host:6379/0`, `rediss://..` with TLS, `unix:///path`.
    #[arg(value_name = "WHERE", value_hint = ValueHint::AnyPath, env = "STROMA_STORE", hide_env_values = true)]
    pub(crate) place: Option<OsString>,
    /// What the keys on a server begin with. [default: stroma]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All runs, a line for each: of a file in the order of their ids, of a server in no order.
    #[command(after_help = UNKNOWN)]
    List {
        #[command(flatten)]
        store: StoreArgs,
        /// A JSON object for each run, on a line of its own.
        #[arg(long)]
        json: bool,
        /// Only those in one of these states.
        #[arg(long, value_name = "STATE", value_delimiter = ',')]
        state: Vec<crate::state::State>,
    },
    /// One run: its nodes, what it keeps of each, what it spent, and who has it.
    #[command(allow_missing_positional = true, after_help = STATUS)]
    Show {
        #[command(flatten)]
        store: StoreArgs,
        /// The run's id.
        run: RunId,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Shows one run as it goes on, until it is finished or forgotten, or until Ctrl-C.
    ///
    /// On a terminal the picture is drawn anew; otherwise there is a line for each change. A server that goes away is waited for, for
    /// half a minute.
    #[command(allow_missing_positional = true, after_help = STATUS)]
    Follow {
        #[command(flatten)]
        store: StoreArgs,
        /// The run's id.
        run: RunId,
        /// A JSON object for each change, on a line of its own.
        #[arg(long)]
        json: bool,
        /// How often to look, in milliseconds: 250 for a file, 1000 for a server, which reads the whole run each time.
        #[arg(long, value_name = "MS", value_parser = every)]
        every: Option<Duration>,
    },
    /// One run with the bytes of all that it keeps, as JSON: for a report of a bug.
    ///
    /// The values are in hexadecimal, as they are stored: a version, the hash of their type's schema, the value in postcard's form,
    /// a checksum. Whatever secrets the run has in them are there too.
    #[command(allow_missing_positional = true, after_help = STATUS)]
    Export {
        #[command(flatten)]
        store: StoreArgs,
        /// The run's id.
        run: RunId,
        /// Into this file: whole, or not at all. One that is there already is left as it is. On Unix only its owner may read it.
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// It is JSON in any case.
        #[arg(long, hide = true)]
        json: bool,
    },
    /// Forgets runs and all that they keep; not one that somebody has.
    ///
    /// They are looked at first: where one of them is not there, or somebody has it, none is forgotten. Then it is one after the
    /// other, and where one fails, since somebody took it meanwhile, it is said which are forgotten. With more than one, WHERE has to
    /// be said.
    #[command(allow_missing_positional = true, after_help = STATUS)]
    Forget {
        #[command(flatten)]
        store: StoreArgs,
        /// The runs' ids.
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<RunId>,
        /// Without asking.
        #[arg(long, short)]
        yes: bool,
        /// A JSON object for each run, on a line of its own.
        #[arg(long)]
        json: bool,
    },
    /// Completions for a shell, to be put where it looks for them.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

impl Command {
    /// Whether all that is said is to be JSON.
    pub(crate) const fn is_json(&self) -> bool {
        match self {
            Self::List { json, .. }
            | Self::Show { json, .. }
            | Self::Follow { json, .. }
            | Self::Export { json, .. }
            | Self::Forget { json, .. } => *json,
            Self::Completions { .. } => false,
        }
    }
}

fn every(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(millis @ 10..=3_600_000) => Ok(Duration::from_millis(millis)),
        _ => Err("it is a number of milliseconds from 10 to 3600000".to_owned()),
    }
}
