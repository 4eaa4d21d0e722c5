//! Changing an order: guarded by its version, told of in the same write.

use bus::Error;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::domain::{Order, OrderNumber, Status};
use crate::store::{Batch, Table, Written, decode, encode};
use crate::wire::ResultBody;

use super::Producer;
use super::read::status_key;

/// A line of the change sequence: which order, and what version it had then.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChangeRow {
    pub(super) order_number: OrderNumber,
    pub(super) version: u64,
}

impl ChangeRow {
    pub(super) fn of(order: &Order) -> Self {
        Self { order_number: order.order_number.clone(), version: order.version }
    }
}

/// Why an order was not changed.
#[derive(Debug)]
pub enum ChangeRefused {
    /// There is no such order.
    NotFound,
    /// The order stands where this change is not allowed: the order as it is.
    Conflict(Box<Order>),
    /// The store did not answer: it may or may not have changed.
    Store(Error),
}

impl From<Error> for ChangeRefused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// What a change makes of an order.
enum Next {
    Changed(Order),
    Unchanged,
    Refused,
}

impl Producer {
    /// Calls an order off; repeating it changes nothing.
    ///
    /// # Errors
    /// [`ChangeRefused::Conflict`] once a result was applied.
    pub async fn cancel(&self, number: &OrderNumber) -> Result<Order, ChangeRefused> {
        let now = self.seams.clock.wall();
        self.change(number, |order| match order.status {
            Status::Pending => Next::Changed(order.changed(Status::Cancelled, None, now)),
            Status::Cancelled => Next::Unchanged,
            Status::Completed | Status::Failed => Next::Refused,
        })
        .await
    }

    /// Applies what the consumer made of an order; repeating it changes nothing.
    ///
    /// # Errors
    /// [`ChangeRefused::Conflict`] when the order has another final status, or another version than
    /// the one that was processed.
    pub async fn apply_result(&self, number: &OrderNumber, result: &ResultBody) -> Result<Order, ChangeRefused> {
        let now = self.seams.clock.wall();
        self.change(number, |order| {
            if order.status == Status::Pending && order.version == result.expected_version {
                Next::Changed(order.changed(result.status, result.failure_reason, now))
            } else if order.status == result.status && order.failure_reason == result.failure_reason {
                Next::Unchanged
            } else {
                Next::Refused
            }
        })
        .await
    }

    /// Reads, decides and writes on condition that nothing changed meanwhile; then again.
    async fn change(&self, number: &OrderNumber, decide: impl Fn(&Order) -> Next) -> Result<Order, ChangeRefused> {
        let key = Table::Orders.key(number.as_str());
        loop {
            let stored = self.store().get(&key).await?.ok_or(ChangeRefused::NotFound)?;
            let order: Order = decode(&stored)?;
            let changed = match decide(&order) {
                Next::Changed(changed) => changed,
                Next::Unchanged => return Ok(order),
                Next::Refused => return Err(ChangeRefused::Conflict(Box::new(order))),
            };
            let batch = Batch::new()
                .expect(key.clone(), Some(stored))
                .put(key.clone(), encode(&changed))
                .delete(status_key(&order))
                .put(status_key(&changed), number.as_str().to_owned())
                .append(Table::Changes, encode(&ChangeRow::of(&changed)));
            if let Written::Applied(_) = self.mailbox.apply(batch, &[self.order_updated(&changed)]).await? {
                let (status, version) = (changed.status.as_str(), changed.version);
                self.tally.changed.of(status).inc();
                info!(event = "order_changed", order_number = %number, status, version, "order changed");
                return Ok(changed);
            }
        }
    }
}
