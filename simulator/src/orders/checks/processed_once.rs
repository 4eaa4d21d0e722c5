//! A message whose effect is durable is not processed again, and an order's outcome is told once.

use std::collections::BTreeSet;

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let seen = &evidence.seen;
    let mut orders = BTreeSet::new();
    let outcomes = seen.told.iter().filter(|told| told.event.starts_with("PROCESSING_"));
    let twice = outcomes.filter(|told| !orders.insert(&told.order));
    let twice = twice.map(|told| format!("{} had an outcome and had another: {}", told.order, told.event));
    let again = seen.runs.iter().filter(|(_, runs)| runs.again_count > 0);
    let again = again.map(|((queue, id), _)| format!("message {id} of {queue} was processed and processed again"));
    Verdict::of(seen.runs.len(), twice.chain(again))
}
