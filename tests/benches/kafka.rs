//! On Kafka: publish confirmed, and consume with every message settled on its own, beside raw rdkafka
//! tuned alike and with tracked offsets. Interleaved, the raw client twice in each round, so that its
//! spread against itself is known; prints the median ratios.
//!
//! `tests/brokers up kafka && cargo bench -p tests --bench kafka`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::clock::SystemClock;
use bus::{
    Bus, BusUrl, Clock, Declaration, Delivery, Destination, Group, Headers, Message, MessageId, MessageKey, Outgoing,
    Seams, SubscribeOptions, Subscription,
};
use bus_kafka::{KafkaBus, KafkaOptions};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

const MESSAGE_COUNT: usize = 100_000;
const BODY_BYTES: usize = 1_024;
const KEY_COUNT: usize = 1_000;
const BATCH_COUNT: usize = 256;
const PUBLISHER_COUNT: usize = 16;
const PAIR_COUNT: usize = 7;
const HEADERS: [(&str, &str); 4] =
    [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("a", "1"), ("b", "2"), ("c", "3")];

struct Place {
    server: String,
    clock: SystemClock,
    run: u64,
}

impl Place {
    fn rate(&self, then: bus::Moment) -> f64 {
        MESSAGE_COUNT as f64 / self.clock.now().since(then).as_secs_f64()
    }

    fn topic(&self, name: &str) -> Destination {
        Destination::new(&format!("bench-{:x}-{name}", self.run)).expect("legal")
    }

    fn bus(&self) -> Arc<KafkaBus> {
        let url = BusUrl::parse(&format!("kafka://{}", self.server)).expect("a URL");
        KafkaBus::open(KafkaOptions::of(&url).expect("legal"), Seams::system()).expect("clients")
    }
}

struct Counted(AtomicUsize);

impl ClientContext for Counted {}

impl ProducerContext for Counted {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, _: usize) {
        assert!(report.is_ok(), "a record was not taken");
        self.0.fetch_add(1, Ordering::Release);
    }
}

fn publish_raw(place: &Place, topic: &Destination) -> f64 {
    let config = raw(&place.server)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("partitioner", "murmur2_random")
        .clone();
    let counted = Counted(AtomicUsize::new(0));
    let producer = ThreadedProducer::from_config_and_context(&config, counted).expect("a producer");
    producer.client().fetch_metadata(Some(topic.as_str()), Duration::from_secs(5)).expect("connected");
    let body = vec![b'x'; BODY_BYTES];
    let then = place.clock.now();
    for number in 0..MESSAGE_COUNT {
        let id = uuid::Uuid::from_u64_pair(1, number as u64).to_string();
        let mut headers = OwnedHeaders::new_with_capacity(5);
        headers = headers.insert(Header { key: "x-message-id", value: Some(&id) });
        for (key, value) in HEADERS {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let key = key(number);
        let mut record = BaseRecord::with_opaque_to(topic.as_str(), number).payload(&body).key(&key).headers(headers);
        while let Err((error, given_back)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(1));
            record = given_back;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("all is taken");
    place.rate(then)
}

fn key(number: usize) -> String {
    format!("ORD-{:08}", number % KEY_COUNT)
}

fn raw(server: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server);
    config
}

async fn publish_on_bus(place: &Place, bus: &Arc<KafkaBus>, topic: &Destination) -> f64 {
    let headers: Headers = HEADERS.into_iter().collect();
    let keys: Vec<MessageKey> = (0..KEY_COUNT).map(|number| MessageKey::new(&key(number)).expect("legal")).collect();
    let keys = Arc::new(keys);
    let then = place.clock.now();
    let mut publishers = tokio::task::JoinSet::new();
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..PUBLISHER_COUNT {
        let (bus, next, topic, headers, keys) =
            (Arc::clone(bus), Arc::clone(&next), topic.clone(), headers.clone(), Arc::clone(&keys));
        publishers.spawn(async move {
            loop {
                let first = next.fetch_add(BATCH_COUNT, Ordering::Relaxed);
                if first >= MESSAGE_COUNT {
                    return;
                }
                let batch = (first..(first + BATCH_COUNT).min(MESSAGE_COUNT)).map(|number| {
                    let id = MessageId::from_uuid(uuid::Uuid::from_u64_pair(1, number as u64));
                    let message = Message::new(id, vec![b'x'; BODY_BYTES])
                        .with_key(keys[number % KEY_COUNT].clone())
                        .with_headers(headers.clone());
                    Outgoing::new(topic.clone(), message)
                });
                let outcomes = bus.publish(batch.collect()).await;
                assert!(outcomes.iter().all(bus::PublishOutcome::is_accepted), "a message was not taken");
            }
        });
    }
    publishers.join_all().await;
    place.rate(then)
}

/// What a careful application does by hand: offsets in order of their partitions, settled one by one,
/// and committed up to the first that is not.
fn consume_raw(place: &Place, topic: &Destination, group: &str) -> f64 {
    let consumer: BaseConsumer = raw(&place.server)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[topic.as_str()]).expect("subscribed");
    let mut windows: BTreeMap<i32, BTreeMap<i64, bool>> = BTreeMap::new();
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut then = None;
    let mut committed_at = place.clock.now();
    let mut count = 0;
    while count < MESSAGE_COUNT {
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = record.expect("a record");
        then.get_or_insert_with(|| place.clock.now());
        // An application takes its message along, headers and all.
        let owned = (record.payload().map(<[u8]>::to_vec), record.key().map(<[u8]>::to_vec));
        let headers: Vec<(String, Vec<u8>)> = record
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter())
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect();
        std::hint::black_box((owned, headers));
        let window = windows.entry(record.partition()).or_default();
        window.insert(record.offset(), false);
        window.insert(record.offset(), true);
        while window.first_key_value().is_some_and(|(_, is_settled)| *is_settled) {
            let (offset, _) = window.pop_first().expect("there is one");
            next.insert(record.partition(), offset + 1);
        }
        count += 1;
        if count % BATCH_COUNT == 0 && place.clock.now().since(committed_at) > Duration::from_millis(200) {
            committed_at = place.clock.now();
            commit(&consumer, topic, &next, CommitMode::Async);
        }
    }
    commit(&consumer, topic, &next, CommitMode::Sync);
    place.rate(then.expect("something came"))
}

fn commit(consumer: &BaseConsumer, topic: &Destination, next: &BTreeMap<i32, i64>, mode: CommitMode) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in next {
        list.add_partition_offset(topic.as_str(), *partition, Offset::Offset(*offset)).expect("a legal offset");
    }
    consumer.commit(&list, mode).expect("committed");
}

async fn consume_on_bus(place: &Place, topic: &Destination, group: &str) -> f64 {
    let bus = place.bus();
    let group = Group::new(group).expect("legal");
    let declaration = Declaration { destination: topic.clone(), groups: vec![group.clone()] };
    bus.declare(&[declaration]).await.expect("declared");
    let subscription = Subscription::grouped(topic.clone(), group);
    let options = SubscribeOptions { prefetch_count_max: 4 * BATCH_COUNT, ..SubscribeOptions::default() };
    let receiver = bus.subscribe(&subscription, options).await.expect("declared");
    let mut deliveries = Vec::new();
    let mut then = None;
    let mut count = 0;
    while count < MESSAGE_COUNT {
        receiver.receive(BATCH_COUNT, &mut deliveries).await.expect("an open receiver");
        then.get_or_insert_with(|| place.clock.now());
        count += deliveries.len();
        for delivery in &deliveries {
            std::hint::black_box(delivery.message().body());
        }
        let outcomes = receiver.settle(deliveries.drain(..).map(Delivery::ack).collect()).await;
        assert!(outcomes.iter().all(bus::SettleOutcome::is_settled), "an ack was refused");
    }
    let rate = place.rate(then.expect("something came"));
    bus.close(Duration::from_secs(20)).await.expect("the last commit is answered");
    rate
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn told(what: &str, rounds: &[(f64, f64, f64)]) {
    let ratios: Vec<f64> = rounds.iter().map(|(one, ours, two)| ours / ((one + two) / 2.0)).collect();
    let own: Vec<f64> = rounds.iter().map(|(one, _, two)| two / one).collect();
    let spread = own.iter().fold((f64::MAX, f64::MIN), |(low, high), ratio| (low.min(*ratio), high.max(*ratio)));
    println!(
        "{what}: median ratio {:.3}; the raw client against itself: median {:.3}, from {:.3} to {:.3}",
        median(ratios),
        median(own),
        spread.0,
        spread.1
    );
}

fn main() {
    let port = std::env::var("KAFKA_PORT").unwrap_or_else(|_| "9092".to_owned());
    let run = Seams::system().entropy.bits("bench", "run") as u64 & 0xffff_ffff;
    let place = Place { server: format!("127.0.0.1:{port}"), clock: SystemClock::new(), run };
    if std::net::TcpStream::connect(&place.server).is_err() {
        println!("no Kafka at {}; run `tests/brokers up kafka`", place.server);
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let bus = place.bus();
    println!("{MESSAGE_COUNT} messages of {BODY_BYTES} bytes, key, four headers; {PAIR_COUNT} interleaved rounds");
    let topic = place.topic("publish");
    runtime.block_on(bus.declare(&[Declaration::of(topic.clone())])).expect("declared");
    let mut rounds = Vec::new();
    for round in 0..=PAIR_COUNT {
        let one = publish_raw(&place, &topic);
        let ours = runtime.block_on(publish_on_bus(&place, &bus, &topic));
        let two = publish_raw(&place, &topic);
        println!("publish: raw {one:.0}/s, bus {ours:.0}/s, raw {two:.0}/s");
        // The first warms the broker up.
        if round > 0 {
            rounds.push((one, ours, two));
        }
    }
    told("publish", &rounds);
    let topic = place.topic("consume");
    runtime.block_on(bus.declare(&[Declaration::of(topic.clone())])).expect("declared");
    publish_raw(&place, &topic);
    let mut rounds = Vec::new();
    for round in 0..=PAIR_COUNT {
        let one = consume_raw(&place, &topic, &format!("raw-{run:x}-{round}"));
        let ours = runtime.block_on(consume_on_bus(&place, &topic, &format!("bus-{round}")));
        let two = consume_raw(&place, &topic, &format!("again-{run:x}-{round}"));
        println!("consume: raw {one:.0}/s, bus {ours:.0}/s, raw {two:.0}/s");
        if round > 0 {
            rounds.push((one, ours, two));
        }
    }
    told("consume", &rounds);
    runtime.block_on(bus.close(Duration::from_secs(20))).expect("closed");
}
