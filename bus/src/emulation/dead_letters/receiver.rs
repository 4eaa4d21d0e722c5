//! A receiver whose rejects are moved: copy, confirmed, then remove.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::RETRY_AFTER;
use super::burial::{Burial, copy_of, refused};
use crate::emulation::in_hand::InHand;
use crate::emulation::settle_some;
use crate::layer::ReceiverLayer;
use crate::{
    Bus, Clock, ClockExt, Delivery, Destination, Error, ErrorKind, ExtendOutcome, Outgoing, PublishOutcome, Receiver,
    Result, SettleOutcome, Settlement, Subscription, Token, Unsettled, Verdict,
};

/// Longest wait for the dead letters to take a copy: a full queue must not hold up the consumer.
const COPY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Moves what is rejected.
pub(super) struct Rejects {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) subscription: Subscription,
    /// Where rejected messages go.
    pub(super) graves: Option<Destination>,
    pub(super) in_hand: Arc<InHand>,
}

/// A batch of settlements, sorted by what has to be done for each; with places in the batch.
#[derive(Default)]
struct Sorted {
    answers: Vec<(usize, SettleOutcome)>,
    /// As decided, for the bus.
    plain: Vec<(usize, Settlement)>,
    burials: Vec<Burial>,
}

#[async_trait]
impl ReceiverLayer for Rejects {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        // Of its own, so that nothing gets past this layer when the call is dropped.
        let mut batch = Vec::new();
        let result = next.receive(max, &mut batch).await;
        self.in_hand.hand_out(&mut batch);
        into.append(&mut batch);
        result
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        let Sorted { mut answers, plain, burials } = self.sort(batch);
        let (places, plain): (Vec<usize>, Vec<Settlement>) = plain.into_iter().unzip();
        if burials.is_empty() && answers.is_empty() {
            return next.settle(plain).await;
        }
        let (settled, copied) = tokio::join!(settle_some(plain, next), self.copy(&burials));
        answers.extend(places.into_iter().zip(settled));
        let buried = self.remove(burials, copied, next).await;
        answers.extend(buried);
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
        let lost = next.lost().await;
        self.in_hand.forget(lost.iter().copied());
        lost
    }

    async fn close(&self, next: &dyn Receiver) {
        next.close().await;
        self.in_hand.forget_all();
    }
}

impl Rejects {
    fn sort(&self, batch: Vec<Settlement>) -> Sorted {
        let now = self.clock.now();
        let mut sorted = Sorted::default();
        for (place, settlement) in batch.into_iter().enumerate() {
            let known = self.in_hand.take(settlement.token());
            let (Verdict::Reject { reason }, Some(known)) = (settlement.verdict(), known) else {
                // What is not in hand was lost, or belongs to another receiver: the bus says so.
                sorted.plain.push((place, settlement));
                continue;
            };
            if known.is_over(now) {
                // No copy of what somebody else may be working on.
                settlement.undecided().discharge();
                sorted.answers.push((place, SettleOutcome::LeaseLost));
                continue;
            }
            let bytes_max = self.bus.capability().message_bytes_max;
            let copy = copy_of(&known, &self.subscription, reason, self.clock.wall(), bytes_max);
            sorted.burials.push(Burial { place, settlement, copy, has_lease: known.deadline.is_some() });
        }
        sorted
    }

    /// Publishes the copies; answers for each why it is not in the dead letters, if so.
    async fn copy(&self, burials: &[Burial]) -> Vec<Result<()>> {
        let Some(graves) = &self.graves else { return burials.iter().map(|_| Err(self.no_graves())).collect() };
        let copies = burials.iter().map(|burial| Outgoing::new(graves.clone(), burial.copy.clone()));
        let published = self.clock.timeout(COPY_WAIT_MAX, self.bus.publish(copies.collect())).await;
        let mut outcomes = published.unwrap_or_default().into_iter();
        let unanswered = || {
            let text = "the dead letters did not answer in time; they may be full: replay or remove some";
            Error::new(ErrorKind::Timeout, "settle", text).with("dead_letters", graves)
        };
        let answer = |_| match outcomes.next() {
            Some(PublishOutcome::Accepted(_)) => Ok(()),
            Some(PublishOutcome::Refused(error)) if error.kind() == ErrorKind::NotFound => Err(self.no_graves()),
            Some(PublishOutcome::Refused(error) | PublishOutcome::Unknown(error)) => Err(refused(error, graves)),
            None => Err(unanswered()),
        };
        burials.iter().map(answer).collect()
    }

    /// Consumes the originals whose copies are accepted, and leaves the others to come again.
    async fn remove(
        &self,
        burials: Vec<Burial>,
        copied: Vec<Result<()>>,
        next: &dyn Receiver,
    ) -> Vec<(usize, SettleOutcome)> {
        let mut answers = Vec::with_capacity(burials.len());
        let (mut places, mut removals, mut returns) = (Vec::new(), Vec::new(), Vec::new());
        let after = RETRY_AFTER.min(self.bus.capability().nack_delay_max.unwrap_or_default());
        for (Burial { place, settlement, has_lease, .. }, copied) in burials.into_iter().zip(copied) {
            match copied {
                Ok(()) => {
                    places.push(place);
                    removals.push(settlement.with_verdict(Verdict::Ack));
                }
                Err(error) => {
                    answers.push((place, SettleOutcome::Failed(error)));
                    if has_lease {
                        settlement.undecided().discharge();
                    } else {
                        returns.push(settlement.with_verdict(Verdict::Nack { after }));
                    }
                }
            }
        }
        let return_count = returns.len();
        removals.append(&mut returns);
        let mut outcomes = settle_some(removals, next).await;
        outcomes.truncate(outcomes.len().saturating_sub(return_count));
        answers.extend(places.into_iter().zip(outcomes));
        answers
    }

    fn no_graves(&self) -> Error {
        let text = "nothing keeps dead letters of this destination; ack the message, or nack it with a delay";
        Error::new(ErrorKind::Unsupported, "settle", text).with("subscription", &self.subscription)
    }
}
