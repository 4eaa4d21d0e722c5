//! A bus with one destination, and short words for what tests do with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{
    Bus, BusExt, ClockExt, Declaration, Delivery, Depth, Destination, Error, ErrorKind, ExtendOutcome, Message,
    MessageKey, Outgoing, PublishOutcome, Receiver, ReceiverExt, Result, Seams, SettleOutcome, Settlement,
    SubscribeOptions, Subscription, Token,
};
use bus_memory::{MemoryBus, MemoryOptions};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) seams: Seams,
    /// With what is tested around it.
    pub(crate) bus: Arc<dyn Bus>,
    /// What becomes of publishes below it.
    pub(crate) below: Below,
}

pub(crate) fn destination(name: &str) -> Destination {
    Destination::new(name).expect("a legal name")
}

pub(crate) fn orders() -> Destination {
    destination("orders")
}

impl Rig {
    /// A bus on which `orders` is declared, with what `put_on` puts around it.
    pub(crate) async fn with(
        options: MemoryOptions,
        put_on: impl FnOnce(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus>,
    ) -> Self {
        let seams = Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), 7);
        let below = Below::default();
        let bare: Arc<dyn Bus> = MemoryBus::new(seams.clone(), options);
        let bus = put_on(bare.layer(below.clone()), &seams);
        bus.declare(&[Declaration::of(orders())]).await.expect("declared");
        Self { seams, bus, below }
    }

    pub(crate) fn message(&self, body: &str) -> Message {
        Message::new(self.seams.message_id(body), body.as_bytes().to_vec())
    }

    pub(crate) fn outgoing(&self, body: &str) -> Outgoing {
        Outgoing::new(orders(), self.message(body))
    }

    /// The text before the digits is the key: `a1`, `a2`, `b1`.
    pub(crate) fn keyed(&self, body: &str) -> Outgoing {
        let name = body.trim_end_matches(|c: char| c.is_ascii_digit());
        Outgoing::new(orders(), self.message(body).with_key(MessageKey::new(name).expect("a legal key")))
    }

    pub(crate) async fn publish(&self, bodies: &[&str]) {
        self.publish_all(bodies.iter().map(|body| self.outgoing(body)).collect()).await;
    }

    pub(crate) async fn publish_keyed(&self, bodies: &[&str]) {
        self.publish_all(bodies.iter().map(|body| self.keyed(body)).collect()).await;
    }

    pub(crate) async fn publish_all(&self, batch: Vec<Outgoing>) {
        let outcomes = self.bus.publish(batch).await;
        assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
    }

    pub(crate) async fn refused(&self, outgoing: Outgoing) -> ErrorKind {
        match self.bus.publish_one(outgoing).await {
            PublishOutcome::Refused(error) => error.kind(),
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) async fn receiver(&self) -> Arc<dyn Receiver> {
        self.receiver_of("orders").await
    }

    pub(crate) async fn receiver_of(&self, name: &str) -> Arc<dyn Receiver> {
        let subscription = Subscription::to(destination(name));
        self.bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("declared")
    }

    /// Waits for one batch.
    pub(crate) async fn take(&self, receiver: &Arc<dyn Receiver>, max: usize) -> Vec<Delivery> {
        let mut into = Vec::new();
        receiver.receive(max, &mut into).await.expect("deliveries");
        into
    }

    pub(crate) async fn take_one(&self, receiver: &Arc<dyn Receiver>) -> Delivery {
        self.take(receiver, 1).await.pop().expect("one delivery")
    }

    /// What comes within `span`.
    pub(crate) async fn poll(&self, receiver: &Arc<dyn Receiver>, span: Duration) -> Vec<Delivery> {
        let mut into = Vec::new();
        let until = self.seams.clock.now() + span;
        while let Some(answer) = {
            let left = until.since(self.seams.clock.now());
            self.seams.clock.timeout(left, receiver.receive(100, &mut into)).await
        } {
            answer.expect("an open receiver");
        }
        into
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.seams.clock.sleep(span).await;
    }

    /// Time since the rig was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.seams.clock.now().since_origin()
    }

    pub(crate) async fn depth(&self, name: &str) -> Depth {
        self.bus.depth(&Subscription::to(destination(name))).await.expect("declared")
    }
}

pub(crate) async fn settled(receiver: &Arc<dyn Receiver>, settlement: Settlement) {
    let outcome = receiver.settle_one(settlement).await;
    assert!(matches!(outcome, SettleOutcome::Settled), "{outcome:?}");
}

pub(crate) async fn failed(receiver: &Arc<dyn Receiver>, settlement: Settlement) -> Error {
    match receiver.settle_one(settlement).await {
        SettleOutcome::Failed(error) => error,
        other => panic!("it did not fail: {other:?}"),
    }
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message().body()).into_owned()
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(body).collect()
}

/// Meddles with calls between what is tested and the bus, and remembers what was published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Below {
    mood: Arc<Mutex<Mood>>,
    extension: Arc<Mutex<Extension>>,
    seen: Arc<Mutex<Vec<Outgoing>>>,
}

/// What becomes of a publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Passes,
    Refuses,
    /// It arrives, and its answer does not.
    LosesAnswers,
    NeverAnswers,
}

/// What becomes of an extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extension {
    #[default]
    Passes,
    Fails,
    Capped,
    Lost,
}

impl Below {
    pub(crate) fn extensions(&self, extension: Extension) {
        *self.extension.lock().expect("no test panics here") = extension;
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no test panics here") = mood;
    }

    /// What was published since the last call.
    pub(crate) fn seen(&self) -> Vec<Outgoing> {
        std::mem::take(&mut *self.seen.lock().expect("no test panics here"))
    }
}

#[async_trait]
impl ReceiverLayer for Below {
    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        let extension = *self.extension.lock().expect("no test panics here");
        let all = |outcome: fn() -> ExtendOutcome| tokens.iter().map(|_| outcome()).collect();
        match extension {
            Extension::Passes => next.extend(tokens, by).await,
            Extension::Fails => {
                all(|| ExtendOutcome::Failed(Error::new(ErrorKind::Unavailable, "extend", "the test says so")))
            }
            Extension::Capped => all(|| ExtendOutcome::Capped),
            Extension::Lost => all(|| ExtendOutcome::LeaseLost),
        }
    }
}

#[async_trait]
impl Layer for Below {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        Ok(layered_receiver(next.subscribe(subscription, options).await?, self.clone()))
    }

    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        self.seen.lock().expect("no test panics here").extend(batch.iter().cloned());
        let mood = *self.mood.lock().expect("no test panics here");
        let error = || Error::new(ErrorKind::Unavailable, "publish", "the test says so");
        match mood {
            Mood::Passes => next.publish(batch).await,
            Mood::Refuses => batch.iter().map(|_| PublishOutcome::Refused(error())).collect(),
            Mood::LosesAnswers => {
                let outcomes = next.publish(batch).await;
                outcomes.iter().map(|_| PublishOutcome::Unknown(error())).collect()
            }
            Mood::NeverAnswers => std::future::pending().await,
        }
    }
}
