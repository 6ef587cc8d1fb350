//! What runs spend: limits, reservations, what is booked and what is stored of it, parts with limits of their own, fallback.
#![cfg(all(feature = "tokio", feature = "json"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use stroma::{
    AccountsError, AheadReservation, Attempt, Backoff, Budget, BudgetExceeded, BuildError, Cause, Dimension, Failed,
    Failure, FailureClass, FallbackError, Hooks, LedgerError, ManualClock, NodeCx, PolicyMap, Price, Pricing,
    Reservation, RunId, RunStatus, Runner, SpendError, Spent, Succeeded, Usage, Usd, ms, node_with, par, secs,
    store::{HeapStore, StoreErrorKind},
};

#[path = "../support/mod.rs"]
mod support;
use support::{
    polling::{now_or_panic, poll_once, poll_until_idle, yield_once},
    spy::Spy,
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fail {
    /// What it was refused, passed on.
    Spend(SpendError),
    /// Recoverable.
    Busy,
    /// Terminal.
    Bad,
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spend(error) => error.fmt(f),
            Self::Busy => f.write_str("busy"),
            Self::Bad => f.write_str("bad"),
        }
    }
}

impl std::error::Error for Fail {}

impl Failure for Fail {
    fn class(&self) -> FailureClass {
        match self {
            Self::Spend(error) => error.class(),
            Self::Busy => FailureClass::Recoverable,
            Self::Bad => FailureClass::Terminal,
        }
    }
}

impl From<SpendError> for Fail {
    fn from(error: SpendError) -> Self {
        Self::Spend(error)
    }
}

/// What a node does, one after the other. In the end it drops what it holds, and yields its input plus one.
#[derive(Debug, Clone)]
enum Do {
    /// Reserves so many tokens, and fails with the refusal.
    Reserve(u64),
    /// Reserves so many tokens, and goes on without when refused.
    Try(u64),
    /// Reserves so many tokens, and makes a failure of its own of a refusal.
    Or(u64, Fail),
    /// Reserves for a model.
    ReserveOf(Usage<'static>),
    /// Settles the last reservation at so many tokens.
    Settle(u64),
    /// Settles the last reservation by this usage, and fails with what is wrong with that.
    SettleOf(Usage<'static>),
    /// Reserves so many tokens and waits until that is stored; fails with the refusal.
    Ahead(u64),
    /// Two of them at once.
    Twice(u64, u64),
    /// Settles the last of those at so many tokens.
    SettleAhead(u64),
    /// Records so many tokens.
    Record(u64),
    /// Records a usage, and fails with what is wrong with it.
    RecordOf(Usage<'static>),
    /// Records a usage, and goes on whatever is wrong with it.
    TryRecord(Usage<'static>),
    /// Writes down the model that is to be used, and books its use.
    Model(&'static str, u64),
    /// Writes down what is left of the tokens.
    Left,
    /// Writes down what is left of the time.
    TimeLeft,
    /// Lets go of the task once.
    Pause,
    /// Waits on tokio's clock.
    Sleep(Duration),
    /// Never ends.
    Hang,
    Fail(Fail),
}

use Do::{
    Ahead, Hang, Left, Model, Or, Pause, Record, RecordOf, Reserve, ReserveOf, Settle, SettleAhead, SettleOf, Sleep,
    TimeLeft, Try, TryRecord, Twice,
};

/// What the nodes do, call by call; when nothing is left to be told they just yield.
#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    acts: BTreeMap<&'static str, VecDeque<Vec<Do>>>,
    calls: BTreeMap<&'static str, u32>,
    log: Vec<String>,
}

impl Script {
    fn new<const N: usize>(acts: [(&'static str, Vec<Do>); N]) -> Self {
        let script = Self::default();
        for (node, acts) in acts {
            script.0.lock().unwrap().acts.entry(node).or_default().push_back(acts);
        }
        script
    }

    fn next(&self, node: &'static str) -> Vec<Do> {
        let mut inside = self.0.lock().unwrap();
        *inside.calls.entry(node).or_default() += 1;
        inside.acts.get_mut(node).and_then(VecDeque::pop_front).unwrap_or_default()
    }

    fn calls(&self, node: &str) -> u32 {
        self.0.lock().unwrap().calls.get(node).copied().unwrap_or(0)
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap().log.push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }
}

async fn act(x: u32, cx: NodeCx<'_, Script>) -> Result<u32, Fail> {
    let script = cx.context();
    let mut held: Vec<Reservation<'_>> = Vec::new();
    let mut ahead: Vec<AheadReservation<'_>> = Vec::new();
    for act in script.next(cx.node()) {
        match act {
            Reserve(tokens) => held.push(cx.reserve(Usage::tokens(tokens))?),
            Try(tokens) => match cx.reserve(Usage::tokens(tokens)) {
                Ok(guard) => held.push(guard),
                Err(error) => script.add(format!("{}: {error}", cx.node())),
            },
            Or(tokens, fail) => held.push(cx.reserve(Usage::tokens(tokens)).map_err(|_| fail)?),
            ReserveOf(usage) => held.push(cx.reserve(usage)?),
            Settle(tokens) => drop(held.pop().unwrap().settle(Usage::tokens(tokens))?),
            SettleOf(usage) => drop(held.pop().unwrap().settle(usage)?),
            Ahead(tokens) => ahead.push(cx.reserve_ahead(Usage::tokens(tokens)).await?),
            Twice(one, two) => {
                let both = (cx.reserve_ahead(Usage::tokens(one)), cx.reserve_ahead(Usage::tokens(two)));
                let (one, two) = tokio::join!(both.0, both.1);
                ahead.extend([one?, two?]);
            }
            SettleAhead(tokens) => drop(ahead.pop().unwrap().settle(Usage::tokens(tokens))?),
            Record(tokens) => drop(cx.record(Usage::tokens(tokens))?),
            RecordOf(usage) => drop(cx.record(usage)?),
            TryRecord(usage) => script.add(format!("{:?}", cx.record(usage))),
            Model(wanted, tokens) => {
                let model = cx.model(wanted);
                script.add(format!("{} {model}", cx.node()));
                cx.record(Usage::of(model).input(tokens))?;
            }
            Left => script.add(format!("{} {:?}", cx.node(), cx.remaining().tokens)),
            TimeLeft => script.add(format!("{} {:?}", cx.node(), cx.remaining().time)),
            Pause => yield_once().await,
            Sleep(time) => tokio::time::sleep(time).await,
            Hang => std::future::pending().await,
            Do::Fail(fail) => return Err(fail),
        }
    }
    Ok(x + 1)
}

/// What all attempts spent together, as hooks are told.
#[derive(Debug, Clone, Default)]
struct Sum(Arc<Mutex<(u64, u64, u64, Vec<String>)>>);

impl Sum {
    fn add(&self, at: Attempt<'_>, how: &str, spent: Spent) {
        let mut sum = self.0.lock().unwrap();
        sum.0 += spent.tokens;
        sum.1 += spent.cost.as_picodollars();
        sum.2 += spent.unpriced_tokens;
        sum.3.push(format!("{} {} {how} {}", at.node, at.attempt, spent.tokens));
    }

    fn is(&self, spent: Spent) -> bool {
        let sum = self.0.lock().unwrap();
        (sum.0, sum.1, sum.2) == (spent.tokens, spent.cost.as_picodollars(), spent.unpriced_tokens)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap()).3
    }
}

impl<In, Out, Er> Hooks<In, Out, Er> for Sum {
    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.add(at, "succeeded", succeeded.spent);
    }

    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        self.add(at, "failed", failed.spent);
    }

    fn on_cut_short(&self, at: Attempt<'_>, spent: Spent) {
        self.add(at, "cut short", spent);
    }
}

/// One picodollar for a token in, two for one out; a big model ten times that; and one that is free.
fn pricing() -> Pricing {
    let each = |pico| Price::per_token(Usd::picodollars(pico), Usd::picodollars(2 * pico));
    let pricing = Pricing::empty().with("m", each(1)).unwrap().with("big", each(10)).unwrap();
    pricing.with("small", each(1)).unwrap().with("tiny", Price::free()).unwrap()
}

const fn tokens(most: u64) -> Budget {
    Budget::unlimited().tokens(most)
}

const fn pico(most: u64) -> Budget {
    Budget::unlimited().cost(Usd::picodollars(most))
}

fn id(number: u128) -> RunId {
    RunId::from_u128(number)
}

/// A runner with everything on.
macro_rules! runner {
    ($pipeline:expr, $script:expr, $store:expr, $budget:expr, $sum:expr) => {
        Runner::quick($pipeline)
            .with_policies(PolicyMap::never().recoverable(9, Backoff::none()).ambiguous(9, Backoff::none()))
            .with_store($store.clone())
            .with_context($script.clone())
            .with_hooks($sum.clone())
            .with_budget($budget)
            .with_pricing(pricing())
            .build()
            .unwrap()
    };
    ($pipeline:expr, $script:expr, $store:expr, $budget:expr) => {
        runner!($pipeline, $script, $store, $budget, Sum::default())
    };
    ($pipeline:expr, $script:expr, $budget:expr) => {
        runner!($pipeline, $script, Arc::new(HeapStore::new()), $budget)
    };
}

fn over_tokens(limit: u64, actual: u64) -> Cause<Fail> {
    Cause::Budget(BudgetExceeded::Tokens { limit, actual })
}

fn over_cost(limit: u64, actual: u64) -> Cause<Fail> {
    Cause::Budget(BudgetExceeded::Cost { limit: Usd::picodollars(limit), actual: Usd::picodollars(actual) })
}

mod ahead;
mod cut_short;
mod limits;
mod many_runs;
mod models;
mod parts;
mod resume;
mod time;
