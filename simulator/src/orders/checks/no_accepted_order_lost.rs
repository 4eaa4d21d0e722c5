//! Whoever was answered 201 finds the order, as it was answered.

use super::super::evidence::{Evidence, Placed};
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let fault = |placed: &Placed| {
        let Some(order) = evidence.order(&placed.order_number) else {
            return Some(format!("{} was accepted and is gone: {}", placed.order_number, placed.answer));
        };
        let is_as_wanted = ["productName", "quantity", "price", "totalAmount", "customerName"]
            .iter()
            .all(|field| order[field] == placed.answer[field]);
        (!is_as_wanted).then(|| format!("{} is not what was ordered: {order}", placed.order_number))
    };
    Verdict::of(evidence.placed.len(), evidence.placed.iter().filter_map(fault))
}
