//! Keeping leases alive, and acting on those that are lost.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::Stream;
use tracing::warn;

use crate::capability::LeaseTerms;
use crate::pipeline::hand::{Ending, Held, Stage};
use crate::{Clock, ExtendOutcome, Moment, Token};

use super::{Engine, Event};

/// The part of a lease that must be left after the next beat, lest one comes sooner: half of what is between
/// beats, time for an extension to be answered.
const SPARE_SHARE: u32 = 6;

/// When leases are extended: every third of their length, all that end within two thirds.
///
/// So an extension may fail once before a lease is in danger.
pub(super) struct Heartbeat {
    extendable: bool,
    /// The shortest length the bus may give, where it says so beforehand.
    known: Option<Duration>,
    lease: Duration,
    next: Option<Moment>,
}

impl Heartbeat {
    pub(super) fn new(terms: LeaseTerms, asked_for: Option<Duration>) -> Self {
        let known = [terms.duration, asked_for].into_iter().flatten().min();
        Self { extendable: terms.extendable, known, lease: Duration::ZERO, next: None }
    }

    /// A delivery with this deadline has arrived. Costs little while a beat is planned that is in time for it.
    pub(super) fn watch(&mut self, deadline: Option<Moment>, clock: &dyn Clock) {
        let Some(deadline) = deadline.filter(|_| self.extendable) else { return };
        if self.next.is_some_and(|next| next + self.lease / SPARE_SHARE <= deadline) {
            return;
        }
        let now = clock.now();
        let remaining = deadline.since(now);
        if self.next.is_none() {
            // It may have been long on its way: that must not shorten the leases to ask for.
            self.lease = self.known.unwrap_or(remaining);
        }
        let beat = now + (self.lease / 3).min(remaining / 2);
        self.next = Some(self.next.map_or(beat, |next| next.min(beat)));
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.next
    }
}

impl Engine<'_> {
    /// Keeps one call waiting for lost leases.
    pub(super) fn watch_leases(&mut self) {
        let receiver = Arc::clone(&self.receiver);
        self.calls.push(Box::pin(async move { Event::Lost(receiver.lost().await) }));
    }

    /// Extends what needs it, in one batch.
    pub(super) fn beat(&mut self, now: Moment) {
        if self.heartbeat.next.is_none_or(|next| now < next) {
            return;
        }
        let lease = self.heartbeat.lease;
        if self.held.is_empty() {
            self.heartbeat.next = None;
            return;
        }
        self.heartbeat.next = Some(now + lease / 3);
        let due = self.held.iter().filter(|(_, held)| held.ends_within(lease * 2 / 3, now));
        let (extended, tokens): (Vec<(usize, u64)>, Vec<Token>) =
            due.map(|(place, held)| ((place, held.serial), held.unsettled.token())).unzip();
        if tokens.is_empty() {
            return;
        }
        let receiver = Arc::clone(&self.receiver);
        self.owe(async move { Event::Extended(extended, receiver.extend(&tokens, lease).await) });
    }

    pub(super) fn extended(&mut self, extended: Vec<(usize, u64)>, outcomes: Vec<ExtendOutcome>) {
        self.owed_call_count -= 1;
        for ((place, serial), outcome) in extended.into_iter().zip(outcomes) {
            let Some(held) = self.held.get_mut(place).filter(|held| held.serial == serial) else { continue };
            match outcome {
                ExtendOutcome::Until(deadline) => held.deadline = Some(deadline),
                ExtendOutcome::Capped => self.part_with(place, Ending::LeaseCapped),
                ExtendOutcome::LeaseLost => self.part_with(place, Ending::LeaseLost),
                ExtendOutcome::Failed(error) => {
                    warn!(subscription = %self.pipeline.subscription, message_id = %held.message_id, %error,
                        "the lease was not extended; trying again before it ends");
                }
            }
        }
    }

    pub(super) async fn lost(&mut self, tokens: &[Token]) {
        for token in tokens {
            let place = self.held.iter().find(|(_, held)| held.unsettled.token() == *token).map(|(place, _)| place);
            if let Some(place) = place {
                self.part_with(place, Ending::LeaseLost);
            }
        }
        self.end_stalls(|stall| tokens.contains(&stall.token));
        // A receiver that was closed has nothing to wait for.
        if !tokens.is_empty() {
            self.watch_leases();
        }
        self.take_cancelled().await;
    }

    /// Takes leave of cancelled handlers now, so that their starts are counted before another delivery.
    async fn take_cancelled(&mut self) {
        let mut ended = Vec::new();
        poll_fn(|context| {
            while let Poll::Ready(Some(flight)) = Pin::new(&mut self.running).poll_next(context) {
                ended.push(flight);
            }
            Poll::Ready(())
        })
        .await;
        for (place, handled) in ended {
            self.handled(place, handled);
        }
    }

    /// A delivery in hand can be kept no longer.
    fn part_with(&mut self, place: usize, why: Ending) {
        let Some(held) = self.held.get_mut(place) else { return };
        match &mut held.stage {
            Stage::Running { abort, ending } => {
                ending.get_or_insert(why);
                abort.abort();
            }
            Stage::Beginning { lost } => *lost |= why == Ending::LeaseLost,
            Stage::Ready | Stage::Following => {
                let held = self.held.remove(place);
                self.ready.retain(|ready| *ready != place);
                match held.stage {
                    Stage::Following => self.leave_lane(held, place, why),
                    _ if why == Ending::LeaseCapped => self.send_back(held),
                    _ => self.give_up(held),
                }
            }
        }
    }

    /// A follower can be kept no longer; those behind it go back, so that none overtakes it.
    fn leave_lane(&mut self, held: Held, place: usize, why: Ending) {
        if why == Ending::LeaseCapped {
            self.returning.push(held.unsettled);
        } else {
            held.unsettled.discharge();
        }
        if let Some(key) = held.key {
            let behind = self.lanes.leave(&key, place);
            self.return_places(behind);
            self.recall(key, held.message_id);
        }
    }
}
