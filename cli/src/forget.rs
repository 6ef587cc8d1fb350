//! Runs are forgotten, once whoever wants it is sure.

use std::{
    collections::HashSet,
    io::{self, BufRead, IsTerminal, Write},
};

use serde_json::json;
use stroma::{RunId, store::inspect::Holding};

use crate::{
    source::Source,
    text::{Json, plain},
    trouble::Trouble,
};

/// Forgets them all, or where one is not there or somebody has it, none.
pub(crate) async fn forget(
    mut source: Source,
    mut runs: Vec<RunId>,
    yes: bool,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Trouble> {
    let mut seen = HashSet::new();
    runs.retain(|run| seen.insert(*run));
    let mut values = 0;
    for run in &runs {
        let view = source.look(run).await?;
        if let Holding::Held { until } = view.holding {
            return Err(Trouble::held(run, until));
        }
        values += view.slots.len();
    }
    if !yes {
        ask(&runs, values)?;
    }
    // What is decided is done, also where nobody reads on.
    let mut said = Ok(());
    let forgotten = source
        .forget(&runs, |run| {
            let line = match json {
                true => writeln!(out, "{}", Json(&json!({ "run": run.to_string(), "forgotten": true }))),
                false => writeln!(out, "forgotten: {}", plain(&run.to_string())),
            };
            if said.is_ok() {
                said = line;
            }
        })
        .await;
    forgotten.and(said.map_err(Trouble::from))
}

fn ask(runs: &[RunId], values: usize) -> Result<(), Trouble> {
    if !io::stdin().is_terminal() {
        return Err(Trouble::usage("nobody is here to ask whether you are sure: say `--yes`"));
    }
    let mut to = io::stderr().lock();
    match runs {
        [run] => write!(to, "Forget run `{}` with its {values} values", plain(&run.to_string()))?,
        _ => write!(to, "Forget {} runs with their {values} values", runs.len())?,
    }
    write!(to, ", for good? [y/N] ")?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Trouble::failed("nothing was forgotten")),
    }
}
