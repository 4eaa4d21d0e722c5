//! When two sides agree about an order. Pure: no clock, no network.

use std::fmt::Display;

use super::books;
use super::reading::{Order, Processed, Reading};
use super::report::Difference;

/// What a reading shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Both sides tell the same, and it is final.
    Equal,
    /// Both sides tell the same: nothing has happened to it yet.
    Pending,
    /// It came to the consumer from somebody else's producer.
    Foreign,
    /// They do not agree, in these fields.
    Different(Vec<Difference>),
}

/// What this reading shows.
#[must_use]
pub fn compare(reading: &Reading) -> Finding {
    let Some(order) = &reading.order else { return without_order(reading) };
    let mut differences = copy(order, reading.copy.as_ref());
    differences.extend(result(order, reading.processed.as_ref()));
    differences.extend(books::compare(order, &reading.books));
    match differences.is_empty() {
        false => Finding::Different(differences),
        true if is_pending(order) => Finding::Pending,
        true => Finding::Equal,
    }
}

/// Whether the producer still waits for a result.
#[must_use]
pub fn is_pending(order: &Order) -> bool {
    order.status.as_deref() == Some("PENDING")
}

/// The producer does not know it. That is a foreign order, unless the consumer shows that the producer
/// once did: its copy was fetched there, or a result was acknowledged from there.
fn without_order(reading: &Reading) -> Finding {
    let copied = reading.copy.as_ref().is_some_and(|copy| !copy.foreign);
    let acknowledged = reading.processed.as_ref().is_some_and(|one| one.result_acknowledged && !one.foreign);
    if copied || acknowledged {
        return Finding::Different(vec![Difference::of(&reading.order_number, "presence", "no", "yes")]);
    }
    Finding::Foreign
}

/// The producer's order against the consumer's copy of it.
#[must_use]
pub fn copy(order: &Order, copy: Option<&Order>) -> Vec<Difference> {
    let number = &order.order_number;
    let Some(copy) = copy else { return vec![Difference::of(number, "presence", "yes", "no")] };
    let mut found = Vec::new();
    differ(&mut found, number, "version", &order.version, &copy.version);
    differ(&mut found, number, "status", &order.status, &copy.status);
    differ(&mut found, number, "customer", &order.customer_name, &copy.customer_name);
    differ(&mut found, number, "product", &order.product_name, &copy.product_name);
    differ(&mut found, number, "quantity", &order.quantity, &copy.quantity);
    differ(&mut found, number, "price", &order.price, &copy.price);
    differ(&mut found, number, "total", &order.total_amount, &copy.total_amount);
    differ(&mut found, number, "reason", &order.failure_reason, &copy.failure_reason);
    found
}

/// The producer's order against what the consumer made of it.
#[must_use]
pub fn result(order: &Order, processed: Option<&Processed>) -> Vec<Difference> {
    let number = &order.order_number;
    let result = processed.and_then(|one| one.status.clone());
    let mut found = Vec::new();
    let agreed = match order.status.as_deref() {
        // Taken up but not finished is still pending: processing may wait for a dependency.
        Some("PENDING") => result.is_none(),
        // Cancelled before it was processed, or in time for compensation, or it failed by itself.
        Some("CANCELLED") => matches!(result.as_deref(), None | Some("CANCELLED" | "FAILED")),
        _ => result == order.status,
    };
    if !agreed {
        found.push(Difference::of(number, "result", shown(&order.status), shown(&result)));
    }
    let Some(processed) = processed else { return found };
    if agreed && order.status.as_deref() == Some("FAILED") {
        differ(&mut found, number, "result.reason", &order.failure_reason, &processed.failure_reason);
    }
    given(&mut found, number, "result.product", &order.product_name, &processed.product_name);
    given(&mut found, number, "result.quantity", &order.quantity, &processed.quantity);
    given(&mut found, number, "result.price", &order.price, &processed.price);
    given(&mut found, number, "result.total", &order.total_amount, &processed.total_amount);
    found
}

fn differ<T: PartialEq + Display>(
    found: &mut Vec<Difference>,
    number: &str,
    field: &'static str,
    producer: &Option<T>,
    consumer: &Option<T>,
) {
    if producer != consumer {
        found.push(Difference::of(number, field, shown(producer), shown(consumer)));
    }
}

/// Like [`differ`], but what the consumer does not say is no difference.
fn given<T: PartialEq + Display>(
    found: &mut Vec<Difference>,
    number: &str,
    field: &'static str,
    producer: &Option<T>,
    consumer: &Option<T>,
) {
    if consumer.is_some() {
        differ(found, number, field, producer, consumer);
    }
}

fn shown<T: Display>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
}
