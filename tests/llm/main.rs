//! The example `llm`: its client and its pipeline against its own server, fault by fault, and the built program with a real
//! SIGKILL.
//!
//! Nothing waits for real. The client and the server talk over a socket of this machine, of which a paused clock of tokio's
//! does not know, so that it could jump to a time-out while an answer is on its way. So the runs have a clock of the tests' own:
//! a wait before a retry is written down and is over at once, and the limit of an attempt is reached when a test says so.
#![cfg(all(unix, feature = "redb", feature = "tokio", feature = "json"))]
// It is the user of a program, and has the standard library.
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

#[path = "../../examples/llm/client.rs"]
mod client;
#[path = "../support/example.rs"]
mod example;
#[path = "../../examples/llm/pipeline.rs"]
mod pipeline;
#[path = "../../examples/llm/progress.rs"]
mod progress;
#[path = "../../examples/llm/rules.rs"]
mod rules;
#[allow(dead_code, reason = "the program reads faults from its command line")]
#[path = "../../examples/llm/server.rs"]
mod server;
#[path = "../../examples/llm/text.rs"]
mod text;
#[allow(dead_code, reason = "only the program kills itself")]
#[path = "../../examples/digest/watch.rs"]
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    future::Future,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::StatusCode;
use serde_json::Value;
use stroma::{
    Backoff, Budget, BudgetExceeded, Cause, Clock, Completed, Failure, FailureClass, Halted, ManualClock, ManualSleep,
    Now, PolicyMap, Pricing, RunId, RunStatus, Runner, SpendError, Trace, Usd, ms, secs, store::RedbStore,
};
use tempfile::TempDir;

use crate::{
    client::{ApiKey, Chat, Client, Format, LlmError, Message, Role, SetupError},
    example::program,
    pipeline::{ATTEMPT_LIMIT, App, AppError, Extract, PARTS, Source, at_most, pipeline},
    progress::Progress,
    server::{Asked, Billed, ComeBack, Count, Fault, Nonsense, Server},
    watch::Watched,
};

const KEY: &str = "sk-a-secret-of-the-tests";
/// A model without a price: nothing is limited where nothing else is said.
const MODEL: &str = "some-model";
/// Two with prices.
const BIG: &str = "gpt-4o";
const SMALL: &str = "gpt-4o-mini";
/// A text of one part.
const SHORT: &str = "Ada Lovelace met Charles Babbage in London on 5 June 1833. She wrote 7 notes.";
/// A text of four parts.
const LONG: &str = include_str!("../../examples/llm/herschel.txt");

/// A clock by which waits are over at once, and limits only when it is told.
#[derive(Clone, Default)]
struct Impatient {
    clock: ManualClock,
    waited: Arc<Mutex<Vec<Duration>>>,
}

impl Impatient {
    /// The waits so far.
    fn waited(&self) -> Vec<Duration> {
        self.waited.lock().unwrap().clone()
    }

    /// The attempts that are under way have no time left.
    fn time_is_up(&self) {
        self.clock.advance(ATTEMPT_LIMIT);
    }
}

impl Now for Impatient {
    fn now(&self) -> Duration {
        self.clock.now()
    }
}

impl Clock for Impatient {
    type Sleep<'a> = ManualSleep;

    fn sleep(&self, duration: Duration) -> ManualSleep {
        let sleep = self.clock.sleep(duration);
        if duration < ATTEMPT_LIMIT {
            self.waited.lock().unwrap().push(duration);
            self.clock.advance(duration);
        }
        sleep
    }
}

type Ended = Result<Completed<Extract, Trace>, Halted<AppError, Trace>>;

/// A text, a server, and what the runs keep.
struct Desk {
    folder: TempDir,
    server: Server,
    /// By which the runs wait.
    clock: Impatient,
    /// By which the server is slow.
    server_clock: ManualClock,
    /// Who is asked.
    model: &'static str,
    /// What a run may spend.
    budget: Budget,
    /// From which share of the budget on the small model takes the place of the big one.
    fallback_at: f64,
}

impl Desk {
    async fn new(text: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let server_clock = ManualClock::new();
        let server = Server::start(KEY, faults, server_clock.clone()).await.unwrap();
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            server,
            clock: Impatient::default(),
            server_clock,
            model: MODEL,
            budget: Budget::unlimited(),
            fallback_at: 0.8,
        };
        fs::write(desk.text(), text).unwrap();
        desk
    }

    /// One at which `model` is asked, for so much money.
    async fn of(model: &'static str, most: Usd, text: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { model, budget: Budget::unlimited().cost(most), ..Self::new(text, faults).await }
    }

    fn text(&self) -> PathBuf {
        self.folder.path().join("text.txt")
    }

    fn source(&self) -> Source {
        Source::find(&self.text(), "the server", self.model, 1_500, 1).unwrap()
    }

    fn id(&self) -> RunId {
        self.source().run_id()
    }

    fn client(&self, key: &str) -> Client {
        Client::new(self.server.base_url(), ApiKey::new(key)).unwrap()
    }

    /// Runs the pipeline on the text.
    async fn run(&self) -> Ended {
        self.run_beside(async {}).await
    }

    /// Runs the pipeline on the text, with something else going on, which is over before.
    async fn run_beside(&self, other: impl Future<Output = ()>) -> Ended {
        self.run_with(self.source(), self.client(KEY), other).await
    }

    async fn run_with(&self, source: Source, client: Client, other: impl Future<Output = ()>) -> Ended {
        let progress = Progress::new(true);
        let store = RedbStore::open(self.folder.path().join("llm.redb")).unwrap();
        let runner = Runner::quick(pipeline::<Impatient>())
            .with_budget(self.budget)
            .with_model_fallback(BIG, SMALL, self.fallback_at)
            .with_store(Watched::new(store, progress, None))
            .with_policies(PolicyMap::never())
            .with_clock(self.clock.clone())
            .with_context(App { client, model: self.model.to_owned(), progress })
            .build()
            .unwrap();
        let mut run = std::pin::pin!(runner.run_as(source.run_id(), source));
        tokio::select! {
            biased;
            () = other => {}
            ended = &mut run => panic!("the run is over too soon: {ended:?}"),
        }
        run.await
    }

    /// The key of a node of the run.
    fn key(&self, node: &str) -> String {
        format!("{}/{node}/{}", self.id(), self.model)
    }

    /// What the key of a node of the run was used for.
    fn count(&self, node: &str) -> Count {
        self.server.counts().get(&self.key(node)).copied().unwrap_or_default()
    }

    /// What the server asks for all that it did.
    fn bill(&self) -> Usd {
        self.server.billed().iter().fold(Usd::ZERO, |sum, billed| sum.checked_add(cost(billed)).unwrap())
    }

    /// The wait before the first retry of `ask-1` after this many attempts, where nobody asks for another.
    fn computed(&self, attempt: u32) -> Duration {
        let seed = self.id().jitter_seed("ask-1", 0, attempt);
        Backoff::exponential(ms(500)).cap(secs(20)).delay(attempt, seed)
    }
}

/// What a provider asks for, by list prices in picodollars.
fn cost(billed: &Billed) -> Usd {
    let Billed { model, prompt_tokens, completion_tokens } = billed;
    let (input, output) = match model.as_str() {
        "gpt-4o-2024-08-06" => (2_500_000, 10_000_000),
        "gpt-4o-mini-2024-07-18" => (150_000, 600_000),
        other => panic!("{other} has no price"),
    };
    Usd::picodollars(prompt_tokens * input + completion_tokens * output)
}

/// The most that a request could cost, as it came to the server: what is set aside for it.
fn most(asked: &Asked) -> Usd {
    let role = |role: &str| match role {
        "system" => Role::System,
        "user" => Role::User,
        _ => Role::Assistant,
    };
    let messages = asked.messages.iter().map(|(by, content)| Message { role: role(by), content: content.clone() });
    let chat = Chat {
        model: asked.model.clone(),
        messages: messages.collect(),
        max_completion_tokens: asked.longest.unwrap().try_into().unwrap(),
        response_format: Format::JsonObject,
    };
    Pricing::known().cost(&at_most(&chat)).unwrap().unwrap()
}

fn total(amounts: impl IntoIterator<Item = Usd>) -> Usd {
    amounts.into_iter().fold(Usd::ZERO, |sum, amount| sum.checked_add(amount).unwrap())
}

fn once(done: u32) -> Count {
    Count { seen: 1, done }
}

fn names(extract: &Extract) -> [Vec<&str>; 3] {
    let facts = &extract.facts;
    [&facts.people, &facts.places, &facts.dates].map(|kind| kind.iter().map(|fact| fact.name.as_str()).collect())
}

#[track_caller]
fn is_right_about_the_short_text(ended: Ended) -> Completed<Extract, Trace> {
    let done = ended.unwrap();
    assert_eq!(names(&done.output), [vec!["Ada Lovelace", "Charles Babbage"], vec!["London"], vec!["5 June 1833"]]);
    let numbers: Vec<_> = done.output.facts.numbers.iter().map(|number| (number.value, number.of.as_str())).collect();
    assert_eq!(numbers, [(7.0, "notes")]);
    assert_eq!(done.output.facts.numbers[0].sentence, "She wrote 7 notes.");
    done
}

/// Why a run stopped, with all that is underneath.
fn story(error: &dyn Error) -> String {
    let source = error.source().map(|source| format!(": {}", story(source)));
    format!("{error}{}", source.unwrap_or_default())
}

#[track_caller]
fn llm_error(halted: &Halted<AppError, Trace>) -> &LlmError {
    match &halted.cause {
        Cause::Error(AppError::Llm(error)) => error,
        other => panic!("{other:?}"),
    }
}

mod answers;
mod built;
mod costs;
mod fine;
mod hopeless;
mod waiting;
