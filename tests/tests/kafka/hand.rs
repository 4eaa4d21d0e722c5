//! A bus on Kafka in the hand of a test, without services.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus as _, BusUrl, ClockExt as _, Delivery, Destination, Receiver, Seams, SubscribeOptions, Subscription};
use bus_kafka::{KafkaBus, KafkaOptions};

pub(crate) fn open(url: &str) -> Arc<KafkaBus> {
    let url = BusUrl::parse(url).expect("a URL");
    KafkaBus::open(KafkaOptions::of(&url).expect("legal"), Seams::system()).expect("clients")
}

/// A name that no other run has used.
pub(crate) fn fresh(name: &str) -> String {
    format!("{name}-{:x}", Seams::system().entropy.bits("tests", name) as u64)
}

pub(crate) async fn receiver(bus: &Arc<KafkaBus>, destination: &Destination) -> Arc<dyn Receiver> {
    let subscription = Subscription::to(destination.clone());
    bus.subscribe(&subscription, SubscribeOptions::default()).await.expect("it is declared")
}

/// As many deliveries, or the test ends after `patience`.
pub(crate) async fn take(receiver: &Arc<dyn Receiver>, count: usize, patience: Duration) -> Vec<Delivery> {
    let mut into = Vec::new();
    let taking = async {
        while into.len() < count {
            receiver.receive(count - into.len(), &mut into).await.expect("an open receiver");
        }
    };
    let in_time = Seams::system().clock.timeout_here(patience, taking).await;
    assert!(in_time.is_some(), "{} of {count} came", into.len());
    into
}
