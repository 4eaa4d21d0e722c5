//! Once through the dead letters, to an end.
//!
//! No bus can say where its queue ends. Nothing that comes for a while is the end, unless the bus counts
//! something that is still to come: a broker may take long until it hands out anything.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio_util::sync::CancellationToken;

use super::hand::Hand;
use super::letter::Identity;
use super::{DeadLetter, DeadLetters};
use crate::{
    Bus, Clock, ClockExt, Delivery, Error, ErrorKind, Moment, Result, SettleOutcome, SubscribeOptions, Subscription,
    Unsettled,
};

/// Most dead letters in one receive, one publish and one settlement.
pub(super) const BATCH_COUNT_MAX: usize = 100;

/// Tries to remove one dead letter that comes again after each; then it is left.
const REMOVAL_COUNT_MAX: u32 = 3;

/// How many times [patience](DeadLetters::with_patience) is had with what a bus counts and does not hand out: its count
/// may be wrong, or another receiver may have the rest.
const PATIENCE_COUNT_MAX: u32 = 10;

/// Time a call under way has to finish once shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a run over the dead letters ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// Everything that was there was looked at.
    Complete,
    /// The bus counts more and hands out none of them: another receiver may have taken them ahead, or the
    /// count is behind.
    Withheld,
    /// As many were done as were asked for.
    LimitReached,
    /// It holds, or remembers, as many as it may: another run, or a higher
    /// [limit](DeadLetters::with_held_count_max), goes further.
    Full,
    /// Shutdown was asked for.
    ShutDown,
    /// The bus failed, or the run was to stop at the first failure.
    Failed(Error),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("everything was looked at"),
            Self::Withheld => f.write_str("the bus counts more and hands out none; another receiver may have them"),
            Self::LimitReached => f.write_str("the limit was reached"),
            Self::Full => f.write_str("too many dead letters for one run; another goes further"),
            Self::ShutDown => f.write_str("shut down"),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}

/// A dead letter in hand.
pub(super) struct Found {
    pub(super) letter: DeadLetter,
    serial: u64,
}

pub(super) struct Walk {
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    hand: Hand,
    clock: Arc<dyn Clock>,
    patience: Duration,
    held_count_max: usize,
    /// What was met, by the number it is or was held under: it is not met again.
    seen: FxHashMap<Identity, u64>,
    /// What could not be removed, with the number of tries.
    unremoved: FxHashMap<Identity, u32>,
    pub(super) examined_count: usize,
}

impl Walk {
    pub(super) async fn begin(of: &DeadLetters) -> Result<Self> {
        // The hand is full before the prefetch is, or it would look like the end of the queue.
        let prefetch_count_max = of.held_count_max.saturating_add(BATCH_COUNT_MAX);
        let options = SubscribeOptions { prefetch_count_max, lease: Some(of.lease) };
        let receiver = of.bus.subscribe(&of.subscription, options).await.map_err(|error| {
            let text = "the dead letters cannot be received from; they are declared with their destination";
            Error::new(error.kind(), "dead letters", text).with("subscription", &of.subscription).caused_by(error)
        })?;
        let extension = of.bus.capability().lease.extendable.then_some(of.lease);
        let clock = Arc::clone(&of.seams.clock);
        Ok(Self {
            bus: Arc::clone(&of.bus),
            subscription: of.subscription.clone(),
            hand: Hand::new(receiver, Arc::clone(&clock), extension),
            clock,
            patience: of.patience,
            held_count_max: of.held_count_max,
            seen: FxHashMap::default(),
            unremoved: FxHashMap::default(),
            examined_count: 0,
        })
    }

    /// Waits for dead letters that were not met before, and holds them.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) async fn next(&mut self, max: usize, shutdown: &CancellationToken) -> Result<Vec<Found>, Ended> {
        let began_at = self.clock.now();
        let mut quiet_until = began_at + self.patience;
        let end_at = began_at + PATIENCE_COUNT_MAX * self.patience;
        let receiver = Arc::clone(self.hand.receiver());
        loop {
            if self.seen.len().max(self.hand.count()) >= self.held_count_max {
                return Err(Ended::Full);
            }
            let (clock, mut batch) = (Arc::clone(&self.clock), Vec::new());
            let patience = quiet_until.since(clock.now());
            let receiving = clock.timeout(patience, receiver.receive(max, &mut batch));
            let answer = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Ended::ShutDown),
                answer = self.hand.holding(receiving) => answer,
            };
            match answer {
                None if !self.is_more_counted(shutdown).await => return Err(Ended::Complete),
                None if self.clock.now() >= end_at => return Err(Ended::Withheld),
                None => {
                    quiet_until = self.clock.now() + self.patience;
                    continue;
                }
                Some(Err(error)) => return Err(Ended::Failed(error)),
                Some(Ok(())) => {}
            }
            let found: Vec<Found> = batch.into_iter().filter_map(|delivery| self.meet(delivery)).collect();
            if !found.is_empty() {
                self.examined_count += found.len();
                return Ok(found);
            }
            if self.clock.now() >= quiet_until {
                // What was lost comes again and again: nothing new among it.
                return Err(Ended::Complete);
            }
        }
    }

    /// Whether the bus counts dead letters that could be handed out.
    async fn is_more_counted(&mut self, shutdown: &CancellationToken) -> bool {
        let (bus, subscription) = (Arc::clone(&self.bus), self.subscription.clone());
        let depth = self.see_through(bus.depth(&subscription), shutdown).await;
        // A bus that does not count has nothing to say against the end.
        matches!(depth, Some(Ok(depth)) if depth.ready_count > 0)
    }

    /// Holds a delivery. One that was met and lost since is no new one, nor is one that stays whatever is tried.
    fn meet(&mut self, delivery: Delivery) -> Option<Found> {
        let lease = delivery.lease();
        let (message, unsettled) = delivery.split();
        let letter = DeadLetter::new(message);
        let (serial, identity) = (self.hand.take_in(unsettled, lease), letter.identity());
        let is_hopeless = self.unremoved.get(&identity).is_some_and(|tries| *tries >= REMOVAL_COUNT_MAX);
        match self.seen.insert(identity, serial) {
            _ if is_hopeless => None,
            // A twin: the other one is still here.
            Some(earlier) if self.hand.has(earlier) => Some(Found { letter, serial }),
            Some(_) => None,
            None => Some(Found { letter, serial }),
        }
    }

    /// Leaves aside what is no longer ours: it is met again.
    pub(super) fn keep_ours(&mut self, found: &mut Vec<Found>) {
        let (ours, gone): (Vec<Found>, Vec<Found>) = found.drain(..).partition(|one| self.hand.has(one.serial));
        *found = ours;
        for one in gone {
            if let Some(unsettled) = self.take_out(&one) {
                unsettled.discharge();
            }
        }
    }

    /// Takes one out, to settle it. Should it come again, it is met again.
    pub(super) fn take_out(&mut self, found: &Found) -> Option<Unsettled> {
        self.seen.remove(&found.letter.identity());
        self.hand.take_out(found.serial)
    }

    /// Acknowledges dead letters and answers each, in input order.
    pub(super) async fn remove(&mut self, found: &[Found], shutdown: &CancellationToken) -> Vec<SettleOutcome> {
        let mut answers: Vec<SettleOutcome> = Vec::with_capacity(found.len());
        let (mut indexes, mut settlements) = (Vec::new(), Vec::new());
        for (index, one) in found.iter().enumerate() {
            answers.push(SettleOutcome::LeaseLost);
            if let Some(unsettled) = self.take_out(one) {
                indexes.push(index);
                settlements.push(unsettled.ack());
            }
        }
        let receiver = Arc::clone(self.hand.receiver());
        let settling = async { if settlements.is_empty() { Vec::new() } else { receiver.settle(settlements).await } };
        let outcomes = self.see_through(settling, shutdown).await.unwrap_or_default();
        let unanswered = || SettleOutcome::Failed(Error::new(ErrorKind::Timeout, "settle", "there was no answer"));
        for (index, outcome) in indexes.into_iter().zip(outcomes.into_iter().chain(std::iter::repeat_with(unanswered)))
        {
            answers[index] = outcome;
        }
        self.note(found, &answers);
        answers
    }

    fn note(&mut self, found: &[Found], answers: &[SettleOutcome]) {
        for (one, answer) in found.iter().zip(answers) {
            let identity = one.letter.identity();
            if answer.is_settled() {
                self.unremoved.remove(&identity);
            } else {
                *self.unremoved.entry(identity).or_default() += 1;
            }
        }
    }

    /// Whether removing it was tried in vain.
    pub(super) fn is_unremoved(&self, letter: &DeadLetter) -> bool {
        self.unremoved.contains_key(&letter.identity())
    }

    /// How many were not removed so far.
    pub(super) fn unremoved_count(&self) -> usize {
        self.unremoved.len()
    }

    /// Does `work` and looks after leases; once shutdown was asked for, only for a short time more.
    pub(super) async fn see_through<F: Future>(&mut self, work: F, shutdown: &CancellationToken) -> Option<F::Output> {
        let clock = Arc::clone(&self.clock);
        let overdue = async {
            shutdown.cancelled().await;
            clock.sleep(DRAIN).await;
        };
        tokio::select! {
            biased;
            output = self.hand.holding(work) => Some(output),
            () = overdue => None,
        }
    }

    /// Waits for a moment, or for shutdown, which is answered by `false`.
    pub(super) async fn wait(&mut self, until: Moment, shutdown: &CancellationToken) -> bool {
        let clock = Arc::clone(&self.clock);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => false,
            () = self.hand.holding(clock.sleep_until(until)) => true,
        }
    }

    /// Gives back what is in hand, unchanged and uncounted.
    pub(super) async fn finish(self) {
        self.hand.give_back().await;
    }
}
