//! No order and no copy was ever seen with a lower version than before.

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    Verdict::of(evidence.copies.len(), evidence.seen_backwards.iter().cloned())
}
