//! Broken promises that a service sees through its pipeline.

use std::time::Duration;

use async_trait::async_trait;
use bus::capability::LeaseTerms;
use bus::layer::{Layer, ReceiverLayer};
use bus::{
    Bus, Error, ErrorKind, ExtendOutcome, Message, MessageId, Outgoing, PublishOutcome, Receiver, SettleOutcome, Token,
    Verdict,
};
use bus_memory::MemoryOptions;
use bus_memory::options::LEASE;

use crate::breakage::Breakage;
use crate::layers::{Fate, Receivers, handing_out, settling};
use crate::order::SwallowsReleases;

breakages! {
    a_batch_turned_round
        breaks a_thousand_messages_over_16_keys_are_processed_in_order_per_key_eight_at_a_time
        by Breakage::by(|| TurnsRound);
    a_key_that_is_lost_on_its_way breaks no_message_of_a_key_starts_before_the_one_before_it_is_settled
        by handing_out(|forgery| {
            forgery.message = Message::new(forgery.message.id().clone(), forgery.message.body().clone());
        });
    an_id_made_anew_for_each_delivery breaks attempts_grow_by_handler_starts_only
        by handing_out(|forgery| {
            let id = format!("{}-{:?}", forgery.message.id(), forgery.receive_count);
            let id = MessageId::parse(&id).expect("a legal id");
            forgery.message = Message::new(id, forgery.message.body().clone());
        });
    a_rejected_message_that_is_dropped breaks a_rejected_message_is_dead_at_once
        by rejecting(|_| Verdict::Ack);
    a_reason_that_is_lost breaks a_rejected_message_is_dead_at_once
        by rejecting(|_| Verdict::Reject { reason: String::new() });
    a_failed_message_that_is_dropped breaks a_failing_message_is_dead_after_exactly_3_attempts_with_its_reason
        by rejecting(|_| Verdict::Ack);
    a_failing_message_that_is_retried_for_ever
        breaks a_failing_message_is_dead_after_exactly_3_attempts_with_its_reason
        by rejecting(|_| Verdict::Nack { after: Duration::from_secs(1) });
    a_retry_that_comes_early breaks a_retry_after_is_not_early
        by nacking(|after| after / 2);
    a_retry_that_is_lost breaks a_panic_is_a_failed_attempt
        by settling(|verdict| match verdict {
            Verdict::Nack { .. } => Fate::SentAnd(Verdict::Ack, SettleOutcome::Settled),
            verdict => Fate::Sent(verdict),
        });
    an_extension_that_always_fails breaks a_handler_that_outlives_its_lease_keeps_its_delivery
        by Breakage::by(|| Receivers(|| CannotExtend));
    a_lost_lease_that_nobody_tells
        breaks a_handler_whose_lease_is_lost_is_cancelled_and_its_message_comes_again
        by Breakage::by(|| Receivers(|| TellsNothing)).under(MemoryOptions {
            lease: LeaseTerms { duration: Some(LEASE), extendable: false, total_max: None },
            ..MemoryOptions::default()
        });
    an_unstarted_message_that_is_swallowed breaks a_dependency_that_is_down_burns_no_attempt
        by Breakage::by(|| Receivers(|| SwallowsReleases));
    an_unstarted_message_that_waits_for_its_lease
        breaks a_drain_lets_what_started_finish_and_gives_the_rest_back_at_once_and_unburned
        by Breakage::by(|| Receivers(|| SwallowsReleases));
}

/// What becomes of rejections.
fn rejecting(verdict: fn(String) -> Verdict) -> Breakage {
    settling(move |told| match told {
        Verdict::Reject { reason } => Fate::SentAnd(verdict(reason), SettleOutcome::Settled),
        told => Fate::Sent(told),
    })
}

/// What becomes of nack delays.
fn nacking(change: fn(Duration) -> Duration) -> Breakage {
    settling(move |told| match told {
        Verdict::Nack { after } => Fate::Sent(Verdict::Nack { after: change(after) }),
        told => Fate::Sent(told),
    })
}

/// Publishes each batch from its end.
#[derive(Debug)]
struct TurnsRound;

#[async_trait]
impl Layer for TurnsRound {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut outcomes = next.publish(batch.into_iter().rev().collect()).await;
        outcomes.reverse();
        outcomes
    }
}

struct CannotExtend;

#[async_trait]
impl ReceiverLayer for CannotExtend {
    async fn extend(&self, tokens: &[Token], _: Duration, _: &dyn Receiver) -> Vec<ExtendOutcome> {
        let failed = |_| ExtendOutcome::Failed(Error::new(ErrorKind::Unavailable, "extend", "not now"));
        tokens.iter().map(failed).collect()
    }
}

struct TellsNothing;

#[async_trait]
impl ReceiverLayer for TellsNothing {
    async fn lost(&self, _: &dyn Receiver) -> Vec<Token> {
        std::future::pending().await
    }
}
