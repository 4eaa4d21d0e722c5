use bus::{Destination, Error, ErrorKind};

use super::broker::Fault;

/// A fault of the broker, with what somebody can do about it. No type of the client library gets out.
pub(crate) fn told(fault: &Fault, operation: &'static str, destination: &Destination) -> Error {
    let (kind, message) = match fault {
        Fault::NoSuchQueue => (ErrorKind::NotFound, "no such queue; declare the destination first"),
        Fault::StaleReceipt => (ErrorKind::LeaseLost, "the delivery is no longer ours; another one follows"),
    };
    Error::new(kind, operation, message).with("destination", destination)
}

/// The answer to everything after `close`.
pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the bus was closed; open another one")
}

/// The answer to what the capability excludes.
pub(crate) fn unsupported(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, operation, message)
}

/// The answer to what can never work, on this bus or another.
pub(crate) fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, operation, message)
}
