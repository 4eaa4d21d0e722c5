//! Publishing done wrong.

use async_trait::async_trait;
use bus::layer::Layer;
use bus::{Bus, Message, Outgoing, PublishOutcome, Receipt, Seams};

/// Whatever a publish came to, it is taken for accepted.
#[derive(Debug)]
pub(super) struct Forgetting;

#[async_trait]
impl Layer for Forgetting {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let outcomes = next.publish(batch).await;
        outcomes.into_iter().map(|_| PublishOutcome::Accepted(Receipt::default())).collect()
    }
}

/// Publishes again as another message what was not answered.
#[derive(Debug)]
pub(super) struct Renaming(pub(super) Seams);

impl Renaming {
    fn renamed(&self, outgoing: Outgoing) -> Outgoing {
        let (destination, message, delay) = outgoing.into_parts();
        let id = self.0.message_id(&message.id().to_string());
        let mut other = Message::new(id, message.body().clone()).with_headers(message.headers().clone());
        if let Some(key) = message.key() {
            other = other.with_key(key.clone());
        }
        if let Some(content_type) = message.content_type() {
            other = other.with_content_type(content_type.to_owned());
        }
        Outgoing::new(destination, other).delayed(delay)
    }
}

#[async_trait]
impl Layer for Renaming {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut outcomes = next.publish(batch.clone()).await;
        for (outgoing, outcome) in batch.into_iter().zip(&mut outcomes) {
            if let PublishOutcome::Unknown(_) = outcome
                && let Some(again) = next.publish(vec![self.renamed(outgoing)]).await.pop()
            {
                *outcome = again;
            }
        }
        outcomes
    }
}
