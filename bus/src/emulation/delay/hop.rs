//! A message on its way from hop to hop, and what its headers say.

use std::time::Duration;

use jiff::Timestamp;

use super::{DUE_AT, HOP_COUNT, HOP_GROUP};
use crate::{Destination, Message, Outgoing, Subscription};

/// What to do with a received message.
pub(super) enum Step {
    /// It is due, or was never on its way: the consumer gets it.
    Deliver,
    /// It is to be published again.
    Hop,
    /// It is another group's.
    Pass,
}

/// A message with a long delay, on its first hop.
pub(super) fn first(outgoing: Outgoing, now: Timestamp, native_max: Duration) -> Outgoing {
    let (destination, mut message, delay) = outgoing.into_parts();
    let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    // Both numbers were cut to milliseconds, and it must not come early.
    let due = now.as_millisecond().saturating_add(delay).saturating_add(2);
    message.headers_mut().set(DUE_AT, due.to_string());
    Outgoing::new(destination, message).delayed(native_max)
}

/// What a consumer of `subscription` does with a message it received.
pub(super) fn step(message: &Message, subscription: &Subscription, now: Timestamp) -> Step {
    let Some(due) = due(message) else { return Step::Deliver };
    match message.headers().text(HOP_GROUP) {
        Some(group) if group != group_of(subscription) => Step::Pass,
        _ if due > now.as_millisecond() => Step::Hop,
        _ => Step::Deliver,
    }
}

/// The next hop of a message, at `now`.
pub(super) fn next(
    message: &Message,
    destination: &Destination,
    group: &str,
    now: Timestamp,
    native_max: Duration,
) -> Outgoing {
    let mut message = message.clone();
    let hop_count = message.headers().text(HOP_COUNT).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let left = due(&message).unwrap_or_default().saturating_sub(now.as_millisecond());
    let headers = message.headers_mut();
    headers.set(HOP_COUNT, hop_count.saturating_add(1).to_string());
    headers.set(HOP_GROUP, group.to_owned());
    let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
    Outgoing::new(destination.clone(), message).delayed(left.min(native_max))
}

/// The group as its hops name it.
pub(super) fn group_of(subscription: &Subscription) -> &str {
    subscription.group().map_or("", |group| group.as_str())
}

/// Takes the headers off.
pub(super) fn strip(message: &mut Message) {
    if due(message).is_some() {
        let headers = message.headers_mut();
        for name in [DUE_AT, HOP_COUNT, HOP_GROUP] {
            headers.remove(name);
        }
    }
}

/// The size of the message as its producer made it.
pub(super) fn bytes_without_headers(message: &Message) -> usize {
    let names = [DUE_AT, HOP_COUNT, HOP_GROUP];
    let own = message.headers().iter().filter(|(name, _)| names.contains(name));
    message.size_bytes() - own.map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn due(message: &Message) -> Option<i64> {
    message.headers().text(DUE_AT)?.parse().ok()
}
