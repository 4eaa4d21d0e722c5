//! Labels: headers of ours in front of those of a record, while it waits or once it was retried.
//!
//! They stand only in topics of ours. Their names cannot be those of a message's headers, which are
//! escaped where they begin with `~`, and those of a foreign record come behind them.

use bus::{Destination, MessageId};

use crate::record::Record;

/// In front of what waits: when it is due, what is left then of its delay, and where it goes.
pub(crate) const DELAY: &str = "~delay";
/// In front of what was nacked with a delay: how often, and the id of a foreign message, which is the
/// place where it was read first.
pub(crate) const RETRY: &str = "~retry";

/// What waits, for how long and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    /// Milliseconds of calendar time since 1970.
    pub(crate) due_at: i64,
    /// Milliseconds that are left of its delay when it leaves this topic.
    pub(crate) left: i64,
    /// Where it goes when nothing is left.
    pub(crate) to: Destination,
}

impl Delay {
    /// When it leaves the topic it is in.
    pub(crate) fn ready_at(&self) -> i64 {
        self.due_at.saturating_sub(self.left)
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {} {}", self.due_at, self.left, self.to)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let due_at = parts.next()?.parse().ok()?;
        let left = parts.next()?.parse().ok().filter(|left| *left >= 0)?;
        Some(Self { due_at, left, to: Destination::new(parts.next()?).ok()? })
    }
}

/// How often a message was nacked with a delay, and how it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) count: u32,
    pub(crate) foreign_id: Option<MessageId>,
}

impl Retry {
    pub(crate) fn text(&self) -> String {
        self.foreign_id.as_ref().map_or_else(|| self.count.to_string(), |id| format!("{} {id}", self.count))
    }

    fn parse(text: &str) -> Option<Self> {
        let (count, id) = text.split_once(' ').map_or((text, None), |(count, id)| (count, Some(id)));
        Some(Self { count: count.parse().ok()?, foreign_id: id.map(MessageId::parse).transpose().ok()? })
    }
}

/// The labels of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) delay: Option<Delay>,
    pub(crate) retry: Option<Retry>,
}

impl Labels {
    pub(crate) fn of(record: &Record) -> Self {
        let mut headers = record.headers().peekable();
        let mut next = |name: &str| {
            let (_, value) = headers.next_if(|(found, _)| *found == name.as_bytes())?;
            String::from_utf8(record.value(value).to_vec()).ok()
        };
        let delay = next(DELAY).and_then(|text| Delay::parse(&text));
        Self { delay, retry: next(RETRY).and_then(|text| Retry::parse(&text)) }
    }

    /// How many headers of the record they are.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.delay.is_some()) + usize::from(self.retry.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Copier;

    fn labels_of(pairs: &[(&str, &str)]) -> Labels {
        let pairs: Vec<(&str, &[u8])> = pairs.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        Labels::of(&Copier::default().pack(b"", &pairs, true, b""))
    }

    #[test]
    fn labels_read_back_and_those_of_others_are_none() {
        let delay = Delay { due_at: 17, left: 5, to: Destination::new("orders").expect("legal") };
        let id = MessageId::parse("orders/3/1442").expect("legal");
        for retry in [Retry { count: 3, foreign_id: None }, Retry { count: 1, foreign_id: Some(id) }] {
            let (first, second) = (delay.text(), retry.text());
            let found = labels_of(&[(DELAY, &first), (RETRY, &second), (DELAY, "of the message")]);
            assert_eq!((found.count(), &found.delay, &found.retry), (2, &Some(delay.clone()), &Some(retry.clone())));
            assert_eq!(labels_of(&[(RETRY, &second)]), Labels { delay: None, retry: Some(retry) });
        }
        assert_eq!(delay.ready_at(), 12);
        for text in ["", "17", "17 5", "17 -1 orders", "x 5 orders", "17 5 no topic"] {
            assert_eq!(labels_of(&[(DELAY, text)]), Labels::default(), "{text}");
        }
        assert_eq!(labels_of(&[("a", "1"), (RETRY, "3")]), Labels::default(), "only in front");
        assert_eq!(labels_of(&[(RETRY, "many")]), Labels::default());
    }
}
