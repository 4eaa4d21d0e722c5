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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(second: u64, epoch: u64) -> Entry {
        Entry { deadline: Moment::from_origin(Duration::from_secs(second)), slot: 0, epoch }
    }

    #[test]
    fn the_first_to_end_is_found_among_regular_and_irregular() {
        let mut leases = Leases::default();
        assert!(leases.begin(entry(30, 1)));
        assert!(!leases.begin(entry(5, 2)), "it ends before one that began earlier");
        leases.extend(entry(40, 3));
        assert_eq!(leases.first(|_| true), Some(entry(5, 2)));
        leases.end_irregular(&entry(5, 2));
        assert_eq!(leases.first(|_| true), Some(entry(30, 1)));
        assert_eq!(leases.first(|lease| lease.epoch == 3), Some(entry(40, 3)), "1 was settled");
    }

    #[test]
    fn settled_leases_behind_a_held_one_do_not_pile_up() {
        let mut leases = Leases::default();
        for epoch in 0..100 * TIDY_COUNT_MIN as u64 {
            leases.begin(entry(epoch, epoch));
            leases.tidy(1, |lease| lease.epoch == 0 || lease.epoch == epoch);
            assert!(leases.regular.len() <= TIDY_COUNT_MIN + 1);
        }
    }
}
