//! What one receiver hands out and gets back, counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::metrics::counter::Counter;

use super::hand::Hand;
use crate::layer::ReceiverLayer;
use crate::metrics::{At, Metrics};
use crate::{
    Clock, Delivery, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, Subscription, Token, Unsettled,
    Verdict,
};

pub(super) struct MeteredReceiver {
    subscription: Subscription,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    hand: Arc<Hand>,
    consumed: Counter,
    leases_lost: Counter,
}

impl MeteredReceiver {
    pub(super) fn new(subscription: &Subscription, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        let (families, labels) = (metrics.families(), At::new(subscription, []));
        Self {
            subscription: subscription.clone(),
            hand: Arc::new(Hand::counted_by(families.in_flight.get_or_create_owned(&labels))),
            consumed: families.consumed.get_or_create_owned(&labels),
            leases_lost: families.leases_lost.get_or_create_owned(&labels),
            metrics,
            clock,
        }
    }

    pub(super) fn hand(&self) -> &Arc<Hand> {
        &self.hand
    }

    /// Leases of these deliveries are lost; each is counted once, however often that is told.
    fn lost(&self, tokens: impl IntoIterator<Item = Token>) {
        let was_held = self.hand.end(tokens);
        self.leases_lost.inc_by(was_held.iter().filter(|was_held| **was_held).count() as u64);
    }
}

#[async_trait]
impl ReceiverLayer for MeteredReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let arriving = Arriving { metered: self, first: into.len(), into };
        next.receive(max, &mut *arriving.into).await
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let was_held = self.hand.end(batch.iter().map(Settlement::token));
        let verdicts = batch.iter().map(|settlement| word_for(settlement.verdict()));
        let mut settling = Settling { metered: self, decided: verdicts.zip(was_held).collect() };
        let began = self.clock.now();
        let outcomes = next.settle(batch).await;
        self.metrics.took("settle", began, self.clock.now());
        settling.answered(&outcomes);
        outcomes
    }

    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        let began = self.clock.now();
        let outcomes = next.extend(tokens, by).await;
        self.metrics.took("extend", began, self.clock.now());
        let lost = tokens.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, ExtendOutcome::LeaseLost));
        self.lost(lost.map(|(token, _)| *token));
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        self.hand.end(unstarted.iter().map(Unsettled::token));
        next.release(unstarted).await;
    }

    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        let tokens = next.lost().await;
        MeteredReceiver::lost(self, tokens.iter().copied());
        tokens
    }

    async fn close(&self, next: &dyn Receiver) {
        next.close().await;
        self.hand.empty();
    }
}

impl Drop for MeteredReceiver {
    fn drop(&mut self) {
        self.hand.empty();
    }
}

/// Counts what a receive appended, also one that was dropped after it had.
struct Arriving<'a> {
    metered: &'a MeteredReceiver,
    first: usize,
    into: &'a mut Vec<Delivery>,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if let Some(arrived) = self.into.get_mut(self.first..).filter(|arrived| !arrived.is_empty()) {
            self.metered.consumed.inc_by(arrived.len() as u64);
            self.metered.hand.take(arrived);
        }
    }
}

/// Settlements without an answer yet; those that never get one were cancelled.
struct Settling<'a> {
    metered: &'a MeteredReceiver,
    /// Verdict, and whether the delivery was still in hand.
    decided: Vec<(&'static str, bool)>,
}

impl Settling<'_> {
    fn answered(&mut self, outcomes: &[SettleOutcome]) {
        let unanswered = std::iter::repeat("failed");
        let words = outcomes.iter().map(outcome_word).chain(unanswered);
        self.count(words);
    }

    fn count(&mut self, words: impl Iterator<Item = &'static str>) {
        let mut counts: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        let mut lost_count = 0;
        for ((verdict, was_held), outcome) in self.decided.drain(..).zip(words) {
            *counts.entry((verdict, outcome)).or_default() += 1;
            lost_count += u64::from(was_held && outcome == LEASE_LOST);
        }
        for ((verdict, outcome), count) in counts {
            let labels = At::new(&self.metered.subscription, [("verdict", verdict), ("outcome", outcome)]);
            self.metered.metrics.families().settlements.get_or_create(&labels).inc_by(count);
        }
        self.metered.leases_lost.inc_by(lost_count);
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.count(std::iter::repeat("cancelled"));
    }
}

const LEASE_LOST: &str = "lease_lost";

fn word_for(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ack => "ack",
        Verdict::Nack { .. } => "nack",
        Verdict::Reject { .. } => "reject",
    }
}

fn outcome_word(outcome: &SettleOutcome) -> &'static str {
    match outcome {
        SettleOutcome::Settled => "settled",
        SettleOutcome::Sent => "sent",
        SettleOutcome::LeaseLost => LEASE_LOST,
        SettleOutcome::Failed(_) => "failed",
    }
}
