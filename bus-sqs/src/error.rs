//! What the SDK's errors mean for the caller.

use std::error::Error as StdError;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use bus::{Error, ErrorKind};

/// A failed call: the error, and whether it may have taken effect.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The request may have reached the server although no answer came.
    pub(crate) is_open: bool,
    /// Other calls will meet it too: it is about the server or who we are, not about one queue.
    pub(crate) concerns_all: bool,
}

const UNREADABLE: &str = "the answer could not be read; check that `endpoint` is an SQS server";

impl Failure {
    /// Reads the SDK's error. No SDK type leaves this crate: the cause is kept as text.
    pub(crate) fn of<E>(failure: &SdkError<E, HttpResponse>, operation: &'static str) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = failure.raw_response().map(|response| response.status().as_u16());
        let (kind, hint, is_open) = match failure {
            SdkError::ServiceError(answer) => {
                let code = answer.err().meta().code().unwrap_or_default();
                let kind = match kind_of(code) {
                    ErrorKind::Unexpected => kind_of_status(status),
                    kind => kind,
                };
                let hint = if code.is_empty() && kind == ErrorKind::Unexpected { UNREADABLE } else { hint_of(kind) };
                // Throttled is told before anything is done; other troubles of a server may come after.
                (kind, hint, matches!(kind, ErrorKind::Unexpected | ErrorKind::Unavailable))
            }
            SdkError::TimeoutError(_) => (ErrorKind::Timeout, "the server did not answer in time", true),
            _ if is_credentials(failure) => (ErrorKind::Unauthorized, hint_of(ErrorKind::Unauthorized), false),
            SdkError::ConstructionFailure(_) => (ErrorKind::Invalid, "the request could not be made", false),
            SdkError::DispatchFailure(_) if was_refused(failure) => {
                (ErrorKind::Unavailable, "nobody listens at the endpoint; start the server or check `endpoint`", false)
            }
            SdkError::DispatchFailure(_) => {
                (ErrorKind::Unavailable, "the endpoint cannot be reached; check region, `endpoint` and network", true)
            }
            // A gateway's page, most of all.
            _ => match kind_of_status(status) {
                ErrorKind::Unexpected => (ErrorKind::Unexpected, UNREADABLE, true),
                kind => (kind, hint_of(kind), kind != ErrorKind::Throttled),
            },
        };
        let error = Error::new(kind, operation, hint).caused_by(cause_of(failure, status));
        // Credentials that ended are renewed by the chain, or by who gave them: the message is as good as before.
        let may_be_renewed = match failure {
            SdkError::ServiceError(answer) => answer.err().meta().code().is_some_and(is_renewable),
            _ => kind == ErrorKind::Unauthorized,
        };
        let is_retryable = error.is_retryable() || may_be_renewed;
        let is_denied = matches!(failure, SdkError::ServiceError(answer)
            if answer.err().meta().code().is_some_and(|code| plain(code).contains("AccessDenied")));
        use ErrorKind::{Throttled, Timeout, Unauthorized, Unavailable, Unexpected};
        let concerns_all = !is_denied && matches!(kind, Throttled | Timeout | Unauthorized | Unavailable | Unexpected);
        Self { error: error.retryable(is_retryable), is_open, concerns_all }
    }

    /// A failure before anything was sent.
    pub(crate) fn before(error: Error) -> Self {
        Self { error, is_open: false, concerns_all: false }
    }
}

/// The server's own words, or what went wrong on the way to it, outermost first. Not the debug form
/// of the SDK, which is a screen of headers.
fn cause_of<E>(failure: &SdkError<E, HttpResponse>, status: Option<u16>) -> String
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    if let SdkError::ServiceError(answer) = failure
        && let Some(code) = answer.err().meta().code()
    {
        return format!("{code}: {}", answer.err().meta().message().unwrap_or("no explanation"));
    }
    let mut texts: Vec<String> = chain(failure).map(ToString::to_string).collect();
    texts.dedup();
    texts.extend(status.map(|status| format!("HTTP status {status}")));
    texts.join(": ")
}

fn kind_of_status(status: Option<u16>) -> ErrorKind {
    match status {
        Some(401 | 403) => ErrorKind::Unauthorized,
        Some(413) => ErrorKind::TooLarge,
        Some(429) => ErrorKind::Throttled,
        Some(500..) => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}

fn is_renewable(code: &str) -> bool {
    matches!(plain(code), "ExpiredToken" | "ExpiredTokenException" | "RequestExpired")
}

/// A code without the name space some servers put before it.
fn plain(code: &str) -> &str {
    code.rsplit(['.', '#']).next().unwrap_or(code)
}

/// Codes from the SQS API reference, "Common errors" and the errors of each action; the long names
/// are those of the older query protocol, which servers still send.
fn kind_of(code: &str) -> ErrorKind {
    match plain(code) {
        "QueueDoesNotExist" | "NonExistentQueue" => ErrorKind::NotFound,
        "QueueNameExists" | "QueueAlreadyExists" => ErrorKind::Conflict,
        "BatchRequestTooLong" => ErrorKind::TooLarge,
        "ThrottlingException"
        | "Throttling"
        | "RequestThrottled"
        | "ThrottledException"
        | "KmsThrottled"
        | "OverLimit"
        | "PurgeQueueInProgress"
        | "TooManyRequestsException" => ErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidSecurity"
        | "KmsAccessDenied"
        | "InvalidAccessKeyId"
        | "OptInRequired" => ErrorKind::Unauthorized,
        "QueueDeletedRecently" => ErrorKind::Unavailable,
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => ErrorKind::LeaseLost,
        "UnsupportedOperation" => ErrorKind::Unsupported,
        "InvalidMessageContents"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "InvalidAttributeValue"
        | "InvalidAttributeName"
        | "MissingParameter"
        | "ValidationError" => ErrorKind::Invalid,
        code if is_server_trouble(code) => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}

fn is_server_trouble(code: &str) -> bool {
    ["InternalFailure", "InternalError", "ServiceUnavailable", "InternalServerError"]
        .iter()
        .any(|known| code.ends_with(known))
}

fn hint_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "the queue does not exist here; declare it, or check region and account",
        ErrorKind::Conflict => "the queue exists with other attributes; delete it or declare what it is",
        ErrorKind::TooLarge => "the messages are larger than the queue takes; send a reference to the data",
        ErrorKind::Throttled => "too many requests at once; they are slowed down and tried again",
        ErrorKind::Unauthorized => {
            "the credentials are missing, wrong or expired; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
             a profile, or renew the session, and check the policy of the queue"
        }
        ErrorKind::Unavailable => "the server cannot serve now; it is tried again",
        ErrorKind::LeaseLost => "the delivery is no longer ours",
        _ => "the server refused the request",
    }
}

/// The outcome of one entry of a batch that the server reports as failed.
pub(crate) fn entry(code: &str, message: Option<&str>, sender_fault: bool, operation: &'static str) -> Error {
    let kind = match kind_of(code) {
        ErrorKind::Unexpected if sender_fault => ErrorKind::Invalid,
        ErrorKind::Unexpected => ErrorKind::Unavailable,
        // How FIFO queues say that a lease is over.
        ErrorKind::Invalid if message.is_some_and(|text| text.contains("ReceiptHandle")) => ErrorKind::LeaseLost,
        kind => kind,
    };
    // Too much at once counts as the sender's fault and passes nevertheless.
    let is_retryable = kind == ErrorKind::Throttled || (!sender_fault && kind != ErrorKind::LeaseLost);
    Error::new(kind, operation, hint_of(kind))
        .caused_by(format!("{code}: {}", message.unwrap_or("no explanation")))
        .retryable(is_retryable)
}

/// One failure, told once more: an error cannot be cloned.
pub(crate) fn again(error: &Error, operation: &'static str) -> Error {
    let text = error.to_string();
    let text = text.strip_prefix(error.operation()).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
    Error::new(error.kind(), operation, text).retryable(error.is_retryable())
}

fn is_credentials(failure: &(dyn StdError + 'static)) -> bool {
    // The credentials error is a type of a crate below the SDK's; its text is what it is known by.
    chain(failure).any(|cause| {
        let text = cause.to_string();
        text.contains("credentials") || text.contains("identity resolver")
    })
}

/// Whether the connection was refused: nothing was sent.
fn was_refused(failure: &(dyn StdError + 'static)) -> bool {
    chain(failure).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
    })
}

fn chain<'a>(failure: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(failure), |cause: &&'a (dyn StdError + 'static)| (*cause).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_protocols_mean_the_same() {
        for (code, kind) in [
            ("AWS.SimpleQueueService.NonExistentQueue", ErrorKind::NotFound),
            ("com.amazonaws.sqs#QueueDoesNotExist", ErrorKind::NotFound),
            ("RequestThrottled", ErrorKind::Throttled),
            ("ExpiredToken", ErrorKind::Unauthorized),
            ("InternalFailure", ErrorKind::Unavailable),
            ("SomethingNew", ErrorKind::Unexpected),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn a_receipt_that_has_expired_is_a_lost_lease_on_fifo_queues_too() {
        let text = "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
        let error = entry("InvalidParameterValue", Some(text), true, "settle");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::LeaseLost, false));
    }

    #[test]
    fn only_what_is_not_the_senders_fault_is_retried() {
        assert!(!entry("InvalidMessageContents", None, true, "publish").is_retryable());
        assert!(entry("InternalFailure", Some("busy"), false, "publish").is_retryable());
        assert_eq!(entry("SomethingNew", None, true, "publish").kind(), ErrorKind::Invalid);
        // SQS calls this the sender's fault.
        assert!(entry("RequestThrottled", None, true, "publish").is_retryable());
    }
}
