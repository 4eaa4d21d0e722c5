//! A receiver whose long nacks are held here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use super::hold::{Freed, Hold, Nacked};
use crate::capability::LeaseTerms;
use crate::emulation::in_hand::{InHand, Known};
use crate::emulation::settle_some;
use crate::layer::ReceiverLayer;
use crate::{
    Clock, Delivery, Error, ErrorKind, ExtendOutcome, Moment, Receiver, Result, SettleOutcome, Settlement, Token,
    Unsettled, Verdict,
};

/// Holds nacks until they are due.
pub(super) struct Nacks {
    /// What the bus delays itself.
    pub(super) native_max: Duration,
    /// What it delays with this layer.
    pub(super) offered_max: Duration,
    pub(super) is_confirmed: bool,
    pub(super) terms: LeaseTerms,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) in_hand: Arc<InHand>,
    pub(super) hold: Arc<Hold>,
}

/// A batch of settlements, sorted by what has to be done for each; with places in the batch.
#[derive(Default)]
struct Sorted {
    answers: Vec<(usize, SettleOutcome)>,
    /// As decided, for the bus.
    plain: Vec<(usize, Settlement)>,
    /// Held, if only their leases can be extended.
    to_extend: Vec<(usize, Token)>,
    latest: Moment,
}

#[async_trait]
impl ReceiverLayer for Nacks {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        // Of its own, so that nothing gets past this layer when the call is dropped.
        let mut batch = Vec::new();
        loop {
            let changed = self.hold.changed.notified();
            self.carry_out(next).await;
            let result = tokio::select! {
                biased;
                result = next.receive(max, &mut batch) => Some(result),
                () = changed => None,
                () = self.event() => None,
            };
            let is_empty = batch.is_empty();
            self.withhold(&mut batch);
            if !batch.is_empty() {
                self.in_hand.hand_out(&mut batch);
                into.append(&mut batch);
                return Ok(());
            }
            match result {
                Some(Err(error)) => return Err(error),
                Some(Ok(())) if is_empty => return Ok(()),
                Some(Ok(())) | None => {}
            }
        }
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let now = self.clock.now();
        let Sorted { mut answers, plain, to_extend, latest } = self.sort(batch, now);
        let (places, plain): (Vec<usize>, Vec<Settlement>) = plain.into_iter().unzip();
        if answers.is_empty() && to_extend.is_empty() {
            return next.settle(plain).await;
        }
        self.hold.changed.notify_waiters();
        answers.extend(places.into_iter().zip(settle_some(plain, next).await));
        if !to_extend.is_empty() {
            let (places, tokens): (Vec<usize>, Vec<Token>) = to_extend.into_iter().unzip();
            let outcomes = next.extend(&tokens, Hold::extension(latest, now)).await;
            let extended = tokens.into_iter().zip(outcomes).map(|(token, outcome)| self.kept(token, outcome));
            answers.extend(places.into_iter().zip(extended));
        }
        self.carry_out(next).await;
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn extend(&self, tokens: &[Token], by: Duration, next: &dyn Receiver) -> Vec<ExtendOutcome> {
        let outcomes = next.extend(tokens, by).await;
        self.in_hand.extended(tokens, &outcomes);
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>, next: &dyn Receiver) {
        self.in_hand.forget(unstarted.iter().map(Unsettled::token));
        next.release(unstarted).await;
    }

    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        loop {
            let changed = self.hold.changed.notified();
            self.carry_out(next).await;
            let mut lost = tokio::select! {
                biased;
                lost = next.lost() => lost,
                () = changed => Vec::new(),
                () = self.event() => Vec::new(),
            };
            // Those who nacked them are done with them.
            let count = lost.len();
            lost.retain(|token| self.hold.take(*token).map(Unsettled::discharge).is_none());
            if lost.len() < count {
                // Somebody may have waited behind one of them.
                self.hold.changed.notify_waiters();
            }
            if !lost.is_empty() {
                self.in_hand.forget(lost.iter().copied());
                return lost;
            }
        }
    }

    async fn close(&self, next: &dyn Receiver) {
        self.give_back(self.hold.take_all(), next).await;
        next.close().await;
        self.in_hand.forget_all();
    }
}

impl Nacks {
    fn sort(&self, batch: Vec<Settlement>, now: Moment) -> Sorted {
        let mut sorted = Sorted::default();
        for (place, settlement) in batch.into_iter().enumerate() {
            let known = self.in_hand.take(settlement.token());
            match (settlement.verdict(), known) {
                (Verdict::Nack { after }, Some(known)) if *after > self.native_max => {
                    self.hold_one(place, settlement, &known, now, &mut sorted);
                }
                // What is not in hand was lost, or belongs to another receiver: the bus says so.
                _ => sorted.plain.push((place, settlement)),
            }
        }
        sorted
    }

    /// Holds a nack before anything is awaited: dropping the call leaves it held.
    fn hold_one(&self, place: usize, settlement: Settlement, known: &Known, now: Moment, sorted: &mut Sorted) {
        let after = if let Verdict::Nack { after } = settlement.verdict() { *after } else { Duration::ZERO };
        let due = now + after;
        let answer = if known.is_over(now) {
            Some(SettleOutcome::LeaseLost)
        } else if after > self.offered_max || !self.can_be_held(known, due) {
            Some(SettleOutcome::Failed(self.too_long(after)))
        } else if known.deadline.is_some_and(|deadline| deadline < due) {
            None
        } else {
            Some(if self.is_confirmed { SettleOutcome::Settled } else { SettleOutcome::Sent })
        };
        if let Some(SettleOutcome::LeaseLost | SettleOutcome::Failed(_)) = answer {
            // It stays on its lease, as on a bus that refuses the delay.
            settlement.undecided().discharge();
        } else {
            if answer.is_none() {
                sorted.to_extend.push((place, settlement.token()));
                sorted.latest = sorted.latest.max(due);
            }
            let key = known.message.key().cloned();
            self.hold.hold(Nacked { settlement, key, due, deadline: known.deadline }, now);
        }
        sorted.answers.extend(answer.map(|answer| (place, answer)));
    }

    /// Whether the lease lasts until `due`, or can be extended to.
    fn can_be_held(&self, known: &Known, due: Moment) -> bool {
        let is_within_cap = self.terms.total_max.is_none_or(|max| due <= known.since + max);
        let is_within_lease = known.deadline.is_none_or(|deadline| due <= deadline || self.terms.extendable);
        is_within_cap && is_within_lease
    }

    /// The answer to a nack whose lease had to be extended.
    fn kept(&self, token: Token, outcome: ExtendOutcome) -> SettleOutcome {
        drop_as_lost(self.hold.extended(token, &outcome, self.clock.now()));
        match outcome {
            ExtendOutcome::Until(_) if self.is_confirmed => SettleOutcome::Settled,
            ExtendOutcome::Until(_) => SettleOutcome::Sent,
            ExtendOutcome::LeaseLost => SettleOutcome::LeaseLost,
            ExtendOutcome::Capped => {
                let text = "the lease has reached its longest time; the message comes again when it ends";
                SettleOutcome::Failed(Error::new(ErrorKind::Unsupported, "settle", text))
            }
            ExtendOutcome::Failed(error) => {
                drop_as_lost(self.hold.take(token));
                let (kind, is_retryable) = (error.kind(), error.is_retryable());
                let text = "the lease was not extended over the delay; the message comes again when it ends";
                SettleOutcome::Failed(Error::new(kind, "settle", text).retryable(is_retryable).caused_by(error))
            }
        }
    }

    /// Takes messages out that must wait behind a held one of their key.
    fn withhold(&self, batch: &mut Vec<Delivery>) {
        if batch.is_empty() || !self.hold.has_lanes() {
            return;
        }
        let now = self.clock.now();
        let received = std::mem::take(batch).into_iter();
        batch.extend(received.filter_map(|delivery| self.hold.withhold(delivery, now)));
    }

    /// Gives back what is due and extends what needs it.
    async fn carry_out(&self, next: &dyn Receiver) {
        let now = self.clock.now();
        self.give_back(self.hold.take_due(now), next).await;
        let (tokens, by) = self.hold.to_extend(now);
        if tokens.is_empty() {
            return;
        }
        let outcomes = next.extend(&tokens, by).await;
        for (token, outcome) in tokens.into_iter().zip(outcomes) {
            let Some(ended) = self.hold.extended(token, &outcome, self.clock.now()) else { continue };
            if matches!(outcome, ExtendOutcome::LeaseLost) {
                ended.discharge();
            } else {
                warn!(?token, "a held delivery reached the longest time of its lease and goes back before it is due");
                next.release(vec![ended]).await;
            }
        }
    }

    async fn give_back(&self, freed: Freed, next: &dyn Receiver) {
        // Whom a dropped delivery goes back to makes it visible again.
        drop(freed.heads);
        if !freed.followers.is_empty() {
            next.release(freed.followers).await;
        }
    }

    /// Until there is something to carry out.
    async fn event(&self) {
        match self.hold.next_event() {
            Some(moment) => self.clock.sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }

    fn too_long(&self, after: Duration) -> Error {
        let text = format!(
            "a nack delay of {after:?} cannot be held here; at most {:?}, and not beyond the lease",
            self.offered_max
        );
        Error::new(ErrorKind::Unsupported, "settle", text)
    }
}

/// The bus takes it back when its lease ends.
fn drop_as_lost(ended: Option<Unsettled>) {
    if let Some(ended) = ended {
        ended.discharge();
    }
}
