//! Refusing a message before the bus sees it, as the bus would have done.

use crate::{Bus, Error, ErrorKind, Message, MessageKey, Outgoing, PublishOutcome, Result};

/// Publishes what `check` lets through and may have changed; the rest is refused in its place.
///
/// Where batches are atomic, a message behind a refused one of its key is refused with it.
pub(super) async fn publish_checked(
    batch: Vec<Outgoing>,
    next: &dyn Bus,
    check: impl Fn(Outgoing) -> Result<Outgoing> + Send,
) -> Vec<PublishOutcome> {
    let count = batch.len();
    let is_atomic = next.capability().publish_atomic;
    let mut refused_keys: Vec<MessageKey> = Vec::new();
    let mut refusals: Vec<(usize, Error)> = Vec::new();
    let mut passed = Vec::with_capacity(count);
    for (place, outgoing) in batch.into_iter().enumerate() {
        let key = outgoing.message().key().cloned();
        match behind_refused(&refused_keys, outgoing).and_then(&check) {
            Ok(outgoing) => passed.push(outgoing),
            Err(error) => {
                refused_keys.extend(key.filter(|_| is_atomic));
                refusals.push((place, error));
            }
        }
    }
    if refusals.is_empty() {
        return next.publish(passed).await;
    }
    let mut outcomes = if passed.is_empty() { Vec::new() } else { next.publish(passed).await };
    for (place, error) in refusals {
        outcomes.insert(place.min(outcomes.len()), PublishOutcome::Refused(error));
    }
    outcomes
}

fn behind_refused(refused_keys: &[MessageKey], outgoing: Outgoing) -> Result<Outgoing> {
    match outgoing.message().key() {
        Some(key) if refused_keys.contains(key) => {
            let text = "an earlier message of its key in the same batch was refused; publish both again, in order";
            let error = Error::new(ErrorKind::Conflict, "publish", text).retryable(true);
            Err(error.with("message_id", outgoing.message().id()))
        }
        _ => Ok(outgoing),
    }
}

/// `Ok` when `bytes` of `message` fit below `bytes_max`.
pub(super) fn check_size(message: &Message, bytes: usize, bytes_max: Option<usize>) -> Result<()> {
    match bytes_max {
        Some(max) if bytes > max => {
            let text =
                format!("the message has {bytes} bytes, at most {max} are allowed; send a reference to the data");
            Err(Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", message.id()))
        }
        _ => Ok(()),
    }
}
