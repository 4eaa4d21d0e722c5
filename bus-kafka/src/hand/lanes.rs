//! The keys of one partition: what of a key may go out, and what waits behind it.
//!
//! A message with a key is handed out when nothing of its key is in hand, or when all of it that is
//! comes before it and is with the same receiver. What may not go yet is parked in the key's lane,
//! and a lane with nothing in hand gives its own back in order.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use slab::Slab;

/// Lanes without a message that are kept, for the next one of their keys.
const IDLE_COUNT_MAX: usize = 1_024;

/// A lane that has a message in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneId(usize);

/// The messages of one key that are not settled and not among the fresh.
#[derive(Default)]
struct Lane {
    holder: u64,
    in_hand_count: usize,
    /// The highest offset handed out since nothing was in hand.
    last_out: i64,
    parked: BTreeSet<i64>,
    delayed_count: usize,
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.in_hand_count == 0 && self.parked.is_empty()
    }
}

/// All lanes of a partition.
#[derive(Default)]
pub(crate) struct Lanes {
    of: FxHashMap<Box<[u8]>, LaneId>,
    lanes: Slab<Lane>,
    idle_count: usize,
}

impl Lanes {
    /// Hands a message out to `reader`, if it may go now; otherwise it is parked.
    pub(crate) fn enter(&mut self, key: &[u8], offset: i64, reader: u64) -> Option<LaneId> {
        let id = self.lane_of(key);
        let lane = &mut self.lanes[id.0];
        let is_next = lane.parked.first().is_none_or(|first| offset < *first);
        let is_free = lane.in_hand_count == 0 || (lane.holder == reader && lane.last_out < offset);
        self.idle_count -= usize::from(lane.is_idle());
        if is_next && is_free {
            lane.holder = reader;
            lane.in_hand_count += 1;
            lane.last_out = offset;
            return Some(id);
        }
        lane.parked.insert(offset);
        None
    }

    fn lane_of(&mut self, key: &[u8]) -> LaneId {
        if let Some(known) = self.of.get(key) {
            return *known;
        }
        if self.idle_count > IDLE_COUNT_MAX {
            self.of.retain(|_, id| !self.lanes[id.0].is_idle() || self.lanes.try_remove(id.0).is_none());
            self.idle_count = 0;
        }
        let id = LaneId(self.lanes.insert(Lane::default()));
        self.of.insert(key.into(), id);
        self.idle_count += 1;
        id
    }

    /// A message in hand was settled. Answers what may be handed out now, ascending.
    pub(crate) fn settle(&mut self, id: LaneId) -> BTreeSet<i64> {
        self.lanes[id.0].in_hand_count -= 1;
        self.freed(id)
    }

    /// A message in hand came back; with a delay it holds its lane until [`end_delay`](Self::end_delay).
    /// Answers what may be handed out now, ascending.
    pub(crate) fn give_back(&mut self, id: LaneId, offset: i64, is_delayed: bool) -> BTreeSet<i64> {
        let lane = &mut self.lanes[id.0];
        lane.in_hand_count -= 1;
        lane.parked.insert(offset);
        lane.delayed_count += usize::from(is_delayed);
        self.freed(id)
    }

    /// A delay of a message of this key has passed. Answers what may be handed out now, ascending.
    pub(crate) fn end_delay(&mut self, key: &[u8]) -> BTreeSet<i64> {
        let Some(id) = self.of.get(key).copied() else { return BTreeSet::new() };
        self.lanes[id.0].delayed_count -= 1;
        self.freed(id)
    }

    fn freed(&mut self, id: LaneId) -> BTreeSet<i64> {
        let lane = &mut self.lanes[id.0];
        if lane.in_hand_count > 0 || lane.delayed_count > 0 {
            return BTreeSet::new();
        }
        self.idle_count += 1;
        std::mem::take(&mut lane.parked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_without_a_message_are_bounded_and_busy_ones_stay() {
        let mut lanes = Lanes::default();
        let key = |number: i64| number.to_string().into_bytes();
        let busy = lanes.enter(&key(0), 0, 1).expect("nothing else is there");
        for number in 1..10 * IDLE_COUNT_MAX as i64 {
            let id = lanes.enter(&key(number), number, 1).expect("nothing else is there");
            assert!(lanes.settle(id).is_empty());
        }
        assert!(lanes.lanes.len() <= IDLE_COUNT_MAX + 3, "{}", lanes.lanes.len());
        assert_eq!(lanes.lanes.len(), lanes.of.len());
        assert_eq!(lanes.enter(&key(0), 5, 2), None, "its key is in another hand");
        assert_eq!(lanes.settle(busy), BTreeSet::from([5]));
    }
}
