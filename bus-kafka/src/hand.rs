//! What a member has: the windows of its partitions, what waits to be handed out, and what is in
//! whose hand. Without I/O and without a clock.
//!
//! A message with a key is handed out when nothing of its key is in hand, or when all of it that is
//! comes before it and is with the same receiver. What may not go yet is parked in the key's lane,
//! and lanes with nothing in hand give theirs back in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bus::{Message, MessageKey, Moment, Token};
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::window::Window;

/// A partition and an offset in it.
pub(crate) type Place = (i32, i64);
type LaneKey = (i32, MessageKey);

/// One receiver of the member.
pub(crate) struct Reader {
    prefetch_count_max: usize,
    held_count: usize,
    pub(crate) is_stopped: bool,
    pub(crate) lost: Vec<Token>,
}

struct Held {
    epoch: u64,
    reader: u64,
    place: Place,
    key: Option<MessageKey>,
}

/// The messages of one key and partition that are not settled and not among the fresh.
#[derive(Default)]
struct Lane {
    holder: u64,
    /// Ascending.
    in_hand: Vec<i64>,
    parked: BTreeSet<i64>,
    delayed_count: usize,
}

/// Everything a member has, behind one lock, which is never held over I/O.
#[derive(Default)]
pub(crate) struct Hand {
    windows: BTreeMap<i32, Window>,
    readers: BTreeMap<u64, Reader>,
    held: Slab<Held>,
    last_epoch: u64,
    /// Read and never looked at, in the order of reading.
    fresh: VecDeque<(Place, usize)>,
    fresh_bytes: usize,
    /// To be handed out before anything fresh.
    returned: BTreeSet<Place>,
    delayed: BTreeSet<(Moment, Place)>,
    lanes: FxHashMap<LaneKey, Lane>,
    /// Partitions on their way to another member: nothing more of them is handed out.
    leaving: BTreeSet<i32>,
    pub(crate) dirty: BTreeSet<i32>,
}

/// What is handed out, before it becomes a delivery.
pub(crate) struct Out {
    pub(crate) token: Token,
    pub(crate) message: Message,
}

impl Hand {
    /// Tokens of one member are none of another's: their epochs begin far apart.
    pub(crate) fn with_tokens_of(member: u64) -> Self {
        Self { last_epoch: member << 32, ..Self::default() }
    }

    pub(crate) fn join(&mut self, reader: u64, prefetch_count_max: usize) {
        let new = Reader { prefetch_count_max, held_count: 0, is_stopped: false, lost: Vec::new() };
        self.readers.insert(reader, new);
    }

    pub(crate) fn reader(&mut self, reader: u64) -> Option<&mut Reader> {
        self.readers.get_mut(&reader)
    }

    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// A partition is ours from now on.
    pub(crate) fn assign(&mut self, partition: i32, window: Window) {
        self.forget(partition);
        self.windows.insert(partition, window);
    }

    /// A partition is to be taken away: what waits of it waits no more.
    pub(crate) fn begin_to_leave(&mut self, partition: i32) {
        self.leaving.insert(partition);
    }

    /// How many messages of leaving partitions are in hand.
    pub(crate) fn leaving_count(&self) -> usize {
        self.held.iter().filter(|(_, held)| self.leaving.contains(&held.place.0)).count()
    }

    /// A partition is no longer ours: what is in hand of it is lost.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.windows.remove(&partition);
        self.leaving.remove(&partition);
        self.dirty.remove(&partition);
        self.fresh.retain(|(place, _)| place.0 != partition);
        self.fresh_bytes = self.fresh.iter().map(|(_, bytes)| bytes).sum();
        self.returned.retain(|place| place.0 != partition);
        self.delayed.retain(|(_, place)| place.0 != partition);
        self.lanes.retain(|(of, _), _| *of != partition);
        let gone: Vec<usize> =
            self.held.iter().filter(|(_, held)| held.place.0 == partition).map(|(slot, _)| slot).collect();
        for slot in gone {
            let held = self.held.remove(slot);
            if let Some(reader) = self.readers.get_mut(&held.reader) {
                reader.held_count -= 1;
                reader.lost.push(Token { slot: slot as u64, epoch: held.epoch });
            }
        }
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = (i32, &Window)> {
        self.windows.iter().map(|(partition, window)| (*partition, window))
    }

    pub(crate) fn window(&self, partition: i32) -> Option<&Window> {
        self.windows.get(&partition)
    }

    /// A message was read. One that is set aside is settled by somebody else than a receiver. Answers
    /// whether it is new and unsettled.
    pub(crate) fn add(&mut self, place: Place, message: Message, is_set_aside: bool, now: Moment) -> bool {
        let Some(window) = self.windows.get_mut(&place.0) else { return false };
        let bytes = message.body().len();
        if window.add(place.1, message, now) {
            if !is_set_aside {
                self.fresh.push_back((place, bytes));
                self.fresh_bytes += bytes;
            }
            true
        } else {
            self.dirty.insert(place.0);
            false
        }
    }

    /// How many messages wait and were never handed out, and the bytes of their bodies.
    pub(crate) fn fresh(&self) -> (usize, usize) {
        (self.fresh.len(), self.fresh_bytes)
    }

    fn next_place(&mut self) -> Option<Place> {
        self.returned.pop_first().or_else(|| {
            let (place, bytes) = self.fresh.pop_front()?;
            self.fresh_bytes -= bytes;
            Some(place)
        })
    }

    pub(crate) fn in_hand_count(&self, partition: i32) -> usize {
        self.held.iter().filter(|(_, held)| held.place.0 == partition).count()
    }

    pub(crate) fn delayed_count(&self) -> usize {
        self.delayed.len()
    }

    /// When the next delay ends.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Hands out at most `max` messages to a receiver.
    pub(crate) fn hand_out(&mut self, reader: u64, max: usize, now: Moment) -> Vec<Out> {
        self.end_delays(now);
        let Some(known) = self.readers.get(&reader).filter(|known| !known.is_stopped) else { return Vec::new() };
        let max = max.min(known.prefetch_count_max.saturating_sub(known.held_count));
        let mut out = Vec::with_capacity(max.min(self.returned.len() + self.fresh.len()));
        while out.len() < max
            && let Some(place) = self.next_place()
        {
            if self.leaving.contains(&place.0) {
                continue;
            }
            let Some(message) = self.windows.get(&place.0).and_then(|window| window.message(place.1)).cloned() else {
                continue;
            };
            if let Some(key) = message.key()
                && !self.enters_lane(key, place, reader)
            {
                continue;
            }
            self.last_epoch += 1;
            let epoch = self.last_epoch;
            let slot = self.held.insert(Held { epoch, reader, place, key: message.key().cloned() });
            out.push(Out { token: Token { slot: slot as u64, epoch }, message });
        }
        if let Some(known) = self.readers.get_mut(&reader) {
            known.held_count += out.len();
        }
        out
    }

    /// Whether a message may go to `reader` now; otherwise it is parked.
    fn enters_lane(&mut self, key: &MessageKey, place: Place, reader: u64) -> bool {
        let lane = self.lanes.entry((place.0, key.clone())).or_default();
        let is_next = lane.parked.first().is_none_or(|first| place.1 < *first);
        let is_free = lane.in_hand.last().is_none_or(|last| lane.holder == reader && *last < place.1);
        if is_next && is_free {
            lane.holder = reader;
            lane.in_hand.push(place.1);
            return true;
        }
        lane.parked.insert(place.1);
        false
    }

    fn end_delays(&mut self, now: Moment) {
        while let Some((due, place)) = self.delayed.first().copied()
            && due <= now
        {
            self.delayed.pop_first();
            let message = self.windows.get(&place.0).and_then(|window| window.message(place.1));
            match message.and_then(Message::key).cloned() {
                None => {
                    self.returned.insert(place);
                }
                Some(key) => {
                    let lane_key = (place.0, key);
                    if let Some(lane) = self.lanes.get_mut(&lane_key) {
                        lane.delayed_count -= 1;
                    }
                    self.free(&lane_key);
                }
            }
        }
    }

    /// Gives what is parked in a lane back to be handed out, once nothing of it is in hand or delayed.
    fn free(&mut self, lane_key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(lane_key) else { return };
        if !lane.in_hand.is_empty() || lane.delayed_count > 0 {
            return;
        }
        let partition = lane_key.0;
        self.returned.extend(std::mem::take(&mut lane.parked).into_iter().map(|offset| (partition, offset)));
        self.lanes.remove(lane_key);
    }

    fn held(&self, reader: u64, token: Token) -> Option<&Held> {
        let held = self.held.get(usize::try_from(token.slot).ok()?)?;
        (held.epoch == token.epoch && held.reader == reader).then_some(held)
    }

    /// The message of a delivery that is with `reader`.
    pub(crate) fn message(&self, reader: u64, token: Token) -> Option<&Message> {
        let (partition, offset) = self.held(reader, token)?.place;
        self.windows.get(&partition)?.message(offset)
    }

    fn take(&mut self, reader: u64, token: Token) -> Option<Held> {
        self.held(reader, token)?;
        let held = self.held.try_remove(usize::try_from(token.slot).ok()?)?;
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.held_count -= 1;
        }
        Some(held)
    }

    /// Settles a delivery for good; answers whether it was with `reader`.
    pub(crate) fn settle(&mut self, reader: u64, token: Token) -> bool {
        let Some(held) = self.take(reader, token) else { return false };
        self.settle_place(held.place);
        if let Some(key) = held.key {
            self.leave_lane(&(held.place.0, key), held.place.1);
        }
        true
    }

    /// Settles what is in nobody's hand.
    pub(crate) fn settle_place(&mut self, place: Place) {
        if let Some(window) = self.windows.get_mut(&place.0) {
            window.settle(place.1);
            self.dirty.insert(place.0);
        }
    }

    /// Takes a delivery back, to be handed out again at `due` or, without it, as soon as may be;
    /// answers whether it was with `reader`.
    pub(crate) fn give_back(&mut self, reader: u64, token: Token, due: Option<Moment>) -> bool {
        let Some(held) = self.take(reader, token) else { return false };
        let place = held.place;
        if let Some(due) = due {
            self.delayed.insert((due, place));
        }
        match held.key {
            Some(key) => {
                let lane_key = (place.0, key);
                let lane = self.lanes.entry(lane_key.clone()).or_default();
                lane.parked.insert(place.1);
                lane.delayed_count += usize::from(due.is_some());
                self.leave_lane(&lane_key, place.1);
            }
            None if due.is_none() => {
                self.returned.insert(place);
            }
            None => {}
        }
        true
    }

    fn leave_lane(&mut self, lane_key: &LaneKey, offset: i64) {
        if let Some(lane) = self.lanes.get_mut(lane_key) {
            lane.in_hand.retain(|held| *held != offset);
        }
        self.free(lane_key);
    }

    /// A receiver ends: what it has is given back, and named, for it is lost to the receiver.
    pub(crate) fn part(&mut self, reader: u64) -> Vec<Token> {
        let held: Vec<Token> = self
            .held
            .iter()
            .filter(|(_, held)| held.reader == reader)
            .map(|(slot, held)| Token { slot: slot as u64, epoch: held.epoch })
            .collect();
        for token in &held {
            self.give_back(reader, *token, None);
        }
        let told = self.readers.remove(&reader).map(|reader| reader.lost).unwrap_or_default();
        told.into_iter().chain(held).collect()
    }
}

#[cfg(test)]
#[path = "hand_tests.rs"]
mod tests;
