//! One opaque error: act on its [`ErrorKind`], print the rest.

use std::error::Error as StdError;
use std::fmt;

/// Result of this crate and its backends.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input breaks a rule; the same call fails for ever.
    Invalid,
    /// The destination, group or broker object does not exist.
    NotFound,
    /// It exists with other properties than declared.
    Conflict,
    /// The message or batch is larger than the limit.
    TooLarge,
    /// This bus cannot do it; see its [`Capability`](crate::Capability).
    Unsupported,
    /// Credentials are missing, wrong or expired.
    Unauthorized,
    /// The broker or store cannot be reached, or says that it cannot serve now.
    Unavailable,
    /// Too much at once; slower will work.
    Throttled,
    /// No answer in time; whether the call took effect is open.
    Timeout,
    /// The lease on a delivery is over: somebody else may hold it now.
    LeaseLost,
    /// The bus or receiver was closed.
    Closed,
    /// Anything else: a broken promise of the broker or of ours.
    Unexpected,
}

impl ErrorKind {
    /// Whether the same call may succeed later without a change by anybody.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Throttled | Self::Timeout)
    }
}

/// An error with its kind, the operation that failed, a message for people, context and source.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    retryable: bool,
}

impl Error {
    /// An error of `kind` in `operation`. The message says what to do next and holds no secret.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let retryable = kind.is_retryable();
        Self(Box::new(Inner { kind, operation, message: message.into(), context: Vec::new(), source: None, retryable }))
    }

    /// Adds a fact, such as `destination` or `message_id`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Overrides what the kind says about retrying.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// What to act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The verb that failed: `publish`, `receive`, `settle`, `declare`, …
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { " [" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str("]")?;
        }
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({self})", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_operation_message_context_and_cause() {
        let error = Error::new(ErrorKind::NotFound, "publish", "no such destination; declare it first")
            .with("destination", "orders")
            .caused_by("404");
        assert_eq!(error.to_string(), "publish: no such destination; declare it first [destination=orders]: 404");
        assert!(!error.is_retryable());
        assert!(Error::new(ErrorKind::Throttled, "publish", "slower").is_retryable());
    }
}
