//! Walking a range of keys.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::pending::Pending;

/// Which end of a range a scan starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Forward,
    /// From the largest key down.
    Backward,
}

/// The bounds of a scan.
pub(crate) type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Up to `limit` entries of what is in the tree with the pending writes on top.
pub(crate) fn scan(
    tree: &sled::Tree,
    pending: &Pending,
    range: Range,
    direction: Direction,
    limit: usize,
) -> sled::Result<Vec<Entry>> {
    if is_inverted(&range) {
        return Ok(Vec::new());
    }
    let stored = tree.range::<Vec<u8>, _>(range.clone());
    let written = pending.range(range);
    match direction {
        Direction::Forward => merge(stored, written, Ord::cmp, limit),
        Direction::Backward => merge(stored.rev(), written.rev(), |a, b| b.cmp(a), limit),
    }
}

/// Merges two walks in the same direction; where both have a key, the pending write counts.
fn merge<'a>(
    stored: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
    written: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    order: impl Fn(&[u8], &[u8]) -> Ordering,
    limit: usize,
) -> sled::Result<Vec<Entry>> {
    let (mut stored, mut written) = (stored.peekable(), written.peekable());
    let mut entries = Vec::new();
    while entries.len() < limit {
        let written_is = match (stored.peek(), written.peek()) {
            (None, None) => break,
            (None, Some(_)) => Ordering::Less,
            (Some(Ok((key, _))), Some((written, _))) => order(written, key),
            (Some(_), _) => Ordering::Greater,
        };
        if written_is == Ordering::Greater {
            if let Some((key, value)) = stored.next().transpose()? {
                entries.push((key.to_vec(), value.to_vec()));
            }
            continue;
        }
        if written_is == Ordering::Equal {
            stored.next();
        }
        if let Some((key, Some(value))) = written.next() {
            entries.push((key.clone(), value.clone()));
        }
    }
    Ok(entries)
}

/// Every key that starts with `prefix`.
pub(crate) fn prefix_range(prefix: &[u8]) -> Range {
    let mut end = prefix.to_vec();
    // The first key after the prefix: drop what cannot be counted up, count up the rest.
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return (Bound::Included(prefix.to_vec()), Bound::Excluded(end));
        }
    }
    (Bound::Included(prefix.to_vec()), Bound::Unbounded)
}

/// A range whose end is before its start is empty for us; others leave it undefined, or panic.
fn is_inverted((start, end): &Range) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
        | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
