//! A bus with one destination, and short words for what tests do with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus::pipeline::{Handler, Pipeline, Policy};
use bus::{
    Bus, ClockExt, Declaration, Delivery, Destination, Error, Message, MessageKey, Moment, Outgoing, PublishOutcome,
    Receiver, Seams, SubscribeOptions, Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A bus on which `orders` and its dead letters are declared.
pub(crate) struct Rig {
    pub(crate) seams: Seams,
    pub(crate) bus: Arc<dyn Bus>,
}

/// Randomness from `seed`, calendar time from a fixed day.
pub(crate) fn seams_of(seed: u64) -> Seams {
    Seams::repeatable("2026-01-01T00:00:00Z".parse().expect("a timestamp"), seed)
}

pub(crate) fn orders() -> Destination {
    Destination::new("orders").expect("a legal name")
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(MemoryOptions::default()).await
    }

    /// A bus whose batches are accepted one by one.
    pub(crate) async fn one_by_one() -> Self {
        Self::with(MemoryOptions { publish_atomic: false, ..MemoryOptions::default() }).await
    }

    pub(crate) async fn with(options: MemoryOptions) -> Self {
        Self::seeded(7, options).await
    }

    pub(crate) async fn seeded(seed: u64, options: MemoryOptions) -> Self {
        let seams = seams_of(seed);
        let bus = MemoryBus::new(seams.clone(), options);
        let dead_letters = orders().dead_letters().expect("short enough");
        let declared = [Declaration::of(orders()), Declaration::of(dead_letters)];
        bus.declare(&declared).await.expect("declared");
        Self { seams, bus }
    }

    /// The same bus with what `wrap` puts around it.
    pub(crate) fn wrapped(self, wrap: impl FnOnce(Arc<dyn Bus>, &Seams) -> Arc<dyn Bus>) -> Self {
        Self { bus: wrap(self.bus, &self.seams), seams: self.seams }
    }

    /// The text before the digits is the key, `-` for none: `a1`, `a2`, `b1`, `-1`.
    pub(crate) fn outgoing(&self, body: &str) -> Outgoing {
        let message = Message::new(self.seams.message_id(body), body.as_bytes().to_vec());
        match body.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "-" => Outgoing::new(orders(), message),
            key => Outgoing::new(orders(), message.with_key(MessageKey::new(key).expect("a legal key"))),
        }
    }

    pub(crate) async fn publish(&self, bodies: &[&str]) -> Vec<PublishOutcome> {
        self.bus.publish(bodies.iter().map(|body| self.outgoing(body)).collect()).await
    }

    pub(crate) async fn receiver(&self) -> Arc<dyn Receiver> {
        self.receiver_of(&orders()).await
    }

    pub(crate) async fn receiver_of(&self, destination: &Destination) -> Arc<dyn Receiver> {
        let subscription = Subscription::to(destination.clone());
        self.bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("subscribed")
    }

    /// What can be had within a moment, as `receive` hands it out.
    pub(crate) async fn poll(&self, receiver: &Arc<dyn Receiver>) -> Vec<Delivery> {
        let mut into = Vec::new();
        while let Some(answer) = self.within(SECOND / 100, receiver.receive(1_000, &mut into)).await {
            answer.expect("an open receiver");
        }
        into
    }

    /// What is on the bus, in order; it stays there.
    pub(crate) async fn bodies(&self) -> Vec<String> {
        bodies(&self.poll(&self.receiver().await).await)
    }

    pub(crate) async fn dead_letters(&self) -> Vec<Delivery> {
        let dead_letters = self.receiver_of(&orders().dead_letters().expect("short enough")).await;
        self.poll(&dead_letters).await
    }

    pub(crate) fn now(&self) -> Moment {
        self.seams.clock.now()
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.seams.clock.sleep(span).await;
    }

    pub(crate) async fn within<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        self.seams.clock.timeout_here(limit, work).await
    }

    /// Runs a pipeline over `orders` for `span`.
    pub(crate) async fn run_pipeline(&self, handler: impl Handler + 'static, policy: Policy, span: Duration) {
        let subscription = Subscription::to(orders());
        let pipeline = Pipeline::new(Arc::clone(&self.bus), subscription, Arc::new(handler), self.seams.clone());
        let shutdown = CancellationToken::new();
        let stop = async {
            self.sleep(span).await;
            shutdown.cancel();
        };
        let (ended, ()) = tokio::join!(pipeline.with_policy(policy).run(shutdown.clone()), stop);
        ended.expect("it subscribed");
    }
}

/// Something that grows during a test.
#[derive(Clone, Debug)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    pub(crate) fn add(&self, entry: T) {
        self.0.lock().expect("not poisoned").push(entry);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().expect("not poisoned").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("not poisoned").len()
    }
}

pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| text(delivery.message())).collect()
}

/// Outcomes as words: `accepted`, `refused Closed`, `unknown Timeout`.
pub(crate) fn words(outcomes: &[PublishOutcome]) -> Vec<String> {
    let word = |outcome: &PublishOutcome| match outcome {
        PublishOutcome::Accepted(_) => "accepted".to_owned(),
        PublishOutcome::Refused(error) => format!("refused {:?}", error.kind()),
        PublishOutcome::Unknown(error) => format!("unknown {:?}", error.kind()),
    };
    outcomes.iter().map(word).collect()
}

pub(crate) fn error_of(outcome: &PublishOutcome) -> &Error {
    match outcome {
        PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => error,
        PublishOutcome::Accepted(_) => panic!("it was accepted"),
    }
}
