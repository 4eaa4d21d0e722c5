//! Writing down where a dead letter comes from.

use jiff::Timestamp;

use super::{AT, DESTINATION, GROUP, REASON, RECEIVE_COUNT};
use crate::{Message, Subscription};

/// One rejection, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    /// Who rejected the message.
    pub subscription: &'a Subscription,
    /// Why.
    pub reason: &'a str,
    /// How often the broker had handed it out, where it counts.
    pub receive_count: Option<u32>,
    /// When.
    pub at: Timestamp,
}

/// For backends: puts the headers of a rejection on `message`, in place of those of an earlier one.
pub fn mark(message: &mut Message, rejection: &Rejection<'_>) {
    let headers = message.headers_mut();
    headers.set(REASON, rejection.reason.to_owned());
    headers.set(DESTINATION, rejection.subscription.destination().to_string());
    match rejection.subscription.group() {
        Some(group) => headers.set(GROUP, group.to_string()),
        None => headers.remove(GROUP),
    }
    match rejection.receive_count {
        Some(count) => headers.set(RECEIVE_COUNT, count.to_string()),
        None => headers.remove(RECEIVE_COUNT),
    }
    headers.set(AT, rejection.at.to_string());
}
