//! Messages that wait in delay topics of a real broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus, Declaration, Delivery, Destination, Message, MessageKey, Outgoing, PublishOutcome, Seams, SettleOutcome,
};
use bus_kafka::KafkaBus;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tests::brokers::Server;

use super::hand::{fresh, open, receiver, take};

/// Bounds what never comes.
const PATIENCE: Duration = Duration::from_secs(180);
const KEY_COUNT: usize = 10;

async fn bus_on(url: &str, scope: &str, topic: &Destination) -> Arc<KafkaBus> {
    let bus = open(&format!("{url}?session=6s&delays=topics&scope={scope}"));
    bus.declare(&[Declaration::of(topic.clone())]).await.expect("declared");
    bus
}

async fn publish(bus: &Arc<KafkaBus>, topic: &Destination, count: usize, delay: Duration) {
    let seams = Seams::system();
    let message = |number: usize| {
        let key = MessageKey::new(&format!("k{}", number % KEY_COUNT)).expect("legal");
        let message = Message::new(seams.message_id("tests"), (number / KEY_COUNT).to_string()).with_key(key);
        Outgoing::new(topic.clone(), message).delayed(delay)
    };
    let outcomes = bus.publish((0..count).map(message).collect()).await;
    assert!(outcomes.iter().all(PublishOutcome::is_accepted), "{outcomes:?}");
}

/// The bus ends as well: whoever comes next sends on.
pub(crate) async fn what_waits_outlives_a_killed_broker_and_keeps_the_order_of_its_keys() {
    const COUNT: usize = 200;
    let server = Server::kafka(19_292);
    let topic = Destination::new("outliving").expect("legal");
    let clock = Seams::system().clock;
    let first = bus_on(&server.url(), "tests", &topic).await;
    let due = clock.now() + Duration::from_secs(6);
    publish(&first, &topic, COUNT, Duration::from_secs(6)).await;
    server.signal("KILL");
    drop(first);
    server.start();
    let second = bus_on(&server.url(), "tests", &topic).await;
    let orders = receiver(&second, &topic).await;
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    let mut left = COUNT;
    while left > 0 {
        for delivery in take(&orders, 1, PATIENCE).await {
            assert!(clock.now() >= due, "{:?} early", due.since(clock.now()));
            let number: usize = String::from_utf8_lossy(delivery.message().body()).parse().expect("a number");
            let next = next.entry(delivery.message().key().expect("it had one").as_str().to_owned()).or_default();
            // What was sent on and not yet removed when the broker died may come once more.
            assert!(number <= *next, "{number} came before {next}");
            if number == *next {
                *next += 1;
                left -= 1;
            }
            let outcome = orders.settle(vec![delivery.ack()]).await;
            assert!(outcome.iter().all(SettleOutcome::is_settled), "{outcome:?}");
        }
    }
    second.close(PATIENCE).await.expect("closed");
}

pub(crate) async fn what_waits_never_expires_and_is_removed_when_it_was_sent_on() {
    let (scope, topic) = (fresh("scope"), Destination::new(&fresh("kept")).expect("legal"));
    let bus = bus_on(&tests::brokers::url("kafka"), &scope, &topic).await;
    publish(&bus, &topic, 100, Duration::from_secs(1)).await;
    publish(&bus, &topic, 1, Duration::from_secs(60 * 60)).await;
    let orders = receiver(&bus, &topic).await;
    let came = take(&orders, 100, PATIENCE).await;
    let acked = orders.settle(came.into_iter().map(Delivery::ack).collect()).await;
    assert!(acked.iter().all(SettleOutcome::is_settled), "{acked:?}");
    bus.close(PATIENCE).await.expect("closed");

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", tests::brokers::url("kafka").trim_start_matches("kafka://"));
    let asking: BaseConsumer = config.create().expect("a client");
    let kept = |level: &str| {
        let topic = format!("{scope}.__bus-delay.{level}");
        let kept = (0..4).map(|partition| asking.fetch_watermarks(&topic, partition, PATIENCE).expect("answered"));
        kept.fold((0, 0), |(count, passed), (low, high)| (count + high - low, passed + high))
    };
    assert_eq!(kept("1s"), (0, 100), "what was sent on is gone");
    assert_eq!(kept("1h"), (1, 1), "what waits is not");
    let admin: AdminClient<DefaultClientContext> = config.create().expect("a client");
    let name = format!("{scope}.__bus-delay.12h");
    let described = admin.describe_configs([&ResourceSpecifier::Topic(&name)], &AdminOptions::new()).await;
    let described = described.expect("answered").remove(0).expect("it is there");
    assert_eq!(described.get("retention.ms").and_then(|entry| entry.value.as_deref()), Some("-1"));
}
