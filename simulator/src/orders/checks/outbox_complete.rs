//! Nothing that was to be sent or acknowledged is left over.

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    Verdict::of(evidence.placed.len(), evidence.unsent.iter().cloned())
}
