//! So many a second.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::Moment;

/// Messages go in groups of a tenth of a second's worth, so that a fast replay still fills batches.
const GROUPS_PER_SECOND: usize = 10;

/// Spaces out groups of messages. Time that was missed is not made up for.
#[derive(Debug)]
pub(super) struct Pace {
    per_second_max: Option<NonZeroU32>,
    /// When the next group may go.
    pub(super) next: Moment,
}

impl Pace {
    pub(super) fn new(per_second_max: Option<NonZeroU32>) -> Self {
        Self { per_second_max, next: Moment::default() }
    }

    /// Most messages of one group, at most `batch_count_max`.
    pub(super) fn group_count(&self, batch_count_max: usize) -> usize {
        let worth = |rate: NonZeroU32| rate.get() as usize / GROUPS_PER_SECOND;
        self.per_second_max.map_or(batch_count_max, |rate| worth(rate).clamp(1, batch_count_max))
    }

    /// A group of `count` goes at `now`.
    pub(super) fn went(&mut self, count: usize, now: Moment) {
        if let Some(rate) = self.per_second_max {
            self.next = now + Duration::from_secs(count as u64) / rate.get();
        }
    }
}
