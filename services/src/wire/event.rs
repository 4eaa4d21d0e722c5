//! The events on `sync-events-queue`, as we write them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::domain::{FailureReason, Order, OrderNumber, Status};

use super::{http_time, queue_time};

/// The events both services know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// The producer's order changed: fetch the latest.
    OrderUpdated,
    /// The consumer has processed an order.
    ProcessingCompleted,
    /// The consumer could not process an order.
    ProcessingFailed,
}

impl EventType {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderUpdated => "ORDER_UPDATED",
            Self::ProcessingCompleted => "PROCESSING_COMPLETED",
            Self::ProcessingFailed => "PROCESSING_FAILED",
        }
    }

    /// The event of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::OrderUpdated, Self::ProcessingCompleted, Self::ProcessingFailed]
            .into_iter()
            .find(|event_type| event_type.as_str() == name)
    }
}

/// The seven recorded fields, then ours.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncEvent {
    event_type: &'static str,
    source_service: &'static str,
    target_service: &'static str,
    entity_key: String,
    entity_type: &'static str,
    timestamp: String,
    message_id: String,
    version: u64,
    status: &'static str,
    failure_reason: Option<FailureReason>,
    occurred_at: String,
}

impl SyncEvent {
    /// The producer tells that `order` is new or changed.
    #[must_use]
    pub fn order_updated(order: &Order, message_id: &bus::MessageId, zone: &TimeZone) -> Self {
        let at = order.changed_at();
        Self {
            event_type: EventType::OrderUpdated.as_str(),
            source_service: "producer",
            target_service: "consumer",
            entity_key: order.order_number.to_string(),
            entity_type: "ORDER",
            timestamp: queue_time(at, zone),
            message_id: message_id.to_string(),
            version: order.version,
            status: order.status.as_str(),
            failure_reason: order.failure_reason,
            occurred_at: http_time(at, zone),
        }
    }

    /// The consumer tells what processing came to. `version` is that of the order it processed.
    #[must_use]
    pub fn processed(
        order_number: &OrderNumber,
        status: Status,
        failure_reason: Option<FailureReason>,
        version: u64,
        at: Timestamp,
        message_id: &bus::MessageId,
        zone: &TimeZone,
    ) -> Self {
        let event_type =
            if status == Status::Completed { EventType::ProcessingCompleted } else { EventType::ProcessingFailed };
        Self {
            event_type: event_type.as_str(),
            source_service: "consumer",
            target_service: "producer",
            entity_key: order_number.to_string(),
            entity_type: "PROCESSED_ORDER",
            timestamp: queue_time(at, zone),
            message_id: message_id.to_string(),
            version,
            status: status.as_str(),
            failure_reason,
            occurred_at: http_time(at, zone),
        }
    }
}
