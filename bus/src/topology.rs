//! Declaring what exists, subscribing to it, and how the bus is doing.

use std::fmt;
use std::time::Duration;

use crate::{Destination, Group};

/// A destination that must exist before it is used, with its dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The destination.
    pub destination: Destination,
    /// Groups beside the default one.
    pub groups: Vec<Group>,
}

impl Declaration {
    /// A destination with its default group alone.
    #[must_use]
    pub fn of(destination: Destination) -> Self {
        Self { destination, groups: Vec::new() }
    }
}

/// How a receiver wants its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Most unsettled deliveries the bus may have handed to this receiver.
    pub prefetch_count_max: usize,
    /// Length of a lease, where the bus lets the receiver choose, cut to
    /// [`total_max`](crate::capability::LeaseTerms::total_max); `None`: the bus's own.
    pub lease: Option<Duration>,
}

impl Default for SubscribeOptions {
    /// 256 deliveries: 1 gives a third of the throughput, unbounded ends in exhausted memory.
    fn default() -> Self {
        Self { prefetch_count_max: 256, lease: None }
    }
}

/// How many messages of a subscription are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Could be handed out, or will be once the message before them of their key is settled. What a
    /// receiver has read ahead and not handed out is here where the count is
    /// [exact](crate::capability::Counting::Exact).
    pub ready_count: usize,
    /// Wait for a publish or nack delay to pass.
    pub delayed_count: usize,
    /// Were handed out and are not settled.
    pub in_flight_count: usize,
}

impl Depth {
    /// All together.
    #[must_use]
    pub fn total_count(&self) -> usize {
        self.ready_count + self.delayed_count + self.in_flight_count
    }
}

/// How a bus is doing right now, for readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusState {
    /// It serves.
    Up,
    /// It serves with trouble: the reason.
    Degraded(String),
    /// It does not serve: the reason and what is being done.
    Down(String),
}

impl fmt::Display for BusState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Degraded(why) => write!(f, "degraded: {why}"),
            Self::Down(why) => write!(f, "down: {why}"),
        }
    }
}
