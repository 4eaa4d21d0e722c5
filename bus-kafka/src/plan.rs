//! What a member reads, and in which group.

use bus::{Destination, Subscription};

use crate::config::KafkaOptions;
use crate::delay::Delays;
use crate::retry;

/// Messages of one delay topic's partition that are looked at before they are due, and their bytes: those
/// behind them are due later.
const EARLY_COUNT_MAX: usize = 1_000;
const EARLY_BYTES_MAX: usize = 1024 * 1024;

/// One member's part.
pub(crate) struct Plan {
    pub(crate) subscription: Subscription,
    /// What is read. For a subscription the destination comes first, and its retries second.
    pub(crate) topics: Vec<Destination>,
    /// What is read is on its way to another topic, and waits until it is due.
    pub(crate) is_forwarding: bool,
    /// Records of a partition read beyond its first unsettled one, and their bytes.
    pub(crate) window_count_max: usize,
    pub(crate) window_bytes_max: usize,
}

impl Plan {
    pub(crate) fn of(subscription: &Subscription, options: &KafkaOptions) -> Self {
        let retries = if options.retry_topics { retry::topic_of(subscription) } else { None };
        Self {
            subscription: subscription.clone(),
            topics: [subscription.destination().clone()].into_iter().chain(retries).collect(),
            is_forwarding: false,
            window_count_max: options.window_count_max,
            window_bytes_max: usize::MAX,
        }
    }

    /// Where what is nacked with a delay comes back.
    pub(crate) fn retries(&self) -> Option<&Destination> {
        self.topics.get(1).filter(|_| !self.is_forwarding)
    }

    /// The member that sends on what has waited.
    pub(crate) fn forwarder(delays: &Delays) -> Self {
        Self {
            subscription: Subscription::to(delays.all.clone()),
            topics: delays.topics.clone(),
            is_forwarding: true,
            window_count_max: EARLY_COUNT_MAX,
            window_bytes_max: EARLY_BYTES_MAX,
        }
    }
}
