//! In memory: publish → pipeline → handler → ack, beside a bare bounded `tokio::sync::mpsc` that
//! carries the same message. Both run on two threads, one that publishes and one that consumes, with
//! room for the same number of messages in between. Prints both rates and their ratio, in interleaved
//! pairs, since machines are noisy.
//!
//! `cargo bench -p tests --bench memory`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus::clock::SystemClock;
use bus::pipeline::{Envelope, Handled, Handler, Pipeline, Policy};
use bus::{
    Bus, Clock, Declaration, Destination, Headers, Message, MessageId, MessageKey, Outgoing, PublishOutcome, Seams,
    Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};
use tokio_util::sync::CancellationToken;

const MESSAGE_COUNT: u64 = 1_000_000;
const BATCH_COUNT: usize = 128;
const CAPACITY_COUNT: usize = 4_096;
const PAIR_COUNT: usize = 7;

/// Every message gets a body of its own, as from a producer that serializes; keys and headers are shared.
struct Template {
    body: Vec<u8>,
    headers: Headers,
    keys: Vec<MessageKey>,
}

impl Template {
    fn new() -> Self {
        let headers = [
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
        ];
        Self {
            body: vec![b'x'; 1024],
            headers: headers.into_iter().collect(),
            keys: (0..1_000).map(|key| MessageKey::new(&format!("ORD-{key:08}")).expect("legal")).collect(),
        }
    }

    fn message(&self, number: u64) -> Message {
        let id = MessageId::from_uuid(uuid::Uuid::from_u64_pair(number, number));
        let key = self.keys[usize::try_from(number).expect("small") % self.keys.len()].clone();
        Message::new(id, self.body.clone()).with_key(key).with_headers(self.headers.clone())
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
    let template = Arc::new(Template::new());
    let mut ratios = Vec::new();
    println!("{MESSAGE_COUNT} messages of 1 KiB, key, four headers; {PAIR_COUNT} interleaved pairs");
    for pair in 1..=PAIR_COUNT {
        let channel = rate(over_channel(&template));
        let bus = rate(over_bus(&template));
        ratios.push(bus / channel);
        println!(
            "{pair}: bounded mpsc {channel:>6.2} M/s   bus, pipeline, handler, ack {bus:>6.2} M/s   ratio {:.2}",
            bus / channel
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "median ratio {:.2} (lowest {:.2}, highest {:.2})",
        ratios[PAIR_COUNT / 2],
        ratios[0],
        ratios[PAIR_COUNT - 1]
    );
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(took: Duration) -> f64 {
    MESSAGE_COUNT as f64 / took.as_secs_f64() / 1e6
}

/// Runs `publish` on a thread of its own and `consume` on this one; the time until both are done.
fn on_two_threads(publish: impl Future<Output = ()> + Send, consume: impl Future<Output = ()>) -> Duration {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = SystemClock::new();
    let start = clock.now();
    std::thread::scope(|scope| {
        scope.spawn(|| runtime().block_on(publish));
        runtime().block_on(consume);
    });
    clock.now().since(start)
}

fn over_channel(template: &Template) -> Duration {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Message>(CAPACITY_COUNT);
    let publish = async move {
        for number in 0..MESSAGE_COUNT {
            sender.send(template.message(number)).await.expect("the receiver lives");
        }
    };
    let consume = async move {
        while let Some(message) = receiver.recv().await {
            std::hint::black_box(message.body());
        }
    };
    on_two_threads(publish, consume)
}

fn over_bus(template: &Template) -> Duration {
    let seams = Seams::system();
    let options = MemoryOptions { capacity_count: CAPACITY_COUNT, ..MemoryOptions::default() };
    let bus = MemoryBus::new(seams.clone(), options);
    let destination = Destination::new("bench").expect("legal");
    let stop = CancellationToken::new();
    let handler = Count { seen: AtomicU64::new(0), done: stop.clone() };
    let policy = Policy { prefetch_count_max: 512, ..Policy::default() };
    let pipeline =
        Pipeline::new(Arc::clone(&bus) as _, Subscription::to(destination.clone()), Arc::new(handler), seams)
            .with_policy(policy);
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(bus.declare(&[Declaration::of(destination.clone())]))
        .expect("declared");
    let publish = async move {
        for first in (0..MESSAGE_COUNT).step_by(BATCH_COUNT) {
            let last = (first + BATCH_COUNT as u64).min(MESSAGE_COUNT);
            let outgoing = |number| Outgoing::new(destination.clone(), template.message(number));
            assert!(bus.publish((first..last).map(outgoing).collect()).await.iter().all(PublishOutcome::is_accepted));
        }
    };
    on_two_threads(publish, async { pipeline.run(stop).await.expect("drained") })
}
