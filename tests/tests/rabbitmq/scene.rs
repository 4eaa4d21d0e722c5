//! A bus on a real server, and what the tests here do with it.

use std::sync::Arc;
use std::time::Duration;

use bus::registry::Backend as _;
use bus::{
    Bus, BusUrl, ClockExt as _, Declaration, Delivery, Destination, Message, Outgoing, PublishOutcome, Receiver, Seams,
    SettleOutcome, SubscribeOptions, Subscription,
};
use bus_amqp::AmqpBackend;
use lapin::{Channel, Connection, ConnectionProperties};

/// Longest wait for what is bound to come: only a broken build ever waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A bus on the shared server.
pub(crate) async fn bus(options: &str) -> Arc<dyn Bus> {
    open(&format!("{}{options}", tests::brokers::url("rabbitmq"))).await
}

pub(crate) async fn open(url: &str) -> Arc<dyn Bus> {
    AmqpBackend.open(&BusUrl::parse(url).expect("a URL"), &Seams::system()).await.expect("legal")
}

/// A name that no other test and no other run has.
pub(crate) fn fresh(name: &str) -> Destination {
    let unique = Seams::system().entropy.bits("tests", name) as u64;
    Destination::new(&format!("{name}-{unique:x}")).expect("legal")
}

pub(crate) async fn declared(bus: &Arc<dyn Bus>, name: &str) -> Destination {
    let destination = fresh(name);
    bus.declare(&[Declaration::of(destination.clone())]).await.expect("declared");
    destination
}

pub(crate) fn outgoing(destination: &Destination, body: &str) -> Outgoing {
    let id = Seams::system().message_id("tests");
    Outgoing::new(destination.clone(), Message::new(id, body.as_bytes().to_vec()))
}

pub(crate) async fn publish(bus: &Arc<dyn Bus>, destination: &Destination, bodies: &[&str]) {
    let outcomes = bus.publish(bodies.iter().map(|body| outgoing(destination, body)).collect()).await;
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
}

pub(crate) async fn receiver(bus: &Arc<dyn Bus>, destination: &Destination) -> Arc<dyn Receiver> {
    receiver_of(bus, destination, SubscribeOptions::default()).await
}

pub(crate) async fn receiver_of(
    bus: &Arc<dyn Bus>,
    destination: &Destination,
    options: SubscribeOptions,
) -> Arc<dyn Receiver> {
    bus.subscribe(&Subscription::to(destination.clone()), options).await.expect("it is declared")
}

pub(crate) async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    let came = Seams::system().clock.timeout_here(PATIENCE, coming).await;
    came.unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}

pub(crate) async fn take(receiver: &Arc<dyn Receiver>, count: usize) -> Vec<Delivery> {
    let mut into = Vec::new();
    in_time("deliveries", async {
        while into.len() < count {
            receiver.receive(count - into.len(), &mut into).await.expect("an open receiver");
        }
    })
    .await;
    into
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message().body()).into_owned()
}

/// Acknowledges them; what came by, in the order of their bodies.
pub(crate) async fn ack(receiver: &Arc<dyn Receiver>, deliveries: Vec<Delivery>) -> Vec<String> {
    let mut bodies: Vec<String> = deliveries.iter().map(body).collect();
    bodies.sort();
    let outcomes = receiver.settle(deliveries.into_iter().map(Delivery::ack).collect()).await;
    assert!(outcomes.iter().all(SettleOutcome::is_settled), "{outcomes:?}");
    bodies
}

/// A foreign hand on the shared server.
pub(crate) async fn foreign() -> (Connection, Channel) {
    let url = tests::brokers::url("rabbitmq");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("it connects");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}
