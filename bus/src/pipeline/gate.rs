//! Why nothing flows: somebody paused it, the bus is down, or a dependency is.
//!
//! Each of the three comes and goes on its own, and all must be over before deliveries flow again.

use crate::breaker::Breaker;
use crate::{Entropy, Moment};

use super::{Backoff, PipelineState};

/// What can be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing can be received. A receive that succeeds, or waits for long without an error, ends it.
    Bus,
    /// What handlers depend on, or the store that counts their starts. A handler that succeeds ends it.
    Dependency,
}

/// How much may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// All there is room for.
    Room,
    /// One delivery, to see whether the bus hands out any.
    One,
    /// One delivery while none is in hand, to see whether its handler gets through.
    OneAlone,
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Gate {
    /// The reason given.
    by_hand: Option<String>,
    bus: Breaker,
    bus_trouble: String,
    /// When the receive that probes the bus has waited for so long that the bus must be back.
    bus_proved_at: Option<Moment>,
    dependency: Breaker,
    dependency_trouble: String,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            by_hand: None,
            bus: Breaker::Closed,
            bus_trouble: String::new(),
            bus_proved_at: None,
            dependency: Breaker::Closed,
            dependency_trouble: String::new(),
        }
    }

    /// Whether what has not started must go back.
    pub(super) fn is_shut(&self) -> bool {
        let is_open = |breaker: &Breaker| matches!(breaker, Breaker::Open { .. });
        self.by_hand.is_some() || is_open(&self.bus) || is_open(&self.dependency)
    }

    /// How many handlers may run, given the policy's limit.
    pub(super) fn concurrency(&self, limit: usize) -> usize {
        if self.by_hand.is_some() { 0 } else { self.bus.limit(self.dependency.limit(limit)) }
    }

    pub(super) fn intake(&self) -> Intake {
        match (&self.by_hand, &self.bus, &self.dependency) {
            (Some(_), ..) | (_, Breaker::Open { .. }, _) | (.., Breaker::Open { .. }) => Intake::Nothing,
            (.., Breaker::HalfOpen { .. }) => Intake::OneAlone,
            (_, Breaker::HalfOpen { .. }, _) => Intake::One,
            (None, Breaker::Closed, Breaker::Closed) => Intake::Room,
        }
    }

    /// What to show; the pause by hand first, because only a hand ends it.
    pub(super) fn state(&self) -> PipelineState {
        match (&self.by_hand, &self.bus, &self.dependency) {
            (Some(reason), ..) => PipelineState::PausedByHand(reason.clone()),
            (None, Breaker::Closed, Breaker::Closed) => PipelineState::Running,
            (None, Breaker::Closed, _) => PipelineState::Paused(self.dependency_trouble.clone()),
            (None, ..) => PipelineState::Paused(self.bus_trouble.clone()),
        }
    }

    /// Pauses for a reason given, or takes that pause back. Returns whether that changed anything.
    pub(super) fn set_by_hand(&mut self, reason: Option<String>) -> bool {
        let is_news = self.by_hand != reason;
        self.by_hand = reason;
        is_news
    }

    /// Something is down. Returns whether its breaker opened just now.
    pub(super) fn trip(
        &mut self,
        cause: Cause,
        trouble: &str,
        now: Moment,
        probe: Backoff,
        entropy: &dyn Entropy,
        subject: &str,
    ) -> bool {
        let (breaker, shown) = match cause {
            Cause::Bus => (&mut self.bus, &mut self.bus_trouble),
            Cause::Dependency => (&mut self.dependency, &mut self.dependency_trouble),
        };
        let tripped = breaker.trip(now, probe, entropy, subject);
        if tripped {
            trouble.clone_into(shown);
        }
        tripped
    }

    /// Something works. Returns whether that closed its breaker.
    pub(super) fn pass(&mut self, cause: Cause) -> bool {
        match cause {
            Cause::Bus => self.bus.pass(),
            Cause::Dependency => self.dependency.pass(),
        }
    }

    /// Lets what is down be tried when it is time.
    pub(super) fn wake(&mut self, now: Moment) {
        self.bus.wake(now);
        self.dependency.wake(now);
    }

    /// When to call [`wake`](Self::wake).
    pub(super) fn wakes_at(&self) -> Option<Moment> {
        [self.bus.wakes_at(), self.dependency.wakes_at()].into_iter().flatten().min()
    }

    /// A receive begins; without an answer by `proved_at` the bus is up.
    pub(super) fn receive_begins(&mut self, proved_at: impl FnOnce() -> Moment) {
        if matches!(self.bus, Breaker::HalfOpen { .. }) {
            self.bus_proved_at = Some(proved_at());
        }
    }

    /// The receive was answered.
    pub(super) fn receive_ends(&mut self) {
        self.bus_proved_at = None;
    }

    /// When the receive under way proves that the bus is up.
    pub(super) fn bus_proved_at(&self) -> Option<Moment> {
        self.bus_proved_at
    }
}
