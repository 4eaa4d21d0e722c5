//! A bus whose calls pass the tripwire, and which learns of a death or does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Bus, BusState, Capability, Declaration, Delivery, Depth, ExtendOutcome, Outgoing, PublishOutcome, Receiver, Result,
    Returns, SettleOutcome, Settlement, SubscribeOptions, Subscription, Token, Unsettled, Verdict,
};

use super::{Life, Tripwire};

/// What the bus learns of the death of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The connection breaks: what the process held is delivered again at once, as over AMQP.
    Noticed,
    /// Nothing: what the process held is delivered again when its lease ends, as on SQS.
    Silent,
}

#[derive(Debug)]
pub(super) struct WiredBus {
    inner: Arc<dyn Bus>,
    life: Life,
    tripwire: Tripwire,
    death: Death,
}

impl WiredBus {
    pub(super) fn new(inner: Arc<dyn Bus>, life: Life, tripwire: Tripwire, death: Death) -> Self {
        Self { inner, life, tripwire, death }
    }
}

/// What one life holds of a subscription.
struct Holdings {
    inner: Arc<dyn Receiver>,
    life: Life,
    death: Death,
    unsettled: Mutex<BTreeMap<Token, Unsettled>>,
}

struct WiredReceiver {
    holdings: Arc<Holdings>,
    tripwire: Tripwire,
}

impl Holdings {
    fn unsettled(&self) -> MutexGuard<'_, BTreeMap<Token, Unsettled>> {
        self.unsettled.lock().expect("no test panics while it holds this")
    }

    /// The same delivery, whose real duty to settle stays here.
    fn keep(self: &Arc<Self>, delivery: Delivery) -> Delivery {
        let (token, lease, receive_count) = (delivery.token(), delivery.lease(), delivery.receive_count());
        let (message, unsettled) = delivery.split();
        self.unsettled().insert(token, unsettled);
        Delivery::new(message, token, lease, receive_count, Arc::clone(self) as _)
    }

    fn take(&self, token: Token) -> Unsettled {
        self.unsettled().remove(&token).expect("handed out by this receiver and not settled before")
    }
}

impl Returns for Holdings {
    fn give_back(&self, token: Token) {
        if self.death == Death::Noticed || !self.life.is_over() {
            let given_back = self.unsettled().remove(&token);
            drop(given_back);
        }
    }
}

impl Drop for Holdings {
    /// Of a silent death the bus learns nothing: neither the receiver nor what it held is given back.
    fn drop(&mut self) {
        if self.death == Death::Silent && self.life.is_over() {
            std::mem::forget(std::mem::take(&mut *self.unsettled()));
            std::mem::forget(Arc::clone(&self.inner));
        }
    }
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
        let holdings = Holdings { inner, life: self.life.clone(), death: self.death, unsettled: Mutex::default() };
        Ok(Arc::new(WiredReceiver { holdings: Arc::new(holdings), tripwire: self.tripwire.clone() }))
    }

    async fn depth(&self, subscription: &Subscription) -> Result<Depth> {
        self.tripwire.call("bus depth", &self.life, self.inner.depth(subscription)).await
    }

    async fn purge(&self, subscription: &Subscription) -> Result<()> {
        self.tripwire.call("bus purge", &self.life, self.inner.purge(subscription)).await
    }

    /// The bus belongs to the world, not to one of its services.
    async fn close(&self, _deadline: Duration) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Receiver for WiredReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        let Self { holdings, tripwire } = self;
        let receive = async {
            let mut received = Vec::new();
            let result = holdings.inner.receive(max, &mut received).await;
            (result, received.into_iter().map(|delivery| holdings.keep(delivery)).collect::<Vec<_>>())
        };
        let (result, received) = tripwire.call("bus receive", &holdings.life, receive).await;
        into.extend(received);
        result
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        let Self { holdings, tripwire } = self;
        let settle = async {
            let real = batch.into_iter().map(|settlement| {
                let (token, verdict) = settlement.into_parts();
                let unsettled = holdings.take(token);
                match verdict {
                    Verdict::Ack => unsettled.ack(),
                    Verdict::Nack { after } => unsettled.nack(after),
                    Verdict::Reject { reason } => unsettled.reject(reason),
                }
            });
            holdings.inner.settle(real.collect()).await
        };
        tripwire.call("bus settle", &holdings.life, settle).await
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        let Self { holdings, tripwire } = self;
        tripwire.call("bus extend", &holdings.life, holdings.inner.extend(tokens, by)).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        let Self { holdings, tripwire } = self;
        let release = async {
            let real = unstarted.into_iter().map(|unsettled| holdings.take(unsettled.discharge()));
            holdings.inner.release(real.collect()).await;
        };
        tripwire.call("bus release", &holdings.life, release).await;
    }

    async fn lost(&self) -> Vec<Token> {
        self.holdings.inner.lost().await
    }

    fn stop(&self) {
        self.holdings.inner.stop();
    }

    async fn close(&self) {
        self.holdings.inner.close().await;
    }
}
