//! What is nacked with a delay and comes back by a topic.

use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus as _, Capability, Declaration, Delivery, Group, Receiver, ReceiverExt as _, Seams, SettleOutcome,
    SubscribeOptions, Subscription, capability::Order,
};
use bus_kafka::KafkaBus;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, PATIENCE, ack, body, close, declare, keyed, outgoing, publish, receiver, take, until};

const RETRIES: &str = "delays=topics&retries=topics";

async fn nack(receiver: &Arc<dyn Receiver>, delivery: Delivery, after: Duration) {
    let outcome = receiver.settle_one(delivery.nack(after)).await;
    assert!(matches!(outcome, SettleOutcome::Sent), "{outcome:?}");
}

/// What was settled, and what waits for it, in the partitions of a topic.
fn watermarks(bus: &Arc<KafkaBus>, topic: &str) -> Vec<(Option<i64>, usize)> {
    let lags = bus.lag().into_iter().filter(|lag| lag.topic == topic);
    lags.map(|lag| (lag.watermark, lag.window_count)).collect()
}

#[tokio::test]
async fn a_message_that_waits_for_its_retry_holds_neither_the_watermark_nor_its_key() {
    let cluster = Cluster::start();
    let bus = cluster.bus(RETRIES);
    let Capability { order, delay_max, nack_delay_max, .. } = bus.capability().clone();
    assert_eq!((order, delay_max), (Order::None, nack_delay_max), "told");
    let topic = cluster.topic("slow", 1);
    declare(&bus, &topic).await;
    let mut first = keyed(&topic, "a", 1);
    first.message_mut().headers_mut().set("plain", "1");
    let sent = first.message().clone();
    publish(&bus, vec![first, keyed(&topic, "a", 2)]).await;
    let orders = receiver(&bus, &topic).await;
    let mut both = take(&orders, 2).await.into_iter();
    let (first, second) = (both.next().expect("taken"), both.next().expect("taken"));
    let clock = Seams::system().clock;
    let due = clock.now() + Duration::from_secs(2);
    nack(&orders, first, Duration::from_secs(2)).await;
    ack(&orders, second).await;
    assert_eq!(watermarks(&bus, "slow"), [(Some(2), 0)], "passed, and nothing waits in the window");
    publish(&bus, vec![keyed(&topic, "a", 3)]).await;
    let third = take(&orders, 1).await.remove(0);
    assert_eq!(body(&third), "a3", "its key goes on");
    ack(&orders, third).await;
    for round in 0..2 {
        let again = take(&orders, 1).await.remove(0);
        assert!(round > 0 || clock.now() >= due, "{:?} early", due.since(clock.now()));
        assert_eq!(again.message(), &sent, "as it was sent");
        match round {
            0 => nack(&orders, again, Duration::from_millis(1)).await,
            _ => ack(&orders, again).await,
        }
    }
    close(&bus).await;
}

#[tokio::test]
async fn a_retry_is_seen_by_its_own_group_alone_and_by_another_process_of_it() {
    let cluster = Cluster::start();
    let (bus, other) = (cluster.bus(RETRIES), cluster.bus(RETRIES));
    let topic = cluster.topic("grouped", 1);
    let group = Group::new("audit").expect("legal");
    let declaration = Declaration { destination: topic.clone(), groups: vec![group.clone()] };
    bus.declare(&[declaration]).await.expect("declared");
    let audit = Subscription::grouped(topic.clone(), group);
    let (audit, orders) = tokio::join!(bus.subscribe(&audit, SubscribeOptions::default()), receiver(&bus, &topic));
    let audit = audit.expect("declared");
    publish(&bus, vec![outgoing(&topic, b"1")]).await;
    nack(&orders, take(&orders, 1).await.remove(0), Duration::from_secs(1)).await;
    // Whoever of the group reads the retries gets it.
    orders.close().await;
    let orders = receiver(&other, &topic).await;
    let again = take(&orders, 1).await.remove(0);
    assert_eq!(body(&again), "1");
    ack(&orders, again).await;
    publish(&bus, vec![outgoing(&topic, b"2")]).await;
    for expected in ["1", "2"] {
        let delivery = take(&audit, 1).await.remove(0);
        assert_eq!(body(&delivery), expected, "nothing between them");
        ack(&audit, delivery).await;
    }
    close(&other).await;
    close(&bus).await;
}

#[tokio::test]
async fn a_foreign_message_comes_again_under_the_id_it_had() {
    let cluster = Cluster::start();
    let bus = cluster.bus(RETRIES);
    let topic = cluster.topic("foreign", 1);
    declare(&bus, &topic).await;
    let producer: BaseProducer = cluster.config().create().expect("a client");
    let headers = OwnedHeaders::new().insert(Header { key: "~retry", value: Some("7") });
    let record = BaseRecord::<str, str>::to("foreign").key("k").payload("{}").headers(headers);
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(PATIENCE).expect("it is taken");
    let orders = receiver(&bus, &topic).await;
    let mut delivery = take(&orders, 1).await.remove(0);
    let sent = delivery.message().clone();
    assert!(sent.is_foreign());
    assert_eq!((sent.id().to_string().as_str(), sent.headers().text("~retry")), ("foreign/0/0", Some("7")));
    for _ in 0..2 {
        nack(&orders, delivery, Duration::from_millis(1)).await;
        delivery = take(&orders, 1).await.remove(0);
        assert_eq!(delivery.message(), &sent);
    }
    ack(&orders, delivery).await;
    close(&bus).await;
}

#[tokio::test]
async fn a_message_whose_copy_is_not_accepted_waits_here_as_long_as_was_asked_for() {
    let cluster = Cluster::start();
    let bus = cluster.bus(RETRIES);
    let topic = cluster.topic("refused", 1);
    declare(&bus, &topic).await;
    publish(&bus, vec![outgoing(&topic, b"1")]).await;
    let orders = receiver(&bus, &topic).await;
    let delivery = take(&orders, 1).await.remove(0);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.0.request_errors(RDKafkaApiKey::Produce, &[denied]);
    let clock = Seams::system().clock;
    let due = clock.now() + Duration::from_secs(1);
    nack(&orders, delivery, Duration::from_secs(1)).await;
    assert_eq!(watermarks(&bus, "refused"), [(Some(0), 1)], "it is not settled");
    let again = take(&orders, 1).await.remove(0);
    assert!(clock.now() >= due);
    ack(&orders, again).await;
    until("it is settled", async || watermarks(&bus, "refused") == [(Some(1), 0)]).await;
    close(&bus).await;
}

#[tokio::test]
async fn what_is_rejected_after_a_retry_is_among_the_dead_letters_of_its_destination() {
    let cluster = Cluster::start();
    let bus = cluster.bus(RETRIES);
    let topic = cluster.topic("dying", 1);
    declare(&bus, &topic).await;
    publish(&bus, vec![outgoing(&topic, b"1")]).await;
    let graves = topic.dead_letters().expect("legal");
    let (orders, graves) = tokio::join!(receiver(&bus, &topic), receiver(&bus, &graves));
    nack(&orders, take(&orders, 1).await.remove(0), Duration::from_millis(1)).await;
    let again = take(&orders, 1).await.remove(0);
    assert!(orders.settle_one(again.reject("no good")).await.is_settled());
    let buried = take(&graves, 1).await.remove(0);
    let provenance = bus::dead_letter::Provenance::of(buried.message());
    assert_eq!(provenance.rejected_by, Some(Subscription::to(topic)));
    assert_eq!(body(&buried), "1");
    ack(&graves, buried).await;
    close(&bus).await;
}
