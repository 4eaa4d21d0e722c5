//! On SQS, beside the SDK's bare client, in interleaved pairs, since machines and servers are noisy:
//!
//! * idle latency: one message published on a queue where a long poll waits, until its handler runs;
//! * throughput: messages published, handled and deleted, beside a client that batches perfectly, and
//!   how many API calls each of them cost.
//!
//! `tests/brokers up sqs && cargo bench -p tests --bench sqs`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use bus::clock::SystemClock;
use bus::pipeline::{Envelope, Handled, Handler, Pipeline, Policy};
use bus::{
    Bus, BusExt, BusUrl, Clock, ClockExt, Declaration, Destination, Message, Moment, Outgoing, PublishOutcome, Seams,
    Subscription,
};
use bus_sqs::{SqsBus, SqsOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PAIR_COUNT: usize = 7;
const SAMPLE_COUNT: usize = 40;
const MESSAGE_COUNT: u64 = 3_000;
const BATCH_COUNT: usize = 100;
/// Calls of each kind that the bare client has under way.
const RAW_CONCURRENCY: usize = 8;
const BODY_BYTES: usize = 1_024;

struct Bench {
    url: String,
    raw: Client,
    clock: Arc<SystemClock>,
    queue_count: AtomicU64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = tests::brokers::url("sqs");
    let endpoint = url.split("endpoint=").nth(1).expect("a local server names its endpoint").to_owned();
    let raw = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ap-northeast-2"))
        .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    let clock = Arc::new(SystemClock::new());
    let bench = Arc::new(Bench { url, raw: Client::from_conf(raw), clock, queue_count: AtomicU64::new(0) });

    println!("idle latency publish → handler, {SAMPLE_COUNT} messages a side; {PAIR_COUNT} interleaved pairs");
    let mut pairs = Vec::new();
    for pair in 1..=PAIR_COUNT {
        let (raw, bus) = (median(bench.raw_latencies().await), median(bench.bus_latencies().await));
        println!("{pair}: bare client {raw:>6.2} ms   bus {bus:>6.2} ms   ratio {:.2}", bus / raw);
        pairs.push((raw, bus));
    }
    report(&pairs);

    println!("throughput, {MESSAGE_COUNT} messages of 1 KiB sent, handled and deleted");
    let mut pairs = Vec::new();
    for pair in 1..=PAIR_COUNT {
        let (raw, raw_calls) = bench.raw_rate().await;
        let (bus, bus_calls) = bench.bus_rate().await;
        println!(
            "{pair}: bare client {raw:>6.0}/s, {raw_calls:.2} calls a message   bus {bus:>6.0}/s, {bus_calls:.2} calls a message   \
             ratio {:.2}",
            bus / raw
        );
        pairs.push((raw, bus));
    }
    report(&pairs);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(pairs: &[(f64, f64)]) {
    let raw = |better: fn(f64, f64) -> f64, start| pairs.iter().map(|pair| pair.0).fold(start, better);
    let ratio = median(pairs.iter().map(|(raw, bus)| bus / raw).collect());
    let spread = raw(f64::max, 0.0) / raw(f64::min, f64::INFINITY);
    println!("median ratio {ratio:.2}; the bare client's own runs differ by {spread:.2}");
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(took: Duration, call_count: u64) -> (f64, f64) {
    (MESSAGE_COUNT as f64 / took.as_secs_f64(), call_count as f64 / MESSAGE_COUNT as f64)
}

/// Tells when each message came, and after the last one that all have.
struct Count {
    clock: Arc<SystemClock>,
    came: mpsc::UnboundedSender<Moment>,
    seen: AtomicU64,
    done: CancellationToken,
}

#[async_trait]
impl Handler for Count {
    async fn handle(&self, envelope: Envelope) -> Handled {
        let _ = self.came.send(self.clock.now());
        std::hint::black_box(envelope.message().body());
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == MESSAGE_COUNT {
            self.done.cancel();
        }
        Ok(())
    }
}

impl Bench {
    fn name(&self) -> String {
        let number = self.queue_count.fetch_add(1, Ordering::Relaxed);
        format!("bench-{}-{number}", std::process::id())
    }

    /// Time for the poll after the last message to be waiting again.
    async fn settle_down(&self) {
        self.clock.sleep(Duration::from_millis(50)).await;
    }

    async fn raw_queue(&self) -> String {
        let created = self.raw.create_queue().queue_name(self.name()).send().await.expect("created");
        created.queue_url.expect("a URL")
    }

    async fn raw_latencies(self: &Arc<Self>) -> Vec<f64> {
        let queue = self.raw_queue().await;
        let (came, mut coming) = mpsc::unbounded_channel();
        let mut poller = JoinSet::new();
        let (bench, polled) = (Arc::clone(self), queue.clone());
        poller.spawn(async move {
            loop {
                let call = bench.raw.receive_message().queue_url(&polled).max_number_of_messages(10);
                let answer = call.wait_time_seconds(5).message_attribute_names("All").send().await.expect("received");
                for message in answer.messages.unwrap_or_default() {
                    came.send(bench.clock.now()).expect("somebody waits");
                    let receipt = message.receipt_handle.expect("a receipt");
                    bench
                        .raw
                        .delete_message()
                        .queue_url(&polled)
                        .receipt_handle(receipt)
                        .send()
                        .await
                        .expect("deleted");
                }
            }
        });
        let mut samples = Vec::new();
        for _ in 0..SAMPLE_COUNT {
            self.settle_down().await;
            let sent = self.clock.now();
            self.raw.send_message().queue_url(&queue).message_body("x".repeat(BODY_BYTES)).send().await.expect("sent");
            samples.push(coming.recv().await.expect("it came").since(sent).as_secs_f64() * 1e3);
        }
        samples
    }

    async fn open(&self) -> (Arc<SqsBus>, Destination, Seams) {
        let seams = Seams::system();
        let options = SqsOptions::of(&BusUrl::parse(&self.url).expect("a URL")).expect("legal");
        let bus = SqsBus::open(options, seams.clone()).await;
        let destination = Destination::new(&self.name()).expect("legal");
        bus.declare(&[Declaration::of(destination.clone())]).await.expect("declared");
        (bus, destination, seams)
    }

    fn consume(
        &self,
        (bus, destination, seams): (&Arc<SqsBus>, &Destination, &Seams),
        consumers: &mut JoinSet<()>,
    ) -> (mpsc::UnboundedReceiver<Moment>, CancellationToken) {
        let (came, coming) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let count = Count { clock: Arc::clone(&self.clock), came, seen: AtomicU64::new(0), done: stop.clone() };
        let policy = Policy { prefetch_count_max: 256, ..Policy::default() };
        let subscription = Subscription::to(destination.clone());
        let pipeline = Pipeline::new(Arc::clone(bus) as _, subscription, Arc::new(count), seams.clone());
        let stopped = stop.clone();
        consumers.spawn(async move { pipeline.with_policy(policy).run(stopped).await.expect("drained") });
        (coming, stop)
    }

    async fn bus_latencies(&self) -> Vec<f64> {
        let (bus, destination, seams) = self.open().await;
        let mut consumers = JoinSet::new();
        let (mut coming, stop) = self.consume((&bus, &destination, &seams), &mut consumers);
        let mut samples = Vec::new();
        for _ in 0..SAMPLE_COUNT {
            self.settle_down().await;
            let message = Message::new(seams.message_id("bench"), vec![b'x'; BODY_BYTES]);
            let sent = self.clock.now();
            assert!(bus.publish_one(Outgoing::new(destination.clone(), message)).await.is_accepted());
            samples.push(coming.recv().await.expect("it came").since(sent).as_secs_f64() * 1e3);
        }
        stop.cancel();
        consumers.join_all().await;
        bus.close(Duration::from_secs(20)).await.expect("closed in time");
        samples
    }

    async fn raw_rate(self: &Arc<Self>) -> (f64, f64) {
        let queue = self.raw_queue().await;
        let call_count = Arc::new(AtomicU64::new(0));
        let (next, deleted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let done = CancellationToken::new();
        let start = self.clock.now();
        let mut tasks = JoinSet::new();
        for _ in 0..RAW_CONCURRENCY {
            let (bench, queue, calls) = (Arc::clone(self), queue.clone(), Arc::clone(&call_count));
            let next = Arc::clone(&next);
            tasks.spawn(async move { bench.raw_send(&queue, &calls, &next).await });
        }
        for _ in 0..RAW_CONCURRENCY {
            let (bench, queue, calls) = (Arc::clone(self), queue.clone(), Arc::clone(&call_count));
            let (deleted, done) = (Arc::clone(&deleted), done.clone());
            // The last polls find nothing and are left alone, so that nobody waits for them.
            let stopped = done.clone();
            tasks.spawn(async move {
                stopped.run_until_cancelled(bench.raw_receive(&queue, &calls, &deleted, &done)).await;
            });
        }
        tasks.join_all().await;
        rate(self.clock.now().since(start), call_count.load(Ordering::Relaxed))
    }

    async fn raw_send(&self, queue: &str, call_count: &AtomicU64, next: &AtomicU64) {
        while next.fetch_add(10, Ordering::Relaxed) < MESSAGE_COUNT {
            let entry = |id: usize| {
                let entry = SendMessageBatchRequestEntry::builder().id(id.to_string());
                entry.message_body("x".repeat(BODY_BYTES)).build().expect("built")
            };
            let entries = (0..10).map(entry).collect();
            call_count.fetch_add(1, Ordering::Relaxed);
            let call = self.raw.send_message_batch().queue_url(queue).set_entries(Some(entries));
            assert!(call.send().await.expect("sent").failed.is_empty());
        }
    }

    async fn raw_receive(&self, queue: &str, call_count: &AtomicU64, deleted: &AtomicU64, done: &CancellationToken) {
        loop {
            call_count.fetch_add(1, Ordering::Relaxed);
            let call = self.raw.receive_message().queue_url(queue).max_number_of_messages(10);
            let answer = call.wait_time_seconds(1).message_attribute_names("All").send().await.expect("received");
            let entry = |(id, message): (usize, aws_sdk_sqs::types::Message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
                entry.receipt_handle(message.receipt_handle.expect("a receipt")).build().expect("built")
            };
            let entries: Vec<_> = answer.messages.unwrap_or_default().into_iter().enumerate().map(entry).collect();
            if entries.is_empty() {
                continue;
            }
            let count = entries.len() as u64;
            call_count.fetch_add(1, Ordering::Relaxed);
            let call = self.raw.delete_message_batch().queue_url(queue).set_entries(Some(entries));
            assert!(call.send().await.expect("deleted").failed.is_empty());
            if deleted.fetch_add(count, Ordering::Relaxed) + count >= MESSAGE_COUNT {
                done.cancel();
            }
        }
    }

    async fn bus_rate(&self) -> (f64, f64) {
        let (bus, destination, seams) = self.open().await;
        let before = bus.api_call_count();
        let start = self.clock.now();
        let mut consumers = JoinSet::new();
        let (coming, _stop) = self.consume((&bus, &destination, &seams), &mut consumers);
        let publish = async {
            for _ in (0..MESSAGE_COUNT).step_by(BATCH_COUNT) {
                let outgoing = |_| {
                    let message = Message::new(seams.message_id("bench"), vec![b'x'; BODY_BYTES]);
                    Outgoing::new(destination.clone(), message)
                };
                let outcomes = bus.publish((0..BATCH_COUNT).map(outgoing).collect()).await;
                assert!(outcomes.iter().all(PublishOutcome::is_accepted));
            }
        };
        // The pipeline ends by itself once all were handled and settled.
        tokio::join!(publish, async { while consumers.join_next().await.is_some() {} });
        let measured = rate(self.clock.now().since(start), bus.api_call_count() - before);
        drop(coming);
        bus.close(Duration::from_secs(20)).await.expect("closed in time");
        measured
    }
}
