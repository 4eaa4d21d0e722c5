//! From in flight back to ready: leases that ended, deliveries given back, receivers that left.

use bus::{Moment, Token};

use super::hand_out::token_of;
use super::leases::Entry;
use super::slot::{HandOut, Place};
use super::state::State;

/// The most lost leases kept for a receiver that never asks for them.
const LOST_COUNT_MAX: usize = 65_536;

impl State {
    /// A delivery was dropped: it is visible again, and counts as received.
    pub(super) fn give_back(&mut self, token: Token) {
        if let Some(slot) = self.find(token) {
            self.return_now(slot);
        }
    }

    /// Deliveries whose handler never started: visible again, not counted as received.
    pub(crate) fn release(&mut self, consumer: u32, tokens: impl IntoIterator<Item = Token>) {
        for token in tokens {
            if let Some(slot) = self.find_of(consumer, token) {
                let entry = &mut self.slots[slot as usize];
                entry.receive_count -= u32::from(self.is_uncounting_releases);
                self.return_now(slot);
            }
        }
    }

    /// The slot of a token, if `consumer` has that delivery.
    pub(super) fn find_of(&self, consumer: u32, token: Token) -> Option<u32> {
        let slot = self.find(token)?;
        self.slots[slot as usize].hand_out().is_some_and(|found| found.consumer == consumer).then_some(slot)
    }

    pub(super) fn expire(&mut self, slot: u32) {
        self.report_lost(slot);
        self.return_now(slot);
    }

    /// Puts a message in flight back at its place.
    pub(super) fn return_now(&mut self, slot: u32) {
        let sequence = self.slots[slot as usize].sequence;
        self.end_hand_out(slot, None);
        self.slots[slot as usize].place = Place::Ready;
        self.ready.put_back(sequence, slot);
        self.arrived.call();
    }

    /// Keeps a message in flight back until `due`; later ones of its key wait behind it.
    pub(super) fn return_later(&mut self, slot: u32, due: Moment) {
        let sequence = self.slots[slot as usize].sequence;
        self.end_hand_out(slot, Some(sequence));
        self.keep_away(due, sequence, slot);
    }

    /// Forgets who has a message; the caller says where it is next.
    pub(super) fn end_hand_out(&mut self, slot: u32, away: Option<u64>) {
        let entry = &self.slots[slot as usize];
        let HandOut { epoch, consumer, is_irregular, deadline, .. } =
            *entry.hand_out().expect("callers found it in flight");
        if let (true, Some(deadline)) = (is_irregular, deadline) {
            self.leases.end_irregular(&Entry { deadline, slot, epoch });
        }
        if let (Some(lanes), Some(key)) = (&mut self.lanes, entry.lane.0)
            && let Some((sequence, unparked)) = lanes.end(key, away)
        {
            self.ready.put_back(sequence, unparked);
            self.arrived.call();
        }
        self.in_flight_count -= 1;
        let receiver = &mut self.consumers[consumer as usize];
        receiver.in_flight_count -= 1;
        if receiver.in_flight_count + 1 >= receiver.prefetch_count_max {
            // It had all it may have, and can have more now.
            self.arrived.call();
        }
    }

    /// Takes the lost leases of a receiver, or says when to look again.
    pub(super) fn take_lost(&mut self, consumer: u32) -> (Vec<Token>, Option<Moment>) {
        let lost = std::mem::take(&mut self.consumers[consumer as usize].lost);
        let timer = self.timer();
        if lost.is_empty() {
            self.expired.wait(timer);
        }
        (lost, timer)
    }

    fn report_lost(&mut self, slot: u32) {
        let HandOut { epoch, consumer, .. } =
            *self.slots[slot as usize].hand_out().expect("callers found it in flight");
        let lost = &mut self.consumers[consumer as usize].lost;
        if lost.len() < LOST_COUNT_MAX {
            lost.push(token_of(self.number, slot, epoch));
        }
        self.expired.call();
    }

    /// No more deliveries for a receiver.
    pub(crate) fn stop(&mut self, consumer: u32) {
        self.consumers[consumer as usize].is_stopped = true;
        self.arrived.call();
    }

    /// Stops a receiver and takes back what it has; that is reported to it as lost.
    pub(crate) fn close(&mut self, consumer: u32) {
        self.stop(consumer);
        if self.consumers[consumer as usize].in_flight_count == 0 {
            return;
        }
        // By epoch, which is the order of hand-out: slots are numbered by accident.
        let held = self.slots.iter().filter_map(|(slot, entry)| {
            entry.hand_out().filter(|found| found.consumer == consumer).map(|found| (found.epoch, slot))
        });
        let mut held: Vec<(u64, usize)> = held.collect();
        held.sort_unstable();
        for (_, slot) in held {
            self.expire(u32::try_from(slot).expect("slots are numbered in 32 bits"));
        }
    }

    /// Closes every receiver; there will be no other.
    pub(crate) fn close_all(&mut self) {
        self.is_closed = true;
        let consumers: Vec<usize> = self.consumers.iter().map(|(consumer, _)| consumer).collect();
        for consumer in consumers {
            self.close(u32::try_from(consumer).expect("receivers are numbered in 32 bits"));
        }
    }

    /// A receiver is gone.
    pub(crate) fn unsubscribe(&mut self, consumer: u32) {
        self.close(consumer);
        self.consumers.remove(consumer as usize);
    }
}
