//! RabbitMQ's answers in the words of the contract. No type of the client gets out.

use bus::{Error, ErrorKind};
use lapin::ErrorKind as Lapin;

/// What went wrong, and what to do about it.
pub(crate) fn told(failure: &lapin::Error, operation: &'static str) -> Error {
    let kind = kind_of(failure);
    let cause = failure.to_string();
    let hint = if is_of_a_certificate(failure, &cause) { CERTIFICATE } else { hint_of(kind) };
    Error::new(kind, operation, hint).caused_by(cause)
}

const CERTIFICATE: &str = "the server's certificate is not trusted; `ca=` names the authority that signed it, and the \
                           host of the URL is a name in it";

/// The client passes a failed handshake on as a failure of the connection, in the words of rustls.
fn is_of_a_certificate(failure: &lapin::Error, cause: &str) -> bool {
    matches!(failure.kind(), Lapin::IOError(_)) && cause.contains("certificate")
}

/// Whether the server says that a queue does not exist.
pub(crate) fn is_not_found(failure: &lapin::Error) -> bool {
    kind_of(failure) == ErrorKind::NotFound
}

/// Whether the client failed because of a channel that is closing, and sent nothing.
pub(crate) fn is_of_another_channel(failure: &lapin::Error) -> bool {
    matches!(failure.kind(), Lapin::InvalidChannel(_) | Lapin::InvalidChannelState(..))
}

fn kind_of(failure: &lapin::Error) -> ErrorKind {
    match failure.kind() {
        Lapin::ProtocolError(error) => kind_of_reply(error.get_id(), error.get_message().as_str()),
        Lapin::IOError(_)
        | Lapin::RuntimeShutdownError(_)
        | Lapin::MissingHeartbeatError
        | Lapin::ChannelsLimitReached
        | Lapin::InvalidChannel(_)
        | Lapin::InvalidChannelState(..)
        | Lapin::InvalidConnectionState(_) => ErrorKind::Unavailable,
        Lapin::AuthProviderError(_) => ErrorKind::Unauthorized,
        _ => ErrorKind::Unexpected,
    }
}

/// Reply codes of AMQP 0-9-1, section 1.3 of its reference.
fn kind_of_reply(code: u16, text: &str) -> ErrorKind {
    match code {
        311 => ErrorKind::TooLarge,
        403 => ErrorKind::Unauthorized,
        404 => ErrorKind::NotFound,
        405 => ErrorKind::Conflict,
        406 if text.contains("delivery acknowledgement") => ErrorKind::LeaseLost,
        406 => ErrorKind::Conflict,
        // Not allowed: a virtual host that does not exist, or that this user may not enter.
        530 if text.contains("not found") => ErrorKind::NotFound,
        530 => ErrorKind::Unauthorized,
        320 | 506 | 541 => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}

fn hint_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "the queue or virtual host does not exist here; declare it, or check the URL",
        ErrorKind::Conflict => {
            "the queue exists with other properties; delete it, or declare what it is (queue=classic for plain ones)"
        }
        ErrorKind::TooLarge => "the message is larger than the server takes; send a reference to the data",
        ErrorKind::Unauthorized => {
            "the user, its password or its permissions are not enough; check the URL and rabbitmqctl list_permissions"
        }
        ErrorKind::Unavailable => "RabbitMQ cannot be reached or does not serve now; it is tried again",
        ErrorKind::LeaseLost => "a delivery was held for longer than the server's consumer_timeout",
        _ => "the server or its client answered unexpectedly",
    }
}

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the bus is closed")
}

pub(crate) fn not_found(operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "no such destination or group; declare it first")
}

pub(crate) fn timed_out(operation: &'static str, text: &str) -> Error {
    Error::new(ErrorKind::Timeout, operation, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_codes_tell_what_to_do() {
        for (code, text, kind) in [
            (403, "ACCESS_REFUSED - Login was refused", ErrorKind::Unauthorized),
            (404, "NOT_FOUND - no queue 'x' in vhost '/'", ErrorKind::NotFound),
            (406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type'", ErrorKind::Conflict),
            (406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out", ErrorKind::LeaseLost),
            (530, "NOT_ALLOWED - vhost x not found", ErrorKind::NotFound),
            (530, "NOT_ALLOWED - access to vhost 'x' refused for user 'me'", ErrorKind::Unauthorized),
            (320, "CONNECTION_FORCED - broker forced connection closure", ErrorKind::Unavailable),
        ] {
            assert_eq!(kind_of_reply(code, text), kind, "{text}");
        }
    }

    #[test]
    fn a_broken_connection_is_retried() {
        let broken = lapin::Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let told = told(&broken, "publish");
        assert_eq!((told.kind(), told.is_retryable()), (ErrorKind::Unavailable, true));
    }
}
