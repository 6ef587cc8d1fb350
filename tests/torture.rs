//! The torture kit on pipelines that keep the crate's promises, over every store; and on stores and pipelines that do not, each of
//! which has to be caught, with the shortest schedule that shows it.
#![cfg(feature = "testing")]

#[path = "support/error.rs"]
mod error;
#[path = "support/flawed.rs"]
mod flawed;

use std::{cell::Cell, time::Duration};

use error::Oops;
use flawed::{Flaw, Flawed};
use stroma::{
    Price, Pricing,
    prelude::*,
    store::{HeapStore, MemoryStore, Store},
    testing::{Broken, End, Life, Promise, Schedule, Subject, Suite, Survived, Torture},
};

async fn double(x: u64) -> Result<u64, Oops> {
    Ok(x * 2)
}

async fn add(x: u64) -> Result<u64, Oops> {
    tokio::task::yield_now().await;
    Ok(x + 1)
}

async fn slow(x: u64) -> Result<u64, Oops> {
    tokio::time::sleep(secs(1)).await;
    Ok(x * 3)
}

/// Fails at its first attempt in each life.
async fn flaky(x: u64, cx: NodeCx<'_, NoContext>) -> Result<u64, Oops> {
    if cx.attempt() == 1 { Err(Oops::Busy) } else { Ok(x + 7) }
}

/// Uses what costs something.
async fn ask(x: u64, cx: NodeCx<'_, NoContext>) -> Result<u64, Oops> {
    let reserved = cx.reserve(Usage::of("m").input(10).output(20)).map_err(|_| Oops::Busy)?;
    tokio::time::sleep(ms(100)).await;
    reserved.settle(Usage::of("m").input(10).output(5)).map_err(|_| Oops::Busy)?;
    Ok(x + 5)
}

/// Has what it uses stored before it uses it.
async fn ask_ahead(x: u64, cx: NodeCx<'_, NoContext>) -> Result<u64, Oops> {
    let reserved = cx.reserve_ahead(Usage::of("m").input(7).output(7)).await.map_err(|_| Oops::Busy)?;
    tokio::task::yield_now().await;
    reserved.settle(Usage::of("m").input(7).output(3)).map_err(|_| Oops::Busy)?;
    Ok(x + 1)
}

fn pricing() -> Pricing {
    Pricing::empty().with("m", Price::per_token(Usd::picodollars(3), Usd::picodollars(5))).unwrap()
}

async fn chain<S: Store>(life: Life<S>) -> End {
    let pipeline = node("double", double).then(node("add", add)).then(node("last", double));
    let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
    life.run(&runner, 3).await
}

/// Branches, of which some wait; a node that is tried again, one whose output is not saved, and an account.
async fn branches<S: Store>(life: Life<S>) -> End {
    let left = node("double", double).then(node("slow", slow).timeout(secs(5)));
    let right = node("add", add).skip_checkpoint().then(node_with("flaky", flaky)).then(node_with("ask", ask));
    let pipeline =
        node("first", add).then(par(left, right)).map(|(a, b)| a + b).then(node_with("ahead", ask_ahead).write_ahead());
    let runner = Runner::quick(pipeline)
        .with_budget(Budget::unlimited().tokens(10_000))
        .with_pricing(pricing())
        .with_store(life.store())
        .with_hooks(life.hooks())
        .build()
        .unwrap();
    life.run(&runner, 3).await
}

/// Both branches come to their end; a part that is tried again begins from its start, and has a budget and a deadline.
async fn parts<S: Store>(life: Life<S>) -> End {
    let again = PolicyMap::default().recoverable(2, Backoff::constant(ms(10)));
    let first = Cell::new(true);
    let part = node("double", double)
        .then(
            node("once", async |x: u64| if first.replace(false) { Err(Oops::Busy) } else { Ok(x) })
                .retry(PolicyMap::never()),
        )
        .retry(again)
        .from_start()
        .deadline(secs(60))
        .budget(Budget::unlimited().tokens(1_000));
    let pipeline = par(part, node_with("ask", ask)).settle().map(|(a, b)| a + b).then(node("slow", slow));
    let runner = Runner::quick(pipeline)
        .with_pricing(pricing())
        .with_store(life.store())
        .with_hooks(life.hooks())
        .build()
        .unwrap();
    life.run(&runner, 3).await
}

/// With nothing switched on but what is asked for; a node in a task of its own.
async fn bare<S: Store>(life: Life<S>) -> End {
    let pipeline = node("double", double).then(par(node("task", slow).spawned(), node("add", add))).map(|(a, b)| a + b);
    let pipeline = pipeline.then(node("last", double));
    let runner = Runner::new(pipeline)
        .with_store(life.store())
        .with_clock(stroma::TokioClock)
        .with_hooks(life.hooks())
        .build()
        .unwrap();
    life.run(&runner, 3).await
}

/// A budget that is just enough, so that what is spent in vain ends the run.
async fn tight<S: Store>(life: Life<S>) -> End {
    let pipeline = node_with("ahead", ask_ahead).write_ahead().then(node_with("ask", ask));
    let runner = Runner::quick(pipeline)
        .with_budget(Budget::unlimited().tokens(40))
        .with_pricing(pricing())
        .with_store(life.store())
        .with_hooks(life.hooks())
        .build()
        .unwrap();
    life.run(&runner, 3).await
}

/// More than these were tried, and all promises held.
fn survives(survived: Result<Survived, Broken>, schedules: usize) {
    let survived = survived.unwrap();
    assert!(survived.schedules() > schedules && survived.lives() > survived.schedules(), "{survived}");
}

#[test]
fn a_chain_survives_in_memory() {
    survives(Torture::on(HeapStore::new).run(chain), 1_200);
    survives(Torture::on(MemoryStore::<2, 8, 64>::new).run(chain), 1_200);
    survives(Torture::on(|| Flawed::new(Flaw::Nothing)).run(chain), 1_200);
}

#[test]
fn branches_survive_in_memory() {
    survives(Torture::on(HeapStore::new).schedules(2_000).run(branches), 2_500);
    survives(Torture::on(MemoryStore::<2, 16, 64>::new).seed(2).run(branches), 1_500);
    survives(Torture::on(|| Flawed::new(Flaw::Nothing)).seed(3).run(branches), 1_500);
}

#[test]
fn parts_survive_in_memory() {
    survives(Torture::on(HeapStore::new).schedules(2_000).run(parts), 2_300);
    survives(Torture::on(MemoryStore::<2, 16, 64>::new).seed(2).run(parts), 1_300);
    survives(Torture::on(|| Flawed::new(Flaw::Nothing)).seed(3).run(parts), 1_300);
}

#[cfg(feature = "redb")]
#[test]
fn all_of_them_survive_in_a_file() {
    let torture = || {
        // In memory where the system has a folder for that: else thousands of lives wait for the disk.
        let folder = || tempfile::TempDir::new_in("/dev/shm").or_else(|_| tempfile::TempDir::new()).unwrap();
        Torture::on(Suite::at(folder, async |folder: &tempfile::TempDir| {
            stroma::store::RedbStore::open(folder.path().join("runs.redb")).unwrap()
        }))
    };
    survives(torture().each_nth(2).schedules(20).run(chain), 150);
    survives(torture().each_nth(12).schedules(20).run(branches), 60);
    // Each life a store of its own, as if it were a process.
    survives(torture().reopening().each_nth(6).schedules(20).run(chain), 60);
    survives(torture().reopening().each_nth(12).schedules(20).run(parts), 50);
}

#[cfg(feature = "flash")]
#[path = "support/chip.rs"]
mod chip;

/// In a chip on which each operation says so often that it is not done yet.
#[cfg(feature = "flash")]
fn in_flash(waits: u32) -> Torture<impl Subject> {
    type Chip = chip::Chip<512, 4>;
    let open = async |chip: &Chip| chip::start(chip::leaked(stroma::store::FlashRoom::<1, 16, 320>::new()), chip);
    Torture::on(Suite::at(move || Chip::waiting(8, waits), open))
}

#[cfg(feature = "flash")]
#[test]
fn a_chain_survives_in_flash() {
    survives(in_flash(0).schedules(200).run(chain), 500);
    survives(in_flash(1).schedules(200).run(chain), 500);
    // A reset between one life and the next.
    survives(in_flash(0).restarting().schedules(200).run(chain), 500);
    survives(in_flash(2).restarting().schedules(200).run(chain), 500);
}

#[cfg(feature = "flash")]
#[test]
fn branches_survive_in_flash() {
    survives(in_flash(1).schedules(100).run(branches), 500);
    survives(in_flash(0).restarting().schedules(100).run(branches), 500);
}

#[cfg(feature = "flash")]
#[test]
fn parts_survive_in_flash() {
    survives(in_flash(1).schedules(100).run(parts), 300);
    survives(in_flash(0).restarting().schedules(100).run(parts), 300);
}

#[cfg(feature = "redis")]
#[path = "support/redis.rs"]
mod server;

#[cfg(feature = "redis")]
#[test]
fn all_of_them_survive_on_a_server() {
    if !server::is_installed() {
        return;
    }
    let server = server::Server::start(&[]);
    let next = Cell::new(0);
    let torture = || {
        // Each place has names of its own on the one server.
        let place = || {
            next.set(next.get() + 1);
            format!("place {}", next.get())
        };
        let url = server.url();
        Torture::on(Suite::at(place, async move |prefix: &String| {
            stroma::store::RedisStore::new(&url, Duration::from_secs(600)).unwrap().with_prefix(prefix.as_str())
        }))
    };
    survives(torture().each_nth(2).schedules(20).run(chain), 150);
    survives(torture().each_nth(8).schedules(20).run(branches), 80);
    survives(torture().reopening().each_nth(6).schedules(20).run(chain), 60);
    survives(torture().reopening().each_nth(12).schedules(20).run(parts), 50);
}

#[test]
fn a_bare_runner_survives_too() {
    survives(Torture::on(HeapStore::new).run(bare), 1_300);
    survives(Torture::on(|| Flawed::new(Flaw::Nothing)).run(bare), 1_300);
}

#[test]
fn a_run_that_comes_to_the_end_of_its_budget_is_no_failure() {
    let survived = Torture::on(HeapStore::new).run(tight).unwrap();
    assert!(survived.unfinished() > 100, "{survived}");
    // Only where the stored input was damaged.
    let survived = Torture::on(HeapStore::new).schedules(0).run(chain).unwrap();
    assert_eq!(survived.unfinished(), 8, "{survived}");
    assert_eq!(survived.to_string(), "all promises held in 310 schedules of 566 lives; 8 had no output, and rightly");
}

/// What is caught: the promise, the shortest schedule, and a part of what is said. The schedule alone shows it too, and so does the
/// seed.
fn caught<T: Subject>(
    torture: &Torture<T>,
    lead: impl AsyncFn(Life<T::Store>) -> End,
    promise: Promise,
    shortest: &str,
    words: &str,
) {
    let broken = torture.run(&lead).expect_err(shortest);
    assert_eq!(broken.promise(), promise, "{broken}");
    assert!(broken.did().contains(words), "{broken}");
    assert_eq!(broken.shortest().to_string(), shortest, "{broken}");
    for again in [shortest, broken.seed()] {
        assert_eq!(torture.replay(again, &lead).unwrap_err().promise(), promise, "{again}");
    }
}

#[test]
fn flawed_stores_are_caught() {
    for (flaw, promise, shortest, words) in [
        (
            Flaw::AcksBeforeSaving,
            Promise::StoreKeeps,
            "op 2 die-after",
            "`open` knows of no such run, and saved was [Input]",
        ),
        (Flaw::SharesHeldRuns, Promise::OneHolder, "poll 1 rival", "`open` gave a run to a second holder"),
        (Flaw::NeverGivesBack, Promise::Completes, "undisturbed", "Store(StoreError { kind: Busy"),
    ] {
        let torture = Torture::on(Suite::of(move || Flawed::new(flaw)).patience(Duration::ZERO));
        caught(&torture, chain, promise, shortest, words);
    }
    // What has a ledger to lose.
    for (flaw, shortest, words) in [
        (Flaw::LosesLedgers, "undisturbed", "`open` finds the ledger"),
        (Flaw::ValueBeforeLedger, "op 3 torn-later", "`open` finds [Input, first], and saved was [Input]"),
    ] {
        let torture = Torture::on(move || Flawed::new(flaw));
        caught(&torture, branches, Promise::StoreKeeps, shortest, words);
    }
}

/// A pipeline around a node `odd` that is lent its life.
async fn around(life: Life<HeapStore>, odd: impl AsyncFn(usize, u64) -> Result<u64, Oops>) -> End {
    let number = life.number();
    let odd = node("odd", async |x: u64| odd(number, x).await).retry(PolicyMap::never());
    let pipeline = node("double", double).then(odd).then(node("last", add));
    let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
    life.run(&runner, 3).await
}

#[test]
fn what_a_node_does_outside_is_only_safe_if_it_bears_to_be_done_twice() {
    let sent = Cell::new(0);
    let lead = async |life: Life<HeapStore>| {
        if life.number() == 1 {
            sent.set(0);
        }
        around(life, async |_, _| {
            sent.set(sent.get() + 1);
            Ok(sent.get())
        })
        .await
    };
    let words = "its output is 3, and undisturbed it is 2";
    caught(&Torture::on(HeapStore::new), lead, Promise::SameOutput, "op 4 die-before", words);
}

#[test]
fn a_node_that_is_another_each_time_is_told_from_one_that_was_disturbed() {
    let calls = Cell::new(0);
    let lead = async |life: Life<HeapStore>| {
        around(life, async |_, x| {
            calls.set(calls.get() + 1);
            Ok(x + calls.get())
        })
        .await
    };
    caught(&Torture::on(HeapStore::new), lead, Promise::Repeats, "undisturbed", "one run yields 8, and another 9");
}

#[test]
fn a_pipeline_that_tries_again_by_itself_is_caught() {
    // It fails more often in a run that is gone on with than it may be tried.
    let lead = async |life: Life<HeapStore>| {
        let failures = Cell::new(if life.number() == 1 { 0 } else { 3 });
        let pipeline = node("double", double).then(
            node("odd", async |x: u64| match failures.get() {
                0 => Ok(x),
                left => {
                    failures.set(left - 1);
                    Err(Oops::Busy)
                }
            })
            .retry(PolicyMap::default().recoverable(1, Backoff::constant(ms(10)))),
        );
        let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
        let mut end = life.run(&runner, 3).await;
        while !end.is_completed() && life.number() > 1 {
            end = life.run(&runner, 3).await;
        }
        end
    };
    let torture = Torture::on(HeapStore::new).attempts(2);
    let words = "node `odd` was begun 3 times in one execution, 2 are allowed";
    caught(&torture, lead, Promise::Attempts, "op 1 die-before", words);
}

#[test]
fn a_run_that_is_stuck_is_caught() {
    let lead = async |life| {
        around(life, async |number, x| if number == 1 { Ok(x) } else { std::future::pending().await }).await
    };
    let words = "it waits for something that never comes";
    caught(&Torture::on(HeapStore::new), lead, Promise::NotStuck, "op 1 die-before", words);
    let polled = async |life| {
        around(life, async |number, x| {
            if number == 1 {
                return Ok(x);
            }
            loop {
                tokio::task::yield_now().await;
            }
        })
        .await
    };
    caught(&Torture::on(HeapStore::new), polled, Promise::NotStuck, "op 1 die-before", "it was polled 100000 times");
}

#[test]
fn a_run_that_halts_for_another_reason_than_the_fault_is_caught() {
    let lead = async |life| around(life, async |number, x| if number == 1 { Ok(x) } else { Err(Oops::Busy) }).await;
    caught(&Torture::on(HeapStore::new), lead, Promise::Halts, "op 1 die-before", "at odd, attempt 1: Error(Busy)");
}

#[test]
fn a_panic_is_caught() {
    let lead =
        async |life| around(life, async |number, x| if number == 1 { Ok(x) } else { panic!("at the disco") }).await;
    caught(&Torture::on(HeapStore::new), lead, Promise::NoPanic, "op 1 die-before", "a life panicked: at the disco");
}

#[test]
fn whoever_deletes_what_is_damaged_is_caught() {
    let lead = async |life: Life<HeapStore>| {
        let pipeline = node("double", double).then(node("last", add));
        let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
        let end = life.run(&runner, 3).await;
        if !end.is_completed() && life.number() > 1 {
            // A rival may hold it.
            let _ = runner.forget(stroma::testing::TORTURED_RUN).await;
        }
        end
    };
    let words = "`open` knows of no such run, and saved was [Input, double]";
    caught(&Torture::on(HeapStore::new), lead, Promise::StoreKeeps, "op 3 short", words);
}

#[test]
fn a_run_that_ends_without_its_output_is_no_run_to_compare_with() {
    let lead = async |life| around(life, async |_, _| Err(Oops::Busy)).await;
    caught(&Torture::on(HeapStore::new), lead, Promise::Completes, "undisturbed", "at odd, attempt 1: Error(Busy)");
}

#[test]
fn what_the_kit_does_not_see_it_does_not_vouch_for() {
    let blind = async |life: Life<HeapStore>| {
        let runner = Runner::quick(node("double", double)).with_hooks(life.hooks()).build().unwrap();
        life.run(&runner, 3).await
    };
    caught(&Torture::on(HeapStore::new), blind, Promise::Watched, "undisturbed", "the store");
    let deaf = async |life: Life<HeapStore>| {
        let runner = Runner::quick(node("double", double)).with_store(life.store()).build().unwrap();
        life.run(&runner, 3).await
    };
    caught(&Torture::on(HeapStore::new), deaf, Promise::Watched, "undisturbed", "the hooks");
}

#[test]
fn a_schedule_comes_back_from_its_text() {
    for text in ["undisturbed", "op 3 die-before", "op 1 busy, op 12 torn-later, poll 4 rival, slow, by-input"] {
        assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
    }
    for text in ["op 3", "poll 3 torn", "op 3 kill", "op x torn", "seed 4", "op 3 explode"] {
        let error = text.parse::<Schedule>().unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{text}` is no part of a schedule")), "{error}");
    }
    let broken = Torture::on(HeapStore::new).replay("op 3 explode", chain).unwrap_err();
    assert!(broken.did().contains("`op 3 explode` is no part of a schedule"), "{broken}");
}

#[test]
fn a_failure_says_how_to_see_it_again() {
    let lead = async |life| around(life, async |number, x| if number == 1 { Ok(x) } else { Ok(x + 1) }).await;
    let broken = Torture::on(HeapStore::new).run(lead).unwrap_err();
    let text = "the promise `same_output` does not hold
  what happened: its output is 8, and undisturbed it is 7
  it is asked that the output is that of the undisturbed run; a node may run again until its output is saved, so what it does \
                outside of the pipeline has to bear that
  shortest schedule, of 1 that were tried: op 1 die-before
  again: STROMA_TORTURE=\"op 1 die-before\", or .replay(\"op 1 die-before\", ..)
  as it was found: STROMA_TORTURE=\"op 1 die-before\"";
    assert_eq!(broken.to_string(), text);
    assert_eq!(format!("{broken:?}"), text);
}
