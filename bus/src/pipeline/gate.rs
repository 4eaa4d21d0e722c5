//! Pausing while a dependency is down, and probing for its return.
//!
//! A circuit breaker with the clock from outside; the kept breaker crates read their own.

use crate::{Entropy, Moment};

use super::Backoff;

/// Whether deliveries may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everything flows.
    Open,
    /// Nothing starts before `until`.
    Shut {
        /// Failed probes so far, the first failure included.
        trip_count: u32,
        /// When one delivery may try.
        until: Moment,
    },
    /// One delivery tries; its answer opens or shuts the gate.
    Probing {
        /// Failed probes so far.
        trip_count: u32,
    },
}

impl Gate {
    /// A dependency is down. Returns whether the gate shut just now, from open or from a probe.
    pub(super) fn trip(&mut self, now: Moment, probe: Backoff, entropy: &dyn Entropy, subject: &str) -> bool {
        let trip_count = match self {
            Self::Open => 1,
            Self::Probing { trip_count } => trip_count.saturating_add(1),
            Self::Shut { .. } => return false,
        };
        *self = Self::Shut { trip_count, until: now + probe.delay(trip_count, entropy, "probe", subject) };
        true
    }

    /// Lets one delivery try when it is time. Returns whether it changed.
    pub(super) fn wake(&mut self, now: Moment) -> bool {
        match *self {
            Self::Shut { trip_count, until } if until <= now => {
                *self = Self::Probing { trip_count };
                true
            }
            _ => false,
        }
    }

    /// A delivery got through. Returns whether that opened the gate.
    pub(super) fn pass(&mut self) -> bool {
        let probing = matches!(self, Self::Probing { .. });
        if probing {
            *self = Self::Open;
        }
        probing
    }

    /// How many handlers may run, given the policy's limit.
    pub(super) fn concurrency(&self, limit: usize) -> usize {
        match self {
            Self::Open => limit,
            Self::Probing { .. } => 1,
            Self::Shut { .. } => 0,
        }
    }

    /// When to call [`wake`](Self::wake).
    pub(super) fn wakes_at(&self) -> Option<Moment> {
        match self {
            Self::Shut { until, .. } => Some(*until),
            Self::Open | Self::Probing { .. } => None,
        }
    }
}
