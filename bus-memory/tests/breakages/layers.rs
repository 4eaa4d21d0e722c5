//! Layers that do one thing otherwise, as a function says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, Capability, Delivery, Error, ErrorKind, Message, Outgoing, PublishOutcome, Receiver, Result, SettleOutcome,
    Settlement, SubscribeOptions, Subscription, Token, Verdict,
};

use crate::breakage::Breakage;
use crate::forged::{Forgery, forged, settlement};

/// Claims to be able to do other things.
#[derive(Debug)]
pub(crate) struct Claims(pub(crate) fn(&mut Capability));

impl Layer for Claims {
    fn capability(&self, next: &Capability) -> Capability {
        let mut claimed = next.clone();
        (self.0)(&mut claimed);
        claimed
    }
}

/// Publishes other messages than it was given.
#[derive(Debug)]
pub(crate) struct Mangles(pub(crate) fn(Message) -> Message);

#[async_trait]
impl Layer for Mangles {
    async fn publish(&self, mut batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        for outgoing in &mut batch {
            *outgoing.message_mut() = (self.0)(outgoing.message().clone());
        }
        next.publish(batch).await
    }
}

/// Answers a publish otherwise.
#[derive(Debug)]
pub(crate) struct AnswersPublish(pub(crate) fn(Vec<PublishOutcome>) -> Vec<PublishOutcome>);

#[async_trait]
impl Layer for AnswersPublish {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        (self.0)(next.publish(batch).await)
    }
}

/// Subscribes to something else, or otherwise.
#[derive(Debug)]
pub(crate) struct Subscribes(pub(crate) fn(&mut Subscription, &mut SubscribeOptions));

#[async_trait]
impl Layer for Subscribes {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        mut options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let mut subscription = subscription.clone();
        (self.0)(&mut subscription, &mut options);
        next.subscribe(&subscription, options).await
    }
}

/// Puts a layer of its own around each receiver.
pub(crate) struct Receivers<F>(pub(crate) F);

#[async_trait]
impl<F: Fn() -> R + Send + Sync + 'static, R: ReceiverLayer> Layer for Receivers<F> {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        Ok(layered_receiver(next.subscribe(subscription, options).await?, (self.0)()))
    }
}

impl<F> fmt::Debug for Receivers<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receivers")
    }
}

/// Broken by changing what each receiver hands out.
pub(crate) fn handing_out(change: impl Fn(&mut Forgery) + Copy + Send + Sync + 'static) -> Breakage {
    Breakage::by(move || Receivers(move || HandsOut(change)))
}

/// Hands out other deliveries than it received.
pub(crate) struct HandsOut<F>(pub(crate) F);

#[async_trait]
impl<F: Fn(&mut Forgery) + Send + Sync + 'static> ReceiverLayer for HandsOut<F> {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let mut received = Vec::new();
        next.receive(max, &mut received).await?;
        into.extend(received.into_iter().map(|delivery| forged(delivery, &self.0)));
        Ok(())
    }
}

/// Given back, to be delivered again at once.
pub(crate) const AT_ONCE: Verdict = Verdict::Nack { after: Duration::ZERO };

/// The answer of a bus that cannot do it.
pub(crate) fn unsupported() -> SettleOutcome {
    SettleOutcome::Failed(Error::new(ErrorKind::Unsupported, "settle", "this bus does not"))
}

/// What becomes of one settlement.
pub(crate) enum Fate {
    /// It is sent with this verdict.
    Sent(Verdict),
    /// It is sent with this verdict, and answered otherwise.
    SentAnd(Verdict, SettleOutcome),
    /// It is answered and forgotten: the delivery stays out until its lease ends.
    Forgotten(SettleOutcome),
}

/// Broken by settling otherwise than each receiver was told.
pub(crate) fn settling(fate: impl Fn(Verdict) -> Fate + Copy + Send + Sync + 'static) -> Breakage {
    Breakage::by(move || Receivers(move || Settles(fate)))
}

struct Settles<F>(F);

#[async_trait]
impl<F: Fn(Verdict) -> Fate + Send + Sync + 'static> ReceiverLayer for Settles<F> {
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let mut outcomes = Vec::new();
        for (token, verdict) in batch.into_iter().map(Settlement::into_parts) {
            outcomes.push(match (self.0)(verdict) {
                Fate::Sent(verdict) => settle_one(next, token, verdict).await,
                Fate::SentAnd(verdict, outcome) => {
                    let _ = settle_one(next, token, verdict).await;
                    outcome
                }
                Fate::Forgotten(outcome) => outcome,
            });
        }
        outcomes
    }
}

pub(crate) async fn settle_one(next: &dyn Receiver, token: Token, verdict: Verdict) -> SettleOutcome {
    next.settle(vec![settlement(token, verdict)]).await.pop().expect("one outcome for one settlement")
}

/// Broken by answering settlements otherwise.
pub(crate) fn answering(answer: fn(Vec<SettleOutcome>) -> Vec<SettleOutcome>) -> Breakage {
    Breakage::by(move || Receivers(move || AnswersSettle(answer)))
}

struct AnswersSettle(fn(Vec<SettleOutcome>) -> Vec<SettleOutcome>);

#[async_trait]
impl ReceiverLayer for AnswersSettle {
    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        (self.0)(next.settle(batch).await)
    }
}
