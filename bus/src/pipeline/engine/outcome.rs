//! From a handler's answer to the answer of the bus.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use crate::pipeline::gate::Cause;
use crate::pipeline::hand::{Ending, Held, Stage};
use crate::pipeline::{Failure, Handled};
use crate::{Error, ErrorKind, MessageId, MessageKey, Moment, SettleOutcome, Settlement, Token, Unsettled};

use super::stall::Stall;
use super::{Engine, Event};

/// What follows once a settlement is answered.
pub(super) struct Decided {
    message_id: MessageId,
    key: Option<MessageKey>,
    token: Token,
    /// When its lease ends, where there is one.
    deadline: Option<Moment>,
    goes: Goes,
}

/// Where a settled message goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    /// Nowhere: it is done.
    Away,
    /// Nowhere: it was none of ours. What is known of its id is about another copy.
    Past,
    /// To the dead letters, from where somebody may replay it.
    ToDeadLetters,
    /// The same, and later ones of its key after it.
    Parked,
    /// To the dead letters without a start, after one that is parked.
    AfterParked,
    /// Back, to come again: its followers must go back behind it.
    Back,
}

impl Goes {
    /// Whether later ones of its key wait until it has gone there. They pass one that was processed or is to be
    /// skipped: it comes again for its settlement alone.
    fn holds_up(self) -> bool {
        match self {
            Self::Back | Self::Parked | Self::AfterParked => true,
            Self::Away | Self::Past | Self::ToDeadLetters => false,
        }
    }
}

impl Engine<'_> {
    pub(super) fn handled(&mut self, place: usize, handled: Option<Handled>) {
        let held = self.held.remove(place);
        let ending = match &held.stage {
            Stage::Running { ending, .. } => *ending,
            Stage::Ready | Stage::Following | Stage::Beginning { .. } => None,
        };
        match (handled, ending) {
            (Some(handled), _) => self.decide(held, handled),
            (None, Some(Ending::LeaseLost)) => {
                warn!(subscription = %self.pipeline.subscription, message_id = %held.message_id, attempt = held.attempt,
                    "the lease was lost while the handler ran: it was cancelled, another delivery will follow");
                self.attempts.failed(&held.message_id, held.attempt);
                self.give_up(held);
            }
            (None, Some(Ending::LeaseCapped)) => {
                self.decide(held, Err(Failure::Retry("the lease reached the broker's longest time".to_owned())));
            }
            (None, Some(Ending::Drained)) => {
                // Shutting down is not the message's fault: the start does not count.
                self.forgive(&held.message_id);
                self.send_back(held);
            }
            (None, Some(Ending::TimedOut) | None) => {
                let limit = self.pipeline.policy.handler_timeout;
                self.decide(held, Err(Failure::Retry(format!("not done within {limit:?}"))));
            }
        }
    }

    /// Turns a handler's answer into a settlement.
    pub(super) fn decide(&mut self, held: Held, handled: Handled) {
        match handled {
            Ok(()) => {
                self.passed(Cause::Dependency);
                self.acknowledge(held);
            }
            Err(Failure::Unavailable(reason)) => {
                self.forgive(&held.message_id);
                self.send_back(held);
                self.trip(Cause::Dependency, &reason);
            }
            Err(Failure::Reject(reason)) => self.reject(held, reason, Goes::ToDeadLetters),
            Err(Failure::Retry(cause)) => self.retry(held, None, &cause),
            Err(Failure::RetryAfter(delay, cause)) => self.retry(held, Some(delay), &cause),
        }
    }

    /// Done, by this handler or before.
    pub(super) fn acknowledge(&mut self, held: Held) {
        self.settle(held, Unsettled::ack, Goes::Away);
    }

    /// A replay that is for another group. Order per key is not concerned.
    pub(super) fn pass_by(&mut self, mut held: Held) {
        debug!(subscription = %self.pipeline.subscription, message_id = %held.message_id,
            "a replay for another group: acknowledged without its handler");
        held.key = None;
        self.settle(held, Unsettled::ack, Goes::Past);
    }

    fn retry(&mut self, held: Held, asked_for: Option<Duration>, cause: &str) {
        let pipeline = self.pipeline;
        if held.attempt >= pipeline.policy.attempt_count_max {
            let reason = format!("attempt {0} of {0} failed: {cause}", held.attempt);
            self.poisoned(held, asked_for.unwrap_or_default(), reason);
            return;
        }
        let delay = self.bearable(asked_for.unwrap_or_else(|| {
            let entropy = pipeline.seams.entropy.as_ref();
            let id = held.message_id.to_string();
            pipeline.policy.retry.delay(held.attempt, entropy, "retry", &id)
        }));
        warn!(subscription = %self.pipeline.subscription, message_id = %held.message_id, attempt = held.attempt,
            cause, retry_in = ?delay, "the attempt failed and will be repeated");
        self.attempts.failed(&held.message_id, held.attempt);
        self.settle(held, |unsettled| unsettled.nack(delay), Goes::Back);
    }

    /// A delay as far as the bus can delay: a nack for longer would fail.
    pub(super) fn bearable(&self, delay: Duration) -> Duration {
        self.pipeline.bus.capability().nack_delay_max.map_or(delay, |longest| delay.min(longest))
    }

    pub(super) fn reject(&mut self, held: Held, reason: String, goes: Goes) {
        warn!(subscription = %self.pipeline.subscription, message_id = %held.message_id, attempt = held.attempt,
            reason, "the message goes to the dead letters");
        // Until the dead letters have it: should they refuse it, it does not start all over.
        self.attempts.failed(&held.message_id, held.attempt);
        self.settle(held, |unsettled| unsettled.reject(reason), goes);
    }

    pub(super) fn settle(&mut self, held: Held, verdict: impl FnOnce(Unsettled) -> Settlement, goes: Goes) {
        let Held { message_id, key, unsettled, deadline, .. } = held;
        self.decided.push(Decided { message_id, key, token: unsettled.token(), deadline, goes });
        self.settlements.push(verdict(unsettled));
    }

    /// Hands settlements and returns over to the receiver, all that have gathered.
    pub(super) fn hand_over(&mut self) {
        if !self.settlements.is_empty() {
            let settlements = std::mem::take(&mut self.settlements);
            let decided = std::mem::take(&mut self.decided);
            self.unanswered_count += settlements.len();
            let receiver = Arc::clone(&self.receiver);
            self.owe(async move { Event::Settled(decided, receiver.settle(settlements).await) });
        }
        self.hand_back();
    }

    pub(super) fn settled(&mut self, decided: Vec<Decided>, outcomes: Vec<SettleOutcome>) {
        self.owed_call_count -= 1;
        self.unanswered_count -= decided.len();
        let unanswered = || {
            let message = "the backend answered fewer settlements than it was given";
            SettleOutcome::Failed(Error::new(ErrorKind::Unexpected, "settle", message))
        };
        let outcomes = outcomes.into_iter().chain(std::iter::repeat_with(unanswered));
        for (Decided { message_id, key, token, deadline, goes }, outcome) in decided.into_iter().zip(outcomes) {
            match &outcome {
                SettleOutcome::Settled | SettleOutcome::Sent => {}
                SettleOutcome::LeaseLost => {
                    warn!(subscription = %self.pipeline.subscription, %message_id,
                        "settled too late: the lease was lost and another delivery follows");
                }
                SettleOutcome::Failed(error) => {
                    warn!(subscription = %self.pipeline.subscription, %message_id, %error,
                        "not settled: the message will be delivered again");
                }
            }
            if goes != Goes::Back && outcome.is_settled() {
                self.gone(key, message_id, goes);
                continue;
            }
            let Some(key) = key else { continue };
            let holds_up = self.is_ordered && self.draining.is_none() && goes.holds_up();
            match (outcome, deadline) {
                (SettleOutcome::Failed(_), Some(until)) if holds_up => {
                    self.stall(key, Stall { message_id, token, until });
                }
                _ => {
                    self.return_followers(&key);
                    self.recall(key, message_id);
                }
            }
        }
    }

    /// A message will not come again of itself: the next of its key is its head.
    fn gone(&mut self, key: Option<MessageKey>, message_id: MessageId, goes: Goes) {
        if goes == Goes::Past {
            return;
        }
        self.attempts.settled(&message_id);
        if matches!(goes, Goes::Away | Goes::ToDeadLetters) {
            self.done(key.as_ref(), &message_id);
        }
        if matches!(goes, Goes::ToDeadLetters | Goes::Parked) {
            self.forget(message_id);
        }
        if let Some(next) = key.and_then(|key| self.lanes.advance(&key)) {
            self.advance(next);
        }
    }

    /// A follower has become the head of its lane.
    fn advance(&mut self, place: usize) {
        let Some(held) = self.held.get_mut(place) else { return };
        held.stage = Stage::Ready;
        match self.parked_behind(&self.held[place]) {
            Some(reason) => {
                let held = self.held.remove(place);
                self.follow(held, reason);
            }
            None => self.ready.push_back(place),
        }
    }

    /// The message has left for the dead letters: its starts are of the past.
    fn forget(&mut self, message_id: MessageId) {
        let pipeline = self.pipeline;
        let Some(attempts) = pipeline.attempts.as_deref() else { return };
        self.owe(async move {
            if let Err(error) = attempts.forget(&pipeline.subscription, &message_id).await {
                warn!(subscription = %pipeline.subscription, %message_id, %error, "a replay of this dead letter starts with its old count");
            }
            Event::Forgotten
        });
    }
}
