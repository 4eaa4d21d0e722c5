//! Where a dead letter comes from: written down, read, and sent along with a replay.

use jiff::Timestamp;

use super::{AT, DESTINATION, GROUP, REASON, RECEIVE_COUNT, REPLAY_COUNT, REPLAY_GROUP};
use crate::{Destination, Group, Headers, Message, Subscription};

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

/// What the headers of a dead letter say.
///
/// A fact is absent where its header is absent or unreadable: anybody may put a message among the
/// dead letters, and some brokers move it there by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Who rejected it, and so where it was published to.
    pub rejected_by: Option<Subscription>,
    /// How often the broker had handed it out by then.
    pub receive_count: Option<u32>,
    /// When.
    pub at: Option<Timestamp>,
    /// How often it was replayed before.
    pub replay_count: u32,
}

impl Provenance {
    /// Reads the headers of `message`.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let headers = message.headers();
        Self {
            reason: headers.get(REASON).map(|reason| String::from_utf8_lossy(reason).into_owned()),
            rejected_by: rejected_by(headers),
            receive_count: headers.text(RECEIVE_COUNT).and_then(|count| count.parse().ok()),
            at: headers.text(AT).and_then(|at| at.parse().ok()),
            replay_count: headers.text(REPLAY_COUNT).and_then(|count| count.parse().ok()).unwrap_or(0),
        }
    }

    /// Puts the headers of one more replay on `message`, which this is the provenance of.
    pub(super) fn mark_replay(&self, message: &mut Message) {
        let headers = message.headers_mut();
        headers.set(REPLAY_COUNT, self.replay_count.saturating_add(1).to_string());
        match &self.rejected_by {
            Some(by) => headers.set(REPLAY_GROUP, by.group().map(ToString::to_string).unwrap_or_default()),
            None => headers.remove(REPLAY_GROUP),
        }
    }
}

fn rejected_by(headers: &Headers) -> Option<Subscription> {
    let destination = Destination::new(headers.text(DESTINATION)?).ok()?;
    match headers.get(GROUP) {
        None => Some(Subscription::to(destination)),
        Some(_) => Some(Subscription::grouped(destination, Group::new(headers.text(GROUP)?).ok()?)),
    }
}

/// Whether `message` is a replay meant for another group of the destination than `subscription`.
///
/// One whose headers were copied onto a message for another destination means nobody there.
pub(crate) fn is_replay_for_another_group(message: &Message, subscription: &Subscription) -> bool {
    let headers = message.headers();
    let Some(group) = headers.get(REPLAY_GROUP) else { return false };
    let own_group = subscription.group().map_or("", Group::as_str);
    group != own_group.as_bytes() && headers.text(DESTINATION) == Some(subscription.destination().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;

    fn message(headers: &[(&'static str, &'static [u8])]) -> Message {
        let headers = headers.iter().map(|(name, value)| (*name, *value)).collect();
        Message::new(MessageId::parse("m").expect("legal"), &b""[..]).with_headers(headers)
    }

    fn orders(group: Option<&str>) -> Subscription {
        let destination = Destination::new("orders").expect("legal");
        match group {
            None => Subscription::to(destination),
            Some(group) => Subscription::grouped(destination, Group::new(group).expect("legal")),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for (group, receive_count) in [(None, None), (Some("audit"), Some(3))] {
            let subscription = orders(group);
            let rejection =
                Rejection { subscription: &subscription, reason: "bad", receive_count, at: Timestamp::UNIX_EPOCH };
            let mut dead = message(&[(GROUP, b"of an earlier rejection"), (RECEIVE_COUNT, b"9")]);
            mark(&mut dead, &rejection);
            let read = Provenance::of(&dead);
            let written = Provenance {
                reason: Some("bad".to_owned()),
                rejected_by: Some(subscription.clone()),
                receive_count,
                at: Some(Timestamp::UNIX_EPOCH),
                replay_count: 0,
            };
            assert_eq!(read, written);
            for replay_count in 1..=2 {
                Provenance::of(&dead).mark_replay(&mut dead);
                assert_eq!(Provenance::of(&dead), Provenance { replay_count, ..written.clone() });
            }
        }
    }

    #[test]
    fn what_a_foreign_hand_wrote_is_unknown_and_no_error() {
        assert_eq!(Provenance::of(&message(&[])), Provenance::default());
        let odd: [(&str, &[u8]); 5] =
            [(REASON, b"\xff"), (DESTINATION, b"a b"), (RECEIVE_COUNT, b"-1"), (AT, b"noon"), (REPLAY_COUNT, b"many")];
        let read = Provenance::of(&message(&odd));
        assert_eq!(read, Provenance { reason: Some("\u{fffd}".to_owned()), ..Provenance::default() });
        let unreadable_group = message(&[(DESTINATION, b"orders"), (GROUP, b"\xff")]);
        assert_eq!(Provenance::of(&unreadable_group).rejected_by, None, "not the default group");
    }

    #[test]
    fn a_replay_is_for_the_group_that_rejected_it() {
        let check = |headers: &[(&'static str, &'static [u8])], subscription: &Subscription, expected: bool| {
            let is_for_another = is_replay_for_another_group(&message(headers), subscription);
            assert_eq!(is_for_another, expected, "{headers:?} at {subscription}");
        };
        check(&[(DESTINATION, b"orders")], &orders(None), false);
        check(&[(DESTINATION, b"orders"), (REPLAY_GROUP, b"")], &orders(None), false);
        check(&[(DESTINATION, b"orders"), (REPLAY_GROUP, b"")], &orders(Some("audit")), true);
        check(&[(DESTINATION, b"orders"), (REPLAY_GROUP, b"audit")], &orders(None), true);
        check(&[(DESTINATION, b"orders"), (REPLAY_GROUP, b"audit")], &orders(Some("audit")), false);
        check(&[(DESTINATION, b"returns"), (REPLAY_GROUP, b"audit")], &orders(None), false);
    }
}
