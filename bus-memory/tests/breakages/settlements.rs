//! Broken promises about batches of settlements, and about whose deliveries they are of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bus::capability::LeaseTerms;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, Delivery, Error, ErrorKind, Receiver, Result, SettleOutcome, Settlement, SubscribeOptions, Subscription,
    Token, Unsettled, Verdict,
};
use bus_memory::MemoryOptions;

use crate::breakage::Breakage;
use crate::layers::{Receivers, answering, settle_one};

breakages! {
    a_settlement_outcome_swallowed breaks settlements_are_answered_one_each_and_in_input_order
        by answering(|outcomes| outcomes.into_iter().filter(SettleOutcome::is_settled).collect());
    settlement_outcomes_out_of_order breaks settlements_are_answered_one_each_and_in_input_order
        by answering(|mut outcomes| {
            outcomes.sort_by_key(SettleOutcome::is_settled);
            outcomes
        });
    a_batch_answered_as_its_first breaks settlements_are_answered_one_each_and_in_input_order
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Settled).collect());
    an_ack_that_consumes_what_came_before breaks settling_out_of_order_consumes_exactly_what_was_acked
        by Breakage::by(|| Receivers(Watermark::default));
    a_failing_settlement_that_stops_its_batch breaks one_failing_settlement_of_a_batch_fails_alone
        by Breakage::by(|| Receivers(|| StopsAtTheFirstFailure));
    a_receiver_that_settles_for_others breaks a_receiver_settles_only_what_it_has
        by Breakage::by(Together::default);
    a_settlement_of_nothing_answered_settled breaks a_settlement_of_what_was_given_back_is_lease_lost
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Settled).collect());
    a_confirmation_withheld breaks settlements_are_confirmed
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Sent).collect());
    a_confirmation_made_up breaks settlements_are_answered_as_sent_where_the_protocol_has_no_answer
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Settled).collect())
            .under(MemoryOptions { settle_confirmed: false, ..MemoryOptions::default() });
    a_duty_taken_over_before_its_settlement_is_on_the_way breaks a_settle_call_that_is_dropped_strands_no_delivery
        by Breakage::by(|| Receivers(|| TakesItsTime)).under(MemoryOptions { lease: HELD, ..MemoryOptions::default() });
    a_release_that_waits_for_the_end_of_the_lease breaks released_deliveries_come_again_at_once
        by Breakage::by(|| Receivers(|| Releases(|unstarted| {
            unstarted.into_iter().for_each(|duty| { let _ = duty.discharge(); });
        })));
    a_release_that_counts breaks a_released_delivery_does_not_count_as_received
        by Breakage::by(|| Receivers(|| Releases(drop)));
    a_duty_taken_over_before_its_release_is_on_the_way breaks a_release_call_that_is_dropped_strands_no_delivery
        by Breakage::by(|| Receivers(|| ReleasesLater)).under(MemoryOptions { lease: HELD, ..MemoryOptions::default() });
    a_release_that_reverses breaks released_deliveries_of_a_key_come_again_in_order
        by Breakage::by(|| Receivers(Reverses::default));
}

/// Acks as a commit of offsets does: everything up to there.
#[derive(Default)]
struct Watermark(Mutex<BTreeMap<u64, Token>>);

#[async_trait]
impl ReceiverLayer for Watermark {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        next.receive(max, into).await?;
        let tokens = into.iter().map(|delivery| (delivery.token().epoch, delivery.token()));
        self.0.lock().expect("no panic").extend(tokens);
        Ok(())
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let last = batch.iter().map(|settlement| settlement.token().epoch).max().unwrap_or(0);
        let before = self.0.lock().expect("no panic").range(..last).map(|(_, token)| *token).collect::<Vec<_>>();
        let outcomes = next.settle(batch).await;
        for token in before {
            let _ = settle_one(next, token, Verdict::Ack).await;
        }
        outcomes
    }
}

struct StopsAtTheFirstFailure;

#[async_trait]
impl ReceiverLayer for StopsAtTheFirstFailure {
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let mut outcomes: Vec<SettleOutcome> = Vec::new();
        for settlement in batch {
            let is_broken = outcomes.iter().any(|outcome| !outcome.is_settled());
            let unsent = || SettleOutcome::Failed(Error::new(ErrorKind::Unexpected, "settle", "not sent"));
            outcomes.extend(if is_broken { vec![unsent()] } else { next.settle(vec![settlement]).await });
        }
        outcomes
    }
}

/// Until settled: where leases end, they hide the breakage.
const HELD: LeaseTerms = LeaseTerms { duration: None, extendable: false, total_max: None };

/// Has a batch in hand, and waits before it is sent.
struct TakesItsTime;

#[async_trait]
impl ReceiverLayer for TakesItsTime {
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let parts: Vec<(Token, Verdict)> = batch.into_iter().map(Settlement::into_parts).collect();
        tokio::task::yield_now().await;
        let mut outcomes = Vec::new();
        for (token, verdict) in parts {
            outcomes.push(settle_one(next, token, verdict).await);
        }
        outcomes
    }
}

/// All receivers settle as one.
#[derive(Default)]
struct Together(Arc<Mutex<Vec<Arc<dyn Receiver>>>>);

impl std::fmt::Debug for Together {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Together")
    }
}

#[async_trait]
impl Layer for Together {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        self.0.lock().expect("no panic").push(Arc::clone(&receiver));
        Ok(layered_receiver(receiver, OneOfAll(Arc::clone(&self.0))))
    }
}

struct OneOfAll(Arc<Mutex<Vec<Arc<dyn Receiver>>>>);

#[async_trait]
impl ReceiverLayer for OneOfAll {
    async fn settle(&self, batch: Vec<Settlement>, _: &dyn Receiver) -> Vec<SettleOutcome> {
        let all = self.0.lock().expect("no panic").clone();
        let mut outcomes = Vec::new();
        for (token, verdict) in batch.into_iter().map(Settlement::into_parts) {
            let mut outcome = SettleOutcome::LeaseLost;
            for receiver in &all {
                if matches!(outcome, SettleOutcome::LeaseLost) {
                    outcome = settle_one(receiver.as_ref(), token, verdict.clone()).await;
                }
            }
            outcomes.push(outcome);
        }
        outcomes
    }
}

/// Does something else with what was not started.
struct Releases(fn(Vec<Unsettled>));

#[async_trait]
impl ReceiverLayer for Releases {
    async fn release(&self, unstarted: Vec<Unsettled>, _: &dyn Receiver) {
        (self.0)(unstarted);
    }
}

/// Hands out what it gets backwards once something was released.
#[derive(Default)]
struct Reverses(AtomicBool);

#[async_trait]
impl ReceiverLayer for Reverses {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let before = into.len();
        next.receive(max, into).await?;
        if self.0.load(Ordering::SeqCst) {
            into[before..].reverse();
        }
        Ok(())
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        self.0.store(true, Ordering::SeqCst);
        next.release(unstarted).await;
    }
}

/// Has taken over what was not started, and waits before it goes back.
struct ReleasesLater;

#[async_trait]
impl ReceiverLayer for ReleasesLater {
    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        let tokens: Vec<Token> = unstarted.into_iter().map(Unsettled::discharge).collect();
        tokio::task::yield_now().await;
        for token in tokens {
            let _ = settle_one(next, token, Verdict::Nack { after: std::time::Duration::ZERO }).await;
        }
    }
}
