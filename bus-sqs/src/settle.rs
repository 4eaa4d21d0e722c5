//! From in hand to gone, and longer in hand.

use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::{
    Delivery, Error, ErrorKind, ExtendOutcome, Message, Moment, PublishOutcome, Result, SettleOutcome, Settlement,
    Token, Verdict,
};

use futures_util::future::join_all;

use crate::config::{LEASE_TOTAL_MAX, NACK_DELAY_MAX, WIRE_BYTES_MAX};
use crate::consumer::{Consumer, safely};
use crate::publish::{dead_parcel_of, whole_seconds};
use crate::table::Held;

/// What is left to do for one settlement.
enum Step {
    Answered(SettleOutcome),
    Delete(String, Moment),
    PutBack(String, i32),
    Bury(Token, Box<Message>),
}

pub(crate) async fn settle(consumer: &Consumer, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
    let mut followers = Vec::new();
    let steps: Vec<Step> = batch.into_iter().map(|settlement| begin(consumer, settlement, &mut followers)).collect();
    // Everything is handed in before the first answer is awaited: calls are full and run side by side.
    let deletes = steps.iter().filter_map(|step| match step {
        Step::Delete(receipt, deadline) => Some((receipt.clone(), *deadline)),
        _ => None,
    });
    let deleted = consumer.deletes.submit(deletes);
    let put_backs = steps.iter().filter_map(|step| match step {
        Step::PutBack(receipt, seconds) => Some((receipt.clone(), *seconds)),
        _ => None,
    });
    let put_back = consumer.visibility.submit(put_backs);
    // Behind what they followed.
    drop(followers);
    // There is room now, whether or not somebody waits for the answers.
    consumer.changed.notify_waiters();
    let burials = steps.iter().filter_map(|step| match step {
        Step::Bury(token, message) => Some(reject(consumer, *token, message.as_ref().clone())),
        _ => None,
    });
    let buried = join_all(burials).await;
    let (mut deleted, mut put_back) = (deleted.all().await.into_iter(), put_back.all().await.into_iter());
    let mut buried = buried.into_iter();
    let outcome = |step| match step {
        Step::Answered(outcome) => outcome,
        Step::Delete(..) => outcome_of(deleted.next().flatten()),
        Step::PutBack(..) => outcome_of(put_back.next().flatten()),
        Step::Bury(..) => buried.next().unwrap_or_else(|| outcome_of(None)),
    };
    steps.into_iter().map(outcome).collect()
}

fn begin(consumer: &Consumer, settlement: Settlement, followers: &mut Vec<Delivery>) -> Step {
    let now = consumer.now();
    let (token, verdict) = settlement.into_parts();
    let mut state = consumer.state();
    let Some(held) = state.table.get(token, now) else { return Step::Answered(SettleOutcome::LeaseLost) };
    match verdict {
        Verdict::Ack => taken(state.table.take(token, now), |held| Step::Delete(held.receipt, held.deadline)),
        Verdict::Nack { after } if after > NACK_DELAY_MAX || now + after > held.cap => {
            let text = format!(
                "a message is kept back for at most {NACK_DELAY_MAX:?}, and {LEASE_TOTAL_MAX:?} after its receive SQS ends that"
            );
            Step::Answered(SettleOutcome::Failed(Error::new(ErrorKind::Unsupported, "settle", text)))
        }
        Verdict::Nack { after } => {
            let back = state.take_back(token, now, consumer.shared.options.fifo);
            back.map_or(Step::Answered(SettleOutcome::LeaseLost), |(held, behind)| {
                followers.extend(behind);
                Step::PutBack(held.receipt, whole_seconds(after))
            })
        }
        Verdict::Reject { reason } => {
            let mut message = held.message.clone();
            let (receive_count, at) = (held.receive_count, consumer.shared.seams.clock.wall());
            let rejection = Rejection { subscription: &consumer.subscription, reason: &reason, receive_count, at };
            dead_letter::mark(&mut message, &rejection);
            Step::Bury(token, Box::new(message))
        }
    }
}

fn taken(held: Option<Held>, step: impl FnOnce(Held) -> Step) -> Step {
    held.map_or(Step::Answered(SettleOutcome::LeaseLost), step)
}

/// Copy, confirmed, then remove: interrupted in between, the message is in both places, not in none.
async fn reject(consumer: &Consumer, token: Token, message: Message) -> SettleOutcome {
    if let Err(error) = bury(consumer, message).await {
        return SettleOutcome::Failed(error);
    }
    let held = consumer.state().table.take(token, consumer.now());
    let Some(held) = held else { return SettleOutcome::LeaseLost };
    outcome_of(consumer.deletes.submit([(held.receipt, held.deadline)]).all().await.pop().flatten())
}

/// Puts a marked message into the dead letters.
pub(crate) async fn bury(consumer: &Consumer, message: Message) -> Result<()> {
    let Some(grave) = &consumer.queue.dead_letters else {
        let text =
            "nothing keeps dead letters of this destination; declare it, ack the message, or nack it with a delay";
        return Err(Error::new(ErrorKind::Unsupported, "settle", text).with("subscription", &consumer.subscription));
    };
    let parcel = dead_parcel_of(&consumer.shared, &message, grave.bytes_max.min(WIRE_BYTES_MAX));
    let sender = consumer.shared.senders.of(&grave.destination, &consumer.shared);
    match sender.submit([parcel]).all().await.pop().flatten() {
        Some(PublishOutcome::Accepted(_)) => Ok(()),
        Some(PublishOutcome::Refused(error) | PublishOutcome::Unknown(error)) => Err(error),
        None => Err(crate::shared::closed("settle")),
    }
}

fn outcome_of(answer: Option<Result<()>>) -> SettleOutcome {
    match answer {
        Some(Ok(())) => SettleOutcome::Settled,
        Some(Err(error)) if error.kind() == ErrorKind::LeaseLost => SettleOutcome::LeaseLost,
        Some(Err(error)) => SettleOutcome::Failed(error),
        None => SettleOutcome::Failed(crate::shared::closed("settle")),
    }
}

pub(crate) async fn extend(consumer: &Consumer, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
    let now = consumer.now();
    let mut outcomes: Vec<Option<ExtendOutcome>> = Vec::with_capacity(tokens.len());
    let mut entries = Vec::new();
    {
        let mut state = consumer.state();
        for token in tokens {
            let Some(held) = state.table.get(*token, now) else {
                outcomes.push(Some(ExtendOutcome::LeaseLost));
                continue;
            };
            match held.extension_seconds(by, now) {
                None => outcomes.push(Some(ExtendOutcome::Capped)),
                Some(seconds) => {
                    entries.push((held.receipt.clone(), seconds));
                    outcomes.push(None);
                }
            }
        }
    }
    let spans: Vec<Duration> =
        entries.iter().map(|(_, seconds)| Duration::from_secs(u64::from(seconds.unsigned_abs()))).collect();
    let mut answers = consumer.visibility.submit(entries).all().await.into_iter().zip(spans);
    let mut state = consumer.state();
    let answered = outcomes.into_iter().zip(tokens).map(|(outcome, token)| {
        outcome.unwrap_or_else(|| {
            let (answer, span) = answers.next().unwrap_or((None, Duration::ZERO));
            match answer {
                Some(Ok(())) => {
                    // From before the call: there it began no earlier.
                    let deadline = now + safely(span);
                    match state.table.get(*token, consumer.now()) {
                        Some(held) => {
                            held.deadline = deadline;
                            ExtendOutcome::Until(deadline)
                        }
                        None => ExtendOutcome::LeaseLost,
                    }
                }
                Some(Err(error)) if error.kind() == ErrorKind::LeaseLost => ExtendOutcome::LeaseLost,
                Some(Err(error)) => ExtendOutcome::Failed(error),
                None => ExtendOutcome::Failed(crate::shared::closed("extend")),
            }
        })
    });
    let answered = answered.collect();
    drop(state);
    consumer.leases_changed.notify_waiters();
    answered
}
