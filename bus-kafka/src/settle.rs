//! From in hand to gone, or back.

use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::{Destination, Error, ErrorKind, Message, Moment, PublishOutcome, SettleOutcome, Settlement, Verdict};
use tracing::warn;

use crate::consumer::Consumer;
use crate::convert;
use crate::names::Names;
use crate::parcel::Parcel;

/// A delivery whose dead letter was not accepted comes again after this: at once would be a hot loop.
const REJECT_RETRY: Duration = Duration::from_secs(1);

/// A delivery that goes to another topic, and stays in hand until its copy is confirmed.
struct Moving {
    index: usize,
    settlement: Settlement,
    parcel: Parcel,
    /// Should the copy not be accepted, it comes again here at this moment.
    otherwise: Moment,
}

pub(crate) async fn settle(consumer: &Consumer, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
    let member = &consumer.member;
    let mut outcomes = Vec::with_capacity(batch.len());
    let (mut burials, mut retries) = (Vec::new(), Vec::new());
    let now = member.now();
    let nack_delay_max = member.shared.options.nack_delay_max();
    {
        let mut hand = member.hand();
        for settlement in batch {
            let index = outcomes.len();
            if let Verdict::Reject { reason } = settlement.verdict() {
                let Some((place, record)) = hand.record(consumer.reader, settlement.token()) else {
                    outcomes.push(lost(settlement));
                    continue;
                };
                let mut message = convert::read(record, &member.origin(place), &mut Names::default()).message;
                let at = member.shared.seams.clock.wall();
                let rejection = Rejection { subscription: &member.subscription, reason, receive_count: None, at };
                dead_letter::mark(&mut message, &rejection);
                burials.push((index, settlement, message));
                outcomes.push(SettleOutcome::LeaseLost);
                continue;
            }
            if let Verdict::Nack { after } = *settlement.verdict()
                && !after.is_zero()
                && after <= nack_delay_max
                && let Some(topic) = member.plan.retries()
            {
                let Some(read) = hand.record(consumer.reader, settlement.token()) else {
                    outcomes.push(lost(settlement));
                    continue;
                };
                let parcel = member.retry(topic, after, read);
                retries.push(Moving { index, settlement, parcel, otherwise: now + after });
                outcomes.push(SettleOutcome::LeaseLost);
                continue;
            }
            let (token, verdict) = settlement.into_parts();
            let was_ours = match verdict {
                Verdict::Nack { after } if after > nack_delay_max => {
                    let text = format!("a message is kept back for at most {nack_delay_max:?}");
                    let error = Error::new(ErrorKind::Unsupported, "settle", text);
                    let is_ours = hand.record(consumer.reader, token).is_some();
                    outcomes.push(if is_ours { SettleOutcome::Failed(error) } else { SettleOutcome::LeaseLost });
                    continue;
                }
                Verdict::Nack { after } => {
                    let due = (!after.is_zero()).then(|| now + after);
                    hand.give_back(consumer.reader, token, due)
                }
                Verdict::Ack => hand.settle(consumer.reader, token),
                Verdict::Reject { .. } => unreachable!("set apart before"),
            };
            outcomes.push(if was_ours { SettleOutcome::Sent } else { SettleOutcome::LeaseLost });
        }
    }
    member.moved();
    if !burials.is_empty() {
        bury(consumer, burials, &mut outcomes).await;
    }
    if !retries.is_empty() {
        for (index, answer) in go(consumer, retries).await {
            outcomes[index] = answer.unwrap_or_else(|error| {
                // It is kept here for as long, which is what was asked for.
                warn!(%error, subscription = %member.subscription, "what is to be retried waits here");
                SettleOutcome::Sent
            });
        }
    }
    outcomes
}

fn lost(settlement: Settlement) -> SettleOutcome {
    let _ = settlement.into_parts();
    SettleOutcome::LeaseLost
}

async fn bury(consumer: &Consumer, burials: Vec<(usize, Settlement, Message)>, outcomes: &mut [SettleOutcome]) {
    let otherwise = consumer.member.now() + REJECT_RETRY;
    let grave = match grave_of(consumer).await {
        Ok(grave) => grave,
        Err(error) => {
            for (index, settlement, _) in burials {
                keep(consumer, settlement, otherwise);
                outcomes[index] = SettleOutcome::Failed(crate::error::again(&error, "settle"));
            }
            return;
        }
    };
    let moving = |(index, settlement, message)| {
        let parcel = Parcel::of(grave.clone(), message);
        Moving { index, settlement, parcel, otherwise }
    };
    for (index, answer) in go(consumer, burials.into_iter().map(moving).collect()).await {
        outcomes[index] = answer.unwrap_or_else(SettleOutcome::Failed);
    }
}

/// Copy, confirmed, then let the offset pass: interrupted in between, the message is in both places,
/// not in none. Dropped before the copies are confirmed, every delivery is given back.
async fn go(consumer: &Consumer, moving: Vec<Moving>) -> Vec<(usize, Result<SettleOutcome, Error>)> {
    let member = &consumer.member;
    let (mut staying, mut parcels) = (Vec::with_capacity(moving.len()), Vec::with_capacity(moving.len()));
    for Moving { index, settlement, parcel, otherwise } in moving {
        staying.push((index, settlement, otherwise));
        parcels.push(parcel);
    }
    let answers = member.shared.publisher.publish(parcels).await;
    let settled = staying.into_iter().zip(answers).map(|((index, settlement, otherwise), answer)| {
        let outcome = match answer {
            PublishOutcome::Accepted(_) => {
                let (token, _) = settlement.into_parts();
                match member.hand().settle(consumer.reader, token) {
                    true => Ok(SettleOutcome::Sent),
                    false => Ok(SettleOutcome::LeaseLost),
                }
            }
            PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => {
                keep(consumer, settlement, otherwise);
                Err(error)
            }
        };
        (index, outcome)
    });
    let settled = settled.collect();
    member.moved();
    settled
}

/// The delivery comes again, a little later.
fn keep(consumer: &Consumer, settlement: Settlement, due: Moment) {
    let (token, _) = settlement.into_parts();
    consumer.member.hand().give_back(consumer.reader, token, Some(due));
    consumer.member.moved();
}

async fn grave_of(consumer: &Consumer) -> Result<Destination, Error> {
    let member = &consumer.member;
    let nothing = || {
        let text =
            "nothing keeps dead letters of this destination; declare it, ack the message, or nack it with a delay";
        Error::new(ErrorKind::Unsupported, "settle", text).with("subscription", &member.subscription)
    };
    let grave = member.subscription.destination().dead_letters().map_err(|_| nothing())?;
    member.shared.topics.find(&grave, "settle").await?.ok_or_else(nothing)?;
    Ok(grave)
}
