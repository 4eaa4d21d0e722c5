//! Bringing a result to the producer, and undoing what it no longer wants.

use bus::pipeline::Failure;
use tracing::{error, info, warn};

use crate::domain::{OrderNumber, Status};
use crate::store::{Batch, Table};
use crate::wire::{ResultBody, http_time};

use super::Consumer;
use super::cause::Cause;
use super::processing::{Acknowledgement, Guarded, ProcessedRow, failed};
use super::producer_api::PutAnswer;

impl Consumer {
    /// Puts the result of a processed order to the producer, unless it has acknowledged it; answers
    /// the write that remembers what it said.
    pub(super) async fn bring(&self, at: &Guarded, cause: &Cause) -> Result<Batch, Failure> {
        let row = &at.row;
        let (Some(status), Acknowledgement::Awaited) = (row.status, row.acknowledgement) else {
            return Ok(Batch::new());
        };
        let (number, Cause { message_id, attempt }) = (&row.order_number, cause);
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
                    info!(event = "result_applied", order_number = %number, message_id, attempt,
                        status = status.as_str(), "result applied by the producer");
                    return Ok(self.acknowledged(at, Acknowledgement::Applied, status));
                }
                PutAnswer::NotFound => return self.foreign(at, cause, status).await,
                PutAnswer::Conflict => {}
            }
            // Refused: the order as it is now tells why.
            match self.producer.order(number).await? {
                Some(order) if order.status == Status::Cancelled => {
                    self.undo(number).await?;
                    info!(event = "order_compensated", order_number = %number, message_id, attempt,
                        "cancelled meanwhile: everything is undone");
                    return Ok(self.acknowledged(at, Acknowledgement::Undone, Status::Cancelled));
                }
                Some(order) if order.status == Status::Pending && order.version != expected_version => {
                    expected_version = order.version;
                }
                // An old answer, from a cache on the way: it says nothing about the refusal.
                Some(order) if order.status == Status::Pending => {
                    return Err(Failure::Retry(
                        "the producer refused the result of an order it shows as pending".to_owned(),
                    ));
                }
                Some(order) => {
                    error!(order_number = %number, message_id, attempt, producer = order.status.as_str(),
                        consumer = status.as_str(), "the producer has another result; `orders verify` names the order");
                    return Ok(self.acknowledged(at, Acknowledgement::Contradicted, status));
                }
                None => return Err(Failure::Retry("the producer refused the result and knows no order".to_owned())),
            }
        }
    }

    /// The producer answers that it knows no such order. That is only believed of an order it has
    /// never shown, and only of the producer itself: a proxy without a producer answers 404 too.
    async fn foreign(&self, at: &Guarded, cause: &Cause, status: Status) -> Result<Batch, Failure> {
        let number: &OrderNumber = &at.row.order_number;
        self.producer.health().await?;
        if self.copy(number).await.map_err(failed("store"))?.is_some() {
            return Err(Failure::Unavailable("producer: it answers 404 for an order it has shown before".to_owned()));
        }
        warn!(event = "order_not_found", order_number = %number, message_id = cause.message_id, attempt = cause.attempt,
            "the producer does not know this order: it came from a foreign one, its result stays here");
        Ok(self.acknowledged(at, Acknowledgement::Foreign, status))
    }

    fn acknowledged(&self, at: &Guarded, acknowledgement: Acknowledgement, status: Status) -> Batch {
        self.tally.answered(acknowledgement);
        let row = ProcessedRow { acknowledgement, status: Some(status), ..at.row.clone() };
        Self::guarded_write(at, &row).0.delete(Table::Unacknowledged.key(row.order_number.as_str()))
    }

    /// The producer shows an order as pending whose result it was said to have, or not to know: the
    /// result is to be put again.
    pub(super) fn reopened(at: &Guarded) -> Batch {
        let row = ProcessedRow { acknowledgement: Acknowledgement::Awaited, ..at.row.clone() };
        Self::guarded_write(at, &row).0.put(Table::Unacknowledged.key(row.order_number.as_str()), "")
    }
}
