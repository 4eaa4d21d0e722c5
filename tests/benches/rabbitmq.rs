//! RabbitMQ: publish confirmed, consume with every message settled on its own, beside lapin itself,
//! well tuned, at equal guarantees: persistent, mandatory, a window of confirms, prefetch, acks in
//! flight. Interleaved pairs of raw, ours and raw again, since machines are noisy: the ratio of each
//! pair, their median, and the spread of the raw client against itself. Each run has a queue of its
//! own: a quorum queue may hand out again what was acknowledged just before its channel closed.
//!
//! `tests/brokers up rabbitmq && cargo bench -p tests --bench rabbitmq`

use std::sync::Arc;
use std::time::Duration;

use bus::clock::SystemClock;
use bus::{
    Bus, BusUrl, Clock, Declaration, Delivery, Destination, Message, MessageId, Outgoing, PublishOutcome, Receiver,
    Seams, SubscribeOptions, Subscription,
};
use bus_amqp::{AmqpBus, AmqpOptions};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::task::JoinSet;

const MESSAGE_COUNT: usize = 20_000;
const BODY_BYTES: usize = 1_024;
const WINDOW_COUNT: usize = 2_048;
const PREFETCH_COUNT: usize = 256;
const BATCH_COUNT: usize = 256;
const PAIR_COUNT: usize = 7;

fn id(number: usize) -> MessageId {
    MessageId::from_uuid(uuid::Uuid::from_u64_pair(1, number as u64))
}

fn rate(clock: &SystemClock) -> f64 {
    MESSAGE_COUNT as f64 / clock.now().since_origin().as_secs_f64()
}

/// How the raw client acknowledges. Ours settles each message on its own, and covers with one frame
/// what it settles together.
#[derive(Clone, Copy)]
enum Acks {
    /// A frame for each delivery.
    Each,
    /// A frame for all that is there.
    Covering,
}

/// One connection and one task to publish, and one each to consume, as ours has.
async fn raw(url: &str, queue: &str, acks: Acks) -> lapin::Result<f64> {
    let publishing = Connection::connect(url, ConnectionProperties::default()).await?;
    let consuming = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = publishing.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let receiving = consuming.create_channel().await?;
    receiving.basic_qos(u16::try_from(PREFETCH_COUNT).expect("small"), BasicQosOptions::default()).await?;
    let consume =
        receiving.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let consumer = consume.await?;
    let clock = SystemClock::new();
    let mut both = JoinSet::new();
    let publish = publish_raw(channel.clone(), queue.to_owned());
    both.spawn(async move {
        publish.await;
        None
    });
    both.spawn(consume_raw(receiving.clone(), consumer, acks).map(Some));
    // A consumer that is dropped is cancelled in the background, beside the end of its channel.
    let _consumer = both.join_all().await;
    // With its answer everything acknowledged before has arrived.
    receiving.close(200, "done".into()).await?;
    let rate = rate(&clock);
    // One that is dropped is closed in the background, beside the end of its connection.
    channel.close(200, "done".into()).await?;
    publishing.close(200, "done".into()).await?;
    consuming.close(200, "done".into()).await?;
    Ok(rate)
}

async fn publish_raw(channel: Channel, queue: String) {
    let mut window = FuturesUnordered::new();
    for number in 0..MESSAGE_COUNT {
        while window.len() >= WINDOW_COUNT {
            confirmed(&window.next().await);
        }
        let (channel, body, queue) = (&channel, vec![b'x'; BODY_BYTES], queue.as_str().into());
        window.push(async move {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let properties = properties.with_message_id(id(number).to_string().into());
            let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
            channel.basic_publish("".into(), queue, mandatory, &body, properties).await?.await
        });
        // Begins it: what is only pushed does not move.
        while let Some(Some(answer)) = window.next().now_or_never() {
            confirmed(&Some(answer));
        }
    }
    while let Some(answer) = window.next().await {
        confirmed(&Some(answer));
    }
}

fn confirmed(answer: &Option<lapin::Result<lapin::Confirmation>>) {
    assert!(matches!(answer, Some(Ok(lapin::Confirmation::Ack(None)))), "{answer:?}");
}

async fn consume_raw(channel: Channel, mut consumer: Consumer, acks: Acks) -> Consumer {
    // The frame is queued when the call is first polled; there is no answer to wait for.
    let ack = |tag: u64, multiple: bool| {
        let failed = matches!(channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never(), Some(Err(_)));
        assert!(!failed, "the channel is there");
    };
    let mut left = MESSAGE_COUNT;
    while left > 0 {
        let mut next = Some(consumer.next().await);
        let mut last_tag = 0;
        while let Some(delivery) = next {
            last_tag = delivery.expect("the queue is there").expect("the channel is there").delivery_tag;
            left -= 1;
            if matches!(acks, Acks::Each) {
                ack(last_tag, false);
            }
            next = consumer.next().now_or_never();
        }
        if matches!(acks, Acks::Covering) {
            ack(last_tag, true);
        }
    }
    consumer
}

async fn ours(bus: Arc<dyn Bus>, destination: &Destination) -> f64 {
    let options = SubscribeOptions { prefetch_count_max: PREFETCH_COUNT, ..SubscribeOptions::default() };
    let receiver = bus.subscribe(&Subscription::to(destination.clone()), options).await.expect("it is declared");
    let clock = SystemClock::new();
    let mut both = JoinSet::new();
    both.spawn(publish_ours(Arc::clone(&bus), destination.clone()));
    both.spawn(consume_ours(Arc::clone(&receiver)));
    both.join_all().await;
    receiver.close().await;
    let rate = rate(&clock);
    bus.close(Duration::from_secs(10)).await.expect("nothing is left");
    rate
}

async fn publish_ours(bus: Arc<dyn Bus>, destination: Destination) {
    let mut calls = FuturesUnordered::new();
    for first in (0..MESSAGE_COUNT).step_by(BATCH_COUNT) {
        while calls.len() >= WINDOW_COUNT / BATCH_COUNT {
            accepted(calls.next().await);
        }
        let numbers = first..(first + BATCH_COUNT).min(MESSAGE_COUNT);
        let body = || vec![b'x'; BODY_BYTES];
        let batch = numbers.map(|number| Outgoing::new(destination.clone(), Message::new(id(number), body())));
        calls.push(bus.publish(batch.collect()));
        while let Some(Some(answer)) = calls.next().now_or_never() {
            accepted(Some(answer));
        }
    }
    while let Some(answer) = calls.next().await {
        accepted(Some(answer));
    }
}

fn accepted(answer: Option<Vec<PublishOutcome>>) {
    assert!(answer.is_some_and(|outcomes| outcomes.iter().all(PublishOutcome::is_accepted)));
}

async fn consume_ours(receiver: Arc<dyn Receiver>) {
    let (mut left, mut into) = (MESSAGE_COUNT, Vec::new());
    while left > 0 {
        receiver.receive(PREFETCH_COUNT, &mut into).await.expect("it is open");
        left = left.checked_sub(into.len()).expect("each comes once");
        let outcomes = receiver.settle(into.drain(..).map(Delivery::ack).collect()).await;
        assert!(outcomes.iter().all(bus::SettleOutcome::is_settled));
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// One kind of queue: how a bus is told of it, and how many of it were made.
struct Kind {
    name: &'static str,
    url: String,
    options: &'static str,
    queue_count: usize,
}

impl Kind {
    fn bus(&self) -> Arc<dyn Bus> {
        let url = BusUrl::parse(&format!("{}{}", self.url, self.options)).expect("a URL");
        AmqpBus::open(AmqpOptions::of(&url).expect("legal"), Seams::system())
    }

    async fn fresh_queue(&mut self) -> Destination {
        self.queue_count += 1;
        let name = format!("bench-{}-{}-{}", self.name, std::process::id(), self.queue_count);
        let destination = Destination::new(&name).expect("legal");
        let bus = self.bus();
        bus.declare(&[Declaration::of(destination.clone())]).await.expect("declared");
        bus.close(Duration::from_secs(10)).await.expect("nothing is left");
        destination
    }

    async fn delete(&self, destination: &Destination) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.expect("it connects");
        let channel = connection.create_channel().await.expect("a channel");
        for queue in [destination.as_str(), destination.dead_letters().expect("legal").as_str()] {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
        }
        connection.close(200, "done".into()).await.expect("it closes");
    }

    async fn raw(&mut self, acks: Acks) -> f64 {
        let destination = self.fresh_queue().await;
        let rate = raw(&self.url, destination.as_str(), acks).await.expect("the raw client");
        self.delete(&destination).await;
        rate
    }

    async fn ours(&mut self) -> f64 {
        let destination = self.fresh_queue().await;
        let rate = ours(self.bus(), &destination).await;
        self.delete(&destination).await;
        rate
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let port = std::env::var("RABBITMQ_PORT").unwrap_or_else(|_| "5672".to_owned());
    let url = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
    if std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        println!("skipped: no RabbitMQ on port {port}; run `tests/brokers up rabbitmq`");
        return;
    }
    for (name, options) in [("quorum", ""), ("classic", "?queue=classic")] {
        let mut kind = Kind { name, url: url.clone(), options, queue_count: 0 };
        // Warm-up of the server and its disk.
        kind.raw(Acks::Each).await;
        for (acks, description) in [(Acks::Each, "acks one by one"), (Acks::Covering, "acks all that is there at once")]
        {
            let (mut ratios, mut against_itself) = (Vec::new(), Vec::new());
            println!("{name} queue, the raw client {description}:");
            for _ in 0..PAIR_COUNT {
                let (before, between, after) = (kind.raw(acks).await, kind.ours().await, kind.raw(acks).await);
                let ratio = between / f64::midpoint(before, after);
                println!("  raw {before:.0}/s, ours {between:.0}/s, raw {after:.0}/s, ratio {ratio:.3}");
                ratios.push(ratio);
                against_itself.push(after / before);
            }
            let spread = |pick: fn(f64, f64) -> f64, start| against_itself.iter().copied().fold(start, pick);
            let (low, high) = (spread(f64::min, f64::MAX), spread(f64::max, f64::MIN));
            println!("  median ratio {:.3}; raw against itself {low:.3} to {high:.3}", median(ratios));
        }
    }
}
