//! What a queue knows, and how messages enter it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus::capability::{LeaseTerms, Order};
use bus::{Depth, Message, Moment, SubscribeOptions, Token};
use slab::Slab;

use super::incoming::{Batch, Incoming};
use super::lanes::Lanes;
use super::leases::{Entry, Leases};
use super::ready::Ready;
use super::slot::{LaneKey, Place, Slot};
use super::watch::Watch;
use crate::MemoryOptions;
use crate::ledger::Row;

/// A message about to enter a queue.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) message: Message,
    pub(crate) bytes: usize,
    pub(crate) lane: LaneKey,
    pub(crate) delay: Duration,
    pub(crate) row: Row,
}

/// One receiver, as the queue sees it.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) prefetch_count_max: usize,
    pub(super) lease: Option<Duration>,
    pub(super) in_flight_count: usize,
    pub(super) is_stopped: bool,
    /// Leases that ended and were not reported yet.
    pub(super) lost: Vec<Token>,
}

/// Everything behind the queue's mutex.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) number: u32,
    pub(super) terms: LeaseTerms,
    pub(super) nack_delay_max: Option<Duration>,
    pub(super) is_counting_receives: bool,
    pub(super) is_uncounting_releases: bool,
    /// Messages that somebody has looked at.
    pub(super) slots: Slab<Slot>,
    pub(super) ready: Ready,
    /// Published with a delay, by the moment they are due and then as accepted.
    pub(super) delayed: BTreeMap<(Moment, u64), Draft>,
    /// Counts delayed messages.
    delayed_number: u64,
    /// Given back with a delay: due, sequence and slot.
    pub(super) away: BTreeSet<(Moment, u64, u32)>,
    /// `None`: this bus keeps no order per key.
    pub(super) lanes: Option<Lanes>,
    pub(super) leases: Leases,
    pub(super) consumers: Slab<Consumer>,
    pub(super) in_flight_count: usize,
    /// Memory for batches on their way in; empty in between.
    batches: Vec<Batch>,
    last_sequence: u64,
    pub(super) last_epoch: u64,
    pub(super) is_closed: bool,
    pub(super) arrived: Watch,
    pub(super) expired: Watch,
}

impl State {
    pub(super) fn new(number: u32, options: &MemoryOptions) -> Self {
        Self {
            number,
            terms: options.lease,
            nack_delay_max: options.nack_delay_max,
            is_counting_receives: options.receive_count,
            is_uncounting_releases: options.release_uncounted,
            slots: Slab::new(),
            ready: Ready::default(),
            delayed: BTreeMap::new(),
            delayed_number: 0,
            away: BTreeSet::new(),
            lanes: (options.order == Order::PerKey).then(Lanes::default),
            leases: Leases::default(),
            consumers: Slab::new(),
            in_flight_count: 0,
            batches: Vec::new(),
            last_sequence: 0,
            last_epoch: 0,
            is_closed: false,
            arrived: Watch::default(),
            expired: Watch::default(),
        }
    }

    /// Adds a receiver and answers its number; `None` once closed.
    pub(crate) fn subscribe(&mut self, options: SubscribeOptions) -> Option<u32> {
        if self.is_closed {
            return None;
        }
        let lease = self.terms.duration.map(|own| options.lease.unwrap_or(own));
        let consumer = self.consumers.insert(Consumer {
            prefetch_count_max: options.prefetch_count_max,
            lease: lease.map(|lease| self.terms.total_max.map_or(lease, |max| lease.min(max))),
            in_flight_count: 0,
            is_stopped: false,
            lost: Vec::new(),
        });
        Some(index(consumer))
    }

    /// Gives the accepted messages that wait in `incoming` their place.
    pub(super) fn sort_in(&mut self, incoming: &Incoming) {
        let mut batches = std::mem::take(&mut self.batches);
        incoming.swap(&mut batches);
        if !batches.is_empty() {
            self.arrived.call();
        }
        for Batch { drafts, accepted_at } in batches.drain(..) {
            match accepted_at {
                None => self.ready.append(drafts),
                Some(accepted_at) => self.sort_in_delayed(drafts, accepted_at),
            }
        }
        self.batches = batches;
    }

    fn sort_in_delayed(&mut self, drafts: Vec<Draft>, accepted_at: Moment) {
        let (delayed, ready): (Vec<Draft>, Vec<Draft>) = drafts.into_iter().partition(|draft| !draft.delay.is_zero());
        self.ready.append(ready);
        for draft in delayed {
            let due = accepted_at + draft.delay;
            self.delayed_number += 1;
            self.delayed.insert((due, self.delayed_number), draft);
            self.set_timer(due);
        }
    }

    /// Takes the first message that is ready, as sequence and slot.
    pub(super) fn take_ready(&mut self) -> Option<(u64, u32)> {
        let returned = self.ready.pop_returned();
        if returned.is_some() {
            return returned;
        }
        let Draft { message, bytes, lane, row, .. } = self.ready.pop_fresh()?;
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        let slot = Slot { message, bytes, sequence, lane, row, place: Place::Ready, receive_count: 0 };
        Some((sequence, index(self.slots.insert(slot))))
    }

    /// Keeps a message back that was given back with a delay.
    pub(super) fn keep_away(&mut self, due: Moment, sequence: u64, slot: u32) {
        self.slots[slot as usize].place = Place::Away;
        self.away.insert((due, sequence, slot));
        self.set_timer(due);
    }

    /// Tells those who wait of a deadline that may be earlier than their timers.
    pub(super) fn set_timer(&mut self, deadline: Moment) {
        self.arrived.deadline(deadline);
        self.expired.deadline(deadline);
    }

    /// Carries out what is due: leases end, delays pass.
    pub(super) fn advance(&mut self, now: Moment) {
        while let Some(lease) = self.first_lease().filter(|lease| lease.deadline <= now) {
            self.expire(lease.slot);
        }
        while let Some((due, sequence, slot)) = self.away.first().copied()
            && due <= now
        {
            self.away.pop_first();
            self.come_back(sequence, slot);
        }
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            // It takes its place in the order now.
            self.ready.append(vec![first.remove()]);
            self.arrived.call();
        }
    }

    fn come_back(&mut self, sequence: u64, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.place = Place::Ready;
        if let (Some(lanes), Some(key)) = (&mut self.lanes, entry.lane.0) {
            lanes.come_back(key, sequence);
        }
        self.ready.put_back(sequence, slot);
        self.arrived.call();
    }

    /// The first moment at which something is due.
    pub(super) fn timer(&mut self) -> Option<Moment> {
        let lease = self.first_lease().map(|lease| lease.deadline);
        let away = self.away.first().map(|(due, _, _)| *due);
        let delayed = self.delayed.first_key_value().map(|((due, _), _)| *due);
        [lease, away, delayed].into_iter().flatten().min()
    }

    fn first_lease(&mut self) -> Option<Entry> {
        let slots = &self.slots;
        self.leases.first(|entry| is_held(slots, entry))
    }

    pub(super) fn tidy_leases(&mut self) {
        let slots = &self.slots;
        self.leases.tidy(self.in_flight_count, |entry| is_held(slots, entry));
    }

    /// Where the messages are, as of the last [`advance`](Self::advance).
    pub(super) fn depth(&self) -> Depth {
        let (away_count, in_flight_count) = (self.away.len(), self.in_flight_count);
        Depth {
            ready_count: self.ready.fresh_count() + self.slots.len() - away_count - in_flight_count,
            delayed_count: self.delayed.len() + away_count,
            in_flight_count,
        }
    }
}

fn is_held(slots: &Slab<Slot>, lease: &Entry) -> bool {
    slots.get(lease.slot as usize).is_some_and(|slot| slot.is_leased(lease.epoch, lease.deadline))
}

/// Slots and receivers are numbered in 32 bits, to keep lists of them small.
fn index(index: usize) -> u32 {
    u32::try_from(index).expect("the room of a queue is far below 2^32 messages")
}
