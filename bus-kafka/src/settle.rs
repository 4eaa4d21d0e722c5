//! From in hand to gone, or back.

use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::{Destination, Error, ErrorKind, Message, PublishOutcome, SettleOutcome, Settlement, Verdict};

use crate::config::NACK_DELAY_MAX;
use crate::consumer::Consumer;
use crate::convert;
use crate::names::Names;

/// A delivery whose dead letter was not accepted comes again after this: at once would be a hot loop.
const REJECT_RETRY: Duration = Duration::from_secs(1);

/// A rejected delivery, which stays in hand until its copy is confirmed.
struct Burial {
    index: usize,
    settlement: Settlement,
    message: Message,
}

pub(crate) async fn settle(consumer: &Consumer, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
    let member = &consumer.member;
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut burials = Vec::new();
    let now = member.now();
    {
        let mut hand = member.hand();
        for settlement in batch {
            if let Verdict::Reject { reason } = settlement.verdict() {
                let Some((place, record)) = hand.record(consumer.reader, settlement.token()) else {
                    outcomes.push(lost(settlement));
                    continue;
                };
                let topic = member.subscription.destination().as_str();
                let mut message = convert::read(record, topic, place, &mut Names::default()).message;
                let at = member.shared.seams.clock.wall();
                let rejection = Rejection { subscription: &member.subscription, reason, receive_count: None, at };
                dead_letter::mark(&mut message, &rejection);
                burials.push(Burial { index: outcomes.len(), settlement, message });
                outcomes.push(SettleOutcome::LeaseLost);
                continue;
            }
            let (token, verdict) = settlement.into_parts();
            let was_ours = match verdict {
                Verdict::Nack { after } if after > NACK_DELAY_MAX => {
                    let text = format!("a message is kept back for at most {NACK_DELAY_MAX:?}");
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
    outcomes
}

fn lost(settlement: Settlement) -> SettleOutcome {
    let _ = settlement.into_parts();
    SettleOutcome::LeaseLost
}

/// Copy, confirmed, then let the offset pass: interrupted in between, the message is in both places,
/// not in none. Dropped before the copies are confirmed, every delivery is given back.
async fn bury(consumer: &Consumer, burials: Vec<Burial>, outcomes: &mut [SettleOutcome]) {
    let member = &consumer.member;
    let grave = match grave_of(consumer).await {
        Ok(grave) => grave,
        Err(error) => {
            for burial in burials {
                keep(consumer, burial.settlement);
                outcomes[burial.index] = SettleOutcome::Failed(crate::error::again(&error, "settle"));
            }
            return;
        }
    };
    let copies = burials.iter().map(|burial| (grave.clone(), burial.message.clone())).collect();
    let answers = member.shared.publisher.publish(copies).await;
    for (burial, answer) in burials.into_iter().zip(answers) {
        outcomes[burial.index] = match answer {
            PublishOutcome::Accepted(_) => {
                let (token, _) = burial.settlement.into_parts();
                match member.hand().settle(consumer.reader, token) {
                    true => SettleOutcome::Sent,
                    false => SettleOutcome::LeaseLost,
                }
            }
            PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => {
                keep(consumer, burial.settlement);
                SettleOutcome::Failed(error)
            }
        };
    }
    member.moved();
}

/// The delivery comes again, a little later.
fn keep(consumer: &Consumer, settlement: Settlement) {
    let due = consumer.member.now() + REJECT_RETRY;
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
