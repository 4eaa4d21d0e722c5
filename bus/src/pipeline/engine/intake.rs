//! From arrival to the start of a handler.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tracing::error;

use crate::dead_letter::is_replay_for_another_group;
use crate::pipeline::flight::{Flight, Guarded};
use crate::pipeline::gate::{Cause, Intake};
use crate::pipeline::hand::{Held, Stage};
use crate::pipeline::{Begun, Envelope, Handled, Identity};
use crate::{Delivery, Error, ErrorKind, Message, MessageId, Result};

use super::{Engine, Event};

impl Engine<'_> {
    /// Asks for more when there is room for a decent batch.
    pub(super) fn receive_more(&mut self) {
        let policy = &self.pipeline.policy;
        let in_hand = self.held.len() + self.unanswered_count;
        let room = policy.prefetch_count().saturating_sub(in_hand);
        let max = match self.gate.intake() {
            Intake::Room if room >= policy.refill_count() => room,
            Intake::One if room > 0 => 1,
            Intake::OneAlone if in_hand == 0 => 1,
            Intake::Room | Intake::One | Intake::OneAlone | Intake::Nothing => return,
        };
        // Later messages of a key must not come before those that are on their way back.
        let may_overtake = policy.order_per_key && self.returning_count > 0;
        if self.receiving || may_overtake || self.draining.is_some() {
            return;
        }
        self.receiving = true;
        let clock = &self.pipeline.seams.clock;
        self.gate.receive_begins(|| clock.now() + policy.probe.max);
        let receiver = Arc::clone(&self.receiver);
        self.calls.push(Box::pin(async move {
            let mut batch = Vec::new();
            let result = receiver.receive(max, &mut batch).await;
            Event::Received(batch, result)
        }));
    }

    pub(super) async fn received(&mut self, batch: Vec<Delivery>, result: Result<()>) {
        self.receiving = false;
        self.gate.receive_ends();
        if result.is_ok() {
            self.passed(Cause::Bus);
        }
        for delivery in batch {
            self.admit(delivery).await;
        }
        self.recalled.clear();
        match result {
            Ok(()) => {}
            Err(closed) if closed.kind() == ErrorKind::Closed => {
                if self.draining.is_none() {
                    error!(subscription = %self.pipeline.subscription, error = %closed, "the bus was closed; the pipeline ends");
                    self.drain();
                }
            }
            Err(error) => self.trip(Cause::Bus, &format!("receive: {error}")),
        }
    }

    /// Gives a delivery its place: at a handler, in the queue for one, behind its key's head, or back.
    async fn admit(&mut self, delivery: Delivery) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let is_for_others = is_replay_for_another_group(delivery.message(), &self.pipeline.subscription);
        let identity = self.identify(delivery.message());
        let mut held = Held::new(delivery, identity, serial);
        if self.draining.is_some() || self.gate.is_shut() {
            self.returning.push(held.unsettled);
            return;
        }
        if is_for_others {
            self.pass_by(held);
            return;
        }
        if self.is_recalled(&held) {
            self.returning.push(held.unsettled);
            return;
        }
        self.heartbeat.watch(held.deadline, self.pipeline.seams.clock.as_ref());
        if self.pipeline.policy.order_per_key
            && let Some(key) = &held.key
            && !self.ends_stall(key, &held.message_id)
            && !self.lanes.enter(key)
        {
            held.stage = Stage::Following;
            let key = key.clone();
            let place = self.held.insert(held);
            self.lanes.queue(&key, place);
            return;
        }
        if let Some(reason) = self.parked_behind(&held) {
            self.follow(held, reason);
        } else if self.pipeline.attempts.is_none() && self.ready.is_empty() && self.free_handler_count() > 0 {
            let attempt = self.attempts.next(&held.message_id);
            self.start(held, attempt).await;
        } else {
            let place = self.held.insert(held);
            self.ready.push_back(place);
        }
    }

    /// What the application says a message is. A panic of it is no reason to end the pipeline.
    fn identify(&self, message: &Message) -> Identity {
        let Some(identify) = self.pipeline.identify.as_deref() else { return Identity::default() };
        catch_unwind(AssertUnwindSafe(|| identify(message))).unwrap_or_else(|_| {
            error!(subscription = %self.pipeline.subscription, message_id = %message.id(),
                "naming the message panicked: it keeps its own id and key");
            Identity::default()
        })
    }

    /// Whether a message before it went back while it was on its way.
    fn is_recalled(&mut self, held: &Held) -> bool {
        if self.recalled.is_empty() {
            return false;
        }
        let Some(key) = &held.key else { return false };
        self.recalled.get_mut(key).is_some_and(|recalled| recalled.holds_back(&held.message_id))
    }

    fn free_handler_count(&self) -> usize {
        let allowed = self.gate.concurrency(self.pipeline.policy.concurrency_max.max(1));
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
                self.trip(Cause::Dependency, &format!("store: {error}"));
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
                Begun::Attempt(_) if self.draining.is_some() || self.gate.is_shut() => {
                    self.forgive(&held.message_id);
                    self.send_back(held);
                }
                Begun::Attempt(attempt) => self.start(held, attempt).await,
            }
        }
    }

    /// Starts attempt number `counted`, unless that is one too many.
    async fn start(&mut self, mut held: Held, counted: u32) {
        let last = self.pipeline.policy.attempt_count_max.max(1);
        held.attempt = counted.min(last);
        held.is_surplus = counted > last;
        if held.is_surplus && !self.may_try_again(&held) {
            let starts = counted - 1;
            let reason = format!(
                "started {starts} times without an answer: its handler may end the process or outlive its lease"
            );
            return self.poisoned(held, Duration::ZERO, reason);
        }
        self.launch(held).await;
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
                let entry = self.held.vacant_entry();
                let place = entry.key();
                let (flight, abort) = Flight::new(place, guarded);
                held.stage = Stage::Running { abort, ending: None };
                entry.insert(held);
                self.running.push(flight);
                self.limit(place, serial);
            }
        }
    }
}
