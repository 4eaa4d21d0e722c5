//! From a batch to an answer per message.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bus::{Destination, Error, ErrorKind, Outgoing, PublishOutcome, Result};
use tokio::sync::Notify;

use crate::delay;
use crate::parcel::Parcel;
use crate::quarantine::Aside;
use crate::shared::{Shared, closed};

/// A batch under way.
pub(crate) struct Batch {
    outcomes: Mutex<Vec<Option<PublishOutcome>>>,
    left: AtomicUsize,
    done: Notify,
}

impl Batch {
    pub(crate) fn of(count: usize) -> Arc<Self> {
        Arc::new(Self {
            outcomes: Mutex::new((0..count).map(|_| None).collect()),
            left: AtomicUsize::new(count),
            done: Notify::new(),
        })
    }

    /// Waits until all are answered.
    pub(crate) async fn answers(&self) -> Vec<PublishOutcome> {
        if self.left.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        let outcomes = std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        let unanswered = || PublishOutcome::Unknown(closed("publish"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
    }

    pub(crate) fn answer(&self, place: usize, outcome: PublishOutcome) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(outcome);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // One waiter at most; a permit is kept for one that comes later.
            self.done.notify_one();
        }
    }
}

/// Whom a delivery report is for.
pub(crate) enum Ticket {
    Batch(Arc<Batch>, usize),
    Aside(Aside),
}

/// A batch of the application's: what cannot be sent is refused in its place.
pub(crate) async fn publish(shared: &Shared, batch: Vec<Outgoing>) -> Vec<PublishOutcome> {
    let mut outcomes: Vec<Option<PublishOutcome>> = Vec::with_capacity(batch.len());
    let mut ready = Vec::with_capacity(batch.len());
    let mut known: BTreeSet<Destination> = BTreeSet::new();
    for outgoing in batch {
        match prepare(shared, outgoing, &mut known).await {
            Ok(prepared) => {
                ready.push(prepared);
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(PublishOutcome::Refused(error))),
        }
    }
    let mut sent = shared.publisher.publish(ready).await.into_iter();
    let unanswered = || PublishOutcome::Unknown(closed("publish"));
    outcomes.into_iter().map(|outcome| outcome.or_else(|| sent.next()).unwrap_or_else(unanswered)).collect()
}

async fn prepare(shared: &Shared, outgoing: Outgoing, known: &mut BTreeSet<Destination>) -> Result<Parcel> {
    if shared.closing.is_cancelled() {
        return Err(closed("publish"));
    }
    let message = outgoing.message();
    let (bytes, bytes_max) = (message.size_bytes(), shared.options.message_bytes_max);
    if bytes > bytes_max {
        let text = format!(
            "the message has {bytes} bytes, at most {bytes_max} are allowed; put a claim check in front or send a reference"
        );
        return Err(Error::new(ErrorKind::TooLarge, "publish", text).with("message_id", message.id()));
    }
    let is_delayed = !outgoing.delay().is_zero();
    if is_delayed && !shared.options.delay_topics {
        let text = "this bus delays no message; publish it when it is due, or open the bus with delays=topics";
        return Err(Error::new(ErrorKind::Unsupported, "publish", text).with("message_id", message.id()));
    }
    if is_delayed {
        delay::check(&outgoing)?;
        shared.topics.make_delays().await?;
    }
    let (destination, message, delay) = outgoing.into_parts();
    if !known.contains(&destination) {
        shared.topics.find(&destination, "publish").await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "publish", "no such destination; declare it first")
                .with("destination", &destination)
        })?;
        known.insert(destination.clone());
    }
    if !is_delayed {
        return Ok(Parcel::of(destination, message));
    }
    let now = shared.seams.clock.wall();
    Ok(shared.topics.delays.sent_off(&destination, delay, now, |topic| Parcel::of(topic, message)))
}
