//! A bus whose calls pass the tripwire. Dropping its receiver is the broken connection of a dead
//! process: the bus takes back what the process held.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Bus, BusState, Capability, Declaration, Delivery, ExtendOutcome, Outgoing, PublishOutcome, Receiver, Result,
    SettleOutcome, Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};

use super::{Life, Tripwire};

#[derive(Debug)]
pub(super) struct WiredBus {
    pub(super) inner: Arc<dyn Bus>,
    pub(super) life: Life,
    pub(super) tripwire: Tripwire,
}

struct WiredReceiver {
    inner: Arc<dyn Receiver>,
    life: Life,
    tripwire: Tripwire,
}

#[async_trait]
impl Bus for WiredBus {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn state(&self) -> BusState {
        self.inner.state()
    }

    async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        self.tripwire.call("bus declare", &self.life, self.inner.declare(declarations)).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
        self.tripwire.call("bus publish", &self.life, self.inner.publish(batch)).await
    }

    async fn subscribe(&self, subscription: &Subscription, options: SubscribeOptions) -> Result<Arc<dyn Receiver>> {
        let subscribe = self.inner.subscribe(subscription, options);
        let inner = self.tripwire.call("bus subscribe", &self.life, subscribe).await?;
        Ok(Arc::new(WiredReceiver { inner, life: self.life.clone(), tripwire: self.tripwire.clone() }))
    }

    /// The bus belongs to the world, not to one of its services.
    async fn close(&self, _deadline: Duration) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Receiver for WiredReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.tripwire.call("bus receive", &self.life, self.inner.receive(max, into)).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        self.tripwire.call("bus settle", &self.life, self.inner.settle(batch)).await
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        self.tripwire.call("bus extend", &self.life, self.inner.extend(tokens, by)).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        self.tripwire.call("bus release", &self.life, self.inner.release(unstarted)).await;
    }

    async fn lost(&self) -> Vec<Token> {
        self.inner.lost().await
    }

    fn stop(&self) {
        self.inner.stop();
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
