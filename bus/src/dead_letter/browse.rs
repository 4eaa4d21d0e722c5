//! Looking at dead letters without changing them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::walk::{BATCH_COUNT_MAX, Walk};
use super::{DeadLetter, Ended, Filter};
use crate::{Bus, Destination, Error, ErrorKind, MessageId, Result, Seams, Subscription};

/// How long nothing must have come for the end of the dead letters: 1 s, some rounds of short polls
/// of SQS, which asks only a part of its servers each time. While the bus counts more that could come, up to ten times
/// as long.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Lease asked for while dead letters are looked at: 2 minutes. Should the process die, they are
/// hidden for so long; shorter, and thousands of leases in hand are extended all the time.
pub const LEASE: Duration = Duration::from_secs(120);

/// Most dead letters held at a time: 10,000, half of what an SQS FIFO queue lets be in flight.
pub const HELD_COUNT_MAX: usize = 10_000;

/// The dead letters of one destination, those of all its groups together.
///
/// Everything here works on the [`Bus`] contract alone. A dead letter that was looked at is held
/// until the call ends, because what is given back would be met again; meanwhile nobody else
/// receives it. At the end it is released: visible at once, unchanged, and uncounted where the
/// broker can. Of a dropped call the deliveries return like any dropped delivery.
#[derive(Clone)]
pub struct DeadLetters {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) origin: Destination,
    pub(super) subscription: Subscription,
    pub(super) seams: Seams,
    pub(super) patience: Duration,
    pub(super) lease: Duration,
    pub(super) held_count_max: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The dead letters that the filter names, in the order the bus hands them out.
    pub letters: Vec<DeadLetter>,
    /// How many were looked at.
    pub examined_count: usize,
    /// Whether all that were there were looked at; otherwise there may be more.
    pub is_complete: bool,
}

impl DeadLetters {
    /// Those of `destination`. Does no I/O.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) on a bus without [`dead_letters`](crate::Capability::dead_letters),
    /// [`Invalid`](ErrorKind::Invalid) when the name is too long to have any.
    pub fn of(bus: Arc<dyn Bus>, destination: &Destination, seams: Seams) -> Result<Self> {
        if !bus.capability().dead_letters {
            let text = "this bus keeps no dead letters: what is rejected stays on its queue";
            return Err(Error::new(ErrorKind::Unsupported, "dead letters", text).with("destination", destination));
        }
        let subscription = Subscription::to(destination.dead_letters()?);
        Ok(Self {
            bus,
            origin: destination.clone(),
            subscription,
            seams,
            patience: PATIENCE,
            lease: LEASE,
            held_count_max: HELD_COUNT_MAX,
        })
    }

    /// Replaces [`PATIENCE`]. Longer than a round trip to the broker, or nothing is found.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Replaces [`LEASE`]. A bus that does not let the receiver choose has its own.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Replaces [`HELD_COUNT_MAX`]; at least 1 is used.
    #[must_use]
    pub fn with_held_count_max(mut self, held_count_max: usize) -> Self {
        self.held_count_max = held_count_max.max(1);
        self
    }

    /// Where they are kept.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Finds at most `limit` dead letters that `filter` names. Changes nothing.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when the destination was not declared, and whatever the bus
    /// answers.
    pub async fn list(&self, filter: &Filter, limit: usize) -> Result<Listing> {
        let mut walk = Walk::begin(self).await?;
        let (now, nobody) = (self.seams.clock.wall(), CancellationToken::new());
        let mut letters = Vec::new();
        let ended = loop {
            if letters.len() >= limit {
                break Ended::LimitReached;
            }
            match walk.next(BATCH_COUNT_MAX, &nobody).await {
                Err(ended) => break ended,
                Ok(found) => {
                    let met = found.into_iter().map(|one| one.letter);
                    letters.extend(met.filter(|letter| filter.matches(letter, now)));
                }
            }
        };
        letters.truncate(limit);
        let examined_count = walk.examined_count;
        walk.finish().await;
        info!(subscription = %self.subscription, found_count = letters.len(), examined_count, %ended,
            "dead letters were listed");
        match ended {
            Ended::Failed(error) => Err(error),
            Ended::Complete => Ok(Listing { letters, examined_count, is_complete: true }),
            Ended::Withheld | Ended::LimitReached | Ended::Full | Ended::ShutDown => {
                Ok(Listing { letters, examined_count, is_complete: false })
            }
        }
    }

    /// Finds one dead letter of a message, the first; `None` when there is none. Changes nothing.
    ///
    /// # Errors
    /// As for [`list`](Self::list); [`NotFound`](ErrorKind::NotFound) also when it is not among as many
    /// as may be [held](Self::with_held_count_max), and there are more.
    pub async fn show(&self, message_id: &MessageId) -> Result<Option<DeadLetter>> {
        let mut listing = self.list(&Filter::of_message(message_id.clone()), 1).await?;
        let found = listing.letters.pop();
        if found.is_none() && !listing.is_complete {
            let text = format!("it is not among the first {}; hold more to look further", listing.examined_count);
            let error = Error::new(ErrorKind::NotFound, "dead letters", text);
            return Err(error.with("subscription", &self.subscription).with("message_id", message_id));
        }
        Ok(found)
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}
