//! No order and no copy was ever written with a lower version than before, whatever came of it later.

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    Verdict::of(evidence.copies.len(), evidence.seen.backwards.iter().cloned())
}
