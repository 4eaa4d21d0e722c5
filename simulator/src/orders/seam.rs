//! The bus as one life of a service sees it: every call passes the gate, and may fail on its way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, ClockExt, Declaration, Delivery, Depth, Error, ErrorKind, ExtendOutcome, Message, MessageId, Outgoing,
    PublishOutcome, Receiver, Result, SettleOutcome, Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};
use serde_json::Value;

use super::fault::Fault;
use super::tally::Tally;
use super::trouble::Trouble;
use crate::gate::Gate;
use crate::node::Life;

#[derive(Clone, Debug)]
pub(super) struct BusSeam {
    pub(super) gate: Gate,
    pub(super) life: Life,
    pub(super) trouble: Trouble,
    pub(super) tally: Tally,
    pub(super) clock: Arc<dyn bus::Clock>,
}

/// What becomes of one message on its way.
enum Way {
    There,
    Lost,
    AnswerLost,
    Throttled,
}

impl BusSeam {
    fn way(&self, id: &str, is_first: bool) -> Way {
        if self.trouble.strikes(Fault::PublishLost, id) {
            Way::Lost
        } else if self.trouble.strikes(Fault::PublishAnswerLost, id) {
            Way::AnswerLost
        } else if !is_first && self.trouble.strikes(Fault::PublishPartial, id) {
            Way::Throttled
        } else {
            Way::There
        }
    }

    /// Publishes one after the other: what is behind a message that did not arrive must not either,
    /// or it would overtake it.
    async fn publish_through(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut failed_keys = Vec::new();
        for (index, outgoing) in batch.into_iter().enumerate() {
            let key = outgoing.message().key().cloned();
            let id = outgoing.message().id().to_string();
            let is_behind = key.as_ref().is_some_and(|key| failed_keys.contains(key));
            let outcome = match self.way(&id, index == 0) {
                _ if is_behind => PublishOutcome::Refused(refused("a message before it did not arrive")),
                Way::There => self.arrive(outgoing, next).await,
                Way::Lost => PublishOutcome::Unknown(Error::new(ErrorKind::Timeout, "publish", "no answer")),
                Way::AnswerLost => {
                    let arrived = self.arrive(outgoing, next).await;
                    drop(arrived);
                    PublishOutcome::Unknown(Error::new(ErrorKind::Timeout, "publish", "no answer"))
                }
                Way::Throttled => PublishOutcome::Refused(refused("slower")),
            };
            if !outcome.is_accepted() {
                failed_keys.extend(key);
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn arrive(&self, outgoing: Outgoing, next: &dyn Bus) -> PublishOutcome {
        let id = outgoing.message().id().to_string();
        let outgoing = if self.trouble.strikes(Fault::MixedVersions, &id) { older(outgoing) } else { outgoing };
        self.tally.published(outgoing.message());
        let queue = outgoing.destination().clone();
        let outcome = next.publish(vec![outgoing]).await.pop();
        self.gate.tell("published", || [self.trouble.script().stable(&id), format!("to {queue}")]);
        outcome.unwrap_or_else(|| PublishOutcome::Unknown(refused("no answer")))
    }
}

fn refused(text: &str) -> Error {
    Error::new(ErrorKind::Throttled, "publish", text)
}

/// As the recorded producer wrote it: the body alone, without what was added since.
fn older(outgoing: Outgoing) -> Outgoing {
    let (destination, message, delay) = outgoing.into_parts();
    let body = match serde_json::from_slice::<Value>(message.body()) {
        Ok(Value::Object(mut fields)) => {
            for new in ["version", "occurredAt", "failureReason"] {
                fields.remove(new);
            }
            Value::Object(fields).to_string()
        }
        _ => return Outgoing::new(destination, message).delayed(delay),
    };
    Outgoing::new(destination, Message::foreign(message.id().clone(), body)).delayed(delay)
}

#[async_trait]
impl Layer for BusSeam {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        self.gate.call(&self.life, "declare", "", next.declare(declarations)).await
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let id = batch.first().map(|outgoing| outgoing.message().id().to_string()).unwrap_or_default();
        batch.iter().for_each(|outgoing| self.trouble.script().learn(outgoing.message()));
        let publish = async {
            self.trouble.wait(Fault::PublishSlow, &id).await;
            if self.trouble.strikes(Fault::PublishThrottled, &id) {
                return batch.iter().map(|_| PublishOutcome::Refused(refused("slower"))).collect();
            }
            self.publish_through(batch, next).await
        };
        self.gate.call(&self.life, "publish", &id, publish).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let name = subscription.to_string();
        let subscribe = next.subscribe(subscription, options);
        let receiver = self.gate.call(&self.life, "subscribe", &name, subscribe).await?;
        Ok(layered_receiver(receiver, ReceiverSeam { seam: self.clone(), name, out: Mutex::default() }))
    }

    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        self.gate.call(&self.life, "depth", "", next.depth(subscription)).await
    }

    /// The broker outlives the process.
    async fn close(&self, _deadline: Duration, _next: &dyn Bus) -> Result<()> {
        Ok(())
    }
}

struct ReceiverSeam {
    seam: BusSeam,
    name: String,
    /// Which messages are out: a token is another in every run that differs a little.
    out: Mutex<BTreeMap<Token, MessageId>>,
}

impl ReceiverSeam {
    fn out(&self) -> MutexGuard<'_, BTreeMap<Token, MessageId>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the message that is settled, for the last time under this token.
    fn id_of(&self, settlement: &Settlement) -> String {
        self.out().remove(&settlement.token()).map(|id| id.to_string()).unwrap_or_default()
    }

    fn tell(&self, id: &str, settlement: &Settlement) {
        let verdict = || format!("{:?}", settlement.verdict()).to_lowercase();
        self.seam.gate.tell("settled", || [self.seam.trouble.script().stable(id), verdict()]);
    }
}

#[async_trait]
impl ReceiverLayer for ReceiverSeam {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let BusSeam { gate, life, tally, trouble, .. } = &self.seam;
        let before = into.len();
        let mut received = Vec::new();
        let answer = gate.call(life, "receive", &self.name, next.receive(max, &mut received)).await;
        for delivery in &received {
            tally.received(delivery);
            gate.note_received(delivery.message());
            self.out().insert(delivery.token(), delivery.message().id().clone());
            gate.tell("was given", || {
                let name = trouble.script().stable(&delivery.message().id().to_string());
                let count = delivery.receive_count().map_or_else(String::new, |count| format!(", receive {count}"));
                [name, format!("from {}{count}", self.name)]
            });
        }
        into.append(&mut received);
        debug_assert!(answer.is_err() || into.len() > before, "an answer brings something");
        answer
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let BusSeam { gate, life, trouble, clock, tally, .. } = &self.seam;
        tally.work().settled += batch.len() as u64;
        let ids: Vec<String> = batch.iter().map(|settlement| self.id_of(settlement)).collect();
        let first = ids.first().cloned().unwrap_or_default();
        let settle = async {
            // Whatever else is in its batch, a message is late or not; and then so are the others.
            if ids.iter().filter(|id| trouble.strikes(Fault::SettlementLate, id)).count() > 0 {
                clock.sleep(Duration::from_secs(45)).await;
            }
            let mut outcomes: Vec<Option<SettleOutcome>> = Vec::new();
            let mut kept = Vec::new();
            for (settlement, id) in batch.into_iter().zip(&ids) {
                self.tell(id, &settlement);
                if trouble.strikes(Fault::SettlementPartial, id) {
                    // The duty stays with the broker: it comes again when its lease ends.
                    let _ = settlement.into_parts();
                    let error = Error::new(ErrorKind::Throttled, "settle", "slower");
                    outcomes.push(Some(SettleOutcome::Failed(error)));
                } else {
                    outcomes.push(None);
                    kept.push(settlement);
                }
            }
            let mut answers = next.settle(kept).await.into_iter();
            outcomes.into_iter().filter_map(|known| known.or_else(|| answers.next())).collect()
        };
        gate.call(life, "settle", &first, settle).await
    }

    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        self.seam.gate.call(&self.seam.life, "extend", &self.name, next.extend(tokens, by)).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        self.seam.gate.call(&self.seam.life, "release", &self.name, next.release(unstarted)).await;
    }
}
