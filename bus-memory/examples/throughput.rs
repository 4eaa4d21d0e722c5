//! How fast messages go from `publish` to settled, next to a bare bounded channel.
//!
//! `cargo run --release -p bus-memory --example throughput [messages]`: two threads, 1 KiB body, a
//! key of its own and four headers per message, publish 64 at a time, receive up to 256. The
//! channel carries the same messages one by one and promises nothing about them.

use std::sync::Arc;

use bus::{
    Bus, Declaration, Delivery, Destination, Headers, Message, MessageId, MessageKey, Outgoing, Seams,
    SubscribeOptions, Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};
use bytes::Bytes;

const PUBLISH_COUNT: usize = 64;
const RECEIVE_COUNT: usize = 256;
const CHANNEL_COUNT: usize = 1_024;
const KEY_COUNT: usize = 1_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for is_anew in [false, true] {
        println!("key and headers of a message {}", if is_anew { "made anew" } else { "shared with others" });
        let producer = Producer::new(is_anew);
        for _ in 0..ROUNDS {
            let channel = runtime.block_on(through_channel(producer.clone(), count, 1));
            let batches = runtime.block_on(through_channel(producer.clone(), count, RECEIVE_COUNT));
            let bus = runtime.block_on(through_bus(producer.clone(), count))?;
            println!(
                "bus {:.2} M/s · bare channel {:.2} M/s, ratio {:.2} · received in batches {:.2} M/s, ratio {:.2}",
                bus / 1e6,
                channel / 1e6,
                bus / channel,
                batches / 1e6,
                bus / batches
            );
        }
    }
    Ok(())
}

/// Makes messages with a body of their own.
#[derive(Clone)]
struct Producer {
    seams: Seams,
    id: MessageId,
    body: Vec<u8>,
    keys: Vec<MessageKey>,
    headers: Headers,
    /// Whether key and headers are made per message too, as by a producer that traces.
    is_anew: bool,
}

impl Producer {
    fn new(is_anew: bool) -> Self {
        let seams = Seams::system();
        let id = seams.message_id("throughput");
        let keys = (0..KEY_COUNT).map(key).collect();
        Self { id, seams, body: vec![b'x'; 1_024], keys, headers: headers(0), is_anew }
    }

    fn message(&self, number: usize) -> Message {
        let message = Message::new(self.id.clone(), self.body.clone());
        if self.is_anew {
            message.with_key(key(number % KEY_COUNT)).with_headers(headers(number))
        } else {
            message.with_key(self.keys[number % KEY_COUNT].clone()).with_headers(self.headers.clone())
        }
    }
}

fn key(number: usize) -> MessageKey {
    MessageKey::new(&format!("ORD-{number:08}")).expect("a legal key")
}

fn headers(number: usize) -> Headers {
    let trace = Bytes::from(format!("00-{number:032x}-{number:016x}-01"));
    let pairs = [
        ("traceparent", trace),
        ("tenant", Bytes::from_static(b"a")),
        ("schema", Bytes::from_static(b"order/1")),
        ("origin", Bytes::from_static(b"producer")),
    ];
    pairs.into_iter().collect()
}

/// `receive_count` 1 is the channel as most use it.
async fn through_channel(producer: Producer, count: usize, receive_count: usize) -> f64 {
    let clock = Arc::clone(&producer.seams.clock);
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Message>(CHANNEL_COUNT);
    let begin = clock.now();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        for number in 0..count {
            if sender.send(producer.message(number)).await.is_err() {
                return;
            }
        }
    });
    tasks.spawn(async move {
        let mut batch = Vec::with_capacity(receive_count);
        while receiver.recv_many(&mut batch, receive_count).await > 0 {
            batch.clear();
        }
    });
    tasks.join_all().await;
    count as f64 / clock.now().since(begin).as_secs_f64()
}

async fn through_bus(producer: Producer, count: usize) -> bus::Result<f64> {
    let options = MemoryOptions { capacity_count: CHANNEL_COUNT, ..MemoryOptions::default() };
    let bus = MemoryBus::new(producer.seams.clone(), options);
    let orders = Destination::new("orders")?;
    bus.declare(&[Declaration::of(orders.clone())]).await?;
    let receiver = bus.subscribe(&Subscription::to(orders.clone()), SubscribeOptions::default()).await?;
    let clock = Arc::clone(&producer.seams.clock);
    let begin = clock.now();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        for first in (0..count).step_by(PUBLISH_COUNT) {
            let numbers = first..count.min(first + PUBLISH_COUNT);
            let batch = numbers.map(|number| Outgoing::new(orders.clone(), producer.message(number))).collect();
            assert!(bus.publish(batch).await.iter().all(bus::PublishOutcome::is_accepted));
        }
    });
    tasks.spawn(async move {
        let mut settled_count = 0;
        let mut deliveries = Vec::with_capacity(RECEIVE_COUNT);
        while settled_count < count && receiver.receive(RECEIVE_COUNT, &mut deliveries).await.is_ok() {
            let batch = deliveries.drain(..).map(Delivery::ack).collect();
            settled_count += receiver.settle(batch).await.iter().filter(|outcome| outcome.is_settled()).count();
        }
    });
    tasks.join_all().await;
    Ok(count as f64 / clock.now().since(begin).as_secs_f64())
}
