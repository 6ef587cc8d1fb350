//! The conformance suite on every store of the crate, and on stores that each break one clause.
#![cfg(feature = "testing")]

#[path = "support/flawed.rs"]
mod flawed;

use std::time::Duration;

use flawed::{Flaw, Flawed, Medium};
use stroma::{
    store::{HeapStore, MemoryStore},
    testing::{Property, Subject, Suite, check, check_threads, conformance},
};

conformance! {
    mod heap: threads = Suite::of(|| HeapStore::with_capacity(40)).runs(40);
    mod heap_by_default: threads = HeapStore::new;
    mod memory: threads = Suite::of(MemoryStore::<10, 50, 64>::new).runs(10).slot_max(64);
    mod memory_as_small_as_may_be: threads = Suite::of(MemoryStore::<4, 5, 16>::new).runs(4).slot_max(16);
    mod shared_by_reference: threads = || {
        static STORES: [HeapStore; 32] = [const { HeapStore::new() }; 32];
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        &STORES[NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)]
    };
    mod none_that_is_flawed: threads + reopens + shared = flawed(Flaw::Nothing);
    mod made_by_a_function_of_a_tests_name = runs;
}

fn runs() -> HeapStore {
    HeapStore::new()
}

#[cfg(feature = "redb")]
conformance! {
    mod redb: threads + reopens + shared = Suite::at(
        || tempfile::TempDir::new().unwrap(),
        async |folder: &tempfile::TempDir| stroma::store::RedbStore::open(folder.path().join("runs.redb")).unwrap(),
    );
}

#[cfg(feature = "flash")]
#[path = "support/chip.rs"]
mod chip;

/// A chip of so many pages, on which each operation says so often that it is not done yet.
#[cfg(feature = "flash")]
fn flash<const RUNS: usize, const PAGE: usize, const WORD: usize>(
    pages: usize,
    waits: u32,
) -> Suite<impl Fn() -> chip::Chip<PAGE, WORD>, impl AsyncFn(&chip::Chip<PAGE, WORD>) -> Flash<RUNS>> {
    let place = move || chip::Chip::waiting(pages, waits);
    let open = async |chip: &chip::Chip<PAGE, WORD>| chip::start(chip::leaked(stroma::store::FlashRoom::new()), chip);
    // An item has a front of 26 bytes and the id of the node beside the value.
    Suite::at(place, open).runs(RUNS).slot_max(320 - 26 - 1)
}

#[cfg(feature = "flash")]
type Flash<const RUNS: usize> = stroma::store::FlashStore<chip::Driver, RUNS, 10, 320>;

#[cfg(feature = "flash")]
conformance! {
    mod flash: threads + reopens = flash::<6, 2048, 4>(16, 0);
    mod flash_that_waits: threads + reopens = flash::<4, 1024, 4>(24, 1);
    mod flash_of_long_words: threads + reopens = flash::<3, 4096, 32>(6, 2);
}

/// Each place is a server; where none is installed there is nothing to put to the test.
#[cfg(feature = "redis")]
#[path = "support/redis.rs"]
mod server;

#[cfg(feature = "redis")]
conformance! {
    mod redis: threads + reopens + shared = Suite::at(
        || server::Server::start(&[]),
        async |server: &server::Server| {
            stroma::store::RedisStore::new(&server.url(), Duration::from_secs(600)).unwrap()
        },
    );
}

fn flawed(flaw: Flaw) -> impl Subject<Store = Flawed> {
    Suite::at(Medium::default, async move |medium: &Medium| Flawed::at(medium, flaw))
        .runs(flawed::RUNS)
        .slot_max(flawed::SLOT_MAX)
        .patience(Duration::ZERO)
}

/// What a store with this flaw does by the check that is for it.
fn caught(property: Property, flaw: Flaw) -> String {
    let told = match property {
        Property::Threads => check_threads(&flawed(flaw)),
        _ => check(property, &flawed(flaw)),
    };
    let breach = told.expect_err(&format!("{flaw:?} is not seen by {}", property.name()));
    assert_eq!(breach.property(), property);
    breach.did().to_owned()
}

#[test]
fn each_flaw_is_caught_by_the_check_that_is_for_it() {
    let all = [
        (
            Property::OneHolder,
            Flaw::SharesHeldRuns,
            "a second `open` with Create succeeded, where it is held and so `Busy`",
        ),
        (Property::GivenBack, Flaw::NeverGivesBack, "executing this run"),
        (Property::OpeningDropped, Flaw::LocksWhileItOpens, "an `open` of it had been dropped after 1 polls"),
        (Property::UnknownRun, Flaw::BeginsUnknownRuns, "of a run that was never there, so `UnknownRun`"),
        (Property::Traceless, Flaw::LeavesTraces, "found a run that ended without a checkpoint"),
        (Property::PutIsThere, Flaw::AcksBeforeSaving, "failed"),
        (Property::KeysApart, Flaw::MixesNodeAndInstance, "is there before it was saved"),
        (Property::RunsApart, Flaw::ForgetsByPrefix, "in the run `a:` `open` of the run `a:` failed"),
        (Property::Missing, Flaw::EmptyForMissing, "succeeded, where it is not there and so `Missing`"),
        (Property::LedgerKept, Flaw::CutsLedgers, "after a `put` the stored ledger is 200 bytes"),
        (Property::EmptyLedger, Flaw::EmptyLedgerClears, "the stored ledger is \"\", not \"spent 3\""),
        (Property::LastLedger, Flaw::OlderLedgerWins, "the stored ledger is \"l\\x00\\x01\", not \"l\\x00\\x03\""),
        (Property::PutDropped, Flaw::ValueBeforeLedger, "after a `put` that was dropped after 2 polls, the value is"),
        (
            Property::PutFailed,
            Flaw::FailedPutClears,
            "after a `put` that failed the Output of node \"a\", instance 0 is \"\"",
        ),
        (Property::Discard, Flaw::DiscardTakesLedger, "after `discard` the stored ledger is \"\""),
        (
            Property::DiscardDropped,
            Flaw::DiscardsOneByOne,
            "of 3 slots that were to be discarded 2 are left, after 2 polls",
        ),
        (Property::Forget, Flaw::ForgetLeavesLedger, "has the ledger of the one that was forgotten"),
        (Property::Agrees, Flaw::CountsAllOutputs, "`outputs` is"),
        (
            Property::Sizes,
            Flaw::CutsValues,
            "`put` of 70001 bytes succeeded, where it is TooLarge { len: 70001, max: 70000 }",
        ),
        (Property::Slots, Flaw::RefusesWithoutAType, "`put` into slot 81 of 80 failed with Unavailable"),
        (Property::Runs, Flaw::TakesHeldRuns, "`open` of run 41 of 40 succeeded, where it is `Full` of runs"),
        (Property::Finished, Flaw::FinishedIsGone, "the store has no run of this id"),
        (Property::Shared, Flaw::LocksOfItsOwn, "`open` by another store succeeded, where it is held and so `Busy`"),
        (Property::Threads, Flaw::WritesToTheLastOpened, "was saved"),
    ];
    for (property, flaw, words) in all {
        let did = caught(property, flaw);
        assert!(did.contains(words), "{flaw:?}: {did}");
    }
    // One more stands below: it takes a store of another kind.
    assert_eq!(all.len() + 1, Property::ALL.len());
}

#[test]
fn a_store_that_only_claims_to_outlive_itself_is_caught() {
    let breach = check(Property::Reopens, &HeapStore::new).unwrap_err();
    assert!(breach.did().starts_with("after the store was opened again `open` of the run"), "{breach}");
}

#[test]
fn a_store_that_never_answers_fails_and_does_not_hang() {
    let suite = Suite::of(|| Flawed::new(Flaw::NeverAnswers)).time_limit(Duration::from_millis(1));
    let did = check(Property::EmptyLedger, &suite).unwrap_err();
    assert!(did.did().contains("left a future without an answer"), "{did}");
}

#[test]
fn a_breach_says_what_was_done_and_asked_and_why() {
    let breach = check(Property::EmptyLedger, &flawed(Flaw::EmptyLedgerClears)).unwrap_err();
    let text = "the store breaks `empty_ledger`
  it did: after a `put` with an empty one into a slot that there was the stored ledger is \"\", not \"spent 3\"
  the contract asks: a `put` with an empty ledger leaves the stored one
  because what the run has spent so far would be forgotten";
    assert_eq!(breach.to_string(), text);
    // It is what a test prints that returns it.
    assert_eq!(format!("{breach:?}"), text);
}
