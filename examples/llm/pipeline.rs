//! The pipeline: what its nodes are, what they ask the model, and what becomes of its answers.

use std::{collections::BTreeSet, fmt, io, path::Path, time::Duration};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, ByFailure, Caps, Clock, Failure, FailureClass, Full, ListTrace, Metering, NoTrace, NodeCx, Pipeline,
    PolicyMap, RunId, Sealed, SendExec, ms, node, node_with, par,
    parts::{Fold, Shown},
    secs,
    store::Durable,
};
use uuid::Uuid;

use crate::{
    client::{Chat, Client, Completion, Format, LlmError, Message, Role},
    progress::Progress,
    text,
    watch::Watched,
};

/// Counted up when the same text is to be asked about anew.
const VERSION: u32 = 1;
/// Parts that a text is cut into at most: a call for each, all at once.
pub(crate) const PARTS: usize = 4;
/// A text is not cut into smaller parts than this, in words.
const SMALLEST_PART: usize = 60;
/// The longest answer in tokens.
const LONGEST_ANSWER: u32 = 8_192;
/// The time that an attempt at a call, or at reading, has.
pub(crate) const ATTEMPT_LIMIT: Duration = secs(60);
/// The time that a run has, with everything. A server that asks for more patience than that is not waited for.
const RUN_LIMIT: Duration = secs(30 * 60);

/// A busy server is asked again four times, and an answer that nobody can tell anything from is asked for once more.
const PATIENTLY: PolicyMap = PolicyMap::never()
    .recoverable(4, Backoff::exponential(ms(500)).cap(secs(20)))
    .ambiguous(1, Backoff::constant(secs(1)));

/// What all runs share.
#[derive(Debug)]
pub(crate) struct App {
    /// How the model is asked.
    pub(crate) client: Client,
    /// The model.
    pub(crate) model: String,
    /// Who is told what goes on.
    pub(crate) progress: Progress,
}

/// The environment of the runs by the clock `K`: the name that goes into signatures.
pub(crate) type AppEnv<K> = Caps<Durable<Watched>, PolicyMap, K, App, ByFailure, ListTrace, Full, NoTrace, Metering>;

/// The input of a run: which text, and who is asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub(crate) struct Source {
    /// The absolute path of the text.
    pub(crate) path: String,
    /// The fingerprint of its content.
    content: [u8; 16],
    /// Who is asked: a base URL, or a word for a server of the program's own.
    server: String,
    /// The model that is asked.
    model: String,
    /// The largest part in words.
    largest_part: u32,
    /// Which time it is asked about.
    take: u32,
    /// The version of the pipeline.
    version: u32,
}

impl Source {
    /// The text at `path` as it is now, and who is asked about it for the `take`-th time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn find(path: &Path, server: &str, model: &str, largest_part: u32, take: u32) -> Result<Self, AppError> {
        let path = path.canonicalize().map_err(AppError::Read)?;
        let content = fingerprint(&std::fs::read(&path).map_err(AppError::Read)?);
        let path = path.into_os_string().into_string().map_err(|_| AppError::Path)?;
        let (server, model) = (server.to_owned(), model.to_owned());
        Ok(Self { path, content, server, model, largest_part, take, version: VERSION })
    }

    /// The run that it has: the same one for the same text at the same place, asked about in the same way.
    pub(crate) fn run_id(&self) -> RunId {
        let Self { path, content, server, model, largest_part, take, version } = self;
        let content = Uuid::from_bytes(*content);
        // No part but the last has a line break in it.
        let name = format!(
            "{version}\n{take}\n{largest_part}\n{content}\n{}\n{}\n{path}",
            server.escape_debug(),
            model.escape_debug()
        );
        RunId::from(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }
}

fn fingerprint(content: &[u8]) -> [u8; 16] {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, content).into_bytes()
}

/// Why there are no facts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The operating system does not give the text out.
    #[error("the text cannot be read")]
    Read(#[source] io::Error),
    /// Its path cannot be kept.
    #[error("the path of the text is not UTF-8: move it to another one")]
    Path,
    /// It is another one than when the run was begun.
    #[error("the text was written to in between: start the same command again")]
    Changed,
    /// It is in another encoding, or no text at all.
    #[error("the text is not UTF-8: convert it first")]
    NotUtf8(#[source] core::str::Utf8Error),
    /// Nothing is in it.
    #[error("the text is empty")]
    Empty,
    /// It does not fit.
    #[error(
        "the text has {words} words, and one of its {PARTS} parts has {part} where {largest} are allowed: take a shorter one, or \
         allow more with --part-words"
    )]
    TooLong {
        /// The words of the text.
        words: usize,
        /// Those of its largest part.
        part: usize,
        /// The most that a part may have.
        largest: u32,
    },
    /// The model did not answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
    /// The model's answer is wrong, and so was the repaired one.
    #[error(
        "the model's answer cannot be used, and it did not mend it when it was told: {0}; ask anew with another --take, or \
         another --model"
    )]
    Flawed(Flaw),
}

impl Failure for AppError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Read(error) => error.class(),
            Self::Llm(error) => error.class(),
            Self::Path | Self::Changed | Self::NotUtf8(_) | Self::Empty | Self::TooLong { .. } | Self::Flawed(_) => {
                FailureClass::Terminal
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Llm(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// What is wrong with an answer, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The field, such as `numbers[2].value`; `.` for all of it.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) says: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at `{}`: {}", self.path, self.says)
    }
}

/// The parts of a text.
type Parts = Vec<String>;

/// What a model said about a part of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub(crate) struct Answer {
    /// The part.
    part: String,
    /// What was said.
    content: String,
    /// Whether it ended because it had reached its longest.
    cut: bool,
    /// What it took.
    took: Took,
}

/// What answers took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Schema)]
pub(crate) struct Took {
    /// Calls that were answered.
    pub(crate) calls: u32,
    /// Tokens of the requests.
    pub(crate) prompt_tokens: u64,
    /// Tokens of the answers.
    pub(crate) completion_tokens: u64,
    /// The models that answered.
    pub(crate) models: BTreeSet<String>,
}

impl Took {
    fn one(completion: &Completion) -> Self {
        Self {
            calls: 1,
            prompt_tokens: completion.prompt_tokens,
            completion_tokens: completion.completion_tokens,
            models: BTreeSet::from([completion.model.clone()]),
        }
    }

    fn add(&mut self, other: Self) {
        // A server can say anything.
        self.calls = self.calls.saturating_add(other.calls);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.models.extend(other.models);
    }
}

/// What a text states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Schema)]
pub(crate) struct Facts {
    /// Who is in it.
    pub(crate) people: Vec<Fact>,
    /// Where it takes place.
    pub(crate) places: Vec<Fact>,
    /// When.
    pub(crate) dates: Vec<Fact>,
    /// How many, how much.
    pub(crate) numbers: Vec<Number>,
}

/// Somebody, somewhere or some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub(crate) struct Fact {
    /// Its name.
    pub(crate) name: String,
    /// The sentence that it comes from.
    pub(crate) sentence: String,
}

/// A number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Number {
    /// How many.
    pub(crate) value: f64,
    /// Of what.
    pub(crate) of: String,
    /// The sentence that it comes from.
    pub(crate) sentence: String,
}

/// The end of a run, or of a part.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Schema)]
pub(crate) struct Extract {
    /// The facts.
    pub(crate) facts: Facts,
    /// What they took.
    pub(crate) took: Took,
}

/// Read the text, cut it into parts, ask about all of them at once, check and repair each answer, put the facts together.
///
/// Not `.seal()`ed, so that it can be described before there is a store.
pub(crate) fn pipeline<K>() -> Pipeline<
    impl Shown + Fold<Node: SendExec<AppEnv<K>, In = Source, Out = Extract, Error = AppError> + Send + Sync>,
    Source,
    Extract,
    AppError,
>
where
    K: Clock + Send + Sync + 'static,
    for<'a> K::Sleep<'a>: Send,
{
    let parts = par!(
        part::<0, K>(["ask-1", "repair-1", "check-1"]),
        part::<1, K>(["ask-2", "repair-2", "check-2"]),
        part::<2, K>(["ask-3", "repair-3", "check-3"]),
        part::<3, K>(["ask-4", "repair-4", "check-4"]),
    );
    node("read", read)
        .timeout(ATTEMPT_LIMIT)
        // When one part fails the calls for the others are let finish: they are paid for.
        .then(parts.settle())
        .then(node("merge", merge))
        .deadline(RUN_LIMIT)
}

/// What is done with part number `N`, in nodes of its own: an answer that came is checkpointed, whatever becomes of the others.
fn part<const N: usize, K>(
    [to_ask, to_repair, to_check]: [&'static str; 3],
) -> Sealed<impl SendExec<AppEnv<K>, In = Parts, Out = Option<Extract>, Error = AppError> + Send + Sync>
where
    K: Clock + Send + Sync + 'static,
    for<'a> K::Sleep<'a>: Send,
{
    node_with(to_ask, ask::<N>)
        .retry(PATIENTLY)
        .timeout(ATTEMPT_LIMIT)
        .then(node_with(to_repair, repair).retry(PATIENTLY).timeout(ATTEMPT_LIMIT))
        .then(node(to_check, check))
        .seal()
}

async fn read(source: Source) -> Result<Parts, AppError> {
    let bytes = tokio::fs::read(&source.path).await.map_err(AppError::Read)?;
    if fingerprint(&bytes) != source.content {
        return Err(AppError::Changed);
    }
    let text = String::from_utf8(bytes).map_err(|error| AppError::NotUtf8(error.utf8_error()))?;
    split(&text, source.largest_part)
}

/// Cuts a text between sentences into parts of about the same size.
fn split(text: &str, largest: u32) -> Result<Parts, AppError> {
    let paragraphs = text::paragraphs(text);
    let words = paragraphs.iter().flatten().map(|sentence| text::words(sentence)).sum::<usize>();
    if paragraphs.is_empty() {
        return Err(AppError::Empty);
    }
    let count = (words / SMALLEST_PART).clamp(1, PARTS);
    let mut parts = Parts::new();
    let mut before = 0;
    for paragraph in &paragraphs {
        let mut blank = "\n\n";
        for sentence in paragraph {
            // The part that the sentence begins in, were the words cut evenly.
            let due = before * count / words.max(1);
            let begun = parts.len();
            match parts.last_mut() {
                Some(part) if due < begun => {
                    part.push_str(blank);
                    part.push_str(sentence);
                }
                _ => parts.push(sentence.clone()),
            }
            before += text::words(sentence);
            blank = " ";
        }
    }
    let part = parts.iter().map(|part| text::words(part)).max().unwrap_or_default();
    if u32::try_from(part).is_ok_and(|part| part <= largest) {
        Ok(parts)
    } else {
        Err(AppError::TooLong { words, part, largest })
    }
}

/// What the model is told in general.
const TASK: &str = r#"You extract facts from the text that the user sends. Answer with one JSON object and nothing else:

{
  "people": [{ "name": "...", "sentence": "..." }],
  "places": [{ "name": "...", "sentence": "..." }],
  "dates": [{ "name": "...", "sentence": "..." }],
  "numbers": [{ "value": 0.0, "of": "...", "sentence": "..." }]
}

`sentence` is the sentence of the text that states the fact, word for word. `value` is a JSON number, `of` what it counts or
measures. State each fact once, and none that the text does not state. A list may be empty, and is never left out."#;

fn opening(part: &str) -> Vec<Message> {
    let [task, text] = [(Role::System, TASK), (Role::User, part)].map(said);
    vec![task, text]
}

fn said((role, content): (Role, &str)) -> Message {
    Message { role, content: content.to_owned() }
}

async fn ask<const N: usize>(parts: Parts, cx: NodeCx<'_, App>) -> Result<Option<Answer>, AppError> {
    // A short text has fewer parts.
    let Some(part) = parts.into_iter().nth(N) else { return Ok(None) };
    let completion = call(opening(&part), cx).await?;
    Ok(Some(Answer::of(part, completion)))
}

/// Shows the model what is wrong with its answer, if anything is.
async fn repair(answer: Option<Answer>, cx: NodeCx<'_, App>) -> Result<Option<Answer>, AppError> {
    let Some(answer) = answer else { return Ok(None) };
    let Err(flaw) = answer.facts() else { return Ok(Some(answer)) };
    cx.context().progress.say(&format!("{}: the answer is wrong {flaw}", cx.node()));
    let mut messages = opening(&answer.part);
    let wrong = format!(
        "Your answer cannot be used. It is wrong {flaw}. Send the whole JSON object again, without that mistake."
    );
    messages.extend([(Role::Assistant, answer.content.as_str()), (Role::User, &wrong)].map(said));
    let mut repaired = Answer::of(answer.part, call(messages, cx).await?);
    repaired.took.add(answer.took);
    Ok(Some(repaired))
}

async fn check(answer: Option<Answer>) -> Result<Option<Extract>, AppError> {
    let Some(answer) = answer else { return Ok(None) };
    let facts = answer.facts().map_err(AppError::Flawed)?;
    Ok(Some(Extract { facts, took: answer.took }))
}

/// Asks the model. Every attempt at one node sends the same, so they have one key.
async fn call(messages: Vec<Message>, cx: NodeCx<'_, App>) -> Result<Completion, AppError> {
    let App { client, model, progress } = cx.context();
    let chat = Chat {
        model: model.clone(),
        messages,
        max_completion_tokens: LONGEST_ANSWER,
        response_format: Format::JsonObject,
    };
    // Every runner that takes this pipeline knows its runs.
    let key = cx.idempotency_key().map(|key| key.to_string()).unwrap_or_default();
    match client.complete(&chat, &key).await {
        Ok(completion) => {
            let Completion { prompt_tokens, completion_tokens, model, .. } = &completion;
            progress.say(&format!("{}: {prompt_tokens} + {completion_tokens} tokens from {model}", cx.node()));
            Ok(completion)
        }
        Err(error) => {
            progress.say(&format!("{}: attempt {}: {error}", cx.node(), cx.attempt()));
            Err(error.into())
        }
    }
}

impl Answer {
    fn of(part: String, completion: Completion) -> Self {
        let took = Took::one(&completion);
        let Completion { content, cut, .. } = completion;
        Self { part, content, cut, took }
    }

    /// The facts that the answer states.
    ///
    /// # Errors
    /// When it is not what was asked for, with the field that is wrong.
    fn facts(&self) -> Result<Facts, Flaw> {
        let flaw = |path: String, says: String| Flaw { path, says };
        if self.cut {
            let says = format!("it ended at its limit of {LONGEST_ANSWER} tokens, so it has to be shorter");
            return Err(flaw(".".to_owned(), says));
        }
        let read = &mut serde_json::Deserializer::from_str(unfenced(&self.content));
        let facts: Facts = serde_path_to_error::deserialize(&mut *read)
            .map_err(|error| flaw(error.path().to_string(), error.inner().to_string()))?;
        read.end().map_err(|error| flaw(".".to_owned(), error.to_string()))?;
        let text = letters(&self.part);
        for (path, sentence) in facts.sentences() {
            let letters = letters(sentence);
            if letters.is_empty() || !text.contains(&letters) {
                return Err(flaw(path, format!("the text does not have the sentence `{sentence}`")));
            }
        }
        Ok(facts)
    }
}

impl Facts {
    /// All sentences, each with the path of its field.
    fn sentences(&self) -> impl Iterator<Item = (String, &str)> {
        let kinds = [("people", &self.people), ("places", &self.places), ("dates", &self.dates)];
        let named = kinds.into_iter().flat_map(|(kind, facts)| {
            facts.iter().enumerate().map(move |(at, fact)| (format!("{kind}[{at}].sentence"), fact.sentence.as_str()))
        });
        let numbers = self.numbers.iter().enumerate();
        named.chain(numbers.map(|(at, number)| (format!("numbers[{at}].sentence"), number.sentence.as_str())))
    }

    /// Adds what is not there yet.
    fn add(&mut self, other: Self) {
        let kinds =
            [(&mut self.people, other.people), (&mut self.places, other.places), (&mut self.dates, other.dates)];
        for (all, more) in kinds {
            for fact in more {
                if !all.iter().any(|known| known.name == fact.name) {
                    all.push(fact);
                }
            }
        }
        self.numbers.extend(other.numbers);
    }
}

/// Models like to put code between fences, whatever they are told.
fn unfenced(content: &str) -> &str {
    let content = content.trim();
    let inside = content.strip_prefix("```").and_then(|content| content.strip_suffix("```"));
    inside.map_or(content, |inside| inside.strip_prefix("json").unwrap_or(inside).trim())
}

/// The letters and digits of a text: models write quotation marks and dashes in their own way.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

async fn merge(
    (one, two, three, four): (Option<Extract>, Option<Extract>, Option<Extract>, Option<Extract>),
) -> Result<Extract, AppError> {
    let mut all = Extract::default();
    for Extract { facts, took } in [one, two, three, four].into_iter().flatten() {
        all.facts.add(facts);
        all.took.add(took);
    }
    Ok(all)
}
