//! A circuit breaker with the clock from outside; the kept breaker crates read their own.
//!
//! It is a value without a lock: who shares one puts a lock around it. Half open it lets one call
//! try at a time, which its owner sees to: see [`limit`](Breaker::limit).

use crate::pipeline::Backoff;
use crate::{Entropy, Moment};

/// Whether calls to something that may be down are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Everything flows.
    Closed,
    /// It is down: nothing is tried before `until`.
    Open {
        /// Failed probes so far, the first failure included.
        trip_count: u32,
        /// When one call may try.
        until: Moment,
    },
    /// One call tries; its answer closes or opens the breaker.
    HalfOpen {
        /// Failed probes so far.
        trip_count: u32,
    },
}

impl Breaker {
    /// It is down. Returns whether the breaker opened just now, from closed or from a probe.
    pub(crate) fn trip(&mut self, now: Moment, probe: Backoff, entropy: &dyn Entropy, subject: &str) -> bool {
        let trip_count = match self {
            Self::Closed => 1,
            Self::HalfOpen { trip_count } => trip_count.saturating_add(1),
            Self::Open { .. } => return false,
        };
        *self = Self::Open { trip_count, until: now + probe.delay(trip_count, entropy, "probe", subject) };
        true
    }

    /// Lets one call try when it is time. Returns whether that changed just now.
    pub(crate) fn wake(&mut self, now: Moment) -> bool {
        match *self {
            Self::Open { trip_count, until } if until <= now => {
                *self = Self::HalfOpen { trip_count };
                true
            }
            _ => false,
        }
    }

    /// A call got through. Returns whether that closed the breaker: one that ended while it was open
    /// began before the failure, and proves nothing.
    pub(crate) fn pass(&mut self) -> bool {
        let probing = matches!(self, Self::HalfOpen { .. });
        if probing {
            *self = Self::Closed;
        }
        probing
    }

    /// How many calls may be under way, where `limit` may be when all is well.
    pub(crate) fn limit(&self, limit: usize) -> usize {
        match self {
            Self::Closed => limit,
            Self::HalfOpen { .. } => limit.min(1),
            Self::Open { .. } => 0,
        }
    }

    /// When to call [`wake`](Self::wake).
    pub(crate) fn wakes_at(&self) -> Option<Moment> {
        match self {
            Self::Open { until, .. } => Some(*until),
            Self::Closed | Self::HalfOpen { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::entropy::SeededEntropy;

    const PROBE: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) };

    fn trip(breaker: &mut Breaker, now: Moment) -> bool {
        breaker.trip(now, PROBE, &SeededEntropy::new(1), "subject")
    }

    #[test]
    fn it_opens_on_the_first_failure_and_lets_one_call_try_when_the_pause_is_over() {
        let start = Moment::from_origin(Duration::ZERO);
        let mut breaker = Breaker::Closed;
        assert_eq!((breaker.limit(9), breaker.wakes_at()), (9, None));
        assert!(trip(&mut breaker, start));
        assert!(!trip(&mut breaker, start), "it is open already");
        let until = breaker.wakes_at().expect("it wakes");
        assert!(start + PROBE.first <= until && until <= start + 2 * PROBE.first, "{until:?}");
        assert!(!breaker.pass(), "what began before the failure proves nothing");
        assert!(!breaker.wake(start) && breaker.limit(9) == 0);
        assert!(breaker.wake(until) && breaker.limit(9) == 1 && breaker.limit(0) == 0);
        assert!(breaker.pass() && breaker == Breaker::Closed);
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_and_a_success_starts_over() {
        let mut now = Moment::from_origin(Duration::ZERO);
        let mut breaker = Breaker::Closed;
        for base_seconds in [1, 2, 4, 8, 8] {
            assert!(trip(&mut breaker, now));
            let until = breaker.wakes_at().expect("it wakes");
            let base = Duration::from_secs(base_seconds);
            assert!(now + base <= until && until <= now + 2 * base, "{now:?} {until:?}");
            now = until;
            assert!(breaker.wake(now));
        }
        assert!(breaker.pass() && trip(&mut breaker, now));
        assert!(breaker.wakes_at().expect("it wakes") <= now + 2 * PROBE.first);
    }
}
