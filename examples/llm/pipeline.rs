//! The pipeline: what its nodes are, what they ask the model, and what becomes of its answers.

use std::{collections::BTreeSet, io, path::Path, time::Duration};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, ByFailure, Clock, Failure, FailureClass, ListTrace, NoTrace, NodeCx, Pipeline, PolicyMap, RunId, Sealed,
    SendExec, SpendError, Usage, Violation, json, ms, node, node_with, par,
    parts::{Caps, Durable, Fold, Full, Metering, Shown},
    secs,
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
/// The longest answer in tokens, however long the part is.
const LONGEST_ANSWER: u32 = 8_192;
/// How much longer an answer may be for each word of its part, in tokens. (A sentence is quoted once for each fact in it.)
const ANSWER_PER_WORD: u32 = 16;
/// The answer about a part without a word, in tokens.
const SHORTEST_ANSWER: u32 = 512;
/// What a request has beside the text of its messages, in tokens: at most, for each message and for the whole.
const FRAME: u64 = 16;
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
    /// The model, while there is money for it.
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
    /// The call was not made, since the budget does not allow it.
    #[error(transparent)]
    Spend(#[from] SpendError),
}

impl Failure for AppError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Read(error) => error.class(),
            Self::Llm(error) => error.class(),
            Self::Spend(error) => error.class(),
            Self::Path | Self::Changed | Self::NotUtf8(_) | Self::Empty | Self::TooLong { .. } => {
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

/// What the facts of a part are held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub(crate) struct Ground {
    /// The letters of the part.
    letters: String,
    /// What the answer took.
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
        part::<0, K>(["ask-1", "repair-1", "ground-1", "check-1"]),
        part::<1, K>(["ask-2", "repair-2", "ground-2", "check-2"]),
        part::<2, K>(["ask-3", "repair-3", "ground-3", "check-3"]),
        part::<3, K>(["ask-4", "repair-4", "ground-4", "check-4"]),
    );
    node("read", read)
        .timeout(ATTEMPT_LIMIT)
        // When one part fails the calls for the others are let finish: they are paid for.
        .then(parts.settle())
        .then(node("merge", merge))
        .deadline(RUN_LIMIT)
}

/// What is done with part number `N`, in nodes of its own: an answer that came is checkpointed, whatever becomes of the others.
///
/// The last node reads the answer, which is text from outside: where it is not what was asked for, though the model was told
/// once, it breaks a contract, which no retry can mend.
fn part<const N: usize, K>(
    [to_ask, to_repair, to_ground, to_check]: [&'static str; 4],
) -> Sealed<impl SendExec<AppEnv<K>, In = Parts, Out = Extract, Error = AppError> + Send + Sync>
where
    K: Clock + Send + Sync + 'static,
    for<'a> K::Sleep<'a>: Send,
{
    let check = json::decode::<Facts>().named(to_check).ensure(Facts::all_named);
    node_with(to_ask, ask::<N>)
        .retry(PATIENTLY)
        .timeout(ATTEMPT_LIMIT)
        .then(node_with(to_repair, repair).retry(PATIENTLY).timeout(ATTEMPT_LIMIT))
        // It yields the same each time, and is quick about it.
        .then(par(node(to_ground, ground).skip_checkpoint(), check))
        .ensure(|(ground, facts): &(Ground, Facts)| facts.all_in(&ground.letters))
        .map(|(ground, facts)| Extract { facts, took: ground.took })
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

async fn ask<const N: usize>(parts: Parts, cx: NodeCx<'_, App>) -> Result<Answer, AppError> {
    // A short text has fewer parts, and no text states no facts.
    let Some(part) = parts.into_iter().nth(N) else { return Ok(Answer::none()) };
    let longest = longest_answer(&part);
    let completion = call(opening(&part), longest, cx).await?;
    Ok(Answer::of(part, completion))
}

/// Shows the model what is wrong with its answer, if anything is.
async fn repair(answer: Answer, cx: NodeCx<'_, App>) -> Result<Answer, AppError> {
    let Err(flaw) = answer.check() else { return Ok(answer) };
    cx.context().progress.say(&format!("{}: the answer is wrong {}", cx.node(), whereabouts(&flaw)));
    let mut messages = opening(&answer.part);
    let wrong = format!(
        "Your answer cannot be used. It is wrong {}. Send the whole JSON object again, without that mistake.",
        whereabouts(&flaw)
    );
    messages.extend([(Role::Assistant, answer.content.as_str()), (Role::User, &wrong)].map(said));
    let longest = longest_answer(&answer.part);
    let mut repaired = Answer::of(answer.part, call(messages, longest, cx).await?);
    repaired.took.add(answer.took);
    Ok(repaired)
}

/// Where an answer is wrong, and what is wrong there.
fn whereabouts(flaw: &Violation) -> String {
    match flaw.path() {
        "" => format!("as a whole: {}", flaw.message()),
        path => format!("at `{path}`: {}", flaw.message()),
    }
}

async fn ground(answer: Answer) -> Result<Ground, AppError> {
    Ok(Ground { letters: letters(&answer.part), took: answer.took })
}

/// How long the answer about a part may be, in tokens: the limit that the server is told, and the part of the price that is set
/// aside for it.
fn longest_answer(part: &str) -> u32 {
    let words = u32::try_from(text::words(part)).unwrap_or(u32::MAX);
    words.saturating_mul(ANSWER_PER_WORD).saturating_add(SHORTEST_ANSWER).min(LONGEST_ANSWER)
}

/// The most that a call can use. No tokenizer of a model makes more tokens of a text than it has bytes.
pub(crate) fn at_most(chat: &Chat) -> Usage<'_> {
    let messages = chat.messages.iter().map(|said| said.content.len() as u64 + FRAME);
    Usage::of(&chat.model).input(messages.sum::<u64>() + FRAME).output(chat.max_completion_tokens.into())
}

/// Asks the model, if there is money for it.
async fn call(messages: Vec<Message>, longest: u32, cx: NodeCx<'_, App>) -> Result<Completion, AppError> {
    let App { client, model, progress } = cx.context();
    // What was spent in between may have made it another one.
    let model = cx.model(model);
    let response_format = Format::JsonObject;
    let chat = Chat { model: model.to_owned(), messages, max_completion_tokens: longest, response_format };
    // The attempts at one node send the same, so they have one key, unless the model is another one: a server takes a key for
    // one request alone. Every runner that takes this pipeline knows its runs.
    let key = cx.idempotency_key().map(|key| key.to_string()).unwrap_or_default();
    let key = format!("{key}/{}", model.escape_default());

    let reserved = cx.reserve(at_most(&chat))?;
    match client.complete(&chat, &key).await {
        Ok(completion) => {
            let Completion { prompt_tokens, completion_tokens, model, .. } = &completion;
            let used = Usage::of(model).input(*prompt_tokens).output(*completion_tokens);
            // Where it cannot be booked as it should be the run halts after this node. The answer was paid for, so it is kept.
            let cost = reserved.settle(used).map_or_else(|_| "no known price".to_owned(), |cost| cost.to_string());
            let (node, model) = (cx.node(), text::one_line(model));
            progress.say(&format!("{node}: {prompt_tokens} + {completion_tokens} tokens from {model}, {cost}"));
            if completion.content.trim().is_empty() {
                return Err(LlmError::Silent.into());
            }
            Ok(completion)
        }
        Err(error) => {
            progress.say(&format!("{}: attempt {}: {error}", cx.node(), cx.attempt()));
            if error.is_free() {
                // Nothing was used, so there is nothing that could not be booked.
                let _ = reserved.settle(Usage::of(model));
            }
            // Else the reservation is dropped, as where the time is up: it is booked, since the server may have done the work.
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

    /// What there is to say about no text.
    fn none() -> Self {
        let content = r#"{ "people": [], "places": [], "dates": [], "numbers": [] }"#.to_owned();
        Self { part: String::new(), content, cut: false, took: Took::default() }
    }

    /// Whether the answer is what was asked for: what the contract asks, but to tell the model what is wrong.
    ///
    /// # Errors
    /// When it is not, with the field that is wrong.
    fn check(&self) -> Result<(), Violation> {
        let facts: Facts = json::from_str(unfenced(&self.content)).map_err(|flaw| match self.cut {
            true => Violation::new("it ended at its limit of tokens, so it has to be shorter"),
            false => flaw,
        })?;
        facts.all_named()?;
        facts.all_in(&letters(&self.part))
    }
}

/// The JSON in what was said.
impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        unfenced(&self.content).as_bytes()
    }
}

impl Facts {
    /// All facts that have a name, each with the path of its place.
    fn named(&self) -> impl Iterator<Item = (String, &Fact)> {
        let kinds = [("people", &self.people), ("places", &self.places), ("dates", &self.dates)];
        kinds
            .into_iter()
            .flat_map(|(kind, facts)| facts.iter().enumerate().map(move |(at, fact)| (format!("{kind}[{at}]"), fact)))
    }

    /// Whether each fact that should have a name has one.
    fn all_named(&self) -> Result<(), Violation> {
        match self.named().find(|(_, fact)| fact.name.trim().is_empty()) {
            Some((path, _)) => Err(Violation::new("it is empty").at(format_args!("{path}.name"))),
            None => Ok(()),
        }
    }

    /// Whether each sentence is in the text with these letters.
    fn all_in(&self, text: &str) -> Result<(), Violation> {
        let named = self.named().map(|(path, fact)| (path, fact.sentence.as_str()));
        let numbers = self.numbers.iter().enumerate();
        let numbers = numbers.map(|(at, number)| (format!("numbers[{at}]"), number.sentence.as_str()));
        let mut sentences = named.chain(numbers);
        let invented = sentences.find(|(_, sentence)| {
            let letters = letters(sentence);
            letters.is_empty() || !text.contains(&letters)
        });
        match invented {
            Some((path, sentence)) => {
                let says = Violation::new(format_args!("the text does not have the sentence `{sentence}`"));
                Err(says.at(format_args!("{path}.sentence")))
            }
            None => Ok(()),
        }
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

async fn merge((one, two, three, four): (Extract, Extract, Extract, Extract)) -> Result<Extract, AppError> {
    let mut all = Extract::default();
    for Extract { facts, took } in [one, two, three, four] {
        all.facts.add(facts);
        all.took.add(took);
    }
    Ok(all)
}
