//! Delays, with the option `delays=topics`: a message waits in one of a few topics after the other.
//!
//! What waits in one of them has the same wait, that of its *level*, so the order of the log is the order
//! of being due, and only its head has to be looked at: any number may wait, and takes no memory. A
//! delay is paid in the coins of the levels, the largest first: 75 s are one minute, ten seconds, three
//! seconds one by one and the two that are left. The moment at which each of them is paid follows from
//! the moment the message is due, so hops that were late do not add up. Equal delays take the same way,
//! so they keep the order of their key.

pub(crate) mod forwarder;

use std::time::Duration;

use bus::{Destination, Error, ErrorKind, Outgoing, Result};
use jiff::Timestamp;

use crate::config::DELAY_MAX;
use crate::label::{self, Delay};
use crate::parcel::Parcel;

/// Names with this are those of topics of ours; no destination is declared under them.
pub(crate) const OWN: &str = "__bus-";

/// Wait and name of each level.
const LEVELS: [(Duration, &str); 6] = [
    (Duration::from_secs(1), "1s"),
    (Duration::from_secs(10), "10s"),
    (Duration::from_secs(60), "1m"),
    (Duration::from_secs(10 * 60), "10m"),
    (Duration::from_secs(60 * 60), "1h"),
    (Duration::from_secs(12 * 60 * 60), "12h"),
];

/// The delay topics of one scope.
pub(crate) struct Delays {
    /// What they are called together: the group that forwards, where their dead letters are, and what is counted.
    pub(crate) all: Destination,
    /// One for each level.
    pub(crate) topics: Vec<Destination>,
}

impl Delays {
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when the scope makes no legal names.
    pub(crate) fn of(scope: Option<&str>) -> Result<Self> {
        let all = scope.map_or_else(|| format!("{OWN}delay"), |scope| format!("{scope}.{OWN}delay"));
        let topics = LEVELS.iter().map(|(_, level)| Destination::new(&format!("{all}.{level}")));
        Ok(Self { topics: topics.collect::<Result<_>>()?, all: Destination::new(&all)? })
    }

    /// The next topic for what is due at `due_at` and still has `left` milliseconds of its delay.
    fn hop(&self, due_at: i64, left: i64, to: &Destination) -> (Destination, Delay) {
        let waits = LEVELS.map(|(wait, _)| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let (level, wait) = match waits.iter().rposition(|wait| *wait <= left) {
            Some(level) if left > 2 * waits[0] => (level, waits[level]),
            // The last hop takes what is no more than two of the shortest, so that no other is made for the rest.
            _ => (0, left),
        };
        (self.topics[level].clone(), Delay { due_at, left: left - wait, to: to.clone() })
    }

    /// The first hop of a delay that begins at `now`.
    fn first(&self, to: &Destination, delay: Duration, now: Timestamp) -> (Destination, Delay) {
        let left = i64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        // The clock was cut to milliseconds, and it must not come early.
        self.hop(now.as_millisecond().saturating_add(left).saturating_add(1), left, to)
    }

    /// The next hop of what has left a topic.
    pub(crate) fn next(&self, delay: &Delay, what: impl FnOnce(Destination) -> Parcel) -> Parcel {
        let (topic, delay) = self.hop(delay.due_at, delay.left, &delay.to);
        what(topic).labelled(label::DELAY, delay.text())
    }

    /// What begins to wait. `what` makes the parcel that goes to the topic it is given.
    pub(crate) fn sent_off(
        &self,
        to: &Destination,
        delay: Duration,
        now: Timestamp,
        what: impl FnOnce(Destination) -> Parcel,
    ) -> Parcel {
        let (topic, delay) = self.first(to, delay, now);
        what(topic).labelled(label::DELAY, delay.text())
    }
}

/// Refuses a delay that is too long.
pub(crate) fn check(outgoing: &Outgoing) -> Result<()> {
    if outgoing.delay() <= DELAY_MAX {
        return Ok(());
    }
    let text = format!("a delay of {:?} is longer than this bus keeps, which is {DELAY_MAX:?}", outgoing.delay());
    Err(Error::new(ErrorKind::Unsupported, "publish", text).with("message_id", outgoing.message().id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels a delay takes, and when it leaves each of them, in milliseconds after it began.
    fn way(delay: Duration) -> Vec<(String, i64)> {
        let (to, delays) = (Destination::new("orders").expect("legal"), Delays::of(Some("scope")).expect("legal"));
        let (mut topic, mut label) = delays.first(&to, delay, Timestamp::UNIX_EPOCH);
        let mut way = Vec::new();
        loop {
            way.push((topic.as_str().trim_start_matches("scope.__bus-delay").to_owned(), label.ready_at()));
            if label.left == 0 {
                assert_eq!((label.ready_at(), &label.to), (label.due_at, &to));
                return way;
            }
            (topic, label) = delays.hop(label.due_at, label.left, &label.to);
        }
    }

    #[test]
    fn a_delay_is_paid_in_levels_and_leaves_the_last_one_when_it_is_due() {
        let milliseconds = Duration::from_millis;
        for (delay, expected) in [
            (milliseconds(1), vec![(".1s", 2)]),
            (milliseconds(1_999), vec![(".1s", 2_000)]),
            (milliseconds(2_000), vec![(".1s", 2_001)]),
            (milliseconds(2_001), vec![(".1s", 1_001), (".1s", 2_002)]),
            (milliseconds(13_500), vec![(".10s", 10_001), (".1s", 11_001), (".1s", 12_001), (".1s", 13_501)]),
            (milliseconds(20_000), vec![(".10s", 10_001), (".10s", 20_001)]),
            (milliseconds(3_660_000), vec![(".1h", 3_600_001), (".1m", 3_660_001)]),
        ] {
            let expected: Vec<(String, i64)> = expected.iter().map(|(level, at)| ((*level).to_owned(), *at)).collect();
            assert_eq!(way(delay), expected, "{delay:?}");
        }
        assert_eq!(way(Duration::from_nanos(1)), [(".1s".to_owned(), 2)], "rounded up");
        let longest = way(DELAY_MAX);
        assert_eq!((longest.len(), longest.last().map(|(_, at)| *at)), (60, Some(30 * 86_400_000 + 1)));
    }

    #[test]
    fn the_longest_scope_makes_legal_names() {
        let delays = Delays::of(Some(&"s".repeat(64))).expect("legal");
        assert!(delays.all.dead_letters().is_ok());
        assert!(Delays::of(Some("no name")).is_err());
    }

    /// Otherwise the head of a topic is not the first that is due.
    #[test]
    fn nothing_waits_longer_in_a_level_than_its_wait_and_what_can_be_longer_waits_as_long() {
        for milliseconds in (1..200_000).step_by(7).chain((3_590_000..3_610_000).step_by(13)) {
            let mut entered_at = 1;
            for (level, ready_at) in way(Duration::from_millis(milliseconds)) {
                let (wait, _) = LEVELS.iter().find(|(_, name)| level == format!(".{name}")).expect("one of them");
                let (wait, waited) = (i64::try_from(wait.as_millis()).expect("short"), ready_at - entered_at);
                let is_last_of_all = level == ".1s" && waited <= 2 * wait;
                assert!(waited == wait || is_last_of_all, "{waited} ms in {level} of {milliseconds} ms");
                entered_at = ready_at;
            }
        }
    }
}
