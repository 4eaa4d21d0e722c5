//! Order per key over competing receivers.
//!
//! A message may go to receiver A only when every earlier message of its key is settled or with A,
//! and no later one is with anybody: a head that was given back waits for the followers in A's hand.
//! A lane exists for a key only while there is something to remember: a message in flight, one that
//! is away after a nack, or one parked because it was met while it could not be handed out.
//!
//! Ready messages are looked at in sequence, so the rule needs three questions per message: is the
//! key in other hands or a later message out, is an earlier message away, is an earlier one parked?
//! Parked messages go back to the ready list one at a time, when the one before them was handed out
//! or the last one in flight ended.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use rustc_hash::FxHashMap;

/// A message by sequence and slot.
pub(crate) type Place = (u64, u32);

/// The lanes of one queue, by hash of the key. Never iterated.
#[derive(Debug, Default)]
pub(crate) struct Lanes(FxHashMap<NonZeroU64, Lane>);

#[derive(Debug, Default)]
struct Lane {
    /// Who has the messages in flight; means nothing when there are none.
    consumer: u32,
    in_flight_count: u32,
    /// The latest of those handed out since there were none in flight.
    last_sequence: u64,
    /// Boxed, because the lane of a key that is used once never needs it.
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    parked: BTreeMap<u64, u32>,
    away: BTreeSet<u64>,
}

/// What became of a ready message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes to the receiver; the parked message named may now be looked at.
    HandOut(Option<Place>),
    /// It waits in its lane.
    Parked,
}

impl Lanes {
    /// Decides about the first ready message of a key.
    pub(crate) fn meet(&mut self, key: NonZeroU64, (sequence, slot): Place, consumer: u32) -> Step {
        let lane = self.0.entry(key).or_default();
        if lane.is_closed_to(consumer, sequence) || lane.has_waiting_before(sequence) {
            lane.waiting.get_or_insert_default().parked.insert(sequence, slot);
            return Step::Parked;
        }
        lane.consumer = consumer;
        lane.in_flight_count += 1;
        lane.last_sequence = sequence;
        Step::HandOut(lane.unpark())
    }

    /// A message in flight was settled or given back; `away`: its sequence, if it was given back
    /// with a delay. Answers the parked message that may now be looked at.
    pub(crate) fn end(&mut self, key: NonZeroU64, away: Option<u64>) -> Option<Place> {
        let Entry::Occupied(mut found) = self.0.entry(key) else { return None };
        let lane = found.get_mut();
        lane.in_flight_count -= 1;
        if let Some(sequence) = away {
            lane.waiting.get_or_insert_default().away.insert(sequence);
        }
        let next = if lane.in_flight_count == 0 { lane.unpark() } else { None };
        if lane.is_idle() {
            found.remove();
        }
        next
    }

    /// The delay of a message that was away has passed: it is ready again.
    pub(crate) fn come_back(&mut self, key: NonZeroU64, sequence: u64) {
        let Entry::Occupied(mut found) = self.0.entry(key) else { return };
        if let Some(waiting) = &mut found.get_mut().waiting {
            waiting.away.remove(&sequence);
        }
        if found.get().is_idle() {
            found.remove();
        }
    }

    /// A message that was not in flight is gone.
    pub(crate) fn forget(&mut self, key: NonZeroU64, sequence: u64) {
        let Entry::Occupied(mut found) = self.0.entry(key) else { return };
        if let Some(waiting) = &mut found.get_mut().waiting {
            waiting.parked.remove(&sequence);
            waiting.away.remove(&sequence);
        }
        if found.get().is_idle() {
            found.remove();
        }
    }
}

impl Lane {
    fn is_closed_to(&self, consumer: u32, sequence: u64) -> bool {
        self.in_flight_count > 0 && (self.consumer != consumer || sequence < self.last_sequence)
    }

    fn has_waiting_before(&self, sequence: u64) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| {
            waiting.parked.first_key_value().is_some_and(|(first, _)| *first < sequence)
                || waiting.away.first().is_some_and(|first| *first < sequence)
        })
    }

    /// Takes the first parked message out, unless an earlier one is away.
    fn unpark(&mut self) -> Option<Place> {
        let waiting = self.waiting.as_mut()?;
        let (first, _) = waiting.parked.first_key_value()?;
        if waiting.away.first().is_some_and(|away| away < first) {
            return None;
        }
        waiting.parked.pop_first()
    }

    fn is_idle(&self) -> bool {
        let is_nothing_waiting =
            self.waiting.as_ref().is_none_or(|waiting| waiting.parked.is_empty() && waiting.away.is_empty());
        self.in_flight_count == 0 && is_nothing_waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: NonZeroU64 = NonZeroU64::MIN;
    const A: u32 = 1;
    const B: u32 = 2;

    #[test]
    fn a_key_stays_with_its_receiver_until_settled() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.meet(KEY, (1, 10), A), Step::HandOut(None));
        assert_eq!(lanes.meet(KEY, (2, 20), A), Step::HandOut(None));
        assert_eq!(lanes.meet(KEY, (3, 30), B), Step::Parked);
        assert_eq!(lanes.meet(KEY, (4, 40), A), Step::Parked, "3 is before it");
        assert_eq!(lanes.end(KEY, None), None, "one is still with A");
        assert_eq!(lanes.end(KEY, None), Some((3, 30)));
        assert_eq!(lanes.meet(KEY, (3, 30), B), Step::HandOut(Some((4, 40))));
        assert_eq!(lanes.meet(KEY, (4, 40), B), Step::HandOut(None));
        assert_eq!((lanes.end(KEY, None), lanes.end(KEY, None)), (None, None));
        assert!(lanes.0.is_empty(), "nothing is remembered for an idle key");
    }

    #[test]
    fn a_head_waits_for_its_followers_in_hand() {
        let mut lanes = Lanes::default();
        for place in [(1, 10), (2, 20)] {
            assert_eq!(lanes.meet(KEY, place, A), Step::HandOut(None));
        }
        assert_eq!(lanes.end(KEY, None), None, "1 is given back");
        assert_eq!(lanes.meet(KEY, (1, 10), A), Step::Parked, "2 is still out");
        assert_eq!(lanes.end(KEY, None), Some((1, 10)));
    }

    #[test]
    fn nothing_overtakes_what_is_away() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.meet(KEY, (1, 10), A), Step::HandOut(None));
        assert_eq!(lanes.end(KEY, Some(1)), None);
        assert_eq!(lanes.meet(KEY, (2, 20), A), Step::Parked);
        lanes.come_back(KEY, 1);
        assert_eq!(lanes.meet(KEY, (1, 10), B), Step::HandOut(Some((2, 20))));
    }
}
