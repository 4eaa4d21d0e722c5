//! What is known of the bus, and who may call it.

use std::time::Duration;

use crate::breaker::Breaker;
use crate::{ErrorKind, Moment, PublishOutcome};

/// A breaker, and the failures that lead to it.
#[derive(Debug)]
pub(super) struct Circuit {
    breaker: Breaker,
    failures_in_a_row: u32,
    /// Why it is not closed.
    reason: Option<String>,
    is_probe_under_way: bool,
    /// The bus was closed: it answers everything itself.
    gives_way: bool,
}

/// Whether a call is made.
pub(super) enum Entry {
    Pass,
    /// It is made to find out.
    Probe,
    Refuse {
        retry_in: Duration,
        reason: String,
    },
}

/// What a call showed.
pub(super) enum Report {
    Answered,
    Failed(String),
    /// The bus was closed.
    Closed,
    /// It said something of the messages and nothing of the bus.
    Nothing,
}

impl Default for Circuit {
    fn default() -> Self {
        let breaker = Breaker::Closed;
        Self { breaker, failures_in_a_row: 0, reason: None, is_probe_under_way: false, gives_way: false }
    }
}

impl Circuit {
    pub(super) fn enter(&mut self, now: Moment) -> Entry {
        self.breaker.wake(now);
        let retry_in = match &self.breaker {
            _ if self.gives_way => return Entry::Pass,
            Breaker::Closed => return Entry::Pass,
            Breaker::HalfOpen { .. } if !self.is_probe_under_way => {
                self.is_probe_under_way = true;
                return Entry::Probe;
            }
            Breaker::HalfOpen { .. } => Duration::ZERO,
            Breaker::Open { until, .. } => until.since(now),
        };
        Entry::Refuse { retry_in, reason: self.reason.clone().unwrap_or_default() }
    }

    /// Takes what a call showed. What began before the circuit opened proves nothing any more.
    pub(super) fn learn(
        &mut self,
        is_probe: bool,
        report: Report,
        failure_count_max: u32,
        trip: impl FnOnce(&mut Breaker),
    ) {
        self.is_probe_under_way &= !is_probe;
        let is_closed = self.breaker == Breaker::Closed;
        match report {
            Report::Closed => self.give_way(),
            Report::Answered if is_closed || is_probe => {
                self.breaker.pass();
                self.failures_in_a_row = 0;
                self.reason = None;
            }
            Report::Failed(why) if is_closed || is_probe => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                if is_probe || self.failures_in_a_row >= failure_count_max {
                    trip(&mut self.breaker);
                    let count = self.failures_in_a_row;
                    self.reason = Some(format!("{count} publishes in a row failed, the last with `{why}`"));
                }
            }
            Report::Answered | Report::Failed(_) | Report::Nothing => {}
        }
    }

    pub(super) fn abandon_probe(&mut self) {
        self.is_probe_under_way = false;
    }

    pub(super) fn give_way(&mut self) {
        self.gives_way = true;
    }

    /// Why it is not closed.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref().filter(|_| !self.gives_way)
    }
}

impl Report {
    pub(super) fn of(outcomes: &[PublishOutcome]) -> Self {
        let mut report = Self::Nothing;
        for outcome in outcomes {
            match outcome {
                PublishOutcome::Accepted(_) => return Self::Answered,
                PublishOutcome::Refused(error) | PublishOutcome::Unknown(error) => match error.kind() {
                    ErrorKind::Closed => report = Self::Closed,
                    ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled => {
                        report = Self::Failed(error.to_string());
                    }
                    _ => {}
                },
            }
        }
        report
    }
}
