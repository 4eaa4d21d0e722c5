//! Broken promises about what an outage does to messages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::Layer;
use bus::{Bus, ClockExt, Error, ErrorKind, Outgoing, PublishOutcome, Receipt, Seams, SettleOutcome};

use crate::breakage::Breakage;
use crate::layers::{AnswersPublish, answering};
use crate::wire::Wire;

breakages! {
    an_unknown_message_reported_as_accepted
        breaks a_broker_killed_and_restarted_twice_under_load_loses_nothing_it_accepted
        by Breakage::by(|| AnswersPublish(never_unknown)).over(Wire::with);
    a_client_that_stays_down_when_its_broker_forgot
        breaks a_broker_killed_and_restarted_twice_under_load_loses_nothing_it_accepted
        by Breakage::by(StaysDown::default).over(Wire::forgetting);
    an_outage_answered_for_good breaks connections_cut_twice_under_load_lose_nothing_that_was_accepted
        by Breakage::by(|| AnswersPublish(|outcomes| outcomes.into_iter().map(for_good).collect())).over(Wire::with);
    a_message_lost_by_a_cut_and_reported_as_accepted
        breaks connections_cut_twice_under_load_lose_nothing_that_was_accepted
        by Breakage::by(|| AnswersPublish(never_unknown)).over(Wire::with);
    a_stalled_publish_given_up_and_reported_as_accepted
        breaks a_stall_under_load_loses_nothing_that_was_accepted
        by Breakage::timed(|seams| GivesUp(seams.clone())).over(Wire::with);
    a_client_that_stays_down breaks the_bus_recovers_by_itself_and_an_open_receiver_goes_on
        by Breakage::by(StaysDown::default).over(Wire::with);
    a_settlement_lost_by_a_cut_and_answered_settled breaks settlements_across_a_cut_are_answered_truly
        by answering(|outcomes| outcomes.iter().map(|_| SettleOutcome::Settled).collect()).over(Wire::with);
}

fn accepted() -> PublishOutcome {
    PublishOutcome::Accepted(Receipt::default())
}

fn never_unknown(outcomes: Vec<PublishOutcome>) -> Vec<PublishOutcome> {
    let told = |outcome| if matches!(outcome, PublishOutcome::Unknown(_)) { accepted() } else { outcome };
    outcomes.into_iter().map(told).collect()
}

fn for_good(outcome: PublishOutcome) -> PublishOutcome {
    match outcome {
        PublishOutcome::Refused(error) => PublishOutcome::Refused(error.retryable(false)),
        outcome => outcome,
    }
}

/// Connects no more once it was refused.
#[derive(Debug, Default)]
struct StaysDown(AtomicBool);

#[async_trait]
impl Layer for StaysDown {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let down = |_: &Outgoing| PublishOutcome::Refused(Error::new(ErrorKind::Unavailable, "publish", "down"));
        if self.0.load(Ordering::SeqCst) {
            return batch.iter().map(down).collect();
        }
        let outcomes = next.publish(batch).await;
        self.0.fetch_or(outcomes.iter().any(|outcome| !outcome.is_accepted()), Ordering::SeqCst);
        outcomes
    }
}

/// Takes a call without an answer within a second for a success.
#[derive(Debug)]
struct GivesUp(Seams);

#[async_trait]
impl Layer for GivesUp {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let count = batch.len();
        let outcomes = self.0.clock.timeout(Duration::from_secs(1), next.publish(batch)).await;
        outcomes.unwrap_or_else(|| (0..count).map(|_| accepted()).collect())
    }
}
