//! Broken promises of publishing.

use async_trait::async_trait;
use bus::layer::Layer;
use bus::{Bus, Outgoing, PublishOutcome, Receipt};

use crate::breakage::Breakage;

breakages! {
    a_bad_message_answered_accepted breaks one_bad_message_of_a_batch_fails_alone_and_in_its_place
        by Breakage::bus(|| AllAccepted);
}

/// Answers every message with success.
#[derive(Debug)]
struct AllAccepted;

#[async_trait]
impl Layer for AllAccepted {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let outcomes = next.publish(batch).await;
        outcomes.iter().map(|_| PublishOutcome::Accepted(Receipt::default())).collect()
    }
}
