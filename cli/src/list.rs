//! All runs of a store.

use std::{
    collections::HashSet,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::{
    source::Source,
    state::{State, summary},
    table::{Table, columns},
    text::Json,
    trouble::Trouble,
};

pub(crate) async fn list(
    source: &mut Source,
    json: bool,
    states: &[State],
    out: &mut impl Write,
) -> Result<(), Trouble> {
    let mut table = Table::new(columns());
    // A server may come across a run twice.
    let mut seen = HashSet::new();
    let once = source.is_server();
    let mut count = 0_u64;
    let mut tally = Tally::new();
    let listed = source
        .each(|mut page| {
            tally.add(page.len());
            page.retain(|run| states.is_empty() || states.contains(&State::of(run)));
            page.retain(|run| !once || seen.insert(run.run));
            count += page.len() as u64;
            if page.is_empty() {
                return Ok(());
            }
            tally.wipe();
            if json {
                page.iter().try_for_each(|run| writeln!(out, "{}", Json(&summary(run))))?;
            } else {
                table.rows(&page, out)?;
            }
            Ok(())
        })
        .await;
    tally.wipe();
    listed?;
    if count == 0 && !json {
        let which = if states.is_empty() { "there are no runs" } else { "there are no such runs" };
        // Where nobody hears it, an empty output says the same.
        let _ = writeln!(io::stderr().lock(), "{which} in {}", source.name);
    }
    Ok(())
}

/// How many runs were looked at, for whoever waits at a terminal and sees nothing come.
struct Tally {
    count: usize,
    told: Instant,
    is_shown: bool,
    is_wanted: bool,
}

impl Tally {
    /// How long nothing may come before it is shown, and then between two numbers.
    const EVERY: Duration = Duration::from_millis(500);

    fn new() -> Self {
        Self { count: 0, told: Instant::now(), is_shown: false, is_wanted: io::stderr().is_terminal() }
    }

    fn add(&mut self, runs: usize) {
        self.count += runs;
        if self.is_wanted && self.told.elapsed() >= Self::EVERY {
            (self.told, self.is_shown) = (Instant::now(), true);
            let _ = write!(io::stderr().lock(), "\r{} runs so far\u{1b}[K", self.count);
        }
    }

    /// Makes room for what is to be said instead.
    fn wipe(&mut self) {
        // Where rows come, they show by themselves that it goes on.
        if io::stdout().is_terminal() {
            self.told = Instant::now();
        }
        if self.is_shown {
            self.is_shown = false;
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}
