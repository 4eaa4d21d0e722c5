//! A bus behind the gate of a node: every call of its process may be late or the last.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{
    Bus, Declaration, Delivery, Depth, ExtendOutcome, Outgoing, PublishOutcome, Receiver, Result, SettleOutcome,
    Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};

use crate::gate::Gate;
use crate::node::Life;

/// `bus` as one life of a node sees it. Closing it does nothing: the broker outlives the process.
pub fn gated(bus: Arc<dyn Bus>, gate: &Gate, life: &Life) -> Arc<dyn Bus> {
    bus.layer(Gated { gate: gate.clone(), life: life.clone() })
}

#[derive(Clone, Debug)]
struct Gated {
    gate: Gate,
    life: Life,
}

#[async_trait]
impl Layer for Gated {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        self.gate.call(&self.life, "declare", "", next.declare(declarations)).await
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let id = batch.first().map(|outgoing| outgoing.message().id().to_string()).unwrap_or_default();
        self.gate.call(&self.life, "publish", &id, next.publish(batch)).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let subscribe = next.subscribe(subscription, options);
        let receiver = self.gate.call(&self.life, "subscribe", &subscription.to_string(), subscribe).await?;
        Ok(layered_receiver(receiver, self.clone()))
    }

    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        self.gate.call(&self.life, "depth", &subscription.to_string(), next.depth(subscription)).await
    }

    async fn purge(&self, subscription: &Subscription, next: &dyn Bus) -> Result<()> {
        self.gate.call(&self.life, "purge", &subscription.to_string(), next.purge(subscription)).await
    }

    async fn close(&self, _deadline: Duration, _next: &dyn Bus) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl ReceiverLayer for Gated {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut received = Vec::new();
        let answer = self.gate.call(&self.life, "receive", "", next.receive(max, &mut received)).await;
        received.iter().for_each(|delivery| self.gate.note_received(delivery.message()));
        into.append(&mut received);
        answer
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        self.gate.call(&self.life, "settle", "", next.settle(batch)).await
    }

    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        self.gate.call(&self.life, "extend", "", next.extend(tokens, by)).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        self.gate.call(&self.life, "release", "", next.release(unstarted)).await;
    }
}
