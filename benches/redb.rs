//! What a checkpoint costs in the embedded store and in the memory store.
//!
//! `cargo bench --bench redb`. The variants take turns in one run and on one file system, so the ratios mean more than the
//! times; both are shown with how far they spread. With `--test` each does a little of its work once.
#![allow(clippy::std_instead_of_alloc, reason = "a bench is a program with a standard library")]

use core::{
    future::{Future, Ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::mpsc,
    thread,
    time::Instant,
};

use allocation_counter::measure;
use redb::{ConcurrencyMode, Database, TableDefinition};
use stroma::{
    Failure, RunId, Runner, Slot, SlotKind, node,
    store::{Access, Begun, Encode, EncodeError, MemoryStore, RedbSession, RedbStore, Session, Store, StoreError},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What a checkpoint saves: a value, and the ledger beside it.
const VALUE: [u8; 128] = [7; 128];
const LEDGER: [u8; 40] = [3; 40];
const IN_FLIGHT: usize = 64;

fn main() {
    // `--test` is what a run of all benches passes on to see that they work.
    let (rounds, each) = if env::args().any(|arg| arg == "--test") { (2, 2) } else { (100, 25) };
    on_disk(rounds, each);
    in_memory(rounds, each);
}

// ---- The disk ----

/// One way to save checkpoints.
struct Variant<'v> {
    name: &'v str,
    /// Saves so many.
    save: Box<dyn FnMut(usize) + 'v>,
    /// How many at a time.
    times: usize,
    /// Nanoseconds a checkpoint, by round.
    rounds: Vec<f64>,
}

impl<'v> Variant<'v> {
    fn new(name: &'v str, times: usize, save: impl FnMut(usize) + 'v) -> Self {
        Self { name, save: Box::new(save), times, rounds: Vec::new() }
    }

    fn round(&mut self, each: usize) {
        let count = each * self.times;
        let start = Instant::now();
        (self.save)(count);
        self.rounds.push(start.elapsed().as_nanos() as f64 / count as f64);
    }
}

fn on_disk(rounds: usize, each: usize) {
    // Where the temporary files of a system are, there may be no disk.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| folder.path().join(name);
    let tokio = Builder::new_current_thread().build().unwrap();

    let mut plain = appending(&path("plain"));
    let ask = appending_thread(&path("on a thread"));
    let database = by_hand(&path("by hand.redb"));
    let store = RedbStore::open(path("runs.redb")).unwrap();
    let mut single = session(&tokio, &store, "single");
    let sessions: Vec<_> = (0..IN_FLIGHT).map(|run| session(&tokio, &store, &format!("run {run}"))).collect();
    let mut sessions = Some(sessions);

    let (mut in_store, mut in_table) = (0, 0);
    let mut variants = [
        Variant::new("append and fdatasync", 1, |count| (0..count).for_each(|_| append(&mut plain))),
        Variant::new("the same on a thread that is asked", 1, |count| (0..count).for_each(|_| ask())),
        Variant::new("RedbStore", 1, |count| {
            for _ in 0..count {
                in_store += 1;
                tokio.block_on(save(&mut single, in_store));
            }
        }),
        Variant::new("a transaction of redb by hand", 1, |count| {
            for _ in 0..count {
                in_table += 1;
                insert(&database, in_table);
            }
        }),
        Variant::new("RedbStore, 64 runs in flight", IN_FLIGHT, |count| {
            let tasks: Vec<_> = sessions
                .take()
                .unwrap()
                .into_iter()
                .map(|mut session| {
                    tokio.spawn(async move {
                        for instance in 0..count / IN_FLIGHT {
                            save(&mut session, instance as u32).await;
                        }
                        session
                    })
                })
                .collect();
            sessions = Some(tasks.into_iter().map(|task| tokio.block_on(task).unwrap()).collect());
        }),
    ];
    for variant in &mut variants {
        // What is made when it is first needed.
        (variant.save)(variant.times);
    }
    for _ in 0..rounds {
        for variant in &mut variants {
            variant.round(each);
        }
    }
    show(&variants);
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

fn append(file: &mut File) {
    let mut line = [0; VALUE.len() + LEDGER.len()];
    let (value, ledger) = line.split_at_mut(VALUE.len());
    value.copy_from_slice(&VALUE);
    ledger.copy_from_slice(&LEDGER);
    file.write_all(&line).unwrap();
    file.sync_data().unwrap();
}

/// What a store pays that must not block the thread of whoever asks.
fn appending_thread(path: &Path) -> impl Fn() + use<> {
    let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
    let mut file = appending(path);
    thread::spawn(move || {
        for answer in asked {
            append(&mut file);
            answer.send(()).unwrap();
        }
    });
    move || {
        let (answer, answered) = mpsc::channel();
        ask.send(answer).unwrap();
        answered.recv().unwrap();
    }
}

const RUNS: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("runs");
const SLOTS: TableDefinition<'_, (&str, u32), &[u8]> = TableDefinition::new("slots");

fn by_hand(path: &Path) -> Database {
    Database::builder().set_concurrency_mode(ConcurrencyMode::MultiWriter).create(path).unwrap()
}

fn insert(database: &Database, instance: u32) {
    let write = database.begin_write().unwrap();
    write.open_table(SLOTS).unwrap().insert(("run", instance % 64), &VALUE[..]).unwrap();
    write.open_table(RUNS).unwrap().insert("run", (1, &LEDGER[..])).unwrap();
    write.commit().unwrap();
}

struct Bytes;

impl Encode for Bytes {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(VALUE.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer.get_mut(..VALUE.len()).ok_or(EncodeError::NoRoom)?.copy_from_slice(&VALUE);
        Ok(VALUE.len())
    }
}

fn session(tokio: &Runtime, store: &RedbStore, run: &str) -> RedbSession {
    tokio.block_on(async {
        match store.open(&RunId::new(run).unwrap(), Access::Create) {
            Begun::Done(opened) => opened.unwrap(),
            Begun::Pending(opening) => opening.await.unwrap(),
        }
    })
}

async fn save(session: &mut RedbSession, instance: u32) {
    let slot = Slot { node: "node", index: 0, instance: instance % 64, kind: SlotKind::Output };
    match session.put(slot, Bytes, &LEDGER) {
        Begun::Done(saved) => saved.unwrap(),
        Begun::Pending(saving) => saving.await.unwrap(),
    }
}

/// The tenth, the half and the nine tenths of these.
fn spread(mut of: Vec<f64>) -> [f64; 3] {
    of.sort_by(f64::total_cmp);
    [0.1, 0.5, 0.9].map(|part| of[((of.len() - 1) as f64 * part).round() as usize])
}

/// Each variant beside the first, round by round.
fn show(variants: &[Variant<'_>]) {
    println!("{:36}{:>16}{:>14}   time a checkpoint against the first", "on disk", "checkpoints/s", "microseconds");
    for variant in variants {
        let [_, time, _] = spread(variant.rounds.clone());
        let ratios = variant.rounds.iter().zip(&variants[0].rounds).map(|(time, base)| time / base);
        let [low, ratio, high] = spread(ratios.collect());
        println!("{:36}{:16.0}{:14.1}   {ratio:.3} ({low:.3} to {high:.3})", variant.name, 1e9 / time, time / 1e3);
    }
}

// ---- Memory ----

/// A store that says yes and keeps nothing.
struct Nothing;

impl Store for Nothing {
    type Session<'a> = Nothing;
    type Opening<'a> = Ready<Result<Nothing, StoreError>>;
    type Forgetting<'a> = Ready<Result<bool, StoreError>>;

    fn open(&self, _: &RunId, _: Access) -> Begun<Result<Nothing, StoreError>, Self::Opening<'_>> {
        Begun::Done(Ok(Nothing))
    }

    fn forget(&self, _: &RunId) -> Begun<Result<bool, StoreError>, Self::Forgetting<'_>> {
        Begun::Done(Ok(false))
    }
}

impl Session for Nothing {
    type Writing = Ready<Result<(), StoreError>>;
    type Reading = Ready<Result<[u8; 0], StoreError>>;
    type Bytes = [u8; 0];

    fn is_new(&self) -> bool {
        true
    }

    fn holds(&self, _: Slot<'_>) -> bool {
        false
    }

    fn each_slot(&self, _: impl FnMut(Slot<'_>)) {}

    fn put(&mut self, _: Slot<'static>, _: impl Encode, _: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(Ok(()))
    }

    fn put_ledger(&mut self, _: &[u8]) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(Ok(()))
    }

    fn load<R>(&mut self, _: Slot<'_>, read: impl FnOnce(&[u8]) -> R) -> Begun<Result<R, StoreError>, Self::Reading> {
        Begun::Done(Ok(read(&[])))
    }

    fn ledger(&self) -> &[u8] {
        &[]
    }

    fn discard(&mut self, _: impl FnMut(Slot<'_>) -> bool) -> Begun<Result<(), StoreError>, Self::Writing> {
        Begun::Done(Ok(()))
    }
}

#[derive(Debug)]
struct Never;

impl Failure for Never {}

async fn add(x: u64) -> Result<u64, Never> {
    Ok(black_box(x).wrapping_add(1))
}

/// The input and the output of eight nodes.
const CHECKPOINTS: f64 = 9.0;
/// The runs of a round.
const RUNS_EACH: usize = 40;

macro_rules! runs {
    ($store:expr) => {{
        let pipeline = node("1", add)
            .then(node("2", add))
            .then(node("3", add))
            .then(node("4", add))
            .then(node("5", add))
            .then(node("6", add))
            .then(node("7", add))
            .then(node("8", add));
        let runner = Runner::new(pipeline).with_store($store).build().unwrap();
        let mut id = 0;
        move |count: usize| {
            for _ in 0..count {
                id += 1;
                black_box(driven(runner.run_as(RunId::from_u128(id), 1)).unwrap().output);
            }
        }
    }};
}

/// None of these waits for anything.
fn driven<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

fn in_memory(rounds: usize, each: usize) {
    let mut kept = runs!(MemoryStore::<1, 9, 192>::new());
    let mut lost = runs!(Nothing);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let count = each * RUNS_EACH;
    let time = |runs: &mut dyn FnMut(usize)| {
        let start = Instant::now();
        runs(count);
        start.elapsed().as_nanos() as f64 / count as f64 / CHECKPOINTS
    };
    kept(count);
    lost(count);
    for _ in 0..rounds {
        with.push(time(&mut kept));
        without.push(time(&mut lost));
    }
    let allocations = measure(|| kept(count)).count_total;
    let more = spread(with.iter().zip(&without).map(|(with, without)| with - without).collect());
    let [_, with, _] = spread(with);
    let [_, without, _] = spread(without);
    println!("\nin memory, a checkpoint (a run of eight nodes and its input, divided by nine)");
    println!("{:36}{with:10.1} ns", "MemoryStore");
    println!("{:36}{without:10.1} ns", "a store that keeps nothing");
    println!("{:36}{:10.1} ns ({:.1} to {:.1}), {allocations} allocations", "more", more[1], more[0], more[2]);
}
