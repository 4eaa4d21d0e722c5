//! Messages that wait in delay topics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bus::dead_letter::Provenance;
use bus::{Bus as _, ClockExt as _, Declaration, Delivery, Destination, ErrorKind, Group, Seams, Subscription};
use bus_kafka::{KafkaBus, PartitionLag};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, PATIENCE, ack, body, close, declare, keyed, outgoing, publish, receiver, take, until};
use crate::quick;

const DELAYS: &str = "delays=topics";

/// What a bus has of the delay topics, in partitions.
fn shares(bus: &Arc<KafkaBus>) -> Vec<PartitionLag> {
    bus.lag().into_iter().filter(|lag| lag.group == "__bus-delay").collect()
}

fn names(shares: &[PartitionLag]) -> BTreeSet<(String, i32)> {
    shares.iter().map(|lag| (lag.topic.clone(), lag.partition)).collect()
}

#[tokio::test]
async fn a_delay_over_several_levels_is_not_early_and_equal_delays_keep_the_order_of_a_key() {
    let (cluster, seams) = (Cluster::start(), quick::seams());
    let bus = cluster.bus_in(DELAYS, seams.clone());
    let topic = cluster.topic("levels", 4);
    declare(&bus, &topic).await;
    // One minute, ten seconds, three seconds one by one and the two that are left.
    let delay = Duration::from_secs(75);
    let due = seams.clock.now() + delay;
    for number in 0..20 {
        let batch = ["a", "b", "c"].map(|key| keyed(&topic, key, number).delayed(delay));
        publish(&bus, batch.to_vec()).await;
    }
    let orders = receiver(&bus, &topic).await;
    let mut next = [0; 3];
    for _ in 0..60 {
        let delivery = take(&orders, 1).await.remove(0);
        assert!(seams.clock.now() >= due, "{} is early by {:?}", body(&delivery), due.since(seams.clock.now()));
        let key = usize::from(body(&delivery).as_bytes()[0] - b'a');
        assert_eq!(body(&delivery)[1..], next[key].to_string(), "in the order of its key");
        assert_eq!(delivery.message().headers().count(), 0, "nothing shows how it came");
        next[key] += 1;
        ack(&orders, delivery).await;
    }
    close(&bus).await;
}

#[tokio::test]
async fn what_waits_survives_a_restart_of_the_bus_and_of_the_broker_and_is_not_early() {
    let (cluster, seams) = (Cluster::start(), quick::seams());
    let topic = cluster.topic("restarted", 1);
    let first = cluster.bus_in(DELAYS, seams.clone());
    declare(&first, &topic).await;
    let due = seams.clock.now() + Duration::from_secs(120);
    publish(&first, (0..10).map(|number| keyed(&topic, "a", number).delayed(Duration::from_secs(120))).collect()).await;
    until("it was read", async || shares(&first).iter().any(|lag| lag.window_count > 0)).await;
    close(&first).await;
    cluster.0.broker_down(1).expect("the one there is");
    cluster.0.broker_up(1).expect("the one there is");

    let second = cluster.bus_in(DELAYS, seams.clone());
    let orders = receiver(&second, &topic).await;
    let came = take(&orders, 10).await;
    assert!(seams.clock.now() >= due);
    assert_eq!(
        came.iter().map(body).collect::<Vec<_>>(),
        (0..10).map(|number| format!("a{number}")).collect::<Vec<_>>()
    );
    for delivery in came {
        ack(&orders, delivery).await;
    }
    close(&second).await;
}

/// What was handed to the producer, and was not confirmed, goes with it.
#[tokio::test]
async fn a_bus_that_ends_before_what_it_sends_on_is_confirmed_loses_nothing() {
    const COUNT: usize = 100;
    let (cluster, clock) = (Cluster::start(), Seams::system().clock);
    let (receiving, sending) = (cluster.bus(""), cluster.bus(DELAYS));
    let topic = cluster.topic("ended", 4);
    declare(&sending, &topic).await;
    let orders = receiver(&receiving, &topic).await;
    until("it forwards", async || shares(&sending).len() == 24).await;
    let delay = Duration::from_secs(1);
    publish(&sending, (0..COUNT).map(|number| keyed(&topic, "a", number).delayed(delay)).collect()).await;
    // librdkafka sends again and again.
    let not_now = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 5_000];
    cluster.0.request_errors(RDKafkaApiKey::Produce, &not_now);
    clock.sleep(2 * delay).await;
    drop(sending);
    let another = cluster.bus(DELAYS);
    declare(&another, &topic).await;
    until("it took over", async || shares(&another).len() == 24).await;
    cluster.0.clear_request_errors(RDKafkaApiKey::Produce);
    for (number, delivery) in take(&orders, COUNT).await.into_iter().enumerate() {
        assert_eq!(body(&delivery), format!("a{number}"));
        ack(&orders, delivery).await;
    }
    close(&another).await;
    close(&receiving).await;
}

#[tokio::test]
async fn buses_share_the_forwarding_and_the_rest_goes_on_when_one_of_them_ends() {
    let cluster = Cluster::start();
    let (first, second) = (cluster.bus(DELAYS), cluster.bus(DELAYS));
    let topic = cluster.topic("shared", 4);
    declare(&first, &topic).await;
    declare(&second, &topic).await;
    until("all 24 partitions are shared", async || {
        let (one, other) = (names(&shares(&first)), names(&shares(&second)));
        !one.is_empty() && !other.is_empty() && one.is_disjoint(&other) && one.len() + other.len() == 24
    })
    .await;
    let batch = |from: usize, seconds: u64| {
        let keys = (from..from + 40).map(|number| keyed(&topic, &format!("k{number}-"), number));
        keys.map(|outgoing| outgoing.delayed(Duration::from_secs(seconds))).collect()
    };
    publish(&first, batch(0, 1)).await;
    publish(&second, batch(40, 6)).await;
    let orders = receiver(&first, &topic).await;
    let mut came: Vec<String> = Vec::new();
    for delivery in take(&orders, 40).await {
        came.push(body(&delivery));
        ack(&orders, delivery).await;
    }
    close(&second).await;
    for delivery in take(&orders, 40).await {
        came.push(body(&delivery));
        ack(&orders, delivery).await;
    }
    assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), 80, "each once, where nobody was killed: {came:?}");
    close(&first).await;
}

#[tokio::test]
async fn what_waits_long_is_not_read_whole_and_holds_nothing_shorter_up() {
    const COUNT: usize = 10_000;
    let cluster = Cluster::start();
    let bus = cluster.bus(DELAYS);
    let topic = cluster.topic("many", 1);
    declare(&bus, &topic).await;
    let hour = Duration::from_secs(60 * 60);
    publish(&bus, (0..COUNT).map(|number| keyed(&topic, &format!("k{number}-"), number).delayed(hour)).collect()).await;
    let of_an_hour = || shares(&bus).into_iter().filter(|lag| lag.topic == "__bus-delay.1h").collect::<Vec<_>>();
    until("as many are looked at as may be", async || {
        let lags = of_an_hour();
        lags.len() == 4 && lags.iter().all(|lag| lag.window_count >= 1_000)
    })
    .await;
    publish(&bus, vec![outgoing(&topic, b"soon").delayed(Duration::from_secs(1))]).await;
    let orders = receiver(&bus, &topic).await;
    let soon = take(&orders, 1).await.remove(0);
    assert_eq!(body(&soon), "soon");
    ack(&orders, soon).await;
    let lags = of_an_hour();
    assert!(lags.iter().all(|lag| lag.window_count < 1_600), "a bound and what one poll brings: {lags:?}");
    let depth = bus.depth(&Subscription::to(Destination::new("__bus-delay").expect("legal"))).await.expect("counted");
    assert!((COUNT..=COUNT + 1).contains(&depth.delayed_count), "{depth:?}");
    assert_eq!(depth.ready_count + depth.in_flight_count, 0);
    close(&bus).await;
}

/// Sends a record to the topic of the shortest wait.
fn send_foreign(cluster: &Cluster, delay: Option<&str>, body: &str) {
    let producer: BaseProducer = cluster.config().create().expect("a client");
    let mut headers = OwnedHeaders::new();
    if let Some(delay) = delay {
        headers = headers.insert(Header { key: "~delay", value: Some(delay) });
    }
    let headers = headers.insert(Header { key: "plain", value: Some("1") });
    let record = BaseRecord::<(), str>::to("__bus-delay.1s").payload(body).headers(headers);
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(PATIENCE).expect("it is taken");
}

#[tokio::test]
async fn what_cannot_be_sent_on_goes_to_the_dead_letters_of_the_delays_and_the_next_one_flows() {
    let cluster = Cluster::start();
    let bus = cluster.bus(DELAYS);
    let topic = cluster.topic("next", 1);
    declare(&bus, &topic).await;
    send_foreign(&cluster, None, "without");
    send_foreign(&cluster, Some("soon 0 next"), "unreadable");
    send_foreign(&cluster, Some("0 0 nowhere"), "gone");
    publish(&bus, vec![outgoing(&topic, b"good").delayed(Duration::from_millis(1))]).await;
    let graves = Destination::new("__bus-delay-dlq").expect("legal");
    let (orders, graves) = tokio::join!(receiver(&bus, &topic), receiver(&bus, &graves));
    let good = take(&orders, 1).await.remove(0);
    assert_eq!(body(&good), "good");
    ack(&orders, good).await;
    let mut buried = take(&graves, 3).await;
    buried.sort_by_key(body);
    let facts = |delivery: &Delivery| {
        let provenance = Provenance::of(delivery.message());
        let by = provenance.rejected_by.map(|by| by.to_string()).unwrap_or_default();
        assert_eq!(delivery.message().headers().text("plain"), Some("1"));
        (body(delivery), by, provenance.reason.unwrap_or_default())
    };
    let found: Vec<_> = buried.iter().map(facts).collect();
    for (found, (body, by, reason)) in found.iter().zip([
        ("gone", "nowhere", "could not be sent to nowhere"),
        ("unreadable", "__bus-delay", "nothing in front of its headers"),
        ("without", "__bus-delay", "nothing in front of its headers"),
    ]) {
        assert_eq!((found.0.as_str(), found.1.as_str()), (body, by), "{found:?}");
        assert!(found.2.contains(reason), "{found:?}");
    }
    for delivery in buried {
        ack(&graves, delivery).await;
    }
    close(&bus).await;
}

#[tokio::test]
async fn what_is_due_and_was_not_accepted_is_sent_again() {
    let cluster = Cluster::start();
    let bus = cluster.bus(DELAYS);
    let topic = cluster.topic("again", 1);
    declare(&bus, &topic).await;
    publish(&bus, vec![outgoing(&topic, b"1").delayed(Duration::from_secs(1))]).await;
    // A no that is mended by somebody, and that librdkafka does not try again.
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.0.request_errors(RDKafkaApiKey::Produce, &[denied]);
    let orders = receiver(&bus, &topic).await;
    let one = take(&orders, 1).await.remove(0);
    assert_eq!(body(&one), "1");
    ack(&orders, one).await;
    close(&bus).await;
}

#[tokio::test]
async fn the_names_of_the_topics_in_between_are_none_for_destinations() {
    let cluster = Cluster::start();
    let bus = cluster.bus("");
    let legal = |name: &str| Destination::new(name).expect("legal");
    let grouped = Declaration { destination: legal("a"), groups: vec![Group::new("__bus-retry").expect("legal")] };
    let names = ["__bus-delay.1s", "team-a.__bus-delay", "orders.__bus-retry"];
    for own in names.map(|name| Declaration::of(legal(name))).into_iter().chain([grouped]) {
        let error = bus.declare(&[own]).await.expect_err("kept");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("`__bus-`"), "{error}");
    }
    close(&bus).await;
}
