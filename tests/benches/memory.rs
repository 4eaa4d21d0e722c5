//! In memory: publish → pipeline → handler → ack, beside a bare bounded `tokio::sync::mpsc` that
//! carries the same message. Prints both rates and their ratio, interleaved, since machines are noisy.
//!
//! `cargo bench -p tests --bench memory`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bus::pipeline::{Envelope, Handled, Handler, Pipeline, Policy};
use bus::{Bus, Declaration, Destination, Headers, Message, MessageId, MessageKey, Outgoing, Seams, Subscription};
use bus_memory::{MemoryBus, MemoryOptions};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

const MESSAGE_COUNT: u64 = 1_000_000;
const BATCH_COUNT: u64 = 128;
const CHANNEL_COUNT: usize = 1_024;
const PAIR_COUNT: usize = 7;

/// Every message is made anew, as an application does that serializes: its own body, key and headers.
struct Template(Vec<u8>);

impl Template {
    fn new() -> Self {
        Self(vec![b'x'; 1024])
    }

    fn message(&self, number: u64) -> Message {
        let id = MessageId::from_uuid(uuid::Uuid::from_u64_pair(number, number));
        let key = MessageKey::new(&format!("ORD-{:08}", number % 1_000)).expect("legal");
        let trace = Bytes::from(format!("00-{number:032x}-{number:016x}-01"));
        let headers: Headers = [
            ("traceparent", trace),
            ("tenant", Bytes::from_static(b"a")),
            ("schema", Bytes::from_static(b"order/1")),
            ("origin", Bytes::from_static(b"producer")),
        ]
        .into_iter()
        .collect();
        Message::new(id, self.0.clone()).with_key(key).with_headers(headers)
    }
}

struct Count {
    seen: AtomicU64,
    done: CancellationToken,
}

#[async_trait]
impl Handler for Count {
    async fn handle(&self, envelope: Envelope) -> Handled {
        std::hint::black_box(envelope.message().body());
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == MESSAGE_COUNT {
            self.done.cancel();
        }
        Ok(())
    }
}

fn main() {
    // The channel has one producer and one consumer thread, and so has the bus.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let template = Arc::new(Template::new());
    let mut ratios = Vec::new();
    println!("{MESSAGE_COUNT} messages of 1 KiB, key, four headers; {PAIR_COUNT} interleaved pairs");
    for pair in 1..=PAIR_COUNT {
        let channel = rate(runtime.block_on(over_channel(Arc::clone(&template))));
        let bus = rate(runtime.block_on(over_bus(Arc::clone(&template))));
        ratios.push(bus / channel);
        println!("{pair}: bounded mpsc {channel:>6.2} M/s   bus, pipeline, handler, ack {bus:>6.2} M/s   ratio {:.2}", bus / channel);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2} (lowest {:.2}, highest {:.2})", ratios[PAIR_COUNT / 2], ratios[0], ratios[PAIR_COUNT - 1]);
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(took: Duration) -> f64 {
    MESSAGE_COUNT as f64 / took.as_secs_f64() / 1e6
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench measures real time on real threads")]
async fn over_channel(template: Arc<Template>) -> Duration {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Message>(CHANNEL_COUNT);
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGE_COUNT {
            sender.send(template.message(number)).await.expect("the receiver lives");
        }
    });
    let receiving = tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            std::hint::black_box(message.body());
        }
    });
    sending.await.expect("no panic");
    receiving.await.expect("no panic");
    start.elapsed()
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench measures real time on real threads")]
async fn over_bus(template: Arc<Template>) -> Duration {
    let seams = Seams::system();
    let options = MemoryOptions { capacity_count: CHANNEL_COUNT, ..MemoryOptions::default() };
    let bus = MemoryBus::new(seams.clone(), options);
    let destination = Destination::new("bench").expect("legal");
    bus.declare(&[Declaration::of(destination.clone())]).await.expect("declared");
    let count = Arc::new(Count { seen: AtomicU64::new(0), done: CancellationToken::new() });
    let stop = CancellationToken::new();
    let policy = Policy { prefetch_count_max: 512, ..Policy::default() };
    let subscription = Subscription::to(destination.clone());
    let pipeline = Pipeline::new(Arc::clone(&bus) as _, subscription, Arc::clone(&count) as _, seams).with_policy(policy);
    let start = Instant::now();
    let receiving = tokio::spawn(pipeline.run(stop.clone()));
    let sending = tokio::spawn(async move {
        let mut number = 0;
        while number < MESSAGE_COUNT {
            let end = (number + BATCH_COUNT).min(MESSAGE_COUNT);
            let batch = (number..end).map(|number| Outgoing::new(destination.clone(), template.message(number))).collect();
            assert!(bus.publish(batch).await.iter().all(bus::PublishOutcome::is_accepted));
            number = end;
        }
    });
    sending.await.expect("no panic");
    count.done.cancelled().await;
    let took = start.elapsed();
    stop.cancel();
    receiving.await.expect("no panic").expect("drained");
    took
}
