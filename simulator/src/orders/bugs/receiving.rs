//! Settling done wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bus::dead_letter::{self, Rejection};
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, Delivery, Message, Outgoing, Receiver, Result, Returns, SettleOutcome, Settlement, SubscribeOptions,
    Subscription, Token, Unsettled, Verdict,
};

/// When what should not be is acknowledged.
#[derive(Clone, Debug)]
pub(super) enum Receiving {
    AtOnce,
    Instead,
    BeforeSending(Arc<dyn Bus>),
}

struct Wrong {
    how: Receiving,
    subscription: Subscription,
    /// What is out, for who sends it on.
    out: Mutex<BTreeMap<Token, Message>>,
}

#[async_trait]
impl Layer for Receiving {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let receiver = next.subscribe(subscription, options).await?;
        let wrong = Wrong { how: self.clone(), subscription: subscription.clone(), out: Mutex::default() };
        Ok(layered_receiver(receiver, wrong))
    }
}

/// Takes nothing back: the broker has forgotten it already.
struct Nobody;

impl Returns for Nobody {
    fn give_back(&self, _token: Token) {}
}

impl Wrong {
    fn is_at_once(&self) -> bool {
        matches!(self.how, Receiving::AtOnce)
    }

    fn forget(&self, token: Token) -> Option<Message> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&token)
    }
}

#[async_trait]
impl ReceiverLayer for Wrong {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut received = Vec::new();
        next.receive(max, &mut received).await?;
        for delivery in received {
            let (token, message) = (delivery.token(), delivery.message().clone());
            self.out.lock().unwrap_or_else(PoisonError::into_inner).insert(token, message.clone());
            if self.is_at_once() {
                let (lease, count) = (delivery.lease(), delivery.receive_count());
                drop(next.settle(vec![delivery.ack()]).await);
                into.push(Delivery::new(message, token, lease, count, Arc::new(Nobody)));
            } else {
                into.push(delivery);
            }
        }
        Ok(())
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for settlement in batch {
            let message = self.forget(settlement.token());
            if self.is_at_once() {
                let _ = settlement.into_parts();
                outcomes.push(SettleOutcome::Settled);
                continue;
            }
            let Verdict::Reject { reason } = settlement.verdict().clone() else {
                outcomes.extend(next.settle(vec![settlement]).await);
                continue;
            };
            outcomes.extend(next.settle(vec![settlement.with_verdict(Verdict::Ack)]).await);
            if let (Receiving::BeforeSending(bus), Some(mut dead)) = (&self.how, message) {
                let at = jiff::Timestamp::UNIX_EPOCH;
                let rejection =
                    Rejection { subscription: &self.subscription, reason: &reason, receive_count: None, at };
                dead_letter::mark(&mut dead, &rejection);
                if let Ok(graves) = self.subscription.destination().dead_letters() {
                    drop(bus.publish(vec![Outgoing::new(graves, dead)]).await);
                }
            }
        }
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        if self.is_at_once() {
            for unsettled in unstarted {
                let _ = unsettled.discharge();
            }
        } else {
            next.release(unstarted).await;
        }
    }

    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        if self.is_at_once() { std::future::pending().await } else { next.lost().await }
    }
}
