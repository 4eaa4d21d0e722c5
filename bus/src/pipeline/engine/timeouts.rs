//! When running handlers must have ended.

use std::collections::VecDeque;

use crate::Moment;
use crate::pipeline::hand::{Ending, Stage};

use super::Engine;

/// Below this many entries a clean-up is not worth its walk.
const TIDY_COUNT_MIN: usize = 1_024;

/// One handler's end: when, its place in the hand, and the delivery that was there when it started.
type Timeout = (Moment, usize, u64);

/// Ends in order of the starts, hence of time, because all handlers have the same time.
///
/// A handler that is done in time is only found to be when its entry reaches the front.
#[derive(Debug, Default)]
pub(super) struct Timeouts(VecDeque<Timeout>);

impl Timeouts {
    pub(super) fn first(&self) -> Option<Moment> {
        self.0.front().map(|(ends, ..)| *ends)
    }

    /// Adds the end of a handler that starts now.
    fn add(&mut self, timeout: Timeout) {
        self.0.push_back(timeout);
    }

    /// Takes the first end that has come by `now`.
    fn pop_due(&mut self, now: Moment) -> Option<(usize, u64)> {
        let (_, place, serial) = self.0.pop_front_if(|(ends, ..)| *ends <= now)?;
        Some((place, serial))
    }

    /// Drops the ends of handlers that are done, before they outnumber those that run.
    fn tidy(&mut self, running_count: usize, is_running: impl Fn(usize, u64) -> bool) {
        if self.0.len() > TIDY_COUNT_MIN.max(2 * running_count) {
            self.0.retain(|(_, place, serial)| is_running(*place, *serial));
        }
    }
}

impl Engine<'_> {
    /// The handler of the delivery in `place` starts.
    pub(super) fn limit(&mut self, place: usize, serial: u64) {
        let ends = self.now() + self.pipeline.policy.handler_timeout;
        self.timeouts.add((ends, place, serial));
        let held = &self.held;
        self.timeouts
            .tidy(self.running.len(), |place, serial| held.get(place).is_some_and(|held| held.serial == serial));
    }

    /// Cancels handlers whose time is over.
    pub(super) fn time_out(&mut self, now: Moment) {
        while let Some((place, serial)) = self.timeouts.pop_due(now) {
            if let Some(held) = self.held.get_mut(place).filter(|held| held.serial == serial)
                && let Stage::Running { abort, ending } = &mut held.stage
            {
                ending.get_or_insert(Ending::TimedOut);
                abort.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn handlers_that_are_done_do_not_pile_up_behind_one_that_runs_for_long() {
        let mut timeouts = Timeouts::default();
        let long = Moment::from_origin(Duration::from_hours(1));
        for serial in 0..100 * TIDY_COUNT_MIN as u64 {
            timeouts.add((long, 0, serial));
            timeouts.tidy(1, |_, running| running == 0 || running == serial);
            assert!(timeouts.0.len() <= TIDY_COUNT_MIN + 1, "{}", timeouts.0.len());
        }
        assert_eq!((timeouts.first(), timeouts.pop_due(long)), (Some(long), Some((0, 0))), "the one that runs is kept");
    }
}
