//! The order as HTTP bodies show it, and pages of such.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::{FailureReason, Money, Order, OrderNumber, Status};

use super::{http_time, read_time};

/// The recorded fields in the recorded order, then `version` and `failureReason`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderBody {
    /// See [`Order::id`].
    pub id: u64,
    /// See [`Order::order_number`].
    pub order_number: OrderNumber,
    /// See [`Order::customer_name`].
    pub customer_name: String,
    /// See [`Order::product_name`].
    pub product_name: String,
    /// See [`Order::quantity`].
    pub quantity: u32,
    /// See [`Order::price`].
    pub price: Money,
    /// See [`Order::total_amount`].
    pub total_amount: Money,
    /// See [`Order::status`].
    pub status: Status,
    /// The status as people read it.
    pub status_description: String,
    /// RFC 3339 with offset and microseconds.
    pub created_at: String,
    /// The same; null until the first change.
    pub updated_at: Option<String>,
    /// See [`Order::version`]; the recorded producer tells none.
    #[serde(default, skip_serializing_if = "is_untold")]
    pub version: u64,
    /// See [`Order::failure_reason`].
    pub failure_reason: Option<FailureReason>,
}

fn is_untold(version: &u64) -> bool {
    *version == 0
}

impl OrderBody {
    /// The body that shows `order`, with times in `zone`.
    #[must_use]
    pub fn of(order: &Order, zone: &TimeZone) -> Self {
        Self {
            id: order.id,
            order_number: order.order_number.clone(),
            customer_name: order.customer_name.clone(),
            product_name: order.product_name.clone(),
            quantity: order.quantity,
            price: order.price,
            total_amount: order.total_amount,
            status: order.status,
            status_description: order.status.description().to_owned(),
            created_at: http_time(order.created_at, zone),
            updated_at: order.updated_at.map(|at| http_time(at, zone)),
            version: order.version,
            failure_reason: order.failure_reason,
        }
    }

    /// The order a producer has shown; `None` when a time cannot be read. A time without a zone, as
    /// the recorded producer writes it, is in `zone`.
    #[must_use]
    pub fn into_order(self, zone: &TimeZone) -> Option<Order> {
        let updated_at = match self.updated_at {
            Some(text) => Some(read_time(&text, zone)?),
            None => None,
        };
        Some(Order {
            id: self.id,
            order_number: self.order_number,
            customer_name: self.customer_name,
            product_name: self.product_name,
            quantity: self.quantity,
            price: self.price,
            total_amount: self.total_amount,
            status: self.status,
            created_at: read_time(&self.created_at, zone)?,
            updated_at,
            version: self.version,
            failure_reason: self.failure_reason,
        })
    }
}

/// What the producer's health route answers, as recorded.
pub const SYNC_HEALTH: &str = "Producer Sync API is running";

/// A page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to ask with for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A page of the producer's changes, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncPage {
    /// Orders as they are now, in the order of their latest change.
    pub items: Vec<OrderBody>,
    /// The change sequence read up to: the next page's `after`.
    pub next: u64,
    /// Whether there is more after `next`.
    pub has_more: bool,
}
