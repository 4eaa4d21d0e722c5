//! Nothing exists that nobody ordered, on either side.

use super::super::evidence::Evidence;
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let is_known = |number: &str| evidence.placed.iter().any(|placed| placed.order_number == number);
    let all = [("order", &evidence.orders), ("copy", &evidence.copies), ("processed order", &evidence.processed)];
    let faults = all.into_iter().flat_map(|(what, list)| list.iter().map(move |found| (what, found)));
    let faults = faults.filter_map(|(what, found)| {
        let number = found["orderNumber"].as_str().unwrap_or_default();
        (!is_known(number)).then(|| format!("{what} {number} was never accepted"))
    });
    Verdict::of(evidence.orders.len(), faults)
}
