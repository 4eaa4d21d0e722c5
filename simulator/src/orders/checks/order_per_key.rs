//! Messages of one key are processed one after the other; and where the broker promises order, in the
//! order in which they were published.

use std::collections::BTreeMap;

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let seen = &evidence.seen;
    let shared = seen.shared_keys.iter().map(|messages| format!("messages {messages} were processed at once"));
    // The producer's events alone: those of the consumer come by another way.
    let events = seen.told.iter().filter(|told| evidence.is_ordered && told.event == "ORDER_UPDATED");
    let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
    let overtaken = events.filter_map(|told| {
        let version = told.version?;
        let before = latest.insert(&told.order, version).unwrap_or(0);
        (version < before).then(|| format!("version {version} of {} came after version {before}", told.order))
    });
    Verdict::of(seen.runs.len(), shared.chain(overtaken))
}
