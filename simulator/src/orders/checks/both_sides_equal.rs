//! After the healing the consumer's copies are the producer's orders.

use serde_json::Value;

use super::super::evidence::Evidence;
use super::Verdict;

const FIELDS: [&str; 7] = ["version", "status", "customerName", "productName", "quantity", "price", "totalAmount"];

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let fault = |order: &Value| {
        let number = &order["orderNumber"];
        let copy = evidence.copies.iter().find(|copy| copy["orderNumber"] == *number);
        let Some(copy) = copy else { return Some(format!("{number} has no copy")) };
        let differing = FIELDS.iter().find(|field| order[**field] != copy[**field])?;
        Some(format!("{number} {differing} producer={} consumer={}", order[*differing], copy[*differing]))
    };
    Verdict::of(evidence.orders.len(), evidence.orders.iter().filter_map(fault))
}
