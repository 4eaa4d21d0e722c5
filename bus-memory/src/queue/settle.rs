//! From in flight to gone, and longer in flight.

use bus::{ExtendOutcome, Message, Moment, SettleOutcome, Settlement, Subscription, Token, Verdict};
use std::time::Duration;

use super::leases::Entry;
use super::room::Load;
use super::slot::{Place, Slot};
use super::state::State;
use crate::ledger::Row;
use crate::refusal;

/// What a batch of settlements did to the queue, and what is left to do outside its lock.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// In input order; buried ones are `Settled` as far as the queue goes.
    pub(crate) outcomes: Vec<SettleOutcome>,
    /// Rows of the ledger that are not needed any more.
    pub(crate) spent: Vec<Row>,
    /// Acked messages, to be freed outside the lock.
    pub(crate) acked: Vec<Message>,
    /// Messages that left for the dead letters.
    pub(crate) buried: Vec<Buried>,
    /// What they took.
    pub(crate) freed: Load,
}

/// A message on its way to the dead letters.
#[derive(Debug)]
pub(crate) struct Buried {
    /// Its place in the batch.
    pub(crate) index: usize,
    pub(crate) message: Message,
    pub(crate) row: Row,
    pub(crate) reason: String,
    pub(crate) receive_count: Option<u32>,
}

/// Where rejected messages may go.
pub(crate) enum Graves {
    /// The destination has no dead letters.
    None,
    /// There is room reserved for this many.
    Room(usize),
}

impl State {
    pub(crate) fn settle(
        &mut self,
        consumer: u32,
        batch: Vec<Settlement>,
        now: Moment,
        mut graves: Graves,
        subscription: &Subscription,
    ) -> Settled {
        let mut settled = Settled {
            outcomes: Vec::with_capacity(batch.len()),
            acked: Vec::with_capacity(batch.len()),
            ..Settled::default()
        };
        for (index, settlement) in batch.into_iter().enumerate() {
            let (token, verdict) = settlement.into_parts();
            let outcome = match (self.find_of(consumer, token), verdict) {
                (None, _) => SettleOutcome::LeaseLost,
                (Some(slot), Verdict::Ack) => {
                    let slot = self.remove(slot, &mut settled.freed);
                    if slot.row != Row::default() {
                        settled.spent.push(slot.row);
                    }
                    settled.acked.push(slot.message);
                    SettleOutcome::Settled
                }
                (Some(slot), Verdict::Nack { after }) => self.nack(slot, after, now),
                (Some(slot), Verdict::Reject { reason }) => match &mut graves {
                    Graves::None => SettleOutcome::Failed(refusal::no_dead_letters(subscription)),
                    Graves::Room(0) => SettleOutcome::Failed(refusal::dead_letters_full(subscription)),
                    Graves::Room(count) => {
                        *count -= 1;
                        let Slot { message, row, receive_count, .. } = self.remove(slot, &mut settled.freed);
                        let receive_count = self.is_counting_receives.then_some(receive_count);
                        settled.buried.push(Buried { index, message, row, reason, receive_count });
                        SettleOutcome::Settled
                    }
                },
            };
            settled.outcomes.push(outcome);
        }
        self.tidy_leases();
        settled
    }

    fn remove(&mut self, slot: u32, freed: &mut Load) -> Slot {
        self.end_hand_out(slot, None);
        let slot = self.slots.remove(slot as usize);
        *freed += Load::one(slot.bytes);
        slot
    }

    fn nack(&mut self, slot: u32, after: Duration, now: Moment) -> SettleOutcome {
        match self.nack_delay_max {
            Some(max) if after > max => return SettleOutcome::Failed(refusal::nack_delay_refused(after, max)),
            Some(_) if !after.is_zero() => self.return_later(slot, now + after),
            Some(_) | None => self.return_now(slot),
        }
        SettleOutcome::Settled
    }

    pub(crate) fn extend(&mut self, consumer: u32, tokens: &[Token], by: Duration, now: Moment) -> Vec<ExtendOutcome> {
        tokens.iter().map(|token| self.extend_one(consumer, *token, by, now)).collect()
    }

    fn extend_one(&mut self, consumer: u32, token: Token, by: Duration, now: Moment) -> ExtendOutcome {
        let Some(slot) = self.find_of(consumer, token) else { return ExtendOutcome::LeaseLost };
        let (terms, entry) = (self.terms, &mut self.slots[slot as usize]);
        let (Place::InFlight(hand_out), true) = (&mut entry.place, terms.extendable) else {
            return ExtendOutcome::Failed(refusal::extension_unsupported());
        };
        // Held until settled: there is nothing to extend.
        let Some(old) = hand_out.deadline else {
            return ExtendOutcome::Failed(refusal::extension_unsupported());
        };
        let cap = terms.total_max.map(|max| hand_out.since + max);
        let deadline = cap.map_or(now + by, |cap| cap.min(now + by));
        if cap == Some(old) && deadline == old {
            return ExtendOutcome::Capped;
        }
        if hand_out.is_irregular {
            self.leases.end_irregular(&Entry { deadline: old, slot, epoch: token.epoch });
        }
        hand_out.deadline = Some(deadline);
        hand_out.is_irregular = true;
        self.leases.extend(Entry { deadline, slot, epoch: token.epoch });
        self.set_timer(deadline);
        ExtendOutcome::Until(deadline)
    }
}
