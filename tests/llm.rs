//! The example `llm`: its client and its pipeline against its own server, fault by fault, and the built program with a real
//! SIGKILL.
//!
//! Nothing waits for real. The client and the server talk over a socket of this machine, of which a paused clock of tokio's
//! does not know, so that it could jump to a time-out while an answer is on its way. So the runs have a clock of the tests' own:
//! a wait before a retry is written down and is over at once, and the limit of an attempt is reached when a test says so.
#![cfg(all(unix, feature = "redb", feature = "tokio", feature = "json"))]
// It is the user of a program, and has the standard library.
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

#[path = "../examples/llm/client.rs"]
mod client;
#[path = "support/example.rs"]
mod example;
#[path = "../examples/llm/pipeline.rs"]
mod pipeline;
#[path = "../examples/llm/progress.rs"]
mod progress;
#[allow(dead_code, reason = "the program reads faults from its command line")]
#[path = "../examples/llm/server.rs"]
mod server;
#[path = "../examples/llm/text.rs"]
mod text;
#[allow(dead_code, reason = "only the program kills itself")]
#[path = "../examples/digest/watch.rs"]
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
const LONG: &str = include_str!("../examples/llm/herschel.txt");

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

// What goes well.

#[tokio::test]
async fn each_part_of_a_text_is_asked_about_once_with_a_key_of_its_own() {
    let desk = Desk::new(LONG, []).await;
    let done = desk.run().await.unwrap();
    assert_eq!(done.report.status, RunStatus::Completed);
    let [people, places, dates] = names(&done.output);
    assert!(people.contains(&"Nevil Maskelyne") && people.contains(&"John Flamsteed"), "{people:?}");
    assert!(places.contains(&"Hanover") && places.contains(&"Windsor"), "{places:?}");
    assert!(dates.contains(&"16 March 1750") && dates.contains(&"9 January 1848"), "{dates:?}");
    // The facts of a part are there once, though all four parts have her name.
    assert_eq!(people.iter().filter(|name| **name == "Caroline Herschel").count(), 1);

    let keys: BTreeMap<String, Count> = (1..=PARTS).map(|part| (desk.key(&format!("ask-{part}")), once(1))).collect();
    assert_eq!(desk.server.counts(), keys);
    let asked = desk.server.asked();
    let mut parts: Vec<&str> = asked.iter().map(|asked| asked.messages[1].1.as_str()).collect();
    // Together they are the text, each word once.
    parts.sort_by_key(|part| text::one_line(LONG).find(&text::one_line(part)[..40]));
    assert_eq!(text::one_line(&parts.join(" ")), text::one_line(LONG));
    assert!(asked.iter().all(|asked| asked.model == MODEL && asked.messages[0].0 == "system"));
    assert_eq!((done.output.took.calls, done.output.took.models), (4, BTreeSet::from([MODEL.to_owned()])));

    // It is finished: nobody is asked again.
    let again = desk.run().await.unwrap();
    assert_eq!((again.report.status, again.output.facts), (RunStatus::Resumed, done.output.facts));
    assert_eq!(desk.server.asked().len(), 4);
}

#[tokio::test]
async fn a_short_text_is_one_call() {
    let desk = Desk::new(SHORT, []).await;
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!((done.output.took.calls, desk.server.asked().len()), (1, 1));
    assert!(done.output.took.prompt_tokens > 100 && done.output.took.completion_tokens > 50, "{:?}", done.output.took);
    assert_eq!(desk.clock.waited(), []);
}

#[tokio::test]
async fn another_text_another_model_and_another_take_are_other_runs() {
    let desk = Desk::new(SHORT, []).await;
    let id = |server: &str, model: &str, largest, take| {
        Source::find(&desk.text(), server, model, largest, take).unwrap().run_id()
    };
    let mut ids =
        vec![id("a", "b", 1, 1), id("b", "b", 1, 1), id("a", "c", 1, 1), id("a", "b", 2, 1), id("a", "b", 1, 2)];
    ids.push(id("a\nb", "c", 1, 1));
    ids.push(id("a", "b\nc", 1, 1));
    assert_eq!(id("a", "b", 1, 1), ids[0]);
    fs::write(desk.text(), LONG).unwrap();
    ids.push(id("a", "b", 1, 1));
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}

// What waiting mends.

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    for (when, wait) in
        [(ComeBack::Seconds(7), Some(secs(7))), (ComeBack::Date(11), Some(secs(11))), (ComeBack::Unsaid, None)]
    {
        let desk = Desk::new(SHORT, [Fault::Throttled(when)]).await;
        let done = is_right_about_the_short_text(desk.run().await);
        assert_eq!(desk.clock.waited(), [wait.unwrap_or_else(|| desk.computed(1))], "{when:?}");
        assert_eq!(desk.count("ask-1"), Count { seen: 2, done: 1 });
        let messages: Vec<String> = done.trace.failures().map(|event| format!("{:?}", event.outcome)).collect();
        assert!(messages.len() == 1 && messages[0].contains("too much to do (429)"), "{messages:?}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for() {
    let desk = Desk::new(SHORT, [Fault::Throttled(ComeBack::Seconds(7_200))]).await;
    let halted = desk.run().await.unwrap_err();
    assert_eq!((halted.report.status, halted.attempt), (RunStatus::Partial, 1));
    assert!(llm_error(&halted).to_string().contains("asks to be left alone for 7200s"), "{halted:?}");
    assert_eq!((desk.clock.waited(), desk.server.asked().len()), (vec![], 1));
    // Later it goes on.
    is_right_about_the_short_text(desk.run().await);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT] {
        let desk = Desk::new(SHORT, [Fault::Status(status), Fault::Status(status)]).await;
        is_right_about_the_short_text(desk.run().await);
        assert_eq!(desk.clock.waited(), [desk.computed(1), desk.computed(2)], "{status}");
        assert_eq!(desk.count("ask-1"), Count { seen: 3, done: 1 });
    }
}

#[tokio::test]
async fn a_server_that_always_fails_is_asked_five_times() {
    let fault = Fault::Status(StatusCode::BAD_GATEWAY);
    let desk = Desk::new(SHORT, [fault; 5]).await;
    let halted = desk.run().await.unwrap_err();
    assert_eq!((halted.node, halted.attempt, halted.class), (Some("ask-1"), 5, FailureClass::Recoverable));
    assert_eq!((halted.report.status, desk.clock.waited().len()), (RunStatus::Partial, 4));
    assert!(story(&halted).contains("the server failed (502 Bad Gateway)"), "{}", story(&halted));
    assert_eq!(desk.count("ask-1"), Count { seen: 5, done: 0 });
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_with_the_same_key_and_not_paid_for_again() {
    let desk = Desk::new(SHORT, [Fault::CutOff]).await;
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!(desk.count("ask-1"), Count { seen: 2, done: 1 });
    assert_eq!(desk.clock.waited(), [desk.computed(1)]);
    let message = format!("{:?}", done.trace.failures().next().unwrap().outcome);
    assert!(message.contains("lost in the middle of the answer") && message.contains("Recoverable"), "{message}");
}

#[tokio::test]
async fn a_slow_answer_within_the_limit_is_waited_for() {
    let desk = Desk::new(SHORT, [Fault::Slow(secs(59))]).await;
    let ended = desk.run_beside(async {
        desk.server.arrived(1).await;
        while desk.server_clock.next_wake() != Some(secs(59)) {
            tokio::task::yield_now().await;
        }
        desk.server_clock.advance(secs(59));
    });
    is_right_about_the_short_text(ended.await);
    assert_eq!((desk.count("ask-1"), desk.clock.waited()), (once(1), vec![]));
}

#[tokio::test]
async fn an_answer_that_is_too_slow_is_given_up_and_asked_for_again() {
    let desk = Desk::new(SHORT, [Fault::Slow(secs(61))]).await;
    let ended = desk.run_beside(async {
        desk.server.arrived(1).await;
        desk.clock.time_is_up();
    });
    let done = is_right_about_the_short_text(ended.await);
    // The server had done the work, and answers the same key out of its memory.
    assert_eq!((desk.count("ask-1"), desk.clock.waited()), (Count { seen: 2, done: 1 }, vec![desk.computed(1)]));
    assert_eq!(done.trace.failures().count(), 1);
}

#[tokio::test]
async fn a_server_that_is_always_too_slow_ends_the_run() {
    let desk = Desk::new(SHORT, [Fault::Slow(secs(61)); 5]).await;
    let ended = desk.run_beside(async {
        for attempt in 1..=5 {
            desk.server.arrived(attempt).await;
            desk.clock.time_is_up();
        }
    });
    let halted = ended.await.unwrap_err();
    assert!(matches!(halted.cause, Cause::TimedOut { limit: ATTEMPT_LIMIT }), "{:?}", halted.cause);
    assert_eq!((halted.report.status, halted.attempt), (RunStatus::Partial, 5));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_looked_for_again() {
    let desk = Desk::new(SHORT, []).await;
    // Gone again, while the other one still has its own port.
    let gone = Server::start(KEY, [], desk.server_clock.clone()).await.unwrap();
    let client = Client::new(gone.base_url(), ApiKey::new(KEY)).unwrap();
    let address = gone.base_url().trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    drop(gone);
    // The task that listened ends at its next turn.
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let halted = desk.run_with(desk.source(), client, async {}).await.unwrap_err();
    assert!(matches!(llm_error(&halted), LlmError::Unreachable(_)), "{halted:?}");
    assert_eq!((halted.report.status, desk.clock.waited().len()), (RunStatus::Partial, 4));
    assert!(story(&halted).contains("see that it runs, and that --base-url is right"), "{}", story(&halted));
    // It is there, at another place.
    is_right_about_the_short_text(desk.run().await);
}

// What the model says.

#[tokio::test]
async fn an_answer_that_is_wrong_is_shown_to_the_model_with_what_is_wrong() {
    for (nonsense, path, says) in [
        (Nonsense::WrongType, "wrong at `numbers[0].value`", "invalid type: string \"many\""),
        (Nonsense::Prose, "wrong as a whole", "expected value"),
        (Nonsense::Invented, "wrong at `people[2].sentence`", "does not have the sentence `Nobody has ever written"),
        (Nonsense::TooLong, "wrong as a whole", "it ended at its limit of tokens"),
    ] {
        let desk = Desk::new(SHORT, [Fault::Nonsense(nonsense)]).await;
        let done = is_right_about_the_short_text(desk.run().await);
        // Another request has another key, or the server would have nothing new to say.
        assert_eq!((desk.count("ask-1"), desk.count("repair-1")), (once(1), once(1)), "{nonsense:?}");
        let asked = desk.server.asked();
        let [first, second] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(second.messages[..2], first.messages[..]);
        let [_, _, (wrong_by, wrong), (told_by, told)] = &second.messages[..] else { panic!("{second:?}") };
        assert_eq!((wrong_by.as_str(), told_by.as_str()), ("assistant", "user"));
        assert!(!wrong.is_empty() && told.contains(path) && told.contains(says), "{told}");
        // Both calls are counted, and nothing was waited for: it is no failure.
        assert_eq!((done.output.took.calls, desk.clock.waited()), (2, vec![]));
        assert_eq!(done.trace.failures().count(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_wrong_twice_ends_the_run() {
    let desk = Desk::new(SHORT, [Fault::Nonsense(Nonsense::WrongType); 2]).await;
    let halted = desk.run().await.unwrap_err();
    assert_eq!(
        (halted.node, halted.class, halted.report.status),
        (Some("check-1"), FailureClass::Terminal, RunStatus::Failed)
    );
    let Cause::Contract(broken) = &halted.cause else { panic!("{halted:?}") };
    assert_eq!(broken.violation.path(), "numbers[0].value");
    assert!(broken.violation.message().starts_with("invalid type: string \"many\", expected f64"), "{broken}");
    assert_eq!(desk.server.asked().len(), 2);
    // The same again would be the same, and is not paid for; another take is.
    desk.run().await.unwrap_err();
    assert_eq!(desk.server.asked().len(), 2);
    let take = Source::find(&desk.text(), "the server", MODEL, 1_500, 2).unwrap();
    is_right_about_the_short_text(desk.run_with(take, desk.client(KEY), async {}).await);
    assert_eq!(desk.server.asked().len(), 3);
}

#[tokio::test]
async fn a_contract_says_which_field_is_wrong_and_why() {
    for (nonsense, path, says) in [
        (Nonsense::Prose, "", "expected value at line 1 column 1"),
        (Nonsense::TooLong, "", "EOF while parsing"),
        (Nonsense::Invented, "people[2].sentence", "the text does not have the sentence `Nobody has ever written"),
    ] {
        let desk = Desk::new(SHORT, [Fault::Nonsense(nonsense); 2]).await;
        for _ in 0..2 {
            let halted = desk.run().await.unwrap_err();
            let Cause::Contract(broken) = &halted.cause else { panic!("{halted:?}") };
            assert_eq!((halted.node, halted.report.status), (Some("check-1"), RunStatus::Failed), "{nonsense:?}");
            let (at, why) = (broken.violation.path(), broken.violation.message());
            assert!((at == path || path.is_empty()) && why.contains(says), "{nonsense:?}: {broken}");
        }
        // The second time nobody was asked.
        assert_eq!(desk.server.asked().len(), 2, "{nonsense:?}");
    }
}

// What waiting does not mend.

#[tokio::test]
async fn a_key_that_is_refused_is_not_tried_again_and_never_shown() {
    let desk = Desk::new(SHORT, []).await;
    let client = desk.client("sk-another-secret");
    assert!(!format!("{client:?}").contains("another-secret"));
    let halted = desk.run_with(desk.source(), client, async {}).await.unwrap_err();
    assert_eq!((halted.class, halted.attempt, halted.report.status), (FailureClass::Terminal, 1, RunStatus::Failed));
    // The server repeats the key that it was shown.
    let story = story(&halted);
    assert!(
        story.contains("401 Unauthorized") && story.contains("(the key)") && story.contains("OPENAI_API_KEY"),
        "{story}"
    );
    assert!(!format!("{story} {halted:?} {}", halted.trace.to_json().unwrap()).contains("another-secret"));
    assert_eq!(desk.clock.waited(), []);
    is_right_about_the_short_text(desk.run().await);
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_made_again() {
    for (fault, says) in [
        (Fault::Status(StatusCode::UNAUTHORIZED), "set OPENAI_API_KEY"),
        (Fault::Status(StatusCode::FORBIDDEN), "take another one"),
        (Fault::Status(StatusCode::NOT_FOUND), "see that --base-url ends before /chat/completions"),
        (Fault::Status(StatusCode::BAD_REQUEST), "mend what it names"),
        (Fault::Status(StatusCode::TEMPORARY_REDIRECT), "give the address that it is at now"),
        (Fault::OutOfCredit, "waiting does not help"),
    ] {
        let desk = Desk::new(SHORT, [fault]).await;
        let halted = desk.run().await.unwrap_err();
        assert_eq!(
            (halted.class, halted.attempt, desk.server.asked().len()),
            (FailureClass::Terminal, 1, 1),
            "{fault:?}"
        );
        assert!(story(&halted).contains(says), "{}", story(&halted));
        assert_eq!((desk.count("ask-1"), desk.clock.waited()), (once(0), vec![]));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_understands_is_asked_for_once_more() {
    for (fault, says) in [
        (Fault::Garbled, "not as the protocol has it, at `choices[0].message.content`"),
        (Fault::WebPage, "the answer is text/html; charset=utf-8, not JSON"),
    ] {
        let desk = Desk::new(SHORT, [fault]).await;
        is_right_about_the_short_text(desk.run().await);
        assert_eq!((desk.count("ask-1"), desk.clock.waited()), (Count { seen: 2, done: 1 }, vec![secs(1)]));

        let desk = Desk::new(SHORT, [fault; 2]).await;
        let halted = desk.run().await.unwrap_err();
        assert_eq!((halted.class, halted.attempt), (FailureClass::Ambiguous, 2), "{fault:?}");
        assert!(story(&halted).contains(says), "{}", story(&halted));
    }
}

#[tokio::test]
async fn what_came_for_other_parts_is_kept_when_one_fails() {
    let desk = Desk::new(LONG, [Fault::Status(StatusCode::BAD_REQUEST)]).await;
    let halted = desk.run().await.unwrap_err();
    let failed = halted.node.unwrap();
    assert!(failed.starts_with("ask-"), "{failed}");
    let done = desk.run().await.unwrap();
    assert_eq!((done.report.status, done.output.took.calls), (RunStatus::Resumed, 4));
    for part in 1..=PARTS {
        let node = format!("ask-{part}");
        let seen = if node == failed { 2 } else { 1 };
        assert_eq!(desk.count(&node), Count { seen, done: 1 }, "{node}");
    }
}

#[tokio::test]
async fn one_key_is_for_one_request() {
    let desk = Desk::new(SHORT, []).await;
    let client = desk.client(KEY);
    let chat = |text: &str| Chat {
        model: MODEL.to_owned(),
        messages: vec![Message { role: Role::User, content: text.to_owned() }],
        max_completion_tokens: 500,
        response_format: Format::JsonObject,
    };
    let first = client.complete(&chat("Ada Lovelace wrote 7 notes."), "key").await.unwrap();
    assert_eq!(client.complete(&chat("Ada Lovelace wrote 7 notes."), "key").await.unwrap(), first);
    let other = client.complete(&chat("Something else."), "key").await.unwrap_err();
    assert!(other.to_string().contains("sent before with another request"), "{other}");
    assert_eq!(other.class(), FailureClass::Terminal);
    assert_eq!(desk.server.counts(), BTreeMap::from([("key".to_owned(), Count { seen: 3, done: 1 })]));
    // A key that cannot be sent is a mistake of the program's, and nothing is sent.
    let unsendable = client.complete(&chat("a"), "two\nlines").await.unwrap_err();
    assert!(matches!(unsendable, LlmError::Unsendable(_)), "{unsendable:?}");
    assert_eq!(desk.server.asked().len(), 3);
    // The answer is no longer than it was allowed to be.
    let short = Chat { max_completion_tokens: 5, ..chat("Ada Lovelace wrote 7 notes.") };
    let short = client.complete(&short, "short").await.unwrap();
    assert!(short.cut && short.completion_tokens <= 5, "{short:?}");
}

#[tokio::test]
async fn a_base_url_or_a_key_that_cannot_be_used_is_told_before_anything_is_sent() {
    let client = |url: &str, key: &str| Client::new(url, ApiKey::new(key)).unwrap_err();
    assert!(matches!(client("api.openai.com", KEY), SetupError::Url(_)));
    assert!(matches!(client("ftp://api.openai.com/v1", KEY), SetupError::NotHttp));
    assert!(matches!(client("http://a/v1", " "), SetupError::Key));
    let broken = client("http://a/v1", "sk-two\nlines");
    assert!(matches!(broken, SetupError::Key) && !story(&broken).contains("two"));
    // With and without a slash at the end it is the same place.
    let desk = Desk::new(SHORT, []).await;
    let slash = Client::new(&format!("{}/", desk.server.base_url()), ApiKey::new(KEY)).unwrap();
    is_right_about_the_short_text(desk.run_with(desk.source(), slash, async {}).await);
}

#[tokio::test]
async fn a_text_that_cannot_be_asked_about_costs_nothing() {
    let desk = Desk::new(SHORT, []).await;
    let halt = async |bytes: &[u8], largest: u32| {
        fs::write(desk.text(), bytes).unwrap();
        let source = Source::find(&desk.text(), "the server", MODEL, largest, 1).unwrap();
        let halted = desk.run_with(source, desk.client(KEY), async {}).await.unwrap_err();
        assert_eq!((halted.node, halted.class), (Some("read"), FailureClass::Terminal));
        story(&halted)
    };
    assert!(halt(b" \n\n", 1_500).await.contains("the text is empty"));
    assert!(halt(b"caf\xe9", 1_500).await.contains("not UTF-8"));
    let long = halt(LONG.as_bytes(), 40).await;
    assert!(long.contains("where 40 are allowed") && long.contains("--part-words"), "{long}");

    let source = desk.source();
    fs::write(desk.text(), SHORT).unwrap();
    let halted = desk.run_with(source, desk.client(KEY), async {}).await.unwrap_err();
    assert!(story(&halted).contains("written to in between"), "{}", story(&halted));
    let missing = Source::find(Path::new("/nowhere/at/all"), "the server", MODEL, 1, 1).unwrap_err();
    assert!(story(&missing).contains("cannot be read: No such file"), "{}", story(&missing));
    assert_eq!(desk.server.asked(), []);
}

// What it costs.

#[tokio::test]
async fn what_is_reported_is_the_bill_to_the_picodollar() {
    // The model is named by its version, asked by the plain name; one answer has to be repaired, and one part is throttled.
    for model in [BIG, SMALL] {
        let faults = [Fault::Nonsense(Nonsense::WrongType), Fault::Throttled(ComeBack::Seconds(1))];
        let desk = Desk::of(model, Usd::dollars(1), LONG, faults).await;
        let done = desk.run().await.unwrap();
        let billed = desk.server.billed();
        assert_eq!(billed.len(), PARTS + 1);
        assert!(billed.iter().all(|billed| billed.model.starts_with(&format!("{model}-2024"))), "{billed:?}");
        assert_eq!(done.report.spent.cost, desk.bill(), "{model}");
        let tokens: u64 = billed.iter().map(|billed| billed.prompt_tokens + billed.completion_tokens).sum();
        assert_eq!((done.report.spent.tokens, done.report.spent.unpriced_tokens), (tokens, 0));
        let took = &done.output.took;
        assert_eq!((took.prompt_tokens + took.completion_tokens, took.calls), (tokens, 5));

        // A run that is over costs no more.
        let again = desk.run().await.unwrap();
        assert_eq!((again.report.status, again.report.spent.cost), (RunStatus::Resumed, desk.bill()));
        assert_eq!(desk.server.billed().len(), PARTS + 1);
    }
}

#[tokio::test]
async fn no_call_is_made_that_does_not_fit_into_the_budget_with_the_others() {
    let rich = Desk::of(SMALL, Usd::dollars(1), LONG, []).await;
    let undisturbed = rich.run().await.unwrap();
    let mut asked = rich.server.asked();
    for (asked, billed) in asked.iter().zip(rich.server.billed()) {
        let (most, longest) = (most(asked), asked.longest.unwrap());
        assert!(cost(&billed) < most && billed.completion_tokens <= longest, "{most} {billed:?}");
    }
    // In the order of the parts, which is that in which they are asked about.
    asked.sort_by(|a, b| a.key.cmp(&b.key));
    let each: Vec<Usd> = asked.iter().map(most).collect();

    for fit in 0..PARTS {
        // What the next one would take, less a picodollar.
        let limit = total(each[..=fit].iter().copied()).checked_sub(Usd::picodollars(1)).unwrap();
        let desk = Desk::of(SMALL, limit, LONG, []).await;
        let halted = desk.run().await.unwrap_err();
        // All are asked for at once; a later one is smaller, so it may fit where one before it did not.
        let (mut held, mut made) = (Usd::ZERO, BTreeSet::new());
        for (part, most) in each.iter().enumerate() {
            let with = held.checked_add(*most).unwrap();
            if with <= limit {
                (held, _) = (with, made.insert(desk.key(&format!("ask-{}", part + 1))));
            }
        }
        assert!(made.len() >= fit && made.len() < PARTS, "{made:?}");
        assert_eq!(desk.server.counts(), made.iter().map(|key| (key.clone(), once(1))).collect(), "{fit}");
        let Cause::Budget(BudgetExceeded::Cost { limit: told, actual }) = halted.cause else { panic!("{halted:?}") };
        assert!(told == limit && actual > limit, "{actual}");
        assert_eq!((halted.report.status, halted.attempt), (RunStatus::Partial, 1));
        assert!(halted.report.spent.cost == desk.bill() && desk.bill() <= limit, "{} {limit}", desk.bill());

        // With a larger one it goes on: what was paid for is not asked again.
        let desk = Desk { budget: Budget::unlimited().cost(Usd::dollars(1)), ..desk };
        let done = desk.run().await.unwrap();
        assert_eq!(done.output, undisturbed.output, "{fit}");
        assert!(desk.server.counts().values().all(|count| *count == once(1)), "{:?}", desk.server.counts());
        assert_eq!((done.report.spent.cost, desk.bill()), (rich.bill(), rich.bill()), "{fit}");
    }
}

#[tokio::test]
async fn a_budget_of_tokens_is_kept_too() {
    let desk = Desk { budget: Budget::unlimited().tokens(1_000), ..Desk::new(SHORT, []).await };
    let halted = desk.run().await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Budget(BudgetExceeded::Tokens { limit: 1_000, .. })), "{halted:?}");
    assert_eq!((halted.report.spent.tokens, desk.server.asked()), (0, vec![]));
    let desk = Desk { budget: Budget::unlimited().tokens(3_000), ..desk };
    let done = is_right_about_the_short_text(desk.run().await);
    // Without a limit of money no price is asked for.
    assert_eq!(done.report.spent.unpriced_tokens, done.report.spent.tokens);
}

#[tokio::test]
async fn a_call_that_may_have_been_charged_for_stays_booked() {
    let gateway = |status| Fault::Status(status);
    for (fault, stays) in [
        (Fault::CutOff, true),
        (Fault::Garbled, true),
        (Fault::WebPage, true),
        (gateway(StatusCode::GATEWAY_TIMEOUT), true),
        (gateway(StatusCode::BAD_GATEWAY), true),
        (gateway(StatusCode::INTERNAL_SERVER_ERROR), false),
        (gateway(StatusCode::SERVICE_UNAVAILABLE), false),
        (Fault::Throttled(ComeBack::Seconds(3)), false),
    ] {
        let desk = Desk::of(SMALL, Usd::cents(5), SHORT, [fault]).await;
        let done = is_right_about_the_short_text(desk.run().await);
        let asked = desk.server.asked();
        // The same body with the same key, of which the server bills one.
        assert_eq!((asked.len(), desk.count("ask-1")), (2, Count { seen: 2, done: 1 }), "{fault:?}");
        assert_eq!((&asked[0].messages, asked[0].longest), (&asked[1].messages, asked[1].longest));
        let lost = if stays { most(&asked[0]) } else { Usd::ZERO };
        assert_eq!(done.report.spent.cost, desk.bill().checked_add(lost).unwrap(), "{fault:?}");
    }
    // What is refused for good, and a server that is not there, cost nothing.
    for fault in [Fault::Status(StatusCode::UNAUTHORIZED), Fault::OutOfCredit] {
        let desk = Desk::of(SMALL, Usd::cents(5), SHORT, [fault]).await;
        assert_eq!(desk.run().await.unwrap_err().report.spent.cost, Usd::ZERO, "{fault:?}");
    }
}

#[tokio::test]
async fn calls_that_are_lost_use_the_budget_up() {
    // Enough for two of them.
    let one = most(&{
        let desk = Desk::of(SMALL, Usd::cents(5), SHORT, []).await;
        desk.run().await.unwrap();
        desk.server.asked().remove(0)
    });
    let limit = total([one, one]);
    let desk = Desk::of(SMALL, limit, SHORT, [Fault::CutOff; 5]).await;
    let halted = desk.run().await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Budget(_)), "{halted:?}");
    assert_eq!((halted.report.spent.cost, desk.server.asked().len()), (limit, 2));
    // What was spent is kept with the run, whose budget is used up until it is raised.
    let again = desk.run().await.unwrap_err();
    assert_eq!((again.report.spent.cost, desk.server.asked().len()), (limit, 2));
    let desk = Desk { budget: Budget::unlimited().cost(Usd::dollars(1)), ..desk };
    let ended = desk.run().await;
    let done = is_right_about_the_short_text(ended);
    // Three more were cut off.
    let lost = total([one; 5]);
    assert_eq!(done.report.spent.cost, total([lost, desk.bill()]));
    assert_eq!(desk.count("ask-1"), Count { seen: 6, done: 1 });
}

#[tokio::test]
async fn the_small_model_takes_over_at_its_share_of_the_budget_and_is_booked_by_its_name() {
    let faults = || [Fault::Nonsense(Nonsense::WrongType)];
    let first = {
        let desk = Desk::of(BIG, Usd::dollars(1), SHORT, faults()).await;
        desk.run().await.unwrap();
        cost(&desk.server.billed()[0])
    };
    // Twenty times what the first call costs, of which that is a twentieth; and a picodollar more.
    let limit = first.checked_mul(20).unwrap();
    for (more, second, name) in [(0, SMALL, "gpt-4o-mini-2024-07-18"), (1, BIG, "gpt-4o-2024-08-06")] {
        let limit = limit.checked_add(Usd::picodollars(more)).unwrap();
        let desk = Desk { fallback_at: 0.05, ..Desk::of(BIG, limit, SHORT, faults()).await };
        let done = is_right_about_the_short_text(desk.run().await);
        let asked: Vec<(String, String)> =
            desk.server.asked().into_iter().map(|asked| (asked.model, asked.key.unwrap())).collect();
        let key = |node: &str, model: &str| (model.to_owned(), format!("{}/{node}/{model}", desk.id()));
        assert_eq!(asked, [key("ask-1", BIG), key("repair-1", second)]);
        assert_eq!(done.report.spent.cost, desk.bill());
        assert_eq!(desk.server.billed()[1].model, name);
        assert_eq!(done.output.took.models, BTreeSet::from(["gpt-4o-2024-08-06".to_owned(), name.to_owned()]));
    }
}

#[tokio::test]
async fn an_attempt_with_another_model_has_another_key() {
    let (big, small) = {
        let desk = Desk::of(BIG, Usd::dollars(1), SHORT, []).await;
        desk.run().await.unwrap();
        let asked = desk.server.asked().remove(0);
        (most(&asked), most(&Asked { model: SMALL.to_owned(), ..asked }))
    };
    // The call that is lost makes 80 percent of it.
    let limit = big.checked_mul(5).map(|five| Usd::picodollars(five.as_picodollars() / 4)).unwrap();
    assert!(total([big, small]) <= limit);
    let desk = Desk::of(BIG, limit, SHORT, [Fault::CutOff, Fault::Throttled(ComeBack::Seconds(2))]).await;
    let done = is_right_about_the_short_text(desk.run().await);
    let [by_big, by_small] = [BIG, SMALL].map(|model| format!("{}/ask-1/{model}", desk.id()));
    // Of the small one both attempts had the same.
    assert_eq!(desk.server.counts(), BTreeMap::from([(by_big, once(1)), (by_small, Count { seen: 2, done: 1 })]));
    let billed = desk.server.billed();
    assert_eq!(done.report.spent.cost, total([big, cost(&billed[1])]));
    assert!(desk.bill() < done.report.spent.cost && done.report.spent.cost <= limit);
}

#[tokio::test]
async fn what_is_booked_is_the_model_that_answered() {
    // A dearer one than was asked for, by a server that knows better.
    let desk = Desk::of(SMALL, Usd::cents(5), SHORT, []).await;
    desk.server.rename(SMALL, "gpt-4o-2024-08-06");
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!(done.report.spent.cost, desk.bill());

    // One that nobody knows the price of: the run stops, and the answer is kept.
    let desk = Desk::of(SMALL, Usd::cents(5), SHORT, []).await;
    desk.server.rename(SMALL, "house-model");
    let halted = desk.run().await.unwrap_err();
    let Cause::Account(SpendError::UnknownModel(model)) = &halted.cause else { panic!("{halted:?}") };
    assert_eq!(model.name(), Some("house-model"));
    // It cost what was set aside for it, as far as anybody knows.
    let set_aside = most(&desk.server.asked()[0]);
    assert_eq!(halted.report.spent.cost, set_aside);
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!((done.report.spent.cost, desk.server.asked().len()), (set_aside, 1));
}

// The program.

struct Ran {
    code: Option<i32>,
    signal: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ends_with(self, code: i32) -> Self {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(&self, what: &str) -> &Self {
        assert!(self.err.contains(what), "{what}\n--- err\n{}", self.err);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The nodes that were checkpointed.
    fn checkpointed(&self) -> Vec<&str> {
        let said = self.err.lines().filter_map(|line| line.strip_suffix(": checkpointed"));
        let last = self.err.lines().filter_map(|line| line.strip_prefix("llm: `")?.split_once("` is checkpointed"));
        said.chain(last.map(|(node, _)| node)).collect()
    }
}

impl Desk {
    /// Runs the program on the text and with the server, while the server goes on.
    async fn program(&self, state: &str, options: &[&str]) -> Ran {
        let url = self.server.base_url().to_owned();
        let mut command = self.alone(state);
        command.env("OPENAI_API_KEY", KEY).args(["--base-url", &url]).arg(self.text()).args(options);
        ran(command).await
    }

    fn alone(&self, state: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program("llm"));
        command.env_remove("OPENAI_API_KEY").arg("--state").arg(self.folder.path().join(state));
        command
    }
}

async fn ran(mut command: tokio::process::Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), signal: status.signal(), out: text(stdout), err: text(stderr) }
}

#[tokio::test]
async fn killed_after_any_node_the_same_command_pays_for_no_finished_call_again() {
    let desk = Desk::new(LONG, []).await;
    let undisturbed = desk.program("undisturbed.redb", &["--json"]).await.ends_with(0).json();
    assert_eq!(undisturbed["took"]["calls"], 4);

    let refused = desk.program("refused.redb", &["--kill-after", "nobody"]).await.ends_with(2);
    let (_, nodes) = refused.err.lines().next().unwrap().split_once("the nodes are ").unwrap();
    let nodes: Vec<&str> = nodes.split(", ").collect();
    // Those that keep something: the answers are checked anew each time.
    assert_eq!(nodes.len(), 2 * PARTS + 2, "{nodes:?}");

    // One of the answers is wrong, so that there is a repair to be killed around.
    let faults = [Fault::Nonsense(Nonsense::WrongType)];
    for node in nodes {
        let desk = Desk::new(LONG, faults).await;
        let options = ["--json", "--kill-after", node];
        let killed = desk.program("llm.redb", &options).await;
        assert_eq!((killed.signal, killed.out.as_str()), (Some(9), ""), "{node}: {}", killed.err);
        assert!(killed.checkpointed().contains(&node), "{node}: {}", killed.err);
        let before = desk.server.counts();

        let again = desk.program("llm.redb", &options).await.ends_with(0);
        again.says("Not run again");
        let json = again.json();
        assert_eq!((&json["facts"], &json["status"]), (&undisturbed["facts"], &Value::from("RESUMED")), "{node}");
        assert_eq!(json["took"]["calls"], 5, "{node}");
        // A call that was under way is booked when it is made again; one whose answer came, but was not kept, twice.
        let spent: Usd = json["spent"]["cost"].as_str().unwrap().parse().unwrap();
        let twice = total(desk.server.billed().iter().map(|billed| cost(billed).checked_mul(2).unwrap()));
        assert!(desk.bill() <= spent && spent <= twice, "{node}: {spent} of {}", desk.bill());

        let after = desk.server.counts();
        assert_eq!(after.len(), 5, "{node}: {after:?}");
        assert!(after.values().all(|count| count.done == 1), "{node}: {after:?}");
        for (key, count) in &before {
            let node_of_key = key.split('/').nth(1).unwrap();
            if killed.checkpointed().contains(&node_of_key) {
                assert_eq!(after[key], *count, "{node}: {key} was finished");
            }
        }
        // Now there is nothing left to be killed after, and nobody to be asked.
        let finished = desk.program("llm.redb", &options).await.ends_with(0);
        assert_eq!((finished.json()["facts"].clone(), desk.server.counts()), (json["facts"].clone(), after), "{node}");
    }
}

#[tokio::test]
async fn without_a_server_it_starts_its_own() {
    let desk = Desk::new(SHORT, []).await;
    let mut command = desk.alone("llm.redb");
    command.args(["--faults", "429:0,wrong-type"]).arg(desk.text());
    let own = ran(command).await.ends_with(0);
    own.says("a server of the program's own, http://127.0.0.1:")
        .says("too much to do (429)")
        .says("`numbers[0].value`");
    own.says("The server was asked 3 times.").says("COMPLETED: 2 calls");
    assert!(own.out.contains("People (2)\n  Ada Lovelace\n      Ada Lovelace met Charles Babbage"), "{}", own.out);
    assert!(desk.server.asked().is_empty());

    // What a few rules said is not taken for what the server says.
    let other = desk.program("llm.redb", &["--quiet"]).await.ends_with(0);
    assert_eq!((other.err.as_str(), desk.server.asked().len()), ("", 1));

    // The text that comes with it.
    let mut command = desk.alone("llm.redb");
    command.arg("--json");
    assert_eq!(ran(command).await.ends_with(0).json()["took"]["calls"], 4);
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_one_line() {
    let desk = Desk::new(SHORT, [Fault::Status(StatusCode::UNAUTHORIZED)]).await;
    let refused = desk.program("llm.redb", &["--quiet"]).await.ends_with(1);
    refused.says("llm: FAILED (node `ask-1`, terminal): the server refuses the request (401 Unauthorized)");
    assert_eq!((refused.err.lines().count(), refused.out.as_str()), (1, ""), "{}", refused.err);
    assert!(!refused.err.contains(KEY), "{}", refused.err);

    let mut command = desk.alone("llm.redb");
    command.args(["--base-url", desk.server.base_url()]).arg(desk.text());
    ran(command).await.ends_with(1).says("OPENAI_API_KEY is not set");
    let mut command = desk.alone("llm.redb");
    command.arg("/nowhere/at/all");
    ran(command).await.ends_with(1).says("/nowhere/at/all: the text cannot be read: No such file");
    let mut command = desk.alone("llm.redb");
    command.args(["--faults", "earthquake"]);
    ran(command).await.ends_with(2).says("there is no fault `earthquake`");
}

#[tokio::test]
async fn what_a_killed_command_spent_is_part_of_what_the_next_one_spends() {
    // One call at a time, so that none is under way.
    let desk = Desk::new(SHORT, [Fault::Nonsense(Nonsense::WrongType)]).await;
    let options = ["--json", "--kill-after", "ask-1"];
    assert_eq!(desk.program("llm.redb", &options).await.signal, Some(9));
    let first = desk.bill();
    assert_eq!(desk.server.billed().len(), 1);
    let json = desk.program("llm.redb", &options).await.ends_with(0).json();
    assert_eq!(desk.server.billed().len(), 2);
    assert!(first > Usd::ZERO && desk.bill() > first);
    let [spent, limit] = ["spent", "budget"].map(|of| json[of]["cost"].as_str().unwrap().parse::<Usd>().unwrap());
    assert_eq!((spent, limit), (desk.bill(), Usd::cents(5)));
}

#[tokio::test]
async fn a_budget_that_is_too_small_is_told_and_a_larger_one_goes_on() {
    let desk = Desk::new(LONG, []).await;
    let options = ["--json", "--budget", "0.003"];
    let refused = desk.program("llm.redb", &[&options[..], &["--quiet"]].concat()).await.ends_with(3);
    assert_eq!((refused.err.lines().count(), refused.out.as_str()), (1, ""), "{}", refused.err);
    refused
        .says("llm: PARTIAL (node `ask-")
        .says("the budget of $0.003 does not allow more: the run could come to $0.00");
    refused.says("of $0.003; the same command with a larger --budget goes on from there");
    let made = desk.server.asked().len();
    assert!((1..PARTS).contains(&made), "{made}");

    let done = desk.program("llm.redb", &["--budget", "0.05"]).await.ends_with(0);
    done.says("RESUMED: 4 calls, ").says(&format!("{} of $0.05.", desk.bill()));
    assert!(desk.server.counts().values().all(|count| *count == once(1)), "{:?}", desk.server.counts());
}

#[tokio::test]
async fn a_model_without_a_price_is_told_before_anything_is_asked() {
    let desk = Desk::new(SHORT, []).await;
    let house = ["--model", "house-model"];
    let refused = desk.program("llm.redb", &house).await.ends_with(2);
    refused.says("the model `house-model` has no price").says("--prices FILE").says("--budget none");
    let fallback = ["--model", "gpt-4o", "--fallback-model", "house-model"];
    desk.program("llm.redb", &fallback).await.ends_with(2).says("the model `house-model` has no price");
    desk.program("llm.redb", &["--fallback-model", "gpt-4o", "--fallback-at", "80"])
        .await
        .ends_with(2)
        .says("80 percent");
    assert_eq!(desk.server.asked(), []);

    let prices = desk.folder.path().join("prices.json");
    let options = [&house[..], &["--json", "--prices", prices.to_str().unwrap()]].concat();
    fs::write(&prices, r#"{ "models": { "house-model": { "input_per_million": -1, "output_per_million": 8 } } }"#)
        .unwrap();
    desk.program("llm.redb", &options).await.ends_with(2).says("prices.json: ").says("negative");
    fs::write(&prices, r#"{ "models": { "house-model": { "input_per_million": 2, "output_per_million": 8 } } }"#)
        .unwrap();
    let json = desk.program("llm.redb", &options).await.ends_with(0).json();
    let billed = desk.server.billed().remove(0);
    let cost = Usd::picodollars(billed.prompt_tokens * 2_000_000 + billed.completion_tokens * 8_000_000);
    assert_eq!(json["spent"]["cost"].as_str().unwrap().parse(), Ok(cost));

    // Without a limit it costs what it costs.
    let options = [&house[..], &["--json", "--take", "2", "--budget", "none"]].concat();
    let json = desk.program("llm.redb", &options).await.ends_with(0).json();
    assert_eq!((&json["spent"]["cost"], &json["budget"]["cost"]), (&Value::from("0.00"), &Value::Null));
    assert_eq!(json["spent"]["unpriced_tokens"], json["spent"]["tokens"]);
}

#[tokio::test]
async fn an_answer_that_is_wrong_twice_has_its_own_exit_status() {
    let desk = Desk::new(SHORT, [Fault::Nonsense(Nonsense::WrongType); 2]).await;
    let wrong = desk.program("llm.redb", &["--quiet"]).await.ends_with(4);
    wrong.says("llm: FAILED (node `check-1`, terminal): the model's answer cannot be used");
    wrong.says("at `numbers[0].value`: invalid type: string \"many\"").says("another --take, or another --model");
    assert_eq!(wrong.err.lines().count(), 1, "{}", wrong.err);
}
