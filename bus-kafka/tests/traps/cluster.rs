//! A cluster in this process, and buses on it.

use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus, BusUrl, ClockExt as _, Declaration, Delivery, Destination, Message, MessageKey, Outgoing, PublishOutcome,
    Receiver, ReceiverExt as _, Seams, SubscribeOptions, Subscription,
};
use bus_kafka::{KafkaBus, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// Bounds what never comes; what comes takes seconds at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Cluster(pub(crate) MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    pub(crate) fn start() -> Self {
        Self(MockCluster::new(1).expect("a cluster in this process"))
    }

    pub(crate) fn bus(&self, options: &str) -> Arc<KafkaBus> {
        self.bus_in(options, Seams::system())
    }

    pub(crate) fn bus_in(&self, options: &str, seams: Seams) -> Arc<KafkaBus> {
        let url = format!("kafka://{}?admin=off&session=6s&{options}", self.0.bootstrap_servers());
        let url = BusUrl::parse(&url).expect("a URL");
        KafkaBus::open(KafkaOptions::of(&url).expect("legal"), seams).expect("clients")
    }

    /// A topic of so many partitions, and its dead letters.
    pub(crate) fn topic(&self, name: &str, partition_count: i32) -> Destination {
        let topic = Destination::new(name).expect("legal");
        self.0.create_topic(name, partition_count, 1).expect("new");
        self.0.create_topic(topic.dead_letters().expect("legal").as_str(), partition_count, 1).expect("new");
        topic
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.0.bootstrap_servers());
        config
    }
}

pub(crate) async fn declare(bus: &Arc<KafkaBus>, topic: &Destination) {
    bus.declare(&[Declaration::of(topic.clone())]).await.expect("declared");
}

pub(crate) async fn receiver(bus: &Arc<KafkaBus>, topic: &Destination) -> Arc<dyn Receiver> {
    let subscription = Subscription::to(topic.clone());
    bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("it is declared")
}

pub(crate) async fn take(receiver: &Arc<dyn Receiver>, count: usize) -> Vec<Delivery> {
    let mut into = Vec::new();
    let taking = async {
        while into.len() < count {
            receiver.receive(count - into.len(), &mut into).await.expect("an open receiver");
        }
    };
    assert!(Seams::system().clock.timeout_here(PATIENCE, taking).await.is_some(), "{} of {count} came", into.len());
    into
}

pub(crate) fn outgoing(topic: &Destination, body: &[u8]) -> Outgoing {
    Outgoing::new(topic.clone(), Message::new(Seams::system().message_id("tests"), body.to_vec()))
}

/// One with a key, whose body is the key and a number.
pub(crate) fn keyed(topic: &Destination, key: &str, number: usize) -> Outgoing {
    let mut outgoing = outgoing(topic, format!("{key}{number}").as_bytes());
    let message = outgoing.message().clone().with_key(MessageKey::new(key).expect("legal"));
    *outgoing.message_mut() = message;
    outgoing
}

pub(crate) async fn publish(bus: &Arc<KafkaBus>, batch: Vec<Outgoing>) {
    let outcomes = bus.publish(batch).await;
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message().body()).into_owned()
}

pub(crate) async fn ack(receiver: &Arc<dyn Receiver>, delivery: Delivery) {
    let outcome = receiver.settle_one(delivery.ack()).await;
    assert!(outcome.is_settled(), "{outcome:?}");
}

/// Waits for something that comes by itself.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let clock = Seams::system().clock;
    let looking = async {
        while !is_so().await {
            clock.sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(clock.timeout_here(PATIENCE, looking).await.is_some(), "not yet: {what}");
}

pub(crate) async fn close(bus: &Arc<KafkaBus>) {
    bus.close(PATIENCE).await.expect("closed");
}
