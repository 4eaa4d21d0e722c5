//! What a change sees.

use std::cell::RefCell;
use std::fmt;

use crate::pending::Pending;
use crate::scan::{self, Direction, Entry, Range};

/// The journal as a change sees it, on the committer's thread: with every earlier change and
/// without any later one.
///
/// A read that the disk refuses looks like an absent key here; the change is then not made and the
/// journal fails, so what the closure concluded from it never counts.
pub struct View<'a> {
    tree: &'a sled::Tree,
    /// Of the changes before this one that sled does not have yet.
    pending: &'a Pending,
    failure: RefCell<Option<sled::Error>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(tree: &'a sled::Tree, pending: &'a Pending) -> Self {
        Self { tree, pending, failure: RefCell::new(None) }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.pending.get(key) {
            Some(written) => written.map(<[u8]>::to_vec),
            None => self.note(self.tree.get(key)).map(|value| value.to_vec()),
        }
    }

    /// Up to `limit` entries of a range, beginning at the end that `direction` names.
    #[must_use]
    pub fn scan(&self, range: Range, direction: Direction, limit: usize) -> Vec<Entry> {
        self.note(scan::scan(self.tree, self.pending, range, direction, limit))
    }

    /// Up to `limit` entries whose keys start with `prefix`, in the order of `direction`.
    #[must_use]
    pub fn scan_prefix(&self, prefix: &[u8], direction: Direction, limit: usize) -> Vec<Entry> {
        self.scan(scan::prefix_range(prefix), direction, limit)
    }

    /// The entry with the largest key that starts with `prefix`: the last number given out, say.
    #[must_use]
    pub fn last_in_prefix(&self, prefix: &[u8]) -> Option<Entry> {
        self.scan_prefix(prefix, Direction::Backward, 1).pop()
    }

    /// The first read that the disk refused, if any.
    pub(crate) fn into_failure(self) -> Option<sled::Error> {
        self.failure.into_inner()
    }

    fn note<T: Default>(&self, read: sled::Result<T>) -> T {
        read.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            T::default()
        })
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
