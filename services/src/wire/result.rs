//! The result of processing, as the consumer puts it to the producer.

use serde::{Deserialize, Serialize};

use crate::domain::{FailureReason, Status};

/// Body of `PUT /api/sync/order/{orderNumber}/result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultBody {
    /// `COMPLETED` or `FAILED`.
    pub status: Status,
    /// The version of the order that was processed.
    pub expected_version: u64,
    /// When processing ended, RFC 3339.
    pub processed_at: String,
    /// Why it failed; only with `FAILED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// The id of the event that tells of the result.
    pub message_id: String,
}
