//! Many runs at once on one Redis server, which is killed in the middle and started again.
//!
//! ```text
//! cargo run --release --features redis --example load                      10,000 runs at once, for a minute
//! cargo run --features redis --example load -- --runs 500 --seconds 6      what the checks run
//! cargo run --release --features redis --example load -- --redis <url>     on a server of yours, which is not killed
//! ```
//!
//! Each place runs one pipeline of eight nodes after the other. Every node counts its calls and waits for a moment, as if for
//! somebody's answer. When a run has ended, it is resumed, which must call nothing and give the same, and forgotten. In the end it
//! says how many runs were begun, lost and doubled, and what one of them takes in memory while it waits. It fails when a
//! single one is not as it should be.

#[path = "../tests/support/redis.rs"]
mod server;

use std::{
    error::Error,
    fs,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use server::Server;
use stroma::{RunId, RunStatus, Runner, node, par, secs, store::RedisStore};

#[derive(Debug, Parser)]
#[command(about = "Many runs at once on one Redis server, which is killed in the middle")]
struct Options {
    /// How many runs are under way at once.
    #[arg(long, default_value_t = 10_000)]
    runs: usize,
    /// For how long new ones are begun, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A server of yours; it is not killed. Without this one is started, and killed half-way.
    #[arg(long)]
    redis: Option<String>,
}

/// What goes through the nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Parcel {
    place: u32,
    round: u32,
    stamps: Vec<u32>,
}

#[derive(Debug, thiserror::Error)]
#[error("a node that cannot fail failed")]
struct Never;

impl stroma::Failure for Never {}

/// How often each node was called in the run that is in a place: eight counters of a byte.
struct Calls(Vec<AtomicU64>);

const ONCE_EACH: u64 = 0x0101_0101_0101_0101;

impl Calls {
    fn add(&self, place: u32, node: u32) {
        self.0[place as usize].fetch_add(1 << (8 * (node - 1)), Ordering::SeqCst);
    }
}

/// What one place did.
#[derive(Default)]
struct Tally {
    begun: AtomicUsize,
    ended: AtomicUsize,
    wrong: AtomicUsize,
    doubled: AtomicUsize,
    size: AtomicUsize,
}

macro_rules! stamp {
    ($calls:expr, $id:literal, $number:literal) => {{
        let calls = Arc::clone(&$calls);
        node($id, move |mut parcel: Parcel| {
            let calls = Arc::clone(&calls);
            async move {
                calls.add(parcel.place, $number);
                // Half a second to a second and a half, another for each, and the same each time.
                let wait = 500 + (parcel.place.wrapping_mul(31) + parcel.round * 17 + $number * 131) % 1_000;
                tokio::time::sleep(Duration::from_millis(wait.into())).await;
                parcel.stamps.push($number);
                Ok::<_, Never>(parcel)
            }
        })
    }};
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut own = None;
    let url = match &options.redis {
        Some(url) => url.clone(),
        None if server::is_installed() => {
            // What it has answered for must survive its death.
            let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
            own.insert(server).url()
        }
        None => return Ok(()),
    };
    let store = RedisStore::new(&url, secs(3_600))?.with_prefix("stroma-load");
    store.reach().await?;
    let calls = Arc::new(Calls((0..options.runs).map(|_| AtomicU64::new(0)).collect()));
    let tally = Arc::new(Tally::default());
    let pipeline = stamp!(calls, "n1", 1)
        .then(stamp!(calls, "n2", 2))
        .then(stamp!(calls, "n3", 3))
        .then(par(stamp!(calls, "n4", 4), stamp!(calls, "n5", 5)))
        .map(|(mut one, other)| {
            one.stamps.extend(other.stamps.last());
            one
        })
        .then(stamp!(calls, "n6", 6))
        .then(stamp!(calls, "n7", 7))
        .then(stamp!(calls, "n8", 8));
    let runner = Arc::new(Runner::new(pipeline).with_store(store.clone()).build()?);

    let before = resident();
    let begun = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let places: Vec<_> = (0..options.runs as u32)
        .map(|place| {
            let (runner, calls, tally, over) = (runner.clone(), calls.clone(), tally.clone(), over.clone());
            tokio::spawn(async move {
                let mut round = 0;
                while !over.load(Ordering::SeqCst) {
                    calls.0[place as usize].store(0, Ordering::SeqCst);
                    tally.begun.fetch_add(1, Ordering::SeqCst);
                    let id = RunId::new(&format!("{place}/{round}")).map_err(|error| error.to_string())?;
                    let parcel = Parcel { place, round, stamps: Vec::new() };
                    let going = runner.run_as(id, parcel);
                    tally.size.store(size_of_val(&going), Ordering::Relaxed);
                    let done = going.await.map_err(|halted| halted.to_string())?;
                    let again = runner.resume(id).await.map_err(|halted| halted.to_string())?;
                    if done.output.stamps != [1, 2, 3, 4, 5, 6, 7, 8]
                        || (done.output.place, done.output.round) != (place, round)
                        || again.output != done.output
                        || again.report.status != RunStatus::Resumed
                    {
                        tally.wrong.fetch_add(1, Ordering::SeqCst);
                    }
                    if calls.0[place as usize].load(Ordering::SeqCst) != ONCE_EACH {
                        tally.doubled.fetch_add(1, Ordering::SeqCst);
                    }
                    runner.forget(id).await.map_err(|error| error.to_string())?;
                    tally.ended.fetch_add(1, Ordering::SeqCst);
                    round += 1;
                }
                Ok::<(), String>(())
            })
        })
        .collect();

    let mut waiting = 0;
    let mut away = Duration::ZERO;
    for second in 1..=options.seconds {
        tokio::time::sleep_until((begun + secs(second)).into()).await;
        waiting = waiting.max(resident().saturating_sub(before));
        if let (true, Some(server)) = (second == options.seconds / 2, &mut own) {
            eprintln!("{second:3} s: the server is killed");
            let killed = Instant::now();
            tokio::task::block_in_place(|| server.kill());
            tokio::time::sleep(secs(1)).await;
            tokio::task::block_in_place(|| server.start_again());
            away = killed.elapsed();
            eprintln!("{second:3} s: it was started again, after {away:.1?}");
        } else if second % 5 == 0 || second == options.seconds {
            eprintln!("{second:3} s: {} runs ended", tally.ended.load(Ordering::SeqCst));
        }
    }
    over.store(true, Ordering::SeqCst);
    eprintln!("no new ones are begun; those under way go to their end");
    let mut lost = Vec::new();
    for place in places {
        if let Err(error) = place.await? {
            lost.push(error);
        }
    }
    let took = begun.elapsed();
    store.flush().await;

    let [begun, ended, wrong, doubled, size] =
        [&tally.begun, &tally.ended, &tally.wrong, &tally.doubled, &tally.size].map(|of| of.load(Ordering::SeqCst));
    let a_run = waiting / options.runs.max(1) as u64;
    println!("{begun} runs begun, {} at once, for {took:.1?}", options.runs);
    println!("{ended} ended, {} lost, {wrong} with another result, {doubled} with a node called twice", begun - ended);
    println!("{:.0} checkpoints/s, the server away for {away:.1?} of it", (ended * 9) as f64 / took.as_secs_f64());
    println!("{a_run} bytes of memory for each run while it waits, {size} of them its future");
    if let Some(error) = lost.first() {
        return Err(format!("{} places stopped, the first with: {error}", lost.len()).into());
    }
    if let Some(server) = &own {
        let left = server.keys();
        if !left.is_empty() {
            return Err(format!("{} keys were left on the server, such as {}", left.len(), left[0]).into());
        }
    }
    if begun != ended || wrong + doubled > 0 {
        return Err("not every run went as it should".into());
    }
    // What the runtime itself takes does not count where there are few.
    if options.runs >= 1_000 && a_run > 16 << 10 {
        return Err("a waiting run takes more than 16 KiB".into());
    }
    Ok(())
}

/// The memory of this process that is in use, in bytes; zero where the system does not say.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4_096
}
