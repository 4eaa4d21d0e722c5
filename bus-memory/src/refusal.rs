//! The errors this bus answers with; each says what to do next.

use std::time::Duration;

use bus::{Destination, Error, ErrorKind, Message, Subscription};

pub(crate) fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the bus is closed")
}

pub(crate) fn undeclared(destination: &Destination) -> Error {
    Error::new(ErrorKind::NotFound, "publish", "no such destination; declare it first").with("destination", destination)
}

pub(crate) fn unsubscribable(subscription: &Subscription, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "no such destination or group; declare it first")
        .with("subscription", subscription)
}

pub(crate) fn uncounted(subscription: &Subscription) -> Error {
    Error::new(ErrorKind::Unsupported, "depth", "this bus does not count what waits; receive to find out")
        .with("subscription", subscription)
}

pub(crate) fn unpurgeable(subscription: &Subscription) -> Error {
    Error::new(ErrorKind::Unsupported, "purge", "this bus does not purge; receive and ack what is not wanted")
        .with("subscription", subscription)
}

pub(crate) fn too_large(message: &Message, bytes: usize, bytes_max: usize) -> Error {
    let text = format!("the message has {bytes} bytes, at most {bytes_max} are allowed; send a reference to the data");
    Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", message.id())
}

pub(crate) fn delay_refused(message: &Message, delay: Duration, delay_max: Option<Duration>) -> Error {
    let text = match delay_max {
        None => "this bus does not delay messages; publish it when it is due".to_owned(),
        Some(max) => format!("a delay of {delay:?} is longer than this bus keeps, which is {max:?}"),
    };
    Error::new(ErrorKind::Unsupported, "publish", text).with("message_id", message.id())
}

pub(crate) fn behind_refused(message: &Message) -> Error {
    let text = "an earlier message of its key in the same batch was refused; publish both again, in order";
    Error::new(ErrorKind::Conflict, "publish", text).with("message_id", message.id()).retryable(true)
}

pub(crate) fn nack_delay_refused(after: Duration, max: Duration) -> Error {
    let text = format!("a nack delay of {after:?} is longer than this bus keeps, which is {max:?}");
    Error::new(ErrorKind::Unsupported, "settle", text)
}

pub(crate) fn extension_unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "extend", "leases of this bus are not extended; settle in time")
}

pub(crate) fn no_dead_letters(subscription: &Subscription) -> Error {
    let text = "nothing keeps dead letters of this destination; ack the message, or nack it with a delay";
    Error::new(ErrorKind::Unsupported, "settle", text).with("subscription", subscription)
}

pub(crate) fn dead_letters_full(subscription: &Subscription) -> Error {
    let text = "the dead letters are full; replay or remove some, the message comes again meanwhile";
    Error::new(ErrorKind::Throttled, "settle", text).with("subscription", subscription)
}
