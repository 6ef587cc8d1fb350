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
    process::{Command, Output},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use hyper::StatusCode;
use serde_json::Value;
use stroma::{
    Backoff, Cause, Clock, Completed, Failure, FailureClass, Halted, ManualClock, ManualSleep, Now, PolicyMap, RunId,
    RunStatus, Runner, Trace, ms, secs, store::RedbStore,
};
use tempfile::TempDir;

use crate::{
    client::{ApiKey, Chat, Client, Format, LlmError, Message, Role, SetupError},
    pipeline::{ATTEMPT_LIMIT, App, AppError, Extract, PARTS, Source, pipeline},
    progress::Progress,
    server::{ComeBack, Count, Fault, Nonsense, Server},
    watch::Watched,
};

const KEY: &str = "sk-a-secret-of-the-tests";
const MODEL: &str = "some-model";
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
}

impl Desk {
    async fn new(text: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let server_clock = ManualClock::new();
        let server = Server::start(KEY, faults, server_clock.clone()).await.unwrap();
        let desk = Self { folder: tempfile::tempdir().unwrap(), server, clock: Impatient::default(), server_clock };
        fs::write(desk.text(), text).unwrap();
        desk
    }

    fn text(&self) -> PathBuf {
        self.folder.path().join("text.txt")
    }

    fn source(&self) -> Source {
        Source::find(&self.text(), "the server", MODEL, 1_500, 1).unwrap()
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
            .with_store(Watched::new(store, progress, None))
            .with_policies(PolicyMap::never())
            .with_clock(self.clock.clone())
            .with_context(App { client, model: MODEL.to_owned(), progress })
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

    /// What the key of a node of the run was used for.
    fn count(&self, node: &str) -> Count {
        self.server.counts().get(&format!("{}/{node}", self.id())).copied().unwrap_or_default()
    }

    /// The wait before the first retry of `ask-1` after this many attempts, where nobody asks for another.
    fn computed(&self, attempt: u32) -> Duration {
        let seed = self.id().jitter_seed("ask-1", 0, attempt);
        Backoff::exponential(ms(500)).cap(secs(20)).delay(attempt, seed)
    }
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

    let keys: BTreeMap<String, Count> =
        (1..=PARTS).map(|part| (format!("{}/ask-{part}", desk.id()), once(1))).collect();
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
        (Nonsense::WrongType, "numbers[0].value", "invalid type: string \"many\""),
        (Nonsense::Prose, ".", "expected value"),
        (Nonsense::Invented, "people[2].sentence", "does not have the sentence `Nobody has ever written"),
        (Nonsense::TooLong, ".", "it ended at its limit of 8192 tokens"),
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
        assert!(!wrong.is_empty() && told.contains(&format!("at `{path}`")) && told.contains(says), "{told}");
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
    let story = story(&halted);
    for says in ["cannot be used", "`numbers[0].value`", "invalid type", "--take", "--model"] {
        assert!(story.contains(says), "{story}");
    }
    assert_eq!(desk.server.asked().len(), 2);
    // The same again would be the same, and is not paid for; another take is.
    desk.run().await.unwrap_err();
    assert_eq!(desk.server.asked().len(), 2);
    let take = Source::find(&desk.text(), "the server", MODEL, 1_500, 2).unwrap();
    is_right_about_the_short_text(desk.run_with(take, desk.client(KEY), async {}).await);
    assert_eq!(desk.server.asked().len(), 3);
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

// The program.

/// The program. Cargo builds it, and says where it is: what lies in the target folder may be of yesterday.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--example", "llm", "--message-format", "json", "--manifest-path"]);
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).unwrap();
        let executable = messages.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            (message["target"]["name"] == "llm").then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        executable.unwrap()
    })
}

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
        let mut command = tokio::process::Command::new(program());
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
    assert_eq!(nodes.len(), 3 * PARTS + 2, "{nodes:?}");

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

        let after = desk.server.counts();
        assert_eq!(after.len(), 5, "{node}: {after:?}");
        assert!(after.values().all(|count| count.done == 1), "{node}: {after:?}");
        for (key, count) in &before {
            let (_, node_of_key) = key.split_once('/').unwrap();
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
