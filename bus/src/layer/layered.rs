//! A bus with one layer around it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Layer;
use crate::{
    Bus, BusState, Capability, Declaration, Depth, Outgoing, PublishOutcome, Receiver, Result, SubscribeOptions,
    Subscription,
};

#[derive(Debug)]
pub(super) struct Layered<L> {
    next: Arc<dyn Bus>,
    capability: Capability,
    layer: L,
}

impl<L: Layer> Layered<L> {
    pub(super) fn new(next: Arc<dyn Bus>, layer: L) -> Self {
        Self { capability: layer.capability(next.capability()), next, layer }
    }
}

#[async_trait]
impl<L: Layer> Bus for Layered<L> {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn state(&self) -> BusState {
        self.layer.state(self.next.as_ref())
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.layer.declare(declarations, self.next.as_ref()).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        self.layer.publish(batch, self.next.as_ref()).await
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        self.layer.subscribe(subscription, options, self.next.as_ref()).await
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.layer.depth(subscription, self.next.as_ref()).await
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        self.layer.purge(subscription, self.next.as_ref()).await
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        self.layer.close(deadline, self.next.as_ref()).await
    }
}
