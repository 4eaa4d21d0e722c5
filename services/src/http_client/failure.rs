//! Why there is no answer.

use std::fmt;

use url::Url;

/// What kept a request from being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection: nothing listens there, or the name does not resolve. The peer saw nothing.
    Unreachable,
    /// No whole answer in time. Whether the request took effect is open.
    Timeout,
    /// The answer is longer than [`ANSWER_BYTES_MAX`](super::ANSWER_BYTES_MAX).
    TooLarge,
    /// The exchange broke off, or was not HTTP. Whether the request took effect is open.
    Broken,
}

/// A request without an answer; prints the URL and the innermost cause.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    url: String,
    cause: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, url: &Url, cause: impl Into<String>) -> Self {
        Self { kind, url: url.to_string(), cause: cause.into() }
    }

    pub(super) fn of(url: &Url, error: &reqwest::Error) -> Self {
        let kind = match error {
            error if error.is_connect() => FailureKind::Unreachable,
            error if error.is_timeout() => FailureKind::Timeout,
            _ => FailureKind::Broken,
        };
        Self::new(kind, url, innermost(error))
    }

    /// What to act on.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The URL that was asked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The cause without the URL, such as `Connection refused (os error 111)`.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }
}

/// reqwest's own message only repeats the URL: the reason is at the bottom of the chain.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.cause)
    }
}

impl std::error::Error for Failure {}
