//! When leases end.

use std::collections::{BTreeSet, VecDeque};

use bus::Moment;

/// Below this many entries a clean-up is not worth its walk.
const TIDY_COUNT_MIN: usize = 1_024;

/// One lease: when it ends, of which slot, under which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) deadline: Moment,
    pub(crate) slot: u32,
    pub(crate) epoch: u64,
}

/// The deadlines of one queue.
///
/// Leases of one length end in the order they began, so a new one is appended and a settled one is
/// only found to be over when it reaches the front. Extended and shorter ones are kept in a tree,
/// and removed from it when they end.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    regular: VecDeque<Entry>,
    irregular: BTreeSet<Entry>,
}

impl Leases {
    /// Adds a new lease. False: it ends before one added earlier and went to the irregular ones.
    pub(crate) fn begin(&mut self, entry: Entry) -> bool {
        let is_regular = self.regular.back().is_none_or(|last| last.deadline <= entry.deadline);
        if is_regular {
            self.regular.push_back(entry);
        } else {
            self.irregular.insert(entry);
        }
        is_regular
    }

    /// Adds a lease whose deadline was moved.
    pub(crate) fn extend(&mut self, entry: Entry) {
        self.irregular.insert(entry);
    }

    /// Removes an irregular lease.
    pub(crate) fn end_irregular(&mut self, entry: &Entry) {
        self.irregular.remove(entry);
    }

    /// The lease that ends first, among those that `is_held` knows.
    pub(crate) fn first(&mut self, is_held: impl Fn(&Entry) -> bool) -> Option<Entry> {
        while self.regular.front().is_some_and(|entry| !is_held(entry)) {
            self.regular.pop_front();
        }
        match (self.regular.front(), self.irregular.first()) {
            (Some(regular), Some(irregular)) => Some(*regular.min(irregular)),
            (regular, irregular) => regular.or(irregular).copied(),
        }
    }

    /// Drops settled leases that hide behind a held one, before they outnumber those held.
    pub(crate) fn tidy(&mut self, held_count: usize, is_held: impl Fn(&Entry) -> bool) {
        while self.regular.front().is_some_and(|entry| !is_held(entry)) {
            self.regular.pop_front();
        }
        if self.regular.len() > TIDY_COUNT_MIN.max(2 * held_count) {
            self.regular.retain(is_held);
        }
    }
}
