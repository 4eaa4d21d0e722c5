//! What an order must have left in the consumer's books.

use std::collections::BTreeMap;
use std::fmt::Display;

use rust_decimal::Decimal;

use super::exact::Exact;
use super::reading::{Books, Order};
use super::report::Difference;

/// Whether books have to be read to judge an order of this status.
///
/// While an order is pending its processing may be under way, step by step.
#[must_use]
pub fn are_due(order: &Order) -> bool {
    matches!(order.status.as_deref(), Some("COMPLETED" | "FAILED" | "CANCELLED"))
}

/// The entries against the order's status: one of each for a completed order, nothing on balance for a
/// failed or cancelled one.
#[must_use]
pub fn compare(order: &Order, books: &Books) -> Vec<Difference> {
    match order.status.as_deref() {
        Some("COMPLETED") => one_of_each(order, books),
        Some("FAILED" | "CANCELLED") => nothing_on_balance(order, books),
        _ => Vec::new(),
    }
}

/// Exactly one entry each: two charges and a refund would balance, but a customer has seen them.
fn one_of_each(order: &Order, books: &Books) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut check = |field, expected: String, entries: Vec<String>, as_expected: bool| {
        if entries.len() != 1 || !as_expected {
            found.push(Difference::of(&order.order_number, field, expected, listed(&entries)));
        }
    };
    let quantity = order.quantity.as_ref().and_then(Exact::number).map(|quantity| -quantity);
    let product = order.product_name.as_deref().unwrap_or("none");
    check(
        "books.stock",
        quantity.map_or_else(|| "none".to_owned(), |quantity| entry(quantity, product)),
        books.stock.iter().map(|one| entry(&one.quantity, &one.product_name)).collect(),
        books.stock.iter().all(|one| one.quantity.number() == quantity && one.product_name == product),
    );
    check(
        "books.charge",
        order.total_amount.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
        books.payments.iter().map(|one| one.amount.to_string()).collect(),
        books.payments.iter().all(|one| Some(&one.amount) == order.total_amount.as_ref()),
    );
    check(
        "books.shipment",
        "1".to_owned(),
        books.shipments.iter().map(|one| one.quantity.to_string()).collect(),
        books.shipments.iter().all(|one| one.quantity.number() == Some(Decimal::ONE)),
    );
    found
}

fn nothing_on_balance(order: &Order, books: &Books) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut check = |field, balanced: bool, entries: Vec<String>| {
        if !balanced {
            found.push(Difference::of(&order.order_number, field, "0", listed(&entries)));
        }
    };
    let mut moves: BTreeMap<&str, Vec<&Exact>> = BTreeMap::new();
    for one in &books.stock {
        moves.entry(&one.product_name).or_default().push(&one.quantity);
    }
    check(
        "books.stock",
        moves.into_values().all(is_zero),
        books.stock.iter().map(|one| entry(&one.quantity, &one.product_name)).collect(),
    );
    check(
        "books.charge",
        is_zero(books.payments.iter().map(|one| &one.amount)),
        books.payments.iter().map(|one| one.amount.to_string()).collect(),
    );
    check(
        "books.shipment",
        is_zero(books.shipments.iter().map(|one| &one.quantity)),
        books.shipments.iter().map(|one| one.quantity.to_string()).collect(),
    );
    found
}

fn is_zero<'a>(parts: impl IntoIterator<Item = &'a Exact>) -> bool {
    Exact::sum(parts).is_some_and(|sum| sum.is_zero())
}

fn entry(quantity: impl Display, product: &str) -> String {
    format!("{quantity} {product}")
}

fn listed(entries: &[String]) -> String {
    if entries.is_empty() { "none".to_owned() } else { entries.join(", ") }
}
