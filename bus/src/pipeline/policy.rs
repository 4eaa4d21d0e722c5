//! Every number of the pipeline, with its default.

use std::time::Duration;

use super::{Backoff, Poison};

/// How a pipeline treats its deliveries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Most handlers running at the same time.
    pub concurrency_max: usize,
    /// Most deliveries in hand, running and waiting; at least `concurrency_max` is used.
    pub prefetch_count_max: usize,
    /// Longest run of one handler; then it is cancelled, which counts as a failed attempt.
    pub handler_timeout: Duration,
    /// Handler starts after which a failing message is poison; at least 1 is used.
    pub attempt_count_max: u32,
    /// What becomes of a message that has failed its last attempt, and of its key.
    pub poison: Poison,
    /// Delay before the next attempt.
    pub retry: Backoff,
    /// Delay before the next probe while the bus or a dependency is down. A receive that waits for
    /// `max` without an error shows that the bus is back.
    pub probe: Backoff,
    /// Keeps order per key in lanes even where the bus promises none between consumers.
    pub order_per_key: bool,
    /// Lease to ask for, where the bus lets the receiver choose.
    pub lease: Option<Duration>,
    /// Time for running handlers to finish after shutdown was asked for.
    pub drain: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            concurrency_max: 64,
            prefetch_count_max: 256,
            handler_timeout: Duration::from_secs(30),
            attempt_count_max: 5,
            poison: Poison::Skip,
            retry: Backoff { first: Duration::from_millis(200), max: Duration::from_secs(30) },
            probe: Backoff { first: Duration::from_millis(500), max: Duration::from_secs(10) },
            order_per_key: true,
            lease: None,
            drain: Duration::from_secs(10),
        }
    }
}

impl Policy {
    /// Deliveries to hold at most: never fewer than handlers.
    pub(crate) fn prefetch_count(&self) -> usize {
        self.prefetch_count_max.max(self.concurrency_max).max(1)
    }

    /// Room there must be before asking for more: full batches, but never idle handlers.
    pub(crate) fn refill_count(&self) -> usize {
        let spare = self.prefetch_count() - self.concurrency_max.min(self.prefetch_count());
        (self.prefetch_count() / 4).min(spare).max(1)
    }
}
