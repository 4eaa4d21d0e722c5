//! Which dead letters are meant.

use std::time::Duration;

use jiff::Timestamp;

use super::DeadLetter;
use crate::{MessageId, MessageKey, Subscription};

/// Names dead letters by what all given fields say; the default names every one.
///
/// A dead letter of which a fact is unknown is not named by a filter for that fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The message's id. Several dead letters have it when several groups rejected the message.
    pub message_id: Option<MessageId>,
    /// The message's ordering key.
    pub key: Option<MessageKey>,
    /// A part of the reason, to the letter.
    pub reason_contains: Option<String>,
    /// Who rejected it.
    pub rejected_by: Option<Subscription>,
    /// It was rejected at least so long ago, by this process's calendar.
    pub older_than: Option<Duration>,
    /// It was rejected less than so long ago.
    pub newer_than: Option<Duration>,
}

impl Filter {
    /// Exactly the dead letters of one message.
    #[must_use]
    pub fn of_message(message_id: MessageId) -> Self {
        Self { message_id: Some(message_id), ..Self::default() }
    }

    /// Whether `letter` is meant, at the calendar time `now`.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter, now: Timestamp) -> bool {
        let (message, provenance) = (letter.message(), letter.provenance());
        // One from the future, by a clock that is ahead of ours, is new.
        let age = || provenance.at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        is_met(self.message_id.as_ref(), |id| message.id() == id)
            && is_met(self.key.as_ref(), |key| message.key() == Some(key))
            && is_met(self.rejected_by.as_ref(), |by| provenance.rejected_by.as_ref() == Some(by))
            && is_met(self.reason_contains.as_ref(), |part| {
                provenance.reason.as_ref().is_some_and(|reason| reason.contains(part.as_str()))
            })
            && is_met(self.older_than, |span| age().is_some_and(|age| age >= span))
            && is_met(self.newer_than, |span| age().is_some_and(|age| age < span))
    }
}

fn is_met<T>(wish: Option<T>, meets: impl FnOnce(T) -> bool) -> bool {
    wish.is_none_or(meets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::{Rejection, mark};
    use crate::{Destination, Group, Message};

    fn orders() -> Destination {
        Destination::new("orders").expect("legal")
    }

    fn letter(at_second: i64) -> DeadLetter {
        let message = Message::new(MessageId::parse("m1").expect("legal"), &b""[..]);
        let mut message = message.with_key(MessageKey::new("ORD-1").expect("legal"));
        let at = Timestamp::from_second(at_second).expect("in range");
        let subscription = Subscription::to(orders());
        let rejection = Rejection { subscription: &subscription, reason: "no field `sku`", receive_count: None, at };
        mark(&mut message, &rejection);
        DeadLetter::new(message)
    }

    #[test]
    fn a_filter_names_what_every_field_of_it_says() {
        let unknown = DeadLetter::new(Message::new(MessageId::parse("m2").expect("legal"), &b""[..]));
        let now = Timestamp::from_second(100).expect("in range");
        let check = |filter: Filter, expected: bool| {
            assert_eq!(filter.matches(&letter(90), now), expected, "{filter:?}");
            assert!(!filter.matches(&unknown, now), "{filter:?} names what is unknown");
        };
        let any = Filter::default;
        assert!(any().matches(&unknown, now) && any().matches(&letter(90), now));
        let id = |text: &str| MessageId::parse(text).expect("legal");
        check(Filter::of_message(id("m1")), true);
        check(Filter::of_message(id("m")), false);
        let key = |text: &str| Some(MessageKey::new(text).expect("legal"));
        check(Filter { key: key("ORD-1"), ..any() }, true);
        check(Filter { key: key("ORD-2"), ..any() }, false);
        check(Filter { reason_contains: Some("sku".to_owned()), ..any() }, true);
        check(Filter { reason_contains: Some("SKU".to_owned()), ..any() }, false);
        let audit = Subscription::grouped(orders(), Group::new("audit").expect("legal"));
        check(Filter { rejected_by: Some(Subscription::to(orders())), ..any() }, true);
        check(Filter { rejected_by: Some(audit), ..any() }, false);
        let seconds = |count| Some(Duration::from_secs(count));
        check(Filter { older_than: seconds(10), ..any() }, true);
        check(Filter { older_than: seconds(11), ..any() }, false);
        check(Filter { newer_than: seconds(11), ..any() }, true);
        check(Filter { newer_than: seconds(10), ..any() }, false);
        check(Filter { older_than: seconds(5), key: key("ORD-2"), ..any() }, false);
        assert!(Filter { newer_than: seconds(1), ..any() }.matches(&letter(200), now), "a clock ahead of ours");
    }
}
