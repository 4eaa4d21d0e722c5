//! The order, and what one may ask for.

use jiff::{Timestamp, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use super::{FailureReason, Money, OrderNumber, Status};

/// Longest customer or product name, in characters.
pub const CUSTOMER_AND_PRODUCT_CHARS_MAX: usize = 200;
/// Most units in one order.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// Lowest price, in hundredths.
pub const PRICE_MIN: i128 = 1;
/// Highest price, in hundredths: 9,999,999,999.99.
pub const PRICE_MAX: i128 = 999_999_999_999;

/// What a customer asks for, already checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRequest {
    /// Who orders.
    pub customer_name: String,
    /// What is ordered.
    pub product_name: String,
    /// How many units.
    pub quantity: u32,
    /// Price of one unit.
    pub price: Money,
}

/// An order, as either service keeps it. Timestamps have microseconds, like the recorded ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The producer's own count, from 1.
    pub id: u64,
    /// The name over all services.
    pub order_number: OrderNumber,
    /// Who orders.
    pub customer_name: String,
    /// What is ordered.
    pub product_name: String,
    /// How many units.
    pub quantity: u32,
    /// Price of one unit.
    pub price: Money,
    /// Price of all units.
    pub total_amount: Money,
    /// Where it stands.
    pub status: Status,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed; `None` until it first does.
    pub updated_at: Option<Timestamp>,
    /// Counts its changes, from 1; 0 where a foreign producer does not tell.
    pub version: u64,
    /// Why it failed, if it did.
    pub failure_reason: Option<FailureReason>,
}

impl Order {
    /// A new order.
    #[must_use]
    pub fn accept(request: &OrderRequest, id: u64, order_number: OrderNumber, now: Timestamp) -> Self {
        Self {
            id,
            order_number,
            customer_name: request.customer_name.clone(),
            product_name: request.product_name.clone(),
            quantity: request.quantity,
            price: request.price,
            total_amount: request.price.times(request.quantity),
            status: Status::Pending,
            created_at: to_microseconds(now),
            updated_at: None,
            version: 1,
            failure_reason: None,
        }
    }

    /// The order after a change of status.
    #[must_use]
    pub fn changed(&self, status: Status, failure_reason: Option<FailureReason>, now: Timestamp) -> Self {
        Self {
            status,
            failure_reason,
            updated_at: Some(to_microseconds(now)),
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// When it last changed, its creation included.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        self.updated_at.unwrap_or(self.created_at)
    }
}

fn to_microseconds(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Trunc)).unwrap_or(at)
}
