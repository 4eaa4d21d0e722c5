//! What the SDK's errors mean for the caller.

use std::error::Error as StdError;

use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use bus::{Error, ErrorKind};

/// A failed call: the error, and whether it may have taken effect.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The request may have reached the server although no answer came.
    pub(crate) is_open: bool,
}

impl Failure {
    /// Reads the SDK's error. No SDK type leaves this crate: the cause is kept as text.
    pub(crate) fn of<E, R>(failure: &SdkError<E, R>, operation: &'static str) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let cause = DisplayErrorContext(failure).to_string();
        let (kind, hint, is_open) = match failure {
            SdkError::ServiceError(answer) => {
                let code = answer.err().meta().code().unwrap_or_default();
                let kind = kind_of(code);
                (kind, hint_of(kind), kind == ErrorKind::Unexpected || is_server_trouble(code))
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
            _ => (ErrorKind::Unexpected, "the answer could not be read", true),
        };
        Self { error: Error::new(kind, operation, hint).caused_by(cause), is_open }
    }
}

/// Codes from the SQS API reference, "Common errors" and the errors of each action; the long names
/// are those of the older query protocol, which servers still send.
fn kind_of(code: &str) -> ErrorKind {
    match code.rsplit(['.', '#']).next().unwrap_or(code) {
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
        kind => kind,
    };
    Error::new(kind, operation, hint_of(kind))
        .caused_by(format!("{code}: {}", message.unwrap_or("no explanation")))
        .retryable(!sender_fault)
}

/// One failure, told once more: an error cannot be cloned.
pub(crate) fn again(error: &Error, operation: &'static str) -> Error {
    Error::new(error.kind(), operation, error.to_string()).retryable(error.is_retryable())
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
    fn only_what_is_not_the_senders_fault_is_retried() {
        assert!(!entry("InvalidMessageContents", None, true, "publish").is_retryable());
        assert!(entry("InternalFailure", Some("busy"), false, "publish").is_retryable());
        assert_eq!(entry("SomethingNew", None, true, "publish").kind(), ErrorKind::Invalid);
    }
}
