//! A pipeline over the bus under test, with a log of what its handler and its settlements did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::World;
use super::world::body;
use crate::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use crate::pipeline::{Attempts, Backoff, Begun, Envelope, Handled, Handler, Pipeline, Policy};
use crate::{
    Bus, Clock, Delivery, Destination, MessageId, Moment, Receiver, Result, SettleOutcome, Settlement,
    SubscribeOptions, Subscription, Token,
};

/// One thing that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Moment,
    pub(super) body: String,
    pub(super) what: Happened,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Its handler started, on this attempt.
    Started(u32),
    Answered(Handled),
    /// The handler's future was dropped.
    Cancelled,
    /// The bus answered that it is settled.
    Settled,
}

/// Every step, in order. Clones are the same log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    steps: Mutex<Vec<Step>>,
    grown: Notify,
}

impl Log {
    pub(super) fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.shared.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempts on which the handler of a message started, and when.
    pub(super) fn starts_of(&self, body: &str) -> Vec<(u32, Moment)> {
        let steps = self.steps();
        let starts = steps.iter().filter(|step| step.body == body).filter_map(|step| match step.what {
            Happened::Started(attempt) => Some((attempt, step.at)),
            _ => None,
        });
        starts.collect()
    }

    /// Those attempts alone.
    pub(super) fn attempts_of(&self, body: &str) -> Vec<u32> {
        self.starts_of(body).into_iter().map(|(attempt, _)| attempt).collect()
    }

    pub(super) fn count(&self, is_counted: impl Fn(&Happened) -> bool) -> usize {
        self.steps().iter().filter(|step| is_counted(&step.what)).count()
    }

    fn add(&self, body: &str, what: Happened) {
        self.steps().push(Step { at: self.clock.now(), body: body.to_owned(), what });
        self.shared.grown.notify_waiters();
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let grown = self.shared.grown.notified();
            if is_so() {
                return;
            }
            grown.await;
        }
    }
}

/// A destination, and the log of the pipelines on it.
pub(super) struct Rig<'a> {
    pub(super) world: &'a World,
    pub(super) destination: Destination,
    pub(super) log: Log,
}

impl<'a> Rig<'a> {
    pub(super) async fn new(world: &'a World, name: &str) -> Self {
        let log = Log { clock: Arc::clone(&world.seams.clock), shared: Arc::default() };
        Self { world, destination: world.declared(name).await, log }
    }

    /// A policy whose every delay is a unit and its jitter.
    pub(super) fn policy(&self) -> Policy {
        let unit = Backoff { first: self.world.unit(), max: self.world.unit() };
        Policy { retry: unit, probe: unit, handler_timeout: 1_000 * self.world.unit(), ..Policy::default() }
    }

    /// A pipeline whose handler does `work`.
    pub(super) fn pipeline<F, W>(&self, policy: Policy, work: F) -> Pipeline
    where
        F: Fn(Envelope) -> W + Send + Sync + 'static,
        W: Future<Output = Handled> + Send + 'static,
    {
        let handler = Arc::new(Logged { log: self.log.clone(), work });
        let bus = Arc::clone(&self.world.bus).layer(Watching(self.log.clone()));
        let subscription = Subscription::to(self.destination.clone());
        Pipeline::new(bus, subscription, handler, self.world.seams.clone()).with_policy(policy)
    }

    /// Runs `pipeline` beside `scenario`, then drains it.
    pub(super) async fn run<T>(&self, pipeline: Pipeline, scenario: impl AsyncFnOnce(&CancellationToken) -> T) -> T {
        let stop = CancellationToken::new();
        let acting = async {
            let output = scenario(&stop).await;
            stop.cancel();
            output
        };
        let (ran, output) = tokio::join!(pipeline.run(stop.clone()), acting);
        ran.expect("the pipeline subscribes");
        output
    }

    /// Runs `pipeline` until `count` messages are settled away from the subscription, then drains it.
    pub(super) async fn settle(&self, pipeline: Pipeline, count: usize) {
        self.run(pipeline, async |_| {
            self.until("all are settled", || self.log.count(|what| *what == Happened::Settled) >= count).await;
        })
        .await;
    }

    /// Waits until `is_so` of the log.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let is_in_time = self.world.in_time(self.log.until(is_so)).await.is_some();
        let steps = self.log.steps();
        let last = &steps[steps.len().saturating_sub(8)..];
        assert!(is_in_time, "it did not come to it that {what}; {} steps, the last: {last:#?}", steps.len());
    }
}

struct Logged<F> {
    log: Log,
    work: F,
}

#[async_trait]
impl<F, W> Handler for Logged<F>
where
    F: Fn(Envelope) -> W + Send + Sync,
    W: Future<Output = Handled> + Send,
{
    async fn handle(&self, envelope: Envelope) -> Handled {
        let body = String::from_utf8_lossy(envelope.message().body()).into_owned();
        self.log.add(&body, Happened::Started(envelope.attempt()));
        let mut ending = Ending { log: &self.log, body: &body, answer: None };
        let answer = (self.work)(envelope).await;
        ending.answer = Some(answer.clone());
        answer
    }
}

/// Logs the answer, or that there was none.
struct Ending<'a> {
    log: &'a Log,
    body: &'a str,
    answer: Option<Handled>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.log.add(self.body, self.answer.take().map_or(Happened::Cancelled, Happened::Answered));
    }
}

/// Logs which acknowledgements and rejections the bus has answered.
#[derive(Debug)]
struct Watching(Log);

#[async_trait]
impl Layer for Watching {
    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        let watching = WatchingReceiver { log: self.0.clone(), bodies: Mutex::default() };
        Ok(layered_receiver(next.subscribe(subscription, options).await?, watching))
    }
}

struct WatchingReceiver {
    log: Log,
    bodies: Mutex<BTreeMap<Token, String>>,
}

#[async_trait]
impl ReceiverLayer for WatchingReceiver {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        let before = into.len();
        let answer = next.receive(max, into).await;
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.extend(into[before..].iter().map(|delivery| (delivery.token(), body(delivery))));
        answer
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let ends = |settlement: &Settlement| !matches!(settlement.verdict(), crate::Verdict::Nack { .. });
        let decided: Vec<(Token, bool)> = batch.iter().map(|one| (one.token(), ends(one))).collect();
        let outcomes = next.settle(batch).await;
        for ((token, ends), outcome) in decided.into_iter().zip(&outcomes) {
            let body = self.bodies.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
            if let Some(body) = body.filter(|_| ends && outcome.is_settled()) {
                self.log.add(&body, Happened::Settled);
            }
        }
        outcomes
    }
}

/// Attempts that outlive a pipeline, as a store keeps them.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<MessageId, u32>>);

impl Counts {
    fn change(&self, messages: &[MessageId], change: impl Fn(&mut u32)) -> Vec<u32> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let each = messages.iter().map(|message| {
            let count = counts.entry(message.clone()).or_default();
            change(count);
            *count
        });
        each.collect()
    }
}

#[async_trait]
impl Attempts for Counts {
    async fn begin(&self, _: &Subscription, messages: &[MessageId]) -> Result<Vec<Begun>> {
        Ok(self.change(messages, |count| *count += 1).into_iter().map(Begun::Attempt).collect())
    }

    async fn forgive(&self, _: &Subscription, messages: &[MessageId]) -> Result<()> {
        self.change(messages, |count| *count -= 1);
        Ok(())
    }

    async fn forget(&self, _: &Subscription, message: &MessageId) -> Result<()> {
        self.change(std::slice::from_ref(message), |count| *count = 0);
        Ok(())
    }
}
