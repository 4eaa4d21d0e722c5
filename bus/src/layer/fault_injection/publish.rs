//! Faults on the way to the bus, and of its answers on the way back.

use super::dice::Dice;
use super::injected;
use crate::layer::partial::{Decided, publish_undecided};
use crate::{Bus, ErrorKind, Outgoing, PublishOutcome};

/// What happens to one message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Refused,
    Lost,
    AnswerLost,
    Fine,
}

pub(super) async fn publish(dice: &Dice, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
    let Some(first) = batch.first() else { return next.publish(batch).await };
    let first = id_of(first);
    dice.dawdle("fault: slow publish", &first).await;
    let shared = next.capability().publish_atomic.then(|| fate(dice, &first));
    let fates: Vec<Fate> =
        batch.iter().map(|outgoing| shared.unwrap_or_else(|| fate(dice, &id_of(outgoing)))).collect();
    let mut sent: Vec<Decided> = Vec::with_capacity(batch.len());
    let mut doubled = Vec::with_capacity(batch.len());
    for (outgoing, fate) in batch.into_iter().zip(&fates) {
        let answer = match fate {
            Fate::Refused => Some(PublishOutcome::Refused(injected(ErrorKind::Unavailable, "publish", "refused"))),
            Fate::Lost => Some(PublishOutcome::Unknown(injected(ErrorKind::Timeout, "publish", "no answer"))),
            Fate::AnswerLost | Fate::Fine => None,
        };
        let is_sent = answer.is_none();
        let per_mille = dice.faults.publish_duplicated_per_mille;
        let is_doubled = is_sent && dice.fires(per_mille, "fault: publish duplicated", &id_of(&outgoing));
        let copy = is_doubled.then(|| (outgoing.clone(), None));
        doubled.push(is_doubled);
        sent.push((outgoing, answer));
        sent.extend(copy);
    }
    let outcomes = publish_undecided(sent, next).await;
    settle_accounts(dice, &fates, &doubled, outcomes)
}

/// One answer for each message as it was given, and what became of it counted.
fn settle_accounts(
    dice: &Dice,
    fates: &[Fate],
    doubled: &[bool],
    outcomes: Vec<PublishOutcome>,
) -> Vec<PublishOutcome> {
    let mut outcomes = outcomes.into_iter();
    let answers = fates.iter().zip(doubled).filter_map(|(fate, is_doubled)| {
        let outcome = outcomes.next()?;
        let copy = if *is_doubled { outcomes.next() } else { None };
        let is_accepted = outcome.is_accepted();
        dice.report.note(|counts| {
            counts.publish_refused_count += u64::from(*fate == Fate::Refused);
            counts.publish_lost_count += u64::from(*fate == Fate::Lost);
            counts.publish_answer_lost_count += u64::from(*fate == Fate::AnswerLost && is_accepted);
            let is_there_twice = is_accepted && copy.is_some_and(|copy| copy.is_accepted());
            counts.publish_duplicated_count += u64::from(is_there_twice);
        });
        if *fate == Fate::AnswerLost && is_accepted {
            return Some(PublishOutcome::Unknown(injected(ErrorKind::Timeout, "publish", "the answer is lost")));
        }
        Some(outcome)
    });
    answers.collect()
}

fn fate(dice: &Dice, identity: &str) -> Fate {
    let faults = &dice.faults;
    // All are drawn, so that one that fires leaves the next draws of the others alone.
    let refused = dice.fires(faults.publish_refused_per_mille, "fault: publish refused", identity);
    let lost = dice.fires(faults.publish_lost_per_mille, "fault: publish lost", identity);
    let answer_lost = dice.fires(faults.publish_answer_lost_per_mille, "fault: publish answer lost", identity);
    match (refused, lost, answer_lost) {
        (true, ..) => Fate::Refused,
        (_, true, _) => Fate::Lost,
        (.., true) => Fate::AnswerLost,
        _ => Fate::Fine,
    }
}

fn id_of(outgoing: &Outgoing) -> String {
    outgoing.message().id().to_string()
}
