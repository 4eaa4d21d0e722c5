//! From ready to in flight.

use std::sync::Arc;

use bus::{Delivery, Lease, Moment, Returns, Token};

use super::lanes::Step;
use super::leases::Entry;
use super::slot::{HandOut, Place};
use super::state::State;

/// The answer to one look for deliveries.
pub(crate) enum HandedOut {
    /// At least one was appended.
    Some,
    /// There is none now; look again when called, and at `timer`.
    None {
        /// When the next lease ends or delay passes.
        timer: Option<Moment>,
    },
    /// The receiver was stopped.
    Stopped,
}

impl State {
    /// Appends what `consumer` may have, at most `max`, in order.
    pub(super) fn hand_out(
        &mut self,
        consumer: u32,
        max: usize,
        now: Moment,
        returns: &Arc<dyn Returns>,
        into: &mut Vec<Delivery>,
    ) -> HandedOut {
        let receiver = &self.consumers[consumer as usize];
        if receiver.is_stopped {
            return HandedOut::Stopped;
        }
        if max == 0 {
            return HandedOut::Some;
        }
        let wanted = max.min(receiver.prefetch_count_max.saturating_sub(receiver.in_flight_count));
        let deadline = receiver.lease.map(|lease| now + lease);
        into.reserve(wanted.min(self.ready.count()));
        let before = into.len();
        while into.len() - before < wanted
            && let Some(next) = self.next_for(consumer)
        {
            into.push(self.lend(next, consumer, now, deadline, returns));
        }
        let count = into.len() - before;
        if count == 0 {
            let timer = self.timer();
            self.arrived.wait(timer);
            return HandedOut::None { timer };
        }
        self.consumers[consumer as usize].in_flight_count += count;
        self.in_flight_count += count;
        if let Some(deadline) = deadline {
            self.set_timer(deadline);
        }
        HandedOut::Some
    }

    /// The slot of the first ready message that order per key lets `consumer` have.
    fn next_for(&mut self, consumer: u32) -> Option<u32> {
        loop {
            let (sequence, slot) = self.take_ready()?;
            let (Some(lanes), Some(key)) = (&mut self.lanes, self.slots[slot as usize].lane.0) else {
                return Some(slot);
            };
            if let Step::HandOut(unparked) = lanes.meet(key, (sequence, slot), consumer) {
                if let Some((sequence, slot)) = unparked {
                    self.ready.put_back(sequence, slot);
                }
                return Some(slot);
            }
        }
    }

    fn lend(
        &mut self,
        slot: u32,
        consumer: u32,
        since: Moment,
        deadline: Option<Moment>,
        returns: &Arc<dyn Returns>,
    ) -> Delivery {
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        let is_regular = deadline.is_none_or(|deadline| self.leases.begin(Entry { deadline, slot, epoch }));
        let entry = &mut self.slots[slot as usize];
        entry.receive_count = entry.receive_count.saturating_add(1);
        entry.place = Place::InFlight(HandOut { epoch, consumer, is_irregular: !is_regular, since, deadline });
        Delivery::new(
            entry.message.clone(),
            token_of(self.number, slot, epoch),
            Lease { deadline },
            self.is_counting_receives.then_some(entry.receive_count),
            Arc::clone(returns),
        )
    }

    /// The slot a token names, if that delivery is still in flight.
    pub(super) fn find(&self, token: Token) -> Option<u32> {
        let (number, slot) = ((token.slot >> 32) as u32, token.slot as u32);
        let hand_out = self.slots.get(slot as usize).and_then(|slot| slot.hand_out());
        (number == self.number && hand_out.is_some_and(|found| found.epoch == token.epoch)).then_some(slot)
    }
}

/// The token of a hand-out: the queue's number in the upper half, so that it fits no other queue.
pub(super) fn token_of(number: u32, slot: u32, epoch: u64) -> Token {
    Token { slot: u64::from(number) << 32 | u64::from(slot), epoch }
}
