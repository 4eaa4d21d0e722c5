//! From a batch to an answer per message.

use std::sync::Arc;
use std::time::Duration;

use bus::{ClockExt, Destination, Error, ErrorKind, Message, Moment, Outgoing, PublishOutcome, Receipt, Result};
use lapin::BasicProperties;
use tokio::sync::mpsc;

use crate::config::DELAY_MAX;
use crate::convert::{HEADER_BYTES_MAX, properties};
use crate::delay::class_of;
use crate::error::{closed, not_found, timed_out};
use crate::publisher::{Answer, Job, QUEUED_COUNT};
use crate::shared::Shared;

/// Messages of one batch handed in together: a batch waits once for them and not for each.
const TOGETHER_COUNT: usize = QUEUED_COUNT / 4;

/// A message for a queue.
pub(crate) struct Parcel {
    queue: Arc<str>,
    message: Message,
    properties: BasicProperties,
    /// Whether the queue is one of ours that is made when needed.
    is_waiting: bool,
}

pub(crate) async fn publish(shared: &Shared, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
    let mut parcels = Vec::with_capacity(batch.len());
    for outgoing in batch {
        let (destination, message, delay) = outgoing.into_parts();
        parcels.push(match shared.closed.is_cancelled() {
            true => Err(closed("publish")),
            false => address(shared, &destination, &message, delay, None).await,
        });
    }
    send(shared, parcels).await
}

/// Where a message goes to reach `destination` after `delay`. `received_before` goes along.
pub(crate) async fn address(
    shared: &Shared,
    destination: &Destination,
    message: &Message,
    delay: Duration,
    received_before: Option<u32>,
) -> Result<Parcel> {
    let (bytes, bytes_max) = (message.size_bytes(), shared.options.message_bytes_max);
    // A copy grew by what we put on it.
    if received_before.is_none() && bytes > bytes_max {
        return Err(too_large(message, bytes, bytes_max));
    }
    let header_bytes = bytes - message.body().len();
    if header_bytes > HEADER_BYTES_MAX {
        return Err(too_large(message, header_bytes, HEADER_BYTES_MAX).with("part", "headers"));
    }
    if !shared.queues.exists(destination, "publish").await? {
        return Err(not_found("publish").with("destination", destination));
    }
    let is_waiting = !delay.is_zero();
    let queue = match class_of(delay) {
        _ if !is_waiting => Arc::from(destination.as_str()),
        Some(class) => Arc::from(shared.queues.waiting(destination, class).await?),
        None => {
            let text = format!("a delay of {delay:?} is longer than this bus keeps, which is {DELAY_MAX:?}");
            return Err(Error::new(ErrorKind::Unsupported, "publish", text).with("message_id", message.id()));
        }
    };
    Ok(Parcel { queue, message: message.clone(), properties: properties(message, received_before), is_waiting })
}

/// Hands everything in before the first answer is awaited.
pub(crate) async fn send(shared: &Shared, parcels: Vec<Result<Parcel>>) -> Vec<PublishOutcome> {
    let deadline = shared.seams.clock.now() + shared.options.timeout;
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut outcomes: Vec<Option<PublishOutcome>> = Vec::with_capacity(parcels.len());
    let mut queues = Vec::with_capacity(parcels.len());
    let mut jobs = Vec::with_capacity(parcels.len());
    for (place, parcel) in parcels.into_iter().enumerate() {
        match parcel {
            Err(error) => {
                outcomes.push(Some(PublishOutcome::Refused(error)));
                queues.push(None);
            }
            Ok(Parcel { queue, message, properties, is_waiting }) => {
                outcomes.push(None);
                queues.push(Some((Arc::clone(&queue), is_waiting)));
                jobs.push(Job { place, queue, message, properties, answers: answers.clone() });
            }
        }
    }
    drop(answers);
    let mut jobs = jobs.into_iter();
    while !jobs.as_slice().is_empty() {
        let count = jobs.len().min(TOGETHER_COUNT);
        let together = jobs.by_ref().take(count);
        match places(shared, count, deadline).await {
            Ok(places) => places.zip(together).for_each(|(place, job)| place.send(job)),
            Err(error) => together.for_each(|job| outcomes[job.place] = Some(PublishOutcome::Refused(error()))),
        }
    }
    let collecting = async {
        while let Some((place, answer)) = answered.recv().await {
            outcomes[place] = Some(outcome_of(shared, queues[place].take(), answer));
        }
    };
    let left = deadline.since(shared.seams.clock.now());
    let is_answered = shared.seams.clock.timeout_here(left, collecting).await.is_some();
    let unanswered = || PublishOutcome::Unknown(if is_answered { closed("publish") } else { unconfirmed(shared) });
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
}

/// Waits for places in the window: the back-pressure. Otherwise the error of each message.
async fn places(
    shared: &Shared,
    count: usize,
    deadline: Moment,
) -> Result<mpsc::PermitIterator<'_, Job>, fn() -> Error> {
    let is_closed = || closed("publish");
    match shared.jobs.try_reserve_many(count) {
        Ok(places) => return Ok(places),
        Err(mpsc::error::TrySendError::Closed(())) => return Err(is_closed),
        Err(mpsc::error::TrySendError::Full(())) => {}
    }
    let left = deadline.since(shared.seams.clock.now());
    match shared.seams.clock.timeout_here(left, shared.jobs.reserve_many(count)).await {
        Some(reserved) => reserved.map_err(|_| is_closed as fn() -> Error),
        None => Err(|| {
            let text = "RabbitMQ takes messages too slowly; nothing was sent";
            Error::new(ErrorKind::Throttled, "publish", text)
        }),
    }
}

fn outcome_of(shared: &Shared, queue: Option<(Arc<str>, bool)>, answer: Answer) -> PublishOutcome {
    let (queue, is_waiting) = queue.unwrap_or_default();
    match answer {
        Answer::Accepted => PublishOutcome::Accepted(Receipt::default()),
        Answer::Refused(error) => PublishOutcome::Refused(error.with("queue", queue)),
        Answer::Unknown(error) => PublishOutcome::Unknown(error.with("queue", queue)),
        Answer::Returned => {
            shared.queues.forget(&queue);
            // Somebody deleted the queue, or purged the destination of a wait queue: what was made here
            // is made again by the next attempt.
            let is_made_again = is_waiting || shared.queues.is_made_again(&queue);
            let error = not_found("publish").retryable(is_made_again);
            PublishOutcome::Refused(error.with("queue", queue))
        }
    }
}

fn unconfirmed(shared: &Shared) -> Error {
    let why = match shared.traffic.blocked_by() {
        Some(reason) => format!("RabbitMQ blocks publishers ({reason}); the message waits on its connection"),
        None => "RabbitMQ did not confirm in time; the message may be there".to_owned(),
    };
    timed_out("publish", &why)
}

fn too_large(message: &Message, bytes: usize, bytes_max: usize) -> Error {
    let text = format!(
        "the message has {bytes} bytes, at most {bytes_max} are allowed; put a claim check in front or send a reference"
    );
    Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", message.id())
}
