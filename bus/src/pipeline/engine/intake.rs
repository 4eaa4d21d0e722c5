//! From arrival to the start of a handler.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tracing::{error, warn};

use crate::breaker::Breaker;
use crate::pipeline::flight::{Flight, Guarded};
use crate::pipeline::hand::{Held, Stage};
use crate::pipeline::{Begun, Envelope, Failure, Handled};
use crate::{Delivery, Error, ErrorKind, MessageId, Result};

use super::{Engine, Event};

impl Engine<'_> {
    /// Asks for more when there is room for a decent batch.
    pub(super) fn receive_more(&mut self) {
        let policy = &self.pipeline.policy;
        let in_hand = self.held.len() + self.unanswered_count;
        let room = policy.prefetch_count().saturating_sub(in_hand);
        let max = match self.gate {
            Breaker::Closed if room >= policy.refill_count() => room,
            Breaker::HalfOpen { .. } if in_hand == 0 => 1,
            Breaker::Closed | Breaker::HalfOpen { .. } | Breaker::Open { .. } => return,
        };
        if self.receiving || self.draining.is_some() {
            return;
        }
        self.receiving = true;
        let receiver = Arc::clone(&self.receiver);
        self.calls.push(Box::pin(async move {
            let mut batch = Vec::new();
            let result = receiver.receive(max, &mut batch).await;
            Event::Received(batch, result)
        }));
    }

    pub(super) async fn received(&mut self, batch: Vec<Delivery>, result: Result<()>) {
        self.receiving = false;
        for delivery in batch {
            self.admit(delivery).await;
        }
        self.recalled.clear();
        match result {
            Ok(()) => {}
            Err(closed) if closed.kind() == ErrorKind::Closed => {
                if self.draining.is_none() {
                    error!(subscription = %self.pipeline.subscription, "the bus was closed; the pipeline ends");
                    self.drain();
                }
            }
            Err(error) => self.dependency_down(&format!("receive: {error}")),
        }
    }

    /// Gives a delivery its place: at a handler, in the queue for one, behind its key's head, or back.
    async fn admit(&mut self, delivery: Delivery) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let mut held = Held::new(delivery, self.pipeline.identify.as_deref(), serial);
        if self.draining.is_some() || matches!(self.gate, Breaker::Open { .. }) {
            self.returning.push(held.unsettled);
            return;
        }
        if self.is_recalled(&held) {
            self.returning.push(held.unsettled);
            return;
        }
        self.heartbeat.watch(held.deadline, self.pipeline.seams.clock.as_ref());
        if self.pipeline.policy.order_per_key
            && let Some(key) = &held.key
            && !self.lanes.enter(key)
        {
            held.stage = Stage::Following;
            let key = key.clone();
            let place = self.held.insert(held);
            self.lanes.queue(&key, place);
            return;
        }
        if self.pipeline.attempts.is_none() && self.ready.is_empty() && self.free_handler_count() > 0 {
            let attempt = self.attempts.next(&held.message_id);
            self.start(held, attempt).await;
        } else {
            let place = self.held.insert(held);
            self.ready.push_back(place);
        }
    }

    /// Whether a message before it went back while it was on its way.
    fn is_recalled(&mut self, held: &Held) -> bool {
        if self.recalled.is_empty() {
            return false;
        }
        let Some(key) = &held.key else { return false };
        let is_first = self.recalled.get(key).is_some_and(|first| *first == held.message_id);
        if is_first {
            self.recalled.remove(key);
        }
        self.recalled.contains_key(key)
    }

    fn free_handler_count(&self) -> usize {
        let allowed = self.gate.limit(self.pipeline.policy.concurrency_max.max(1));
        allowed.saturating_sub(self.running.len() + self.beginning_count)
    }

    /// Starts queued heads while handlers are free; where a store counts, it is asked first.
    pub(super) async fn start_ready(&mut self) {
        if self.draining.is_some() {
            return;
        }
        if self.pipeline.attempts.is_some() {
            self.begin_ready();
            return;
        }
        while self.free_handler_count() > 0
            && let Some(place) = self.ready.pop_front()
        {
            if let Some(held) = self.held.try_remove(place) {
                let attempt = self.attempts.next(&held.message_id);
                self.start(held, attempt).await;
            }
        }
    }

    /// One count of starts at a time: meanwhile the next batch gathers, as in a group commit.
    fn begin_ready(&mut self) {
        let Some(attempts) = self.pipeline.attempts.as_deref() else { return };
        if self.beginning_count > 0 || self.is_pardoning() {
            return;
        }
        let mut places: Vec<usize> = Vec::new();
        let mut message_ids: Vec<MessageId> = Vec::new();
        while places.len() < self.free_handler_count()
            && let Some(place) = self.ready.pop_front()
        {
            if let Some(held) = self.held.get_mut(place) {
                held.stage = Stage::Beginning { lost: false };
                places.push(place);
                message_ids.push(held.message_id.clone());
            }
        }
        if places.is_empty() {
            return;
        }
        self.beginning_count = places.len();
        let subscription = &self.pipeline.subscription;
        self.owe(async move {
            let result = attempts.begin(subscription, &message_ids).await;
            Event::Begun(places, result)
        });
    }

    pub(super) async fn begun(&mut self, places: Vec<usize>, result: Result<Vec<Begun>>) {
        self.owed_call_count -= 1;
        self.beginning_count = 0;
        let complete = result.and_then(|answers| match answers.len() == places.len() {
            true => Ok(answers),
            false => {
                let message = "the store answered another number of starts than it was asked for";
                Err(Error::new(ErrorKind::Unexpected, "begin", message))
            }
        });
        let answers = match complete {
            Ok(answers) => answers,
            Err(error) => {
                for place in places {
                    let held = self.held.remove(place);
                    self.send_back(held);
                }
                self.dependency_down(&format!("store: {error}"));
                return;
            }
        };
        for (place, begun) in places.into_iter().zip(answers) {
            let held = self.held.remove(place);
            let lost = matches!(held.stage, Stage::Beginning { lost: true });
            match begun {
                Begun::Done if lost => self.give_up(held),
                Begun::Done => self.acknowledge(held),
                Begun::Attempt(_) if lost => {
                    self.forgive(&held.message_id);
                    self.give_up(held);
                }
                Begun::Attempt(_) if self.draining.is_some() || matches!(self.gate, Breaker::Open { .. }) => {
                    self.forgive(&held.message_id);
                    self.send_back(held);
                }
                Begun::Attempt(attempt) => self.start(held, attempt).await,
            }
        }
    }

    /// Starts attempt number `attempt`, unless that is one too many.
    async fn start(&mut self, mut held: Held, attempt: u32) {
        if attempt <= self.pipeline.policy.attempt_count_max.max(1) {
            held.attempt = attempt;
            return self.launch(held).await;
        }
        held.attempt = attempt - 1;
        let starts = held.attempt;
        let reason =
            format!("started {starts} times without an answer: its handler may end the process or outlive its lease");
        self.decide(held, Err(Failure::Reject(reason)));
    }

    /// Calls the handler and polls it once: most in-memory handlers are done then.
    async fn launch(&mut self, mut held: Held) {
        let Some(message) = held.message.take() else { return };
        let pipeline = self.pipeline;
        let envelope = Envelope::new(
            message,
            held.message_id.clone(),
            Arc::clone(&pipeline.shared_subscription),
            held.attempt,
            held.receive_count,
        );
        let mut guarded = Guarded::call(pipeline.handler.as_ref(), envelope);
        let first: Poll<Handled> = poll_fn(|context| Poll::Ready(Pin::new(&mut guarded).poll(context))).await;
        match first {
            Poll::Ready(handled) => self.decide(held, handled),
            Poll::Pending => {
                let serial = held.serial;
                let ends = self.now() + pipeline.policy.handler_timeout;
                let entry = self.held.vacant_entry();
                let place = entry.key();
                let (flight, abort) = Flight::new(place, guarded);
                held.stage = Stage::Running { abort, ending: None };
                entry.insert(held);
                self.running.push(flight);
                self.timeouts.push_back((ends, place, serial));
            }
        }
    }

    /// A dependency is down: nothing new starts, and what has not started goes back.
    pub(super) fn dependency_down(&mut self, reason: &str) {
        let pipeline = self.pipeline;
        if self.draining.is_some() {
            // What is shutting down beside us is no outage.
            return;
        }
        let entropy = pipeline.seams.entropy.as_ref();
        let tripped = self.gate.trip(self.now(), pipeline.policy.probe, entropy, pipeline.status.subscription());
        if tripped {
            warn!(subscription = %pipeline.subscription, reason, "a dependency is down: paused, nothing is lost, probing");
            self.show(crate::pipeline::PipelineState::Paused(reason.to_owned()));
        }
        self.return_unstarted();
    }
}
