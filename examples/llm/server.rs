//! A loopback server that speaks the protocol of chat completions, and misbehaves on demand.
//!
//! It listens on this machine alone. Its "model" finds facts by simple rules in the text that it is sent, so what it answers
//! depends on what it was asked. It answers a request with a known `Idempotency-Key` out of its memory and does nothing
//! again, as a good server does, and it counts: what was asked how often, and what was done. The program starts it where no
//! other server was named, and the tests ask it what it saw.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    fmt, io,
    pin::Pin,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{self, HeaderMap, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use stroma::Clock;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use unicode_segmentation::UnicodeSegmentation;

use crate::rules::{Fact, Facts};

/// The longest request in bytes.
const LONGEST_REQUEST: usize = 4 << 20;

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: a place in a script.
    None,
    /// 429, and when to come back. Nothing is done.
    Throttled(ComeBack),
    /// 429, but for a reason that waiting does not mend. Nothing is done.
    OutOfCredit,
    /// Another status. Nothing is done.
    Status(StatusCode),
    /// It is done, and the connection is closed in the middle of the answer.
    CutOff,
    /// It is done, and the answer is not the protocol's JSON.
    Garbled,
    /// It is done, and the answer is a web page, as from a proxy on the way.
    WebPage,
    /// It is done and answered after a while.
    Slow(Duration),
    /// What the model says is not what it was asked for.
    Nonsense(Nonsense),
}

/// When a client should come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComeBack {
    /// It is not said.
    Unsaid,
    /// In so many seconds.
    Seconds(u32),
    /// At a moment, which is so many seconds away by the server's clock.
    Date(u32),
}

/// What is wrong with what the model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nonsense {
    /// Prose in place of JSON.
    Prose,
    /// A number as a word.
    WrongType,
    /// A sentence that is not in the text.
    Invented,
    /// JSON that ends in the middle, since the answer had reached its longest.
    TooLong,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, after) = text.split_once(':').map_or((text, None), |(name, after)| (name, Some(after)));
        let seconds = |after: &str| after.parse::<u32>().map_err(|_| format!("`{after}` is not a number of seconds"));
        Ok(match (name, after) {
            ("ok", None) => Self::None,
            ("429", None) => Self::Throttled(ComeBack::Unsaid),
            ("429", Some(after)) => Self::Throttled(ComeBack::Seconds(seconds(after)?)),
            ("429-date", Some(after)) => Self::Throttled(ComeBack::Date(seconds(after)?)),
            ("no-credit", None) => Self::OutOfCredit,
            ("cut-off", None) => Self::CutOff,
            ("garbled", None) => Self::Garbled,
            ("web-page", None) => Self::WebPage,
            ("slow", Some(after)) => Self::Slow(Duration::from_secs(seconds(after)?.into())),
            ("prose", None) => Self::Nonsense(Nonsense::Prose),
            ("wrong-type", None) => Self::Nonsense(Nonsense::WrongType),
            ("invented", None) => Self::Nonsense(Nonsense::Invented),
            ("too-long", None) => Self::Nonsense(Nonsense::TooLong),
            (status, None) => match status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()) {
                Some(status) if status.is_client_error() || status.is_server_error() => Self::Status(status),
                _ => return Err(format!("there is no fault `{text}`: {FAULTS}")),
            },
            _ => return Err(format!("there is no fault `{text}`: {FAULTS}")),
        })
    }
}

/// What can be said for a fault.
pub(crate) const FAULTS: &str = "say ok, 429, 429:SECONDS, 429-date:SECONDS, no-credit, another status of HTTP from 400 on, \
                                 cut-off, garbled, web-page, slow:SECONDS, prose, wrong-type, invented or too-long";

/// What a key was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// How often it was sent.
    pub(crate) seen: u32,
    /// How often something was done for it, which would have been paid for.
    pub(crate) done: u32,
}

/// What was done, and is to be paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Billed {
    /// The model that did it, by the name in the answer.
    pub(crate) model: String,
    /// Tokens of the request.
    pub(crate) prompt_tokens: u64,
    /// Tokens of the answer.
    pub(crate) completion_tokens: u64,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// The model.
    pub(crate) model: String,
    /// The longest answer in tokens, where it was said.
    pub(crate) longest: Option<u64>,
    /// What was said so far: who, and what.
    pub(crate) messages: Vec<(String, String)>,
}

/// A server that is running. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    base_url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts a server that lets in whoever shows `key`, with these faults for the first requests, one each. `clock` is what a
    /// slow answer waits by.
    ///
    /// # Errors
    /// When there is no port to listen at.
    pub(crate) async fn start<C>(key: &str, faults: impl IntoIterator<Item = Fault>, clock: C) -> io::Result<Self>
    where
        C: Clock + Clone + Send + Sync + 'static,
        for<'a> C::Sleep<'a>: Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let state = State { faults: faults.into_iter().collect(), ..State::default() };
        let pause = move |time| {
            let clock = clock.clone();
            Box::pin(async move { clock.sleep(time).await }) as Pause
        };
        let shared = Arc::new(Shared {
            key: key.to_owned(),
            state: Mutex::new(state),
            arrived: watch::Sender::new(0),
            pause: Box::new(pause),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { base_url, shared, accepting })
    }

    /// Where it is.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// More faults for the requests to come.
    pub(crate) fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().faults.extend(faults);
    }

    /// From now on `model` is called `name` in the answers.
    pub(crate) fn rename(&self, model: &str, name: &str) {
        self.shared.state().names.insert(model.to_owned(), name.to_owned());
    }

    /// All that was done.
    pub(crate) fn billed(&self) -> Vec<Billed> {
        self.shared.state().billed.clone()
    }

    /// What each key was used for.
    pub(crate) fn counts(&self) -> BTreeMap<String, Count> {
        self.shared.state().counts.clone()
    }

    /// Every request that was let in, in the order of their coming.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// Waits until so many requests have come, whatever became of them.
    pub(crate) async fn arrived(&self, requests: usize) {
        // The sender is this server's own.
        let _ = self.shared.arrived.subscribe().wait_for(|arrived| *arrived >= requests).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all connections share.
struct Shared {
    key: String,
    state: Mutex<State>,
    arrived: watch::Sender<usize>,
    pause: Box<dyn Fn(Duration) -> Pause + Send + Sync>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    faults: VecDeque<Fault>,
    counts: BTreeMap<String, Count>,
    asked: Vec<Asked>,
    /// What was answered to each key, and what had been asked.
    answers: BTreeMap<String, (Bytes, Value)>,
    /// What was done.
    billed: Vec<Billed>,
    /// Models that have another name in the answers.
    names: BTreeMap<String, String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is half done when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // The connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One that is gone before it is there is nobody's loss.
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                let serve = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { Ok::<_, Infallible>(answer(&shared, request).await) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
            // A connection that was cut off on purpose ends with an error.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A request of the protocol, as far as this server cares.
#[derive(Debug, Deserialize)]
struct Completion {
    model: String,
    messages: Vec<Message>,
    #[serde(alias = "max_tokens")]
    max_completion_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: String,
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Reply> {
    shared.arrived.send_modify(|arrived| *arrived += 1);
    let (head, body) = request.into_parts();
    if head.uri.path() != "/v1/chat/completions" {
        return refused(StatusCode::NOT_FOUND, "unknown_url", &format!("there is nothing at {}", head.uri.path()));
    }
    if head.method != Method::POST {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "method", "a completion is asked for by POST");
    }
    let shown = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = shown.strip_prefix("Bearer ").unwrap_or_default();
    if bearer != shared.key {
        return wrong_key(bearer);
    }
    let Ok(body) = Limited::new(body, LONGEST_REQUEST).collect().await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is too long, or did not come whole");
    };
    let parsed: Result<(Value, Completion), serde_json::Error> = serde_json::from_slice::<Value>(&body.to_bytes())
        .and_then(|raw| Ok((raw.clone(), serde_json::from_value(raw)?)));
    let (raw, completion) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refused(StatusCode::BAD_REQUEST, "invalid_request_error", &error.to_string()),
    };
    let fault = shared.state().next(&head.headers, &completion);
    match fault {
        Fault::Throttled(when) => return throttled(when),
        Fault::OutOfCredit => {
            let says = "you exceeded your current quota: check your plan and billing details";
            return refused(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", says);
        }
        Fault::Status(StatusCode::UNAUTHORIZED) => return wrong_key(bearer),
        Fault::Status(status) => return refused(status, "on_demand", "this was asked for by the script of faults"),
        _ => {}
    }
    let key = head.headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let whole = match shared.state().work(key, raw, &completion, fault) {
        Ok(whole) => whole,
        Err(refusal) => return refusal,
    };
    match fault {
        Fault::CutOff => respond(StatusCode::OK, "application/json", Reply::cut(whole)),
        Fault::Garbled => {
            let half = whole.slice(..whole.len() / 2);
            respond(StatusCode::OK, "application/json", Reply::whole(half))
        }
        Fault::WebPage => {
            let page = Bytes::from_static(b"<!doctype html><title>Please log in</title>");
            respond(StatusCode::OK, "text/html; charset=utf-8", Reply::whole(page))
        }
        Fault::Slow(time) => {
            (shared.pause)(time).await;
            respond(StatusCode::OK, "application/json", Reply::whole(whole))
        }
        _ => respond(StatusCode::OK, "application/json", Reply::whole(whole)),
    }
}

impl State {
    /// Writes a request down, and says what goes wrong with it.
    fn next(&mut self, headers: &HeaderMap, completion: &Completion) -> Fault {
        let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(key) = &key {
            self.counts.entry(key.clone()).or_default().seen += 1;
        }
        let messages = completion.messages.iter().map(|said| (said.role.clone(), said.content.clone())).collect();
        let (model, longest) = (completion.model.clone(), completion.max_completion_tokens);
        self.asked.push(Asked { key, model, longest, messages });
        self.faults.pop_front().unwrap_or(Fault::None)
    }

    /// Does what was asked for, unless it was done before for the same key.
    fn work(
        &mut self,
        key: Option<&str>,
        raw: Value,
        completion: &Completion,
        fault: Fault,
    ) -> Result<Bytes, Response<Reply>> {
        if let Some((answer, before)) = key.and_then(|key| self.answers.get(key)) {
            if *before != raw {
                let says = "this idempotency key was sent before with another request";
                return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", says));
            }
            return Ok(answer.clone());
        }
        let name = match self.names.get(&completion.model) {
            Some(name) => name,
            None => dated(&completion.model),
        };
        let (answer, billed) = complete(completion, fault, name, self.billed.len() + 1);
        self.billed.push(billed);
        let answer = Bytes::from(answer.to_string());
        if let Some(key) = key {
            self.counts.entry(key.to_owned()).or_default().done += 1;
            self.answers.insert(key.to_owned(), (answer.clone(), raw));
        }
        Ok(answer)
    }
}

/// Servers answer by the name of the very version.
fn dated(model: &str) -> &str {
    match model {
        "gpt-4o" => "gpt-4o-2024-08-06",
        "gpt-4o-mini" => "gpt-4o-mini-2024-07-18",
        other => other,
    }
}

/// The answer to a request, as the protocol has it, of the model of this name, and what it used.
fn complete(completion: &Completion, fault: Fault, model: &str, number: usize) -> (Value, Billed) {
    let text = completion.messages.iter().find(|said| said.role == "user").map_or("", |said| said.content.as_str());
    let mut facts = Facts::find(text);
    let mut reason = "stop";
    let mut content = match fault {
        Fault::Nonsense(Nonsense::Prose) => {
            let first = facts.people.first().map_or("nobody", |fact| fact.name.as_str());
            format!("Sure! This is about {first}, and about much else.")
        }
        Fault::Nonsense(Nonsense::WrongType) => {
            let mut wrong = json!(facts);
            let many = json!([{ "value": "many", "of": "things", "sentence": "There are many things." }]);
            match wrong.pointer_mut("/numbers/0/value") {
                Some(value) => *value = json!("many"),
                None => wrong["numbers"] = many,
            }
            wrong.to_string()
        }
        Fault::Nonsense(Nonsense::Invented) => {
            let (name, sentence) = ("Nobody".to_owned(), "Nobody has ever written this sentence.".to_owned());
            facts.people.push(Fact { name, sentence });
            json!(facts).to_string()
        }
        _ => json!(facts).to_string(),
    };
    let most = completion.max_completion_tokens.unwrap_or(u64::MAX);
    if fault == Fault::Nonsense(Nonsense::TooLong) || tokens(&content) > most {
        reason = "length";
        let half = content.chars().count() / 2;
        content = content.chars().take(half).collect();
    }
    let prompt: u64 = completion.messages.iter().map(|said| tokens(&said.content)).sum();
    let answered = tokens(&content).min(most);
    let billed = Billed { model: model.to_owned(), prompt_tokens: prompt, completion_tokens: answered };
    let answer = json!({
        "id": format!("chatcmpl-{number}"),
        "object": "chat.completion",
        "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": content },
            "finish_reason": reason,
        }],
        "usage": { "prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered },
    });
    (answer, billed)
}

/// How many tokens a text has for this model: its words and its marks.
fn tokens(text: &str) -> u64 {
    text.split_word_bounds().filter(|piece| !piece.trim().is_empty()).map(|_| 1).sum()
}

fn refused(status: StatusCode, code: &str, says: &str) -> Response<Reply> {
    let body = json!({ "error": { "message": says, "type": code, "param": null, "code": code } });
    respond(status, "application/json", Reply::whole(body.to_string().into()))
}

/// It repeats the key that it was shown, as careless servers do.
fn wrong_key(shown: &str) -> Response<Reply> {
    refused(StatusCode::UNAUTHORIZED, "invalid_api_key", &format!("this is not a key that may come in: {shown}"))
}

fn throttled(when: ComeBack) -> Response<Reply> {
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "too many requests at once");
    let headers = response.headers_mut();
    match when {
        ComeBack::Unsaid => {}
        ComeBack::Seconds(seconds) => {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        ComeBack::Date(seconds) => {
            let now = SystemTime::now();
            let date = |time| HeaderValue::try_from(httpdate::fmt_http_date(time));
            // Both are plain text, and hyper would add a date of its own that may be of the next second.
            if let (Ok(now), Ok(then)) = (date(now), date(now + Duration::from_secs(seconds.into()))) {
                headers.insert(header::DATE, now);
                headers.insert(header::RETRY_AFTER, then);
            }
        }
    }
    response
}

fn respond(status: StatusCode, kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The body of an answer: whole, or one that breaks off before its announced length.
#[derive(Debug)]
struct Reply {
    /// The length that is announced.
    len: usize,
    left: Option<Bytes>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// It breaks off, but what was said is sent first.
    Flush,
    Break,
}

impl Reply {
    fn whole(bytes: Bytes) -> Self {
        Self { len: bytes.len(), left: Some(bytes), end: End::Whole }
    }

    fn cut(bytes: Bytes) -> Self {
        Self { len: bytes.len(), left: Some(bytes.slice(..bytes.len() / 2)), end: End::Flush }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(bytes) = self.left.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Flush => {
                // While it waits for more, the connection sends what it has.
                self.end = End::Break;
                task.waker().wake_by_ref();
                Poll::Pending
            }
            End::Break => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none() && self.end == End::Whole
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.len).unwrap_or(u64::MAX))
    }
}
