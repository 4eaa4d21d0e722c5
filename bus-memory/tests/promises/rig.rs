//! A bus with one destination, and short words for what tests do with it.

use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus, BusExt, ClockExt, Declaration, Delivery, Destination, Group, Message, MessageKey, Outgoing, PublishOutcome,
    Receiver, ReceiverExt, Seams, SettleOutcome, Settlement, SubscribeOptions, Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Rig {
    pub(crate) seams: Seams,
    pub(crate) bus: Arc<MemoryBus>,
}

/// Randomness from a fixed seed, calendar time from a fixed day.
pub(crate) fn seams() -> Seams {
    Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), 7)
}

pub(crate) fn orders() -> Destination {
    destination("orders")
}

pub(crate) fn destination(name: &str) -> Destination {
    Destination::new(name).expect("a legal name")
}

pub(crate) fn audit() -> Group {
    Group::new("audit").expect("a legal name")
}

pub(crate) fn key(text: &str) -> MessageKey {
    MessageKey::new(text).expect("a legal key")
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(MemoryOptions::default()).await
    }

    /// A bus on which `orders` is declared.
    pub(crate) async fn with(options: MemoryOptions) -> Self {
        let seams = seams();
        let rig = Self { bus: MemoryBus::new(seams.clone(), options), seams };
        rig.bus.declare(&[Declaration::of(orders())]).await.expect("declared");
        rig
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
        Outgoing::new(orders(), self.message(body).with_key(key(name)))
    }

    pub(crate) async fn publish(&self, bodies: &[&str]) {
        accepted(&self.bus.publish(bodies.iter().map(|body| self.outgoing(body)).collect()).await);
    }

    pub(crate) async fn publish_keyed(&self, bodies: &[&str]) {
        accepted(&self.bus.publish(bodies.iter().map(|body| self.keyed(body)).collect()).await);
    }

    pub(crate) async fn publish_one(&self, outgoing: Outgoing) {
        accepted(&[self.bus.publish_one(outgoing).await]);
    }

    pub(crate) async fn receiver(&self) -> Arc<dyn Receiver> {
        self.receiver_of(&Subscription::to(orders()), SubscribeOptions::default()).await
    }

    pub(crate) async fn receiver_of(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
    ) -> Arc<dyn Receiver> {
        self.bus.subscribe(subscription, options).await.expect("subscribed")
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.seams.clock.sleep(duration).await;
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

    /// What can be had at this moment.
    pub(crate) async fn poll(&self, receiver: &Arc<dyn Receiver>) -> Vec<Delivery> {
        let mut into = Vec::new();
        if let Some(answer) = self.seams.clock.timeout(Duration::ZERO, receiver.receive(usize::MAX, &mut into)).await {
            answer.expect("an open receiver");
        }
        into
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.bus.depth_now(&Subscription::to(orders())).expect("declared").ready_count
    }
}

pub(crate) fn accepted(outcomes: &[PublishOutcome]) {
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
}

pub(crate) async fn settled(receiver: &Arc<dyn Receiver>, settlement: Settlement) {
    let outcome = receiver.settle_one(settlement).await;
    assert!(matches!(outcome, SettleOutcome::Settled), "{outcome:?}");
}

pub(crate) async fn ack_all(receiver: &Arc<dyn Receiver>, deliveries: Vec<Delivery>) {
    let count = deliveries.len();
    let outcomes = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_settled()).count(), count, "{outcomes:?}");
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message().body()).into_owned()
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(body).collect()
}
