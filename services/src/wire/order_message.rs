//! The order as a message on `order-processing-queue`.

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::{FailureReason, Money, Order};

use super::{http_time, queue_time};

/// The fields of the POST response plus `messageId` and `occurredAt`, times in the recorded form.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderMessage<'a> {
    id: u64,
    order_number: &'a str,
    customer_name: &'a str,
    product_name: &'a str,
    quantity: u32,
    price: Money,
    total_amount: Money,
    status: &'static str,
    status_description: &'static str,
    created_at: String,
    updated_at: Option<String>,
    version: u64,
    failure_reason: Option<FailureReason>,
    message_id: String,
    occurred_at: String,
}

impl<'a> OrderMessage<'a> {
    /// The message that tells of `order`.
    #[must_use]
    pub fn of(order: &'a Order, message_id: &bus::MessageId, zone: &TimeZone) -> Self {
        Self {
            id: order.id,
            order_number: order.order_number.as_str(),
            customer_name: &order.customer_name,
            product_name: &order.product_name,
            quantity: order.quantity,
            price: order.price,
            total_amount: order.total_amount,
            status: order.status.as_str(),
            status_description: order.status.description(),
            created_at: queue_time(order.created_at, zone),
            updated_at: order.updated_at.map(|at| queue_time(at, zone)),
            version: order.version,
            failure_reason: order.failure_reason,
            message_id: message_id.to_string(),
            occurred_at: http_time(order.changed_at(), zone),
        }
    }
}
