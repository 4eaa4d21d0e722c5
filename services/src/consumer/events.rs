//! The handler of `sync-events-queue`.

use std::sync::Arc;

use async_trait::async_trait;
use bus::inbox::{UnitHandler, UnitOfWork};
use bus::pipeline::{Envelope, Failure, Handled};
use tracing::{info, warn};

use crate::domain::OrderNumber;
use crate::store::Batch;
use crate::wire::{EventType, IncomingEvent};

use super::Consumer;
use super::cause::Cause;
use super::processing::failed;

/// Brings each side up to date with the other.
pub(super) struct Events(pub(super) Arc<Consumer>);

#[async_trait]
impl UnitHandler<Batch> for Events {
    async fn handle(&self, envelope: &Envelope, unit: &mut UnitOfWork<Batch>) -> Handled {
        let invalid = |fault: String| Failure::Reject(fault);
        let event = IncomingEvent::read(envelope.message().body()).map_err(|fault| invalid(fault.to_string()))?;
        let number = OrderNumber::parse(&event.entity_key).map_err(|error| invalid(format!("entityKey: {error}")))?;
        let event_type = event.event_type.as_str();
        let cause = Cause::of(envelope);
        let Cause { message_id, attempt } = &cause;
        info!(event = "sync_received", order_number = %number, event_type, message_id, attempt, "sync event received");
        match EventType::parse(event_type) {
            Some(EventType::OrderUpdated) => self.update_copy(&number, &cause, unit).await,
            Some(EventType::ProcessingCompleted | EventType::ProcessingFailed) => {
                self.bring_result(&number, &cause, unit).await
            }
            None => {
                warn!(event = "unknown_event_type", order_number = %number, event_type, message_id, attempt,
                    "unknown sync event: taken note of and left alone");
                Ok(())
            }
        }
    }
}

impl Events {
    async fn update_copy(&self, number: &OrderNumber, cause: &Cause, unit: &mut UnitOfWork<Batch>) -> Handled {
        let (consumer, Cause { message_id, attempt }) = (&self.0, cause.clone());
        consumer.producer.health().await?;
        info!(event = "producer_healthy", order_number = %number, message_id, attempt, "producer is healthy");
        let Some(order) = consumer.producer.order(number).await? else {
            warn!(event = "order_not_found", order_number = %number, message_id, attempt, "the producer does not know this order");
            return Ok(());
        };
        unit.effects = consumer.copy_write(&order).await.map_err(failed("store"))?;
        unit.after_commit(move || {
            let (number, status, version) = (&order.order_number, order.status.as_str(), order.version);
            info!(event = "order_synced", order_number = %number, message_id, attempt, producer_status = status, version,
                "order synced");
        });
        Ok(())
    }

    async fn bring_result(&self, number: &OrderNumber, cause: &Cause, unit: &mut UnitOfWork<Batch>) -> Handled {
        match self.0.processed(number).await.map_err(failed("store"))? {
            Some(at) if at.row.status.is_some() => {
                unit.effects = self.0.bring(&at, cause).await?;
                Ok(())
            }
            _ => {
                let Cause { message_id, attempt } = cause;
                warn!(event = "order_not_found", order_number = %number, message_id, attempt,
                    "no result of this order is known here");
                Ok(())
            }
        }
    }
}
