//! What every error of the crate says: what happened, where, and what to do; on one line, and nothing twice, neither in one text
//! nor along a chain of sources.
#![cfg(all(feature = "testing", feature = "json", feature = "flash"))]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

mod support;

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use stroma::{
    Accounts, AccountsError, Budget, BudgetExceeded, BuildError, Cause, DecodeError, EmptyBudget, FallbackError,
    Fallbacks, Halted, Ledger, LedgerError, NotKept, PolicyMap, Price, Pricing, PricingError, PricingErrorKind,
    ReplayError, RunId, RunIdError, Runner, ShareError, SpendError, Spender, Trace, TraceError, Usage, Usd, UsdError,
    Value, Violation, node,
    store::{
        CheckpointError, CheckpointFault, EncodeError, FlashError, HeapStore, MemoryStore, ReplayFault, StoreError,
        StoreErrorKind,
    },
    testing::{Breach, Broken, Property, Schedule, ScheduleError, Torture, check},
};
use support::error::{Oops, chain};

/// What a text is made of: that it is said once can be seen by these.
fn clauses(text: &str) -> Vec<&str> {
    let clauses = text.split([':', ';', '(', ')', ',']).map(str::trim);
    clauses.filter(|clause| clause.len() >= 16).collect()
}

/// Nothing is said twice, in one text or in several.
fn is_said_once(texts: &[String]) {
    for (at, text) in texts.iter().enumerate() {
        for other in &texts[at + 1..] {
            assert!(!text.contains(other.as_str()) && !other.contains(text.as_str()), "{texts:#?}");
        }
    }
    let all: Vec<_> = texts.iter().flat_map(|text| clauses(text)).collect();
    for (at, clause) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            assert!(!clause.contains(other) && !other.contains(clause), "twice: `{clause}`, `{other}`\n{texts:#?}");
        }
    }
}

/// The error is told well, and says what to do by these words.
#[track_caller]
fn told(error: &dyn Error, cure: &str) {
    let texts = chain(error);
    for text in &texts {
        assert!(!text.is_empty() && text.chars().all(|c| !c.is_control()), "{text:?}");
        assert!(!text.ends_with('.') && !text.contains("  "), "{text:?}");
    }
    is_said_once(&texts);
    assert!(texts.iter().any(|text| text.contains(cure)), "`{cure}` is not in {texts:#?}");
}

fn id() -> RunId {
    RunId::new("r").unwrap()
}

async fn f(x: u32) -> Result<u32, Oops> {
    Ok(x)
}

#[test]
fn what_a_builder_refuses() {
    macro_rules! refused {
        ($pipeline:expr) => {
            Runner::new($pipeline).build().unwrap_err()
        };
        ($pipeline:expr, $method:ident($argument:expr)) => {
            Runner::new($pipeline).$method($argument).build().unwrap_err()
        };
    }
    let error = refused!(node("a", f).then(node("a", f)));
    assert!(matches!(error, BuildError::DuplicateId { .. }));
    told(&error, "give one of them another");
    let error = refused!(node("", f));
    assert!(matches!(error, BuildError::EmptyId { .. }));
    told(&error, "give it one");
    const LONG: &str = "a node whose id is far longer than that of any node has to be, as one can see here";
    let error = refused!(node(LONG, f));
    assert!(matches!(error, BuildError::LongId { .. }));
    told(&error, "shorten it");
    let error = refused!(node("a\nb", f));
    assert!(matches!(error, BuildError::ControlInId { .. }));
    told(&error, "leave it out");
    let error = refused!(node("a", f).then(node("b", f)), with_store(MemoryStore::<1, 2, 64>::new()));
    assert!(matches!(error, BuildError::TooFewSlots { .. }));
    told(&error, "make it larger");
    let error = refused!(node("a", f), with_budget(Budget::unlimited().tokens(0)));
    let BuildError::Accounts(AccountsError::Empty(empty)) = error.clone() else { panic!("{error}") };
    told(&error, "raise it");
    let _: EmptyBudget = empty;
    told(&empty, "raise it");
    let error = Runner::quick(node("a", f)).with_model_fallback("a", "a", 0.5).build().unwrap_err();
    assert!(matches!(error, BuildError::Accounts(AccountsError::Fallback(FallbackError::Itself { .. }))), "{error:?}");
    told(&error, "name a cheaper one");
    told(&BuildError::TooManyBudgets { count: 99 }, "give fewer one");
    let error = refused!(node("a", f), with_budget(Budget::unlimited().latency(Duration::from_secs(1))));
    assert!(matches!(error, BuildError::NoClock));
    told(&error, "`with_clock`");
}

#[test]
fn what_is_no_amount_no_price_and_no_rule() {
    for (error, cure) in [
        (UsdError::Empty, "give a decimal number"),
        (UsdError::NotANumber, "write it as"),
        (UsdError::Negative, "only ever spent"),
        (UsdError::NotFinite, "give a decimal number"),
        (UsdError::TooFine, "round it"),
        (UsdError::TooLarge, "no amount here is"),
    ] {
        told(&error, cure);
    }
    let price = Price::free;
    let twice = Pricing::empty().with("a", price()).unwrap().with("a", price());
    let nameless = Pricing::empty().with("", price());
    let fine = Price::per_million(Usd::picodollars(1), Usd::ZERO).map(|_| Pricing::empty());
    let free = Price::parse_per_million("free", "1").map(|_| Pricing::empty());
    let table = Pricing::from_json("{");
    let kinds = [twice, nameless, fine, free, table].map(|made| made.unwrap_err());
    for (error, cure) in kinds.iter().zip([
        "use `replace`",
        "give it the one that its calls report",
        "at most six decimals",
        "write it as",
        "line 1, column",
    ]) {
        let _: &PricingError = error;
        told(error, cure);
    }
    let of = kinds.map(|error| error.kind());
    assert!(matches!(
        of,
        [
            PricingErrorKind::Duplicate,
            PricingErrorKind::EmptyModel,
            PricingErrorKind::Amount(_),
            PricingErrorKind::Amount(_),
            PricingErrorKind::Json
        ]
    ));

    told(&ShareError::NotFinite, "give one from 0 to 1");
    told(&ShareError::Outside, "80 percent is 0.8");
    let rules = Fallbacks::none;
    let error = rules().with("a", "b", 2.0).unwrap_err();
    assert!(matches!(error, FallbackError::Share(_)));
    told(&error, "80 percent is 0.8");
    told(&rules().with("", "b", 0.5).unwrap_err(), "give both models the names");
    told(&FallbackError::EmptyModel, "give both models the names");
    let error = rules().with("a", "b", 0.5).unwrap().with("a", "c", 0.5).unwrap_err();
    assert!(matches!(error, FallbackError::Duplicate { .. }));
    told(&error, "give it another share");
    told(&FallbackError::Full, "leave some out");
}

#[test]
fn what_is_no_run_id_and_no_schedule() {
    told(&RunIdError::Empty, "give it at least one character");
    told(&RunIdError::TooLong { len: 70 }, "use a shorter one");
    told(&RunIdError::Control { at: 3 }, "leave it out");
    let error: ScheduleError = "op many die".parse::<Schedule>().unwrap_err();
    told(&error, "`op <number> <fault>`");
}

#[test]
fn what_cannot_be_spent() {
    let accounts = Accounts::new(Budget::unlimited().cost(Usd::cents(1))).pricing(Pricing::known());
    let ledger = Ledger::new(accounts.budget());
    let spender = Spender::over(&ledger, &accounts);
    let exceeded = spender.reserve(Usage::of("gpt-4o").input(3_000).output(1_000)).map(drop).unwrap_err();
    assert!(matches!(exceeded, SpendError::Exceeded(BudgetExceeded::Cost { .. })));
    told(&exceeded, "raise it");
    let tokens = BudgetExceeded::Tokens { limit: 5, actual: 7 };
    let time = BudgetExceeded::Time { limit: Duration::from_secs(5), actual: Duration::from_secs(7) };
    for exceeded in [tokens, time] {
        told(&exceeded, "is reached at 7");
        told(&SpendError::from(exceeded), "raise it");
    }
    let unknown = spender.reserve(Usage::of("no-such-model").input(1)).map(drop).unwrap_err();
    assert!(matches!(unknown, SpendError::UnknownModel(_)));
    told(&unknown, "`Pricing::with`");
    told(&spender.reserve(Usage::default().input(1)).map(drop).unwrap_err(), "`Usage::with_cost`");
    told(&SpendError::Overflow, "check what the node reports");
    told(&SpendError::NotAhead, "`.write_ahead()`");
    told(&SpendError::OtherParts, "give fewer parts one");
    told(&SpendError::TooManyRuns, "feature `alloc`");
}

#[test]
fn what_a_store_cannot_do() {
    for (kind, cure) in STORE {
        told(&kind, cure);
        told(&StoreError::new(kind), cure);
        let detailed = StoreError::with_detail(kind, "`runs.redb` failed underneath");
        told(&detailed, cure);
        assert!(detailed.to_string().ends_with(" (`runs.redb` failed underneath)"), "{detailed}");
    }
    for (error, cure) in ENCODE {
        told(&error, cure);
        told(&StoreError::from(error), "`testing::round_trip`");
    }
    for (error, cure) in [
        (FlashError::Range { page: 4096, capacity: 65536 }, "has to begin and end"),
        (FlashError::Pages, "has to have three pages or more"),
        (FlashError::Kind, "another store"),
        (FlashError::Bytes { bytes: 1, min: 2 }, "make `BYTES` larger"),
        (FlashError::Numbers, "make it smaller"),
        (FlashError::InUse, "give each store one of its own"),
    ] {
        told(&error, cure);
    }
    for (error, cure) in [
        (NotKept::Absent, "did not succeed"),
        (NotKept::TooLong { needed: 9, room: 5 }, "`.with_values::<9>()`"),
        (NotKept::Unserialisable, "`testing::round_trip`"),
        (NotKept::OtherType, "decode them as the type"),
    ] {
        told(&error, cure);
    }
}

const STORE: [(StoreErrorKind, &str); 13] = [
    (StoreErrorKind::Busy { until: None }, "wait for it to end"),
    (StoreErrorKind::Fenced, "open the run again"),
    (StoreErrorKind::UnknownRun, "start it with `run_as`"),
    (StoreErrorKind::Missing, "`holds`"),
    (StoreErrorKind::Full { room: 3, of: "runs" }, "make it larger"),
    (StoreErrorKind::TooLarge { len: 9, max: 5 }, "make the slots larger"),
    (StoreErrorKind::Unserialisable, "`testing::round_trip`"),
    (StoreErrorKind::Denied, "credentials and permissions"),
    (StoreErrorKind::Exhausted, "make room"),
    (StoreErrorKind::Foreign, "move it"),
    (StoreErrorKind::Gone, "begin it again with `run_as`"),
    (StoreErrorKind::Misconfigured, "mend its address"),
    (StoreErrorKind::Unavailable, "see that it is reachable"),
];

const ENCODE: [(EncodeError, &str); 3] = [
    (EncodeError::NoRoom, "`encoded_len`"),
    (EncodeError::Unserialisable, "no `flatten`"),
    (EncodeError::NotFaithful, "no `skip`"),
];

const LEDGER: [(LedgerError, &str); 6] = [
    (LedgerError::Version { found: 9 }, "resume with the program that wrote it"),
    (LedgerError::Truncated, "`forget`"),
    (LedgerError::Overlong, "`forget`"),
    (LedgerError::Trailing { len: 3 }, "`forget`"),
    (LedgerError::TooManyParts { count: 9 }, "switch on feature `alloc`"),
    (LedgerError::Contradiction, "`forget`"),
];

const FAULTS: [(CheckpointFault, &str); 5] = [
    (CheckpointFault::Version { found: 9 }, "resume it with the program that wrote it"),
    (CheckpointFault::Schema { stored: 1, expected: 2 }, "resume it with the program that wrote it"),
    (CheckpointFault::Truncated { len: 3 }, "`resume_from`"),
    (CheckpointFault::Damaged, "`resume_from`"),
    (CheckpointFault::Undecodable, "`testing::round_trip`"),
];

#[test]
fn what_is_no_trace_and_no_value() {
    let error = Trace::from_json("{\"version\": 1}").unwrap_err();
    assert!(matches!(error, TraceError::Form { .. }), "{error:?}");
    told(&error, "`to_json`");
    told(&TraceError::Version { found: 99 }, "use the one that wrote it");
    told(&TraceError::Unwritten { words: "a key must be a string".to_owned() }, "`table()` shows it");
    let error: DecodeError = Value::of("seven").decode::<u32>().unwrap_err();
    told(&error, "expected u32");
    told(&ReplayError::UnknownNode { name: "b".into() }, "`describe()` lists the ids");
    told(&ReplayError::NoInput, "`with_values()`");
    told(&ReplayError::Input(error), "`.with_input(..)`");
    told(&Violation::new("must be positive").at("prices[1]"), "must be positive");
}

/// Whatever stops a run, the line and the chain behind it say it once.
#[tokio::test(start_paused = true)]
async fn why_a_run_stopped() {
    type Stopped<T> = Halted<Oops, T>;

    fn with<T: Clone + std::fmt::Debug>(halted: &Stopped<T>, cause: Cause<Oops>, cure: &str) {
        let mut halted = halted.clone();
        halted.cause = cause;
        for node in [Some("a"), None] {
            halted.node = node;
            told(&halted, cure);
        }
    }

    fn all<T: Clone + std::fmt::Debug>(halted: &Stopped<T>, goes_on: &str, raise: &str) {
        let limit = Duration::from_secs(2);
        with(halted, Cause::Error(Oops::Bad), goes_on);
        with(halted, Cause::TimedOut { limit }, goes_on);
        with(halted, Cause::Deadline { limit }, goes_on);
        with(halted, Cause::Cancelled, goes_on);
        with(halted, Cause::Budget(BudgetExceeded::Tokens { limit: 5, actual: 7 }), raise);
        with(halted, Cause::Account(SpendError::NotAhead), "`.write_ahead()`");
        with(halted, Cause::Account(SpendError::Exceeded(BudgetExceeded::Tokens { limit: 5, actual: 7 })), "raise it");
        with(halted, Cause::OtherInput, "take another id");
        with(halted, Cause::OtherPipeline { stored: 1, now: 2 }, "`forget` it");
        for (error, cure) in LEDGER {
            with(halted, Cause::Ledger(error), cure);
        }
        for (kind, cure) in STORE {
            with(halted, Cause::Store(StoreError::new(kind)), cure);
        }
        for (error, cure) in ENCODE {
            with(halted, Cause::Store(StoreError::from(error)), cure);
        }
        for (fault, cure) in FAULTS {
            with(halted, Cause::Checkpoint(CheckpointError { node: Some("a"), fault }), cure);
            with(halted, Cause::Checkpoint(CheckpointError { node: None, fault }), "`forget` the run");
        }
        let other = Value::of("seven").decode::<u32>().unwrap_err();
        for fault in [
            ReplayFault::NotRecorded,
            ReplayFault::Failed { message: "the line was busy".into() },
            ReplayFault::OtherType(other),
        ] {
            with(halted, Cause::Replay(fault), "name it in `.live([..])`");
        }
    }

    let fails = async |_: u32| Err::<u32, _>(Oops::Bad);
    let kept = Runner::quick(node("a", fails)).build().unwrap().run_as(id(), 0).await.unwrap_err();
    all(&kept, "`resume` goes on from there", "raise it");
    let bare = Runner::new(node("a", fails)).with_policies(PolicyMap::never()).with_clock(stroma::TokioClock);
    let bare = bare.build().unwrap().run_as(id(), 0).await.unwrap_err();
    all(&bare, "mend the cause first", "raise it");

    // What only a run can make.
    let checked = Runner::quick(node("a", f).require(|x: &u32| *x > 0)).build().unwrap();
    let halted = checked.run_as(id(), 0).await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Contract(_)));
    told(&halted, "mend what made it");
    let checked = Runner::quick(node("a", f).ensure(|x: &u32| *x > 0)).build().unwrap();
    told(&checked.run_as(id(), 0).await.unwrap_err(), "mend the node");
    let halted = checked.resume_from(id(), "b").await.unwrap_err();
    assert!(matches!(halted.cause, Cause::UnknownNode(_)));
    told(&halted, "`describe()` lists the ids");
    let panics = Runner::quick(node("a", async |x: u32| f(10 / x).await).spawned()).build().unwrap();
    let halted = panics.run_as(id(), 0).await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Panicked(_)));
    told(&halted, "mend the cause");
}

/// A report of a test: some lines, each of which says something.
/// A `main` that returns its errors prints them by `Debug`.
#[tokio::test(start_paused = true)]
async fn what_main_prints_of_a_run_that_stopped() {
    let id = RunId::new("invoice 17").unwrap();
    let pipeline = node("first", f).then(node("second", async |_: u32| Err::<u32, _>(Oops::Bad)));
    let runner = Runner::quick(pipeline).build().unwrap();
    let halted = runner.run_as(id, 7).await.unwrap_err();
    assert_eq!(format!("{halted:?}"), format!("{halted}\n\nCaused by:\n    Bad"));
    let whole = format!("{halted:#?}");
    for field in ["node: Some(", "report: Report", "trace: ", "\"first\""] {
        assert!(whole.contains(field), "`{field}` is not in {whole}");
    }

    let missing = runner.resume(RunId::new("another").unwrap()).await.unwrap_err();
    let Cause::Store(error) = &missing.cause else { panic!("{missing}") };
    assert_eq!(format!("{missing:?}"), format!("{missing}\n\nCaused by:\n    {error}"));
}

#[test]
fn what_a_test_reports() {
    let breach: Breach = check(Property::Reopens, &HeapStore::new).unwrap_err();
    let calls = AtomicU32::new(0);
    let broken: Broken = Torture::on(HeapStore::new)
        .run(async |life| {
            let counted = async |_: u32| Ok::<_, Oops>(calls.fetch_add(1, Ordering::Relaxed));
            let runner =
                Runner::quick(node("a", counted)).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
            life.run(&runner, 3).await
        })
        .unwrap_err();
    for (error, cure) in [(&breach as &dyn Error, "the contract asks"), (&broken, "STROMA_TORTURE=")] {
        let text = error.to_string();
        assert!(error.source().is_none() && text.contains(cure), "{text}");
        assert!(text.lines().all(|line| !line.trim().is_empty()), "{text}");
    }
}

/// Every error type of the crate, and every variant, is in this file: a new one is told here too.
#[test]
fn none_is_left_out() {
    let here = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file!())).unwrap();
    let words: BTreeSet<&str> = here.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').collect();
    let mut count = 0;
    let mut missing = Vec::new();
    for name in errors() {
        count += 1;
        if !words.iter().any(|word| *word == name || word.ends_with(&format!("::{name}"))) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 90, "{count}: are they still found?");
}

/// Not to be seen from outside: `DecodeError` has its words.
const INSIDE: [&str; 1] = ["Unfit"];

/// The names of the types in `src` that are errors, with their variants, and those of `Cause`, which an error shows.
fn errors() -> Vec<String> {
    fn files(folder: &Path, into: &mut Vec<syn::File>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
            }
        }
    }
    let is_public = |vis: &syn::Visibility| matches!(vis, syn::Visibility::Public(_));
    let derives = |attributes: &[syn::Attribute]| {
        attributes.iter().any(|attribute| {
            attribute.path().is_ident("derive")
                && quote::ToTokens::to_token_stream(attribute).to_string().contains("thiserror :: Error")
        })
    };
    let mut all = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let items: Vec<_> = all.into_iter().flat_map(|file| file.items).collect();
    // Those that implement it by hand.
    let by_hand: BTreeSet<String> = items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Impl(block) => {
                let (_, path, _) = block.trait_.as_ref()?;
                let syn::Type::Path(ty) = &*block.self_ty else { return None };
                let is = path.segments.last()?.ident == "Error" && path.segments.first()?.ident != "ser";
                is.then(|| ty.path.segments.last().map(|segment| segment.ident.to_string()))?
            }
            _ => None,
        })
        .filter(|name| !INSIDE.contains(&name.as_str()))
        .collect();
    let mut names = Vec::new();
    for item in &items {
        let (vis, attributes, ident) = match item {
            syn::Item::Enum(item) => (&item.vis, &item.attrs, &item.ident),
            syn::Item::Struct(item) => (&item.vis, &item.attrs, &item.ident),
            _ => continue,
        };
        if !is_public(vis) || !(derives(attributes) || ident == "Cause" || by_hand.contains(&ident.to_string())) {
            continue;
        }
        match item {
            syn::Item::Enum(item) => {
                names.extend(item.variants.iter().map(|variant| format!("{ident}::{}", variant.ident)));
            }
            _ => names.push(ident.to_string()),
        }
    }
    names
}
