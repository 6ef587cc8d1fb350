//! What an error of reqwest means.

use core::error::Error as _;
use std::io;

use ::reqwest::Error;

use super::{Failure, FailureClass};

/// By what it is asked for, the first that is so.
///
/// | | class |
/// |---|---|
/// | `is_timeout()` | recoverable |
/// | `is_connect()` | recoverable: the server may be back in a moment. A name that does not exist and a certificate that is not trusted come as this too |
/// | `status()` 408, 425, 429, 500, 502, 503, 504 | recoverable: the server is busy, or says that it failed itself |
/// | `status()` others from 400 to 499 | terminal: the request is wrong, or not permitted |
/// | `status()` others | ambiguous |
/// | `is_builder()`, `is_redirect()` | terminal: the request cannot be made, or leads in a circle |
/// | `is_body()` | recoverable: the connection broke in the middle of an answer |
/// | `is_decode()` | terminal where the answer came whole and is of another form. One that broke off has this kind too: that of the `std::io::Error` underneath, or else recoverable |
/// | others | ambiguous: the connection was lost, and nobody knows what the server did before |
///
/// A status is an error only after `error_for_status`, which throws the headers away: there is no `Retry-After` any more, and
/// `retry_after` is always `None`. Read the header of the response before, into a field of your own error:
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```text")]
/// use std::time::Duration;
/// use stroma::Failure;
///
/// #[derive(Debug, Failure)]
/// enum AppError {
///     #[failure(recoverable, retry_after = wait)]
///     Throttled { wait: Option<Duration> },
///     #[failure(transparent)]
///     Http(reqwest::Error),
/// }
///
/// async fn send(request: reqwest::RequestBuilder) -> Result<reqwest::Response, AppError> {
///     let response = request.send().await.map_err(AppError::Http)?;
///     if response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS {
///         let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
///         return Err(AppError::Throttled { wait: seconds.map(Duration::from_secs) });
///     }
///     response.error_for_status().map_err(AppError::Http)
/// }
/// ```
#[diagnostic::do_not_recommend]
impl Failure for Error {
    fn class(&self) -> FailureClass {
        // In a browser nobody says whether there was a connection.
        #[cfg(not(target_arch = "wasm32"))]
        let unreachable = self.is_connect();
        #[cfg(target_arch = "wasm32")]
        let unreachable = false;
        if self.is_timeout() || unreachable {
            return FailureClass::Recoverable;
        }
        if let Some(status) = self.status() {
            return match status.as_u16() {
                408 | 425 | 429 | 500 | 502 | 503 | 504 => FailureClass::Recoverable,
                400..=499 => FailureClass::Terminal,
                _ => FailureClass::Ambiguous,
            };
        }
        if self.is_builder() || self.is_redirect() {
            FailureClass::Terminal
        } else if self.is_body() {
            FailureClass::Recoverable
        } else if self.is_decode() {
            of_decoding(self)
        } else {
            FailureClass::Ambiguous
        }
    }
}

/// What was read whole and does not fit has nothing underneath; what broke off has the connection there.
fn of_decoding(error: &Error) -> FailureClass {
    let inside = error.source();
    let mut next = inside;
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref::<io::Error>() {
            return error.class();
        }
        next = source.source();
    }
    match inside.and_then(|source| source.source()) {
        Some(_) => FailureClass::Recoverable,
        None => FailureClass::Terminal,
    }
}
