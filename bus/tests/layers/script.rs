//! A bus that answers as a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, ReceiverLayer, layered_receiver};
use bus::{
    Bus, Clock, ClockExt, Declaration, Delivery, Depth, Error, ErrorKind, ExtendOutcome, Outgoing, PublishOutcome,
    Receiver, Result, Seams, SettleOutcome, Settlement, SubscribeOptions, Subscription, Token, Unsettled,
};

use crate::rig::{Log, text};

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Pass,
    /// Refused, and not on the bus.
    Refuse(ErrorKind),
    /// Unknown, and not on the bus.
    Lose,
    /// On the bus, and the answer is unknown.
    LoseAnswer,
    /// No answer, ever.
    Hang,
}

type Decide = dyn Fn(usize, &str) -> Act + Send + Sync;

/// Decides by the number of the call, from 1, and the body of the message.
#[derive(Clone)]
pub(crate) struct Script {
    decide: Arc<Mutex<Arc<Decide>>>,
    /// The bodies of each publish call.
    pub(crate) calls: Log<Vec<String>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    pub(crate) fn of(decide: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        Self { decide: Arc::new(Mutex::new(Arc::new(decide))), calls: Log::default() }
    }

    /// The same for every message of every call.
    pub(crate) fn always(act: Act) -> Self {
        Self::of(move |_, _| act)
    }

    pub(crate) fn now_always(&self, act: Act) {
        *self.decide.lock().expect("not poisoned") = Arc::new(move |_, _| act);
    }

    fn decide(&self, call: usize, body: &str) -> Act {
        let decide = Arc::clone(&self.decide.lock().expect("not poisoned"));
        decide(call, body)
    }
}

#[async_trait]
impl Layer for Script {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        let bodies: Vec<String> = batch.iter().map(|outgoing| text(outgoing.message())).collect();
        self.calls.add(bodies.clone());
        let call = self.calls.count();
        let acts: Vec<Act> = bodies.iter().map(|body| self.decide(call, body)).collect();
        if acts.contains(&Act::Hang) {
            std::future::pending::<()>().await;
        }
        let is_sent = |act: &Act| matches!(act, Act::Pass | Act::LoseAnswer);
        let sent = batch.into_iter().zip(&acts).filter(|(_, act)| is_sent(act)).map(|(outgoing, _)| outgoing);
        let mut answers = next.publish(sent.collect()).await.into_iter();
        let scripted = |kind| Error::new(kind, "publish", "as the script says");
        let outcomes = acts.iter().map(|act| match act {
            Act::Pass => answers.next().expect("an answer for each"),
            Act::Refuse(kind) => PublishOutcome::Refused(scripted(*kind)),
            Act::Lose | Act::Hang => PublishOutcome::Unknown(scripted(ErrorKind::Timeout)),
            Act::LoseAnswer => {
                let _ = answers.next().expect("an answer for each");
                PublishOutcome::Unknown(scripted(ErrorKind::Timeout))
            }
        });
        outcomes.collect()
    }
}

/// Takes its time for every call that has an answer.
#[derive(Clone, Debug)]
pub(crate) struct Slow {
    pub(crate) takes: Duration,
    clock: Arc<dyn Clock>,
}

impl Slow {
    pub(crate) fn new(takes: Duration, seams: &Seams) -> Self {
        Self { takes, clock: seams.clock.clone() }
    }

    async fn wait(&self) {
        self.clock.sleep(self.takes).await;
    }
}

#[async_trait]
impl Layer for Slow {
    async fn declare(&self, declarations: &[Declaration], next: &dyn Bus) -> Result<()> {
        self.wait().await;
        next.declare(declarations).await
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        self.wait().await;
        next.publish(batch).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        // Only a receiver that was given one is slow: tests subscribe at once.
        let receiver = next.subscribe(subscription, options).await?;
        Ok(layered_receiver(receiver, self.clone()))
    }

    async fn depth(&self, subscription: &Subscription, next: &dyn Bus) -> Result<Depth> {
        self.wait().await;
        next.depth(subscription).await
    }

    async fn purge(&self, subscription: &Subscription, next: &dyn Bus) -> Result<()> {
        self.wait().await;
        next.purge(subscription).await
    }
}

#[async_trait]
impl ReceiverLayer for Slow {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        self.wait().await;
        next.receive(max, into).await
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        self.wait().await;
        next.settle(batch).await
    }

    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        self.wait().await;
        next.extend(tokens, by).await
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        self.wait().await;
        next.release(unstarted).await;
    }
}
