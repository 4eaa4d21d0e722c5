//! One consumer of one queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Delivery, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, SubscribeOptions, Token, Unsettled, Verdict,
};

use crate::broker::Broker;
use crate::dead_letters::Burial;
use crate::ledger::Entries;
use crate::queue::{Graves, Queue};
use crate::refusal;
use crate::topology::Node;

/// The receiver handed to consumers. Dropped, it gives back what it has.
pub(crate) struct MemoryReceiver {
    broker: Arc<Broker>,
    node: Arc<Node>,
    queue: Arc<Queue>,
    /// Its number on the queue.
    consumer: u32,
}

impl MemoryReceiver {
    pub(crate) fn open(
        broker: Arc<Broker>,
        node: Arc<Node>,
        queue: Arc<Queue>,
        options: SubscribeOptions,
    ) -> Result<Self> {
        let consumer = queue.with(|state| state.subscribe(options)).ok_or_else(|| refusal::closed("subscribe"))?;
        Ok(Self { broker, node, queue, consumer })
    }

    /// Reserves graves for the rejects of a batch.
    fn burial(&self, batch: &[Settlement]) -> Option<Burial> {
        let count = batch.iter().filter(|settlement| matches!(settlement.verdict(), Verdict::Reject { .. })).count();
        let dead_letters = self.node.dead_letters().filter(|_| self.broker.options.dead_letters && count > 0)?;
        Some(Burial::reserve(dead_letters.queues(), count))
    }
}

#[async_trait]
impl Receiver for MemoryReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        self.queue.receive(self.consumer, max, into).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        let burial = self.burial(&batch);
        let graves = burial.as_ref().map_or(Graves::None, |burial| Graves::Room(burial.count()));
        let subscription = self.queue.subscription();
        let settled = self.queue.with_now(|state, now| state.settle(self.consumer, batch, now, graves, subscription));
        let mut outcomes = settled.outcomes;
        if settled.freed.count > 0 {
            self.queue.discard(settled.acked, settled.freed);
        }
        if let Some(ledger) = &self.broker.ledger {
            let mut entries = Entries::default();
            for row in &settled.spent {
                entries.delete(self.queue.number(), *row);
            }
            if let Err(error) = ledger.commit_later(entries, "settle") {
                for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_settled()) {
                    *outcome = SettleOutcome::Failed(bus::Error::new(error.kind(), "settle", error.to_string()));
                }
            }
        }
        if let Some(burial) = burial {
            burial.bury(settled.buried, &self.queue, &self.broker, &mut outcomes).await;
        }
        if !self.broker.options.settle_confirmed {
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_settled()) {
                *outcome = SettleOutcome::Sent;
            }
        }
        outcomes
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        self.queue.with_now(|state, now| state.extend(self.consumer, tokens, by, now))
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        let tokens = unstarted.into_iter().map(Unsettled::discharge);
        self.queue.with_now(|state, _| state.release(self.consumer, tokens));
    }

    async fn lost(&self) -> Vec<Token> {
        self.queue.lost(self.consumer).await
    }

    fn stop(&self) {
        self.queue.with(|state| state.stop(self.consumer));
    }

    async fn close(&self) {
        self.queue.with_now(|state, _| state.close(self.consumer));
    }
}

impl Drop for MemoryReceiver {
    fn drop(&mut self) {
        self.queue.with(|state| state.unsubscribe(self.consumer));
    }
}
