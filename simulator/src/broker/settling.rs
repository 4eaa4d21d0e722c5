//! What a settlement does to a queue.

use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::{Error, ErrorKind, ExtendOutcome, Moment, SettleOutcome, Settlement, Subscription, Token, Verdict};

use super::Broker;
use super::queue::Queue;
use super::state::State;

impl Broker {
    /// Settles one delivery of `member`.
    pub(super) fn settle(
        &self,
        state: &mut State,
        subscription: &Subscription,
        member: u64,
        settlement: Settlement,
    ) -> SettleOutcome {
        let now = self.seams.clock.now();
        let (token, verdict) = settlement.into_parts();
        let Some(queue) = state.queue_mut(subscription) else { return SettleOutcome::LeaseLost };
        queue.expire(now);
        let Some(place) = queue.find(member, token) else { return SettleOutcome::LeaseLost };
        match verdict {
            Verdict::Ack => self.ack(queue, place, member, now),
            Verdict::Nack { after } => {
                let after = match self.semantics.capability.nack_delay_max {
                    None => Duration::ZERO,
                    Some(max) if after > max => {
                        let text =
                            format!("a nack delay of {after:?} is longer than this broker keeps, which is {max:?}");
                        return SettleOutcome::Failed(Error::new(ErrorKind::Unsupported, "settle", text));
                    }
                    Some(_) => after,
                };
                queue.give_back(place, now + after);
            }
            Verdict::Reject { reason } => {
                if let Err(error) = self.bury(state, subscription, place, member, &reason, now) {
                    return SettleOutcome::Failed(error);
                }
            }
        }
        match self.semantics.capability.settle_confirmed {
            true => SettleOutcome::Settled,
            false => SettleOutcome::Sent,
        }
    }

    fn ack(&self, queue: &mut Queue, place: u64, member: u64, now: Moment) {
        let forgotten = queue.entries.get(&place).and_then(|entry| self.interference.forgotten_ack(&entry.message));
        match forgotten {
            Some(after) => queue.give_back(place, now + after),
            None => queue.consume(place, member, self.semantics.commits_prefix),
        }
    }

    fn bury(
        &self,
        state: &mut State,
        subscription: &Subscription,
        place: u64,
        member: u64,
        reason: &str,
        now: Moment,
    ) -> Result<(), Error> {
        let graves = subscription.destination().dead_letters().ok().filter(|graves| state.is_declared(graves));
        let Some(graves) = graves else {
            let text = "nothing keeps dead letters of this destination; ack the message, or nack it with a delay";
            return Err(Error::new(ErrorKind::Unsupported, "settle", text).with("subscription", subscription));
        };
        let Some(queue) = state.queue_mut(subscription) else { return Ok(()) };
        let Some(entry) = queue.entries.get(&place) else { return Ok(()) };
        let receive_count = self.semantics.capability.receive_count.then_some(entry.receive_count);
        let mut dead = entry.message.clone();
        let at = self.seams.clock.wall();
        dead_letter::mark(&mut dead, &Rejection { subscription, reason, receive_count, at });
        queue.consume(place, member, self.semantics.commits_prefix);
        state.bury(self, &graves, dead, now);
        Ok(())
    }

    /// Extends one lease of `member`.
    pub(super) fn extend(&self, queue: &mut Queue, member: u64, token: Token, by: Duration) -> ExtendOutcome {
        let now = self.seams.clock.now();
        let terms = self.semantics.capability.lease;
        queue.expire(now);
        let Some(place) = queue.find(member, token) else { return ExtendOutcome::LeaseLost };
        if terms.duration.is_none() || !terms.extendable {
            let text = "leases of this broker are not extended; settle in time";
            return ExtendOutcome::Failed(Error::new(ErrorKind::Unsupported, "extend", text));
        }
        let Some(hold) = queue.entries.get_mut(&place).and_then(|entry| entry.hold.as_mut()) else {
            return ExtendOutcome::LeaseLost;
        };
        let end = terms.total_max.map(|cap| hold.began + cap);
        if end.is_some() && hold.deadline == end {
            return ExtendOutcome::Capped;
        }
        let until = end.map_or(now + by, |end| end.min(now + by));
        hold.deadline = Some(until);
        queue.lost.notify_waiters();
        queue.moved.notify_waiters();
        ExtendOutcome::Until(until)
    }
}

impl Queue {
    /// A message is done with.
    pub(super) fn consume(&mut self, place: u64, member: u64, commits_prefix: bool) {
        let Some(began) = self.entries.get(&place).and_then(|entry| entry.hold).map(|hold| hold.began) else { return };
        self.give_back(place, began);
        if !commits_prefix {
            self.entries.remove(&place);
            return;
        }
        let Some(entry) = self.entries.get_mut(&place) else { return };
        entry.settled_by = Some(member);
        let partition = entry.partition;
        let of_partition = self.entries.iter().filter(|(_, entry)| entry.partition == partition);
        let prefix = of_partition.take_while(|(_, entry)| entry.settled_by.is_some());
        let committed: Vec<u64> = prefix.map(|(place, _)| *place).collect();
        for place in committed {
            self.entries.remove(&place);
        }
    }
}
