//! A client for the chat completions of an OpenAI-compatible server.
//!
//! It sends one request and says exactly what became of it. It does not retry: that is the pipeline's, which knows how often,
//! how long and at what cost.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use reqwest::{
    Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use stroma::{Failure, FailureClass};

use crate::text::one_line;

/// The longest answer in bytes.
const LONGEST_ANSWER: usize = 8 << 20;
/// The time to connect. (The whole request has that of its node.)
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The longest explanation of a server's that is repeated, in characters.
const LONGEST_DETAIL: usize = 300;

/// The key of an account. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// A key as the user has it.
    pub(crate) fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// Who says something in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Whoever wrote the program.
    System,
    /// Whoever wants something.
    User,
    /// The model.
    Assistant,
}

/// What is said in a chat.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Message {
    /// By whom.
    pub(crate) role: Role,
    /// What.
    pub(crate) content: String,
}

/// A request for a completion.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Chat {
    /// Who is to answer.
    pub(crate) model: String,
    /// What was said so far.
    pub(crate) messages: Vec<Message>,
    /// The longest answer in tokens.
    pub(crate) max_completion_tokens: u32,
    /// What kind of text the answer is to be.
    pub(crate) response_format: Format,
}

/// A kind of text.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Format {
    /// A JSON object.
    JsonObject,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Its words; none where it declined, or thought for as long as it was allowed to.
    pub(crate) content: String,
    /// The model that answered, as the server names it.
    pub(crate) model: String,
    /// Whether the answer ended because it had reached its longest.
    pub(crate) cut: bool,
    /// Tokens of the request.
    pub(crate) prompt_tokens: u64,
    /// Tokens of the answer.
    pub(crate) completion_tokens: u64,
}

/// A client for one server and one account.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    key: ApiKey,
    authorization: HeaderValue,
}

impl Client {
    /// A client for the server at `base_url`, which is what the path `/chat/completions` is added to.
    ///
    /// # Errors
    /// When one of the two cannot be used.
    pub(crate) fn new(base_url: &str, key: ApiKey) -> Result<Self, SetupError> {
        let mut endpoint = Url::parse(base_url).map_err(SetupError::Url)?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host().is_none() {
            return Err(SetupError::NotHttp);
        }
        endpoint.path_segments_mut().map_err(|()| SetupError::NotHttp)?.pop_if_empty().extend(["chat", "completions"]);
        if key.0.is_empty() {
            return Err(SetupError::Key);
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.0)).map_err(|_| SetupError::Key)?;
        authorization.set_sensitive(true);

        // Another part of the program may have chosen already; any choice will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            // A key is shown to the server that it is for and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        // A proxy would look for such a server on its own machine.
        if matches!(endpoint.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(SetupError::Http)?;
        Ok(Self { http, endpoint, key, authorization })
    }

    /// Sends one request. A server that knows `idempotency_key` does nothing anew and answers as before.
    ///
    /// # Errors
    /// As the variants of [`LlmError`] say.
    ///
    /// # Cancel safety
    /// The connection is closed. The server may have done the work, and the same key gets its answer.
    pub(crate) async fn complete(&self, chat: &Chat, idempotency_key: &str) -> Result<Completion, LlmError> {
        let request = self
            .http
            .post(self.endpoint.clone())
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(HeaderName::from_static("idempotency-key"), idempotency_key)
            .json(chat);
        let response = request.send().await.map_err(LlmError::of_sending)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = whole(response).await;
        if !status.is_success() {
            // What was to be said about it may have been lost on the way; the status counts.
            let body = body.unwrap_or_default();
            return Err(LlmError::of_status(status, &headers, &body, &self.key));
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !is_json(kind) {
            let kind = if kind.is_empty() { "text of no kind" } else { kind };
            return Err(LlmError::NotJson { kind: self.key.scrub(kind) });
        }
        let envelope: Envelope = {
            let body = body?;
            let read = &mut serde_json::Deserializer::from_slice(&body);
            serde_path_to_error::deserialize(read).map_err(|error| LlmError::Garbled {
                path: error.path().to_string(),
                why: self.key.scrub(&error.into_inner().to_string()),
            })?
        };
        Ok(envelope.completion())
    }
}

impl ApiKey {
    /// What a server says, without the key, on one line and not too long. There are servers that repeat the key.
    fn scrub(&self, text: &str) -> String {
        let text = text.replace(&self.0, "(the key)");
        let mut line = one_line(&text);
        if let Some((end, _)) = line.char_indices().nth(LONGEST_DETAIL) {
            line.truncate(end);
            line.push('…');
        }
        line
    }
}

/// The whole body of a response.
async fn whole(mut response: Response) -> Result<Vec<u8>, LlmError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| LlmError::CutOff(error.without_url()))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(LlmError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// What an answer comes in.
#[derive(Debug, Deserialize)]
struct Envelope {
    model: String,
    choices: Vec<Choice>,
    usage: Used,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Used {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Envelope {
    fn completion(self) -> Completion {
        let Self { model, choices, usage: Used { prompt_tokens, completion_tokens } } = self;
        let choice = choices.into_iter().next();
        let cut = choice.as_ref().is_some_and(|choice| choice.finish_reason.as_deref() == Some("length"));
        let content = choice.and_then(|choice| choice.message.content).unwrap_or_default();
        Completion { content, model, cut, prompt_tokens, completion_tokens }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// What was given is no URL.
    #[error("the base URL is none: give one like https://api.openai.com/v1")]
    Url(#[source] <Url as std::str::FromStr>::Err),
    /// It is of another protocol.
    #[error("the base URL is not of http or https: give one like https://api.openai.com/v1")]
    NotHttp,
    /// There is no key, or nothing that can be sent as one.
    #[error("the key is empty or has a character in it that no key has: see OPENAI_API_KEY")]
    Key,
    /// There is nothing to connect with.
    #[error("a connection cannot be set up on this system")]
    Http(#[source] reqwest::Error),
}

/// Why there is no answer. What waiting can mend says no more than what happened; the others say what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LlmError {
    /// 429: too much was asked at once.
    #[error("the server has too much to do (429): {detail}{}", left_alone(*.retry_after))]
    Throttled {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// What it says.
        detail: String,
    },
    /// 429, but the account is at its end.
    #[error("the account has no credit left (429): {detail}; waiting does not help, add to it at the provider")]
    OutOfCredit {
        /// What the server says.
        detail: String,
    },
    /// Something on the other side is out of order, or will be over soon.
    #[error("the server failed ({status}): {detail}{}", left_alone(*.retry_after))]
    Unavailable {
        /// The status.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// What it says.
        detail: String,
    },
    /// The request is not served, and would not be the next time.
    #[error("the server refuses the request ({status}): {detail}; {}", advice(*.status))]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says.
        detail: String,
    },
    /// There is no connection, or it was lost before an answer.
    #[error("the server cannot be reached: see that it runs, and that --base-url is right")]
    Unreachable(#[source] reqwest::Error),
    /// The answer ended before it was over.
    #[error("the connection was lost in the middle of the answer")]
    CutOff(#[source] reqwest::Error),
    /// The request cannot be put into HTTP.
    #[error("the request cannot be sent as it is: this is a mistake in the program")]
    Unsendable(#[source] reqwest::Error),
    /// What came is no JSON.
    #[error(
        "the answer is {kind}, not JSON: see that --base-url is that of a chat server, and that no proxy is in the way"
    )]
    NotJson {
        /// What it is.
        kind: String,
    },
    /// What came is not what the protocol says.
    #[error("the answer is not as the protocol has it, at `{path}` ({why}): see that the server is OpenAI-compatible")]
    Garbled {
        /// Where.
        path: String,
        /// Why.
        why: String,
    },
    /// What came has no end.
    #[error("the answer has more than {LONGEST_ANSWER} bytes: see that the server is OpenAI-compatible")]
    TooLong,
    /// The model said nothing.
    #[error("the model said nothing: it may have declined; try another one with --model")]
    Silent,
}

fn left_alone(time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| format!(" (it asks to be left alone for {time:?})"))
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "set OPENAI_API_KEY to a key of this server's",
        StatusCode::FORBIDDEN => "the key is not for this model or from this place: take another one",
        StatusCode::NOT_FOUND => "see that --base-url ends before /chat/completions, and that it has the --model",
        _ if status.is_redirection() => "give the address that it is at now with --base-url",
        _ => "mend what it names, then start the same command again",
    }
}

impl LlmError {
    /// Whether it is certain that nothing is charged for: there was no connection, or the server itself says that it did not do
    /// it.
    ///
    /// A gateway that lost patience (502, 504) does not know what went on behind it, nor does anybody where an answer did not
    /// come whole, or cannot be read.
    pub(crate) fn is_free(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::OutOfCredit { .. } | Self::Refused { .. } | Self::Unsendable(_) => true,
            Self::Unavailable { status, .. } => matches!(
                *status,
                StatusCode::INTERNAL_SERVER_ERROR
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::CONFLICT
                    | StatusCode::TOO_EARLY
            ),
            Self::Unreachable(error) => error.is_connect(),
            Self::CutOff(_) | Self::NotJson { .. } | Self::Garbled { .. } | Self::TooLong | Self::Silent => false,
        }
    }

    fn of_sending(error: reqwest::Error) -> Self {
        // An address may have a password in it.
        let error = error.without_url();
        if error.is_builder() { Self::Unsendable(error) } else { Self::Unreachable(error) }
    }

    fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8], key: &ApiKey) -> Self {
        #[derive(Deserialize)]
        struct Failed {
            error: Why,
        }
        #[derive(Deserialize)]
        struct Why {
            message: String,
            code: Option<serde_json::Value>,
        }
        let (says, code) = match serde_json::from_slice(body) {
            Ok(Failed { error: Why { message, code } }) => (message, code),
            Err(_) => (String::from_utf8_lossy(body).into_owned(), None),
        };
        let detail = match key.scrub(&says) {
            says if says.is_empty() => "it does not say why".to_owned(),
            says => says,
        };
        let retry_after = retry_after(headers, SystemTime::now());
        match status {
            StatusCode::TOO_MANY_REQUESTS if code.is_some_and(|code| code == "insufficient_quota") => {
                Self::OutOfCredit { detail }
            }
            StatusCode::TOO_MANY_REQUESTS => Self::Throttled { retry_after, detail },
            // A conflict: the same request is under way.
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => {
                Self::Unavailable { status, retry_after, detail }
            }
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Self::Refused { status, detail },
            _ if status.is_server_error() => Self::Unavailable { status, retry_after, detail },
            _ => Self::Refused { status, detail },
        }
    }
}

impl Failure for LlmError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::Unreachable(_) | Self::CutOff(_) => {
                FailureClass::Recoverable
            }
            Self::NotJson { .. } | Self::Garbled { .. } | Self::TooLong | Self::Silent => FailureClass::Ambiguous,
            Self::OutOfCredit { .. } | Self::Refused { .. } | Self::Unsendable(_) => FailureClass::Terminal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// How long the server asks to be left alone: in milliseconds, as some have it, in seconds, or until a date. A date is taken by
/// the server's own clock where it shows it, and `now` else.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(millis) = text(HeaderName::from_static("retry-after-ms")).and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let when = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = when.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(when).ok()?;
    let now = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    // A moment that is over is no wait.
    Some(until.duration_since(now).unwrap_or_default())
}
