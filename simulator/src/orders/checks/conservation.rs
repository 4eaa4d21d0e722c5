//! Over everything: stock that left is stock that was sold, money taken is money owed.

use super::super::evidence::Evidence;
use super::Verdict;
use super::effect_exactly_once::hundredths;

pub(super) fn check(evidence: &Evidence) -> Verdict {
    let completed: Vec<_> = evidence.orders.iter().filter(|order| order["status"] == "COMPLETED").collect();
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(0.0);
    let owed: f64 = completed.iter().map(|order| hundredths(number(&order["totalAmount"]))).sum();
    let taken = hundredths(number(&evidence.books["charged"])) - hundredths(number(&evidence.books["refunded"]));
    let mut faults = Vec::new();
    if (owed - taken).abs() > 0.5 {
        faults.push(format!("{owed} hundredths are owed and {taken} were taken"));
    }
    if (number(&evidence.books["shipped"]) - completed.len() as f64).abs() > 0.5 {
        faults.push(format!("{} orders are completed and {} were shipped", completed.len(), evidence.books["shipped"]));
    }
    for (product, book) in evidence.books["products"].as_object().into_iter().flatten() {
        let of_product = completed.iter().filter(|order| order["productName"] == product.as_str());
        let sold: f64 = of_product.map(|order| number(&order["quantity"])).sum();
        if (number(&book["moved"]) + sold).abs() > 0.5 || number(&book["onHand"]) < 0.0 {
            faults.push(format!("{sold} of {product} were sold and its book says {book}"));
        }
    }
    Verdict::of(completed.len(), faults.into_iter())
}
