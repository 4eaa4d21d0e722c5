//! Batches of which a layer lets only a part through.

use crate::{Bus, Error, ErrorKind, Outgoing, PublishOutcome};

/// A message, and the answer to it where the layer has one already.
pub(super) type Decided = (Outgoing, Option<PublishOutcome>);

/// Publishes what is not decided yet and joins the answers in input order.
///
/// On a bus with atomic batches a message behind a refused one of its key is refused with it, as
/// the bus itself would have done had it seen the refused one.
pub(super) async fn publish_undecided(batch: Vec<Decided>, next: &dyn Bus) -> Vec<PublishOutcome> {
    let is_atomic = next.capability().publish_atomic;
    let mut refused_keys = Vec::new();
    let mut answers = Vec::with_capacity(batch.len());
    let mut undecided = Vec::with_capacity(batch.len());
    for (outgoing, answer) in batch {
        let key = outgoing.message().key();
        let answer = match (answer, key) {
            (None, Some(key)) if refused_keys.contains(key) => Some(PublishOutcome::Refused(held_back(&outgoing))),
            (answer, _) => answer,
        };
        if let (true, Some(PublishOutcome::Refused(_)), Some(key)) = (is_atomic, &answer, key) {
            refused_keys.push(key.clone());
        }
        if answer.is_none() {
            undecided.push(outgoing);
        }
        answers.push(answer);
    }
    let mut outcomes = publish_all(undecided, next).await.into_iter();
    answers.into_iter().map(|answer| answer.or_else(|| outcomes.next()).unwrap_or_else(unanswered)).collect()
}

/// Publishes a batch and answers for each message, whatever `next` answers.
pub(super) async fn publish_all(batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
    let count = batch.len();
    let mut outcomes = next.publish(batch).await;
    outcomes.resize_with(count, unanswered);
    outcomes
}

/// Not sent, because an earlier message of its key was not accepted.
pub(super) fn held_back(outgoing: &Outgoing) -> Error {
    let text = "not sent: an earlier message of its key was not accepted; publish both again, in order";
    Error::new(ErrorKind::Conflict, "publish", text).with("message_id", outgoing.message().id()).retryable(true)
}

fn unanswered() -> PublishOutcome {
    let text = "the backend answered fewer messages than it was given";
    PublishOutcome::Unknown(Error::new(ErrorKind::Unexpected, "publish", text))
}
