//! librdkafka's errors in the words of the contract.

use bus::{Error, ErrorKind, PublishOutcome};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A failed call. No type of the client leaves this crate: the cause is kept as text.
pub(crate) fn told(failure: &KafkaError, operation: &'static str) -> Error {
    let code = match failure {
        KafkaError::AdminOp(code) => Some(*code),
        failure => failure.rdkafka_error_code(),
    };
    match code {
        Some(code) => of_code(code, operation),
        None => Error::new(ErrorKind::Unexpected, operation, "the client failed").caused_by(failure.to_string()),
    }
}

pub(crate) fn of_code(code: Code, operation: &'static str) -> Error {
    let kind = kind_of(code);
    Error::new(kind, operation, hint_of(kind)).caused_by(format!("{code:?}: {code}"))
}

/// What a delivery report means. Nothing but a clear no of the broker is a refusal: a message that
/// timed out may have been sent before.
pub(crate) fn undelivered(code: Code) -> PublishOutcome {
    let error = of_code(code, "publish");
    match code {
        Code::MessageTimedOut
        | Code::RequestTimedOut
        | Code::OperationTimedOut
        | Code::PurgeInflight
        | Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::NetworkException
        | Code::NotEnoughReplicasAfterAppend
        // The producer and the broker disagree about what was written.
        | Code::OutOfOrderSequenceNumber
        | Code::Unknown
        | Code::Fatal
        | Code::Fail => PublishOutcome::Unknown(error),
        _ => PublishOutcome::Refused(error),
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => ErrorKind::NotFound,
        Code::TopicAlreadyExists => ErrorKind::Conflict,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => ErrorKind::TooLarge,
        Code::QueueFull | Code::ThrottlingQuotaExceeded => ErrorKind::Throttled,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => ErrorKind::Unauthorized,
        Code::MessageTimedOut | Code::RequestTimedOut | Code::OperationTimedOut | Code::PurgeInflight => {
            ErrorKind::Timeout
        }
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::NetworkException
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::RebalanceInProgress
        | Code::PurgeQueue
        // The next publish has another producer.
        | Code::OutOfOrderSequenceNumber
        | Code::Fatal
        | Code::Retry
        | Code::SSL => ErrorKind::Unavailable,
        Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId | Code::AssignmentLost => {
            ErrorKind::LeaseLost
        }
        Code::UnsupportedFeature | Code::UnsupportedVersion | Code::NotImplemented => ErrorKind::Unsupported,
        Code::InvalidTopic
        | Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidRequest
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::PolicyViolation
        | Code::InvalidRecord => ErrorKind::Invalid,
        _ => ErrorKind::Unexpected,
    }
}

fn hint_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "the topic does not exist here; declare it",
        ErrorKind::Conflict => "the topic exists with other properties; delete it or declare what it is",
        ErrorKind::TooLarge => "the message is larger than the topic takes; send a reference to the data",
        ErrorKind::Throttled => "too much at once; try again",
        ErrorKind::Unauthorized => {
            "the credentials are missing or wrong, or the user may not do this; check them and the ACLs"
        }
        ErrorKind::Timeout => "the broker did not answer in time",
        ErrorKind::Unavailable => "the broker cannot be reached or cannot serve now; it is tried again",
        ErrorKind::LeaseLost => "the partition is no longer ours",
        ErrorKind::Unsupported => "the broker does not know this request",
        ErrorKind::Invalid => "the broker refused the request",
        _ => "the broker answered with an error",
    }
}

/// One failure, told once more: an error cannot be cloned.
pub(crate) fn again(error: &Error, operation: &'static str) -> Error {
    Error::new(error.kind(), operation, error.to_string()).retryable(error.is_retryable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_no_is_a_refusal() {
        for code in [
            Code::MessageTimedOut,
            Code::PurgeInflight,
            Code::NotEnoughReplicasAfterAppend,
            Code::OutOfOrderSequenceNumber,
        ] {
            assert!(matches!(undelivered(code), PublishOutcome::Unknown(_)), "{code:?}");
        }
        for (code, is_retryable) in
            [(Code::PurgeQueue, true), (Code::NotEnoughReplicas, true), (Code::MessageSizeTooLarge, false)]
        {
            let outcome = undelivered(code);
            assert!(
                matches!(&outcome, PublishOutcome::Refused(error) if error.is_retryable() == is_retryable),
                "{code:?}: {outcome:?}"
            );
        }
    }
}
