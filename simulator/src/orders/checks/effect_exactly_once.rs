//! A completed order was charged, moved and shipped once; any other nets to nothing.

use serde_json::Value;

use super::super::evidence::{Evidence, Placed};
use super::Verdict;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let fault = |placed: &Placed| {
        let order = evidence.order(&placed.order_number)?;
        let books = evidence.books_of.get(&placed.order_number)?;
        let (stock, paid, shipped) =
            (sum(&books["stock"], "quantity"), sum(&books["payments"], "amount"), sum(&books["shipments"], "quantity"));
        let is_completed = order["status"] == "COMPLETED";
        let quantity = order["quantity"].as_f64().unwrap_or(0.0);
        let total = order["totalAmount"].as_f64().unwrap_or(0.0);
        let expected = if is_completed { (-quantity, hundredths(total), 1.0) } else { (0.0, 0.0, 0.0) };
        let is_once = !is_completed
            || ["stock", "payments", "shipments"].iter().all(|list| books[list].as_array().map(Vec::len) == Some(1));
        let is_right = (stock, hundredths(paid), shipped) == expected && is_once;
        (!is_right).then(|| format!("{} is {} and its books say {books}", placed.order_number, order["status"]))
    };
    Verdict::of(evidence.books_of.len(), evidence.placed.iter().filter_map(fault))
}

/// Money as a whole number, so that sums are exact.
pub(super) fn hundredths(amount: f64) -> f64 {
    (amount * 100.0).round()
}

pub(super) fn sum(list: &Value, field: &str) -> f64 {
    list.as_array().into_iter().flatten().filter_map(|entry| entry[field].as_f64()).sum()
}
