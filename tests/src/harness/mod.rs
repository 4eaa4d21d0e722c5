//! One queue on a memory bus in virtual time, with a pipeline whose every handler start is recorded.
//!
//! [`Meddler`] stands between a part under test and the bus and answers otherwise than the bus
//! would; [`Counts`] are durable attempts whose store can be slow or down; a [`FlakyStore`] loses
//! writes, or only their answers.

mod counts;
mod flaky_store;
mod meddler;
mod record;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bus::pipeline::{Backoff, Envelope, Handled, Handler, Pipeline, PipelineState, Policy};
use bus::{
    Bus, ClockExt, Declaration, Delivery, Destination, Message, MessageId, MessageKey, Outgoing, Seams,
    SubscribeOptions, Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use counts::Counts;
pub use flaky_store::{Fault, FlakyStore};
pub use meddler::{Meddler, Publication, Settling};
pub use record::{End, Record, Run};

/// Pause between two looks at something that is expected.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// Virtual time after which something expected is not expected any more.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// A queue, its bus, and the record of the handlers that run on it.
pub struct Rig {
    /// Clock and entropy of the run.
    pub seams: Seams,
    /// The bus below everything.
    pub bus: Arc<MemoryBus>,
    /// Between the pipeline and the bus.
    pub meddler: Arc<Meddler>,
    /// Where messages are published to.
    pub queue: Destination,
    /// What the handlers did.
    pub record: Record,
}

impl Rig {
    /// A declared, empty queue on a bus that can everything.
    pub async fn new() -> Self {
        Self::on(MemoryOptions::default()).await
    }

    /// The same on a bus with `options`.
    pub async fn on(options: MemoryOptions) -> Self {
        Self::seeded(options, 1).await
    }

    /// The same with another seed.
    pub async fn seeded(options: MemoryOptions, seed: u64) -> Self {
        let seams = Seams::repeatable(Timestamp::UNIX_EPOCH, seed);
        let bus = MemoryBus::new(seams.clone(), options);
        let queue = Destination::new("orders").expect("a legal name");
        bus.declare(&[Declaration::of(queue.clone())]).await.expect("a fresh bus takes any declaration");
        let meddler = Meddler::before(Arc::clone(&bus), seams.clone());
        Self { record: Record::default(), seams, bus, meddler, queue }
    }

    /// The queue's subscription.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        Subscription::to(self.queue.clone())
    }

    /// Publishes one message per id with this key; `""` is no key.
    pub async fn publish(&self, key: &str, ids: &[&str]) {
        let batch: Vec<Outgoing> = ids.iter().map(|id| Outgoing::new(self.queue.clone(), message(id, key))).collect();
        for outcome in self.bus.publish(batch).await {
            assert!(outcome.is_accepted(), "{outcome:?}");
        }
    }

    /// A pipeline on the queue whose handler does `work`, recorded.
    pub fn pipeline<F, W>(&self, policy: Policy, work: F) -> Pipeline
    where
        F: Fn(Envelope) -> W + Send + Sync + 'static,
        W: Future<Output = Handled> + Send + 'static,
    {
        let handler = self.record.handler(self.seams.clone(), work);
        self.pipeline_of(policy, Arc::new(handler))
    }

    /// A pipeline on the queue with a handler of its own making.
    #[must_use]
    pub fn pipeline_of(&self, policy: Policy, handler: Arc<dyn Handler>) -> Pipeline {
        let bus: Arc<dyn Bus> = Arc::clone(&self.meddler) as _;
        Pipeline::new(bus, self.subscription(), handler, self.seams.clone()).with_policy(policy)
    }

    /// Runs `pipeline` while `scenario` does, then drops it where it stands: a crash.
    pub async fn alongside<T>(&self, pipeline: Pipeline, scenario: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            output = scenario => output,
            ended = pipeline.run(CancellationToken::new()) => panic!("nobody stopped the pipeline: {ended:?}"),
        }
    }

    /// Runs `pipeline` until the queue is empty, then stops it.
    pub async fn process(&self, pipeline: Pipeline) {
        self.alongside(pipeline, self.emptied()).await;
    }

    /// Waits until nothing is left on the queue.
    pub async fn emptied(&self) {
        self.until("the queue is empty", || self.left_count() == 0).await;
    }

    /// Messages on the queue: ready, delayed and in flight.
    #[must_use]
    pub fn left_count(&self) -> usize {
        let depth = self.bus.depth_now(&self.subscription()).expect("declared");
        depth.ready_count + depth.delayed_count + depth.in_flight_count
    }

    /// Looks until `is_so`; it must come within an hour.
    pub async fn until(&self, what: &str, is_so: impl Fn() -> bool + Send + Sync) {
        let looking = async {
            while !is_so() {
                self.seams.clock.sleep(LOOK_AGAIN_AFTER).await;
            }
        };
        let found = self.seams.clock.timeout(PATIENCE, looking).await;
        let runs = self.record.runs();
        let last = &runs[runs.len().saturating_sub(5)..];
        assert!(found.is_some(), "an hour passed before {what}; {} runs, the last: {last:?}", runs.len());
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, span: Duration) {
        self.seams.clock.sleep(span).await;
    }

    /// Time since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.seams.clock.now().since_origin()
    }

    /// What is ready on the queue now, as an outsider sees it.
    pub async fn waiting(&self) -> Vec<Delivery> {
        self.drawn_from(&self.subscription()).await
    }

    /// The dead letters of the queue.
    pub async fn dead_letters(&self) -> Vec<Message> {
        let dead_letters = Subscription::to(self.queue.dead_letters().expect("a short name"));
        self.drawn_from(&dead_letters).await.iter().map(|delivery| delivery.message().clone()).collect()
    }

    /// Receives what is ready; it goes back when it is dropped.
    async fn drawn_from(&self, subscription: &Subscription) -> Vec<Delivery> {
        let options = SubscribeOptions { prefetch_count_max: 65_536, lease: None };
        let receiver = self.bus.subscribe(subscription, options).await.expect("declared");
        let mut found = Vec::new();
        let _ = self.seams.clock.timeout(LOOK_AGAIN_AFTER, receiver.receive(65_536, &mut found)).await;
        found
    }
}

/// A message that says who it is in its body and a header; an empty key is none.
#[must_use]
pub fn message(id: &str, key: &str) -> Message {
    let message = Message::new(MessageId::parse(id).expect("a legal id"), format!("body of {id}"))
        .with_headers([("x-test", id.to_owned())].into_iter().collect())
        .with_content_type("text/plain");
    if key.is_empty() { message } else { message.with_key(MessageKey::new(key).expect("a legal key")) }
}

/// A policy that retries after a second, twice that, and so on, each with its own length of jitter.
#[must_use]
pub fn policy() -> Policy {
    Policy { retry: Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) }, ..Policy::default() }
}

/// A handler's work as a value.
pub type Work = Pin<Box<dyn Future<Output = Handled> + Send>>;

/// Sleeps for `span` on every message, then acknowledges it.
pub fn sleeps(rig: &Rig, span: Duration) -> impl Fn(Envelope) -> Work + Send + Sync + use<> {
    sleeps_unless(rig, "nobody", span)
}

/// The same, but at once for messages whose id begins so.
pub fn sleeps_unless(
    rig: &Rig,
    beginning: &'static str,
    span: Duration,
) -> impl Fn(Envelope) -> Work + Send + Sync + use<> {
    let seams = rig.seams.clone();
    move |envelope| {
        let seams = seams.clone();
        Box::pin(async move {
            if !envelope.message_id().to_string().starts_with(beginning) {
                seams.clock.sleep(span).await;
            }
            Ok(())
        })
    }
}

/// The reason of a pause because something is down.
#[must_use]
pub fn pause_of(state: &PipelineState) -> Option<&str> {
    match state {
        PipelineState::Paused(reason) => Some(reason),
        _ => None,
    }
}
