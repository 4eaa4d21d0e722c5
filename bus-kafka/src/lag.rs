//! How far behind a member is, as values for a metrics layer.

use std::time::Duration;

/// One partition of one subscription, as this process has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The subscription's name, which is the consumer group's.
    pub group: String,
    /// The topic: the destination's own, or that of the subscription's retries.
    pub topic: String,
    /// The partition of it.
    pub partition: i32,
    /// The first offset that is not settled; `None` before anything was read.
    pub watermark: Option<i64>,
    /// Messages read at or beyond the watermark: what a crash would bring again at most.
    pub window_count: usize,
    /// Those of them that are settled already: what waits for the message at the watermark.
    pub settled_count: usize,
    /// Since when the message at the watermark is here; zero when there is none.
    pub watermark_age: Duration,
}
