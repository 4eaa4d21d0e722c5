//! Drain: what runs may finish, what waits goes back, everything is bounded.

use std::time::Duration;

use crate::ClockExt;
use crate::Moment;
use crate::pipeline::PipelineState;
use crate::pipeline::hand::{Ending, Stage};

use super::Engine;

/// Part of the drain kept for settling what had to be cancelled, and its most.
const SETTLE_SHARE: u32 = 4;
const SETTLE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Drain {
    /// When the next step is due.
    pub(super) due: Moment,
    step: Step,
}

enum Step {
    /// Running handlers may finish; then they are cancelled.
    Finish { settle_by: Moment },
    /// What was cancelled is settled; then the rest is left to the leases.
    Settle,
    /// Time is over.
    Over,
}

impl Engine<'_> {
    /// Stops receiving and returns what has not started.
    pub(super) fn drain(&mut self) {
        if self.draining.is_some() {
            return;
        }
        let (now, drain) = (self.now(), self.pipeline.policy.drain);
        let settle = (drain / SETTLE_SHARE).min(SETTLE_MAX);
        self.draining = Some(Drain { due: now + (drain - settle), step: Step::Finish { settle_by: now + drain } });
        self.pipeline.status.set(PipelineState::Draining);
        self.receiver.stop();
        self.return_waiting();
    }

    /// Goes on to the next step of the drain when its time has come.
    pub(super) fn press_on(&mut self, now: Moment) {
        let Some(drain) = &mut self.draining else { return };
        if now < drain.due {
            return;
        }
        match drain.step {
            Step::Finish { settle_by } => {
                *drain = Drain { due: settle_by, step: Step::Settle };
                for (_, held) in &mut self.held {
                    if let Stage::Running { abort, ending } = &mut held.stage {
                        ending.get_or_insert(Ending::Drained);
                        abort.abort();
                    }
                }
            }
            Step::Settle | Step::Over => drain.step = Step::Over,
        }
    }

    /// Whether nothing is left to do, or no time to do it.
    pub(super) fn is_drained(&self) -> bool {
        self.draining.as_ref().is_some_and(|drain| {
            let settled = self.held.is_empty() && self.owed_call_count == 0 && !self.receiving;
            settled || matches!(drain.step, Step::Over)
        })
    }

    /// Closes the receiver, which flushes what it still holds.
    pub(super) async fn end(self) {
        let receiver = self.receiver;
        let _ = self.pipeline.seams.clock.timeout(SETTLE_MAX, receiver.close()).await;
    }
}
