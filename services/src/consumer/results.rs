//! Bringing a result to the producer, and undoing what it no longer wants.

use bus::pipeline::Failure;
use tracing::{info, warn};

use crate::domain::Status;
use crate::store::{Batch, Table};
use crate::wire::{ResultBody, http_time};

use super::Consumer;
use super::processing::{Acknowledgement, Guarded, ProcessedRow};
use super::producer_api::PutAnswer;

impl Consumer {
    /// Puts the result of a processed order to the producer, unless it has acknowledged it; answers
    /// the write that remembers what it said.
    pub(super) async fn bring(&self, at: &Guarded) -> Result<Batch, Failure> {
        let row = &at.row;
        let (Some(status), Acknowledgement::Awaited) = (row.status, row.acknowledgement) else {
            return Ok(Batch::new());
        };
        let number = &row.order_number;
        let mut expected_version = row.version;
        loop {
            let body = ResultBody {
                status,
                expected_version,
                processed_at: http_time(row.processed_at.unwrap_or_default(), &self.settings.time_zone),
                failure_reason: row.failing.filter(|_| status == Status::Failed),
                message_id: row.event_id.clone().unwrap_or_else(|| number.to_string()),
            };
            match self.producer.put_result(number, &body).await? {
                PutAnswer::Applied => {
                    info!(event = "result_applied", order_number = %number, status = status.as_str(), "result applied by the producer");
                    return Ok(Self::acknowledged(at, Acknowledgement::Applied, status));
                }
                PutAnswer::NotFound => {
                    warn!(event = "order_not_found", order_number = %number,
                        "the producer does not know this order: it came from a foreign one, its result stays here");
                    return Ok(Self::acknowledged(at, Acknowledgement::Foreign, status));
                }
                PutAnswer::Conflict => {}
            }
            // Refused: the order as it is now tells why.
            match self.producer.order(number).await? {
                Some(order) if order.status == Status::Cancelled => {
                    self.undo(number).await?;
                    info!(event = "order_compensated", order_number = %number, "cancelled meanwhile: everything is undone");
                    return Ok(Self::acknowledged(at, Acknowledgement::Undone, Status::Cancelled));
                }
                Some(order) if order.status == Status::Pending && order.version != expected_version => {
                    expected_version = order.version;
                }
                Some(order) => {
                    let found = order.status.as_str();
                    return Err(Failure::Retry(format!("the producer has {found} and refuses {}", status.as_str())));
                }
                None => return Err(Failure::Retry("the producer refused the result and knows no order".to_owned())),
            }
        }
    }

    fn acknowledged(at: &Guarded, acknowledgement: Acknowledgement, status: Status) -> Batch {
        let row = ProcessedRow { acknowledgement, status: Some(status), ..at.row.clone() };
        Self::guarded_write(at, &row).0.delete(Table::Unacknowledged.key(row.order_number.as_str()))
    }
}
