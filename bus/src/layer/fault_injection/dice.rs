//! Which faults are wanted, and what became of them.

use super::{FaultCounts, Faults};
use crate::Seams;
use crate::chance::{Chance, FaultReport};

#[derive(Debug)]
pub(super) struct Dice {
    pub(super) faults: Faults,
    pub(super) report: FaultReport<FaultCounts>,
    pub(super) chance: Chance,
}

impl Dice {
    pub(super) fn new(faults: Faults, seams: &Seams) -> Self {
        Self { faults, report: FaultReport::default(), chance: Chance::new(seams) }
    }

    /// Whether a fault of this probability fires for `identity`.
    pub(super) fn fires(&self, per_mille: u32, purpose: &'static str, identity: &str) -> bool {
        self.chance.fires(per_mille, purpose, identity)
    }

    /// Waits where a call is to be slow.
    pub(super) async fn dawdle(&self, purpose: &'static str, identity: &str) {
        let Faults { slow_per_mille, slow_max, .. } = self.faults;
        if let Some(delay) = self.chance.delay(slow_per_mille, slow_max, purpose, identity) {
            self.report.note(|counts| counts.slow_count += 1);
            self.chance.wait(delay).await;
        }
    }
}
