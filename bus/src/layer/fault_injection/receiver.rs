//! Faults of receiving and settling.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::dice::Dice;
use super::injected;
use crate::capability::LeaseTerms;
use crate::layer::ReceiverLayer;
use crate::{Delivery, ErrorKind, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, Subscription, Token};

/// Deliveries remembered by message id; the oldest is forgotten first.
const REMEMBERED_COUNT_MAX: usize = 65_536;

/// Part of a lease after which one that is cut ends, at most.
const CUT_SHARE: u32 = 10;

pub(super) struct Faulty {
    dice: Arc<Dice>,
    subscription: String,
    terms: LeaseTerms,
    /// The message ids of deliveries in hand, by epoch and slot: what a draw about a settlement is for.
    ids: Mutex<BTreeMap<(u64, u64), String>>,
}

impl Faulty {
    pub(super) fn new(dice: Arc<Dice>, subscription: &Subscription, terms: LeaseTerms) -> Self {
        Self { dice, subscription: subscription.to_string(), terms, ids: Mutex::default() }
    }

    fn with<R>(&self, work: impl FnOnce(&mut BTreeMap<(u64, u64), String>) -> R) -> R {
        work(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remember(&self, delivery: &Delivery) {
        let token = delivery.token();
        self.with(|ids| {
            if ids.len() >= REMEMBERED_COUNT_MAX {
                ids.pop_first();
            }
            ids.insert((token.epoch, token.slot), delivery.message().id().to_string());
        });
    }

    /// The message id of a delivery that ends.
    fn recall(&self, token: Token) -> String {
        self.with(|ids| ids.remove(&(token.epoch, token.slot))).unwrap_or_else(|| self.subscription.clone())
    }

    /// Lets the leases of some deliveries end early.
    async fn cut(&self, deliveries: &[Delivery], next: &dyn Receiver) {
        if !self.terms.extendable {
            return;
        }
        for delivery in deliveries {
            let Some(deadline) = delivery.lease().deadline else { continue };
            let identity = delivery.message().id().to_string();
            if !self.dice.fires(self.dice.faults.lease_cut_per_mille, "fault: lease cut", &identity) {
                continue;
            }
            let share = deadline.since(self.dice.chance.now()) / CUT_SHARE;
            let rest = self.dice.chance.span(share, "fault: lease cut", &identity).max(Duration::from_millis(1));
            let outcomes = next.extend(&[delivery.token()], rest).await;
            if matches!(outcomes.first(), Some(ExtendOutcome::Until(_))) {
                self.dice.report.note(|counts| counts.lease_cut_count += 1);
            }
        }
    }

    /// A settlement that never reaches the bus.
    fn lose(&self, settlement: Settlement) -> SettleOutcome {
        self.dice.report.note(|counts| counts.settle_lost_count += 1);
        if self.terms.duration.is_some() {
            // Not given back: the bus waits for the lease to end.
            let _ = settlement.into_parts();
        }
        SettleOutcome::Failed(injected(ErrorKind::Unavailable, "settle", "the settlement is lost"))
    }
}

#[async_trait]
impl ReceiverLayer for Faulty {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let dice = &self.dice;
        dice.dawdle("fault: slow receive", &self.subscription).await;
        if dice.fires(dice.faults.receive_failed_per_mille, "fault: receive failed", &self.subscription) {
            dice.report.note(|counts| counts.receive_failed_count += 1);
            return Err(injected(ErrorKind::Unavailable, "receive", "no connection"));
        }
        let mut fresh = Vec::new();
        let received = next.receive(max, &mut fresh).await;
        self.cut(&fresh, next).await;
        fresh.iter().for_each(|delivery| self.remember(delivery));
        into.append(&mut fresh);
        received
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let (dice, faults) = (&self.dice, &self.dice.faults);
        let count = batch.len();
        let identities: Vec<String> = batch.iter().map(|settlement| self.recall(settlement.token())).collect();
        if let Some(first) = identities.first() {
            dice.dawdle("fault: slow settle", first).await;
        }
        let mut lost = Vec::with_capacity(count);
        let mut sent = Vec::with_capacity(count);
        for (settlement, identity) in batch.into_iter().zip(&identities) {
            if dice.fires(faults.settle_lost_per_mille, "fault: settle lost", identity) {
                lost.push(Some(self.lose(settlement)));
            } else {
                lost.push(None);
                sent.push(settlement);
            }
        }
        let mut answers = next.settle(sent).await.into_iter();
        let outcomes = lost.into_iter().zip(&identities).filter_map(|(lost, identity)| {
            if lost.is_some() {
                return lost;
            }
            let answer = answers.next()?;
            let per_mille = faults.settle_answer_lost_per_mille;
            if answer.is_settled() && dice.fires(per_mille, "fault: settle answer lost", identity) {
                dice.report.note(|counts| counts.settle_answer_lost_count += 1);
                let error = injected(ErrorKind::Timeout, "settle", "the answer is lost");
                return Some(SettleOutcome::Failed(error));
            }
            Some(answer)
        });
        outcomes.collect()
    }
}
