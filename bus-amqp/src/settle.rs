//! From in hand to gone.
//!
//! An acknowledgement is a frame without an answer. What takes more than one step (a copy into a
//! wait queue or the dead letters, confirmed, and only then the acknowledgement) runs in a task that
//! goes on when nobody waits for it any more.

use std::sync::Arc;
use std::time::Duration;

use bus::dead_letter::{self, Rejection};
use bus::{ClockExt, Error, ErrorKind, Message, PublishOutcome, Result, SettleOutcome, Settlement, Token, Verdict};
use futures_util::future::join_all;

use crate::config::{DELAY_MAX, QueueKind};
use crate::consumer::Consumer;
use crate::publish::{address, send};

/// A settlement that failed gives its delivery back after this pause: at once would be a hot loop.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

/// A copy that must be confirmed before the delivery is acknowledged.
struct Move {
    token: Token,
    to: To,
}

enum To {
    DeadLetters(Message),
    Wait { message: Message, received_before: u32, after: Duration },
}

pub(crate) async fn settle(consumer: &Arc<Consumer>, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
    let mut outcomes: Vec<Option<SettleOutcome>> = Vec::with_capacity(batch.len());
    let mut moves = Vec::new();
    let (mut acked, mut requeued, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    {
        let mut state = consumer.state();
        for (place, settlement) in batch.into_iter().enumerate() {
            let (token, verdict) = settlement.into_parts();
            let outcome = match verdict {
                Verdict::Ack => state.table.take(token).map(|_| acked.push(token.slot)),
                Verdict::Nack { after } if after.is_zero() => {
                    state.table.take(token).map(|_| requeued.push(token.slot))
                }
                Verdict::Nack { after } if after > DELAY_MAX => match state.table.occupy(token) {
                    None => None,
                    Some(_) => {
                        failed.push(token);
                        outcomes.push(Some(SettleOutcome::Failed(too_long(after))));
                        continue;
                    }
                },
                slow => match state.table.occupy(token) {
                    None => None,
                    Some((message, received_before)) => {
                        moves.push((place, Move { token, to: target(consumer, slow, message, received_before) }));
                        outcomes.push(None);
                        continue;
                    }
                },
            };
            outcomes.push(Some(if outcome.is_some() { SettleOutcome::Sent } else { SettleOutcome::LeaseLost }));
        }
        if !state.send(requeued, acked) {
            let lost = |outcome: &mut Option<SettleOutcome>| {
                if matches!(outcome, Some(SettleOutcome::Sent)) {
                    *outcome = Some(SettleOutcome::LeaseLost);
                }
            };
            outcomes.iter_mut().for_each(lost);
        }
    }
    for token in failed {
        let consumer = Arc::clone(consumer);
        let tasks = consumer.shared.tasks.clone();
        tasks.spawn(async move { give_back_later(&consumer, token).await });
    }
    for (place, outcome) in moved(consumer, moves).await {
        outcomes[place] = Some(outcome);
    }
    let unanswered = || SettleOutcome::Failed(crate::error::closed("settle"));
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
}

fn target(consumer: &Consumer, verdict: Verdict, mut message: Message, received_before: u32) -> To {
    match verdict {
        Verdict::Reject { reason } => {
            let receive_count = (consumer.shared.options.queue == QueueKind::Quorum).then_some(received_before + 1);
            let (subscription, at) = (&consumer.subscription, consumer.shared.seams.clock.wall());
            dead_letter::mark(&mut message, &Rejection { subscription, reason: &reason, receive_count, at });
            To::DeadLetters(message)
        }
        Verdict::Nack { after } => To::Wait { message, received_before, after },
        Verdict::Ack => unreachable!("acknowledged before"),
    }
}

/// Moves all of them at the same time, in a task of its own.
async fn moved(consumer: &Arc<Consumer>, moves: Vec<(usize, Move)>) -> Vec<(usize, SettleOutcome)> {
    if moves.is_empty() {
        return Vec::new();
    }
    let mover = Arc::clone(consumer);
    let moving = consumer.shared.tasks.spawn(async move {
        let each = moves
            .into_iter()
            .map(async |(place, Move { token, to })| (place, settled_by_copy(&mover, token, to).await));
        join_all(each).await
    });
    moving.await.unwrap_or_default()
}

async fn settled_by_copy(consumer: &Arc<Consumer>, token: Token, to: To) -> SettleOutcome {
    let copied = match copy(consumer, &to).await {
        // Somebody deleted the queue, and it is made again when it is asked for again.
        Err(error) if error.kind() == ErrorKind::NotFound && error.is_retryable() => copy(consumer, &to).await,
        copied => copied,
    };
    match copied {
        Ok(()) => {
            let mut state = consumer.state();
            if state.table.take_occupied(token) && state.send(Vec::new(), vec![token.slot]) {
                SettleOutcome::Sent
            } else {
                SettleOutcome::LeaseLost
            }
        }
        Err(error) => {
            let waiting = Arc::clone(consumer);
            consumer.shared.tasks.spawn(async move { give_back_later(&waiting, token).await });
            SettleOutcome::Failed(error)
        }
    }
}

/// Publishes the copy; it is on the bus when this answers.
async fn copy(consumer: &Consumer, to: &To) -> Result<()> {
    let (shared, origin) = (&consumer.shared, consumer.subscription.destination());
    let parcel = match to {
        To::DeadLetters(message) => {
            let grave = origin.dead_letters()?;
            address(shared, &grave, message, Duration::ZERO, Some(0)).await.map_err(|error| match error.kind() {
                ErrorKind::NotFound => no_grave(consumer),
                _ => error,
            })
        }
        To::Wait { message, received_before, after } => {
            address(shared, origin, message, *after, Some(received_before.saturating_add(1))).await
        }
    };
    match send(shared, vec![Ok(parcel?)]).await.pop() {
        Some(PublishOutcome::Accepted(_)) => Ok(()),
        Some(PublishOutcome::Refused(error) | PublishOutcome::Unknown(error)) => Err(error),
        None => Err(crate::error::closed("settle")),
    }
}

fn no_grave(consumer: &Consumer) -> Error {
    let text = "nothing keeps dead letters of this destination; declare it, ack the message, or nack it with a delay";
    Error::new(ErrorKind::Unsupported, "settle", text).with("subscription", &consumer.subscription)
}

fn too_long(after: Duration) -> Error {
    let text = format!("a nack delay of {after:?} is longer than this bus keeps, which is {DELAY_MAX:?}");
    Error::new(ErrorKind::Unsupported, "settle", text)
}

/// Puts an unreadable message into the dead letters, however long that takes.
pub(crate) async fn bury(consumer: &Arc<Consumer>, token: Token, message: Message) {
    let outcome = settled_by_copy(consumer, token, To::DeadLetters(message)).await;
    if let SettleOutcome::Failed(error) = outcome {
        tracing::warn!(subscription = %consumer.subscription, %error, "it could not be put into the dead letters and comes again");
    }
}

async fn give_back_later(consumer: &Consumer, token: Token) {
    tokio::select! {
        biased;
        // With its channel it goes back anyway.
        () = consumer.closing.cancelled() => return,
        () = consumer.shared.seams.clock.sleep(GIVE_BACK_AFTER) => {}
    }
    let mut state = consumer.state();
    if state.table.take_occupied(token) {
        state.send(vec![token.slot], Vec::new());
    }
}
