//! The handler of `order-processing-queue`.

use std::sync::Arc;

use async_trait::async_trait;
use bus::inbox::{UnitHandler, UnitOfWork};
use bus::pipeline::{Envelope, Failure, Handled};
use bus::{Message, Outgoing};
use tracing::{debug, info};

use crate::domain::{OrderNumber, Outcome, Status};
use crate::store::{Batch, Table, encode};
use crate::wire::{IncomingOrder, SyncEvent};

use super::Consumer;
use super::cause::Cause;
use super::processing::{Guarded, ProcessedRow, failed};

/// Times the order is read again because somebody else went on with it.
const REREAD_COUNT_MAX: usize = 16;

/// Processes each order once.
pub(super) struct Orders(pub(super) Arc<Consumer>);

/// What an order's processing adds to a unit of work.
pub(super) struct Work {
    pub(super) effects: Batch,
    pub(super) outgoing: Vec<Outgoing>,
    /// The outcome, when this processing came to one.
    pub(super) outcome: Option<Outcome>,
}

#[async_trait]
impl UnitHandler<Batch> for Orders {
    async fn handle(&self, envelope: &Envelope, unit: &mut UnitOfWork<Batch>) -> Handled {
        let order =
            IncomingOrder::read(envelope.message().body()).map_err(|fault| Failure::Reject(fault.to_string()))?;
        let number = order.order_number.clone();
        info!(event = "order_received", order_number = %number, message_id = %envelope.message_id(),
            attempt = envelope.attempt(), "order message received");
        let cause = Cause::of(envelope);
        let work = self.0.work(&order, &cause).await?;
        unit.effects = work.effects;
        work.outgoing.into_iter().for_each(|outgoing| unit.send(outgoing));
        if let Some(outcome) = work.outcome {
            let consumer = Arc::clone(&self.0);
            unit.after_commit(move || consumer.has_processed(&number, outcome, &cause));
        }
        Ok(())
    }
}

impl Consumer {
    /// Tells of an outcome that is durable.
    pub(super) fn has_processed(&self, number: &OrderNumber, outcome: Outcome, cause: &Cause) {
        let (status, Cause { message_id, attempt }) = (outcome.status().as_str(), cause);
        self.tally.processed.of(status).inc();
        info!(event = "order_processed", order_number = %number, message_id, attempt, status, "order processed");
    }

    /// Processes an order under its guard, for the queue and for the reconciler alike.
    pub(super) async fn work(&self, order: &IncomingOrder, cause: &Cause) -> Result<Work, Failure> {
        let number = &order.order_number;
        for _ in 0..REREAD_COUNT_MAX {
            let at = self.take_up(order).await.map_err(failed("store"))?;
            if let Some(status) = at.row.status {
                if status != Status::Completed {
                    // Whoever was overtaken may have done a step since.
                    self.undo(number).await?;
                }
                debug!(order_number = %number, status = status.as_str(), "processed before");
                return Ok(Work { effects: Batch::new(), outgoing: Vec::new(), outcome: None });
            }
            let copy = self.copy(number).await.map_err(failed("store"))?;
            if copy.is_some_and(|copy| copy.row.order.status == Status::Cancelled) {
                self.undo(number).await?;
                return Ok(self.called_off(&at));
            }
            let Cause { message_id, attempt } = cause;
            info!(event = "processing_started", order_number = %number, message_id, attempt, "processing started");
            if let Some((at, outcome)) = self.process(at, cause).await? {
                return Ok(self.conclude(&at, outcome));
            }
        }
        Err(Failure::Retry(format!("{REREAD_COUNT_MAX} others were faster")))
    }

    /// The order was cancelled before it was processed: it never is.
    pub(super) fn called_off(&self, at: &Guarded) -> Work {
        let row = ProcessedRow {
            status: Some(Status::Cancelled),
            processed_at: Some(self.seams.clock.wall()),
            acknowledgement: super::processing::Acknowledgement::Undone,
            ..at.row.clone()
        };
        info!(event = "order_called_off", order_number = %row.order_number, "the order was cancelled before it was processed");
        Work { effects: Self::guarded_write(at, &row).0, outgoing: Vec::new(), outcome: None }
    }

    /// The outcome, and the event that tells of it.
    fn conclude(&self, at: &Guarded, outcome: Outcome) -> Work {
        let now = self.seams.clock.wall();
        let number = &at.row.order_number;
        let message_id = self.seams.message_id(number.as_str());
        let row = ProcessedRow {
            status: Some(outcome.status()),
            processed_at: Some(now),
            event_id: Some(message_id.to_string()),
            ..at.row.clone()
        };
        let (status, reason) = (outcome.status(), outcome.failure_reason());
        let event =
            SyncEvent::processed(number, status, reason, row.version, now, &message_id, &self.settings.time_zone);
        let message =
            Message::new(message_id, encode(&event)).with_key(number.key()).with_content_type("application/json");
        let effects = Self::guarded_write(at, &row).0.put(Table::Unacknowledged.key(number.as_str()), "");
        Work {
            effects,
            outgoing: vec![Outgoing::new(self.settings.sync_queue.clone(), message)],
            outcome: Some(outcome),
        }
    }
}
