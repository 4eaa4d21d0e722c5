//! What a member has: its partitions, what waits to be handed out, and what is in whose hand.
//! Without I/O and without a clock.

mod assignment;
mod lanes;
mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bus::{Moment, Token};
use slab::Slab;

use self::assignment::Assignment;
use self::lanes::LaneId;
pub(crate) use self::window::Window;
use crate::record::Record;

/// A partition and an offset in it.
pub(crate) type Place = (i32, i64);

/// Read and not handed out, beyond which reading stops; half of it goes on.
const FRESH_COUNT_MAX: usize = 4_096;
const FRESH_BYTES_MAX: usize = 16 * 1024 * 1024;

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
    lane: Option<LaneId>,
}

/// Everything a member has, behind one lock, which is never held over I/O.
#[derive(Default)]
pub(crate) struct Hand {
    partitions: BTreeMap<i32, Assignment>,
    readers: BTreeMap<u64, Reader>,
    held: Slab<Held>,
    last_epoch: u64,
    /// Read and never looked at, in the order of reading.
    fresh: VecDeque<(Place, usize)>,
    fresh_bytes: usize,
    /// To be handed out before anything fresh.
    returned: BTreeSet<Place>,
    delayed: BTreeSet<(Moment, Place)>,
}

/// What is handed out, before it becomes a delivery.
pub(crate) struct Out {
    pub(crate) token: Token,
    pub(crate) place: Place,
    pub(crate) record: Record,
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
        self.partitions.insert(partition, Assignment::of(window));
    }

    /// A partition is to be taken away: what waits of it waits no more.
    pub(crate) fn begin_to_leave(&mut self, partition: i32) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.is_leaving = true;
        }
    }

    /// How many messages of leaving partitions are in hand.
    pub(crate) fn leaving_count(&self) -> usize {
        self.partitions.values().filter(|known| known.is_leaving).map(|known| known.in_hand_count).sum()
    }

    /// A partition is no longer ours: what is in hand of it is lost.
    pub(crate) fn forget(&mut self, partition: i32) {
        if self.partitions.remove(&partition).is_none() {
            return;
        }
        self.fresh.retain(|(place, _)| place.0 != partition);
        self.fresh_bytes = self.fresh.iter().map(|(_, bytes)| bytes).sum();
        self.returned.retain(|place| place.0 != partition);
        self.delayed.retain(|(_, place)| place.0 != partition);
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
        self.partitions.iter().map(|(partition, known)| (*partition, &known.window))
    }

    pub(crate) fn window(&self, partition: i32) -> Option<&Window> {
        self.partitions.get(&partition).map(|known| &known.window)
    }

    /// There is something to commit of a partition, again.
    pub(crate) fn soil(&mut self, partition: i32) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.is_dirty = true;
        }
    }

    /// The windows of some partitions, or of all, of which there is something new to commit; from now
    /// on there is not.
    pub(crate) fn cleaned(&mut self, of: Option<&BTreeSet<i32>>) -> impl Iterator<Item = (i32, &Window)> {
        self.partitions.iter_mut().filter_map(move |(partition, known)| {
            let is_asked = of.is_none_or(|of| of.contains(partition));
            (is_asked && std::mem::take(&mut known.is_dirty)).then_some((*partition, &known.window))
        })
    }

    /// A record was read. One that is set aside is settled by somebody else than a receiver. Answers
    /// whether it is new and unsettled.
    pub(crate) fn add(&mut self, place: Place, record: Record, is_set_aside: bool, now: Moment) -> bool {
        let Some(known) = self.partitions.get_mut(&place.0) else { return false };
        let bytes = record.size_bytes();
        let is_new = known.window.add(place.1, record, now);
        if !is_new {
            known.is_dirty = true;
        } else if !is_set_aside {
            self.fresh.push_back((place, bytes));
            self.fresh_bytes += bytes;
        }
        is_new
    }

    /// Whether so much waits that was never handed out that reading is to stop.
    pub(crate) fn is_full(&self) -> bool {
        self.fresh.len() >= FRESH_COUNT_MAX || self.fresh_bytes >= FRESH_BYTES_MAX
    }

    /// Whether reading, once stopped, may go on.
    pub(crate) fn has_room(&self) -> bool {
        self.fresh.len() <= FRESH_COUNT_MAX / 2 && self.fresh_bytes <= FRESH_BYTES_MAX / 2
    }

    fn next_place(&mut self) -> Option<Place> {
        self.returned.pop_first().or_else(|| {
            let (place, bytes) = self.fresh.pop_front()?;
            self.fresh_bytes -= bytes;
            Some(place)
        })
    }

    pub(crate) fn in_hand_count(&self, partition: i32) -> usize {
        self.partitions.get(&partition).map_or(0, |known| known.in_hand_count)
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
            let Some(known) = self.partitions.get_mut(&place.0).filter(|known| !known.is_leaving) else { continue };
            let Some((record, lane)) = known.enter(place.1, reader) else { continue };
            known.in_hand_count += 1;
            self.last_epoch += 1;
            let epoch = self.last_epoch;
            let slot = self.held.insert(Held { epoch, reader, place, lane });
            out.push(Out { token: Token { slot: slot as u64, epoch }, place, record });
        }
        if let Some(known) = self.readers.get_mut(&reader) {
            known.held_count += out.len();
        }
        out
    }

    fn end_delays(&mut self, now: Moment) {
        while let Some((due, (partition, offset))) = self.delayed.first().copied()
            && due <= now
        {
            self.delayed.pop_first();
            if let Some(known) = self.partitions.get_mut(&partition) {
                let free = known.end_delay(offset);
                self.returned.extend(free.into_iter().map(|offset| (partition, offset)));
            }
        }
    }

    fn held(&self, reader: u64, token: Token) -> Option<&Held> {
        let held = self.held.get(usize::try_from(token.slot).ok()?)?;
        (held.epoch == token.epoch && held.reader == reader).then_some(held)
    }

    /// The record of a delivery that is with `reader`, and its place.
    pub(crate) fn record(&self, reader: u64, token: Token) -> Option<(Place, &Record)> {
        let place = self.held(reader, token)?.place;
        Some((place, self.window(place.0)?.record(place.1)?))
    }

    fn take(&mut self, reader: u64, token: Token) -> Option<(Held, &mut Assignment)> {
        self.held(reader, token)?;
        let held = self.held.try_remove(usize::try_from(token.slot).ok()?)?;
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.held_count -= 1;
        }
        let known = self.partitions.get_mut(&held.place.0)?;
        known.in_hand_count -= 1;
        Some((held, known))
    }

    /// Settles a delivery for good; answers whether it was with `reader`.
    pub(crate) fn settle(&mut self, reader: u64, token: Token) -> bool {
        let Some((Held { place: (partition, offset), lane, .. }, known)) = self.take(reader, token) else {
            return false;
        };
        known.settle(offset);
        if let Some(lane) = lane {
            let free = known.lanes.settle(lane);
            self.returned.extend(free.into_iter().map(|offset| (partition, offset)));
        }
        true
    }

    /// Settles what is in nobody's hand.
    pub(crate) fn settle_place(&mut self, (partition, offset): Place) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.settle(offset);
        }
    }

    /// Takes a delivery back, to be handed out again at `due` or, without it, as soon as may be;
    /// answers whether it was with `reader`.
    pub(crate) fn give_back(&mut self, reader: u64, token: Token, due: Option<Moment>) -> bool {
        let Some((Held { place, lane, .. }, known)) = self.take(reader, token) else { return false };
        match lane {
            Some(lane) => {
                let free = known.lanes.give_back(lane, place.1, due.is_some());
                self.returned.extend(free.into_iter().map(|offset| (place.0, offset)));
            }
            None if due.is_none() => {
                self.returned.insert(place);
            }
            None => {}
        }
        if let Some(due) = due {
            self.delayed.insert((due, place));
        }
        true
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
mod tests;
