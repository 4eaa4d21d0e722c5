//! What the two sides answer, as far as it is compared.
//!
//! Every field but the order number may be missing: a field that is not there differs from one that
//! is, and says so, instead of making the whole answer unreadable.

use serde::Deserialize;

use super::exact::Exact;

/// An order: the producer's own, or the consumer's copy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The name over both sides.
    pub order_number: String,
    /// Who orders.
    pub customer_name: Option<String>,
    /// What is ordered.
    pub product_name: Option<String>,
    /// How many units.
    pub quantity: Option<Exact>,
    /// Price of one unit.
    pub price: Option<Exact>,
    /// Price of all units.
    pub total_amount: Option<Exact>,
    /// Where it stands.
    pub status: Option<String>,
    /// Counts its changes.
    pub version: Option<Exact>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Whether the consumer says that our producer never had it.
    #[serde(default)]
    pub foreign: bool,
}

/// What the consumer made of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processed {
    /// The name over both sides.
    pub order_number: String,
    /// The result; none while it is being processed.
    pub status: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What was sold.
    pub product_name: Option<String>,
    /// How many units.
    pub quantity: Option<Exact>,
    /// Price of one unit.
    pub price: Option<Exact>,
    /// Price of all units.
    pub total_amount: Option<Exact>,
    /// Whether the producer has taken the result.
    #[serde(default)]
    pub result_acknowledged: bool,
    /// Whether our producer never had the order.
    #[serde(default)]
    pub foreign: bool,
}

/// The entries an order left in the consumer's books. Taking is negative, giving back positive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Books {
    /// Units that moved.
    pub stock: Vec<Move>,
    /// Amounts that were charged; a refund is negative.
    pub payments: Vec<Payment>,
    /// Shipments; one called back is negative.
    pub shipments: Vec<Shipment>,
}

/// Units of a product that left (negative) or came back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Of what.
    pub product_name: String,
    /// How many.
    pub quantity: Exact,
}

/// An amount that was charged (positive) or refunded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// How much.
    pub amount: Exact,
}

/// A shipment (1) or its recall (−1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Shipment {
    /// 1 or −1.
    pub quantity: Exact,
}

/// One order as both sides tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The order's number.
    pub order_number: String,
    /// The producer's order.
    pub order: Option<Order>,
    /// The consumer's copy.
    pub copy: Option<Order>,
    /// The consumer's result.
    pub processed: Option<Processed>,
    /// The consumer's books.
    pub books: Books,
}
