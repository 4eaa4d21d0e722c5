//! The kinds of faults, how often each is wanted and how often each has fired.

use std::fmt;
use std::time::Duration;

use crate::chance::tell;

/// How often each kind of fault fires, in parts per thousand; 1,000 is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A message is refused as `Unavailable`, and not on the bus.
    pub publish_refused_per_mille: u32,
    /// A message is lost on its way: `Unknown`, and not on the bus.
    pub publish_lost_per_mille: u32,
    /// A message is accepted and the answer is lost: `Unknown`, and on the bus.
    pub publish_answer_lost_per_mille: u32,
    /// A message is accepted twice.
    pub publish_duplicated_per_mille: u32,
    /// A `receive` fails as `Unavailable`, and hands out nothing.
    pub receive_failed_per_mille: u32,
    /// A settlement is lost on its way: `Failed`, and the message comes again when its lease ends (at
    /// once on a bus without leases).
    pub settle_lost_per_mille: u32,
    /// A settlement takes effect and its answer is lost: `Failed`.
    pub settle_answer_lost_per_mille: u32,
    /// A lease ends after a tenth of its time at most, unless extended or settled by then. Needs
    /// leases that can be extended.
    pub lease_cut_per_mille: u32,
    /// A publish, receive or settle takes up to [`slow_max`](Self::slow_max) longer.
    pub slow_per_mille: u32,
    /// Longest delay of a slow call.
    pub slow_max: Duration,
}

/// How often each kind has fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// See [`Faults::publish_refused_per_mille`]; messages.
    pub publish_refused_count: u64,
    /// See [`Faults::publish_lost_per_mille`]; messages.
    pub publish_lost_count: u64,
    /// See [`Faults::publish_answer_lost_per_mille`]; messages that were accepted.
    pub publish_answer_lost_count: u64,
    /// See [`Faults::publish_duplicated_per_mille`]; messages of which both copies were accepted.
    pub publish_duplicated_count: u64,
    /// See [`Faults::receive_failed_per_mille`]; calls.
    pub receive_failed_count: u64,
    /// See [`Faults::settle_lost_per_mille`]; settlements.
    pub settle_lost_count: u64,
    /// See [`Faults::settle_answer_lost_per_mille`]; settlements that took effect.
    pub settle_answer_lost_count: u64,
    /// See [`Faults::lease_cut_per_mille`]; deliveries.
    pub lease_cut_count: u64,
    /// See [`Faults::slow_per_mille`]; calls.
    pub slow_count: u64,
}

impl FaultCounts {
    /// All kinds together.
    #[must_use]
    pub fn total_count(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    fn by_kind(&self) -> [(&'static str, u64); 9] {
        [
            ("publish refused", self.publish_refused_count),
            ("publish lost", self.publish_lost_count),
            ("publish answer lost", self.publish_answer_lost_count),
            ("publish duplicated", self.publish_duplicated_count),
            ("receive failed", self.receive_failed_count),
            ("settle lost", self.settle_lost_count),
            ("settle answer lost", self.settle_answer_lost_count),
            ("lease cut", self.lease_cut_count),
            ("slow", self.slow_count),
        ]
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(&self.by_kind(), f)
    }
}
