//! How much work a run did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::{Delivery, Message};
use serde::Serialize;

/// Counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Messages that went to the broker.
    pub published: u64,
    /// Deliveries to the consumer.
    pub received: u64,
    /// Of these, deliveries of a message that was delivered before, as far as the broker counts.
    pub received_again: u64,
    /// Deliveries the consumer asked to settle.
    pub settled: u64,
    /// HTTP calls between the services.
    pub http_calls: u64,
    /// Orders that were answered with 201.
    pub accepted: u64,
    /// Orders that ended as completed.
    pub completed: u64,
    /// Deaths of processes.
    pub crashes: u64,
}

impl Work {
    /// Messages that went to the broker, came from it and were settled.
    #[must_use]
    pub fn bus_events(&self) -> u64 {
        self.published + self.received + self.settled
    }
}

/// Counts as it goes. Clones are the same tally.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Mutex<Work>>);

impl Tally {
    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn published(&self, _message: &Message) {
        self.work().published += 1;
    }

    pub(super) fn received(&self, delivery: &Delivery) {
        let mut work = self.work();
        work.received += 1;
        work.received_again += u64::from(delivery.receive_count().is_some_and(|count| count > 1));
    }
}
