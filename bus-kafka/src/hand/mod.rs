//! What a member has: its partitions, what waits to be handed out, and what is in whose hand.
//! Without I/O and without a clock.

mod assignment;
mod deliveries;
mod lanes;
mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bus::{Moment, Token};
use slab::Slab;

use self::assignment::Assignment;
use self::deliveries::Held;
pub(crate) use self::deliveries::Out;
pub(crate) use self::window::Window;
use crate::record::Record;

/// A partition of one of the topics that a member reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    /// Its topic, by its place among those of the member.
    pub(crate) topic: u16,
    pub(crate) number: i32,
}

/// A partition and an offset in it.
pub(crate) type Place = (Partition, i64);

/// Read and not handed out, beyond which reading stops; half of it goes on.
const FRESH_COUNT_MAX: usize = 4_096;
const FRESH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// When a record that was read may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    At(Moment),
    /// It is set aside: settled by somebody else than a receiver.
    Never,
}

/// One receiver of the member.
pub(crate) struct Reader {
    prefetch_count_max: usize,
    held_count: usize,
    pub(crate) is_stopped: bool,
    pub(crate) lost: Vec<Token>,
}

/// Everything a member has, behind one lock, which is never held over I/O.
#[derive(Default)]
pub(crate) struct Hand {
    partitions: BTreeMap<Partition, Assignment>,
    readers: BTreeMap<u64, Reader>,
    held: Slab<Held>,
    last_epoch: u64,
    /// Read and never looked at, in the order of reading.
    fresh: VecDeque<(Place, usize)>,
    fresh_bytes: usize,
    /// To be handed out before anything fresh.
    returned: BTreeSet<Place>,
    /// Given back with a delay.
    delayed: BTreeSet<(Moment, Place)>,
    /// Read before they are due, and never handed out.
    early: BTreeSet<(Moment, Place)>,
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
    pub(crate) fn assign(&mut self, partition: Partition, window: Window) {
        self.forget(partition);
        self.partitions.insert(partition, Assignment::of(window));
    }

    /// A partition is to be taken away: what waits of it waits no more.
    pub(crate) fn begin_to_leave(&mut self, partition: Partition) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.is_leaving = true;
        }
    }

    /// How many messages of leaving partitions are in hand.
    pub(crate) fn leaving_count(&self) -> usize {
        self.partitions.values().filter(|known| known.is_leaving).map(|known| known.in_hand_count).sum()
    }

    /// A partition is no longer ours: what is in hand of it is lost.
    pub(crate) fn forget(&mut self, partition: Partition) {
        if self.partitions.remove(&partition).is_none() {
            return;
        }
        self.fresh.retain(|(place, _)| place.0 != partition);
        self.fresh_bytes = self.fresh.iter().map(|(_, bytes)| bytes).sum();
        self.returned.retain(|place| place.0 != partition);
        self.delayed.retain(|(_, place)| place.0 != partition);
        self.early.retain(|(_, place)| place.0 != partition);
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

    pub(crate) fn windows(&self) -> impl Iterator<Item = (Partition, &Window)> {
        self.partitions.iter().map(|(partition, known)| (*partition, &known.window))
    }

    pub(crate) fn window(&self, partition: Partition) -> Option<&Window> {
        self.partitions.get(&partition).map(|known| &known.window)
    }

    /// There is something to commit of a partition, again.
    pub(crate) fn soil(&mut self, partition: Partition) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            known.is_dirty = true;
        }
    }

    /// The windows of some partitions, or of all, of which there is something new to commit; from now
    /// on there is not.
    pub(crate) fn cleaned(&mut self, of: Option<&BTreeSet<Partition>>) -> impl Iterator<Item = (Partition, &Window)> {
        self.partitions.iter_mut().filter_map(move |(partition, known)| {
            let is_asked = of.is_none_or(|of| of.contains(partition));
            (is_asked && std::mem::take(&mut known.is_dirty)).then_some((*partition, &known.window))
        })
    }

    /// A record was read, to be handed out when it is time. Answers whether it is new and unsettled.
    pub(crate) fn add(&mut self, place: Place, record: Record, when: When, now: Moment) -> bool {
        let Some(known) = self.partitions.get_mut(&place.0) else { return false };
        let bytes = record.size_bytes();
        let is_new = known.window.add(place.1, record, now);
        if !is_new {
            known.is_dirty = true;
            return false;
        }
        match when {
            When::Now => {
                self.fresh.push_back((place, bytes));
                self.fresh_bytes += bytes;
            }
            When::At(due) => {
                self.early.insert((due, place));
            }
            When::Never => {}
        }
        true
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

    pub(crate) fn in_hand_count(&self, partition: Partition) -> usize {
        self.partitions.get(&partition).map_or(0, |known| known.in_hand_count)
    }

    /// Given back with a delay that has not passed.
    pub(crate) fn delayed_count(&self) -> usize {
        self.delayed.len()
    }

    /// When the next delay ends.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        [self.delayed.first(), self.early.first()].into_iter().flatten().map(|(due, _)| *due).min()
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
        while let Some((due, place)) = self.early.first().copied()
            && due <= now
        {
            self.early.pop_first();
            self.returned.insert(place);
        }
    }
}

#[cfg(test)]
mod tests;
