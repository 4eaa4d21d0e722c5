//! On Kafka: publish confirmed, and consume with every message settled on its own, beside raw rdkafka
//! tuned alike and with tracked offsets. Interleaved, the raw client twice in each round, so that its
//! spread against itself is known; prints the median ratios, of the rates and of the processor time,
//! which a busy machine does not change. Consuming is measured from the assignment on, since librdkafka
//! reads ahead from then on.
//!
//! `tests/brokers up kafka && cargo bench -p tests --bench kafka`

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bus::clock::SystemClock;
use bus::{
    Bus, BusUrl, Clock, Declaration, Delivery, Destination, Group, Headers, Message, MessageId, MessageKey, Outgoing,
    Seams, SubscribeOptions, Subscription,
};
use bus_kafka::{KafkaBus, KafkaOptions};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

const MESSAGE_COUNT: usize = 200_000;
/// How often as many are published before they are consumed.
const FILL_COUNT: usize = 2;
const BODY_BYTES: usize = 1_024;
const KEY_COUNT: usize = 1_000;
const BATCH_COUNT: usize = 256;
const PUBLISHER_COUNT: usize = 16;
const PAIR_COUNT: usize = 7;
const HEADERS: [(&str, &str); 4] =
    [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("a", "1"), ("b", "2"), ("c", "3")];

struct Place {
    server: String,
    clock: Arc<SystemClock>,
    run: u64,
}

impl Place {
    fn begin(&self) -> Begun {
        Begun { at: self.clock.now(), processor_seconds: processor_seconds() }
    }

    fn measured(&self, count: usize, begun: &Begun) -> Measured {
        Measured {
            rate: count as f64 / self.clock.now().since(begun.at).as_secs_f64(),
            processor_micros: (processor_seconds() - begun.processor_seconds) * 1e6 / count as f64,
        }
    }

    fn topic(&self, name: &str) -> Destination {
        Destination::new(&format!("bench-{:x}-{name}", self.run)).expect("legal")
    }

    fn bus(&self) -> Arc<KafkaBus> {
        let url = BusUrl::parse(&format!("kafka://{}", self.server)).expect("a URL");
        KafkaBus::open(KafkaOptions::of(&url).expect("legal"), Seams::system()).expect("clients")
    }
}

#[derive(Clone, Copy)]
struct Begun {
    at: bus::Moment,
    processor_seconds: f64,
}

#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    /// All threads of this process, per message.
    processor_micros: f64,
}

/// What this process has used of the processors, in steps of 10 ms; 0 where Linux does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // In user and in system mode, the 14th and 15th field; the second, a name in brackets, may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
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

fn publish_raw(place: &Place, topic: &Destination) -> Measured {
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
    let begun = place.begin();
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
    place.measured(MESSAGE_COUNT, &begun)
}

fn key(number: usize) -> String {
    format!("ORD-{:08}", number % KEY_COUNT)
}

fn raw(server: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server);
    config
}

async fn publish_on_bus(place: &Place, bus: &Arc<KafkaBus>, topic: &Destination) -> Measured {
    let headers: Headers = HEADERS.into_iter().collect();
    let keys: Vec<MessageKey> = (0..KEY_COUNT).map(|number| MessageKey::new(&key(number)).expect("legal")).collect();
    let keys = Arc::new(keys);
    let begun = place.begin();
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
    place.measured(MESSAGE_COUNT, &begun)
}

/// Notes when partitions were assigned.
struct Assigned {
    clock: Arc<SystemClock>,
    begun: Arc<OnceLock<Begun>>,
}

impl ClientContext for Assigned {}

impl ConsumerContext for Assigned {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.begun.get_or_init(|| Begun { at: self.clock.now(), processor_seconds: processor_seconds() });
        }
    }
}

/// What a careful application does by hand: offsets in order of their partitions, settled one by one,
/// and committed up to the first that is not.
fn consume_raw(place: &Place, topic: &Destination, group: &str) -> Measured {
    let mut config = raw(&place.server);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "10");
    let assigned = Arc::new(OnceLock::new());
    let context = Assigned { clock: Arc::clone(&place.clock), begun: Arc::clone(&assigned) };
    let consumer = BaseConsumer::from_config_and_context(&config, context).expect("a consumer");
    consumer.subscribe(&[topic.as_str()]).expect("subscribed");
    let mut windows: BTreeMap<i32, BTreeMap<i64, bool>> = BTreeMap::new();
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut committed_at = place.clock.now();
    let mut count = 0;
    while count < FILL_COUNT * MESSAGE_COUNT {
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = record.expect("a record");
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
    place.measured(count, assigned.get().expect("assigned before something came"))
}

fn commit(consumer: &BaseConsumer<Assigned>, topic: &Destination, next: &BTreeMap<i32, i64>, mode: CommitMode) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in next {
        list.add_partition_offset(topic.as_str(), *partition, Offset::Offset(*offset)).expect("a legal offset");
    }
    consumer.commit(&list, mode).expect("committed");
}

async fn consume_on_bus(place: &Place, topic: &Destination, group: &str) -> Measured {
    let bus = place.bus();
    let group = Group::new(group).expect("legal");
    let declaration = Declaration { destination: topic.clone(), groups: vec![group.clone()] };
    bus.declare(&[declaration]).await.expect("declared");
    let subscription = Subscription::grouped(topic.clone(), group);
    let options = SubscribeOptions { prefetch_count_max: 4 * BATCH_COUNT, ..SubscribeOptions::default() };
    let receiver = bus.subscribe(&subscription, options).await.expect("declared");
    // Returns when partitions were assigned.
    let begun = place.begin();
    let mut deliveries = Vec::new();
    let mut count = 0;
    while count < FILL_COUNT * MESSAGE_COUNT {
        receiver.receive(BATCH_COUNT, &mut deliveries).await.expect("an open receiver");
        count += deliveries.len();
        for delivery in &deliveries {
            std::hint::black_box(delivery.message().body());
        }
        let outcomes = receiver.settle(deliveries.drain(..).map(Delivery::ack).collect()).await;
        assert!(outcomes.iter().all(bus::SettleOutcome::is_settled), "an ack was refused");
    }
    let measured = place.measured(count, &begun);
    bus.close(Duration::from_secs(20)).await.expect("the last commit is answered");
    measured
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

type Round = [Measured; 3];

fn told(what: &str, rounds: &[Round]) {
    for (unit, of) in [
        ("messages/s", (|measured: &Measured| measured.rate) as fn(&Measured) -> f64),
        ("processor time", |measured| measured.processor_micros),
    ] {
        let ratios = rounds.iter().map(|[one, ours, two]| of(ours) / ((of(one) + of(two)) / 2.0)).collect();
        let own: Vec<f64> = rounds.iter().map(|[one, _, two]| of(two) / of(one)).collect();
        let spread = own.iter().fold((f64::MAX, f64::MIN), |(low, high), ratio| (low.min(*ratio), high.max(*ratio)));
        println!(
            "{what}, {unit}: median ratio {:.3}; the raw client against itself: median {:.3}, from {:.3} to {:.3}",
            median(ratios),
            median(own),
            spread.0,
            spread.1
        );
    }
}

fn shown(what: &str, [one, ours, two]: &Round) {
    let text = |measured: &Measured| format!("{:.0}/s {:.2} us", measured.rate, measured.processor_micros);
    println!("{what}: raw {}, bus {}, raw {}", text(one), text(ours), text(two));
}

fn main() {
    let port = std::env::var("KAFKA_PORT").unwrap_or_else(|_| "9092".to_owned());
    let run = Seams::system().entropy.bits("bench", "run") as u64 & 0xffff_ffff;
    let place = Place { server: format!("127.0.0.1:{port}"), clock: Arc::new(SystemClock::new()), run };
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
        shown("publish", &[one, ours, two]);
        // The first warms the broker up.
        if round > 0 {
            rounds.push([one, ours, two]);
        }
    }
    told("publish", &rounds);
    let topic = place.topic("consume");
    runtime.block_on(bus.declare(&[Declaration::of(topic.clone())])).expect("declared");
    for _ in 0..FILL_COUNT {
        publish_raw(&place, &topic);
    }
    let mut rounds = Vec::new();
    for round in 0..=PAIR_COUNT {
        let one = consume_raw(&place, &topic, &format!("raw-{run:x}-{round}"));
        let ours = runtime.block_on(consume_on_bus(&place, &topic, &format!("bus-{round}")));
        let two = consume_raw(&place, &topic, &format!("again-{run:x}-{round}"));
        shown("consume", &[one, ours, two]);
        if round > 0 {
            rounds.push([one, ours, two]);
        }
    }
    told("consume", &rounds);
    runtime.block_on(bus.close(Duration::from_secs(20))).expect("closed");
}
