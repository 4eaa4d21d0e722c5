//! One partition while it is ours.

use std::collections::BTreeSet;

use super::lanes::{LaneId, Lanes};
use super::window::Window;
use crate::record::Record;

/// What is known of a partition, from its assignment to its revocation.
pub(crate) struct Assignment {
    pub(crate) window: Window,
    pub(crate) lanes: Lanes,
    pub(crate) in_hand_count: usize,
    /// On its way to another member: nothing more of it is handed out.
    pub(crate) is_leaving: bool,
    /// There is something new to commit.
    pub(crate) is_dirty: bool,
}

impl Assignment {
    pub(crate) fn of(window: Window) -> Self {
        Self { window, lanes: Lanes::default(), in_hand_count: 0, is_leaving: false, is_dirty: false }
    }

    pub(crate) fn settle(&mut self, offset: i64) {
        self.window.settle(offset);
        self.is_dirty = true;
    }

    /// A delay has passed; answers what may be handed out now.
    pub(crate) fn end_delay(&mut self, offset: i64) -> BTreeSet<i64> {
        match self.window.record(offset).map(Record::key) {
            None => BTreeSet::new(),
            Some(None) => BTreeSet::from([offset]),
            Some(Some(key)) => self.lanes.end_delay(key),
        }
    }

    /// What is handed out to `reader`, and its lane if it has a key. `None`: it is settled, or waits in
    /// its lane.
    pub(crate) fn enter(&mut self, offset: i64, reader: u64) -> Option<(Record, Option<LaneId>)> {
        let record = self.window.record(offset)?;
        let lane = match record.key() {
            None => None,
            Some(key) => Some(self.lanes.enter(key, offset, reader)?),
        };
        Some((record.clone(), lane))
    }
}
